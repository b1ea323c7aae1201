"""The database of a ledger: connections, its schema brought up to date, and transactions that are made again at will.

What it raises for the database's sake is a `LedgerError` in plain words, without any password.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from oreflow.contract import OreflowError
from oreflow.secrets import redacted, without
from oreflow_ledger.rows import Row, Rows, plugin_rows, step_rows
from oreflow_ledger.section import Place
from oreflow_ledger.tables import REVISION, VERSION_TABLE, batches, plugins, runs, steps

RUNNING, UNKNOWN = "running", "unknown"
"""The status of a run that is under way, and of one of which there are only the batches that it has published."""
_LOCK = 0x0E0F_10_1ED6E2
"""The advisory lock of PostgreSQL under which the schema is brought up to date; any number that nobody else has."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = threading.Lock()
"""Alembic has one migration at a time in a process."""


class LedgerError(OreflowError):
    """The ledger cannot be read or written now; `says_mend`: the message says what mends it."""

    says_mend = False


class DamagedError(LedgerError):
    """The file of the database is none, or a damaged one."""

    says_mend = True


class NewerError(LedgerError):
    """The database is of a newer version of this package."""


@dataclass(frozen=True)
class Known:
    """What a ledger has of a pipeline: the status of its runs by their ids, the keys of its steps and batches."""

    runs: Mapping[str, str]
    steps: frozenset[tuple[str, str]]
    batches: frozenset[tuple[str, str, int]]


class Ledger:
    """A ledger, as long as its context lasts; of a place in a process the connections are shared.

    Each method is one transaction. Raises `LedgerError` where the database does not do it.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._schema_is_right = False

    def __enter__(self) -> Self:
        with self._told():
            if self._place.file:
                self._place.file.parent.mkdir(parents=True, exist_ok=True)
            self._engine = _Engines.borrow(self._place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        _Engines.give_back(self._place)

    def revision(self) -> str | None:
        """The revision of its schema; None where there is none yet.

        Raises:
            NewerError: it is of a newer version of this package.
        """
        with self._told(), self._begun() as connection:
            found = _revision(connection)
            _refuse_newer(found)
            return found

    def try_to_write(self) -> None:
        """Find that it can be written to; changes nothing. It has its tables."""
        with self._told(), self._begun() as connection:
            connection.execute(sa.delete(runs).where(sa.false()))

    def migrate(self, to: str = "head") -> None:
        """Bring the schema up to date, at the first use; of several processes one does it.

        Raises:
            NewerError: it is of a newer version of this package, and is left as it is.
        """
        if self._schema_is_right:
            return
        with self._told():
            with self._begun() as connection:
                self._schema_is_right = _revision(connection) == REVISION and to == "head"
            if not self._schema_is_right:
                if not _MIGRATING.acquire(timeout=self._place.timeout):
                    raise LedgerError("another thread brings a ledger up to date, and does not come to an end")
                try:
                    with self._begun() as connection:
                        _migrate(connection, to)
                finally:
                    _MIGRATING.release()
                self._schema_is_right = True

    def begin(self, run: Row) -> None:
        """Write down that a run has begun."""
        with self._writing(run):
            pass

    def step(self, run: Row, result: Mapping[str, Any]) -> None:
        """Write a step of a run, with all that belongs to it, in place of what was written of it before."""
        with self._writing(run) as connection:
            self._replace_step(connection, run, result)

    def end(self, run: Row, report: Mapping[str, Any]) -> None:
        """Write how a run has ended, whose steps are written."""
        with self._writing(run) as connection:
            self._replace_plugins(connection, run, report)

    def keep(self, run: Row, report: Mapping[str, Any]) -> None:
        """Write a whole report in place of what was written of the run before."""
        with self._writing(run) as connection:
            connection.execute(sa.delete(steps).where(*_is_of(steps, run, "pipeline", "run_id")))
            for result in report["tables"]:
                self._replace_step(connection, run, result)
            self._replace_plugins(connection, run, report)

    def expire(self, pipeline: str, lake: str) -> None:
        """Delete the runs of a pipeline that have begun before those that are kept."""
        before = self._place.keeps_from
        if before is None:
            return
        of_lake = runs.c.pipeline == pipeline, runs.c.lake == lake
        key = runs.c.pipeline, runs.c.run_id
        # Those that another run is about to delete are left to it, else the two might wait for each other.
        old = sa.select(*key).where(*of_lake, runs.c.started_at < before).with_for_update(skip_locked=True)
        with self._told(), self._begun() as connection:
            connection.execute(sa.delete(runs).where(sa.tuple_(*key).in_(old)))

    def known(self, pipeline: str) -> Known:
        """What it has of a pipeline."""
        with self._told(), self._begun() as connection:

            def found(*columns: sa.Column[Any]) -> Sequence[Any]:
                of_pipeline = columns[0].table.c.pipeline == pipeline
                return connection.execute(sa.select(*columns).where(of_pipeline)).tuples().all()

            return Known(
                dict(found(runs.c.run_id, runs.c.status)),
                frozenset(map(tuple, found(steps.c.run_id, steps.c.table_name))),
                frozenset(map(tuple, found(batches.c.run_id, batches.c.table_name, batches.c.batch))),
            )

    @contextmanager
    def _writing(self, run: Row) -> Iterator[sa.Connection]:
        """A transaction that writes what belongs to a run. The run's row is written first, and locked by that."""
        self.migrate()
        with self._told(), self._begun() as connection:
            connection.execute(_upsert_of_run(connection), run)
            yield connection

    def _replace_step(self, connection: sa.Connection, run: Row, result: Mapping[str, Any]) -> None:
        found = step_rows(run["pipeline"], run["run_id"], result)
        (step,) = found[0][1]
        connection.execute(sa.delete(steps).where(*_is_of(steps, step, "pipeline", "run_id", "table_name")))
        _insert(connection, found)

    def _replace_plugins(self, connection: sa.Connection, run: Row, report: Mapping[str, Any]) -> None:
        connection.execute(sa.delete(plugins).where(*_is_of(plugins, run, "pipeline", "run_id")))
        _insert(connection, plugin_rows(report))

    @contextmanager
    def _begun(self) -> Iterator[sa.Connection]:
        """A transaction; each statement of it is bounded in time."""
        with self._engine.begin() as connection:
            if self._place.file is None:  # for this transaction: a pooler may give the session to somebody else
                milliseconds = str(max(round(self._place.timeout * 1000), 1))
                limit = sa.func.set_config("statement_timeout", milliseconds, sa.true())
                connection.execute(sa.select(limit))
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What a database raises, in plain words: its own may have the statement and its values."""
        fault, is_damaged = "", False
        try:
            yield
        except LedgerError:
            raise
        except (SQLAlchemyError, ImportError, OSError) as error:
            fault, is_damaged = _words(error), _is_of_damage(error)
        if is_damaged:
            mend = f"move {self._place.file} away, and `oreflow runs rebuild` makes it anew"
            raise DamagedError(f"{_discreet(fault, self._place)} - {mend}")
        if fault:  # outside of the handler, so that no traceback leads to the values
            raise LedgerError(_discreet(fault, self._place))


def _insert(connection: sa.Connection, found: Rows) -> None:
    for table, rows in found:
        if rows:
            connection.execute(sa.insert(table), rows)


def _is_of(table: sa.Table, row: Row, *names: str) -> Iterator[sa.ColumnElement[bool]]:
    return (table.c[name] == row[name] for name in names)


def _upsert_of_run(connection: sa.Connection) -> Any:
    """Write a run's row; what is known only in part takes the place of nothing that is known as a whole."""
    insert = postgresql.insert(runs) if connection.dialect.name == "postgresql" else sqlite.insert(runs)
    new = {column.name: insert.excluded[column.name] for column in runs.columns if not column.primary_key}
    said = insert.excluded.status
    counts = said.not_in([RUNNING, UNKNOWN]) | (runs.c.status == said)
    return insert.on_conflict_do_update(index_elements=runs.primary_key.columns, set_=new, where=counts)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    number: sa.ColumnClause[str] = sa.column("version_num")
    return connection.scalar(sa.select(number).select_from(sa.table(VERSION_TABLE)))


