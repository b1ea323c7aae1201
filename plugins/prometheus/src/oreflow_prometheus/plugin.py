"""The entry point of oreflow-prometheus: says what it brings, and loads it only when a run asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oreflow.contract import MetricBackend, MetricBackendMetadata, Surroundings
from oreflow.hookspecs import hookimpl
from oreflow.quantities import DURATION

oreflow_api = 1


def _metadata(name: str, description: str, required: list[str], **properties: dict[str, Any]) -> MetricBackendMetadata:
    schema = {"type": "object", "additionalProperties": False, "required": required, "properties": properties}
    return MetricBackendMetadata(name, "0.1.0", description, option_schema=schema)


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, **more, "description": description}


METADATA = [
    _metadata(
        "prometheus",
        "an endpoint that Prometheus scrapes, for a process that runs long",
        [],
        host=_text("the address to listen at; 0.0.0.0 for all of this machine", default="127.0.0.1"),
        port={
            "type": "integer",
            "minimum": 0,
            "maximum": 65535,
            "default": 9464,
            "description": "the port to listen at; 0 for any that is free",
        },
        path=_text("the path of the metrics", pattern=r"^/[^\s?#]*$", default="/metrics"),
    ),
    _metadata(
        "pushgateway",
        "metrics for a Pushgateway, which Prometheus scrapes: for jobs that are over too soon to be scraped",
        ["address"],
        address=_text("where the Pushgateway is, such as http://localhost:9091"),
        job=_text("the job of its group; where not said, oreflow_ and the name of the pipeline"),
        grouping={
            "type": "object",
            "propertyNames": {
                "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$",
                "description": "of letters, digits and _",
            },
            "additionalProperties": {"type": ["string", "integer"]},
            "default": {},
            "description": "more labels of its group, such as instance",
        },
        timeout={
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "pattern": DURATION,
            "default": "3s",
            "description": "how long a push may take on the whole: seconds, or a text such as 500ms or 3s",
        },
        username=_text("the user, where the Pushgateway asks for one"),
        password=_text("the user's password"),
    ),
    _metadata(
        "textfile",
        "a file of metrics, for the textfile collector of node_exporter or any other reader",
        [],
        path=_text("the file, from the project's folder; where not said, metrics.prom beside the tables"),
        format={
            "enum": ["prometheus", "openmetrics"],
            "default": "prometheus",
            "description": "its format; node_exporter reads prometheus",
        },
    ),
]


@hookimpl
def metric_backends() -> list[MetricBackendMetadata]:
    """The ways that metrics get to Prometheus."""
    return METADATA


@hookimpl
def create_metric_backend(name: str, options: Mapping[str, Any], surroundings: Surroundings) -> MetricBackend | None:
    """Create one of them."""
    if name == "prometheus":
        from oreflow_prometheus.endpoint import Endpoint

        return Endpoint(options, surroundings)
    if name == "pushgateway":
        from oreflow_prometheus.pushgateway import Pushgateway

        return Pushgateway(options, surroundings)
    if name == "textfile":
        from oreflow_prometheus.textfile import Textfile

        return Textfile(options, surroundings)
    return None
