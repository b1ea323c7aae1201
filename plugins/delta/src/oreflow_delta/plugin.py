"""The entry point of oreflow-delta: says what it brings, and loads deltalake only when a table is opened."""

from __future__ import annotations

from oreflow.contract import TableFormat, TableFormatMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1

METADATA = TableFormatMetadata("delta", "0.1.0", "Delta Lake tables; each batch is one atomic commit with its number")


@hookimpl
def table_formats() -> list[TableFormatMetadata]:
    """The one table format of this package."""
    return [METADATA]


@hookimpl
def create_table_format(name: str) -> TableFormat | None:
    """Create `delta`."""
    if name != METADATA.name:
        return None
    from oreflow_delta.format import DeltaFormat

    return DeltaFormat()
