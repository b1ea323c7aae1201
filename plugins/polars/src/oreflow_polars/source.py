"""Raw files as frames of text, every line of them accounted for.

Two ways of reading. A first pass over the lines finds the files in which each line is a whole record;
those are read lazily, all files of one header in one scan. All others are read record by record, so that
one damaged line costs its file some time and no other file anything. The first pass also counts
the lines, so that the account of a run does not rest on the frames that it checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from oreflow.contract import SourceFile, SourceScan, StepError
from oreflow.semantics.csv_header import CsvFile, delimiter_of, read_headers
from oreflow.semantics.csv_records import Block, read_blocks
from oreflow_polars.csv_clean import count_records

# A header with a NUL byte is refused, so these names are never a source's own.
_PATH, _INDEX, _BEFORE = "\0path", "\0index", "\0before"
_REJECTED = {"_raw": pl.String, "_reason": pl.String, "_source_file": pl.String, "_source_row": pl.Int64}
_LIKE_COMPRESSED = (b"x^", b"x\x01")  # zlib, to Polars; what else begins a zlib stream is no UTF-8


@dataclass(frozen=True)
class _Clean:
    """A file in which every line is a record, and how many records it has."""

    file: CsvFile
    records: int


def scan(files: Sequence[SourceFile], source: Mapping[str, Any]) -> SourceScan:
    """Read raw files; the rows come in the order of the files."""
    delimiter = delimiter_of(source)
    readable, unreadable = read_headers(files, delimiter)
    frames: list[pl.LazyFrame] = []
    rejected: list[tuple[str | None, str, str, int | None]] = []
    rows_read = len(unreadable)
    for run in _runs(_sort(readable, delimiter)):
        if isinstance(run, CsvFile):
            for block in _blocks(run, delimiter):
                if block.rows:
                    frames.append(_frame(block, run, delimiter))
                rejected += [(line.raw, line.reason, run.label, line.row) for line in block.rejected]
                rows_read += len(block.rows) + len(block.rejected)
        else:
            frames.append(_fast(run, delimiter))
            rows_read += sum(clean.records for clean in run)
    rejected += [(None, f"cannot be read: {file.reason}", file.label, None) for file in unreadable]
    return SourceScan(
        rows=_united(frames, readable) if readable else None,
        rejected=nw.from_native(pl.LazyFrame(rejected, _REJECTED, orient="row")) if rejected else None,
        rows_read=rows_read,
        unreadable=tuple(unreadable),
    )


def _runs(files: Iterable[_Clean | CsvFile]) -> list[list[_Clean] | CsvFile]:
    """Clean files of one header that follow each other, and each dirty file by itself."""
    runs: list[list[_Clean] | CsvFile] = []
    for file in files:
        last = runs[-1] if runs else None
        if isinstance(file, CsvFile):
            runs.append(file)
        elif isinstance(last, list) and last[0].file.header.columns == file.file.header.columns:
            last.append(file)
        else:
            runs.append([file])
    return runs


def _blocks(file: CsvFile, delimiter: str) -> Iterator[Block]:
    with open(file.path, "rb") as opened:  # noqa: PTH123  as text it was given
        yield from read_blocks(opened, file.header.lines, len(file.header.columns), delimiter)


def _frame(block: Block, file: CsvFile, delimiter: str) -> pl.LazyFrame:
    frame = pl.read_csv(
        b"\n" + block.text,  # behind an empty line, since Polars takes text that begins like compressed data for such
        has_header=False,
        skip_lines=1,
        schema=dict.fromkeys(file.header.columns, pl.String()),
        separator=delimiter,
    )
    # A frame of another height than the rows counted cannot take the column: nothing is lost unseen.
    rows = pl.Series("_source_row", list(block.rows), dtype=pl.Int64)
    return frame.with_columns(pl.lit(file.label).alias("_source_file"), rows).lazy()


def _sort(files: Sequence[CsvFile], delimiter: str) -> list[_Clean | CsvFile]:
    """Tell the files that can be read as they are from those that need care; clean ones without records go."""
    plain = [file for file in files if file.header.lines == 1 and not file.header.begins.startswith(_LIKE_COMPRESSED)]
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
    sorted_files: list[_Clean | CsvFile] = []
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


def _united(frames: Sequence[pl.LazyFrame], files: Iterable[CsvFile]) -> nw.LazyFrame[Any]:
    """All rows with all columns, in the order of the first header, then of the first file that has each."""
    columns = dict.fromkeys(name for file in files for name in file.header.columns)
    if not frames:  # nothing but headers
        frames = [pl.LazyFrame(schema={"_source_file": pl.String, "_source_row": pl.Int64})]
    frame = frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal")
    have = frame.collect_schema()
    missing = [pl.lit(None, pl.String).alias(name) for name in columns if name not in have]
    return nw.from_native(frame.with_columns(missing).select(*columns, "_source_file", "_source_row"))
