"""Regular expressions that mean the same to Rust's engine and to Java's.

Only what both have, written in the way that both read alike: classes are ASCII, `.` is anything but a line feed, `$`
is the end of the text.
"""

from __future__ import annotations

import re
import warnings
from string import punctuation

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
    raise ValueError(f"the pattern '{pattern}' has {told}, which not every engine has")


def _set(text: str, pattern: str) -> str:
    negated = text.startswith("[^")
    body = text[2 if negated else 1 : -1]
    if body.startswith("]"):
        raise ValueError(f"the pattern '{pattern}' has a set that begins with ']'; write '\\]'")
    plain = re.sub(r"\\.", "", body, flags=re.DOTALL)
    for odd in ("[", "&&", "--", "~~"):
        if odd in plain:
            raise ValueError(f"the pattern '{pattern}' has '{odd}' in a set; put a backslash before it")
    body = re.sub(r"\\(.)", lambda found: _escape(found[1], pattern, inside=True), body, flags=re.DOTALL)
    return f"[{'^' if negated else ''}{body}]"


def portable_pattern(pattern: str) -> str:
    """A regular expression as every engine reads it.

    Raises:
        ValueError: it cannot be understood, or has what one of them has not.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of what is refused below
            re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the pattern '{pattern}' cannot be understood: {error}") from None
    parts: list[str] = []
    repeated = False
    for token in _TOKEN.finditer(pattern):
        text, kind = token[0], token.lastgroup
        if kind == "many" and repeated:
            raise ValueError(f"the pattern '{pattern}' has '{text}' after a repetition; not every engine has that")
        repeated = kind == "many"
        if kind == "escape":
            parts.append(_escape(text[1], pattern, inside=False))
        elif kind == "group" and text not in {"(", "(?:"} and not text.startswith("(?:"):
            raise ValueError(f"the pattern '{pattern}' has '{text}...'; only (...) and (?:...) are on every engine")
        elif kind == "set":
            parts.append(_set(text, pattern))
        elif text in {"{", "}"}:
            parts.append(f"\\{text}")
        else:
            parts.append({".": "[^\\n]", "^": "\\A", "$": "\\z"}.get(text, text))
    return "".join(parts)
