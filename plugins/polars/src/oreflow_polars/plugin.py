"""What the entry point loads: the engine's description, and the way to it. Polars itself is not imported here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from oreflow.contract import Engine, EngineMetadata, ProcessorCapability
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
