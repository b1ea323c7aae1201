"""Brings a processor with the name of the one of name-twice-b."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="twice",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={"required": ["twice_column"], "properties": {"twice_column": {"type": "string"}}},
)


@hookimpl
def processors():
    return [METADATA]


@hookimpl
def create_processor(name, config):
    if name != METADATA.name:
        return None
    from oreflow_hostile_name_twice_a.processor import Twice

    return Twice(config)
