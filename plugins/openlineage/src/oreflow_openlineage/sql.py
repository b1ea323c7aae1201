"""Which columns an SQL text of a declaration takes its own from, and which decide what rows there are.

It follows names as `oreflow.semantics.sql` does when it runs the text, and is the stricter where it can only guess:
what it cannot tell is `Untold`, so that nothing wrong is said of a table. The vocabulary is that of OpenLineage's
facet `columnLineage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple, TypeVar

from sqlglot import exp

from oreflow.contract import StepError
from oreflow.semantics.sql import FUNCTIONS
from oreflow.semantics.sql.dialect import parse

DIRECT, INDIRECT = "DIRECT", "INDIRECT"
IDENTITY, TRANSFORMATION, AGGREGATION = "IDENTITY", "TRANSFORMATION", "AGGREGATION"
JOIN, GROUP_BY, FILTER, SORT, WINDOW, CONDITIONAL = "JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL"

_Told = TypeVar("_Told")
_STRENGTH = (IDENTITY, TRANSFORMATION, AGGREGATION)


class Untold(Exception):
    """Nobody can tell for sure where a column comes from."""


class Use(NamedTuple):
    """That a column of a table is used, and how: `type` and `subtype` are OpenLineage's."""

    table: str
    column: str
    type: str
    subtype: str


Uses = frozenset[Use]
NONE: Uses = frozenset()


@dataclass(frozen=True)
class Relation:
    """What stands in FROM: where each of its columns comes from, and what decides of its rows.

    `columns` is None for a table of which nobody knows the columns; any name may be one of it.
    """

    columns: Mapping[str, Uses] | None
    rows: Uses = NONE
    table: str = ""

    def find(self, name: str) -> Uses | None:
        """The uses of a column; None where it has no such column."""
        if self.columns is None:
            return frozenset({Use(self.table, name, DIRECT, IDENTITY)})
        return self.columns.get(name)


def table(name: str, columns: Iterable[str] | None) -> Relation:
    """A table with its columns; None where they are not known."""
    if columns is None:
        return Relation(None, table=name)
    return Relation({each: frozenset({Use(name, each, DIRECT, IDENTITY)}) for each in columns})


def stacked(relations: Sequence[Relation]) -> Relation:
    """Several relations, one below the other, by the names of their columns.

    Raises:
        Untold: the columns of one of several are not known.
    """
    if len(relations) == 1:
        return relations[0]
    found: dict[str, Uses] = {}
    for relation in relations:
        if relation.columns is None:
            raise Untold
        for name, uses in relation.columns.items():
            found[name] = found.get(name, NONE) | uses
    return Relation(found)


def of_expression(text: str, rows: Relation) -> Uses:
    """What an expression over the columns of a relation uses.

    Raises:
        Untold: it cannot be parsed, or names what is not there.
    """
    return _parsed(text, query=False, of=lambda tree: _Scope({"": rows}, {}).value(tree))


def of_query(text: str, tables: Mapping[str, Relation]) -> Relation:
    """Where the columns and the rows of a query over tables come from.

    Raises:
        Untold: it cannot be parsed, or it is not sure of which table a name is.
    """
    return _parsed(text, query=True, of=lambda tree: _query(tree, tables, None))


def indirect(uses: Uses, subtype: str) -> Uses:
    """The same columns as what only has an influence."""
    return frozenset(use._replace(type=INDIRECT, subtype=subtype) if use.type == DIRECT else use for use in uses)


def through(uses: Uses, subtype: str) -> Uses:
    """The same columns after a further step: what was summed up once is so for good."""
    stronger = {each: max(each, subtype, key=_STRENGTH.index) for each in _STRENGTH}
    return frozenset(use._replace(subtype=stronger[use.subtype]) if use.type == DIRECT else use for use in uses)


def _parsed(text: str, of: Callable[[exp.Expr], _Told], *, query: bool) -> _Told:
    try:
        return of(parse(text, query=query))
    except (StepError, RecursionError) as error:
        raise Untold from error


