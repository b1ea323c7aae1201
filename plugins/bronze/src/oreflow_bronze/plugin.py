"""The entry point of oreflow-bronze: says what it brings, and loads nothing else."""

from __future__ import annotations

from oreflow.contract import (
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    Processor,
    ProcessorCapability,
    ProcessorMetadata,
)
from oreflow.hookspecs import hookimpl

oreflow_api = 1

METADATA = ProcessorMetadata(
    name="bronze",
    version="0.1.0",
    description="Files as they came: every column as text, append-only, unreadable lines in quarantine",
    engine=ProcessingEngine.ANY,
    supported_stages=[ProcessingStage.BRONZE],
    capabilities=[ProcessorCapability.BATCH, ProcessorCapability.INCREMENTAL, ProcessorCapability.VALIDATION],
    example={
        "options": {},
        "rows": [
            {"id": "1", "name": "Ada", "amount": "12.50", "day": "2026-03-01", "note": "first"},
            {"id": "2", "name": "Grace", "amount": "7,25", "day": "yesterday", "note": None},
            {"id": "2", "name": "Grace", "amount": "7,25", "day": "yesterday", "note": None},
            {"id": None, "name": " Alan ", "amount": "", "day": "2026-03-02", "note": 'said "no", and left'},
        ],
    },
)


@hookimpl
def processors() -> list[ProcessorMetadata]:
    """The one processor of this package."""
    return [METADATA]


@hookimpl
def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
    """Create `bronze`."""
    if name != METADATA.name:
        return None
    from oreflow_bronze.processor import BronzeProcessor

    return BronzeProcessor(config)
