"""What a csv record is: the one reading of its text that the fast and the careful ways of reading share.

A field is quoted when its first character is a quote; inside, a quote is written twice. A quote anywhere
else in an unquoted field is a character like any other. An unquoted field without characters is NULL, a
quoted one is ''. Lines end with LF or CR LF; a CR anywhere else belongs to its field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Fields = list[str | None]

_QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
_CLOSING = re.compile(r'[^"]*+(?:""[^"]*+)*+"')
LOOK_AHEAD = 1000
"""How many lines a quoted field may go on for; a quote that is open for longer was never meant to open one."""


class MalformedError(ValueError):
    """A line is no record; the text says why. `doubtful` lines after it may be what was left of it."""

    def __init__(self, reason: str, doubtful: int = 0) -> None:
        super().__init__(reason)
        self.doubtful = doubtful


@dataclass(frozen=True)
class Record:
    """A record with the number of lines that it takes."""

    fields: Fields
    lines: int
    text: str
    stray_quote: bool


def body(line: str) -> str:
    """A line without its end."""
    line = line.removesuffix("\n")
    return line.removesuffix("\r")


def read_record(first: str, line_after: Callable[[int], str | None], delimiter: str) -> Record:
    """Read the record that starts with line `first`; `line_after(1)` is the next line, None where there is none.

    Raises:
        MalformedError: there is no record here.
    """
    lines, position, text = [first], 0, body(first)
    fields: Fields = []
    stray = False
    while True:
        if text.startswith('"', position):
            quoted = _QUOTED.match(text, position)
            if quoted is None:
                _extend(lines, line_after)
                text = body("".join(lines))
                continue
            fields.append(quoted[1].replace('""', '"'))
            end = quoted.end()
            if end < len(text) and text[end] != delimiter:
                raise MalformedError("text after a closing quote", len(lines) - 1)
        else:
            end = text.find(delimiter, position)
            end = len(text) if end < 0 else end
            value = text[position:end]
            fields.append(value or None)
            stray = stray or '"' in value
        if end >= len(text):
            return Record(fields, len(lines), text, stray)
        position = end + 1


def _extend(lines: list[str], line_after: Callable[[int], str | None]) -> None:
    """Add the lines up to the one that closes the quote."""
    start = len(lines)
    while len(lines) <= LOOK_AHEAD:
        line = line_after(len(lines))
        if line is None:
            break
        lines.append(line)
        if _CLOSING.match(body(line)):
            return
    raise MalformedError("quote never closed", start - 1)


def whole_records(fields: int | None, delimiter: str, *, possessive: bool = False) -> str:
    """The regular expression, without anchors, of a text of which each line is one record with so many fields.

    None stands for any number of them, from two on. It leaves out what is rare and needs care: a CR or NUL inside, a
    blank line where there is one field, and a byte order mark at the start of a line, which readers take off where
    it belongs to the value. `possessive` is for engines of expressions that would go back otherwise.
    """
    many, once = ("*+", "?+") if possessive else ("*", "?")
    outside = re.escape(delimiter)
    plain, inside = rf'[^"\r\n\x00{outside}]', rf'[^"\r\n\x00]{many}'
    quoted = rf'"{inside}(?:""{inside}){many}"'
    first = rf'[^"\r\n\x00\ufeff{outside}]{plain}{many}'
    if fields == 1:
        record = rf"(?:{first}|{quoted})"
    else:
        times = many if fields is None else f"{{{fields - 1}}}"
        record = rf"(?:{quoted}|(?:{first}){once})(?:{outside}(?:{quoted}|{plain}{many})){times}"
    return rf"(?:{record}\r{once}\n){many}(?:{record}){once}"
