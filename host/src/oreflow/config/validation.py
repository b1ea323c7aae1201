"""JSON Schema validation whose every finding is a plain message with its place and a mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from oreflow.contract import Problem

_TYPES = {
    "object": "keys and values",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
}


def validate(data: Any, schema: Mapping[str, Any]) -> list[Problem]:
    """All that is wrong in `data` by a JSON Schema (draft 2020-12), in the order of the keys."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema)
    problems = [problem for error in validator.iter_errors(data) for problem in _problems(error)]
    return sorted(set(problems), key=lambda problem: [str(part) for part in problem.path])


def did_you_mean(word: str, known: Any) -> str:
    """`did you mean 'x'?`, or the list of what there is."""
    names = sorted(str(name) for name in known)
    lower = {name.lower(): name for name in names}
    if close := difflib.get_close_matches(str(word).lower(), lower, 1):
        return f"did you mean '{lower[close[0]]}'?"
    return f"there are {', '.join(names)}" if names else "there are none"


def _problems(error: Any) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    kind, wanted, found = error.validator, error.validator_value, error.instance
    if kind == "additionalProperties":
        yield from _unknown_keys(error, path)
    elif kind == "required":
        missing = [key for key in wanted if key not in found]
        for key in missing:
            hint = error.schema.get("properties", {}).get(key, {}).get("description", "")
            yield Problem(f"'{key}' is missing", path, f"add it: {hint}" if hint else "add it")
    elif kind == "type":
        names = [wanted] if isinstance(wanted, str) else wanted
        yield Problem(f"expected {' or '.join(_TYPES[name] for name in names)}, got {_show(found)}", path)
    elif kind in ("enum", "const"):
        choices = wanted if kind == "enum" else [wanted]
        yield Problem(f"{_show(found)} is not one of the choices", path, did_you_mean(found, choices))
    elif kind in ("oneOf", "anyOf"):
        expected = error.schema.get("description", "something else")
        yield Problem(f"{_show(found)} does not fit", path, f"expected {expected}")
    else:
        expected = error.schema.get("description")
        yield Problem(error.message if kind != "pattern" else f"{_show(found)} does not fit", path, expected or "")


def _unknown_keys(error: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    import re

    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    for key in error.instance:
        if key in known or any(re.search(pattern, key) for pattern in patterns):
            continue
        if patterns and not known:
            yield Problem(f"'{key}' is no name for an entry here", (*path, key), error.schema.get("description", ""))
        else:
            yield Problem(f"unknown key '{key}'", (*path, key), did_you_mean(key, known))


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}'" if isinstance(value, str) else str(value)
