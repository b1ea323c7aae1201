"""The first pass over csv files: which of them are nothing but whole records, one to a line, and how many.

One regular expression for a whole block of lines, because one for each line takes three times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import polars as pl
import polars.exceptions as px

from oreflow.semantics.csv_text import whole_records

_BLOCK = 1 << 22
"""Bytes: large beside the work of compiling an expression, small beside the memory of any machine."""
_LONGEST = 1 << 20
"""Bytes of a line; in a file with a longer one the reader has to look closer."""
_WIDE = 400
"""Fields of a line; an expression that counts more of them takes ten times as long, and more than 2,044 none can."""


@dataclass
class _Batch:
    """Blocks of lines that are looked at together."""

    paths: list[str] = field(default_factory=list)
    blocks: list[bytes | None] = field(default_factory=list)
    size: int = 0

    def add(self, path: str, block: bytes) -> None:
        self.paths.append(path)
        self.blocks.append(block)
        self.size += len(block)

    def plan(self, fields: int, delimiter: str) -> pl.LazyFrame:
        """For each block whether it is clean, and its line ends; NULL where there is no text."""
        text = pl.col("block").cast(pl.String)
        records = whole_records(fields if fields <= _WIDE else None, delimiter)
        clean = text.str.contains(rf"\A{records}\z")
        if fields > _WIDE:
            clean &= _all_of_width(text, fields, delimiter)
        return pl.LazyFrame({"block": self.blocks}, {"block": pl.Binary}).select(
            clean.alias("clean"), text.str.count_matches(r"\n").alias("ends")
        )


def count_records(paths: Iterable[str], fields: int, delimiter: str) -> dict[str, int]:
    """The number of records after the first line, for each file in which all lines after it are records.

    Raises:
        OSError: a file cannot be read.
    """
    records: dict[str, int] = {}
    unclean: set[str] = set()
    for batches in _rounds(paths, records, unclean):
        for batch, found in zip(batches, _look(batches, fields, delimiter), strict=True):
            for path, (clean, ends) in zip(batch.paths, found.iter_rows(), strict=True):
                if clean:
                    records[path] += ends
                else:
                    unclean.add(path)
    return {path: count for path, count in records.items() if path not in unclean}


def _look(batches: list[_Batch], fields: int, delimiter: str) -> list[pl.DataFrame]:
    try:
        return pl.collect_all([batch.plan(fields, delimiter) for batch in batches])
    except px.ComputeError:  # bytes that are not UTF-8; Polars does not say where
        for batch in batches:
            batch.blocks = [block if block and _is_text(block) else None for block in batch.blocks]
        return pl.collect_all([batch.plan(fields, delimiter) for batch in batches])


def _is_text(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _rounds(paths: Iterable[str], records: dict[str, int], unclean: set[str]) -> Iterator[list[_Batch]]:
    """As many batches at a time as there are threads to look at them."""
    batches = [_Batch()]
    for path in paths:
        records[path] = 0
        ended = True
        for block in _blocks(path):
            if not ended:
                unclean.add(path)
                break
            ended = block.endswith(b"\n")
            records[path] += not ended  # the last record of a file may do without
            if batches[-1].size >= _BLOCK:
                if len(batches) == pl.thread_pool_size():
                    yield batches
                    batches = []
                batches.append(_Batch())
            batches[-1].add(path, block)
    yield batches


def _blocks(path: str) -> Iterator[bytes]:
    """The lines after the first, many at a time; within a line ends a block only at the end, or in an endless line."""
    with open(path, "rb") as file:  # noqa: PTH123  a path object for each of a thousand files takes longer
        file.readline()
        while block := file.read(_BLOCK):
            yield block if block.endswith(b"\n") else block + file.readline(_LONGEST)


def _all_of_width(text: pl.Expr, fields: int, delimiter: str) -> pl.Expr:
    """Whether all lines of a text of records have so many fields; it may have a quote only where one belongs."""
    outside_quotes = text.str.replace_all('"[^"]*"', "")
    lines = outside_quotes.str.strip_suffix("\n").str.split("\n")
    return lines.list.eval(pl.element().str.count_matches(delimiter, literal=True) == fields - 1).list.all()
