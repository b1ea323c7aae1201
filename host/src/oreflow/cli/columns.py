"""Aligned columns on a screen of any width.

Written here because the libraries that draw tables cost 40 ms to import, a thirtieth of the retail job, and their
colours and boxes are not used.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Collection, Iterator, Sequence

import click

from oreflow.secrets import redacted

_GAP = 2
_NARROWEST = 8
_WIDE = 10**9  # where nobody reads along, a line is not folded to the width of a screen that is not there
_RULE = 10_000  # nor is it underlined as far as it goes


def screen_width() -> int:
    """The width of the terminal; wide where the output goes elsewhere."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return _WIDE


def draw(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> None:
    """Print a table. On a narrow screen the widest columns are folded; the first stays whole as long as it can.

    `right` names the columns that are aligned to the right.
    """
    lines = list(aligned([header, *rows], [name in right for name in header]))
    heading, *others = lines
    for line in (*heading, "─" * min(_RULE, max(_width(line) for block in lines for line in block))):
        click.echo(line)
    for line in (line for block in others for line in block):
        click.echo(line)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> Iterator[list[str]]:
    """The lines of each row, in columns that are as wide as the screen lets them be."""
    cells = [[_clean(cell) for cell in row] for row in rows]
    widths = _fit([max(map(_width, column)) for column in zip(*cells, strict=True)], screen_width())
    to_right = right or [False] * len(widths)
    for row in cells:
        folded = [list(_fold(cell, width)) for cell, width in zip(row, widths, strict=True)]
        lines = [[part[line] if line < len(part) else "" for part in folded] for line in range(max(map(len, folded)))]
        yield [(" " * _GAP).join(map(_pad, line, widths, to_right)).rstrip() for line in lines]


def indented(text: str, by: int) -> Iterator[str]:
    """The lines of a text, folded to the screen behind an indent."""
    for line in _fold(_clean(text), max(screen_width() - by, _NARROWEST)):
        yield " " * by + line


def _clean(text: str) -> str:
    """The text on one line, without what would move the cursor, and without secrets, which folding would tear."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in redacted(text).replace("\n", " "))


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) != 0 for c in text)


def _fit(widths: list[int], available: int) -> list[int]:
    excess = sum(widths) + _GAP * (len(widths) - 1) - available
    for columns in (range(1, len(widths)), range(1)):
        while excess > 0 and (widest := max(columns, key=lambda i: widths[i], default=0)) in columns:
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def _fold(text: str, width: int) -> Iterator[str]:
    """The text in lines of a width, broken between words where there are any."""
    start = 0
    while (cut := _reach(text, start, width)) < len(text):
        space = text.rfind(" ", start + 1, cut + 1)
        yield text[start : space if space > 0 else cut].rstrip()
        start = space + 1 if space > 0 else cut
    yield text[start:]


def _reach(text: str, start: int, width: int) -> int:
    """Where a line ends that begins at `start`, at the most."""
    end = min(len(text), start + width)
    if text.isascii():
        return end
    end = start
    while end < len(text) and (width := width - _width(text[end])) >= 0:
        end += 1
    return end


def _pad(text: str, width: int, right: bool) -> str:
    filling = " " * (width - _width(text))
    return filling + text if right else text + filling
