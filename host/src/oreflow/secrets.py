"""Secrets: references that are followed late, a type that does not show itself, and a filter for what is printed.

`${env:NAME}` is an environment variable, `${file:/run/secrets/x}` the content of a file without its last line end.
A configuration holds the reference; whoever needs the secret follows it, and from then on no output of this process
has it.

Two things keep it so. A `Secret` shows itself nowhere. What was revealed for all that, as to an engine, is looked for
where a text leaves the process: by `redacted` in what is written at once, by `Redaction` in what comes in pieces. Both
know the spellings in which programs pass texts on.
"""

from __future__ import annotations

import os
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from oreflow.contract import DeclarationError, Problem
from oreflow.spellings import DISTINCT, forms_of, in_base64, parts_of_address

MASK = "***"
"""What stands in place of a secret."""

_REFERENCE = re.compile(r"\$\{(env|file):([^${}]+)\}")
_ALMOST = re.compile(r"\$\{[^}]*\}?")
_KIND = re.compile(r"\$\{\s*([A-Za-z]+)\s*:")
_NAMES = re.compile(
    r"(^|[._-])(passwords?|passwd|passphrases?|pwd|secrets?|tokens?|credentials?|authorization|secret_key_base"
    r"|(api|access|private|secret|account|sas|encryption|signing|ssh|auth|client)[._-]?keys?)([._-]?[0-9]+)?$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USER = re.compile(r"(?<=://)(\S*)@")
_PARAMETER = re.compile(
    r"([;?&](?:[a-z_-]*token|[a-z_-]*password|secret|sig|[a-z_-]*key)="
    r"|(?<![\w;?&-])-{0,2}(?:[a-z_-]*token|[a-z_-]*password|secret|[a-z_-]+[_-]secret)=)([^;&\s]+)",
    re.IGNORECASE,
)
"""A parameter of an address, or of a command or a connection: `?sig=x`, `--password=x`, `host=x password=y`."""
_SHORTEST = 4
"""Characters of a secret that is looked for in outputs; a shorter one would be found in everything."""

_spellings: dict[str, None] = {}
"""How the secrets that were followed may stand in an output."""
_whole: dict[str, None] = {}
"""The same without spaces and line breaks, to be looked for in texts without theirs."""


class Secret:
    """A text that does not show itself: the secret, or a reference to it that `reveal` follows.

    It prints as `***` wherever it gets to; two are equal where they stand for the same text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, read now.

        Raises:
            DeclarationError: what it refers to is not there.
        """
        text: str = followed(self._text)
        _remember(text)
        return text

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __deepcopy__(self, memo: object) -> Secret:
        return self  # which never changes; `dataclasses.asdict` copies

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written down; hand on the configuration that refers to it")


def refers(value: object) -> bool:
    """Whether a value is a text with a reference in it."""
    return isinstance(value, str) and _REFERENCE.search(value) is not None


def reference_fault(text: str) -> str:
    """What is wrong with a text that looks as if it had a reference; '' where nothing is."""
    rest = _REFERENCE.sub("", text)
    if almost := _ALMOST.search(rest):
        return f"{almost[0]} is no reference"
    return ""


def resembles_reference(text: str) -> bool:
    """Whether a text has something that is meant as a reference and is none: `${evn:NAME}`, `${env:}`, `${env:NAME`."""
    import difflib

    found = _KIND.findall(_REFERENCE.sub("", text))
    return any(difflib.get_close_matches(kind.lower(), ("env", "file"), 1) for kind in found)


def followed(value: Any, spelled: Callable[[str], str] = str) -> Any:
    """The value with every reference in it followed; `spelled` says how a secret is written where it stands.

    Raises:
        DeclarationError: one leads nowhere.
    """
    if isinstance(value, Mapping):
        return {key: followed(each, spelled) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [followed(each, spelled) for each in value]
    return _REFERENCE.sub(lambda found: spelled(_read(found)), value) if isinstance(value, str) else value


def followed_address(address: str) -> str:
    """An address with every reference in it followed.

    What divides an address (`@`, `/`) may be part of a user's name, a password or a parameter: there it is encoded.

    Raises:
        DeclarationError: one leads nowhere.
    """
    from urllib.parse import quote

    plain = _REFERENCE.sub(lambda found: "x" * len(found[0]), address)  # what divides it is not within a reference
    path = plain.find("?") if "?" in plain else len(plain)
    user = plain.rfind("@", 0, path) + 1

    def encoded(secret: str) -> str:
        return quote(secret, safe="")

    parts = followed(address[:user], encoded), followed(address[user:path]), followed(address[path:], encoded)
    return "".join(parts)


def _read(reference: re.Match[str]) -> str:
    kind, name = reference[1], reference[2]
    if kind == "env":
        found = os.environ.get(name)
        if found is None:
            raise DeclarationError([Problem(f"the variable {name} is not set, which {reference[0]} refers to")])
    else:
        try:
            found = Path(name).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            message = f"{name} cannot be read, which {reference[0]} refers to: {reason}"
            raise DeclarationError([Problem(message)]) from None  # the error may hold what the file has
    _remember(found)
    return found


def _remember(text: str) -> None:
    if text in _spellings or len(text) < _SHORTEST:
        return
    distinct = [line.strip() for line in text.splitlines() if len(line.strip()) >= DISTINCT]
    distinct += parts_of_address(text)
    for part in dict.fromkeys((text, text.strip(), *distinct)):
        _spellings.update((form, None) for form in forms_of(part) if len(form) >= _SHORTEST)
    if len(text) >= DISTINCT:
        for known in (_spellings, _whole):
            known.update(dict.fromkeys(in_base64(text)))
        _whole.update(dict.fromkeys(forms_of("".join(text.split()) or text)))


def redacted(value: Any) -> Any:
    """A text, or a value of JSON with its texts, with every secret that this process has followed taken out.

    Values are to be looked through before they are written as JSON or YAML, which spells what a text has anew.
    """
    if not _spellings:
        return value
    if isinstance(value, Mapping):
        return {redacted(key): redacted(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(each) for each in value]
    return _between(value, _found(value), 0, len(value)) if isinstance(value, str) else value


def discreet(value: Any) -> Any:
    """A plain value without secrets: a number that is one, or has one in it, becomes a text."""
    if isinstance(value, str) or value is None or not _spellings:
        return redacted(value)
    text = str(value)
    shown = redacted(text)
    return value if shown == text else shown


def without(text: str, secrets: Iterable[str]) -> str:
    """A text with some secrets taken out, in whichever way they are spelled."""
    forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in forms_of(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _between(text: str, spans: list[tuple[int, int]], start: int, end: int) -> str:
    """The part of a text from `start` to `end`, with a mask for each span that reaches into it."""
    parts = []
    for first, last in spans:
        if last > start and first < end:
            parts += [text[start:first] if first > start else "", MASK]
            start = last
    return "".join((*parts, text[start:end]))


def _found(text: str) -> list[tuple[int, int]]:
    """Where secrets stand in a text: from, to; those that overlap are one."""
    found = list(_occurrences(text, list(_spellings)))
    if len(text.splitlines()) > 1:
        found += _folded(text)
    spans: list[tuple[int, int]] = []
    for first, last in sorted(found):
        if spans and first < spans[-1][1]:
            spans[-1] = spans[-1][0], max(last, spans[-1][1])
        else:
            spans.append((first, last))
    return spans


def _occurrences(text: str, forms: list[str]) -> Iterator[tuple[int, int]]:
    for form in forms:
        start = text.find(form)
        while start >= 0:
            yield start, start + len(form)
            start = text.find(form, start + 1)


def _folded(text: str) -> Iterator[tuple[int, int]]:
    """Where a secret stands that was broken into lines, as wrapping and indenting do."""
    joined = "".join(text.split())
    found = list(_occurrences(joined, list(_whole)))
    if not found:
        return
    starts, words, length = [], [], 0  # of each word: where in the joined text, where in this one
    for word in re.finditer(r"\S+", text):
        starts.append(length)
        words.append(word.start())
        length += len(word[0])
    for first, last in found:
        begins, ends = bisect_right(starts, first) - 1, bisect_right(starts, last - 1) - 1
        yield words[begins] + first - starts[begins], words[ends] + last - starts[ends]


class Redaction:
    """A filter for a text that comes in pieces: a secret may be begun in one and ended in another.

    What may be the beginning of a secret is held back until the next piece tells; of that, `flush` lets go what is too
    short to give anything away.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        """`write` takes what may be seen."""
        self._write = write
        self._text, self._written = "", 0
        self._lock = threading.RLock()  # a handler of signals may write while something is written

    def feed(self, piece: str) -> None:
        """The next piece."""
        with self._lock:
            if not _spellings:
                self._write(piece)
                return
            text = self._text + piece
            spans, hold = _found(text), _beginning(text)
            # What has been found may go on as a longer one.
            hold = min([hold, *(first for first, last in spans if first < hold < last)])
            self._text = text[hold:]
            shown = _between(text, spans, self._written, hold)
            self._written = max(0, self._written - hold)
            if shown:
                self._write(shown)

    def flush(self, *, last: bool = False) -> None:
        """Let go of what is held back; `last`: nothing comes any more."""
        with self._lock:
            if last or len(self._text) < _SHORTEST:
                rest = _between(self._text, _found(self._text), self._written, len(self._text))
                self._written = len(self._text)
                if rest:
                    self._write(rest)


def _beginning(text: str) -> int:
    """Where the longest end of a text begins that a secret begins with; the text's length where there is none."""
    nearest = len(text)
    for form in list(_spellings):
        if text[-1:] and text[-1] in form:
            start = text.find(form[0], max(0, len(text) - len(form) + 1))
            while 0 <= start < nearest and not form.startswith(text[start:]):
                start = text.find(form[0], start + 1)
            nearest = min(nearest, start) if start >= 0 else nearest
    return nearest


def is_secret_name(key: str) -> bool:
    """Whether a key's name says that its value is a secret: `password`, `apiKey`, `db.token`."""
    return _NAMES.search(_CAMEL.sub("_", key).lower()) is not None


def masked(text: str) -> str:
    """A text for people: passwords and tokens of addresses taken out, references left as they are."""

    def user(found: re.Match[str]) -> str:
        name, colon, _ = found[1].partition(":")
        return found[0] if refers(found[1]) else f"{name}{colon}{MASK}@" if colon else f"{MASK}@"

    def parameter(found: re.Match[str]) -> str:
        return found[0] if refers(found[2]) else found[1] + MASK

    return _PARAMETER.sub(parameter, _USER.sub(user, text))
