"""The tables of the ledger, as the newest migration leaves them.

Their names begin with `oreflow_`, since a team's database may have others. A run is known by its pipeline and its id:
the id alone has no more than the second and six letters, and several pipelines may share a ledger. What belongs to a
run goes with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

REVISION = "0001"
"""The revision of the schema that these tables are of; the newest in `migrations/versions`."""
VERSION_TABLE = "oreflow_ledger_version"
"""Where a database says its own revision."""

METADATA = sa.MetaData()


class Moment(sa.types.TypeDecorator[datetime]):
    """A moment with its time zone; SQLite has no such type, and keeps a text of ISO 8601 in UTC, to the millisecond."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """See `TypeDecorator.load_dialect_impl`."""
        return dialect.type_descriptor(sa.String(32) if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """See `TypeDecorator.process_bind_param`."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(timespec="milliseconds")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """See `TypeDecorator.process_result_value`."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def _key(name: str, kind: Any = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def _of(parent: str, *names: str) -> sa.ForeignKeyConstraint:
    """That a row goes with the one that it belongs to."""
    return sa.ForeignKeyConstraint(names, [f"{parent}.{name}" for name in names], ondelete="CASCADE")


def _rows(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


_RUN = ("pipeline", "run_id")
_STEP = (*_RUN, "table_name")
_BATCH = (*_STEP, "batch")

runs = sa.Table(
    "oreflow_runs",
    METADATA,
    _key("pipeline"),
    _key("run_id"),
    _text("lake"),
    _text("status"),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("seconds", sa.Double),
    sa.Column("configuration_version", sa.Integer),
    sa.Column("configuration_hash", sa.Text),
    sa.Index("oreflow_runs_by_time", "pipeline", "started_at"),
)
plugins = sa.Table(
    "oreflow_plugins",
    METADATA,
    *map(_key, _RUN),
    _key("part"),
    _key("distribution"),
    _text("version"),
    _of(runs.name, *_RUN),
)
steps = sa.Table(
    "oreflow_steps",
    METADATA,
    *map(_key, _STEP),
    _text("status"),
    sa.Column("started_at", Moment),
    sa.Column("seconds", sa.Double),
    sa.Column("batch", sa.BigInteger),
    sa.Column("processor", sa.Text),
    sa.Column("engine", sa.Text),
    _text("distribution"),
    _text("version"),
    _rows("rows_read"),
    _rows("rows_published"),
    _rows("rows_quarantined"),
    _rows("rows_superseded"),
    sa.Column("quality_score", sa.Double),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("waited_seconds", sa.Double, nullable=False),
    _text("reason"),
    _of(runs.name, *_RUN),
)
batches = sa.Table(
    "oreflow_batches",
    METADATA,
    *map(_key, _STEP),
    _key("batch", sa.BigInteger),
    _text("status"),
    sa.Column("started_at", Moment),
    sa.Column("seconds", sa.Double),
    _rows("rows_read"),
    _rows("rows_published"),
    _rows("rows_quarantined"),
    _rows("rows_superseded"),
    _rows("rows_replaced"),
    sa.Column("quality_score", sa.Double),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("files_set_aside", sa.Integer, nullable=False),
    _text("reason"),
    _of(steps.name, *_STEP),
)
checks = sa.Table(
    "oreflow_checks",
    METADATA,
    *map(_key, _STEP),
    _key("batch", sa.BigInteger),
    _key("rule"),
    _rows("rows_broken"),
    _text("failure"),
    _of(batches.name, *_BATCH),
)
schema_changes = sa.Table(
    "oreflow_schema_changes",
    METADATA,
    *map(_key, _STEP),
    _key("batch", sa.BigInteger),
    _key("column_name"),
    _text("change"),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    _of(batches.name, *_BATCH),
)
attempts = sa.Table(
    "oreflow_attempts",
    METADATA,
    *map(_key, _STEP),
    _key("number", sa.Integer),
    sa.Column("at", Moment),
    sa.Column("batch", sa.BigInteger),
    _text("resource"),
    _text("kind"),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    _text("error"),
    _text("detail"),
    _of(steps.name, *_STEP),
)
