"""The engine as the contract wants it; each part of the work is in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import narwhals as nw
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  the name that it has in all of Spark's own pages
from pyspark.storagelevel import StorageLevel

from oreflow.contract import (
    LINEAGE,
    DataFile,
    DataType,
    Engine,
    Executed,
    SourceFile,
    SourceScan,
    Staging,
    StepError,
    Table,
)
from oreflow_spark import cast, execute, sql
from oreflow_spark import session as sessions
from oreflow_spark import source as sources
from oreflow_spark import table as tables_on_disk
from oreflow_spark.dtypes import column
from oreflow_spark.plugin import METADATA
from oreflow_spark.remote import has_ended

_POSITION = "_oreflow_distinct"


class SparkEngine(Engine):
    """Spark's frames, on one machine or a cluster; the session is there from the first frame on."""

    metadata = METADATA

    def __init__(self, options: Mapping[str, Any], parallelism: int | None = None) -> None:
        self._options = options
        self._parallelism = parallelism
        self._shared: list[DataFrame] = []
        self._session: SparkSession | None = None

    @property
    def _spark(self) -> SparkSession:
        if self._session is None or has_ended(self._session):
            self._session, self.remarks = sessions.session(self._options, self._parallelism)
        return self._session

    def scan_source(self, files: Sequence[SourceFile], source: Mapping[str, Any]) -> SourceScan:
        """Read raw files as text."""
        scan = sources.scan(self._spark, files, source, lambda frame: self._kept(self._bounded(frame)))
        return replace(scan, rows=None if scan.rows is None else nw.from_native(self._bounded(scan.rows.to_native())))

    def scan_table(
        self, table: Table, files: Sequence[DataFile] | None = None, *, file_column: str = ""
    ) -> nw.LazyFrame[Any]:
        """The rows of a table, or of some of its files."""
        return nw.from_native(self._bounded(tables_on_disk.scan(self._spark, table, files, file_column)))

    def _bounded(self, frame: DataFrame) -> DataFrame:
        """The frame in no more parts than tasks may work at the same time."""
        return frame.coalesce(self._parallelism) if self._parallelism else frame

    def cast_columns(
        self, frame: nw.LazyFrame[Any], casts: Mapping[str, tuple[str, DataType, str]]
    ) -> nw.LazyFrame[Any]:
        """Text columns as other types, NULL where the text is not one."""
        return nw.from_native(cast.columns(frame.to_native(), casts))

    def distinct(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> nw.LazyFrame[Any]:
        """The first of the rows that are equal in some columns, in the order of a table's rows."""
        native: DataFrame = frame.to_native()
        order = [name for name in LINEAGE if name in native.columns] or list(columns)
        first = Window.partitionBy(*map(column, columns)).orderBy(*[column(name).asc_nulls_first() for name in order])
        ranked = native.withColumn(_POSITION, F.row_number().over(first))
        return nw.from_native(ranked.filter(F.col(_POSITION) == 1).drop(_POSITION))

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
        return nw.from_native(
            sql.query(self._spark, query, {name: frame.to_native() for name, frame in tables.items()})
        )

    def share(self, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """Keep the rows of a frame, in memory and what does not fit there on disk, until `release`."""
        return nw.from_native(self._kept(frame.to_native()))

    def _kept(self, frame: DataFrame) -> DataFrame:
        self._shared.append(frame.persist(StorageLevel.MEMORY_AND_DISK))
        return self._shared[-1]

    def release(self) -> None:
        """Let go of what `share` keeps."""
        while self._shared:
            with suppress(PySparkException, Py4JError, StepError):  # a Spark that is gone keeps nothing
                self._shared.pop().unpersist()

    def execute(
        self,
        staging: Mapping[str, Staging],
        collect: Mapping[str, nw.LazyFrame[Any]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Executed:
        """Write and collect several frames."""
        frames = {name: frame.to_native() for name, frame in (collect or {}).items()}
        return execute.run(self._spark, staging, frames, progress)
