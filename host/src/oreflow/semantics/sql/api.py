"""The face of oreflow's SQL: what an engine asks for, and what it is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from oreflow.contract import DataType, StepError, is_wildcard
from oreflow.semantics.sql import expressions, queries
from oreflow.semantics.sql.dialect import parse, shown
from oreflow.semantics.sql.expressions import Place, lower, quoted
from oreflow.semantics.sql.values import ENGINES, STRING, Texts, Value, coerced
from oreflow.semantics.words import missing_column

EngineName = Literal["polars", "spark"]


@dataclass(frozen=True)
class Expression:
    """An SQL expression that is understood.

    `kind` is the type of its value, on every engine; `columns` are those that it names and `calls` the functions, in
    the order of the alphabet.
    """

    kind: DataType
    columns: tuple[str, ...]
    calls: tuple[str, ...]
    _texts: Texts

    def render(self, engine: EngineName) -> str:
        """The expression in an engine's own SQL, giving just the type `kind`."""
        return self._texts[ENGINES.index(engine)]


@dataclass(frozen=True)
class Query:
    """A SELECT that is understood.

    `columns` are those of its result with their types, on every engine; `tables` those that it reads.
    """

    columns: Mapping[str, DataType]
    tables: tuple[str, ...]
    calls: tuple[str, ...]
    _texts: Texts

    def render(self, engine: EngineName, names: Mapping[str, str] | None = None) -> str:
        """The query in an engine's own SQL.

        Args:
            engine: whose SQL it is to be.
            names: what the engine calls a table, where that is not its key.
        """
        number = ENGINES.index(engine)
        return re.sub(
            "\1([^\1]*)\1",
            lambda found: quoted((names or {}).get(found[1], found[1]))[number],
            self._texts[number],
        )


class _Row:
    """The columns of a frame, by their names."""

    def __init__(self, columns: Mapping[str, DataType]) -> None:
        self.columns = columns
        self.used: set[str] = set()

    def column(self, node: exp.Column) -> Value:
        if node.table:
            raise StepError(missing_column(".".join(part.name for part in node.parts), self.columns))
        if node.name not in self.columns:
            raise StepError(missing_column(node.name, self.columns))
        self.used.add(node.name)
        return Value(self.columns[node.name], quoted(node.name))

    def subquery(self, node: exp.Expr) -> Value:
        raise StepError(f"'{shown(node)}' is a query, not one value; write an expression")

    def hoisted(self, value: Value) -> Value:
        return value


def scalar(text: str, columns: Mapping[str, DataType]) -> Expression:
    """An expression that is worth something for each row.

    Raises:
        StepError: it cannot be parsed, looks at other rows, names what is not there, or is not the same everywhere.
    """
    return _expression(text, columns, "row")


def measure(text: str, columns: Mapping[str, DataType]) -> Expression:
    """An expression that is worth something for a group of rows.

    Raises:
        StepError: as `scalar`, and where it aggregates nothing.
    """
    return _expression(text, columns, "group")


def columns(texts: Mapping[str, str], kinds: Mapping[str, DataType], *, grouped: bool = False) -> dict[str, Expression]:
    """Expressions by the names of the columns that they are for; `grouped`: each is worth something for a group.

    Raises:
        StepError: as `scalar` and `measure`; names the column.
    """
    parsed = {}
    for name, text in texts.items():
        if is_wildcard(name):
            raise StepError(f"no column can be called '{name}', which stands for other columns")
        try:
            parsed[name] = (measure if grouped else scalar)(text, kinds)
        except StepError as error:
            raise StepError(f"'{name}': {error}") from None
    return parsed


def query(text: str, tables: Mapping[str, Mapping[str, DataType]]) -> Query:
    """A SELECT over tables, which it names by their keys; a key may have the form `layer.table`.

    Raises:
        StepError: as `scalar`, and where it is no SELECT, or names a table that is not there.
    """
    return Query(*queries.lowered(parse(text, query=True), tables))


def _expression(text: str, columns: Mapping[str, DataType], rows: str) -> Expression:
    tree, row, calls = parse(text, query=False), _Row(columns), set[str]()
    if rows == "group" and not expressions.aggregates(tree):
        lower(tree, Place(row))
        raise StepError(f"'{shown(tree)}' is no aggregate; use sum, avg, min, max, count, ...")
    value = lower(tree, Place(row, rows, calls=calls))
    value = coerced(value, STRING if value.kind.name == "null" else value.kind)
    return Expression(value.kind, tuple(sorted(row.used)), tuple(sorted(calls)), value.texts)
