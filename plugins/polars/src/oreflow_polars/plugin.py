"""What the entry point loads: the engine's description, and the way to it. Polars itself is not imported here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from oreflow.contract import Classification, Engine, EngineMetadata, ErrorClass, ProcessorCapability
from oreflow.hookspecs import hookimpl

oreflow_api = 1

METADATA = EngineMetadata(
    name="polars",
    version="0.1.0",
    description="Polars, inside the process and out of core",
    capabilities=[
        ProcessorCapability.IN_PROCESS,
        ProcessorCapability.OUT_OF_CORE,
    ],
)


@hookimpl
def engines() -> Sequence[EngineMetadata]:
    """Describe the engine."""
    return [METADATA]


@hookimpl
def create_engine(name: str, parallelism: int | None) -> Engine | None:
    """Create the engine; only now is Polars imported, whose pool of threads is made then and never changes."""
    if name != METADATA.name:
        return None
    if parallelism and "polars" not in sys.modules:
        os.environ["POLARS_MAX_THREADS"] = str(parallelism)
    from oreflow_polars.engine import PolarsEngine

    return PolarsEngine(parallelism)


_DECLARED = {
    "ColumnNotFoundError",
    "DuplicateError",
    "SQLInterfaceError",
    "SQLSyntaxError",
    "SchemaFieldNotFoundError",
    "StructFieldNotFoundError",
}
"""Polars' errors that are mended in what was declared; all others are of the data."""


@hookimpl
def classify_error(error: BaseException) -> Classification | None:
    """What Polars raised; where it has not been loaded, it has raised nothing."""
    raised = sys.modules.get("polars.exceptions")
    if raised is None or not isinstance(error, (raised.PolarsError, OSError)):
        return None
    # Of a store or a disk that fails it says all in words, as an error without a number.
    found = Classification.of_store_message(str(error)) if getattr(error, "errno", None) is None else None
    if found or not isinstance(error, raised.PolarsError):
        return found
    declared = not _DECLARED.isdisjoint(base.__name__ for base in type(error).__mro__)
    return Classification.of(ErrorClass.CONFIGURATION if declared else ErrorClass.DATA)
