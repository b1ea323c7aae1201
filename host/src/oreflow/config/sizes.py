"""Sizes of memory and files as people write and read them."""

from __future__ import annotations

_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
SIZE = r"^[0-9]+(\.[0-9]+)? ?(TB|GB|MB|kB)$"
"""The regular expression of a size in a declaration."""


def size_text(size: int) -> str:
    """A number of bytes for people: `2.7 kB`."""
    for unit, factor in _UNITS.items():
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"


def bytes_of(text: str) -> int:
    """The number of bytes that a size of the form `SIZE` says: `1.5 GB` is 1,500,000,000."""
    return round(float(text[:-2]) * _UNITS[text[-2:]])
