"""strptime patterns, with the meaning that they have on every engine.

Engines read a pattern more freely than it looks: any blank for a blank, a sign before a year, a second 60. The
pattern is therefore also turned into a regular expression that says what the text may look like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_LONG_WEEKDAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"

CENTURY_BEGINS = 69
"""%y is a year from 1969 to 2068, as POSIX, and so Python, has it."""

SHAPES = {
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%m": "[0-9]{1,2}",
    "%d": "[0-9]{1,2}",
    "%j": "[0-9]{1,3}",
    "%H": "[0-9]{1,2}",
    "%I": "[0-9]{1,2}",
    "%M": "[0-9]{1,2}",
    "%S": "[0-5]?[0-9]",
    ".%f": r"\.[0-9]{1,6}",
    "%p": "(?i:am|pm)",
    "%b": f"(?i:{'|'.join(MONTHS)})",
    "%B": f"(?i:{_LONG_MONTHS})",
    "%a": f"(?i:{'|'.join(WEEKDAYS)})",
    "%A": f"(?i:{_LONG_WEEKDAYS})",
    "%z": "[+-](?:(?:0[0-9]|1[0-7]):?[0-5][0-9]|18:?00)",
    "%%": "%",
}
"""What each directive stands for, as a regular expression; it takes as many characters as it can."""
_DIRECTIVE = re.compile(r"\.%f|%.?|[^%.]+|\.", re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """A pattern: its directives and the texts between them, and the shape of the texts that it stands for.

    `has_time`: it has an hour. `short_year`: its year has two digits.
    """

    parts: tuple[str, ...]
    shape: str
    has_time: bool
    short_year: bool


def read_pattern(text: str, *, padded: bool = False) -> Pattern:
    """Read a strptime pattern without fault; `padded` wants two digits wherever two are possible."""
    parts = tuple(_DIRECTIVE.findall(text))
    shape = "".join(SHAPES[part] if "%" in part else re.escape(part) for part in parts)
    if padded:
        shape = shape.replace("{1,2}", "{2}").replace("[0-5]?", "[0-5]")
    has_time = "%H" in parts or "%I" in parts
    return Pattern(parts, shape, has_time, "%y" in parts)
