"""Where tables live: the contract of a table format, and the values that describe files and commits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oreflow.contract.metadata import TableFormatMetadata
from oreflow.contract.types import Columns

UNKNOWN_BATCH = 2**62
"""The last batch of a file of which nobody knows the batches; above every real one."""


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table.

    `path` is relative to the table's folder; `rows` and `bytes` are its size; `first_batch` and
    `last_batch` bound the `_batch_id` of its rows (0 and `UNKNOWN_BATCH` where that is not known).
    """

    path: str
    rows: int
    bytes: int
    first_batch: int
    last_batch: int


@dataclass(frozen=True)
class Table:
    """One version of a table, as readers see it.

    `id` tells it from another table that was in the same folder before; `batch` is the last batch published to it.
    """

    path: Path
    version: int
    batch: int
    columns: Columns
    files: tuple[DataFile, ...]
    id: str = ""

    @property
    def rows(self) -> int:
        """How many rows this version has."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class Commit:
    """What one batch changes in a table, all of it or nothing.

    `base` is the version that the change was made against (None: there is no table yet). The files
    of `add` already lie under the table's folder. `columns` is the schema after the commit: with
    `replace` (the files become the whole table) whatever it is, otherwise it may add columns to the
    table's, never change the type of one. `account` is kept with the commit.
    """

    batch: int
    base: int | None
    columns: Columns
    add: Sequence[DataFile] = ()
    remove: Sequence[DataFile] = ()
    replace: bool = False
    account: Mapping[str, Any] = field(default_factory=dict)


class TableFormat(ABC):
    """Turns staged Parquet files into a commit that readers see whole or not at all."""

    metadata: TableFormatMetadata

    @abstractmethod
    def load(self, path: Path) -> Table | None:
        """The newest version of the table in folder `path`; None where there is none."""

    @abstractmethod
    def commit(self, path: Path, commit: Commit) -> None:
        """Publish, as the version after `commit.base`, carrying the batch number in the same atomic step.

        Raises:
            CommitConflict: the table is no longer at `commit.base`; nothing was changed.
            StepError: the table cannot take the columns; says which and why.
        """

    @abstractmethod
    def account(self, path: Path, batch: int) -> Mapping[str, Any]:
        """What was kept with the commit of `batch`; empty where the log no longer has it."""
