"""The section `lineage` of a declaration: its schema, and what is wrong in it that the schema cannot say."""

from __future__ import annotations

from typing import Any

from oreflow.quantities import time_schema

SECTION = "lineage"
NAMESPACE = "oreflow"
WAIT = "3s"
TIMEOUT = "3s"

_TYPE = {"enum": ["http", "file", "console"], "description": "how events are sent: http, file or console"}
_TEXT = {"type": "string", "minLength": 1}
_OWN: dict[str, dict[str, Any]] = {
    "http": {
        "url": {
            **_TEXT,
            "pattern": r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
            "description": "where the backend is, such as http://localhost:5000",
        },
        "endpoint": {
            **_TEXT,
            "pattern": r"^[^\s/:][^\s:]*$",
            "default": "api/v1/lineage",
            "description": "the path below `url` that takes events",
        },
        "api_key": {**_TEXT, "description": "is sent as the bearer token of each request"},
        "timeout": {**time_schema("how long a request may take on the whole"), "default": TIMEOUT},
    },
    "file": {"path": {**_TEXT, "description": "a file to which each event is added as a line of JSON"}},
    "console": {},
}
_NEEDED = {"http": ["url"], "file": ["path"], "console": []}


def _rule(kind: str) -> dict[str, Any]:
    then = {
        "additionalProperties": False,
        "required": ["type", *_NEEDED[kind]],
        "properties": {"type": _TYPE, **_OWN[kind]},
    }
    return {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": then}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "namespace": {**_TEXT, "default": NAMESPACE, "description": "the namespace of the jobs"},
        "wait": {
            **time_schema("how long a run waits at its end for events that are still to be sent"),
            "default": WAIT,
        },
        "transport": {
            "type": "object",
            "required": ["type"],
            "description": "where events go; where it is not said, as the variables OPENLINEAGE_... have it",
            "properties": {"type": _TYPE},
            "allOf": [_rule(kind) for kind in _OWN],
        },
    },
}
