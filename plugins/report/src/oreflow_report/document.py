"""The document of a run: all that the page shows, as one JSON value whose form `report.schema.json` gives.

What the run itself has said stands under `run` as it was said; everything else is made of it, of earlier runs and of
the rows that were set aside. The page has no figure of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from typing import Any

from oreflow_report.texts import VALUE, shown
from oreflow_report.verdict import Json, Project, is_before, of_batches, verdict

SCHEMA = 1
"""The version of the document's form. It is raised when a reader of the one before would be misled."""
ROWS = 20
"""Rejected rows of a table that are shown, those that broke most rules first."""
RUNS = 12
"""Earlier runs that a table is compared with: the latest that judged rows of it."""

_EXAMPLES, _KEPT = ", for example ", "; the candidate is kept in "
"""Between these the reason of a batch that its gate refused has rows, with their values."""
_SCORE = "quality_threshold"
"""What closed a gate whose batch as a whole was not good enough."""
_LINEAGE = {"_rules", "_reason", "_batch_id", "_source_file", "_source_row", "_raw", "_refused"}


def describe(
    run: Json, earlier: Sequence[Json], rejected: Mapping[str, Sequence[Json]], project: Project, *, rows: bool = True
) -> Json:
    """The document of a run.

    `run` and `earlier` are reports of runs, as `RunReport.to_dict` gives them, `earlier` the latest first. `rejected`
    has for tables the rows that the run set aside, as `oreflow.api.quarantine` gives them, the worst first. `rows` says
    whether values of rows may be in it.
    """
    run = run if rows else _without_examples(run)
    return {
        "schema": SCHEMA,
        "generator": {"distribution": "oreflow-report", "version": version("oreflow-report")},
        "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run,
        "verdict": verdict(run, earlier, project),
        "totals": _totals(run),
        "flow": _flow(run),
        "quality": list(_quality(run, earlier)),
        "rejected": list(_rejected(run, rejected, project, rows=rows)),
        "timeline": list(_timeline(run)),
        "schema_changes": list(_schema_changes(run)),
    }


def _without_examples(run: Json) -> Json:
    """The report of a run without the rows that reasons of refused batches, and alerts, have in them."""
    tables = []
    for table in run["tables"]:
        batches = [
            {
                **batch,
                "reason": without_rows(batch["reason"]),
                "failures": [{**failure, "samples": []} for failure in batch["failures"]],
            }
            for batch in table["batches"]
        ]
        tables.append({**table, "reason": without_rows(table["reason"]), "batches": batches})
    return {**run, "tables": tables, "alerts": [{**alert, "details": []} for alert in run["alerts"]]}


def without_rows(reason: str) -> str:
    """A reason without the rows that it has as examples."""
    before, found, rest = reason.partition(_EXAMPLES)
    _, kept, folder = rest.rpartition(_KEPT)
    return f"{before}{kept}{folder}" if found else reason


def _refused(table: Json, rejected: Sequence[Json]) -> list[str]:
    """The option that shows the rows of the last batch that was refused; none where none of them is kept any more."""
    batches = [batch["batch"] for batch in table["batches"] if batch["status"] == "refused"]
    is_kept = any(row.get("_refused") for row in rejected)
    return ["--refused", str(batches[-1])] if batches and is_kept else []


def _totals(run: Json) -> Json:
    """Rows over all tables, and how many tables came to which end."""
    figures = {
        kind: sum(table[f"rows_{kind}"] for table in run["tables"])
        for kind in ("read", "published", "quarantined", "superseded")
    }
    states = sorted({table["status"] for table in run["tables"]})
    return figures | {"tables": {state: sum(t["status"] == state for t in run["tables"]) for state in states}}


# Where the rows went


