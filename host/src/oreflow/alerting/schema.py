"""The JSON Schema of what a declaration says of alerts: `alerts:`, and `monitoring.alert_thresholds`."""

from __future__ import annotations

from typing import Any

from oreflow.alerting.declared import EVENTS, SEVERITIES
from oreflow.factory import ProcessorFactory
from oreflow.quantities import time_schema


def thresholds_schema() -> dict[str, Any]:
    """The JSON Schema of `monitoring.alert_thresholds`."""
    return {
        "type": "object",
        "description": "rules in short: what a figure may be at the most (data_quality_score: at the least)",
        "additionalProperties": {"type": "number", "description": "a number, such as 0.05"},
    }


def schema(factory: ProcessorFactory) -> dict[str, Any]:
    """The JSON Schema of the section, for the channels that are installed."""
    rules = {
        "when": {"type": "string", "description": "a condition, such as error_rate > 5% for 2 runs"},
        "event": {  # not `on`, which YAML 1.1 takes for true
            "description": "what happens in a run, or several such things",
            "type": ["string", "array"],
            "minItems": 1,
            "items": {"type": "string", "description": "an event"},
            "examples": list(EVENTS),
        },
        "tables": {
            "description": "the tables that it is about, or patterns such as silver.*; all where not said",
            "oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}],
        },
        "until": {
            "type": ["number", "string"],
            "description": "where a condition, once it holds, holds no more: a number, share or time",
        },
        "severity": {"enum": list(SEVERITIES), "description": "how bad it is: info, warning or critical"},
        "channels": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string"},
            "description": "who is told; every channel where not said",
        },
        "repeat": time_schema("after how long an alert that goes on is told again"),
        "description": {"type": "string", "description": "what it means, and what to do"},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "description": "who is to be told of what",
        "properties": {
            "rules": {
                "type": "object",
                "description": "what is to be told, by the names of rules",
                "propertyNames": {"maxLength": 200, "minLength": 1, "description": "say it in at most 200 characters"},
                "additionalProperties": {"type": "object", "additionalProperties": False, "properties": rules},
            },
            "channels": {
                "type": "object",
                "description": "ways to tell people, by name",
                "additionalProperties": _channel_schema(factory),
            },
            "patience": time_schema("how long the end of a run waits for all channels together"),
        },
    }


def _channel_schema(factory: ProcessorFactory) -> dict[str, Any]:
    known = {"type": {"type": "string", "description": "the kind of channel"}}
    rules = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {
                "additionalProperties": False,
                **metadata.option_schema,
                "properties": {**metadata.option_schema.get("properties", {}), **known},
            },
        }
        for name, (metadata, _) in sorted(factory.alert_channels.items())
    ]
    item: dict[str, Any] = {"type": "object", "required": ["type"], "properties": known}
    return {**item, "allOf": rules} if rules else item
