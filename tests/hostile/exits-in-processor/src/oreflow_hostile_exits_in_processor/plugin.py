"""Ends the process from within a step."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="exits",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={"required": ["exits_column"], "properties": {"exits_column": {"type": "string"}}},
)


@hookimpl
def processors():
    return [METADATA]


@hookimpl
def create_processor(name, config):
    if name != METADATA.name:
        return None
    from oreflow_hostile_exits_in_processor.processor import Exits

    return Exits(config)
