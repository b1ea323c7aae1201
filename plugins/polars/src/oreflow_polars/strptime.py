"""strptime patterns, with the meaning that they have on every engine.

Polars reads a pattern as the chrono library does: any blank for a blank, a sign before a year, a second
60. The pattern is therefore also turned into a regular expression that says what the text may look like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_LONG_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAYS = "mon|tue|wed|thu|fri|sat|sun"
_LONG_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"

_SHAPES = {
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
    "%b": f"(?i:{_MONTHS})",
    "%B": f"(?i:{_LONG_MONTHS})",
    "%a": f"(?i:{_DAYS})",
    "%A": f"(?i:{_LONG_DAYS})",
    "%z": "[+-][0-9]{2}:?[0-9]{2}",
    "%%": "%",
}
_POLARS = {".%f": "%.f"}
_FAST = re.compile(r"%Y-%m-%d.%H:%M(?::%S)?")
_DIRECTIVE = re.compile(r"\.%f|%.?|[^%.]+|\.", re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """A pattern in Polars' words, and the regular expression of the texts that it stands for.

    `fast`: Polars parses it about as fast as it could look it up in a cache.
    """

    polars: str
    shape: str
    has_time: bool
    fast: bool
    short_year: bool


def read_pattern(text: str, *, padded: bool = False) -> Pattern:
    """Read a strptime pattern without fault; `padded` wants two digits wherever two are possible."""
    polars, shape = [], []
    for part in _DIRECTIVE.findall(text):
        polars.append(_POLARS.get(part, part))
        shape.append(_SHAPES[part] if "%" in part else re.escape(part))
    regex = f"^{''.join(shape)}$"
    if padded:
        regex = regex.replace("{1,2}", "{2}").replace("[0-5]?", "[0-5]")
    has_time = "%H" in text or "%I" in text
    return Pattern("".join(polars), regex, has_time, _FAST.fullmatch(text) is not None, "%y" in text)
