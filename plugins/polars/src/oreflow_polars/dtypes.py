"""The contract's column types and Polars' own, one to the other.

A frame that is about to be staged may have types that no table format keeps (unsigned and tiny
integers from counting, categories, other time units). Each has exactly one type of the contract that
holds all its values; for those that have none, the error says what to write instead.
"""

from __future__ import annotations

import polars as pl

from oreflow.contract import DataType, StepError

_SIMPLE: dict[str, pl.DataType] = {
    "string": pl.String(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us"),
    "timestamp_utc": pl.Datetime("us", "UTC"),
    "binary": pl.Binary(),
}

_CANONICAL: dict[type[pl.DataType], str] = {
    pl.String: "string",
    pl.Categorical: "string",
    pl.Enum: "string",
    pl.Null: "string",
    pl.Int8: "int32",
    pl.Int16: "int32",
    pl.Int32: "int32",
    pl.UInt8: "int32",
    pl.UInt16: "int32",
    pl.Int64: "int64",
    pl.UInt32: "int64",
    pl.UInt64: "int64",
    pl.Int128: "decimal(38,0)",
    pl.UInt128: "decimal(38,0)",
    pl.Float16: "float32",
    pl.Float32: "float32",
    pl.Float64: "float64",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Binary: "binary",
}

_MEND: dict[type[pl.DataType], str] = {
    pl.Time: "keep it as text, or join it with a date to a timestamp",
    pl.Duration: "keep it as a number of seconds (dt.total_seconds)",
    pl.Struct: "select its fields as columns of their own",
    pl.Object: "convert it to text or numbers first",
}


def to_polars(kind: DataType) -> pl.DataType:
    """The Polars type that holds a contract type."""
    if kind.name == "decimal":
        return pl.Decimal(kind.precision, kind.scale)
    if kind.name == "array":
        return pl.List(to_polars(DataType.parse(kind.element)))
    return _SIMPLE[kind.name]


def from_polars(kind: pl.DataType, column: str) -> DataType:
    """The contract type that holds all values of a Polars type.

    Raises:
        StepError: there is none; names the column and a mend.
    """
    if isinstance(kind, pl.Decimal):
        return DataType("decimal", kind.precision or 38, kind.scale)
    if isinstance(kind, pl.Datetime):
        return DataType("timestamp_utc" if kind.time_zone else "timestamp")
    if isinstance(kind, (pl.List, pl.Array)):
        inner = kind.inner
        element = inner if isinstance(inner, pl.DataType) else inner()
        return DataType("array", element=str(from_polars(element, column)))
    if name := _CANONICAL.get(type(kind)):
        return DataType.parse(name)
    mend = _MEND.get(type(kind), "convert it to a type of the list in the reference")
    raise StepError(f"column '{column}' is of type {type(kind).__name__.lower()}, which no table keeps; {mend}")


def canonical(name: str, kind: pl.DataType) -> tuple[DataType, pl.Expr]:
    """The contract type of a column, and the expression that makes the column be of it."""
    to = from_polars(kind, name)
    target = to_polars(to)
    column = pl.col(name)
    if kind == target:
        return to, column
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        return to, column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    return to, column.cast(target)
