"""A table's Parquet files as one frame, whatever columns each of them was written with."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that it has in all of Spark's own pages

from oreflow.contract import DataFile, DataType, Table
from oreflow_spark.dtypes import column, refuse_odd, schema_of, to_spark
from oreflow_spark.errors import told

_PATTERN = re.compile(r"[{}\[\]*?\\,]")


def scan(spark: SparkSession, table: Table, files: Sequence[DataFile] | None, file_column: str) -> DataFrame:
    """The rows of `files` (all of the table's, where None) with the table's columns, NULL where a file is older."""
    refuse_odd(table.columns)
    chosen = table.files if files is None else files
    if not chosen:
        columns = table.columns | ({file_column: DataType("string")} if file_column else {})
        return spark.range(0).select(*[F.lit(None).cast(to_spark(kind)).alias(name) for name, kind in columns.items()])
    folder = os.path.abspath(table.path)  # noqa: PTH100  without following links, as Spark does not
    paths = [f"file:{_PATTERN.sub(_escaped, f'{folder}/{file.path}')}" for file in chosen]
    # Below `basePath` a folder called `year=2021` would be a column; a file has itself as its base.
    reader = spark.read.schema(schema_of(table.columns)).option("recursiveFileLookup", value=True)
    with told("cannot read the table"):
        frame = reader.parquet(*paths)
        _ = frame.schema  # a Connect server looks for the files only when it is asked
    if not file_column:
        return frame
    return frame.select(*[column(name) for name in table.columns], _path(folder).alias(file_column))


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}"


def _path(folder: str) -> Column:
    """The path of a row's file below the folder; Spark gives it as an address, in which a plus is a plus."""
    address = F.col("_metadata.file_path")
    path = F.url_decode(F.replace(address, F.lit("+"), F.lit("%2B")))
    return F.substr(path, F.instr(path, f"{folder}/") + F.lit(len(folder) + 1))
