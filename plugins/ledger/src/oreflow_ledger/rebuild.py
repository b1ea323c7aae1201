"""A ledger from what is kept beside the tables: the reports of runs, and what is written down of batches.

Of a run whose report is gone there are the batches that it has published. Its row says `unknown`, and takes the place
of nothing that the ledger knows better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oreflow import api
from oreflow.contract import DeclarationError, Problem
from oreflow_ledger.database import RUNNING, UNKNOWN, Known, Ledger, LedgerError
from oreflow_ledger.plugin import lake_of
from oreflow_ledger.rows import Row, run_row
from oreflow_ledger.section import NAME, Place, place_of

Report = dict[str, Any]


@dataclass(frozen=True)
class Counted:
    """How many there are beside the tables, and how many of them the ledger has lacked."""

    written: int
    missing: int


@dataclass(frozen=True)
class Rebuilt:
    """What became of a pipeline's ledger: `ledger` is its address, without any password."""

    pipeline: str
    ledger: str
    runs: Counted
    steps: Counted
    batches: Counted


def rebuild(project: str, pipeline: str, environment: str | None, options: Sequence[str]) -> Rebuilt:
    """Write all that is kept beside the tables of a pipeline into its ledger.

    Raises:
        DeclarationError: its declaration is wrong, or has no ledger.
        LedgerError: the ledger cannot be written.
    """
    asked: dict[str, Any] = {"pipeline": pipeline, "environment": environment, "options": options}
    around, sections = api.surroundings(project, pipeline, environment=environment, options=options)
    if NAME not in sections:
        raise DeclarationError(
            [Problem(f"{around.pipeline} has no ledger", mend=f"add `{NAME}: {{}}` to its declaration")]
        )
    place = place_of(sections[NAME], around)
    tables = api.tables(project, **asked)
    lake = lake_of(tables[0]["table"], tables[0]["path"])
    reports = [report.to_dict() for report in api.runs(project, **asked)]
    made = {table["table"]: api.batches(project, table["table"], **asked) for table in tables}
    oldest = place.keeps_from
    whole = [
        (run_row(report, lake), report)
        for report in completed(reports, made, around.pipeline)
        if report["status"] != RUNNING  # it writes itself
    ]
    found = [(row, report) for row, report in whole if oldest is None or row["started_at"] >= oldest]
    try:
        return _write(place, around.pipeline, lake, found)
    except LedgerError as error:
        raise LedgerError(f"the ledger {place.shown}: {error}") from error


def _write(place: Place, pipeline: str, lake: str, found: Sequence[tuple[Row, Report]]) -> Rebuilt:
    with Ledger(place) as ledger:
        ledger.migrate()
        known = ledger.known(pipeline)
        for row, report in found:
            if report["status"] != UNKNOWN or known.runs.get(report["run_id"], UNKNOWN) == UNKNOWN:
                ledger.keep(row, report)
        ledger.expire(pipeline, lake)
    return _counted(pipeline, place.shown, [report for _, report in found], known)


def _counted(pipeline: str, ledger: str, reports: Sequence[Report], known: Known) -> Rebuilt:
    runs = {report["run_id"] for report in reports}
    steps = {(report["run_id"], table["table"]): table for report in reports for table in report["tables"]}
    batches = {(*step, batch["batch"]) for step, table in steps.items() for batch in table["batches"]}
    return Rebuilt(
        pipeline,
        ledger,
        Counted(len(runs), len(runs - known.runs.keys())),
        Counted(len(steps), len(steps.keys() - known.steps)),
        Counted(len(batches), len(batches - known.batches)),
    )


def completed(
    reports: Iterable[Report], made: Mapping[str, Sequence[Mapping[str, Any]]], pipeline: str
) -> list[Report]:
    """Reports with the batches that none of them has: of runs whose reports are gone, or by an older version.

    `made` are the batches of each table, as `oreflow.api.batches` gives them.
    """
    found = {report["run_id"]: report for report in reports}
    for table, batches in made.items():
        for batch in batches:
            if run_id := batch.get("run_id"):  # else nothing tells who has made it
                report = found.setdefault(run_id, {**_UNKNOWN, "pipeline": pipeline, "run_id": run_id, "tables": []})
                _add(report, table, batch)
    return list(found.values())


_UNKNOWN: Report = {"status": UNKNOWN, "started_at": "", "seconds": None, "configuration": {}, "plugins": []}


def _add(report: Report, table: str, batch: Mapping[str, Any]) -> None:
    """Add a batch that was published to a report that does not have it."""
    step = next((each for each in report["tables"] if each["table"] == table), None)
    for each in [each for each in step["batches"] if each["batch"] == batch["batch"]] if step else ():
        if each["status"] == "published":
            return
        if each["status"] == RUNNING and step:  # its run was cut off before it could say what became of it
            step["batches"].remove(each)
    entry = {**batch, "status": "published", "started_at": batch["claimed_at"], "seconds": None, "reason": ""}
    if step is None:
        step = {**_NOTHING, "table": table, "batches": [], "events": []}
        report["tables"].append(step)
    step["batches"].append(entry)
    if report["status"] == UNKNOWN:
        _sum(step)


def _sum(step: Report) -> None:
    """The figures of a step of which there are only its batches."""
    batches = step["batches"]
    step["batch"] = batches[-1]["batch"]
    for name in ("read", "published", "quarantined", "superseded"):
        step[f"rows_{name}"] = sum(batch[name] for batch in batches)
    judged = [(batch["score"], batch["published"] + batch["quarantined"]) for batch in batches]
    scores = [(score, rows) for score, rows in judged if score is not None]
    rows = sum(rows for _, rows in scores)
    step["quality_score"] = sum(score * rows for score, rows in scores) / rows if rows else None


_NOTHING: Report = {
    "status": "published",
    "started_at": "",
    "seconds": None,
    "batch": None,
    "processor": None,
    "engine": None,
    "distribution": "",
    "version": "",
    "rows_read": 0,
    "rows_published": 0,
    "rows_quarantined": 0,
    "rows_superseded": 0,
    "quality_score": None,
    "retries": 0,
    "waited_seconds": 0.0,
    "reason": "",
}
