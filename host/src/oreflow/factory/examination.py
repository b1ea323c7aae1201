"""Examining what plugins describe: whether it can be used at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oreflow.contract import CheckType, ProcessorMetadata, SectionMetadata

RESERVED_OPTIONS = (
    "batch_size",
    "checks",
    "description",
    "engine",
    "input",
    "inputs",
    "parallelism",
    "preferred_capabilities",
    "processor",
    "quality_threshold",
    "required_capabilities",
    "source",
)
"""Keys of every table, which no processor's option may be called."""


def fault_of(brings: Mapping[str, Sequence[Any]]) -> str:
    """What cannot be used of what a plugin describes; '' where all can."""
    seen: set[tuple[str, str]] = set()
    for hook, items in brings.items():
        for item in items:
            reason = _unusable(item) if isinstance(item, ProcessorMetadata) else ""
            reason = _unusable_check(item) if isinstance(item, CheckType) else reason
            if not reason and (hook, item.name) in seen:
                reason = f"its {hook} has '{item.name}' twice"
            if reason:
                return reason
            seen.add((hook, item.name))
    return ""


def fault_of_schemas(brings: Mapping[str, Sequence[Any]]) -> str:
    """Which option schema is none; '' where all are. Apart, since it costs more and only what uses options needs it."""
    with_options = ("processors", "check_types", "sections", "metric_backends", "trace_backends", "alert_channels")
    described = [item for kind in with_options for item in brings.get(kind, ())]
    return next((reason for item in described if (reason := _no_schema(item))), "")


def _unusable(metadata: ProcessorMetadata) -> str:
    """What is wrong with what a processor's options are called; '' where nothing is."""
    schema = {"type": "object", **metadata.option_schema}
    properties = schema.get("properties", {})
    if schema["type"] != "object" or not isinstance(properties, Mapping):
        return f"the option schema of '{metadata.name}' does not describe an object"
    if taken := [key for key in properties if key in RESERVED_OPTIONS]:
        return f"its processor '{metadata.name}' has an option '{taken[0]}', which is a key of every table"
    return ""


def _unusable_check(kind: CheckType) -> str:
    """What is wrong with what a kind of check says of itself; '' where nothing is."""
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not name.isidentifier():
        return f"a kind of check is called {name!r}, which is no name"
    if not isinstance(getattr(kind, "option_schema", None), Mapping):
        return f"the check '{name}' has no option_schema"
    if extra := [key for key in kind.shared_keys if key not in CheckType.shared_keys]:
        return f"the check '{name}' shares the key {extra[0]!r}, which no check has"
    wrong = [each for each in (*kind.actions, kind.default_action) if each not in CheckType.actions]
    return f"the check '{name}' has the action {wrong[0]!r}, which there is not" if wrong else ""


def _no_schema(metadata: ProcessorMetadata | CheckType | SectionMetadata) -> str:
    """Why an option schema is no JSON Schema; '' where it is one."""
    if not metadata.option_schema:
        return ""
    import jsonschema_rs

    try:
        jsonschema_rs.Draft202012Validator({"type": "object", **metadata.option_schema}, offline=True)
    except Exception as error:
        return f"the option schema of '{metadata.name}' is no JSON Schema: {' '.join(str(error).split())[:200]}"
    return ""
