"""Delta Lake as a table format: staged Parquet files become one commit that carries the batch number.

The number travels as an application transaction of the Delta protocol (`txn` action), so that it is
visible exactly when the files are. Commits are made against the version that they were prepared
for and are never rebased: whoever comes second gets a `CommitConflict` and looks again.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.schema import Field
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from oreflow.contract import (
    UNKNOWN_BATCH,
    Columns,
    Commit,
    CommitConflict,
    DataFile,
    DeclarationError,
    Problem,
    StepError,
    Table,
    TableFormat,
)
from oreflow_delta.plugin import METADATA
from oreflow_delta.types import from_delta, to_delta

_APPLICATION = "oreflow"
_BATCH_COLUMN = "_batch_id"
_MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|[\\\n\r\t]")
_CONFIGURATION = {
    "delta.checkpointInterval": "10",  # so that opening a table with a long history stays quick
    "delta.dataSkippingStatsColumns": _BATCH_COLUMN,  # wherever it stands; the default is the first 32 columns
}
_UNDERSTOOD = {"timestampNtz"}
_NO_CLEANUP = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


class DeltaFormat(TableFormat):
    """Tables in the Delta Lake format, on a file system."""

    metadata = METADATA
    _begun_in = 0
    """The process in which deltalake has begun threads, as it does with the first table of any object; 0: in none."""

    def __init__(self) -> None:
        self._opened: dict[Path, _Opened] = {}
        # An opened table moves on with every commit made through it: between the look at its version and the commit
        # no other thread may use it, or a conflict would go unseen. Each has its own lock: one that hangs holds up
        # itself only.
        self._locks: dict[Path, RLock] = {}

    def load(self, path: Path) -> Table | None:
        """See `TableFormat.load`."""
        self._refuse_copy()
        _address(path)
        if not (path / "_delta_log").is_dir():
            return None
        try:
            with self._lock_of(path):
                return self._open(path).snapshot(path)
        except TableNotFoundError:
            return None  # a first commit that was cut off left its log folder empty

    def _begin(self) -> None:
        self._refuse_copy()
        DeltaFormat._begun_in = os.getpid()

    def _refuse_copy(self) -> None:
        """Where deltalake has begun in the process that this one was forked off, it would panic, and an engine hang.

        Raises:
            StepError: it has.
        """
        if self._begun_in not in (0, os.getpid()):
            raise StepError(
                f"this process was forked off process {self._begun_in}, which has worked with tables, and has not its"
                " threads - start it by multiprocessing.get_context('spawn'), or work with tables in such copies alone"
            )

    def _lock_of(self, path: Path) -> RLock:
        return self._locks.setdefault(path, RLock())

    def _open(self, path: Path) -> _Opened:
        """The table at its newest version; of one that was opened before, only what is new in the log is read."""
        birth = _birth(path)
        opened = self._opened.get(path)
        self._begin()
        if opened is None or birth is None or opened.birth != birth:
            opened = self._opened[path] = _Opened(DeltaTable(_address(path)), birth)
        else:
            opened.table.update_incremental()
        return opened

    def commit(self, path: Path, commit: Commit) -> None:
        """See `TableFormat.commit`."""
        properties = CommitProperties(
            custom_metadata={_APPLICATION: json.dumps({"batch": commit.batch, **commit.account})},
            app_transactions=[Transaction(_APPLICATION, commit.batch)],
            max_commit_retries=0,
        )
        adds = [_add(path, file) for file in commit.add]
        self._begin()
        try:
            if commit.base is None:
                create_table_with_add_actions(
                    _address(path),
                    to_delta(commit.columns),
                    adds,
                    mode="error",
                    partition_by=[],
                    configuration=_CONFIGURATION,
                    commit_properties=properties,
                )
            else:
                with self._lock_of(path):
                    self._change(path, commit, adds, properties)
        except CommitFailedError as error:
            raise CommitConflict(f"{path}: {error}") from error
        except DeltaError as error:
            if commit.base is None and "already exists" in str(error):
                raise CommitConflict(f"{path}: {error}") from error
            raise

    def _change(self, path: Path, commit: Commit, adds: list[AddAction], properties: CommitProperties) -> None:
        table = self._open(path).table
        if table.version() != commit.base:
            raise CommitConflict(f"{path} is at version {table.version()}, no longer at {commit.base}")
        new = [] if commit.replace else _new_columns(path, from_delta(table.schema()), commit.columns)
        if new:
            # A commit of its own, before the rows: harmless where the next one never comes, and found done then.
            table.alter.add_columns(new)
            table = self._open(path).table
        # In its overwrite mode deltalake itself removes every file of the version.
        removes = [] if commit.replace else [_remove(file) for file in commit.remove]
        table.create_write_transaction(
            [*removes, *adds],
            "overwrite" if commit.replace else "append",
            to_delta(commit.columns) if commit.replace else table.schema(),
            commit_properties=properties,
            post_commithook_properties=_NO_CLEANUP,
        )

    def account(self, path: Path, batch: int) -> Mapping[str, Any]:
        """See `TableFormat.account`."""
        with self._lock_of(path):
            history = self._open(path).table.history()
        for entry in history:
            account: dict[str, Any] = json.loads(entry.get(_APPLICATION, "{}"))
            if account.pop("batch", None) == batch:
                return account
        return {}


@dataclass
class _Opened:
    """A table that was opened, and its last snapshot."""

    table: DeltaTable
    birth: tuple[int, int] | None
    last: Table | None = None

    def snapshot(self, path: Path) -> Table:
        if self.last is None or self.last.version != self.table.version():
            _refuse_foreign(path, self.table)
            self.last = Table(
                path=path,
                id=str(self.table.metadata().id),
                version=self.table.version(),
                batch=self.table.transaction_version(_APPLICATION) or 0,
                columns=from_delta(self.table.schema()),
                files=_files(self.table),
            )
        return self.last


def _refuse_foreign(path: Path, table: DeltaTable) -> None:
    """What another writer may have made of a table and reading its files alone would get wrong."""
    features = set(table.protocol().reader_features or ()) - _UNDERSTOOD
    if columns := table.metadata().partition_columns:
        features.add(f"partitioned by {', '.join(columns)}")
    if features:
        raise StepError(
            f"the table in {path} was changed by another program, to what oreflow cannot read:"
            f" {', '.join(sorted(features))} - make it anew: move the folder away and run again"
        )


def _address(path: Path) -> str:
    """The folder as deltalake takes it.

    Raises:
        DeclarationError: deltalake would read the path as another one: it takes `a%20b` for `a b`.
    """
    address = str(path.absolute())
    if found := _MISREAD.search(address):
        message = f"a Delta table cannot lie in a folder with {found[0]!r} in its path, which its library misreads"
        raise DeclarationError([Problem(message, ("lake",), "rename the folder, or set `lake:` to another one")])
    return address


def _birth(path: Path) -> tuple[int, int] | None:
    """What tells a table from another one that was made later in the same folder."""
    try:
        status = (path / "_delta_log" / f"{0:020d}.json").stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _files(table: DeltaTable) -> tuple[DataFile, ...]:
    actions = table.get_add_actions(flatten=True)
    columns = {name: actions.column(name).to_pylist() for name in actions.schema.names}
    count = len(columns["path"])
    first = columns.get(f"min.{_BATCH_COLUMN}", [None] * count)
    last = columns.get(f"max.{_BATCH_COLUMN}", [None] * count)
    files = (
        DataFile(path, rows, size, low or 0, high or UNKNOWN_BATCH)
        for path, rows, size, low, high in zip(
            columns["path"], columns["num_records"], columns["size_bytes"], first, last, strict=True
        )
    )
    return tuple(sorted(files, key=lambda file: (file.first_batch, file.path)))


def _add(path: Path, file: DataFile) -> AddAction:
    stats: dict[str, Any] = {"numRecords": file.rows}
    if 0 < file.last_batch < UNKNOWN_BATCH:
        stats |= {
            "minValues": {_BATCH_COLUMN: file.first_batch},
            "maxValues": {_BATCH_COLUMN: file.last_batch},
            "nullCount": {_BATCH_COLUMN: 0},
        }
    modified = int((path / file.path).stat().st_mtime * 1000)
    return AddAction(file.path, file.bytes, {}, modified, True, json.dumps(stats))  # noqa: FBT003  positional in deltalake


def _remove(file: DataFile) -> RemoveAction:
    return RemoveAction(
        path=file.path,
        data_change=True,
        deletion_timestamp=int(time.time() * 1000),
        size=file.bytes,
        partition_values={},
    )


def _new_columns(path: Path, old: Columns, new: Columns) -> list[Field]:
    changed = [name for name in new if name in old and old[name] != new[name]]
    if changed:
        details = ", ".join(f"{name} is {old[name]} and would become {new[name]}" for name in changed)
        raise StepError(
            f"{path.parent.name}.{path.name} cannot change the type of a column: {details}"
            " - give the column a new name, or make the table anew with `oreflow run --full-refresh`"
        )
    return [field for field in to_delta(new).fields if field.name not in old]