def _migrate(connection: sa.Connection, to: str) -> None:
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":  # of SQLite the transaction itself is the lock
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    _refuse_newer(_revision(connection))
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _refuse_newer(revision: str | None) -> None:
    known = {file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py")}
    if revision is not None and revision not in known:
        what = f"its schema has the revision {revision}, and this version of oreflow-ledger knows {REVISION}"
        raise NewerError(f"{what} - upgrade oreflow-ledger here too")


class _Engines:
    """The engines of this process: one for each place, as long as anybody uses it."""

    _lock = threading.Lock()
    _there: dict[tuple[int, str, int], tuple[sa.Engine, int]] = {}  # noqa: RUF012  it is of the process

    @classmethod
    def borrow(cls, place: Place) -> sa.Engine:
        with cls._lock:
            engine, users = cls._there.get(_key(place)) or (_engine(place), 0)
            cls._there[_key(place)] = engine, users + 1
        return engine

    @classmethod
    def give_back(cls, place: Place) -> None:
        with cls._lock:
            engine, users = cls._there.pop(_key(place), (None, 0))
            if engine is not None and users > 1:
                cls._there[_key(place)] = engine, users - 1
                return
        if engine is not None:
            engine.dispose()


def _key(place: Place) -> tuple[int, str, int]:
    return os.getpid(), place.url, place.pool_size  # a copy of the process must not use the connections of this one


def _engine(place: Place) -> sa.Engine:
    if place.file is None:
        arguments = {
            "connect_timeout": max(round(place.timeout), 1),
            "application_name": "oreflow-ledger",
            "prepare_threshold": None,  # a pooler may give the next transaction to another session
        }
        return sa.create_engine(
            place.url,
            connect_args=arguments,
            pool_size=place.pool_size,
            max_overflow=0,
            pool_timeout=place.timeout,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    address = sa.URL.create("sqlite", database=str(place.file))
    arguments = {"timeout": place.timeout, "check_same_thread": False}
    engine = sa.create_engine(address, connect_args=arguments, poolclass=sa.NullPool, hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, which Python's module would do too late
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin as one who writes: one who reads first, and writes then, is refused where another one has written."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _words(error: BaseException) -> str:
    """What a database has said, in one line and without the statement."""
    if isinstance(error, ArgumentError):
        return "this is no address of a database"
    own = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(own).split()) or type(own).__name__


def _is_of_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file is none of its own, or damaged."""
    own = error.orig if isinstance(error, DBAPIError) else None
    return getattr(own, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT")


def _discreet(text: str, place: Place) -> str:
    shown: str = redacted(without(text, place.secrets))
    return shown
