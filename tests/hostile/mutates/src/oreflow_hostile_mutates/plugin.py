"""Changes what the host hands to a step; the option `what` says what."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="mutates",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={
        "required": ["mutates_column"],
        "properties": {
            "mutates_column": {"type": "string"},
            "what": {"enum": ["inputs", "options"]},
            "nested": {"type": "object"},
        },
    },
)


@hookimpl
def processors():
    return [METADATA]


@hookimpl
def create_processor(name, config):
    if name != METADATA.name:
        return None
    from oreflow_hostile_mutates.processor import Mutates

    return Mutates(config)
