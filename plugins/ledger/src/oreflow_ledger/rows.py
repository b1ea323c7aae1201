"""From reports to rows: the same report gives the same rows, whoever writes them, and however often."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from oreflow_ledger.tables import attempts, batches, checks, plugins, runs, schema_changes, steps

Row = dict[str, Any]
Rows = list[tuple[sa.Table, list[Row]]]
"""Rows by table, those that others belong to first."""
_LONGEST_KEY = 400
"""Bytes of a text in a key: the name of a column comes from a file, and PostgreSQL has no index of long texts."""


def run_row(report: Mapping[str, Any], lake: str) -> Row:
    """The row of a run."""
    configuration = report["configuration"]
    row = {
        **_run(report),
        "lake": lake,
        "status": report["status"],
        "started_at": _moment(report["started_at"]) or _of_id(report["run_id"]),
        "seconds": report["seconds"],
        "configuration_version": configuration.get("version"),
        "configuration_hash": configuration.get("hash"),
    }
    return _clean(runs, row)


def plugin_rows(report: Mapping[str, Any]) -> Rows:
    """The rows of the plugins that had a part in a run."""
    return [(plugins, _cleaned(plugins, ({**_run(report), **plugin} for plugin in report["plugins"])))]


def step_rows(pipeline: str, run_id: str, result: Mapping[str, Any]) -> Rows:
    """The rows of a step, which is an entry of a report's `tables`, and of all that belongs to it."""
    key = {"pipeline": pipeline, "run_id": run_id, "table_name": result["table"]}
    made = result["batches"]
    found: list[tuple[sa.Table, Iterable[Row]]] = [
        (steps, [_step(key, result)]),
        (batches, (_batch(key, batch) for batch in made)),
        (checks, (row for batch in made for row in _checks(key, batch))),
        (schema_changes, (row for batch in made for row in _changes(key, batch))),
        (attempts, (_attempt(key, number, event) for number, event in enumerate(result["events"], 1))),
    ]
    return [(table, _cleaned(table, rows)) for table, rows in found]


def _run(report: Mapping[str, Any]) -> Row:
    return {"pipeline": report["pipeline"], "run_id": report["run_id"]}


def _step(key: Row, result: Mapping[str, Any]) -> Row:
    same = (
        *("status", "seconds", "batch", "processor", "engine", "distribution", "version"),
        *("rows_read", "rows_published", "rows_quarantined", "rows_superseded", "quality_score"),
        *("retries", "waited_seconds", "reason"),
    )
    return {**key, **{name: result[name] for name in same}, "started_at": _moment(result["started_at"])}


def _batch(key: Row, batch: Mapping[str, Any]) -> Row:
    files = batch["files"]
    return {
        **key,
        "batch": batch["batch"],
        "status": batch["status"],
        "started_at": _moment(batch["started_at"]),
        "seconds": batch["seconds"],
        "rows_read": batch["read"],
        "rows_published": batch["published"],
        "rows_quarantined": batch["quarantined"],
        "rows_superseded": batch["superseded"],
        "rows_replaced": batch["replaced"],
        "quality_score": batch["score"],
        "files": len(files),
        "bytes": sum(max(file["bytes"], 0) for file in files),  # -1: the system does not say
        "files_set_aside": len(batch["set_aside"]),
        "reason": batch["reason"],
    }


def _checks(key: Row, batch: Mapping[str, Any]) -> Iterator[Row]:
    """What was looked at in a batch: the rules that rows broke, and the checks that its gate had something against."""
    failures = {failure["check"]: failure["figures"] for failure in batch["failures"]}
    for rule in dict.fromkeys([*batch["rules"], *failures]):
        figures = {"rows_broken": batch["rules"].get(rule, 0), "failure": failures.get(rule, "")}
        yield {**key, "batch": batch["batch"], "rule": rule, **figures}


def _changes(key: Row, batch: Mapping[str, Any]) -> Iterator[Row]:
    for each in batch["schema_changes"]:
        what = {"column_name": each["column"], "change": each["change"]}
        types = {"before": each["before"] or None, "after": each["after"] or None}
        yield {**key, "batch": batch["batch"], **what, **types}


def _attempt(key: Row, number: int, event: Mapping[str, Any]) -> Row:
    same = ("batch", "resource", "kind", "attempt", "seconds", "error", "detail")
    return {**key, "number": number, "at": _moment(event["at"]), **{name: event[name] for name in same}}


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _of_id(run_id: str) -> datetime:
    """When a run was begun whose report does not say it: an id begins with the second."""
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _cleaned(table: sa.Table, rows: Iterable[Row]) -> list[Row]:
    """Rows as any database takes them, without those whose key another one behind them has."""
    keys = [column.name for column in table.primary_key]
    return list({tuple(row[name] for name in keys): row for row in (_clean(table, row) for row in rows)}.values())


def _clean(table: sa.Table, row: Row) -> Row:
    keys = table.primary_key.columns
    return {
        name: _plain(value, _LONGEST_KEY if name in keys else None) if isinstance(value, str) else value
        for name, value in row.items()
    }


def _plain(text: str, longest: int | None) -> str:
    """A text that any database takes: PostgreSQL knows no NUL, UTF-8 no half of a character, an index no novel."""
    raw = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
    if longest and len(raw) > longest:
        raw = raw[:longest] + f"...{hashlib.sha256(raw).hexdigest()[:16]}".encode()
    return raw.decode("utf-8", "ignore")
