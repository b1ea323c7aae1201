"""Prints to standard output, which belongs to the host."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="prints",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={"required": ["prints_column"], "properties": {"prints_column": {"type": "string"}}},
)
print("hello from a plugin")  # noqa: T201  the print is the fault


@hookimpl
def processors():
    print("hello from a plugin")  # noqa: T201  the print is the fault
    return [METADATA]


@hookimpl
def create_processor(name, config):
    if name != METADATA.name:
        return None
    from oreflow_hostile_prints.processor import Prints

    return Prints(config)
