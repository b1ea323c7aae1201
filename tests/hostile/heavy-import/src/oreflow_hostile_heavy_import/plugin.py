"""Imports a heavy library when it is imported, not when it is used."""

import time

import polars as pl  # noqa: F401  the import is the fault

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
_until = time.process_time() + 0.15  # heavy on any machine: some load Polars in less than what is told of
while time.process_time() < _until:
    pass
METADATA = ProcessorMetadata(
    name="heavy",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={"required": ["heavy_column"], "properties": {"heavy_column": {"type": "string"}}},
)


@hookimpl
def processors():
    return [METADATA]


@hookimpl
def create_processor(name, config):
    if name != METADATA.name:
        return None
    from oreflow_hostile_heavy_import.processor import Heavy

    return Heavy(config)
