"""The entry point of oreflow-opentelemetry: says what it brings, and loads the SDK only when a run asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oreflow.contract import DeclarationError, Problem, Surroundings, TraceBackend, TraceBackendMetadata
from oreflow.hookspecs import hookimpl
from oreflow.quantities import DURATION

oreflow_api = 1

_TEXT = {"type": "string", "minLength": 1}
_SCHEMA = {
    "type": "object",
    "properties": {
        "endpoint": {
            **_TEXT,
            "pattern": "^https?://[^/\\s:]",
            "description": "the collector's address, such as http://localhost:4318, to which /v1/traces is added",
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "headers of each request, such as authorization",
        },
        "timeout": {
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "pattern": DURATION,
            "description": "how long a request may take: seconds, or a text such as 500ms",
        },
        "service": {**_TEXT, "description": "the name of the service that spans are of"},
        "attributes": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "description": "more attributes of the resource that spans are of",
        },
        "sample": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "the share of traces that is kept, where whoever calls has not decided",
        },
        "certificate": {**_TEXT, "description": "a file of certificates that the collector's is checked by"},
    },
}


@hookimpl
def trace_backends() -> list[TraceBackendMetadata]:
    """A collector that is spoken to by OTLP."""
    return [TraceBackendMetadata("otlp", "0.1.0", "spans to a collector, by OTLP over HTTP", _SCHEMA)]


@hookimpl
def create_trace_backend(name: str, options: Mapping[str, Any], surroundings: Surroundings) -> TraceBackend | None:
    """Create it."""
    if name != "otlp":
        return None
    try:
        from oreflow_opentelemetry.otlp import Otlp
    except ImportError:
        raise
    except Exception as error:  # the SDK reads its variables where it is loaded
        mend = "look for what is wrong in the variables OTEL_... of the environment"
        problem = Problem(f"OpenTelemetry cannot be set up: {type(error).__name__}: {error}", (), mend)
        raise DeclarationError([problem]) from error

    return Otlp(options, surroundings)
