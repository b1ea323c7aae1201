"""The standard kinds of check: completeness, validity, uniqueness and row_count."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from oreflow.contract import (
    LINEAGE,
    Check,
    CheckContext,
    CheckType,
    DataType,
    Problem,
    RowCheck,
    StepError,
    TableCheck,
    is_wildcard,
    text_of,
)
from oreflow_silver.literals import literal, pattern_fault, type_of

if TYPE_CHECKING:
    import narwhals as nw

_COLUMN = {"column": {"type": "string", "description": "the column that is looked at"}}
_COLUMNS = {"columns": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "columns"}}
_SCALAR = {"type": ["string", "number", "boolean"]}
_BOUND = {"type": ["number", "string"]}
_HOWS = ("expression", "pattern", "values", "range")


class Completeness(RowCheck):
    """A row passes where none of the columns is NULL."""

    name = "completeness"
    shared_keys = ("action", "name", "threshold", "type")  # it is about NULLs and never comes out NULL itself
    description = "the column, or each of the columns, has a value"
    option_schema: Mapping[str, Any] = {"properties": {**_COLUMN, **_COLUMNS}}

    def problems(self, options: Mapping[str, Any], columns: Mapping[str, str]) -> list[Problem]:
        """Exactly one of `column` and `columns`, and they exist."""
        return _column_problems(options, columns)

    def mark(self, rows: nw.LazyFrame[Any], result: str, check: Check, context: CheckContext) -> nw.LazyFrame[Any]:
        """True where every column has a value."""
        import narwhals as nw

        return rows.with_columns(
            nw.all_horizontal(*[~nw.col(name).is_null() for name in _names(check.options)], ignore_nulls=False).alias(
                result
            )
        )

    def reason(self, check: Check, columns: Mapping[str, nw.dtypes.DType]) -> nw.Expr:
        """Which columns are NULL."""
        return _nulls(_names(check.options))


class Validity(RowCheck):
    """A row passes where an SQL expression is true, or a column matches a pattern, a list or a range."""

    name = "validity"
    description = "an expression is true, or a column fits a pattern, a list of values or a range"
    option_schema: Mapping[str, Any] = {
        "properties": {
            **_COLUMN,
            "expression": {
                "type": "string",
                "minLength": 1,
                "description": "an SQL condition over the table's columns",
            },
            "pattern": {
                "type": "string",
                "minLength": 1,
                "description": "a regular expression to be found in the column",
            },
            "values": {"type": "array", "items": _SCALAR, "minItems": 1, "description": "the values that there may be"},
            "range": {
                "type": "object",
                "additionalProperties": False,
                "minProperties": 1,
                "properties": {"min": _BOUND, "max": _BOUND},
                "description": "{min: ..., max: ...}, both included",
            },
        }
    }

    def problems(self, options: Mapping[str, Any], columns: Mapping[str, str]) -> list[Problem]:
        """Exactly one way to judge, with a column where it needs one."""
        said = [how for how in _HOWS if how in options]
        if len(said) != 1:
            found = f"it says {' and '.join(said)}" if said else "it says none"
            return [Problem(f"a validity check judges by one thing, {found}", (), f"say one of {', '.join(_HOWS)}")]
        if said == ["expression"]:
            return [Problem("an expression names its columns itself", ("column",), "take it away")] * (
                "column" in options
            )
        if said == ["pattern"] and (fault := pattern_fault(options["pattern"])):
            return [Problem(fault, ("pattern",), "mend the regular expression")]
        if "column" not in options:
            return [Problem(f"'{said[0]}' needs a column to look at", (), "add `column:`")]
        if said == ["pattern"] and columns.get(options["column"], "").startswith("float"):
            return [Problem("a float has no one text that a pattern could be found in", ("pattern",), "say a range")]
        return _column_problems(options, columns) or list(_value_problems(options, columns))

    def mark(self, rows: nw.LazyFrame[Any], result: str, check: Check, context: CheckContext) -> nw.LazyFrame[Any]:
        """True, False or NULL as SQL has it."""
        import narwhals as nw

        options = check.options
        if "expression" in options:
            return _judged_by_sql(rows, result, check, context, options["expression"])
        column = nw.col(options["column"])
        if "pattern" in options:
            name, pattern = options["column"].replace('"', '""'), options["pattern"].replace("'", "''")
            return _judged_by_sql(rows, result, check, context, f"regexp_like(cast(\"{name}\" as string), '{pattern}')")
        kind = type_of(rows.collect_schema()[options["column"]])
        said = options["range"] if "range" in options else dict(enumerate(options["values"]))
        try:
            values = {key: literal(value, kind) for key, value in said.items()}
        except ValueError as error:
            raise StepError(f"check '{check.name}': column '{options['column']}': {error}") from None
        rows, known, added = _with_values(rows, values, kind, result, context)
        if "range" in options:
            sides = [column >= known["min"]] if "min" in known else []
            sides += [column <= known["max"]] if "max" in known else []
            passes = nw.all_horizontal(*sides, ignore_nulls=False)
        else:
            passes = nw.any_horizontal(*[column == value for value in known.values()], ignore_nulls=False)
        return rows.with_columns(passes.alias(result)).drop(*added)

    def reason(self, check: Check, columns: Mapping[str, nw.dtypes.DType]) -> nw.Expr:
        """The condition, with the column's value where one column is judged."""
        import narwhals as nw

        options = check.options
        if "expression" in options:
            return nw.lit(f"not true: {options['expression']}")
        name = options["column"]
        told = _told([name], columns, f"is not {_wanted(options)}")
        return nw.when(nw.col(name).is_null()).then(_nulls([name])).otherwise(told)


