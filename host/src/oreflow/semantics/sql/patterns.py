"""Patterns that mean the same to Rust's and to Java's regular expressions.

Only what both have, written in the way that both read alike: classes are ASCII, `.` is anything but a line feed, `$`
is the end of the text.
"""

from __future__ import annotations

import re
from string import punctuation

from oreflow.contract import StepError

_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": " \\t\\n\\r\\f"}
_SAME = "tnrf"
_PUNCTUATION = frozenset(punctuation) - {"<", ">"}
_TOKEN = re.compile(
    r"""(?P<escape>\\.) | (?P<group>\((?:\?[^:]?.?)?) | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
    | (?P<many>(?:[*+?]|\{\d+(?:,\d*)?\})\??) | (?P<any>.)""",
    re.VERBOSE | re.DOTALL,
)


def _escape(letter: str, pattern: str, *, inside: bool) -> str:
    if letter.lower() in _CLASSES and (letter.islower() or not inside):
        kind = _CLASSES[letter.lower()]
        return kind if inside else f"[{'^' if letter.isupper() else ''}{kind}]"
    if letter in _SAME or letter in _PUNCTUATION:
        return f"\\{letter}"
    told = "looking back at a group" if letter.isdigit() else f"'\\{letter}'"
    raise StepError(f"the pattern '{pattern}' has {told}, which not every engine has")


def _set(text: str, pattern: str) -> str:
    negated = text.startswith("[^")
    body = text[2 if negated else 1 : -1]
    if body.startswith("]"):
        raise StepError(f"the pattern '{pattern}' has a set that begins with ']'; write '\\]'")
    plain = re.sub(r"\\.", "", body, flags=re.DOTALL)
    for odd in ("[", "&&", "--", "~~"):
        if odd in plain:
            raise StepError(f"the pattern '{pattern}' has '{odd}' in a set; put a backslash before it")
    body = re.sub(r"\\(.)", lambda found: _escape(found[1], pattern, inside=True), body, flags=re.DOTALL)
    return f"[{'^' if negated else ''}{body}]"


def regex(pattern: str) -> str:
    """A regular expression as both read it.

    Raises:
        StepError: it cannot be understood, or has what one of them has not.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise StepError(f"the pattern '{pattern}' cannot be understood: {error}") from None
    parts: list[str] = []
    repeated = False
    for token in _TOKEN.finditer(pattern):
        text, kind = token[0], token.lastgroup
        if kind == "many" and repeated:
            raise StepError(f"the pattern '{pattern}' has '{text}' after a repetition; not every engine has that")
        repeated = kind == "many"
        if kind == "escape":
            parts.append(_escape(text[1], pattern, inside=False))
        elif kind == "group" and text not in {"(", "(?:"} and not text.startswith("(?:"):
            raise StepError(f"the pattern '{pattern}' has '{text}...'; only (...) and (?:...) are on every engine")
        elif kind == "set":
            parts.append(_set(text, pattern))
        elif text in {"{", "}"}:
            parts.append(f"\\{text}")
        else:
            parts.append({".": "[^\\n]", "^": "\\A", "$": "\\z"}.get(text, text))
    return "".join(parts)


def like(pattern: str, escape: str) -> tuple[str, bool]:
    """A pattern of LIKE, as one or as a regular expression; says which it is.

    It stays a LIKE, which engines do quickly, where `%`, `_` and the backslash stand for nothing but themselves.

    Raises:
        StepError: the escape character is followed by something that needs none.
    """
    parts: list[tuple[str, bool]] = []
    characters = iter(pattern)
    for character in characters:
        if escape and character == escape:
            escaped = next(characters, "")
            if escaped not in {"%", "_", escape} or not escaped:
                raise StepError(f"the pattern '{pattern}': '{escape}' stands before %, _ or itself")
            parts.append((escaped, False))
        else:
            parts.append((character, character in "%_"))
    if not any(not wild and character in "%_\\" for character, wild in parts):
        return "".join(character for character, _ in parts), False
    wild_cards = {"%": "(?s:.*)", "_": "(?s:.)"}
    return "\\A" + "".join(wild_cards[c] if wild else re.escape(c) for c, wild in parts) + "\\z", True
