"""What is written down of those who make tables: in the reports of runs, and in the lock file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from oreflow.contract import OreflowError, TableFormat
from oreflow.factory import Profile
from oreflow.pipeline.lake import Lake, read_json
from oreflow.pipeline.report import is_report

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
        report = read_json(file)
        if report and is_report(report):
            yield report


def maker_of(lake: Lake, table: str) -> Maker | None:
    """Who made a table last; None where no run that is remembered did."""
    for report in reports(lake):
        for result in report["tables"]:
            if result["table"] == table and result["status"] == "published" and result.get("distribution"):
                return Maker(result["processor"], result["distribution"], result["version"])
    return None


class Ages:
    """How long ago things were in a lake, in seconds; None where they never were, or nobody can tell."""

    def __init__(self, lake: Lake, pipeline: str, tables: Callable[[], TableFormat]) -> None:
        self._lake, self._pipeline, self._tables = lake, pipeline, tables

    def since_batch(self, table: str) -> float | None:
        """How old the last batch of a table is, by when it was claimed."""
        try:
            found = self._tables().load(self._lake.table(table))
        except (OreflowError, OSError):
            return None
        claim = read_json(self._lake.batches(table) / f"{found.batch:06d}.json") if found else None
        return _since(datetime.fromisoformat(claim["claimed_at"])) if claim else None

    def since_run(self, *, succeeded: bool) -> float | None:
        """How long ago the last run of the pipeline ended, or the last that succeeded."""
        for report in reports(self._lake):
            is_over = report["status"] == "success" or (not succeeded and report["status"] != "running")
            if report["pipeline"] == self._pipeline and is_over:
                began = datetime.fromisoformat(report["started_at"])
                return max(_since(began) - float(report["seconds"]), 0.0)
        return None


def _since(moment: datetime) -> float:
    return max((datetime.now(UTC) - moment).total_seconds(), 0.0)


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
