"""How Alembic comes to a ledger: in the transaction that `oreflow_ledger.database` has begun, and no other."""

from __future__ import annotations

from alembic import context

from oreflow_ledger.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
context.run_migrations()
