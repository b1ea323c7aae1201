"""What a kind of quality check is. Plugins bring kinds; the host applies them to every table's rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oreflow.contract.engine import Engine
from oreflow.contract.errors import Problem

if TYPE_CHECKING:
    import narwhals as nw


@dataclass(frozen=True)
class Check:
    """A check as declared. `options` are the keys of its own kind.

    `action` is what a failing row brings about: `quarantine` sets the row aside, `warn` only counts it,
    `fail` fails the step. Below `threshold`, the share of passing rows that must be reached, the step
    fails whatever the action. `nulls` says whether a check that comes out NULL passes or fails.
    """

    name: str
    type: str
    action: str
    threshold: float | None = None
    nulls: str = "fail"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckContext:
    """What a kind of check may use.

    `published` are the rows of the table (None: no table yet). For a kind that compares rows, `sound` is the
    name of a boolean column: true where the row breaks no rule that would set it aside.
    """

    engine: Engine
    published: nw.LazyFrame[Any] | None = None
    sound: str = ""


class CheckType(ABC):
    """A kind of check: its name, the JSON Schema of its options, and what of the rest makes sense for it.

    `shared_keys` are the keys that every kind could have and this one does; the others are refused.
    """

    name: str
    description: str
    option_schema: Mapping[str, Any]
    shared_keys: Sequence[str] = ("action", "name", "nulls", "threshold", "type")
    actions: Sequence[str] = ("quarantine", "warn", "fail")
    default_action: str = "quarantine"

    def problems(self, options: Mapping[str, Any], columns: Mapping[str, str]) -> list[Problem]:
        """What is wrong with options that fit the schema.

        `columns` are the table's, with their types as declared; empty where they are not known yet.
        """
        return []


class RowCheck(CheckType):
    """A kind that judges each row.

    `compares_rows`: the judgement of a row depends on other rows of the table. Such a check has no
    meaning where rows replace each other (`Merge`), and is refused there.
    """

    compares_rows: bool = False

    @abstractmethod
    def mark(self, rows: nw.LazyFrame[Any], result: str, check: Check, context: CheckContext) -> nw.LazyFrame[Any]:
        """Add a boolean column named `result`: True where the row passes, False or NULL where not."""

    @abstractmethod
    def reason(self, check: Check, columns: Mapping[str, nw.dtypes.DType]) -> nw.Expr:
        """A text expression for a failing row: what was expected and what was found.

        `columns` are those of the rows; `text_of` gives a value the same text on every engine.
        """


class TableCheck(CheckType):
    """A kind that judges the batch as a whole, once its rows are counted."""

    shared_keys = ("action", "name", "type")
    actions = ("fail", "warn")
    default_action = "fail"

    @abstractmethod
    def verdict(self, check: Check, rows_published: int) -> tuple[bool, str]:
        """Whether the batch passes, and the figures in words."""