def _union(parts: Iterable[Uses]) -> Uses:
    return reduce(frozenset.union, parts, NONE)


def _query(node: exp.Expr, known: Mapping[str, Relation], outer: _Scope | None) -> Relation:
    if clause := node.args.get("with_"):
        for part in clause.expressions:
            known = {**known, part.alias: _query(part.this, known, outer)}
    if isinstance(node, exp.Subquery):
        return _sorted(node, _query(node.this, known, outer))
    if isinstance(node, exp.SetOperation):
        return _sorted(node, _set_operation(node, known, outer))
    if not isinstance(node, exp.Select):
        raise Untold
    return _select(node, known, outer)


def _set_operation(node: exp.SetOperation, known: Mapping[str, Relation], outer: _Scope | None) -> Relation:
    left, right = (_query(side, known, outer) for side in (node.this, node.expression))
    if left.columns is None or right.columns is None or len(left.columns) != len(right.columns):
        raise Untold
    rows = left.rows | right.rows
    if not isinstance(node, exp.Union):  # the right side only says which rows of the left one stay, each once
        once = indirect(_union(left.columns.values()), GROUP_BY)
        return Relation(left.columns, rows | once | indirect(_union(right.columns.values()), FILTER))
    pairs = zip(left.columns.items(), right.columns.values(), strict=True)
    columns = {name: uses | others for (name, uses), others in pairs}
    return Relation(columns, rows | (indirect(_union(columns.values()), GROUP_BY) if node.args["distinct"] else NONE))


def _sorted(node: exp.Expr, relation: Relation) -> Relation:
    """A finished query in its order, which names its columns."""
    order = node.args.get("order")
    if not order:
        return relation
    return Relation(relation.columns, relation.rows | _Scope({"": relation}, {}).ordered(order))


def _select(node: exp.Select, known: Mapping[str, Relation], outer: _Scope | None) -> Relation:
    scope = _Scope({}, known, outer)
    joining = [scope.join(each) for each in _sources(node)]
    rows = _union([*joining, *(relation.rows for relation in scope.sources.values())])
    where = node.args.get("where")
    rows |= _union(scope.condition(each) for each in _conjuncts(where.this if where else None))
    outputs = scope.outputs(node)
    columns = {name: scope.value(part) for name, part in outputs.items()}
    if group := node.args.get("group"):
        keys = [scope.named(key, outputs) for key in group.expressions]
        rows |= indirect(_union(map(scope.value, keys)), GROUP_BY)
    for clause in ("having", "qualify"):
        if said := node.args.get(clause):
            rows |= indirect(scope.value(scope.with_outputs(said.this, outputs)), FILTER)
    if node.args.get("distinct"):
        rows |= indirect(_union(columns.values()), GROUP_BY)
    if order := node.args.get("order"):
        rows |= scope.ordered(order, outputs)
    return Relation(columns, rows)


def _sources(node: exp.Select) -> list[exp.Expr]:
    start = node.args.get("from_")
    return [start.this, *(node.args.get("joins") or ())] if start else []


def _conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    if node is None:
        return []
    node = node.unnest()
    return [*_conjuncts(node.this), *_conjuncts(node.expression)] if isinstance(node, exp.And) else [node]


