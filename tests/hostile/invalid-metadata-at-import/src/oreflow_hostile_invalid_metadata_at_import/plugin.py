"""Makes metadata with an impossible stage when it is imported."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="invalid",
    version="1.2.3",
    description="For tests",
    engine="any",
    supported_stages=["platinum"],
    capabilities=["batch", "incremental"],
)


@hookimpl
def processors():
    return [METADATA]