class Uniqueness(RowCheck):
    """A row passes where its values are in no sound row that came before it, in this batch or in the table."""

    name = "uniqueness"
    compares_rows = True
    description = "the column, or the columns together, have each value once in the table; the first row keeps it"
    option_schema: Mapping[str, Any] = {"properties": {**_COLUMN, **_COLUMNS}}

    def problems(self, options: Mapping[str, Any], columns: Mapping[str, str]) -> list[Problem]:
        """Exactly one of `column` and `columns`, and they exist."""
        return _column_problems(options, columns)

    def mark(self, rows: nw.LazyFrame[Any], result: str, check: Check, context: CheckContext) -> nw.LazyFrame[Any]:
        """True for the first row of each value, NULL where a value is NULL."""
        import narwhals as nw

        names, before = _names(check.options), f"{result}_before"
        known = rows.collect_schema().names()
        order = [name for name in LINEAGE if name in known] or names
        # A row that is set aside for another reason takes no value; where it stands in the order does not matter.
        rows = rows.with_columns(nw.when(nw.col(context.sound)).then(nw.lit(1)).otherwise(nw.lit(0)).alias(result))
        rows = rows.with_columns(nw.col(result).cum_sum().over(*names, order_by=order).alias(result))
        first = (nw.col(result) == 1) | ~nw.col(context.sound)
        if context.published is not None:
            seen = context.published.select(*names).unique().with_columns(nw.lit(1).alias(before))
            rows = rows.join(seen, on=names, how="left")
            first = first & nw.col(before).is_null()
        some_null = nw.any_horizontal(*[nw.col(name).is_null() for name in names], ignore_nulls=True)
        return rows.with_columns(nw.when(~some_null).then(first).alias(result))

    def reason(self, check: Check, columns: Mapping[str, nw.dtypes.DType]) -> nw.Expr:
        """The values that are there already, or which columns are NULL."""
        import narwhals as nw

        names = _names(check.options)
        told = _told(names, columns, "is not unique")
        some_null = nw.any_horizontal(*[nw.col(name).is_null() for name in names], ignore_nulls=True)
        return nw.when(some_null).then(_nulls(names)).otherwise(told)


class RowCount(TableCheck):
    """A batch passes where it publishes at least `min` and at most `max` rows."""

    name = "row_count"
    description = "the batch publishes at least min and at most max rows"
    option_schema: Mapping[str, Any] = {
        "properties": {
            "min": {"type": "integer", "minimum": 0, "description": "the least number of rows"},
            "max": {"type": "integer", "minimum": 0, "description": "the greatest number of rows"},
        }
    }

    def problems(self, options: Mapping[str, Any], columns: Mapping[str, str]) -> list[Problem]:
        """At least one bound."""
        return [] if options else [Problem("a row_count check has no bound", (), "add `min:` or `max:`")]

    def verdict(self, check: Check, rows_published: int) -> tuple[bool, str]:
        """Whether the number of rows lies within the bounds."""
        low, high = check.options.get("min"), check.options.get("max")
        passed = (low is None or rows_published >= low) and (high is None or rows_published <= high)
        said = (("at least", low), ("at most", high))
        bounds = " and ".join(f"{words} {bound:,}" for words, bound in said if bound is not None)
        return passed, f"{rows_published:,} rows to publish, {bounds} expected"


KINDS: tuple[CheckType, ...] = (Completeness(), Validity(), Uniqueness(), RowCount())


def _names(options: Mapping[str, Any]) -> list[str]:
    return list(options["columns"]) if "columns" in options else [options["column"]]