def _flow(run: Json) -> Json:
    """Sources, tables, and what was set aside, with the rows that went from one to the other.

    `rows` of a link is None where nobody counts them: a table that is a sum or a join counts from its own result on.
    `held_back` are rows that would have been published, had the gate not refused their batch, `published_before` those
    of earlier runs that a table read only now.
    """
    names = {table["table"] for table in run["tables"]}
    sources: dict[str, Json] = {}
    nodes, links = [], []
    for table in run["tables"]:
        name, read = table["table"], table["rows_read"]
        nodes.append(_node(table))
        inputs = table["inputs"]
        for each in inputs:
            if each not in names:
                source = sources.setdefault(each, {**_EMPTY, "id": f"source:{each}", "name": each, "kind": "source"})
                files = [file for batch in table["batches"] for file in batch["files"]]
                source["files"] += len(files)
                source["bytes"] += sum(max(file["bytes"], 0) for file in files)
                source["set_aside"] += sum(len(batch["set_aside"]) for batch in table["batches"])
                source["read"] += read
            counted_here = len(inputs) == 1 and _stage(name) != "gold"
            start = f"table:{each}" if each in names else f"source:{each}"
            rows = read if counted_here else None
            links.append({"from": start, "to": f"table:{name}", "kind": "read", "rows": rows})
        for kind in ("quarantined", "superseded"):
            if rows := table[f"rows_{kind}"]:
                nodes.append({**_EMPTY, "id": f"{kind}:{name}", "name": name, "kind": kind, "read": rows})
                links.append({"from": f"table:{name}", "to": f"{kind}:{name}", "kind": kind, "rows": rows})
    for node in nodes:
        if node["kind"] == "table":
            taken = [link["rows"] or 0 for link in links if link["from"] == node["id"] and link["kind"] == "read"]
            node["published_before"] = max(max(taken, default=0) - node["published"], 0)
    return {"nodes": [*sources.values(), *nodes], "links": links}


_EMPTY: Json = {
    "stage": "",
    "status": "",
    "read": 0,
    "published": 0,
    "quarantined": 0,
    "superseded": 0,
    "held_back": 0,
    "published_before": 0,
    "files": 0,
    "bytes": 0,
    "set_aside": 0,
}


def _node(table: Json) -> Json:
    figures = {kind: table[f"rows_{kind}"] for kind in ("read", "published", "quarantined", "superseded")}
    figures["held_back"] = max(2 * figures["read"] - sum(figures.values()), 0)
    about = {"id": f"table:{table['table']}", "name": table["table"], "kind": "table", "stage": _stage(table["table"])}
    return {**_EMPTY, **about, "status": table["status"], **figures}


def _stage(table: str) -> str:
    return table.partition(".")[0]


# How good they were


def _quality(run: Json, earlier: Sequence[Json]) -> Iterator[Json]:
    """For each table of which rows were judged, its score and each check, in this run and those before it."""
    for table in run["tables"]:
        judged = _judged(table)
        if not judged:
            continue
        before = _before(table["table"], run, earlier)
        names = dict.fromkeys([*table["rules"], *(name for _, old in before for name in old["rules"])])
        yield {
            "table": table["table"],
            "judged": judged,
            "score": table["quality_score"],
            "earlier": [
                {
                    "run_id": report["run_id"],
                    "started_at": report["started_at"],
                    "judged": _judged(old),
                    "score": old["quality_score"],
                }
                for report, old in before
            ],
            "checks": sorted(
                (_check(name, table, [old for _, old in before]) for name in names), key=lambda each: -each["broken"]
            ),
        }


def _before(name: str, run: Json, earlier: Iterable[Json]) -> list[tuple[Json, Json]]:
    """The last runs before this one that judged rows of a table, the first of them first, with its result in each."""
    judged = (
        (report, old)
        for report in earlier
        if is_before(report, run)
        for old in report["tables"]
        if old["table"] == name and _judged(old)
    )
    return list(islice(judged, RUNS))[::-1]


def _judged(table: Json) -> int:
    """How many rows were held against the rules; older versions and duplicates are not."""
    rows: int = table["rows_read"] - table["rows_superseded"]
    return rows


def _check(name: str, table: Json, before: Sequence[Json]) -> Json:
    """A rule's figures: rows that broke it, their share of those that were judged, and the usual share (the median)."""
    shares = [old["rules"].get(name, 0) / _judged(old) for old in before]
    broken = table["rules"].get(name, 0)
    share = broken / _judged(table)
    usual = statistics.median(shares) if shares else None
    return {"check": name, "broken": broken, "share": share, "earlier_shares": shares, "usual_share": usual}


# What was rejected


