"""Reads csv files where Spark computes, with the meaning of `oreflow.semantics`.

This module is sent to the executors whole, so that they need only what Spark's Python workers have anyway. A task
reads some files, each block by block: its memory is bounded by a block.

It is a table function over Arrow batches: it needs no pandas, as `mapInArrow` does, and a data source in Python would
start three more interpreters before the first task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

from oreflow.semantics.csv_records import Block, read_blocks

COUNT = "lines"
REJECTED = f"_raw string, _reason string, _source_file string, _source_row bigint, {COUNT} bigint"
"""The lines that are no record; and for each file a row that has nothing but how many records and such lines it has."""
_NAMES = [column.split()[0] for column in REJECTED.split(", ")]

_SIZE = 16 << 20
"""Bytes of files that make one task."""
_OPENING = 1 << 18
"""Bytes that could be read in the time that it takes to open a file."""


@dataclass(frozen=True)
class Scan:
    """What is to be read: the records of files, as columns by their names, or the lines that are none.

    `files` are path, label, size and the place of their header in `headers`, each of which is its columns and the
    number of its lines.
    """

    delimiter: str
    headers: Sequence[tuple[Sequence[str], int]]
    files: Sequence[tuple[str, str, int, int]]
    columns: Sequence[str] | None = None

    def tasks(self) -> list[list[int]]:
        """The files of each task, by their places: neighbours together, so that a thousand small ones are few tasks."""
        tasks: list[list[int]] = []
        room = 0
        for place, (_, _, size, _) in enumerate(self.files):
            cost = size + _OPENING
            if not tasks or room < cost:
                tasks.append([])
                room = _SIZE
            tasks[-1].append(place)
            room -= cost
        return tasks


class _Reader:
    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def read(self, places: Iterable[int]) -> Iterator[pa.RecordBatch]:
        """The batches of some files."""
        for place in places:
            yield from self._read(*self._scan.files[place])

    def _read(self, path: str, label: str, _: int, header: int) -> Iterator[pa.RecordBatch]:
        columns, lines = self._scan.headers[header]
        try:
            with open(path, "rb") as file:  # noqa: PTH123  executors get it as text
                blocks = read_blocks(file, lines, len(columns), self._scan.delimiter)
                if self._scan.columns is None:
                    yield from _rejected(blocks, label)
                else:
                    for block in blocks:
                        if len(block.rows):
                            yield self._records(block, columns, self._scan.columns, label)
        except OSError as error:
            raise RuntimeError(f"cannot read the source file {path}: {error.strerror}") from None

    def _records(self, block: Block, columns: Sequence[str], wanted: Sequence[str], label: str) -> pa.RecordBatch:
        table = pc.read_csv(
            pa.BufferReader(block.text),
            pc.ReadOptions(column_names=list(columns), use_threads=False, block_size=len(block.text) + 1),
            pc.ParseOptions(delimiter=self._scan.delimiter, newlines_in_values=True, ignore_empty_lines=False),
            pc.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        count = len(block.rows)
        if len(table) != count:  # nothing may be lost unseen
            raise RuntimeError(f"{label}: {len(table)} records where {count} were counted")
        found: Mapping[str, Any] = {
            **{name: table.column(name).combine_chunks() for name in columns},
            "_source_file": pa.repeat(label, count),
            "_source_row": pa.array(block.rows, pa.int64()),
        }
        arrays = [found[name] if name in found else pa.nulls(count, pa.string()) for name in wanted]
        return pa.RecordBatch.from_arrays(arrays, list(wanted))


def _rejected(blocks: Iterator[Block], label: str) -> Iterator[pa.RecordBatch]:
    count = 0
    for block in blocks:
        lines = block.rejected
        count += len(block.rows) + len(lines)
        if lines:
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([line.raw for line in lines], pa.string()),
                    pa.array([line.reason for line in lines], pa.string()),
                    pa.repeat(label, len(lines)),
                    pa.array([line.row for line in lines], pa.int64()),
                    pa.nulls(len(lines), pa.int64()),
                ],
                _NAMES,
            )
    none = [pa.nulls(1, pa.string())] * 3 + [pa.nulls(1, pa.int64())]
    yield pa.RecordBatch.from_arrays([*none, pa.array([count], pa.int64())], _NAMES)


def reader(scan: Scan, tasks: Sequence[Sequence[int]]) -> type:
    """A table function that takes a table of the numbers of tasks, and gives what these read."""

    class Reads:
        def eval(self, numbers: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
            for number in numbers.column(0).to_pylist():
                yield from _Reader(scan).read(tasks[number])

    return Reads
