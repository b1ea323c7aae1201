"""Raw files as frames of text, every line of them accounted for.

The driver reads headers and nothing else; records are read where Spark computes. A pass of its own finds the lines that
are no record and counts the others: so the account of a run does not rest on the frame of records that it checks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any
from uuid import uuid4

import narwhals as nw
from pyspark import cloudpickle
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that it has in all of Spark's own pages
from pyspark.sql import types as t

import oreflow.semantics
import oreflow_spark.reader
from oreflow.contract import SourceFile, SourceScan, StepError, Unreadable
from oreflow.semantics.csv_header import CsvFile, delimiter_of, read_headers
from oreflow_spark.dtypes import refuse_odd
from oreflow_spark.reader import COUNT, REJECTED, Scan, reader

# Sent by value: executors need no oreflow, and cannot have another version of it.
for _module in (oreflow.semantics, oreflow_spark.reader):
    cloudpickle.register_pickle_by_value(_module)  # type: ignore[no-untyped-call]


def scan(
    spark: SparkSession,
    files: Sequence[SourceFile],
    source: Mapping[str, Any],
    share: Callable[[DataFrame], DataFrame],
) -> SourceScan:
    """Read raw files; `share` keeps the rows of a frame that several results are made of."""
    delimiter = delimiter_of(source)
    readable, unreadable = read_headers(files, delimiter)
    refuse_odd(name for file in readable for name in file.header.columns)
    aside = [_set_aside_whole(spark, unreadable)] if unreadable else []
    if not readable:
        return SourceScan(None, nw.from_native(aside[0]) if aside else None, len(unreadable), tuple(unreadable))
    found = share(_load(spark, _scan(readable, delimiter), REJECTED))
    rejected = reduce(DataFrame.union, aside, found.filter(F.col(COUNT).isNull()).drop(COUNT))
    count = F.coalesce(F.sum(COUNT), F.lit(0)) + F.lit(len(unreadable))
    return SourceScan(
        rows=nw.from_native(_records(spark, readable, delimiter)),
        rejected=nw.from_native(rejected),
        rows_read=nw.from_native(found.agg(count.alias(COUNT))),
        unreadable=tuple(unreadable),
    )


def _records(spark: SparkSession, files: Sequence[CsvFile], delimiter: str) -> DataFrame:
    columns = dict.fromkeys(name for file in files for name in file.header.columns)
    fields = [t.StructField(name, t.StringType()) for name in (*columns, "_source_file")]
    schema = t.StructType([*fields, t.StructField("_source_row", t.LongType())])
    return _load(spark, _scan(files, delimiter, schema.names), schema)


def _set_aside_whole(spark: SparkSession, unreadable: Sequence[Unreadable]) -> DataFrame:
    """A row for each file that cannot be read at all, said in the plan.

    `createDataFrame` would change what the user's process takes for the active session.
    """
    none = {name: F.lit(None).cast(kind).alias(name) for name, kind in (("_raw", "string"), ("_source_row", "bigint"))}
    told = [
        F.struct(
            none["_raw"],
            F.lit(f"cannot be read: {file.reason}").alias("_reason"),
            F.lit(file.label).alias("_source_file"),
            none["_source_row"],
        )
        for file in unreadable
    ]
    return spark.range(1).select(F.inline(F.array(*told)))


def _scan(files: Sequence[CsvFile], delimiter: str, columns: Sequence[str] | None = None) -> Scan:
    headers = {(file.header.columns, file.header.lines): 0 for file in files}
    headers = {header: place for place, header in enumerate(headers)}
    listed = [
        (
            os.path.abspath(file.path),  # noqa: PTH100  as text it was given
            file.label,
            _size(file.path),
            headers[file.header.columns, file.header.lines],
        )
        for file in files
    ]
    return Scan(delimiter, list(headers), listed, columns)


def _load(spark: SparkSession, scan: Scan, schema: str | t.StructType) -> DataFrame:
    """What a scan reads; a partition for each of its tasks."""
    tasks = scan.tasks()
    # By SQL, since a table function that is called from Python works in the session that is active, whichever that is.
    name = f"oreflow_read_{uuid4().hex}"
    read: Any = F.arrow_udtf(reader(scan, tasks), returnType=schema)
    spark.udtf.register(name, read)
    return spark.sql(f"select * from {name}(table(select * from range(0, {len(tasks)}, 1, {len(tasks)})))")  # noqa: S608  our own words


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116  as text it was given
    except OSError as error:
        raise StepError(f"cannot read the source file {path}: {error.strerror}") from error
