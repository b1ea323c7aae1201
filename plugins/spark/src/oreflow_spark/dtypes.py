"""The contract's column types and Spark's own, one to the other.

A frame that is about to be staged may have types that no table format keeps (tiny integers, intervals). Each has
exactly one type of the contract that holds all its values; for those that have none, the error says what to
write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812  the name that it has in all of Spark's own pages
from pyspark.sql import types as t

from oreflow.contract import Columns, DataType, StepError

_SIMPLE: Mapping[str, t.DataType] = {
    "string": t.StringType(),
    "int32": t.IntegerType(),
    "int64": t.LongType(),
    "float32": t.FloatType(),
    "float64": t.DoubleType(),
    "boolean": t.BooleanType(),
    "date": t.DateType(),
    "timestamp": t.TimestampNTZType(),
    "timestamp_utc": t.TimestampType(),
    "binary": t.BinaryType(),
}

_CANONICAL: Mapping[type[t.DataType], str] = {type(kind): name for name, kind in _SIMPLE.items()} | {
    t.CharType: "string",
    t.VarcharType: "string",
    t.NullType: "string",
    t.ByteType: "int32",
    t.ShortType: "int32",
}

_MEND: Mapping[type[t.DataType], str] = {
    t.DayTimeIntervalType: "keep it as a number of seconds",
    t.YearMonthIntervalType: "keep it as a number of months",
    t.StructType: "select its fields as columns of their own",
    t.MapType: "select its values as columns of their own",
}


def quoted(name: str) -> str:
    """A column's name as Spark takes it for a name, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def column(name: str) -> Column:
    """The column of a name, whatever is in it."""
    return F.col(quoted(name))


def refuse_odd(names: Iterable[str]) -> None:
    """Refuse names of columns that cannot be used in expressions of narwhals, which hands them to Spark unquoted.

    Raises:
        StepError: there is one (https://github.com/narwhals-dev/narwhals/issues/3117).
    """
    for name in names:
        if "." in name or "`" in name:
            raise StepError(
                f"a column is called '{name}', and on Spark a point or a backtick in a name stands for something else"
                " - give the column another name, or make this table on another engine"
            )


def to_spark(kind: DataType) -> t.DataType:
    """The Spark type that holds a contract type."""
    if kind.name == "decimal":
        return t.DecimalType(kind.precision, kind.scale)
    if kind.name == "array":
        return t.ArrayType(to_spark(DataType.parse(kind.element)))
    return _SIMPLE[kind.name]


def schema_of(columns: Columns) -> t.StructType:
    """Columns of the contract as a Spark schema."""
    return t.StructType([t.StructField(name, to_spark(kind)) for name, kind in columns.items()])


def from_spark(kind: t.DataType, name: str) -> DataType:
    """The contract type that holds all values of a Spark type.

    Raises:
        StepError: there is none; names the column and a mend.
    """
    if isinstance(kind, t.DecimalType):
        return DataType("decimal", kind.precision, kind.scale)
    if isinstance(kind, t.ArrayType):
        return DataType("array", element=str(from_spark(kind.elementType, name)))
    if known := _CANONICAL.get(type(kind)):
        return DataType(known)
    mend = _MEND.get(type(kind), "convert it to a type of the list in the reference")
    raise StepError(f"column '{name}' is of type {kind.typeName()}, which no table keeps; {mend}")


def canonical(field: t.StructField) -> tuple[DataType, Column | None]:
    """The contract type of a column, and the expression that makes the column be of it; None: it is already.

    Raises:
        StepError: there is none; names the column and a mend.
    """
    kind = from_spark(field.dataType, field.name)
    target = to_spark(kind)
    return kind, None if field.dataType == target else column(field.name).cast(target)
