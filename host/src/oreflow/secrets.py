"""Secrets: references that are followed late, a type that does not show itself, and a filter for what is printed.

`${env:NAME}` is an environment variable, `${file:/run/secrets/x}` the content of a file without its last line end.
A configuration holds the reference; whoever needs the secret follows it, and from then on no output of this process
has it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oreflow.contract import DeclarationError, Problem

MASK = "***"
"""What stands in place of a secret."""

_REFERENCE = re.compile(r"\$\{(env|file):([^${}]+)\}")
_ALMOST = re.compile(r"\$\{[^}]*\}?")
_NAMES = re.compile(
    r"(^|[._-])(passwords?|passwd|passphrases?|pwd|secrets?|tokens?|credentials?|authorization|secret_key_base"
    r"|(api|access|private|secret|account|sas|encryption|signing|ssh|auth|client)[._-]?keys?)([._-]?[0-9]+)?$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USER = re.compile(r"(?<=://)(\S*)@")
_PARAMETER = re.compile(r"([;?&](?:[a-z_-]*token|[a-z_-]*password|secret|sig|[a-z_-]*key)=)([^;&\s]+)", re.IGNORECASE)
_SHORTEST = 4
"""Characters of a secret that is looked for in outputs; a shorter one would be found in everything."""

_followed: dict[str, None] = {}


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


def followed(value: Any) -> Any:
    """The value with every reference in it followed.

    Raises:
        DeclarationError: one leads nowhere.
    """
    if isinstance(value, Mapping):
        return {key: followed(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [followed(each) for each in value]
    return _REFERENCE.sub(_read, value) if isinstance(value, str) else value


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
    from urllib.parse import quote

    for form in (text, quote(text, safe=""), json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        if len(form) >= _SHORTEST:
            _followed[form] = None


def redacted(text: str) -> str:
    """A text with every secret that this process has followed taken out."""
    for secret in sorted(_followed, key=len, reverse=True) if _followed else ():
        text = text.replace(secret, MASK)
    return text


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
