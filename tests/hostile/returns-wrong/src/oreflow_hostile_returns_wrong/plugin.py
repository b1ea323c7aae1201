"""Returns from a step what is no proper Output; the option `what` says what."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="returns_wrong",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={
        "required": ["returns_wrong_column"],
        "properties": {
            "returns_wrong_column": {"type": "string"},
            "what": {"enum": ["none", "frame", "eager", "columns", "rules", "mode"]},
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
    from oreflow_hostile_returns_wrong.processor import ReturnsWrong

    return ReturnsWrong(config)
