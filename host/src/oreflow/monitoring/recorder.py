"""The metrics of a run, as a view of its events: each figure is counted once, from the account that the report has."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from oreflow.hookspecs import hookimpl
from oreflow.monitoring.collector import MetricsCollector

BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}
_OF_ROWS = {
    "read": "records_processed",
    "published": "records_published",
    "quarantined": "records_failed",
    "superseded": "records_superseded",
}
"""The metric of each part of an account."""
_OF_CALLS = {
    "attempts": "attempts",
    "retries": "retries",
    "gave_up": "calls_failed",
    "rejected": "calls_rejected",
    "waited_seconds": "retry_wait_seconds",
}
"""The metric of each part of the report on a resource."""
_AT_ONCE = {"retry": "retries", "gave_up": "calls_failed", "rejected": "calls_rejected"}
"""The metric of each decision that is counted as it is made: a storm of retries is to be seen while it lasts."""


class Recorder:
    """Counts one run; a listener that is registered for its time. Its metrics are those of the catalogue."""

    def __init__(self, collector: MetricsCollector, run_id: str, pipeline: str) -> None:
        self._collector, self._run_id, self._pipeline = collector, run_id, pipeline
        self._counted: dict[tuple[str, str], float] = {}

    @hookimpl
    def run_started(self, run_id: str, completed: Sequence[Mapping[str, Any]]) -> None:
        """Count runs whose processes have gone: what they had counted is there as far as it was written in time."""
        if run_id == self._run_id:
            for run in completed:
                labels = {"pipeline": self._pipeline, "status": run["status"]}
                self._collector.increment_counter("runs", 1, labels)

    @hookimpl
    def batch_started(self, run_id: str, table: str, files: Sequence[Mapping[str, Any]]) -> None:
        """Count the files that it has claimed."""
        if run_id == self._run_id and files:
            self._collector.increment_counter("files_claimed", len(files), {"pipeline": self._pipeline, "table": table})

    @hookimpl
    def batch_finished(self, run_id: str, table: str, status: str, account: Mapping[str, Any]) -> None:
        """Count where its rows went."""
        if run_id != self._run_id:
            return
        labels = self._labels(table)
        self._collector.increment_counter("batches", 1, {**labels, "status": status})
        if not account:
            return
        for part, name in _OF_ROWS.items():
            rows = 0 if part == "published" and status != "published" else account[part]
            self._collector.increment_counter(name, rows, labels)
        for check, rows in account["rules"].items():
            self._collector.increment_counter("check_failures", rows, {**labels, "check": check})
        if account["score"] is not None:
            self._collector.set_gauge("data_quality_score", account["score"], labels)
        if aside := len(account["set_aside"]):
            self._collector.increment_counter("files_set_aside", aside, {"pipeline": self._pipeline, "table": table})

    @hookimpl
    def resource_event(self, run_id: str, resource: str, event: Mapping[str, Any]) -> None:
        """Count a decision, and take the state of a breaker."""
        if run_id != self._run_id:
            return
        if name := _AT_ONCE.get(event["kind"]):
            self._count(resource, name, 1)
        elif event["kind"] == "state":
            self._state(resource, event["detail"])

    @hookimpl
    def step_finished(self, run_id: str, result: Mapping[str, Any]) -> None:
        """Count a table, and take how long it took where there was something to do."""
        if run_id != self._run_id:
            return
        labels = self._labels(result["table"])
        self._collector.increment_counter("steps", 1, {**labels, "status": result["status"]})
        if result["status"] in ("published", "failed"):
            self._collector.observe("processing_time_seconds", result["seconds"], labels)

    @hookimpl
    def run_finished(self, run_id: str, report: Mapping[str, Any]) -> None:
        """Count the run, and what of its calls has not been counted as it happened."""
        if run_id != self._run_id:
            return
        labels, now = {"pipeline": self._pipeline}, time.time()
        self._collector.increment_counter("runs", 1, {**labels, "status": report["status"]})
        self._collector.observe("run_duration_seconds", report["seconds"], labels)
        self._collector.set_gauge("last_run_timestamp_seconds", now, labels)
        if report["status"] == "success":
            self._collector.set_gauge("last_success_timestamp_seconds", now, labels)
        for use in report["resources"]:
            for part, name in _OF_CALLS.items():
                self._count(use["resource"], name, use[part] - self._counted.get((use["resource"], name), 0))
            if use["breaker"]:
                self._state(use["resource"], use["breaker"])

    def _labels(self, table: str) -> dict[str, str]:
        return {"pipeline": self._pipeline, "stage": table.partition(".")[0], "table": table}

    def _count(self, resource: str, name: str, amount: float) -> None:
        self._collector.increment_counter(name, amount, {"pipeline": self._pipeline, "resource": resource})
        self._counted[resource, name] = self._counted.get((resource, name), 0) + amount

    def _state(self, resource: str, state: str) -> None:
        if state in BREAKER_STATES:
            labels = {"pipeline": self._pipeline, "resource": resource}
            self._collector.set_gauge("breaker_state", BREAKER_STATES[state], labels)
