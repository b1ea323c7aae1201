"""A table's Parquet files as one lazy frame, whatever columns each of them was written with."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from oreflow.contract import DataFile, Table
from oreflow_polars.dtypes import to_polars


def scan(table: Table, files: Sequence[DataFile] | None, file_column: str) -> pl.LazyFrame:
    """The rows of `files` (all of the table's, where None) with the table's columns, NULL where a file is older."""
    schema = {name: to_polars(kind) for name, kind in table.columns.items()}
    chosen = table.files if files is None else files
    if not chosen:
        return pl.LazyFrame(schema=schema | ({file_column: pl.String()} if file_column else {}))
    folder = f"{table.path}/"
    frame = pl.scan_parquet(
        [f"{folder}{file.path}" for file in chosen],
        schema=schema,
        missing_columns="insert",
        include_file_paths=file_column or None,
        glob=False,
        hive_partitioning=False,
    )
    if file_column:
        frame = frame.with_columns(pl.col(file_column).str.strip_prefix(folder))
    return frame