def _rejected(run: Json, rejected: Mapping[str, Sequence[Json]], project: Project, *, rows: bool) -> Iterator[Json]:
    """The tables of which rows were rejected; also those whose gate was closed by rows that it would not set aside."""
    for table in run["tables"]:
        name, found = table["table"], []
        if rows:
            found = [_row(row) for row in rejected.get(name, ())]
            found += _samples(table, {(row["file"], row["line"]) for row in found if row["refused"]})
        if not table["rows_quarantined"] and not found:
            continue
        refused = sum(batch["quarantined"] for batch in table["batches"] if batch["status"] == "refused")
        aside = table["rows_quarantined"] - refused
        options = of_batches(table) if aside else _refused(table, rejected.get(name, ()))
        yield {
            "table": name,
            "quarantined": aside,
            "refused": refused,
            "command": project.command("quarantine", "show", name, *options) if aside or options else "",
            "rows": sorted(found, key=lambda row: -len(row["rules"]))[:ROWS],
        }


def _samples(table: Json, known: set[tuple[str, int]]) -> Iterator[Json]:
    """The rows that the report itself has of batches which their gate refused: a few for each thing that closed it.

    Not those that are known; nor any of the score's, where some are: it is of the same rows.
    """
    for batch in table["batches"]:
        found: dict[Any, Json] = {}
        for failure in batch["failures"]:
            for sample in failure["samples"]:
                place = sample["file"], sample["row"]
                if place in known or (known and failure["check"] == _SCORE):
                    continue
                about = {"file": sample["file"], "line": sample["row"], "batch": batch["batch"], "refused": True}
                rest: Json = {"rules": [], "reason": shown(sample["reason"]), "raw": None, "values": {}}
                found.setdefault(place, about | rest)["rules"].append(failure["check"])
        yield from found.values()


def _row(row: Json) -> Json:
    values = {shown(key, VALUE): _value(value) for key, value in row.items() if key not in _LINEAGE}
    return {
        "file": row.get("_source_file"),
        "line": row.get("_source_row"),
        "batch": row.get("_batch_id"),
        "refused": row.get("_refused", False),
        "rules": list(row.get("_rules") or ()),
        "reason": shown(row.get("_reason") or ""),
        "raw": _value(row.get("_raw")),
        "values": values,
    }


def _value(value: Any) -> str | None:
    return None if value is None else shown(value, VALUE)


# When


def _timeline(run: Json) -> Iterator[Json]:
    """Each batch, and each table of which none was made, with when it began and what was decided about its calls."""
    for table in run["tables"]:
        events = table["events"]
        batches = table["batches"]
        for batch in batches:
            yield {
                "table": table["table"],
                "batch": batch["batch"],
                "status": batch["status"],
                "started_at": batch["started_at"],
                "offset": _offset(batch["started_at"], run),
                "seconds": batch["seconds"],
                "events": [_event(event, run) for event in events if event["batch"] == batch["batch"]],
            }
        made = {batch["batch"] for batch in batches}
        rest = [event for event in events if event["batch"] not in made]
        if not batches or rest:
            yield {
                "table": table["table"],
                "batch": None,
                "status": table["status"],
                "started_at": table["started_at"],
                "offset": _offset(table["started_at"], run),
                "seconds": table["seconds"] if not batches else 0.0,
                "events": [_event(event, run) for event in rest],
            }


def _event(event: Json, run: Json) -> Json:
    kept = {key: event[key] for key in ("at", "resource", "kind", "attempt", "seconds", "error", "detail")}
    return {**kept, "offset": _offset(event["at"], run)}


def _offset(moment: str, run: Json) -> float | None:
    """Seconds from the begin of the run to a moment; None where one of them is not known."""
    try:
        passed = datetime.fromisoformat(moment) - datetime.fromisoformat(run["started_at"])
    except (ValueError, TypeError):  # it was not written down; or one has a time zone and the other has not
        return None
    return max(0.0, round(passed.total_seconds(), 3))


# What changed


def _schema_changes(run: Json) -> Iterator[Json]:
    for table in run["tables"]:
        for batch in table["batches"]:
            for change in batch["schema_changes"]:
                yield {"table": table["table"], "batch": batch["batch"], **change}
