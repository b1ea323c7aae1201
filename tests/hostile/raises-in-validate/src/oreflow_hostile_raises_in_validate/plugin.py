"""Raises when it is to validate the options of its processor."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="raises_in_validate",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={
        "required": ["raises_in_validate_column"],
        "properties": {"raises_in_validate_column": {"type": "string"}},
    },
)


@hookimpl
def processors():
    return [METADATA]


@hookimpl
def create_processor(name, config):
    if name != METADATA.name:
        return None
    from oreflow_hostile_raises_in_validate.processor import RaisesInValidate

    return RaisesInValidate(config)


@hookimpl
def validate_config(name):
    if name == METADATA.name:
        raise ValueError("validate_config raises")
