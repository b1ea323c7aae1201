"""The lock file of a pipeline: which processor, of which distribution and version, makes each table.

With a lock, installing or upgrading a package changes nothing silently: a run whose choices are others than those
that were locked stops before it begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oreflow.contract import API_VERSION, DeclarationError, Problem
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.plan import PlannedTable

_OF_THE_ENGINE = ("processor", "engine_origin")


def locked_choices(pipeline: Pipeline, planned: Sequence[PlannedTable], factory: ProcessorFactory) -> dict[str, Any]:
    """What a lock file says: for each table who makes it and with which options."""
    return {
        "pipeline": pipeline.name,
        "api": API_VERSION,
        "table_format": {"name": "delta", "origin": factory.origin("table format", "delta")},
        "around_each_step": [plugin.origin for plugin in factory.wrappers],
        "tables": {
            table.spec.name: {
                "processor": table.selection.offer.name,
                "origin": table.selection.offer.origin,
                "engine": table.selection.offer.engine,
                "engine_origin": factory.origin("engine", table.selection.offer.engine),
                "options": dict(table.config.options),
                "checks": {kind: factory.origin("check type", kind) for kind in sorted(set(table.config.checks))},
            }
            for table in planned
        },
    }


def write_lock(path: Path, choices: Mapping[str, Any]) -> None:
    """Write a lock file.

    Raises:
        DeclarationError: it cannot be written.
    """
    try:
        path.write_text(_text(choices) + "\n", encoding="utf-8")
    except OSError as error:
        raise DeclarationError([Problem(f"{path} cannot be written: {error.strerror}")]) from error


def differences(path: Path, choices: Mapping[str, Any], only: Sequence[str] = ()) -> list[Problem]:
    """What is another choice than the lock file's; nothing where there is no lock. `only` limits it to some tables.

    Raises:
        DeclarationError: the lock file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        locked = json.loads(text)
        pairs = list(_pairs(locked, json.loads(_text(choices)), only))  # as a file would have them
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"the lock file cannot be read: {type(error).__name__}: {error}"
        raise DeclarationError([Problem(message, mend="write it anew: oreflow lock", file=str(path))]) from error
    return [
        Problem(f"{what} was locked as {_show(was)} and is now {_show(now)}", mend=_mend(what, was), file=path.name)
        for what, was, now in pairs
        if was != now
    ]


def _mend(what: str, was: Any) -> str:
    choose = f"say `--engine {was}`, or " if what.startswith("engine of ") else ""
    return f"{choose}`oreflow lock` takes the new choice as the right one"


def _text(choices: Mapping[str, Any]) -> str:
    return json.dumps(choices, indent=2, sort_keys=True, default=str)


def _pairs(locked: Mapping[str, Any], now: Mapping[str, Any], only: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
    yield "the API", locked["api"], now["api"]
    yield "the table format", locked["table_format"], now["table_format"]
    yield "around each step", locked["around_each_step"], now["around_each_step"]
    for table in dict.fromkeys([*locked["tables"], *now["tables"]]):
        if only and table not in only:
            continue
        before, after = locked["tables"].get(table), now["tables"].get(table)
        if before is None or after is None:
            yield f"table {table}", "declared" if before else None, "declared" if after else None
            continue
        for key in dict.fromkeys([*before, *after]):
            if key in _OF_THE_ENGINE and before["engine"] != after["engine"]:
                continue  # with another engine these are others anyway
            yield f"{key.replace('_', ' ')} of {table}", before.get(key), after.get(key)


def _show(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
