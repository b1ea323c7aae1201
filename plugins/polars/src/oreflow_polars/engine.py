"""The engine as the contract wants it; each part of the work is in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from oreflow.contract import DataFile, DataType, Engine, Executed, SourceFile, SourceScan, Staging, Table
from oreflow_polars import cast, execute, sql
from oreflow_polars import source as sources
from oreflow_polars import table as tables_on_disk
from oreflow_polars.plugin import METADATA


class PolarsEngine(Engine):
    """Polars' lazy frames, run by its streaming engine."""

    metadata = METADATA

    def __init__(self, parallelism: int | None = None) -> None:
        if parallelism and parallelism != pl.thread_pool_size():
            there = f"this process had loaded Polars before, with {pl.thread_pool_size()} threads"
            self.remarks = (f"parallelism {parallelism} has no effect: {there}",)

    def scan_source(self, files: Sequence[SourceFile], source: Mapping[str, Any]) -> SourceScan:
        """Read raw files as text."""
        return sources.scan(files, source)

    def scan_table(
        self, table: Table, files: Sequence[DataFile] | None = None, *, file_column: str = ""
    ) -> nw.LazyFrame[Any]:
        """The rows of a table, or of some of its files."""
        return nw.from_native(tables_on_disk.scan(table, files, file_column))

    def cast_columns(
        self, frame: nw.LazyFrame[Any], casts: Mapping[str, tuple[str, DataType, str]]
    ) -> nw.LazyFrame[Any]:
        """Text columns as other types, NULL where the text is not one."""
        return nw.from_native(cast.columns(frame.to_native(), casts))

    def distinct(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> nw.LazyFrame[Any]:
        """The first of the rows that are equal in some columns; frames keep the order of the table.

        Cached, because what is made of it and the count of it need different columns, and Polars shares a
        subplan between results only where it is the same to the last column.
        """
        native: pl.LazyFrame = frame.to_native()
        return nw.from_native(native.unique(list(columns), keep="first", maintain_order=True).cache())

    def with_sql(self, frame: nw.LazyFrame[Any], expressions: Mapping[str, str]) -> nw.LazyFrame[Any]:
        """Add columns that are scalar SQL expressions over the others."""
        return nw.from_native(sql.with_columns(frame.to_native(), expressions))

    def aggregate(
        self, frame: nw.LazyFrame[Any], keys: Mapping[str, str], measures: Mapping[str, str]
    ) -> nw.LazyFrame[Any]:
        """Group by SQL expressions and compute SQL aggregates."""
        return nw.from_native(sql.aggregate(frame.to_native(), keys, measures))

    def sql(self, query: str, tables: Mapping[str, nw.LazyFrame[Any]]) -> nw.LazyFrame[Any]:
        """The result of a SELECT over frames."""
        return nw.from_native(sql.query(query, {name: frame.to_native() for name, frame in tables.items()}))

    def execute(
        self,
        staging: Mapping[str, Staging],
        collect: Mapping[str, nw.LazyFrame[Any]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Executed:
        """Write and collect several frames in one pass; how far it is, Polars does not say."""
        return execute.run(staging, {name: frame.to_native() for name, frame in (collect or {}).items()})
