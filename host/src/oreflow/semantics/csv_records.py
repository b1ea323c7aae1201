"""The records of a csv file, block by block: no damaged line stops the reading or hides behind its neighbours.

A block of lines of which each is a whole record is found by one regular expression and given as it is. In any other
the records are read one by one, and given as csv text that leaves no doubt: what is quoted needs it, what is empty
and unquoted is NULL. So an engine's own reader of csv can take both, and memory is bounded by the block.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from oreflow.semantics.csv_text import Fields, MalformedError, Record, body, read_record, whole_records

_SIZE = 1 << 20
"""Bytes of a block: so many that its fixed costs do not count, so few that one damaged line makes little work."""


@dataclass(frozen=True)
class Rejected:
    """A line that is no record: its text, the reason, and its number."""

    raw: str
    reason: str
    row: int


@dataclass(frozen=True)
class Block:
    """Records as csv text without a header, the number of the line on which each began, and the lines that are none.

    Where the source has one column, a blank line of the text is a record with NULL.
    """

    text: bytes
    rows: Sequence[int]
    rejected: Sequence[Rejected]


def read_blocks(file: BinaryIO, header_lines: int, width: int, delimiter: str) -> Iterator[Block]:
    """Go through a file, which stands at its start and whose header takes so many lines and names `width` columns."""
    lines = _Lines(file)
    for _ in range(header_lines):
        lines.take()
    reader = _Reader(lines, width, delimiter)
    clean = re.compile(whole_records(width, delimiter, possessive=True))  # compiled once: `re` keeps it
    while block := lines.block():
        text = _text(block)
        if text is not None and clean.fullmatch(text):
            first = lines.number + 1
            lines.skip(block.count(b"\n") + (not block.endswith(b"\n")))
            yield Block(block, range(first, lines.number + 1), ())
        else:
            yield reader.read(block)


def _text(block: bytes) -> str | None:
    try:
        return block.decode()
    except UnicodeDecodeError:
        return None


class _Lines:
    """The lines of a file, with a view of those to come."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead: deque[bytes] = deque()
        self.number = 0

    def take(self) -> bytes | None:
        """The next line; None at the end."""
        line = self._ahead.popleft() if self._ahead else self._file.readline()
        self.number += 1
        return line or None

    def block(self) -> bytes:
        """The lines to come, whole, and many of them; none is taken."""
        block = b"".join(self._ahead) or self._file.read(_SIZE)
        if not block.endswith(b"\n"):
            block += self._file.readline()
        self._ahead = deque([block] if block else ())
        return block

    def skip(self, lines: int) -> None:
        """Be at the end of the block that was seen, which has so many lines."""
        self._ahead.clear()
        self.number += lines

    def open_block(self) -> None:
        """Make the block that was seen ready to be taken line by line."""
        *whole, last = self._ahead.pop().split(b"\n")
        self._ahead.extend(line + b"\n" for line in whole)
        if last:
            self._ahead.append(last)

    def text_ahead(self, distance: int) -> str | None:
        """The line `distance` after the one taken last; None past the end and where it is no text."""
        while len(self._ahead) < distance:
            line = self._file.readline()
            if not line:
                return None
            self._ahead.append(line)
        try:
            return _decode(self._ahead[distance - 1])
        except MalformedError:
            return None


def _decode(raw: bytes) -> str:
    if b"\0" in raw:
        raise MalformedError(f"NUL byte at position {raw.index(0) + 1} of the line")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
        raise MalformedError(f"not UTF-8: byte 0x{raw[at]:02x} at position {at + 1} of the line") from None


def _shown(raw: bytes) -> str:
    return body(raw.decode("utf-8", "backslashreplace")).replace("\0", "\\x00")


class _Reader:
    """Reads a block record by record; what may have been left of a broken record is known from block to block."""

    def __init__(self, lines: _Lines, width: int, delimiter: str) -> None:
        self._lines, self._width, self._delimiter = lines, width, delimiter
        self._separator = delimiter.encode()
        self._doubtful = 0
        self._records: list[bytes] = []
        self._rows: list[int] = []
        self._rejected: list[Rejected] = []

    def read(self, block: bytes) -> Block:
        """The records that begin in the block that was seen last."""
        self._records, self._rows, self._rejected = [], [], []
        self._lines.open_block()
        end = self._lines.number + block.count(b"\n") + (not block.endswith(b"\n"))
        while self._lines.number < end and (raw := self._lines.take()) is not None:
            self._line(raw, self._lines.number)
        return Block(b"\n".join([*self._records, b""]), self._rows, self._rejected)

    def _line(self, raw: bytes, number: int) -> None:
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if not line and self._width > 1:
            return  # a blank line separates; only where there is one column is it a value, and that NULL
        if self._is_plain(line):
            self._accept(line, number)
            return
        try:
            record = self._record(raw, number)
        except MalformedError as error:
            self._doubtful = max(self._doubtful, number + error.doubtful)
            self._rejected.append(Rejected(_shown(raw), str(error), number))
            return
        self._judge(record, number)

    def _is_plain(self, line: bytes) -> bool:
        """Whether a line is a record without any look at its fields, as nearly all lines are."""
        if b'"' in line or line.count(self._separator) != self._width - 1 or b"\0" in line or b"\r" in line:
            return False
        if line.startswith(codecs.BOM_UTF8):
            return False  # it is part of the value here, and would be lost at the start of a block
        return _text(line) is not None

    def _record(self, raw: bytes, number: int) -> Record:
        record = read_record(_decode(raw), self._lines.text_ahead, self._delimiter)
        if record.stray_quote and number <= self._doubtful:
            raise MalformedError("stray quote after a line whose quote was not closed properly")
        return record

    def _judge(self, record: Record, number: int) -> None:
        for _ in range(record.lines - 1):
            self._lines.take()
        if len(record.fields) != self._width:
            plural = "" if len(record.fields) == 1 else "s"
            reason = f"{len(record.fields)} field{plural} where the header has {self._width}"
            self._rejected.append(Rejected(record.text, reason, number))
        else:
            self._accept(_written(record.fields, self._delimiter), number)

    def _accept(self, record: bytes, number: int) -> None:
        self._records.append(record)
        self._rows.append(number)


def _written(fields: Fields, delimiter: str) -> bytes:
    """The fields of a record in the one way that leaves no doubt."""
    return delimiter.join("" if value is None else '"' + value.replace('"', '""') + '"' for value in fields).encode()
