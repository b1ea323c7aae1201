"""What a processor is: a pure step from lazy frames to lazy frames, and what should become of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oreflow.contract.engine import Engine
from oreflow.contract.metadata import ProcessingConfig, ProcessingStage, ProcessorMetadata

if TYPE_CHECKING:
    import narwhals as nw

LINEAGE = ("_batch_id", "_source_file", "_source_row")
"""The columns that say where a row came from; the host writes `_batch_id`, the others pass through steps."""

INTERNAL = "_oreflow_"
"""What the names of columns begin with that live only within a step; they are never published or named to a user."""


@dataclass(frozen=True)
class Append:
    """The rows are added to the table."""


@dataclass(frozen=True)
class Overwrite:
    """The rows become the whole table."""


@dataclass(frozen=True)
class Merge:
    """The rows are merged by key (upsert): of all versions of a key, published or new, one stays.

    `order_by` are columns, compared in turn, NULLs lowest; equal ones are told apart by
    `_source_file` and `_source_row`, so that the order of arrival does not matter. `keep` is `last`
    (the highest) or `first` (the lowest).
    """

    keys: tuple[str, ...]
    order_by: tuple[str, ...] = ()
    keep: str = "last"


Mode = Append | Overwrite | Merge


@dataclass(frozen=True)
class Rule:
    """Something that a row may break; a row that breaks any rule goes to quarantine with the rule's name.

    `broken` is a boolean expression over the rows (NULL counts as broken); `reason` is a text
    expression that says what was wrong, with the value.
    """

    name: str
    broken: nw.Expr
    reason: nw.Expr


@dataclass(frozen=True)
class Output:
    """What a processor makes of its inputs; nothing of it has been computed yet.

    `rows`: the candidates. Each is published, unless it breaks one of `rules` or of the table's checks.
    `columns`: those of `rows` that are published (all, where empty); the others serve rules and quarantine.
    `raw`: for the quarantine, its column name -> a column of `rows` (the published ones, where empty).
    `superseded`: the frames before and after each place where rows were set aside in favour of others; the
    host counts both.
    `row_by_row`: each input row becomes at most one row, so that the row account can be held over
    the step; False for aggregates and joins, whose account starts at their own rows.
    """

    rows: nw.LazyFrame[Any]
    columns: Sequence[str] = ()
    rules: Sequence[Rule] = ()
    raw: Mapping[str, str] = field(default_factory=dict)
    superseded: Sequence[tuple[nw.LazyFrame[Any], nw.LazyFrame[Any]]] = ()
    mode: Mode = Append()
    row_by_row: bool = True


@dataclass(frozen=True)
class Step:
    """Where and for what a processor is called: everything that it may need, so that it constructs nothing.

    `history(name)` gives the rows of an input that earlier batches of this table have already seen,
    None where there are none. `started_at` is when the batch was claimed (UTC); it is the same
    when a batch is run again.
    """

    table: str
    stage: ProcessingStage
    batch: int
    started_at: datetime
    options: Mapping[str, Any]
    engine: Engine
    history: Callable[[str], nw.LazyFrame[Any] | None]


class Processor(ABC):
    """A pure step. It opens no file, commits nothing, retries nothing, times nothing: the host does."""

    metadata: ProcessorMetadata

    def __init__(self, config: ProcessingConfig) -> None:
        self.config = config

    @abstractmethod
    def process(self, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        """Turn the new rows of each input, by its name in the declaration, into an `Output`."""
