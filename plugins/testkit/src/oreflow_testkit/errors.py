"""How a check ends where it does not just pass."""

from __future__ import annotations

import re

# A table or a frame as narwhals and polars print it; one may stand within another.
_BOX = re.compile(r"(?:shape: \([^)]*\)\s*)?┌[^┌└]*└[^┘]*┘")


class ContractBroken(AssertionError):
    """A check has found a fault; says in one line what was found and what to change."""

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


class NotApplicable(Exception):
    """A check has no meaning for a processor; says why."""


def in_one_line(text: str) -> str:
    """A text without line ends, and without the drawings of frames that an error or an option may bring along."""
    while (plain := _BOX.sub(_name_of, text)) != text:
        text = plain
    return " ".join(text.split())


def _name_of(box: re.Match[str]) -> str:
    caption = re.search(r"Narwhals \w+", box[0])
    return f"a {caption[0]}" if caption else "a table"
