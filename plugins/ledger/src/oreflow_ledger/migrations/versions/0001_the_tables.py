"""The tables. They stand here as they were then: what `oreflow_ledger.tables` has may be of a later revision."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_RUN = ("pipeline", "run_id")
_STEP = (*_RUN, "table_name")
_BATCH = (*_STEP, "batch")
_MOMENT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def _column(name: str, kind: Any = sa.Text, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, autoincrement=False)


def _table(name: str, parent: str, of: tuple[str, ...], key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    """Make a table whose rows go with those of another one."""
    op.create_table(
        name,
        *(_column(each, sa.BigInteger if each == "batch" else sa.Text) for each in of),
        *columns,
        sa.PrimaryKeyConstraint(*key),
        sa.ForeignKeyConstraint(of, [f"{parent}.{each}" for each in of], ondelete="CASCADE"),
    )


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "oreflow_runs",
        _column("pipeline"),
        _column("run_id"),
        _column("lake"),
        _column("status"),
        _column("started_at", _MOMENT),
        _column("seconds", sa.Double, nullable=True),
        _column("configuration_version", sa.Integer, nullable=True),
        _column("configuration_hash", nullable=True),
        sa.PrimaryKeyConstraint(*_RUN),
    )
    op.create_index("oreflow_runs_by_time", "oreflow_runs", ["pipeline", "started_at"])
    _table(
        "oreflow_plugins",
        "oreflow_runs",
        _RUN,
        (*_RUN, "part", "distribution"),
        _column("part"),
        _column("distribution"),
        _column("version"),
    )
    _table(
        "oreflow_steps",
        "oreflow_runs",
        _RUN,
        _STEP,
        _column("table_name"),
        _column("status"),
        _column("started_at", _MOMENT, nullable=True),
        _column("seconds", sa.Double, nullable=True),
        _column("batch", sa.BigInteger, nullable=True),
        _column("processor", nullable=True),
        _column("engine", nullable=True),
        _column("distribution"),
        _column("version"),
        *_figures(),
        _column("quality_score", sa.Double, nullable=True),
        _column("retries", sa.Integer),
        _column("waited_seconds", sa.Double),
        _column("reason"),
    )
    _table(
        "oreflow_batches",
        "oreflow_steps",
        _STEP,
        _BATCH,
        _column("batch", sa.BigInteger),
        _column("status"),
        _column("started_at", _MOMENT, nullable=True),
        _column("seconds", sa.Double, nullable=True),
        *_figures(),
        _column("rows_replaced", sa.BigInteger),
        _column("quality_score", sa.Double, nullable=True),
        _column("files", sa.Integer),
        _column("bytes", sa.BigInteger),
        _column("files_set_aside", sa.Integer),
        _column("reason"),
    )
    _table(
        "oreflow_checks",
        "oreflow_batches",
        _BATCH,
        (*_BATCH, "rule"),
        _column("rule"),
        _column("rows_broken", sa.BigInteger),
        _column("failure"),
    )
    _table(
        "oreflow_schema_changes",
        "oreflow_batches",
        _BATCH,
        (*_BATCH, "column_name"),
        _column("column_name"),
        _column("change"),
        _column("before", nullable=True),
        _column("after", nullable=True),
    )
    _table(
        "oreflow_attempts",
        "oreflow_steps",
        _STEP,
        (*_STEP, "number"),
        _column("number", sa.Integer),
        _column("at", _MOMENT, nullable=True),
        _column("batch", sa.BigInteger, nullable=True),
        _column("resource"),
        _column("kind"),
        _column("attempt", sa.Integer),
        _column("seconds", sa.Double),
        _column("error"),
        _column("detail"),
    )


def _figures() -> list[sa.Column[Any]]:
    names = ("rows_read", "rows_published", "rows_quarantined", "rows_superseded")
    return [_column(name, sa.BigInteger) for name in names]
