"""What is to be known of csv files before their records are read: the declared dialect, and each file's header.

A file without a usable header cannot be read at all; the reasons for it are here.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from oreflow.contract import SourceFile, StepError, Unreadable, is_wildcard
from oreflow.semantics.csv_text import MalformedError, body, read_record

_RESERVED = ("_batch_id", "_source_file", "_source_row", "_ingested_at", "_raw", "_rules", "_reason")
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh91AY&SY": "bzip2",
    b"(\xb5/\xfd": "zstd",
    b"\xfd7zXZ": "xz",
}
_LONGEST = 1 << 20
_BEGINNING = 8


class UnreadableError(Exception):
    """A file cannot be read at all; the text is the reason."""


@dataclass(frozen=True)
class Header:
    """Column names (outer blanks stripped), the number of lines that they take, and the first bytes of the file."""

    columns: tuple[str, ...]
    lines: int
    begins: bytes = b""


@dataclass(frozen=True)
class CsvFile:
    """A file that can be read, by its path and its label, with its columns as the source names them."""

    path: str
    label: str
    header: Header


def delimiter_of(source: Mapping[str, Any]) -> str:
    """The delimiter of a source's csv files, by its declaration.

    Raises:
        StepError: its files are no csv, or of a kind that is not read.
    """
    kind = source.get("format", "csv")
    if kind != "csv":
        raise StepError(f"source files are read as csv, not as '{kind}'")
    encoding = str(source.get("encoding", "utf-8")).lower().replace("_", "-")
    if encoding not in ("utf-8", "utf8"):
        raise StepError(f"encoding '{encoding}' is not supported; convert the files to utf-8")
    delimiter = str(source.get("delimiter", ","))
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise StepError(f"delimiter {delimiter!r} must be one ASCII character, and no quote or line end")
    return delimiter


def read_headers(files: Iterable[SourceFile], delimiter: str) -> tuple[list[CsvFile], list[Unreadable]]:
    """The files that can be read, and those that cannot.

    Names that differ only in case are one column, spelled as where it came first.
    """
    readable, unreadable = [], []
    spelled: dict[str, str] = {}
    for file in files:
        try:
            header = read_header(file.path, delimiter)
        except UnreadableError as error:
            cause = error.__cause__
            unreadable.append(Unreadable(file.label, str(error), cause if isinstance(cause, OSError) else None))
        else:
            names = tuple(spelled.setdefault(name.lower(), name) for name in header.columns)
            readable.append(CsvFile(str(file.path), file.label, replace(header, columns=names)))
    return readable, unreadable


def read_header(path: Path, delimiter: str) -> Header:
    """Read and check the header of a file.

    Raises:
        UnreadableError: there is no usable header.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:  # the file system knows bytes, engines only text
        raise UnreadableError("its path is not UTF-8") from None
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe or a device would be waited for
            raise UnreadableError("it is no regular file")
        with path.open("rb") as file:
            return _parse(file, delimiter)
    except FileNotFoundError as error:
        raise UnreadableError("there is no such file") from error
    except IsADirectoryError as error:
        raise UnreadableError("it is a directory") from error
    except PermissionError as error:
        raise UnreadableError("permission denied") from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error


def _parse(file: BinaryIO, delimiter: str) -> Header:
    raw = file.readline(_LONGEST)
    return _in_one_line(raw, delimiter) or _header(raw, _rest(file), delimiter)


@lru_cache(maxsize=64)
def _in_one_line(raw: bytes, delimiter: str) -> Header | None:
    """The header, where it is sound and ends with its line; most of a thousand daily files begin with the same."""
    try:
        return _header(raw, iter(()), delimiter)
    except UnreadableError:
        return None  # perhaps it goes on in the next line


def _header(raw: bytes, rest: Iterator[str], delimiter: str) -> Header:
    if not raw:
        raise UnreadableError("it is empty")
    first = _decode(raw).removeprefix("\ufeff")
    if not body(first).strip():
        raise UnreadableError("its first line is blank, there is no header")
    try:
        record = read_record(first, lambda _: next(rest, None), delimiter)
    except MalformedError as error:
        raise UnreadableError(f"its header is malformed: {error}") from None
    columns = tuple((name or "").strip() for name in record.fields)
    _check(columns)
    return Header(columns, record.lines, raw[:_BEGINNING])


def _rest(file: BinaryIO) -> Iterator[str]:
    for raw in file:
        yield _decode(raw)


def _decode(raw: bytes) -> str:
    for magic, name in _COMPRESSED.items():
        if raw.startswith(magic):
            raise UnreadableError(f"it is compressed ({name})")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError("it is UTF-16, not UTF-8")
    if b"\0" in raw:
        raise UnreadableError("its header has NUL bytes, it is not text")
    if len(raw) >= _LONGEST and not raw.endswith(b"\n"):
        raise UnreadableError("its first line does not end within a megabyte")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(
            f"its header is not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}"
        ) from None


def _check(columns: tuple[str, ...]) -> None:
    for position, name in enumerate(columns, start=1):
        if not name:
            raise UnreadableError(f"its header has no name for column {position}")
        if "\r" in name:
            raise UnreadableError("its header has a lone carriage return; lines must end with LF or CR LF")
        if is_wildcard(name):
            raise UnreadableError(f"its header has the column '{name}', a name that stands for other columns")
        if name.lower() in _RESERVED:
            raise UnreadableError(f"its header has the column '{name}', a name that oreflow keeps for itself")
    repeated = [name for name, times in Counter(columns).items() if times > 1]
    if repeated:
        raise UnreadableError(f"its header names '{repeated[0]}' more than once")
    spelled: dict[str, str] = {}
    for name in columns:
        if (other := spelled.setdefault(name.lower(), name)) != name:
            raise UnreadableError(f"its header has '{other}' and '{name}', which no table tells apart")
