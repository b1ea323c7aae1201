"""Raw files as frames of text, every line of them accounted for.

Two ways of reading. A first pass over the lines finds the files in which each line is a whole record;
those are read lazily, all files of one header in one scan. All others are read record by record, so that
one damaged line costs its file some time and no other file anything. The first pass also counts
the lines, so that the account of a run does not rest on the frames that it checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from oreflow.contract import SourceFile, SourceScan, StepError, Unreadable
from oreflow_polars import careful
from oreflow_polars.csv_clean import count_records
from oreflow_polars.csv_header import Header, UnreadableError, read_header

# A header with a NUL byte is refused, so these names are never a source's own.
_PATH, _INDEX, _BEFORE = "\0path", "\0index", "\0before"


@dataclass(frozen=True)
class _File:
    path: str
    label: str
    header: Header


@dataclass(frozen=True)
class _Clean:
    """A file in which every line is a record, and how many records it has."""

    file: _File
    records: int


def scan(files: Sequence[SourceFile], source: Mapping[str, Any]) -> SourceScan:
    """Read raw files; the rows come in the order of the files."""
    delimiter = _delimiter(source)
    readable, unreadable = _headers(files, delimiter)
    frames: list[pl.LazyFrame] = []
    rejected: list[tuple[str | None, str, str, int | None]] = []
    rows_read = len(unreadable)
    for run in _runs(_sort(readable, delimiter)):
        if isinstance(run, _File):
            result = careful.read(Path(run.path), run.label, run.header, delimiter)
            frames += [block.lazy() for block in result.frames]
            rejected += result.rejected
            rows_read += result.rows_read
        else:
            frames.append(_fast(run, delimiter))
            rows_read += sum(clean.records for clean in run)
    rejected += [(None, f"cannot be read: {file.reason}", file.label, None) for file in unreadable]
    return SourceScan(
        rows=_united(frames, readable) if readable else None,
        rejected=nw.from_native(pl.LazyFrame(rejected, careful.REJECTED, orient="row")) if rejected else None,
        rows_read=rows_read,
        unreadable=tuple(unreadable),
    )


def _runs(files: Iterable[_Clean | _File]) -> list[list[_Clean] | _File]:
    """Clean files of one header that follow each other, and each dirty file by itself."""
    runs: list[list[_Clean] | _File] = []
    for file in files:
        last = runs[-1] if runs else None
        if isinstance(file, _File):
            runs.append(file)
        elif isinstance(last, list) and last[0].file.header.columns == file.file.header.columns:
            last.append(file)
        else:
            runs.append([file])
    return runs


def _delimiter(source: Mapping[str, Any]) -> str:
    kind = source.get("format", "csv")
    if kind != "csv":
        raise StepError(f"the polars engine reads csv files, not '{kind}'")
    encoding = str(source.get("encoding", "utf-8")).lower().replace("_", "-")
    if encoding not in ("utf-8", "utf8"):
        raise StepError(f"encoding '{encoding}' is not supported; convert the files to utf-8")
    delimiter = str(source.get("delimiter", ","))
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise StepError(f"delimiter {delimiter!r} must be one ASCII character, and no quote or line end")
    return delimiter


def _headers(files: Iterable[SourceFile], delimiter: str) -> tuple[list[_File], list[Unreadable]]:
    readable, unreadable = [], []
    spelled: dict[str, str] = {}
    for file in files:
        try:
            header = read_header(file.path, delimiter)
            # Names that differ only in case are one column, spelled as where it came first.
            names = tuple(spelled.setdefault(name.lower(), name) for name in header.columns)
            readable.append(_File(str(file.path), file.label, replace(header, columns=names)))
        except UnreadableError as error:
            unreadable.append(Unreadable(file.label, str(error)))
    return readable, unreadable


def _sort(files: Sequence[_File], delimiter: str) -> list[_Clean | _File]:
    """Tell the files that can be read as they are from those that need care; clean ones without records go."""
    plain = [file for file in files if file.header.lines == 1 and not file.header.misleading]
    first_seen = {file.path: file for file in reversed(plain)}
    by_width: dict[int, list[str]] = {}
    for path, file in first_seen.items():
        by_width.setdefault(len(file.header.columns), []).append(path)
    records: dict[str, int] = {}
    try:
        for width, paths in by_width.items():
            records |= count_records(paths, width, delimiter)
    except OSError as error:
        raise StepError(f"cannot read the source file {error.filename}: {error.strerror}") from error
    sorted_files: list[_Clean | _File] = []
    for file in files:
        if file is not first_seen.get(file.path) or file.path not in records:
            sorted_files.append(file)
        elif records[file.path]:
            sorted_files.append(_Clean(file, records[file.path]))
    return sorted_files


def _fast(group: Sequence[_Clean], delimiter: str) -> pl.LazyFrame:
    """Files of one header in one scan; a scan for each file and a concat would take time by the square of the files."""
    columns = group[0].file.header.columns
    before, places = 0, []
    for clean in group:
        places.append((clean.file.path, clean.file.label, before))
        before += clean.records
    labels = pl.LazyFrame(places, {_PATH: pl.String, "_source_file": pl.String, _BEFORE: pl.Int64}, orient="row")
    rows = pl.scan_csv(
        [clean.file.path for clean in group],
        has_header=False,
        skip_lines=1,
        schema=dict.fromkeys(columns, pl.String()),
        separator=delimiter,
        row_index_name=_INDEX,
        include_file_paths=_PATH,
        glob=False,
    )
    line = pl.col(_INDEX).cast(pl.Int64) - pl.col(_BEFORE) + 2  # the header is line 1
    return rows.join(labels, on=_PATH, how="left", maintain_order="left").select(
        *columns, "_source_file", line.alias("_source_row")
    )


def _united(frames: Sequence[pl.LazyFrame], files: Iterable[_File]) -> nw.LazyFrame[Any]:
    """All rows with all columns, in the order of the first header, then of the first file that has each."""
    columns = dict.fromkeys(name for file in files for name in file.header.columns)
    if not frames:  # nothing but headers
        frames = [pl.LazyFrame(schema={"_source_file": pl.String, "_source_row": pl.Int64})]
    frame = frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal")
    have = frame.collect_schema()
    missing = [pl.lit(None, pl.String).alias(name) for name in columns if name not in have]
    return nw.from_native(frame.with_columns(missing).select(*columns, "_source_file", "_source_row"))
