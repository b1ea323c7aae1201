"""SQL over frames: scalar expressions, aggregates and whole queries.

What a text means, and whether it can be, is oreflow's to say (`oreflow.semantics.sql`); Spark is handed texts of its
own dialect that leave nothing open. So faults are found when the expression is given, not when the frame is computed,
and the message names the column that the expression was for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that it has in all of Spark's own pages

from oreflow.contract import INTERNAL, DataType, StepError
from oreflow_spark.dtypes import canonical, column, quoted
from oreflow_spark.errors import told


def with_columns(frame: DataFrame, expressions: Mapping[str, str]) -> DataFrame:
    """Add or replace columns by scalar SQL expressions, all over the frame as it was given."""
    from oreflow.semantics import sql

    frame, kinds = _typed(frame, "cannot add columns")
    made = {name: F.expr(part.render("spark")) for name, part in sql.columns(expressions, kinds).items()}
    with told("cannot add columns"):
        return _checked(frame.withColumns(made))


def aggregate(frame: DataFrame, keys: Mapping[str, str], measures: Mapping[str, str]) -> DataFrame:
    """Group by SQL expressions (none: all rows are one group) and compute SQL aggregates."""
    from oreflow.semantics import sql

    frame, kinds = _typed(frame, "cannot aggregate")
    groups, aggregates = sql.columns(keys, kinds), sql.columns(measures, kinds, grouped=True)
    with told("cannot aggregate"):
        grouped = frame.groupBy(*[F.expr(part.render("spark")).alias(name) for name, part in groups.items()])
        sums = [F.expr(part.render("spark")).alias(name) for name, part in aggregates.items()]
        return _checked(grouped.agg(*sums).select(*map(column, (*groups, *aggregates))))


def query(spark: SparkSession, text: str, tables: Mapping[str, DataFrame]) -> DataFrame:
    """The result of a SELECT over frames, by their keys; a key may have the form `layer.table`."""
    from oreflow.semantics import sql

    where = "cannot run this query"
    typed = {name: _typed(frame, where) for name, frame in tables.items()}
    try:
        parsed = sql.query(text, {name: kinds for name, (_, kinds) in typed.items()})
    except StepError as error:
        raise StepError(f"{where}: {error}") from None
    places = {name: f"{INTERNAL}table_{place}" for place, name in enumerate(parsed.tables)}
    with told(where):
        rendered = parsed.render("spark", places).replace("{", "{{").replace("}", "}}")
        for place in places.values():
            rendered = rendered.replace(quoted(place), f"{{{place}}}")
        frames: dict[str, Any] = {place: typed[name][0] for name, place in places.items()}
        return _checked(spark.sql(rendered, **frames))


def _typed(frame: DataFrame, where: str) -> tuple[DataFrame, dict[str, DataType]]:
    """The frame with columns of the types that SQL takes them for, where Spark has others (a byte), and these types.

    A column of a type that no table keeps can be handed on, and not computed with.
    """
    with told(where):
        fields = frame.schema.fields
    kinds, casts = {}, {}
    for field in fields:
        try:
            kinds[field.name], value = canonical(field)
        except StepError:
            kinds[field.name], value = DataType(field.dataType.simpleString()), None
        if value is not None:
            casts[field.name] = value
    if len(kinds) < len(fields):
        with told(where):
            frame = frame.select(*map(column, kinds))  # Spark says which name two of them have
    return frame.withColumns(casts) if casts else frame, kinds


def _checked(frame: DataFrame) -> DataFrame:
    """The frame, whose names and types Spark has found in order."""
    _ = frame.schema
    return frame
