"""SQL over lazy frames: scalar expressions, aggregates and whole queries.

Faults are found when the expression is given, not when the frame is computed, so that the message can
name the column that the expression was for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import polars as pl

from oreflow.contract import StepError, is_wildcard
from oreflow_polars.errors import missing_column, told

_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_OVER_ROWS = ('"Agg"', '"Len"', '"Over"', '"Window"', '"Rolling"')  # nodes of Polars' serialized expressions
_TOKENS = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
    | \b(?P<reader>read_\w+|scan_\w+)\s*(?=\()
    | (?:(?<=::)|(?P<cast>\bas\s+))(?:bigint|integer|smallint|tinyint|int[248]?)\b(?(cast)(?=\s*\)))""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""Texts, names and comments, which are left as they are; calls that read files; casts to whole numbers."""
_READS = re.compile(r"\(|(?:select|with|from|values)\b", re.IGNORECASE)


def _prepared(text: str) -> str:
    """The text with casts to whole numbers made wide; calls that would read files are refused.

    Raises:
        StepError: it calls a function that reads files.
    """

    def replace(match: re.Match[str]) -> str:
        if match["reader"]:
            raise StepError(f"'{match['reader']}(...)' reads a file; declare it as a source")
        kept = match[0][0] in "'\"-/"
        return match[0] if kept else f"{match['cast'] or ''}hugeint"

    return _TOKENS.sub(replace, text)


def _parse(name: str, text: str, schema: pl.Schema) -> pl.Expr:
    if is_wildcard(name):
        raise StepError(f"no column can be called '{name}', which stands for other columns")
    with told(f"'{name}'"):
        expression = pl.sql_expr(_prepared(text))
    if expression.meta.is_column_selection() and not expression.meta.is_column():
        raise StepError(f"'{name}': '{text}' is not one value; name a column or write an expression")
    for column in expression.meta.root_names():
        if column not in schema:
            raise StepError(f"'{name}': {missing_column(column, schema)}")
    return expression.alias(name)


def _parsed(expressions: Mapping[str, str], schema: pl.Schema) -> list[pl.Expr]:
    return [_parse(name, text, schema) for name, text in expressions.items()]


def _resolve(frame: pl.LazyFrame, parsed: Mapping[str, pl.Expr]) -> dict[str, pl.DataType]:
    """The type of each expression, over no rows and one by one, so that an error names the one at fault.

    Polars checks the types of operands only when it computes.
    """
    kinds: dict[str, pl.DataType] = {}
    for name, expression in parsed.items():
        with told(f"'{name}'"):
            kinds[name] = frame.select(expression).collect().schema[name]
    return kinds


def _wide(frame: pl.LazyFrame, schema: pl.Schema, columns: Iterable[str] | None = None) -> pl.LazyFrame:
    """The frame with whole numbers of 128 bits: Polars' own wrap silently at their limits, in sums and products too."""
    names = [n for n in (schema if columns is None else columns) if schema[n].is_integer()]
    return frame.with_columns(pl.col(names).cast(pl.Int128)) if names else frame


def _narrow(frame: pl.LazyFrame, columns: Iterable[str] | None = None) -> pl.LazyFrame:
    """The frame with whole numbers of 64 bits again; one that does not fit is an error when it is computed."""
    schema = frame.collect_schema()
    names = [n for n in (schema if columns is None else columns) if schema[n] == pl.Int128]
    return frame.with_columns(pl.col(names).cast(pl.Int64)) if names else frame


def with_columns(frame: pl.LazyFrame, expressions: Mapping[str, str]) -> pl.LazyFrame:
    """Add or replace columns by scalar SQL expressions, all over the frame as it was given."""
    with told("cannot add columns"):
        schema = frame.collect_schema()
    parsed = _parsed(expressions, schema)
    _refuse_aggregates(dict(zip(expressions, parsed, strict=True)), expressions)
    empty = pl.LazyFrame(schema=schema)
    _resolve(_wide(empty, schema), dict(zip(expressions, parsed, strict=True)))
    used = {name for expression in parsed if _calculates(expression) for name in expression.meta.root_names()}
    kept = [pl.col(name).cast(schema[name]) for name in used - set(expressions) if schema[name].is_integer()]
    computed = _wide(frame, schema, used).with_columns(parsed)
    return _narrow(computed.with_columns(kept) if kept else computed, expressions)