@dataclass
class _Scope:
    """The names that an expression may use: the relations of FROM by their aliases, and of a query around it."""

    sources: dict[str, Relation]
    known: Mapping[str, Relation]
    outer: _Scope | None = None
    merged: dict[str, Uses] = field(default_factory=dict)
    merged_away: set[tuple[str, str]] = field(default_factory=set)

    # What stands in FROM

    def join(self, node: exp.Expr) -> Uses:
        """Add a relation; gives what it is joined by."""
        if not isinstance(node, exp.Join):
            self._add(node)
            return NONE
        before = list(self.sources)
        alias = self._add(node.this)
        on = node.args.get("on")
        uses = indirect(self.value(on), JOIN) if on else NONE
        side = str(node.args.get("side") or "").upper()
        for name in node.args.get("using") or ():
            uses |= indirect(self._merge(name.name, before, alias, side), JOIN)
        return uses

    def _add(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Subquery):
            alias, relation = node.alias, _query(node, self.known, self.outer)
        elif isinstance(node, exp.Table):
            name = ".".join(part.name for part in node.parts)
            if name not in self.known:
                raise Untold
            alias, relation = node.alias or name, self.known[name]
        else:
            raise Untold
        self.sources[alias] = relation
        return alias

    def _merge(self, name: str, before: Sequence[str], newest: str, side: str) -> Uses:
        """One column of both sides, by USING."""
        right = self.of_source(newest, name)
        left = self.merged.get(name) or self._only(name, before)
        both = through(left | right, TRANSFORMATION)
        self.merged[name] = {"RIGHT": right, "FULL": both}.get(side, left)
        self.merged_away.add((newest, name))
        return left | right

    # Names

    def of_source(self, alias: str, name: str) -> Uses:
        """A column of the relation of an alias."""
        if alias not in self.sources:
            if self.outer is None:
                raise Untold
            return self.outer.of_source(alias, name)
        uses = self.sources[alias].find(name)
        if uses is None:
            raise Untold
        return uses

    def _only(self, name: str, aliases: Iterable[str]) -> Uses:
        """The column of this name of the one relation that has it."""
        found = [(relation, relation.find(name)) for relation in map(self.sources.__getitem__, aliases)]
        there = [uses for _, uses in found if uses is not None]
        if not there and self.outer:
            return self.outer.column(name)
        is_sure = len(found) == 1 or all(relation.columns is not None for relation, _ in found)
        if len(there) != 1 or not is_sure:
            raise Untold
        return there[0]

    def column(self, name: str, alias: str = "") -> Uses:
        """What a name stands for."""
        if alias:
            return self.of_source(alias, name)
        return self.merged[name] if name in self.merged else self._only(name, self.sources)

    def _has(self, name: str) -> bool:
        return name in self.merged or any(relation.find(name) is not None for relation in self.sources.values())

    def named(self, node: exp.Expr, outputs: Mapping[str, exp.Expr], *, outputs_first: bool = False) -> exp.Expr:
        """What a number or the name of an output stands for in GROUP BY and ORDER BY."""
        if isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit():
            numbered = dict(enumerate(outputs.values(), 1))
            if int(node.this) not in numbered:
                raise Untold
            return numbered[int(node.this)]
        if isinstance(node, exp.Column) and not node.table and node.name in outputs:
            return outputs[node.name] if outputs_first or not self._has(node.name) else node
        return node

    def with_outputs(self, node: exp.Expr, outputs: Mapping[str, exp.Expr]) -> exp.Expr:
        """A condition over groups, whose names may be those of outputs."""
        found = exp.Paren(this=node.copy())
        for column in list(found.find_all(exp.Column)):
            column.replace(self.named(column, outputs).copy())
        return found

    def ordered(self, order: exp.Order, outputs: Mapping[str, exp.Expr] | None = None) -> Uses:
        """What an ORDER BY goes by."""
        parts = [self.named(part.this, outputs or {}, outputs_first=True) for part in order.expressions]
        return indirect(_union(self.value(part) for part in parts if not isinstance(part, exp.Literal)), SORT)

    # What is selected

    def outputs(self, node: exp.Select) -> dict[str, exp.Expr]:
        """The parts of a SELECT by their names; stars become the columns that they stand for."""
        found: dict[str, exp.Expr] = {}
        for part in node.expressions:
            star = part.this if isinstance(part, exp.Column) else part
            if isinstance(star, exp.Star):
                found |= self._all(part.table if isinstance(part, exp.Column) else "")
            else:
                found[part.alias_or_name] = part.unalias()
        return found

    def _all(self, alias: str) -> dict[str, exp.Expr]:
        found: dict[str, exp.Expr] = {}
        for source in [alias] if alias else self.sources:
            columns = self.sources[source].columns if source in self.sources else None
            if columns is None:
                raise Untold
            for name in columns:
                if alias or (source, name) not in self.merged_away:
                    is_merged = name in self.merged and not alias
                    found[name] = exp.column(name, table=None if is_merged else exp.to_identifier(source, quoted=True))
        return found

    # Expressions

    def condition(self, node: exp.Expr) -> Uses:
        """A part of WHERE: one over several relations joins them."""
        names = {".".join(part.name for part in column.parts[:-1]) for column in node.find_all(exp.Column)}
        joins = isinstance(node, exp.EQ) and len(names) > 1
        return indirect(self.value(node), JOIN if joins else FILTER)

    def value(self, node: exp.Expr) -> Uses:
        """What an expression uses."""
        for kind, tell in _KINDS:
            if isinstance(node, kind):
                return tell(self, node)
        return through(self._parts(node.iter_expressions()), TRANSFORMATION)

    def named_column(self, node: exp.Column) -> Uses:
        """What stands for a column."""
        if isinstance(node.this, exp.Star):
            return NONE
        return self.column(node.name, ".".join(part.name for part in node.parts[:-1]))

    def subquery(self, node: exp.Query) -> Uses:
        """A query as a value."""
        inner = _query(node, self.known, self)
        return through(_union((inner.columns or {}).values()), TRANSFORMATION) | inner.rows

    def filtered(self, node: exp.Filter) -> Uses:
        """An aggregate of some rows."""
        return self.value(node.this) | indirect(self.value(node.expression), FILTER)

    def window(self, node: exp.Window) -> Uses:
        """A function over a window."""
        order = node.args.get("order")
        parts = [*(node.args.get("partition_by") or ()), *([order] if order else ())]
        return self.value(node.this) | indirect(self._parts(parts), WINDOW)

    def _parts(self, nodes: Iterable[exp.Expr]) -> Uses:
        return _union(self.value(node) for node in nodes)

    def exists(self, node: exp.Exists) -> Uses:
        """What decides whether a query has a row; what it selects does not matter."""
        inner = node.this.copy()
        if not isinstance(inner, exp.Select):
            raise Untold
        inner.set("expressions", [exp.alias_(exp.Literal.number(1), "found")])
        return _query(inner, self.known, self).rows

    def case(self, node: exp.Case) -> Uses:
        """CASE: what decides, and what is chosen."""
        deciding = [each.this for each in node.args["ifs"]] + ([node.this] if node.this else [])
        chosen = [each.args["true"] for each in node.args["ifs"]]
        chosen += [node.args["default"]] if node.args.get("default") else []
        return indirect(self._parts(deciding), CONDITIONAL) | through(self._parts(chosen), TRANSFORMATION)

    def call(self, node: exp.Anonymous) -> Uses:
        """A function by its name."""
        name, arguments = str(node.this).lower(), node.expressions
        if name == "if" and arguments:
            return indirect(self.value(arguments[0]), CONDITIONAL) | through(self._parts(arguments[1:]), TRANSFORMATION)
        known = FUNCTIONS.get(name)
        if known is None:
            raise Untold
        return through(self._parts(arguments), AGGREGATION if known.kind == "aggregate" else TRANSFORMATION)


_KINDS: tuple[tuple[type[exp.Expr], Callable[[_Scope, Any], Uses]], ...] = (
    (exp.Paren, lambda scope, node: scope.value(node.this)),
    (exp.Column, _Scope.named_column),
    (exp.Exists, _Scope.exists),
    (exp.Query, _Scope.subquery),
    (exp.Case, _Scope.case),
    (exp.Anonymous, _Scope.call),
    (exp.Filter, _Scope.filtered),
    (exp.Window, _Scope.window),
)
"""What there is to say of a kind of expression besides that it is made of its parts."""