def _nulls(names: list[str]) -> nw.Expr:
    """Which of some columns are NULL."""
    import narwhals as nw

    missing = [nw.when(nw.col(name).is_null()).then(nw.lit(f"{name} is NULL")) for name in names]
    return nw.concat_str(missing, separator=", ", ignore_nulls=True)


def _with_values(
    rows: nw.LazyFrame[Any], values: Mapping[Any, Any], kind: str, result: str, context: CheckContext
) -> tuple[nw.LazyFrame[Any], dict[Any, nw.Expr], list[str]]:
    """Values of a declaration beside a column of their type, and the names of the columns that were added for them.

    Days and moments are said as texts, and become what the contract's cast makes of them: the way from Python's values
    to an engine's is its own, and wrong on some for the years before 1000.
    """
    import narwhals as nw

    if kind == "float32":  # 0.1 is no number of either kind of float, and not the same one in both
        return rows, {key: nw.lit(float(value)).cast(nw.Float32) for key, value in values.items()}, []
    if kind not in ("date", "timestamp", "timestamp_utc"):
        return rows, {key: nw.lit(value) for key, value in values.items()}, []
    names = {key: f"{result}_value_{number}" for number, key in enumerate(values)}
    texts = {names[key]: str(value) for key, value in values.items()}  # a datetime's is ISO 8601 with a blank
    rows = rows.with_columns(*[nw.lit(text).alias(name) for name, text in texts.items()])
    rows = context.engine.cast_columns(rows, {name: (name, DataType.parse(kind), "") for name in texts})
    return rows, {key: nw.col(name) for key, name in names.items()}, list(texts)


def _told(names: list[str], columns: Mapping[str, nw.dtypes.DType], verdict: str) -> nw.Expr:
    """Columns with their values, and what is wrong with these; without them where one has no text, as a float."""
    import narwhals as nw

    said = ", ".join(names)
    try:
        texts = [text_of(nw.col(name), columns[name]) for name in names]
    except ValueError:
        return nw.lit(f"{said} {verdict}")
    return nw.concat_str(nw.lit(f"{said}: '"), nw.concat_str(texts, separator=", "), nw.lit(f"' {verdict}"))


def _judged_by_sql(
    rows: nw.LazyFrame[Any], result: str, check: Check, context: CheckContext, expression: str
) -> nw.LazyFrame[Any]:
    import narwhals as nw

    try:
        judged = context.engine.with_sql(rows, {result: expression})
    except StepError as error:
        told = str(error).removeprefix(f"'{result}': ")
        raise StepError(f"check '{check.name}': {told}") from None
    found = judged.collect_schema()[result]
    if found != nw.Boolean:
        raise StepError(f"check '{check.name}': '{expression}' gives {found}, not true or false - compare it")
    return judged


def _value_problems(options: Mapping[str, Any], columns: Mapping[str, str]) -> Iterator[Problem]:
    """Values and bounds that a column of the declared type can never have."""
    declared = columns.get(options["column"], "")
    said = {("values", index): value for index, value in enumerate(options.get("values", ()))}
    said |= {("range", key): value for key, value in options.get("range", {}).items()}
    for at, value in said.items():
        try:
            literal(value, declared.partition("(")[0])
        except ValueError as error:
            yield Problem(str(error), at, f"the column is {declared}")
            return
    bounds = options.get("range", {})
    if {"min", "max"} <= set(bounds):
        low, high = (literal(bounds[key], declared.partition("(")[0]) for key in ("min", "max"))
        if type(low) is type(high) and low > high:
            yield Problem("min is above max, so that no row can pass", ("range",), "exchange the two")


def _wanted(options: Mapping[str, Any]) -> str:
    if "pattern" in options:
        return f"of the pattern {options['pattern']}"
    if "values" in options:
        return f"one of {', '.join(str(value) for value in options['values'])}"
    bounds = options["range"]
    words = {"min": "at least", "max": "at most"}
    return " and ".join(f"{words[key]} {bounds[key]}" for key in words if key in bounds)


def _column_problems(options: Mapping[str, Any], columns: Mapping[str, str]) -> list[Problem]:
    if ("column" in options) == ("columns" in options):
        return [Problem("the check needs a column to look at", (), "say one of `column` and `columns`")]
    key = "column" if "column" in options else "columns"
    problems = []
    for index, name in enumerate(_names(options)):
        at = (key,) if key == "column" else (key, index)
        if is_wildcard(name):
            problems.append(Problem(f"no column can be called '{name}'", at, "name each column"))
        elif columns and name not in columns and name not in LINEAGE:
            close = difflib.get_close_matches(name, columns, 1)
            mend = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(columns)}"
            problems.append(Problem(f"the table has no column '{name}'", at, mend))
    return problems
