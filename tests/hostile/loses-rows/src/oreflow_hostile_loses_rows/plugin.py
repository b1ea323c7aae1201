"""Filters rows out of a step without saying so."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="loses_rows",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={"required": ["loses_rows_column"], "properties": {"loses_rows_column": {"type": "string"}}},
)


@hookimpl
def processors():
    return [METADATA]


@hookimpl
def create_processor(name, config):
    if name != METADATA.name:
        return None
    from oreflow_hostile_loses_rows.processor import LosesRows

    return LosesRows(config)
