"""From a SELECT to nested plain ones, which every engine reads alike.

Names are resolved here: each column of each table in FROM gets a name of its own, so that no engine's rules for equal
names matter. What engines do in different places (keys that are computed, HAVING, ORDER BY something that is not
shown) becomes a column of an inner SELECT.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from oreflow.contract import DataType, StepError
from oreflow.semantics.sql import values
from oreflow.semantics.sql.dialect import shown
from oreflow.semantics.sql.expressions import (
    Place,
    aggregates,
    compared,
    condition,
    direction,
    lower,
    quoted,
)
from oreflow.semantics.sql.values import NULL, STRING, Texts, Value, coerced, fill
from oreflow.semantics.words import missing_column

Columns = Mapping[str, DataType]
_CLAUSES = {
    *("with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "qualify", "order", "limit"),
    "offset",
}
_SETS: dict[type[exp.Expr], str] = {exp.Union: "union", exp.Intersect: "intersect", exp.Except: "except"}
_JOINS = {"": "inner", "LEFT": "left", "RIGHT": "right", "FULL": "full"}


@dataclass(frozen=True)
class Relation:
    """A table, or a query that is written down: its columns, and what is said for it in FROM."""

    columns: Columns
    texts: Texts


def lowered(tree: exp.Expr, tables: Mapping[str, Columns]) -> tuple[Columns, tuple[str, ...], tuple[str, ...], Texts]:
    """The columns of a query, its tables and calls, and its texts.

    Raises:
        StepError: it is no SELECT, names what is not there, or is not the same on every engine.
    """
    work = _Queries(tables)
    result = work.query(tree, {})
    texts = result.texts
    if work.shared:
        names = [quoted(name) for name in work.shared]
        parts = [fill("{0} as ({1})", name, said) for name, said in zip(names, work.shared.values(), strict=True)]
        texts = fill("with {0} {1}", _joined(", ", parts), texts)
    return result.columns, tuple(sorted(work.used)), tuple(sorted(work.calls)), texts


def _joined(word: str, parts: list[Texts]) -> Texts:
    return word.join(part[0] for part in parts), word.join(part[1] for part in parts)


def _conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """What stands between the ANDs."""
    if node is None:
        return []
    node = node.unnest()
    return [*_conjuncts(node.this), *_conjuncts(node.expression)] if isinstance(node, exp.And) else [node]


def _own_columns(node: exp.Expr) -> Iterator[exp.Column]:
    """The columns that an expression names, but for those in queries inside of it."""
    for found in node.walk(prune=lambda inner: isinstance(inner, exp.Query)):
        if isinstance(found, exp.Column):
            yield found


def _number(node: exp.Expr | None, what: str) -> int | None:
    if node is None:
        return None
    said = node.expression
    if not isinstance(said, exp.Literal) or said.is_string or not str(said.this).isdigit():
        raise StepError(f"{what} takes a whole number")
    return int(said.this)


@dataclass
class _Queries:
    """One statement: its tables, and what its queries share."""

    tables: Mapping[str, Columns]
    shared: dict[str, Texts] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)

    def query(self, node: exp.Expr, known: Mapping[str, Relation]) -> Relation:
        """A query, with the names that WITH gave to others."""
        known = self._with(node, known)
        if isinstance(node, exp.Subquery):
            inner = self.query(node.this, known)
            return self._shaped(node, inner) if self._is_shaped(node) else inner
        if type(node) in _SETS:
            return self._stacked(node, known)
        if not isinstance(node, exp.Select):
            raise StepError(f"a query must be a SELECT, not '{shown(node)}'")
        return _Select(self, node, known).relation()

    def _with(self, node: exp.Expr, known: Mapping[str, Relation]) -> Mapping[str, Relation]:
        clause = node.args.get("with_")
        if clause is None:
            return known
        if clause.args.get("recursive"):
            raise StepError("a recursive WITH is not on every engine")
        for part in clause.expressions:
            if part.args["alias"].columns:
                raise StepError(f"'{part.alias}(...)': name the columns inside of it, with AS")
            made = self.query(part.this, known)
            name = f"with {len(self.shared) + 1}"
            self.shared[name] = made.texts
            known = {**known, part.alias: Relation(made.columns, quoted(name))}
        return known

    def table(self, node: exp.Table, known: Mapping[str, Relation]) -> Relation:
        """A table, by its name."""
        if not isinstance(node.this, exp.Identifier):
            name = node.this.name if isinstance(node.this, exp.Anonymous) else shown(node.this)
            raise StepError(f"'{name}(...)' in FROM is no table; files are declared as sources, others as inputs")
        name = ".".join(part.name for part in node.parts)
        if name in known:
            return known[name]
        if name not in self.tables:
            close = difflib.get_close_matches(name, [*self.tables, *known], n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise StepError(f"there is no table '{name}'{hint} (tables: {', '.join(sorted(self.tables)) or 'none'})")
        self.used.add(name)
        return Relation(self.tables[name], (f"\1{name}\1", f"\1{name}\1"))

    def _stacked(self, node: exp.Expr, known: Mapping[str, Relation]) -> Relation:
        word = _SETS[type(node)]
        distinct = node.args.get("distinct")
        if not distinct and word != "union":
            raise StepError(f"{word.upper()} ALL is not on every engine; leave ALL out")
        if node.args.get("by_name") or node.args.get("side") or node.args.get("kind"):
            raise StepError(f"{word.upper()} stacks columns by their places; take the other words away")
        sides = [self.query(side, known) for side in (node.this, node.expression)]
        if len(sides[0].columns) != len(sides[1].columns):
            counts = " and ".join(str(len(side.columns)) for side in sides)
            raise StepError(f"the sides of {word.upper()} have {counts} columns")
        pairs = zip(sides[0].columns.items(), sides[1].columns.values(), strict=True)
        kinds = {
            name: values.common([kind, other], f"column '{name}' of {word.upper()}") for (name, kind), other in pairs
        }
        texts = []
        for side in sides:
            listed = [
                fill("{0} as {1}", coerced(Value(found, quoted(own)), kind), quoted(name))
                for (own, found), (name, kind) in zip(side.columns.items(), kinds.items(), strict=True)
            ]
            texts.append(fill("select {0} from ({1}) as {2}", _joined(", ", listed), side.texts, quoted("side")))
        stacked = fill(f"{{0}} {word}{'' if distinct else ' all'} {{1}}", *texts)
        return self._shaped(node, Relation(kinds, stacked))

    @staticmethod
    def _is_shaped(node: exp.Expr) -> bool:
        return any(node.args.get(part) for part in ("order", "limit", "offset"))

    def _shaped(self, node: exp.Expr, inner: Relation) -> Relation:
        """A finished query in its order, cut off; an order names columns of the result."""
        order: list[tuple[str, str]] = []
        for part in node.args["order"].expressions if node.args.get("order") else ():
            name = part.this.name if isinstance(part.this, exp.Column) else ""
            if isinstance(part.this, exp.Literal) and str(part.this.this).isdigit():
                name = dict(enumerate(inner.columns, 1)).get(int(part.this.this), "")
            if name not in inner.columns:
                raise StepError(missing_column(shown(part.this), inner.columns))
            order.append((name, direction(part)))
        return ended(node, inner, tuple(inner.columns), order)


def ended(
    node: exp.Expr, inner: Relation, outputs: tuple[str, ...], order: list[tuple[str, str]], *, only: str = "",
    distinct: bool = False,
) -> Relation:  # fmt: skip
    """The last SELECT: some columns of an inner one, of its rows some, in an order, so many."""
    limit, offset = _number(node.args.get("limit"), "LIMIT"), _number(node.args.get("offset"), "OFFSET")
    if (limit is not None or offset is not None) and not order:
        raise StepError(
            "LIMIT without ORDER BY takes other rows in each run, and a step must be repeatable; say an order"
        )
    columns = {name: inner.columns[name] for name in outputs}
    listed = _joined(", ", [quoted(name) for name in outputs])
    start = "select distinct" if distinct else "select"
    texts = fill("{3} {0} from ({1}) as {2}", listed, inner.texts, quoted("rows"), (start, start))
    if only:
        texts = fill("{0} where {1}", texts, quoted(only))
    if order:
        texts = fill("{0} order by {1}", texts, _joined(", ", [fill(f"{{0}}{way}", quoted(n)) for n, way in order]))
    if limit is not None:
        texts = fill(f"{{0}} limit {limit}", texts)
    if offset:
        texts = fill(f"{{0}} offset {offset}", texts)
    return Relation(columns, texts)


class _Select:
    """One SELECT: the scope of its expressions, and how it is written down."""

    def __init__(self, queries: _Queries, node: exp.Select, known: Mapping[str, Relation]) -> None:
        self.queries, self.known = queries, known
        self.node = node.copy()
        self.sources: dict[str, Relation] = {}
        self.merged: dict[str, Value] = {}
        self.merged_away: set[tuple[str, str]] = set()
        self.extra: dict[str, Value] = {}
        self.from_text: Texts = ("", "")
        self.where: list[Texts] = []

    # ------------------------------------------------------------------------------------------------- the scope

    def column(self, node: exp.Column) -> Value:
        """What a name stands for."""
        name, alias = node.name, ".".join(part.name for part in node.parts[:-1])
        if alias:
            source = self.sources.get(alias)
            if source is None:
                raise StepError(f"there is no table '{alias}' in FROM (tables: {', '.join(self.sources) or 'none'})")
            if name not in source.columns:
                raise StepError(missing_column(name, source.columns))
            return self._own(alias, name)
        if name in self.merged:
            return self.merged[name]
        found = [alias for alias, source in self.sources.items() if name in source.columns]
        if len(found) > 1:
            raise StepError(f"'{name}' is a column of {' and of '.join(found)}; say which: {found[0]}.{name}")
        if not found:
            raise StepError(
                missing_column(name, dict.fromkeys(c for source in self.sources.values() for c in source.columns))
            )
        return self._own(found[0], name)

    def _own(self, alias: str, name: str) -> Value:
        return Value(self.sources[alias].columns[name], quoted(f"{alias}.{name}"))

    def subquery(self, node: exp.Expr) -> Value:
        """The one value that a query in parentheses gives: an aggregate without groups, so that it is one."""
        inner = node.this if isinstance(node, exp.Subquery) else node
        one = isinstance(inner, exp.Select) and len(inner.expressions) == 1 and not inner.args.get("group")
        if not one or not aggregates(inner.expressions[0].unalias()) or inner.args.get("having"):
            raise StepError(f"'{shown(node)}' may give several values; a query as a value is one aggregate, ungrouped")
        if not inner.expressions[0].alias:
            inner = inner.copy()
            inner.set("expressions", [exp.alias_(inner.expressions[0], "value", quoted=True)])
        relation = self.queries.query(inner, self.known)
        (kind,) = relation.columns.values()
        return Value(kind, fill("({0})", relation.texts))

    def hoisted(self, value: Value) -> Value:
        """A computed value as a column of the rows that are selected from."""
        for name, other in self.extra.items():
            if other == value:
                return Value(value.kind, quoted(name))
        name = f"key {len(self.extra) + 1}"
        self.extra[name] = value
        return Value(value.kind, quoted(name))

    # -------------------------------------------------------------------------------------------------- the parts

    def relation(self) -> Relation:
        """The whole of it."""
        odd = [name.rstrip("_") for name, value in self.node.args.items() if value and name not in _CLAUSES]
        if odd:
            raise StepError(f"SELECT with '{odd[0]}' is not on every engine")
        self._read_sources()
        outputs = self._outputs()
        keys = self._keys(outputs)
        having, qualify = self.node.args.get("having"), self.node.args.get("qualify")
        order = self._order(outputs)
        for clause in (having, qualify):
            for column in list(_own_columns(clause)) if clause else ():
                column.replace(self._named(column, outputs))
        grouped = bool(keys or having or any(aggregates(part) for part in [*outputs.values(), *order]))
        grouped = grouped or bool(self.node.args.get("group"))
        for part in [*outputs.values(), *order, *[clause.this for clause in (having, qualify) if clause]]:
            self._qualify(part)
        at = Place(self, "group" if grouped else "row", windows=not grouped, calls=self.queries.calls)
        row = Place(self, calls=self.queries.calls)
        groups = {}
        for key in keys:
            if aggregates(key):
                raise StepError(f"'{shown(key)}' is an aggregate; GROUP BY takes what is known of each row")
            groups[key] = self.hoisted(self._stored(lower(key, row)))
        at = replace(at, keys=groups)
        selected = {name: self._stored(lower(part, at)) for name, part in outputs.items()}
        shown_parts = dict(zip(outputs.values(), outputs, strict=True))
        sorting: list[tuple[str, str]] = []
        distinct = self.node.args.get("distinct")
        for part, way in order.items():
            name = shown_parts.get(part)
            if name is None:
                if distinct:
                    raise StepError(f"'{shown(part)}': of DISTINCT rows, the order names a column that is selected")
                name = f"order {len(sorting) + 1}"
                selected[name] = self._stored(lower(part, at))
            sorting.append((name, way))
        only = self._only(selected, at, having.this if having else None, qualify.this if qualify else None)
        inner = self._select(selected, groups if grouped else None)
        plain = not (sorting or only or distinct) and not self.queries._is_shaped(self.node)  # noqa: SLF001
        return inner if plain else ended(self.node, inner, tuple(outputs), sorting, only=only, distinct=bool(distinct))

    @staticmethod
    def _stored(value: Value) -> Value:
        return coerced(value, STRING if value.kind == NULL else value.kind)

    def _only(self, selected: dict[str, Value], at: Place, having: exp.Expr | None, qualify: exp.Expr | None) -> str:
        """The name of a column that says which rows stay."""
        if having is not None and at.rows != "group":
            raise StepError("HAVING is for groups; use WHERE")
        if qualify is not None and at.rows == "group":
            raise StepError("QUALIFY is for windows, and there are none over groups; take a query in FROM")
        for name, part in (("having", having), ("qualify", qualify)):
            if part is not None:
                selected[f" {name}"] = condition(part, at, name.upper())
                return f" {name}"
        return ""

    def _select(self, selected: Mapping[str, Value], groups: Mapping[exp.Expr, Value] | None) -> Relation:
        rows, where = self.from_text, self.where
        condition_text = fill(" where {0}", _joined(" and ", where)) if where else ("", "")
        if self.extra:
            everything = [
                quoted(f"{alias}.{name}") for alias, source in self.sources.items() for name in source.columns
            ]
            listed = [*everything, *[fill("{0} as {1}", value, quoted(n)) for n, value in self.extra.items()]]
            inner = fill("(select {0}{1}{2}) as {3}", _joined(", ", listed), rows, condition_text, quoted("keyed"))
            rows, condition_text = fill(" from {0}", inner), ("", "")
        listed = [fill("{0} as {1}", value, quoted(name)) for name, value in selected.items()]
        texts = fill("select {0}{1}{2}", _joined(", ", listed), rows, condition_text)
        if groups:
            texts = fill("{0} group by {1}", texts, _joined(", ", list({v.texts: v.texts for v in groups.values()})))
        return Relation({name: value.kind for name, value in selected.items()}, texts)

    def _qualify(self, node: exp.Expr) -> None:
        """Each column with its table, so that the same thing, said twice, is the same."""
        for column in list(_own_columns(node)):
            if isinstance(column.this, exp.Star) or column.table or column.name in self.merged:
                continue
            self.column(column)
            alias = next(alias for alias, source in self.sources.items() if column.name in source.columns)
            column.set("table", exp.Identifier(this=alias))
        for part in node.find_all(exp.Identifier):
            part.set("quoted", value=False)

    def _outputs(self) -> dict[str, exp.Expr]:
        """What is selected, by its names; stars become the columns that they stand for."""
        found: list[tuple[str, exp.Expr]] = []
        for part in self.node.expressions:
            star = part.this if isinstance(part, exp.Column) else part
            if isinstance(star, exp.Star):
                if any(star.args.get(word) for word in ("except_", "replace", "rename")):
                    raise StepError("'*' stands for all columns; name them where some are to be left out")
                found += self._all(part.table if isinstance(part, exp.Column) else "")
            elif isinstance(part, exp.Alias):
                found.append((part.alias, part.this))
            elif isinstance(part, exp.Column):
                found.append((part.name, part))
            else:
                raise StepError(f"'{shown(part)}' needs a name: {shown(part)} as ...")
        names = [name for name, _ in found]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise StepError(f"two columns are called '{twice[0]}'; give one another name, with AS")
        return dict(found)

    def _all(self, alias: str) -> list[tuple[str, exp.Expr]]:
        if alias and alias not in self.sources:
            raise StepError(f"there is no table '{alias}' in FROM (tables: {', '.join(self.sources) or 'none'})")
        if not self.sources:
            raise StepError("'*' stands for the columns of FROM, and there is no FROM")
        named: list[tuple[str, exp.Expr]] = []
        for source in [alias] if alias else self.sources:
            for name in self.sources[source].columns:
                if not alias and (source, name) in self.merged_away:
                    continue
                of = None if name in self.merged and not alias else source
                named.append((name, exp.column(name, table=of)))
        return named

    def _keys(self, outputs: Mapping[str, exp.Expr]) -> list[exp.Expr]:
        clause = self.node.args.get("group")
        if clause is None:
            return []
        odd = [name for name, value in clause.args.items() if value and name != "expressions"]
        if odd or any(isinstance(key, (exp.Rollup, exp.Cube, exp.GroupingSets)) for key in clause.expressions):
            raise StepError("GROUP BY takes columns and expressions only")
        keys = [self._named(key, outputs).unnest() for key in clause.expressions]
        for key in keys:
            self._qualify(key)
        return keys

    def _named(self, node: exp.Expr, outputs: Mapping[str, exp.Expr]) -> exp.Expr:
        """What a number or the name of an output stands for; a column of FROM goes before it."""
        if isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit():
            part = dict(enumerate(outputs.values(), 1)).get(int(node.this))
            if part is None:
                raise StepError(f"there is no column number {node.this}")
            return part.copy()
        named = isinstance(node, exp.Column) and not node.table and node.name in outputs
        if named and not any(node.name in source.columns for source in self.sources.values()):
            return outputs[node.name].copy()
        return node.copy()

    def _order(self, outputs: Mapping[str, exp.Expr]) -> dict[exp.Expr, str]:
        """What the rows are ordered by, each with its direction; the name of an output goes before a column."""
        clause, found = self.node.args.get("order"), dict[exp.Expr, str]()
        for part in clause.expressions if clause else ():
            node = part.this
            if isinstance(node, exp.Column) and not node.table and node.name in outputs:
                node = outputs[node.name].copy()
            else:
                node = self._named(node, outputs)
            self._qualify(node)
            found.setdefault(node.unnest(), direction(part))
        return found

    # --------------------------------------------------------------------------------------------- FROM and WHERE

    def _read_sources(self) -> None:
        start, joins = self.node.args.get("from_"), self.node.args.get("joins") or []
        where = self.node.args.get("where")
        if start is None:
            if where or joins:
                raise StepError("a SELECT without FROM has no WHERE")
            return
        waiting = _conjuncts(where.this if where else None)
        for conjunct in waiting:
            if aggregates(conjunct):
                raise StepError(f"'{shown(conjunct)}' in WHERE looks at other rows; use HAVING")
        texts = [fill(" from {0}", self._source(start.this))]
        inner_only = all(self._side(join) in {"inner", "cross"} for join in joins)
        texts += [self._join(join, waiting if inner_only else []) for join in joins]
        apart = [part for part in waiting if _of_query(part) is not None]
        place = Place(self, calls=self.queries.calls)
        for number, part in enumerate(apart):
            texts.append(self._semi(part, number, place))
        self.where = [condition(part, place, "WHERE").texts for part in waiting if part not in apart]
        self.from_text = _joined("", texts)

    def _source(self, node: exp.Expr) -> Texts:
        """One of FROM, with its columns under names of their own."""
        odd = [name for name, value in node.args.items() if value and name not in {"this", "alias", "db", "catalog"}]
        if odd and not (isinstance(node, exp.Subquery) and odd == ["with_"]):
            raise StepError(f"'{shown(node)}' in FROM says '{odd[0].rstrip('_')}', which is not on every engine")
        clause = node.args.get("alias")
        if clause is not None and clause.columns:
            raise StepError(f"'{shown(node)}': name the columns inside of it, with AS")
        if isinstance(node, exp.Table):
            relation = self.queries.table(node, self.known)
            name, said = node.alias or ".".join(part.name for part in node.parts), relation.texts
        elif isinstance(node, exp.Subquery):
            relation = self.queries.query(node, self.known)
            if not node.alias:
                raise StepError(f"'{shown(node)}' in FROM needs a name: (...) as name")
            name, said = node.alias, fill("({0}) as {1}", relation.texts, quoted("inner"))
        else:
            raise StepError(f"'{shown(node)}' in FROM is no table and no query")
        if name in self.sources:
            raise StepError(f"'{name}' is in FROM twice; give one another name, with AS")
        self.sources[name] = relation
        listed = [fill("{0} as {1}", quoted(column), quoted(f"{name}.{column}")) for column in relation.columns]
        return fill("(select {0} from {1}) as {2}", _joined(", ", listed), said, quoted(name))

    @staticmethod
    def _side(join: exp.Join) -> str:
        odd = [name for name in ("method", "global_", "hint", "match_condition", "expressions") if join.args.get(name)]
        if odd:
            raise StepError(f"'{shown(join)}' is a join that not every engine has; say ON or USING")
        side, kind = str(join.args.get("side") or "").upper(), str(join.args.get("kind") or "").upper()
        if kind == "CROSS" or (not side and not join.args.get("on") and not join.args.get("using")):
            return "cross"
        if kind in {"SEMI", "ANTI"}:
            raise StepError(f"'{kind} JOIN' is not standard SQL; use WHERE [NOT] EXISTS (...)")
        if side not in _JOINS or kind not in {"", "INNER", "OUTER"}:
            raise StepError(f"'{shown(join)}' is a join that not every engine has")
        return _JOINS[side]

    def _join(self, join: exp.Join, waiting: list[exp.Expr]) -> Texts:
        side, before = self._side(join), list(self.sources)
        source = self._source(join.this)
        name = list(self.sources)[-1]
        said = _conjuncts(join.args.get("on"))
        if side in {"inner", "cross"}:
            # Tables between commas are joined by what WHERE says of them.
            said += [part for part in waiting if self._joins(part, name)]
            waiting[:] = [part for part in waiting if not any(part is other for other in said)]
        place = Place(self, calls=self.queries.calls)
        texts = [self._on(part, place) for part in said]
        equal = any(self._joins(part, name) and isinstance(part, exp.EQ) for part in said)
        for merged in join.args.get("using") or ():
            texts.append(self._using(merged.name, before, name, side))
            equal = True
        if not texts:
            return fill(" cross join {0}", source)
        if not equal:
            raise StepError(f"'{shown(join)}' needs a column that is equal to one of the tables before it")
        return fill(f" {'inner' if side == 'cross' else side} join {{0}} on {{1}}", source, _joined(" and ", texts))

    def _joins(self, part: exp.Expr, name: str) -> bool:
        """Whether a condition is about the newest source and one before it, and no other."""
        if _of_query(part) is not None or any(part.find_all(exp.Query)):
            return False
        tables = set()
        for column in _own_columns(part):
            try:
                self.column(column)
            except StepError:
                return False
            alias = ".".join(piece.name for piece in column.parts[:-1])
            found = [alias] if alias else [a for a, source in self.sources.items() if column.name in source.columns]
            tables.add(found[0])
        return name in tables and len(tables) > 1

    def _on(self, part: exp.Expr, place: Place) -> Texts:
        if isinstance(part, exp.EQ):
            return compared("=", lower(part.this, place), lower(part.expression, place), alike=True).texts
        return condition(part, place, "ON").texts

    def _using(self, name: str, before: list[str], newest: str, side: str) -> Texts:
        if name not in self.sources[newest].columns:
            raise StepError(missing_column(name, self.sources[newest].columns))
        holders = [alias for alias in before if name in self.sources[alias].columns]
        if not holders:
            raise StepError(
                missing_column(name, dict.fromkeys(c for alias in before for c in self.sources[alias].columns))
            )
        left, right = self.merged.get(name) or self._own(holders[0], name), self._own(newest, name)
        kind = values.common([left.kind, right.kind], f"USING ({name})")
        both = [coerced(value, kind) for value in (left, right)]
        self.merged[name] = {
            "right": right,
            "full": values.made(kind, "coalesce({0}, {1})", *both),
        }.get(side, left)
        self.merged_away.add((newest, name))
        return compared("=", left, right, alike=True).texts

    def _semi(self, part: exp.Expr, number: int, place: Place) -> Texts:
        """Rows for which a query has a row, or has none."""
        found = _of_query(part)
        if found is None:  # pragma: no cover  it was chosen by that
            raise StepError(shown(part))
        negated, node = found
        if isinstance(node, exp.In):
            if negated:
                raise StepError(f"'{shown(part)}' keeps no row where the query gives a NULL; use NOT EXISTS (...)")
            relation = self.queries.query(node.args["query"], self.known)
            if len(relation.columns) != 1:
                raise StepError(f"'{shown(part)}': the query behind IN gives one column")
            ((name, kind),) = relation.columns.items()
            pairs = [(lower(node.this, place), Value(kind, quoted(f"in {number}.{name}")))]
        else:
            inner = _Select(self.queries, node.this, self.known)
            pairs, relation = inner.correlated(self, number)
        listed = [fill("{0} as {1}", quoted(n), quoted(f"in {number}.{n}")) for n in relation.columns]
        names = (quoted("found"), quoted(f"in {number}"))
        rows = fill("(select {0} from ({1}) as {2}) as {3}", _joined(", ", listed), relation.texts, *names)
        on = _joined(" and ", [compared("=", left, right, alike=True).texts for left, right in pairs])
        return fill(f" left {'anti' if negated else 'semi'} join {{0}} on {{1}}", rows, on)

    def correlated(self, outer: _Select, number: int) -> tuple[list[tuple[Value, Value]], Relation]:
        """The query of an EXISTS: what of the outer row equals what of its own, and the latter as a relation."""
        node = self.node
        odd = [name for name in ("group", "having", "qualify", "limit", "offset", "with_") if node.args.get(name)]
        if odd or not isinstance(node, exp.Select) or node.args.get("from_") is None:
            raise StepError(f"'{shown(node)}': what stands behind EXISTS has FROM and WHERE, and no other clause")
        probe = _Select(self.queries, exp.Select(), self.known)
        for source in [node.args["from_"].this, *[join.this for join in node.args.get("joins") or ()]]:
            probe._source(source)
        where = node.args.get("where")
        outside: list[exp.Expr] = []
        selected: list[exp.Expr] = []
        own: list[exp.Expr] = []
        for part in _conjuncts(where.this if where else None):
            if all(probe.has(column) for column in _own_columns(part)):
                own.append(part)
                continue
            sides = [part.this, part.expression] if isinstance(part, exp.EQ) else []
            inner = [side for side in sides if all(probe.has(column) for column in _own_columns(side))]
            if len(inner) != 1 or any(probe.has(column) for side in sides if side is not inner[0]
                                      for column in _own_columns(side)):  # fmt: skip
                raise StepError(f"'{shown(part)}': a query behind EXISTS meets the row outside by equal columns only")
            outside += [side for side in sides if side is not inner[0]]
            selected.append(exp.alias_(inner[0], f"{len(selected) + 1}", quoted=True))
        if not selected:
            raise StepError(f"'{shown(node)}' says nothing of the row outside; join by a column that is equal")
        node.set("expressions", selected)
        node.set("distinct", None)
        node.set("order", None)
        node.set("where", exp.Where(this=exp.and_(*own)) if own else None)
        relation = _Select(self.queries, node, self.known).relation()
        place = Place(outer, calls=self.queries.calls)
        named = [Value(kind, quoted(f"in {number}.{name}")) for name, kind in relation.columns.items()]
        return [(lower(left, place), right) for left, right in zip(outside, named, strict=True)], relation

    def has(self, column: exp.Column) -> bool:
        """Whether a name is one of this SELECT's sources."""
        alias = ".".join(part.name for part in column.parts[:-1])
        places = [self.sources[alias]] if alias in self.sources else [] if alias else self.sources.values()
        return any(column.name in source.columns for source in places)


def _of_query(part: exp.Expr) -> tuple[bool, exp.Expr] | None:
    """Whether a condition asks a query for a row: if so, whether negated, and the node."""
    negated, node = False, part.unnest()
    while isinstance(node, exp.Not):
        negated, node = not negated, node.this.unnest()
    asks = isinstance(node, exp.Exists) or (isinstance(node, exp.In) and node.args.get("query") is not None)
    return (negated, node) if asks else None
