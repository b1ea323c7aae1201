"""Sizes and times as people write and read them: `512 MiB`, `5m`, `PT5M`.

Sizes have the units of ISO/IEC 80000 (kB = 1000 bytes, KiB = 1024), times those of Go's `time.ParseDuration` besides
days and weeks, or the form of ISO 8601.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from oreflow.contract import DeclarationError, Problem

_DECIMAL = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
_UNITS = {**_DECIMAL, "TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
SIZE = rf"^[0-9]{{1,15}}(\.[0-9]{{1,15}})? ?({'|'.join(_UNITS)})$"
"""The regular expression of a size in a declaration."""

_TIMES = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_PARTS = "".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit})?" for unit in _TIMES)
_ISO = r"P(?:([0-9]+)W)?(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]+)?)S)?)?"
DURATION = r"^([0-9]+(\.[0-9]+)?(w|d|h|ms|us|m|s))+$|^P([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9.]+S)?)?$"
"""The regular expression of a time that is a text; a number is one of seconds."""


def time_schema(description: str) -> dict[str, Any]:
    """The JSON Schema of a time above 0 in a declaration."""
    return {
        "type": ["number", "string"],
        "exclusiveMinimum": 0,
        "pattern": DURATION,
        "description": f"{description}: seconds, or a text such as 200ms or 5m",
    }


def size_text(size: int) -> str:
    """A number of bytes for people: `2.7 kB`."""
    for unit, factor in _DECIMAL.items():
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"


def bytes_of(text: str) -> int:
    """The number of bytes that a size of the form `SIZE` says: `1.5 GB` is 1,500,000,000.

    Raises:
        ValueError: it is no size.
    """
    if not re.match(SIZE, text):
        raise ValueError(f"'{text}' is no size such as 512 MiB or 8 GB")
    number = text.rstrip("TGMkKiB ")
    return int(Decimal(number) * _UNITS[text[len(number) :].strip()])


def time_of(value: float | str) -> timedelta:
    """The time that a number of seconds, `1h30m`, `200ms` or `PT1H30M` says.

    Raises:
        ValueError: it is no time, or one that is too long for a timedelta.
    """
    try:
        if not isinstance(value, str):
            return timedelta(seconds=value)
        if value and (parts := re.fullmatch(_PARTS, value)):
            return sum((_times(parts[unit], one) for unit, one in _TIMES.items()), timedelta())
        if len(value) > 1 and not value.endswith("T") and (iso := re.fullmatch(_ISO, value)):
            weeks, days, hours, minutes, seconds = (float(part or 0) for part in iso.groups())
            return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise ValueError("is longer than any time can be") from error
    unit = f" - did you mean {value}s?" if value.isdecimal() else ""
    raise ValueError(f"'{value}' is no time such as 300 (seconds), 5m or PT5M{unit}")


_LONGEST = 1e6
"""Seconds, some eleven days: what threads and sockets can wait for, and longer than anybody does."""


def lasting(value: float | str, path: tuple[str | int, ...], longest: float | None = None) -> float:
    """The seconds of a time that something takes; `path` is where it is declared.

    They are `longest` at the most; where that is not said, a million, which threads and sockets can wait for.

    Raises:
        DeclarationError: it is no time, or none that lasts.
    """
    try:
        seconds = time_of(value).total_seconds()
    except ValueError as error:
        raise DeclarationError([Problem(str(error), path)]) from error
    if seconds <= 0:
        raise DeclarationError([Problem(f"'{value}' is no time that lasts", path, "say one above 0, such as 500ms")])
    return min(seconds, _LONGEST if longest is None else longest)


def _times(number: str | None, one: timedelta) -> timedelta:
    """So many of a unit; whole numbers exactly."""
    if number is None:
        return timedelta()
    return one * (float(number) if "." in number else int(number))


def time_text(time: timedelta) -> str:
    """A time as `time_of` reads it, without loss: `1h30m`, `200ms`, `0s`; a negative one, with a sign, is not read."""
    if time < timedelta():
        return f"-{time_text(-time)}"
    texts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, time = divmod(time, _TIMES[unit])
        texts.append(f"{count}{unit}" if count else "")
    return "".join(texts) or "0s"
