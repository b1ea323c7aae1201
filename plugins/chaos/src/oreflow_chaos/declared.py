"""The section `chaos` of a declaration: its schema, and what only a look at the pipeline can find wrong in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from oreflow.contract import Problem

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "source": ("list", "digest", "read", "scan"),
    "table": ("make", "process", "stage"),
    "lake": ("load", "account", "commit", "read", "write"),
}
"""What is called of each kind of resource; the last of a source and of a table are parts of the call before."""
_PARTS = ("scan", "process", "stage")
EVERY_OPERATION = tuple(dict.fromkeys(name for names in OPERATIONS.values() for name in names))
CALLS = tuple(name for name in EVERY_OPERATION if name not in _PARTS)
"""What is meant where no operation is said: a part is not befallen besides its call."""
OF_PARTS: Mapping[str, tuple[str, str]] = {
    "corrupt_input": ("source", "scan"),
    "wrong_result": ("table", "process"),
    "corrupt_file": ("table", "stage"),
}
"""The faults that damage what a part of a call gives: the kind of resource, and the part."""

_PRODUCTION = "production"
_ERRORS = ("connection_reset", "timeout", "refused", "io", "throttled", "permission", "unknown")
_KINDS = ("exception", "latency", "kill", "disk_full", *OF_PARTS)

_FAULT = {"enum": list(_KINDS), "description": "what goes wrong"}
_COMMON: dict[str, Any] = {
    "fault": _FAULT,
    "resource": {
        "type": "string",
        "minLength": 1,
        "description": "the source, the table or the lake that it befalls, by name or by a pattern such as bronze.*",
    },
    "rate": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "description": "the share of calls that it befalls, above 0 and up to 1",
    },
    "at_most": {"type": "integer", "minimum": 1, "description": "how often it is injected in a run"},
}
_OPERATION = {"operation": {"enum": list(EVERY_OPERATION), "description": "the only calls that it befalls"}}
_WHEN = {"when": {"enum": ["before", "after"], "description": "after: the call is done, and its answer is lost"}}


def _seconds(description: str) -> dict[str, Any]:
    return {"type": "number", "exclusiveMinimum": 0, "description": f"{description}, in seconds"}


_OWN: Mapping[str, dict[str, Any]] = {
    "exception": {
        **_OPERATION,
        **_WHEN,
        "error": {"enum": list(_ERRORS), "description": "which error is raised"},
        "retry_after": _seconds("after what time a throttled call may come again"),
    },
    "latency": {**_OPERATION, "delay": _seconds("how long the call waits")},
    "kill": {**_OPERATION, **_WHEN},
    "disk_full": {**_OPERATION, **_WHEN},
    "corrupt_input": {
        "rows": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "description": "the share of the rows that are read which are damaged, above 0 and up to 1",
        }
    },
    "wrong_result": {},
    "corrupt_file": {},
}
_NEEDED: Mapping[str, tuple[str, ...]] = {"latency": ("delay",), "corrupt_input": ("rows",)}
_ONLY_THROTTLED = {
    "if": {"not": {"properties": {"error": {"const": "throttled"}}, "required": ["error"]}},
    "then": {"properties": {"retry_after": {"not": {}, "description": "only `error: throttled` has it"}}},
}


def _rule(kind: str) -> dict[str, Any]:
    then: dict[str, Any] = {
        "additionalProperties": False,
        "required": ["rate", *_NEEDED.get(kind, ())],
        "properties": {**_COMMON, **_OWN[kind]},
    }
    if kind == "exception":
        then["allOf"] = [_ONLY_THROTTLED]
    return {"if": {"properties": {"fault": {"const": kind}}, "required": ["fault"]}, "then": then}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["faults"],
    "properties": {
        "seed": {"type": "integer", "description": "the same seed and the same calls give the same faults; 0"},
        "in_production": {"type": "boolean", "description": "whether the environment production may have faults too"},
        "faults": {
            "type": "array",
            "description": "a list of faults",
            "items": {
                "type": "object",
                "required": ["fault"],
                "properties": {"fault": _FAULT},
                "allOf": [_rule(kind) for kind in _KINDS],
            },
        },
    },
}


def problems(section: Mapping[str, Any], resources: Mapping[str, str], environment: str) -> list[Problem]:
    """What is wrong in a section whose form is right, in an environment and with the kinds of resources by name."""
    found = []
    if environment == _PRODUCTION and not section.get("in_production", False):
        mend = "take the section away, or say `in_production: true` in it"
        found.append(Problem("faults are not injected in production", ("chaos",), mend))
    for index, fault in enumerate(section["faults"]):
        found += _problems_of(fault, ("chaos", "faults", index), resources)
    return found


def befalls(fault: Mapping[str, Any], resource: str) -> bool:
    """Whether a declared fault is one of a resource, by the resource's name."""
    return fnmatchcase(resource, fault.get("resource", "*"))


def _problems_of(
    fault: Mapping[str, Any], at: tuple[str | int, ...], resources: Mapping[str, str]
) -> Iterator[Problem]:
    matched = {name: kind for name, kind in resources.items() if befalls(fault, name)}
    place = (*at, "resource") if "resource" in fault else at
    if not matched:
        what = f"no resource is called '{fault['resource']}', or fits it as a pattern"
        yield Problem(what, place, f"there are {', '.join(sorted(resources))}")
        return
    if part := OF_PARTS.get(fault["fault"]):
        kind = part[0]
        if kind not in matched.values():
            able = sorted(name for name, each in resources.items() if each == kind)
            what = f"{fault['fault']} befalls a {kind}, and {_listed(matched)} is none"
            yield Problem(what, place, f"there are {', '.join(able)}" if able else f"there is no {kind}")
        return
    operation = fault.get("operation")
    known = dict.fromkeys(name for kind in matched.values() for name in OPERATIONS[kind])
    if operation and operation not in known:
        what = f"{_listed(matched)} is never asked to {operation}"
        yield Problem(what, (*at, "operation"), f"there are {', '.join(known)}")


def _listed(names: Mapping[str, str]) -> str:
    return " or ".join(sorted(names))
