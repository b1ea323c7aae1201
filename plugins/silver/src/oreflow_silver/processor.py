"""The silver step: raw text becomes typed, cleaned rows; duplicates are superseded, failed casts are rules broken.

Exact duplicates are taken out before anything is cast, on the raw text: it is cheaper, and two texts
that merely cast to the same value are not the same delivery. Versions of a key are the merge's
business, after the checks, so that a version that fails them never hides a good one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import narwhals as nw

from oreflow.contract import (
    INTERNAL,
    LINEAGE,
    Append,
    DataType,
    Merge,
    Mode,
    Output,
    Processor,
    Rule,
    Step,
    StepError,
    text_of,
)
from oreflow_silver.plugin import METADATA

_WHITE_SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
"""What Unicode and Python call white space; said here, since engines have ideas of their own."""
_CLEAN: Mapping[str, Callable[[nw.Expr], nw.Expr]] = {
    "trim": lambda text: text.str.strip_chars(_WHITE_SPACE),
    "lower": lambda text: text.str.to_lowercase(),
    "upper": lambda text: text.str.to_uppercase(),
    "empty_to_null": lambda text: nw.when(text != "").then(text),
}
_FLOATS: Mapping[str, nw.dtypes.DType] = {"float32": nw.Float32(), "float64": nw.Float64()}


class SilverProcessor(Processor):
    """Options: `columns`, `deduplicate`, `enable_deduplication`; see the schema in `plugin.py`."""

    metadata = METADATA

    def process(self, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        """Type the new rows; what to do with each is left to rules and mode."""
        name = next(iter(inputs))
        columns: Mapping[str, Mapping[str, Any]] = step.options["columns"]
        sources = list(dict.fromkeys(column.get("from", target) for target, column in columns.items()))
        raw = {source: f"{INTERNAL}raw_{index}" for index, source in enumerate(sources)}
        rows = _as_text(_project(inputs[name], name, raw), raw)
        superseded = []
        rule = _deduplication(step.options)
        if rule == "exact":
            keys = list(raw.values())
            once = step.engine.distinct(rows, keys)
            if (seen := step.history(name)) is not None:
                once = _without_known(once, keys, _as_text(_project(seen, name, raw), raw))
            once = step.engine.share(once)  # it is counted, and becomes the table
            superseded.append((rows, once))
            rows = once
        rows, rules = _typed(rows, columns, raw, step)
        mode: Mode = Append()
        if isinstance(rule, Mapping):
            mode = Merge(tuple(rule["keys"]), tuple(rule.get("order_by", ())), rule.get("keep", "last"))
        return Output(rows, tuple(columns), rules, raw, superseded, mode)


def _deduplication(options: Mapping[str, Any]) -> Any:
    rule = options.get("deduplicate")
    enabled = options.get("enable_deduplication", rule is not None)
    return (rule or "exact") if enabled else None


def _project(rows: nw.LazyFrame[Any], name: str, raw: Mapping[str, str]) -> nw.LazyFrame[Any]:
    there = rows.collect_schema().names()
    for source in raw:
        if source not in there:
            others = [column for column in there if not column.startswith("_")]
            lower = {other.lower(): other for other in others}
            close = difflib.get_close_matches(source.lower(), lower, 1)
            hint = f"did you mean '{lower[close[0]]}'?" if close else f"it has {', '.join(others)}"
            raise StepError(f"its input {name} has no column '{source}' - {hint}")
    lineage = [column for column in LINEAGE if column in there]
    return rows.select(*[nw.col(source).alias(column) for source, column in raw.items()], *lineage)


def _as_text(rows: nw.LazyFrame[Any], raw: Mapping[str, str]) -> nw.LazyFrame[Any]:
    """The rows of a typed input as the texts that a cast reads; a float has none that is the same on every engine."""
    schema = rows.collect_schema()
    texts = {}
    for source, column in raw.items():
        kind = schema[column]
        if kind == nw.String or kind.is_float():
            continue
        try:
            texts[column] = text_of(nw.col(column), kind)
        except ValueError as error:
            raise StepError(f"column '{source}' of its input cannot be read: {error}") from None
    return rows.with_columns(**texts) if texts else rows


def _without_known(rows: nw.LazyFrame[Any], keys: Sequence[str], seen: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """The rows whose content is not in rows that were seen before."""
    # A join compares NULLs as unequal, so each key goes in as two columns: whether it is NULL, and its value.
    schema = rows.collect_schema()
    safe = {f"{key}_null": nw.col(key).is_null() for key in keys}
    safe |= {f"{key}_value": nw.col(key).fill_null("" if schema[key] == nw.String else 0.0) for key in keys}
    added = [expression.alias(column) for column, expression in safe.items()]
    return rows.with_columns(*added).join(seen.select(*added), on=list(safe), how="anti").drop(*safe)


def _typed(
    rows: nw.LazyFrame[Any], columns: Mapping[str, Mapping[str, Any]], raw: Mapping[str, str], step: Step
) -> tuple[nw.LazyFrame[Any], list[Rule]]:
    schema = rows.collect_schema()
    added: dict[str, nw.Expr] = {}
    casts: dict[str, tuple[str, DataType, str]] = {}
    rules = []
    for name, column in columns.items():
        source = raw[column.get("from", name)]
        of_type = DataType.parse(column["type"])
        text = nw.col(source)
        if schema[source].is_float():
            added[name] = _of_float(column.get("from", name), source, of_type, column)
            rules.append(_float_rule(name, source, of_type))
            continue
        for cleaner in column.get("clean", ()):
            text = _CLEAN[cleaner](text)
        if of_type.name == "string":
            added[name] = text
            continue
        if column.get("clean"):
            added[f"{INTERNAL}text_{name}"] = text
            source = f"{INTERNAL}text_{name}"
        casts[name] = (source, of_type, column.get("format", ""))
        rules.append(_cast_rule(name, source, of_type, column.get("format", "")))
    if added:
        rows = rows.with_columns(**added)
    return step.engine.cast_columns(rows, casts) if casts else rows, rules


def _of_float(origin: str, source: str, of_type: DataType, column: Mapping[str, Any]) -> nw.Expr:
    """A float of the input as a float; NULL where a float32 cannot hold it."""
    if of_type.name not in _FLOATS or column.get("clean") or column.get("format"):
        raise StepError(
            f"column '{origin}' of its input is a float, which has no one text: read it as float64 or float32, without "
            "`clean` and `format`, or turn it into another type by `sql` in a table before"
        )
    value = nw.col(source).cast(_FLOATS[of_type.name])
    return nw.when(~nw.col(source).is_finite() | value.is_finite()).then(value)


def _float_rule(name: str, source: str, of_type: DataType) -> Rule:
    broken = nw.col(name).is_null() & ~nw.col(source).is_null()
    return Rule(f"{name} is {of_type}", broken, nw.lit(f"{name} is too great for a {of_type}"))


def _cast_rule(name: str, source: str, of_type: DataType, pattern: str) -> Rule:
    wanted = f"{of_type} of the form {pattern}" if pattern else str(of_type)
    broken = nw.col(name).is_null() & ~nw.col(source).is_null()
    value = nw.when(broken).then(nw.col(source))  # NULL elsewhere, so that no text is put together for sound rows
    reason = nw.concat_str(nw.lit(f"{name}: '"), value, nw.lit(f"' is no {wanted}"))
    return Rule(f"{name} is {of_type}", broken, reason)
