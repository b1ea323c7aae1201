"""Makes metadata with an impossible stage when it is asked for its processors."""

from oreflow.contract import ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1


@hookimpl
def processors():
    return [
        ProcessorMetadata(
            name="invalid",
            version="1.2.3",
            description="For tests",
            engine="any",
            supported_stages=["platinum"],
            capabilities=["batch", "incremental"],
        )
    ]
