"""The entry point of oreflow-influxdb: says what it brings, and loads it only when a run asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oreflow.contract import MetricBackend, MetricBackendMetadata, Surroundings
from oreflow.hookspecs import hookimpl
from oreflow.quantities import DURATION, SIZE

oreflow_api = 1


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


METADATA = MetricBackendMetadata(
    "influxdb",
    "0.1.0",
    "metrics for InfluxDB 1 and 2, kept on disk while it is away",
    option_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["address"],
        "properties": {
            "address": _text("where InfluxDB is, such as http://localhost:8086"),
            "database": _text("of InfluxDB 1: the database"),
            "username": _text("of InfluxDB 1: the user, where it asks for one"),
            "password": _text("of InfluxDB 1: the user's password"),
            "bucket": _text("of InfluxDB 2: the bucket"),
            "org": _text("of InfluxDB 2: the organization that the bucket belongs to"),
            "token": _text("of InfluxDB 2: a token that may write to the bucket"),
            "timeout": {
                "type": ["number", "string"],
                "exclusiveMinimum": 0,
                "pattern": DURATION,
                "default": "3s",
                "description": "how long a write may take on the whole: seconds, or a text such as 500ms or 3s",
            },
            "batch": {
                "type": "integer",
                "minimum": 1,
                "default": 5000,
                "description": "how many points go into one request at the most",
            },
            "buffer": {
                "type": "string",
                "pattern": SIZE,
                "default": "16 MiB",
                "description": "how much is kept on disk at the most while InfluxDB is away, such as 16 MiB",
            },
            "tags": {
                "type": "object",
                "propertyNames": {"minLength": 1, "description": "a tag has a name"},
                "additionalProperties": {"type": ["string", "integer"]},
                "default": {},
                "description": "tags that each point has besides its labels",
            },
        },
    },
)


@hookimpl
def metric_backends() -> list[MetricBackendMetadata]:
    """InfluxDB, by both of its interfaces."""
    return [METADATA]


@hookimpl
def create_metric_backend(name: str, options: Mapping[str, Any], surroundings: Surroundings) -> MetricBackend | None:
    """Create it."""
    if name != METADATA.name:
        return None
    from oreflow_influxdb.backend import InfluxBackend

    return InfluxBackend(options, surroundings.folder)
