"""What an engine gives: the few things that narwhals cannot say portably.

Processors never see an engine's own frames. They are handed narwhals lazy frames, and ask the engine
only for casts, SQL expressions or an SQL query; files are read and written by the host through it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.contract.metadata import EngineMetadata
from oreflow.contract.tables import DataFile, Table
from oreflow.contract.types import Columns, DataType

if TYPE_CHECKING:
    import narwhals as nw


@dataclass(frozen=True)
class SourceFile:
    """A raw file. `label` is what `_source_file` says: the path relative to the project where it lies inside it.

    A path that is not UTF-8 has the surrogates of `os.fsdecode` in it; its label shows these bytes escaped.
    """

    path: Path
    label: str


@dataclass(frozen=True)
class Unreadable:
    """A raw file that could not be read at all, and why; `error` where the system refused to give it."""

    label: str
    reason: str
    error: OSError | None = None


@dataclass(frozen=True)
class SourceScan:
    """Raw files as frames.

    `rows`: every readable record, in no order that could be relied on: the source's columns as text, in
    the order of the first header, then `_source_file` (string) and `_source_row` (int64, the 1-based number of the
    line on which the record starts; the header is line 1). An empty unquoted csv field is NULL, a quoted one is ''.
    None where no file has a readable header.
    `rejected`: every line that is no record: `_raw` (its text), `_reason`, `_source_file`, `_source_row`; and
    one row for each file that cannot be read at all, with NULL for `_raw` and `_source_row`. None where it is known
    that there is none.
    `rows_read` is how many records, rejected lines and unreadable files there are, counted apart from `rows`: a number
    or, where counting is work for the engine, a frame of one row and one column with it.
    """

    rows: nw.LazyFrame[Any] | None
    rejected: nw.LazyFrame[Any] | None
    rows_read: int | nw.LazyFrame[Any]
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True)
class Staging:
    """A frame that is to become Parquet files named `{prefix}-*.parquet` in `folder`.

    What an engine writes into before that is in a folder `.{prefix}-*` there, which the next attempt finds swept.
    A frame without rows gives no file. `batch_range` bounds the `_batch_id` of its rows. `batch_size` is how many
    rows a row group of the files has at most (None: as many as the engine likes), and so how many a writer holds.
    """

    frame: nw.LazyFrame[Any]
    folder: Path
    prefix: str
    batch_range: tuple[int, int]
    batch_size: int | None = None


@dataclass(frozen=True)
class Staged:
    """What a `Staging` became: its files (paths relative to the folder) and its columns with their types."""

    files: tuple[DataFile, ...]
    columns: Columns

    @property
    def rows(self) -> int:
        """How many rows the files have, by their footers."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class Executed:
    """The results of one pass: staged files and collected rows, under the names that they were asked for by."""

    staged: Mapping[str, Staged] = field(default_factory=dict)
    collected: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


class Engine(ABC):
    """Runs lazy frames. Frames in and out are narwhals lazy frames over the engine's own.

    The rows of a frame have no order but one that was asked for (`sort`, ORDER BY). What depends on the order of a
    table's rows goes by `_batch_id`, `_source_file` and `_source_row`.
    """

    metadata: EngineMetadata
    remarks: Sequence[str] = ()
    """What of its settings has no effect, and why; each run that uses the engine repeats it."""

    @abstractmethod
    def scan_source(self, files: Sequence[SourceFile], source: Mapping[str, Any]) -> SourceScan:
        """Read raw files as text. `source` is their declaration: `format` and the options of that format.

        Columns are matched by name, file by file; a column that a file lacks is NULL in its rows.
        """

    @abstractmethod
    def scan_table(
        self, table: Table, files: Sequence[DataFile] | None = None, *, file_column: str = ""
    ) -> nw.LazyFrame[Any]:
        """The rows of a table, or of some of its files; `file_column` adds each row's `DataFile.path`."""

    @abstractmethod
    def cast_columns(
        self, frame: nw.LazyFrame[Any], casts: Mapping[str, tuple[str, DataType, str]]
    ) -> nw.LazyFrame[Any]:
        """Add columns: result name -> (text column, type, strptime pattern or '').

        NULL where the text is NULL or is not one of the type, by the rules of docs/reference/semantics.md.
        All read the frame as it was given, so that a result may bear the name of a source. The pattern is
        for `date`, `timestamp` and `timestamp_utc`; without one, ISO 8601.

        Raises:
            StepError: a source is not there or is not text, or the pattern or type cannot be read.
        """

    @abstractmethod
    def distinct(self, frame: nw.LazyFrame[Any], columns: Sequence[str]) -> nw.LazyFrame[Any]:
        """One row of each group of rows that are equal in `columns` (NULL equals NULL).

        It is the first by batch, source file and source row (NULL first), which is the order of a table's rows.
        """

    @abstractmethod
    def with_sql(self, frame: nw.LazyFrame[Any], expressions: Mapping[str, str]) -> nw.LazyFrame[Any]:
        """Add columns: result name -> scalar SQL expression over the columns of the frame as it was given.

        Raises:
            StepError: an expression cannot be parsed, or names a column that is not there.
        """

    @abstractmethod
    def aggregate(
        self, frame: nw.LazyFrame[Any], keys: Mapping[str, str], measures: Mapping[str, str]
    ) -> nw.LazyFrame[Any]:
        """Group by `keys` (name -> scalar SQL expression) and compute `measures` (name -> SQL aggregate).

        The columns are the keys, then the measures; NULL is a group of its own, the order of the rows is
        not defined. Without keys the result is one row, even of no rows.

        Raises:
            StepError: an expression cannot be parsed, names a column that is not there, or a measure is no aggregate.
        """

    @abstractmethod
    def sql(self, query: str, tables: Mapping[str, nw.LazyFrame[Any]]) -> nw.LazyFrame[Any]:
        """The result of a SELECT over frames, which the query names by their keys.

        Raises:
            StepError: it cannot be parsed, or names a table or column that is not there.
        """

    def share(self, frame: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
        """The same rows, computed once although several results are made of them.

        An engine that sees by itself what results have in common gives the frame back as it is.
        """
        return frame

    def release(self) -> None:  # noqa: B027  nothing to do for an engine that keeps nothing
        """Let go of what `share` keeps; the frames that it gave are not used any more."""

    @abstractmethod
    def execute(
        self,
        staging: Mapping[str, Staging],
        collect: Mapping[str, nw.LazyFrame[Any]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Executed:
        """Write and collect several frames, sharing what they have in common; `collect` is for small ones.

        Nothing larger than the engine's own buffers is held in memory for `staging`. `progress` is told now and then,
        on the thread of the call, how many tasks are done of how many; by an engine that knows.

        Raises:
            StepError: the data or an expression makes it impossible; says what, in the user's words.
        """
