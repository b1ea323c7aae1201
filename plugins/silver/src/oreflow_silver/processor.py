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

from oreflow.contract import INTERNAL, LINEAGE, Append, DataType, Merge, Mode, Output, Processor, Rule, Step, StepError
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
    schema = rows.collect_schema()
    typed = [column for column in raw.values() if schema[column] != nw.String]
    return rows.with_columns(nw.col(*typed).cast(nw.String)) if typed else rows


def _without_known(rows: nw.LazyFrame[Any], keys: Sequence[str], seen: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """The rows whose content is not in rows that were seen before."""
    # A join compares NULLs as unequal, so each key goes in as two columns: whether it is NULL, and its text.
    safe = {f"{key}_null": nw.col(key).is_null() for key in keys}
    safe |= {f"{key}_text": nw.col(key).fill_null("") for key in keys}
    added = [expression.alias(column) for column, expression in safe.items()]
    return rows.with_columns(*added).join(seen.select(*added), on=list(safe), how="anti").drop(*safe)


def _typed(
    rows: nw.LazyFrame[Any], columns: Mapping[str, Mapping[str, Any]], raw: Mapping[str, str], step: Step
) -> tuple[nw.LazyFrame[Any], list[Rule]]:
    texts: dict[str, nw.Expr] = {}
    casts: dict[str, tuple[str, DataType, str]] = {}
    rules = []
    for name, column in columns.items():
        source = raw[column.get("from", name)]
        of_type = DataType.parse(column["type"])
        text = nw.col(source)
        for cleaner in column.get("clean", ()):
            text = _CLEAN[cleaner](text)
        if of_type.name == "string":
            texts[name] = text
            continue
        if column.get("clean"):
            texts[f"{INTERNAL}text_{name}"] = text
            source = f"{INTERNAL}text_{name}"
        casts[name] = (source, of_type, column.get("format", ""))
        rules.append(_cast_rule(name, source, of_type, column.get("format", "")))
    if texts:
        rows = rows.with_columns(*[text.alias(name) for name, text in texts.items()])
    return step.engine.cast_columns(rows, casts) if casts else rows, rules


def _cast_rule(name: str, source: str, of_type: DataType, pattern: str) -> Rule:
    wanted = f"{of_type} of the form {pattern}" if pattern else str(of_type)
    broken = nw.col(name).is_null() & ~nw.col(source).is_null()
    value = nw.when(broken).then(nw.col(source))  # NULL elsewhere, so that no text is put together for sound rows
    reason = nw.concat_str(nw.lit(f"{name}: '"), value, nw.lit(f"' is no {wanted}"))
    return Rule(f"{name} is {of_type}", broken, reason)
