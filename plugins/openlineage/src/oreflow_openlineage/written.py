"""What the commit of a batch has written, by the log of the Delta table, whose format is open to everybody.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST = 16
"""How many of the latest commits are looked through: after that of a batch there are few until it is told of."""


@dataclass(frozen=True)
class Written:
    """The version of a table that a batch made, and the files that were written for it, with their bytes."""

    version: int
    files: int
    bytes: int


def written(folder: Path, batch: int) -> Written | None:
    """What the commit of a batch wrote into the table in a folder; None where its log does not say."""
    without_files = None
    try:
        for commit in sorted((folder / "_delta_log").glob("*.json"), reverse=True)[:_MOST]:
            actions = list(_actions(commit))
            if all(action.get("txn", {}).get("version") != batch for action in actions):
                continue
            sizes = [action["add"]["size"] for action in actions if "add" in action]
            found = Written(int(commit.stem), len(sizes), sum(sizes))
            if sizes:
                return found
            without_files = without_files or found  # a commit of the same batch may only take files out
    except (OSError, ValueError, KeyError, AttributeError):  # another format, or none
        return None
    return without_files


def _actions(commit: Path) -> Iterator[Mapping[str, Any]]:
    with commit.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
