"""SQL over lazy frames: scalar expressions, aggregates and whole queries.

What a text means, and whether it can be, is oreflow's to say (`oreflow.semantics.sql`); Polars is handed texts of its
own dialect that leave nothing open. So faults are found when the expression is given, not when the frame is computed,
and the message names the column that the expression was for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import polars as pl

from oreflow.contract import DataType, StepError
from oreflow_polars.dtypes import canonical, from_polars, to_polars
from oreflow_polars.errors import told

if TYPE_CHECKING:  # parsing SQL is loaded where SQL is met
    from oreflow.semantics.sql import Expression

_ROWS = "rows"


def _kind(dtype: pl.DataType, name: str) -> DataType:
    """The type of a column; one that no table keeps can be handed on, and not computed with."""
    try:
        return from_polars(dtype, name)
    except StepError:
        return DataType(str(dtype).lower())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _parsed(texts: Mapping[str, str], schema: pl.Schema, *, grouped: bool = False) -> dict[str, Expression]:
    from oreflow.semantics import sql

    return sql.columns(texts, {name: _kind(dtype, name) for name, dtype in schema.items()}, grouped=grouped)


def _typed(frame: pl.LazyFrame, schema: pl.Schema, names: Iterable[str]) -> pl.LazyFrame:
    """The frame with columns of the types that SQL takes them for, where Polars has others (a count is unsigned)."""
    casts = {}
    for name in names:
        with suppress(StepError):  # of a type that no table keeps; it is handed on as it is
            kind, column = canonical(name, schema[name])
            if to_polars(kind) != schema[name]:
                casts[name] = column
    return frame.with_columns(**casts) if casts else frame


def _listed(parsed: Mapping[str, Expression]) -> str:
    return ", ".join(f"{part.render('polars')} as {_quoted(name)}" for name, part in parsed.items())


def _executed(text: str, frames: Mapping[str, pl.LazyFrame], where: str) -> pl.LazyFrame:
    with told(where):
        result = pl.SQLContext(dict(frames), eager=False).execute(text)
        result.collect_schema()
    return result


def with_columns(frame: pl.LazyFrame, expressions: Mapping[str, str]) -> pl.LazyFrame:
    """Add or replace columns by scalar SQL expressions, all over the frame as it was given."""
    with told("cannot add columns"):
        schema = frame.collect_schema()
    parsed = _parsed(expressions, schema)
    if not parsed:
        return frame
    made = {name: f"\0sql {number}" for number, name in enumerate(parsed)}
    listed = _listed({made[name]: part for name, part in parsed.items()})
    typed = _typed(frame, schema, {name for part in parsed.values() for name in part.columns})
    computed = _executed(f"select *, {listed} from {_ROWS}", {_ROWS: typed}, "cannot add columns")  # noqa: S608
    return computed.with_columns(pl.col(inner).alias(name) for name, inner in made.items()).drop(made.values())


def aggregate(frame: pl.LazyFrame, keys: Mapping[str, str], measures: Mapping[str, str]) -> pl.LazyFrame:
    """Group by SQL expressions (none: all rows are one group) and compute SQL aggregates."""
    with told("cannot aggregate"):
        schema = frame.collect_schema()
    groups, aggregates = _parsed(keys, schema), _parsed(measures, schema, grouped=True)
    used = {name for part in [*groups.values(), *aggregates.values()] for name in part.columns}
    typed = _typed(frame, schema, used)
    rows, names = _ROWS, {name: f"\0key {number}" for number, name in enumerate(groups)}
    if groups:
        listed = _listed({names[name]: part for name, part in groups.items()})
        rows = f"(select *, {listed} from {_ROWS}) as keyed"  # noqa: S608  the parts are rendered, not pasted
    selected = [f"{_quoted(inner)} as {_quoted(name)}" for name, inner in names.items()] + [_listed(aggregates)]
    text = f"select {', '.join(part for part in selected if part)} from {rows}"  # noqa: S608
    if groups:
        text += f" group by {', '.join(map(_quoted, names.values()))}"
    return _executed(text, {_ROWS: typed}, "cannot aggregate")


def query(text: str, tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """The result of a SELECT over frames, by their keys; a key may have the form `layer.table`."""
    from oreflow.semantics import sql

    with told("cannot run this query"):
        schemas = {name: frame.collect_schema() for name, frame in tables.items()}
    columns = {
        name: {column: _kind(dtype, column) for column, dtype in schema.items()} for name, schema in schemas.items()
    }
    try:
        parsed = sql.query(text, columns)
    except StepError as error:
        raise StepError(f"cannot run this query: {error}") from None
    frames = {name: _typed(tables[name], schemas[name], schemas[name]) for name in parsed.tables}
    return _executed(parsed.render("polars"), frames, "cannot run this query")
