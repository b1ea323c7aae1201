"""The entry point of oreflow-metrics: says what it brings, and loads it only when a run asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oreflow.contract import MetricBackend, MetricBackendMetadata, Surroundings
from oreflow.hookspecs import hookimpl
from oreflow.quantities import DURATION

oreflow_api = 1

MEMORY = MetricBackendMetadata(
    "memory",
    "0.1.0",
    "metrics kept in the memory of the process, with queries over a window of time",
    option_schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "keep": {
                "type": ["number", "string"],
                "exclusiveMinimum": 0,
                "pattern": DURATION,
                "default": "1h",
                "description": "how long figures are kept: seconds, or a text such as 15m or 1d",
            },
            "most": {
                "type": "integer",
                "minimum": 1,
                "default": 100_000,
                "description": "how many figures of all series together are kept; the oldest go first",
            },
        },
    },
    can_query=True,
)
JSON = MetricBackendMetadata(
    "json",
    "0.1.0",
    "the newest metrics as a JSON file",
    option_schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "path": {
                "type": "string",
                "minLength": 1,
                "description": "the file, from the project's folder; metrics.json beside the tables where not said",
            },
        },
    },
)


@hookimpl
def metric_backends() -> list[MetricBackendMetadata]:
    """Memory and JSON."""
    return [MEMORY, JSON]


@hookimpl
def create_metric_backend(name: str, options: Mapping[str, Any], surroundings: Surroundings) -> MetricBackend | None:
    """Create one of them."""
    if name == MEMORY.name:
        from oreflow_metrics.memory import MemoryBackend

        return MemoryBackend(options)
    if name == JSON.name:
        from oreflow_metrics.json_file import JsonBackend

        return JsonBackend(options, surroundings)
    return None