def _refuse_aggregates(parsed: Mapping[str, pl.Expr], texts: Mapping[str, str]) -> None:
    """An aggregate or a window would make a row's value depend on the rows that it happens to come with."""
    for name, expression in parsed.items():
        plan = expression.meta.serialize(format="json")
        if any(node in plan for node in _OVER_ROWS):
            raise StepError(f"'{name}': '{texts[name]}' looks at other rows; use the columns of one row only")


def _groups(keys: Mapping[str, str], schema: pl.Schema) -> tuple[list[pl.Expr], dict[str, str]]:
    """The keys as expressions; those whose functions must know the types of their columns, as columns to add."""
    groups: list[pl.Expr] = []
    typed: dict[str, str] = {}
    for name, text in keys.items():
        try:
            groups.append(_parse(name, text, schema))
        except StepError as error:
            if "cannot determine the type" not in str(error):
                raise
            typed[f"\0key {len(typed)}"] = text
            groups.append(pl.col(f"\0key {len(typed) - 1}").alias(name))
    return groups, typed


def _with_typed(frame: pl.LazyFrame, keys: Mapping[str, str]) -> pl.LazyFrame:
    if not keys:
        return frame
    computed = ", ".join(f'{_prepared(text)} as "{name}"' for name, text in keys.items())
    query = f"select *, {computed} from self"  # noqa: S608  a query over frames; the declaration's author writes it
    return pl.SQLContext({"self": frame}, eager=False).execute(query)


def _calculates(expression: pl.Expr) -> bool:
    """Whether a whole number could grow out of its bits; a mere comparison needs no wider ones."""
    plan = expression.meta.serialize(format="json")
    return any(node in plan for node in ('"Plus"', '"Minus"', '"Multiply"', '"Function"'))


def aggregate(frame: pl.LazyFrame, keys: Mapping[str, str], measures: Mapping[str, str]) -> pl.LazyFrame:
    """Group by SQL expressions (none: all rows are one group) and compute SQL aggregates."""
    with told("cannot aggregate"):
        schema = frame.collect_schema()
    empty = _wide(pl.LazyFrame(schema=schema), schema)
    wide = _wide(frame, schema)
    groups, typed = _groups(keys, schema)
    with told("cannot group"):
        empty, wide = _with_typed(empty, typed), _with_typed(wide, typed)
    _resolve(empty, dict(zip(keys, groups, strict=True)))
    aggregates = _parsed(measures, schema)
    _refuse_scalars(empty, dict(zip(measures, aggregates, strict=True)), measures)
    if not groups:
        return _narrow(wide.select(aggregates))
    return _narrow(wide.group_by(groups).agg(aggregates).select(*keys, *measures))


def _refuse_scalars(empty: pl.LazyFrame, aggregates: Mapping[str, pl.Expr], texts: Mapping[str, str]) -> None:
    """Polars would answer a measure that aggregates nothing with a list of each group's values."""
    for name, kind in _resolve(empty, aggregates).items():
        grouped = empty.group_by(pl.lit(1).alias("\0group")).agg(aggregates[name]).collect_schema()[name]
        if grouped != kind:
            raise StepError(f"'{name}': '{texts[name]}' is no aggregate; use sum, avg, min, max, count, ...")


def query(text: str, tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """The result of a SELECT over frames, by their keys; a key may have the form `layer.table`."""
    if not _READS.match(text, _COMMENTS.match(text).end()):  # type: ignore[union-attr]  # it matches the empty text too
        raise StepError(f"cannot run this query: it must be a SELECT, not '{text.strip()[:40]}'")
    with told("cannot run this query"):
        text = _prepared(text)
        schemas = {name: frame.collect_schema() for name, frame in tables.items()}
        empty = {name: _wide(pl.LazyFrame(schema=schema), schema) for name, schema in schemas.items()}
        pl.SQLContext(empty, eager=False).execute(text).collect()
        wide = {name: _wide(frame, schemas[name]) for name, frame in tables.items()}
        return _narrow(pl.SQLContext(wide, eager=False).execute(text))
