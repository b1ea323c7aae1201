"""Where the columns of a table come from, by what is declared for the processors of oreflow.

Of the processors of others nobody knows what their options mean, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oreflow.contract import LINEAGE, DataType
from oreflow_openlineage.sql import (
    DIRECT,
    FILTER,
    GROUP_BY,
    IDENTITY,
    NONE,
    TRANSFORMATION,
    WINDOW,
    Relation,
    Untold,
    Use,
    Uses,
    indirect,
    of_expression,
    of_query,
    stacked,
    table,
)

Columns = Mapping[str, str]
"""Columns with their types as words."""

_BATCH, *_CARRIED = LINEAGE
"""What the host writes into each table anew, and what steps pass on."""
ARRIVAL = "_ingested_at"
"""What the bronze step adds to what it reads."""


@dataclass(frozen=True)
class Origins:
    """Where a table comes from: the uses of each of its columns, and what decides which rows it has.

    `quarantine` has those of the columns of its quarantine. What is not known is not in it.
    """

    columns: Mapping[str, Uses] = field(default_factory=dict)
    rows: Uses = NONE
    quarantine: Mapping[str, Uses] = field(default_factory=dict)


def origins(planned: Mapping[str, Any], known: Mapping[str, Columns]) -> Origins:
    """Where a table comes from, by its entry in the plan of a run.

    `known` are the columns of tables, as far as they are known: of its inputs, and its own.
    """
    tell = _PROCESSORS.get(planned["distribution"])
    if tell is None:
        return Origins()
    try:
        return tell(planned, known)
    except Untold:
        return Origins()


def named(check: Mapping[str, Any]) -> list[str]:
    """The columns that a declared check looks at, as far as it says them in a way of oreflow's own checks."""
    if isinstance(said := check.get("expression"), str):
        try:
            return sorted({use.column for use in of_expression(said, table("", None))})
        except Untold:
            return []
    return list(check["columns"]) if "columns" in check else [check["column"]] if "column" in check else []


def _bronze(planned: Mapping[str, Any], known: Mapping[str, Columns]) -> Origins:
    """Every column is the one of this name in the files."""
    if planned["source"] is None:
        raise Untold
    mine = known.get(planned["table"], {})
    return Origins({name: _same(planned["source"], name) for name in mine if name not in (*LINEAGE, ARRIVAL)})


def _silver(planned: Mapping[str, Any], known: Mapping[str, Columns]) -> Origins:
    """Every column is one of the input, cleaned and cast; checks, casts and duplicates decide which rows stay."""
    if len(planned["inputs"]) != 1:
        raise Untold
    (reads,) = planned["inputs"]
    declared: Mapping[str, Mapping[str, Any]] = planned["options"]["columns"]
    types = known.get(reads, {})
    columns = {name: _cast(reads, column.get("from", name), column, types) for name, column in declared.items()}
    carried = {name: _same(reads, name) for name in _CARRIED if name in types}
    judged = {name for name, column in declared.items() if column["type"] != "string"}
    for check in planned["checks"]:
        judged |= set(named(check)) if check["action"] == "quarantine" else set()
    rows = _of(judged, columns, FILTER) | _duplicates(planned["options"], columns)
    raw = {use.column: _same(reads, use.column) for uses in columns.values() for use in uses}
    return Origins({**columns, **carried}, rows, {**raw, **carried})


def _cast(reads: str, name: str, column: Mapping[str, Any], types: Columns) -> Uses:
    of_type = str(DataType.parse(column["type"]))
    before = types.get(name, "string" if reads.startswith("bronze.") else "")
    is_kept = of_type == before and not column.get("clean")
    return frozenset({Use(reads, name, DIRECT, IDENTITY if is_kept else TRANSFORMATION)})


def _duplicates(options: Mapping[str, Any], columns: Mapping[str, Uses]) -> Uses:
    """What decides which of several rows stays: DISTINCT of all columns, or the first of a window over the keys."""
    rule = options.get("deduplicate")
    if not options.get("enable_deduplication", rule is not None):
        return NONE
    if isinstance(rule, Mapping):  # a row without a key is set aside
        return _of([*rule["keys"], *rule.get("order_by", ())], columns, WINDOW) | _of(rule["keys"], columns, FILTER)
    return _of(columns, columns, GROUP_BY)


def _gold(planned: Mapping[str, Any], known: Mapping[str, Columns]) -> Origins:
    """A query, or groups with measures."""
    inputs = {name: table(name, known.get(name)) for name in planned["inputs"]}
    options = planned["options"]
    if "sql" in options:
        told = of_query(options["sql"], inputs)
        return Origins(told.columns or {}, told.rows)
    rows = stacked(list(inputs.values()))
    said = options.get("group_by", {})
    if isinstance(said, Mapping):
        groups = {name: of_expression(text, rows) for name, text in said.items()}
    else:
        groups = {name: _found(name, rows) for name in said}
    measures = {name: of_expression(text, rows) for name, text in options["measures"].items()}
    return Origins({**groups, **measures}, indirect(NONE.union(*groups.values()), GROUP_BY))


def _found(name: str, rows: Relation) -> Uses:
    uses = rows.find(name)
    if uses is None:
        raise Untold
    return uses


def _same(reads: str, name: str) -> Uses:
    return frozenset({Use(reads, name, DIRECT, IDENTITY)})


def _of(names: Iterable[str], columns: Mapping[str, Uses], subtype: str) -> Uses:
    return indirect(NONE.union(*(columns[name] for name in names if name in columns)), subtype)


_PROCESSORS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Columns]], Origins]] = {
    "oreflow-bronze": _bronze,
    "oreflow-silver": _silver,
    "oreflow-gold": _gold,
}
"""By the distribution that a table's processor is of."""
