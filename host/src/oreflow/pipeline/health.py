"""The section `health` of a declaration: what `oreflow health` looks at, besides what it knows of itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from oreflow.contract import DeclarationError, Problem
from oreflow.quantities import SIZE, bytes_of, lasting, time_schema
from oreflow.validation import did_you_mean

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "what `oreflow health` looks at, besides what it knows of itself",
    "properties": {
        "timeout": time_schema("how long a check may take"),
        "free_space": {
            "type": "string",
            "pattern": SIZE,
            "description": "how much room the lake's disk should have, such as 5 GiB",
        },
        "freshness": {
            "type": "object",
            "description": "how old the last batch of a table may be, by the table's name",
            "additionalProperties": time_schema("how old"),
        },
    },
}


@dataclass(frozen=True)
class Health:
    """What is asked for where somebody looks whether runs would go well.

    `timeout` is how many seconds a check may take, `free_space` how many bytes the lake's disk should have left,
    `freshness` how many seconds old the last batch of a table may be, by the table's name.
    """

    timeout: float = 30.0
    free_space: int = 2**30
    freshness: Mapping[str, float] = field(default_factory=dict, hash=False)


def declared_health(said: Mapping[str, Any], tables: Collection[str], problems: list[Problem]) -> Health:
    """What a section whose form is right says; what is wrong with it is added to `problems`."""
    found: dict[str, float] = {}
    for name, age in said.get("freshness", {}).items():
        path = ("health", "freshness", name)
        if name not in tables:
            problems.append(Problem(f"there is no table '{name}'", path, did_you_mean(name, tables)))
        try:
            found[name] = lasting(age, path)
        except DeclarationError as error:
            problems += error.problems
    own = Health()
    timeout = own.timeout
    try:
        timeout = lasting(said.get("timeout", timeout), ("health", "timeout"))
    except DeclarationError as error:
        problems += error.problems
    space = bytes_of(said["free_space"]) if "free_space" in said else own.free_space
    return Health(timeout, space, found)
