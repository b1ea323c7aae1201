"""Reading a csv file record by record: slower, but no damaged line stops it or hides behind its neighbours."""

from __future__ import annotations

import codecs
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import polars as pl

from oreflow_polars.csv_header import Header
from oreflow_polars.csv_text import Fields, MalformedError, Record, body, read_record

_BLOCK = 20_000
REJECTED = {"_raw": pl.String, "_reason": pl.String, "_source_file": pl.String, "_source_row": pl.Int64}


@dataclass
class Careful:
    """What is in a file: frames of records, rejected lines, and how many there are of both."""

    frames: list[pl.DataFrame] = field(default_factory=list)
    rejected: list[tuple[str, str, str, int]] = field(default_factory=list)
    rows_read: int = 0


def read(path: Path, label: str, header: Header, delimiter: str) -> Careful:
    """Read a file whose header is known."""
    with path.open("rb") as file:
        return _Reader(_Lines(file), label, header, delimiter).run()


class _Lines:
    """The lines of a file, with a view of those to come."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead: deque[bytes] = deque()
        self.number = 0

    def take(self) -> bytes | None:
        line = self._ahead.popleft() if self._ahead else self._file.readline()
        self.number += 1
        return line or None

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
    """Goes through a file; what it finds to be a record is handed to Polars as clean csv text, a block at a time."""

    def __init__(self, lines: _Lines, label: str, header: Header, delimiter: str) -> None:
        self._lines, self._label, self._header, self._delimiter = lines, label, header, delimiter
        self._width = len(header.columns)
        self._separator = delimiter.encode()
        self._records: list[bytes] = []
        self._rows: list[int] = []
        self._doubtful = 0
        self._result = Careful()

    def run(self) -> Careful:
        for _ in range(self._header.lines):
            self._lines.take()
        while (raw := self._lines.take()) is not None:
            self._line(raw, self._lines.number)
            if len(self._records) >= _BLOCK:
                self._flush()
        self._flush()
        return self._result

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
            self._reject(_shown(raw), str(error), number)
            return
        self._judge(record, number)

    def _is_plain(self, line: bytes) -> bool:
        """Whether a line is a record without any look at its fields, as nearly all lines are."""
        if b'"' in line or line.count(self._separator) != self._width - 1 or b"\0" in line or b"\r" in line:
            return False
        if line.startswith(codecs.BOM_UTF8):
            return False  # it is part of the value here, and would be lost at the start of a block
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

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
            self._reject(record.text, reason, number)
        else:
            self._accept(_written(record.fields, self._delimiter), number)

    def _accept(self, record: bytes, number: int) -> None:
        self._records.append(record)
        self._rows.append(number)
        self._result.rows_read += 1

    def _reject(self, raw: str, reason: str, number: int) -> None:
        self._result.rejected.append((raw, reason, self._label, number))
        self._result.rows_read += 1

    def _flush(self) -> None:
        if not self._records:
            return
        frame = pl.read_csv(
            # Behind an empty line, since Polars takes text that begins like compressed data for such.
            b"\n".join([b"", *self._records, b""]),
            has_header=False,
            skip_lines=1,
            schema=dict.fromkeys(self._header.columns, pl.String()),
            separator=self._delimiter,
        )
        # A frame of another height than the rows counted cannot take the column: nothing is lost unseen.
        self._result.frames.append(
            frame.with_columns(
                pl.lit(self._label).alias("_source_file"), pl.Series("_source_row", self._rows, dtype=pl.Int64)
            )
        )
        self._records, self._rows = [], []


def _written(fields: Fields, delimiter: str) -> bytes:
    """The fields of a record in the one way that leaves no doubt."""
    return delimiter.join("" if value is None else '"' + value.replace('"', '""') + '"' for value in fields).encode()
