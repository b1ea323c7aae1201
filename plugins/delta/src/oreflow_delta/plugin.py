"""The entry point of oreflow-delta: says what it brings, and loads deltalake only when a table is opened."""

from __future__ import annotations

import sys

from oreflow.contract import Classification, ErrorClass, TableFormat, TableFormatMetadata
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


@hookimpl
def classify_error(error: BaseException) -> Classification | None:
    """What deltalake raised; where it has not been loaded, it has raised nothing."""
    raised = sys.modules.get("deltalake.exceptions")
    if raised is None or not isinstance(error, (raised.DeltaError, OSError)):
        return None
    # Of a store that fails it says all in words, as an error without a number.
    if getattr(error, "errno", None) is None and (found := Classification.of_store_message(str(error))):
        return found
    if isinstance(error, raised.CommitFailedError):
        return Classification.of(ErrorClass.TRANSIENT, not_done=True)  # another writer was first
    if isinstance(error, raised.TableNotFoundError):
        return Classification.of(ErrorClass.CONFIGURATION)
    if isinstance(error, (raised.SchemaMismatchError, raised.DeltaProtocolError)):
        return Classification.of(ErrorClass.DATA)
    return None
