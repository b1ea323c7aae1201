"""What is written down of those who make tables: in the reports of runs, and in the lock file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from oreflow.factory import Profile
from oreflow.pipeline.lake import Lake, read_json

_LATEST = 50
"""Runs that are looked back at; what was true before that may no longer be."""


@dataclass(frozen=True)
class Maker:
    """Who made a table last."""

    processor: str
    distribution: str
    version: str


def reports(lake: Lake) -> Iterator[dict[str, Any]]:
    """The reports of the lake's runs, the latest first."""
    files = sorted(lake.runs.glob("*.json"), reverse=True) if lake.runs.is_dir() else []
    for file in files:
        if report := read_json(file):
            yield report


def maker_of(lake: Lake, table: str) -> Maker | None:
    """Who made a table last; None where no run that is remembered did."""
    for report in reports(lake):
        for result in report["tables"]:
            if result["table"] == table and result["status"] == "published" and result.get("distribution"):
                return Maker(result["processor"], result["distribution"], result["version"])
    return None


def lock_path(project: Path, name: str) -> Path:
    """The lock file of the pipeline `config/NAME.yaml`."""
    return project / "config" / f"{name}.lock.json"


def locked_maker_of(lock: Path, table: str) -> Maker | None:
    """Who is to make a table by a lock file; None where there is none, or it does not say."""
    try:
        choice = (read_json(lock) or {})["tables"][table]
        distribution, _, version = choice["origin"].partition(" ")
        return Maker(choice["processor"], distribution, version)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):  # what is wrong with it, a run will say
        return None


def profiles(lake: Lake) -> dict[str, Profile]:
    """How each processor did in the latest runs, by the name of its offer."""
    found: dict[str, Profile] = {}
    for report in reversed(list(islice(reports(lake), _LATEST))):
        for result in report["tables"]:
            if result["processor"] and result["status"] in ("published", "failed"):
                profile = found.setdefault(result["processor"], Profile())
                profile.created += 1
                error = result["reason"] if result["status"] == "failed" else ""
                profile.ran(result["rows_read"], result["seconds"], error)
    return found
