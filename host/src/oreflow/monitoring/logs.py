"""The log lines of a run: what happens in it, with the figures of its report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any

from oreflow.hookspecs import hookimpl
from oreflow.monitoring import lines
from oreflow.monitoring.handlers import Logging
from oreflow.monitoring.records import say

_LEVELS = {"failed": ERROR, "skipped": WARNING, "stale": WARNING, "interrupted": WARNING}
"""The level of what became of a table, where it is not INFO."""


class Logs:
    """The lines of one run, as a view of its events; a listener that is registered for its time.

    Their figures are the report's. Lines that others log meanwhile have the run, the table and the batch too.
    """

    def __init__(self, run_id: str, pipeline: str, around: Logging | None = None) -> None:
        """`around` is what writes the lines down; it is held to that, whatever a plugin does to logging."""
        self._run_id, self._around = run_id, around
        self._say = partial(say, logging.getLogger("oreflow.run"))
        self._run = {"run_id": run_id, "pipeline": pipeline}
        self._before = lines.here()
        self._within({})

    def close(self) -> None:
        """Let lines be those of nobody again."""
        lines.leave(self._run_id, self._before)

    @hookimpl
    def run_started(self, run_id: str, tables: Sequence[str]) -> None:
        """Say that it begins."""
        if run_id == self._run_id:
            self._say(INFO, "run started", tables=list(tables))

    @hookimpl
    def step_started(self, run_id: str, table: str, processor: str, engine: str) -> None:
        """Say which table it looks at."""
        if run_id == self._run_id:
            self._within({"stage": table.partition(".")[0], "table": table})
            self._say(DEBUG, "table started", processor=processor, engine=engine)

    @hookimpl
    def batch_started(self, run_id: str, batch: int, files: Sequence[Mapping[str, Any]]) -> None:
        """Say which batch it makes."""
        if run_id == self._run_id:
            self._within({**lines.here(), "batch": batch})
            self._say(DEBUG, "batch started", **({"files": len(files)} if files else {}))

    @hookimpl
    def batch_finished(self, run_id: str, table: str, batch: int, status: str, account: Mapping[str, Any]) -> None:
        """Say where its rows went, which checks they broke, and which files could not be read."""
        if run_id != self._run_id:
            return
        # The table is on each line in any case; to whoever sees the text of a warning alone it has to be said.
        for file in account.get("set_aside", ()):
            self._say(WARNING, "file set aside", table=table, **file)
        for check, rows in account.get("rules", {}).items():
            self._say(WARNING, "check broken", table=table, check=check, rows=rows)
        kinds = ("read", "published", "quarantined", "superseded")
        rows = {f"rows_{kind}": account[kind] for kind in kinds} if account and status == "published" else {}
        self._say(DEBUG, f"batch {status}", **rows)
        self._within({key: value for key, value in lines.here().items() if key != "batch"})

    @hookimpl
    def resource_event(self, run_id: str, resource: str, event: Mapping[str, Any]) -> None:
        """Say what was decided about a call that did not go well."""
        if run_id != self._run_id:
            return
        about = {key: value for key, value in event.items() if key != "kind" and value}
        level = INFO if event["kind"] in ("recovered", "delayed") else WARNING
        name = f"breaker {event['detail']}" if event["kind"] == "state" else event["kind"].replace("_", " ")
        self._say(level, name, resource=resource, **about)

    @hookimpl
    def step_finished(self, run_id: str, result: Mapping[str, Any]) -> None:
        """Say what became of a table."""
        if run_id != self._run_id:
            return
        self._within({"stage": result["table"].partition(".")[0], "table": result["table"]})
        keys = ["seconds"]
        if result["status"] in ("published", "failed"):
            keys = ["engine", *(key for key in result if key.startswith("rows_")), "quality_score", *keys]
        about = {key: result[key] for key in ["reason", *keys] if result[key] not in ("", None)}
        level = _LEVELS.get(result["status"], INFO)
        self._say(level, f"table {result['status']}", **about)
        for remark in result["remarks"]:
            self._say(WARNING, "remark", remark=remark)
        self._within({})

    @hookimpl
    def run_finished(self, run_id: str, report: Mapping[str, Any]) -> None:
        """Say how it ended."""
        if run_id == self._run_id:
            level = INFO if report["status"] == "success" else ERROR
            self._say(level, "run finished", status=report["status"], seconds=report["seconds"])
            for remark in report["remarks"]:
                self._say(WARNING, "remark", remark=remark)

    def _within(self, place: Mapping[str, Any]) -> None:
        """Let lines be of this run, and of a table and a batch of it."""
        lines.within(self._run_id, {**self._run, **place})
        if self._around:
            self._around.insist()
