"""The spans of a run: a run, its tables, their batches, the attempts at each, and what an engine does in one.

The names of attributes are those of OpenTelemetry's semantic conventions where it has any, and `oreflow.*` otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any

from opentelemetry import trace

from oreflow.hookspecs import hookimpl
from oreflow.monitoring import spans
from oreflow.monitoring.nodes import HERE, Node, Tracer, ids
from oreflow.monitoring.propagation import trace_of_the_environment

LONG = 0.1
"""Seconds from which on a call that is usually quick, such as loading a table, is a span; and so is one that fails."""
_QUICK = ("list", "digest", "load", "account", "read", "write")
"""The calls of which a run makes hundreds; a source is read by `read` as well, which is an attempt at a batch."""


class Traces:
    """The spans of one run, as a view of its events; a listener that is registered for its time.

    `tracers` give those that keep them; where there are none, that of the process does, which a program may have set.
    The figures on them are the report's.
    """

    def __init__(self, run_id: str, tracers: Sequence[Callable[[], Any]]) -> None:
        self._run_id = run_id
        self._tracers = [Tracer(each) for each in tracers or [partial(trace.get_tracer, "oreflow")]]
        self._open: list[Node] = []  # the run, a table, a batch
        self._attempts: dict[tuple[str, str], int] = {}
        spans.keep(1)

    @property
    def fault(self) -> str:
        """What the first of the tracers has raised that did, in one line; '' where none has."""
        return next((each.fault for each in self._tracers if each.fault), "")

    def cut_off(self) -> None:
        """End what is open, of a run that was cut off."""
        while self._open:
            node = self._open.pop()
            node.fail("interrupted")
            node.end()

    def close(self) -> None:
        """Keep spans no more."""
        self.cut_off()
        spans.keep(-1)

    @hookimpl(tryfirst=True)
    def run_started(self, run_id: str, pipeline: str) -> None:
        """Begin the run's span, in the trace of whoever has started the process (`TRACEPARENT`, `TRACESTATE`, `B3`)."""
        if run_id == self._run_id:
            # Of the environment only where this process has no span of its own that the run belongs to.
            parent = trace_of_the_environment() if ids() == ("", "") else None
            about = {"oreflow.run.id": run_id, "oreflow.pipeline": pipeline}
            self._open.append(Node(self._tracers, f"run {pipeline}", about, [parent] * len(self._tracers)))

    @hookimpl(tryfirst=True)
    def step_started(self, run_id: str, table: str, processor: str, engine: str) -> None:
        """Begin a table's span."""
        if run_id == self._run_id and self._open:
            about = {"stage": table.partition(".")[0], "table": table, "processor": processor, "engine": engine}
            self._begin(f"table {table}", about)

    @hookimpl(tryfirst=True)
    def batch_started(self, run_id: str, table: str, batch: int, files: Sequence[Mapping[str, Any]]) -> None:
        """Begin a batch's span."""
        if run_id == self._run_id and self._open:
            self._attempts.clear()
            about = {"table": table, "batch": batch, **({"files": len(files)} if files else {})}
            self._begin(f"batch {batch}", about)

    @hookimpl(wrapper=True)
    def call_resource(self, run_id: str, resource: str, operation: str) -> Generator[None, Any, Any]:
        """An attempt, or a part of one; quick ones only where they fail or take long."""
        above = HERE.get()
        if run_id != self._run_id or above is None:
            return (yield)
        about = {"oreflow.resource": resource, "oreflow.operation": operation}
        if operation in _QUICK and not (operation == "read" and resource != "lake"):
            start = time.time_ns()
            try:
                result = yield
            except BaseException as error:
                above.below(f"{operation} {resource}", about, start, now=False).end(error)
                raise
            if time.time_ns() - start >= LONG * 1e9:
                above.below(f"{operation} {resource}", about, start, now=False).end()
            return result
        number = self._attempts[resource, operation] = self._attempts.get((resource, operation), 0) + 1
        node = above.below(f"{operation} {resource}", {**about, "oreflow.attempt": number})
        try:
            result = yield
        except BaseException as error:
            node.end(error)
            raise
        node.end()
        self._attempts.pop((resource, operation), None)  # the next one is another call
        return result

    @hookimpl(tryfirst=True)
    def resource_event(self, run_id: str, resource: str, event: Mapping[str, Any]) -> None:
        """Something that was decided about a call."""
        if run_id == self._run_id and (here := HERE.get()):
            about = {f"oreflow.{key}": value for key, value in event.items() if key != "kind" and value}
            here.add(event["kind"], {"oreflow.resource": resource, **about})

    @hookimpl(trylast=True)
    def batch_finished(self, run_id: str, status: str, account: Mapping[str, Any]) -> None:
        """End a batch's span with its account."""
        if run_id != self._run_id or len(self._open) < _TO_BATCH:
            return
        node = self._open.pop()
        for check, rows in account.get("rules", {}).items():
            node.add("check broken", {"oreflow.check": check, "oreflow.rows": rows})
        for file in account.get("set_aside", ()):
            node.add("file set aside", {f"oreflow.{key}": value for key, value in file.items()})
        rows = {f"rows.{kind}": account[kind] for kind in ("read", "published", "quarantined", "superseded") if account}
        if account and status != "published":
            rows["rows.published"] = 0
        if status != "published":
            node.fail(status)
        node.end(attributes={"status": status, **rows, "quality_score": account.get("score")})

    @hookimpl(trylast=True)
    def step_finished(self, run_id: str, result: Mapping[str, Any]) -> None:
        """End a table's span with its entry in the report."""
        if run_id != self._run_id or not self._open[1:]:
            return
        node = self._open.pop()
        if result["status"] in ("failed", "interrupted"):
            node.fail(result["status"], result["reason"])
        rows = {f"rows.{key[5:]}": value for key, value in result.items() if key.startswith("rows_")}
        node.end(attributes={"status": result["status"], **rows, "quality_score": result["quality_score"]})

    @hookimpl(trylast=True)
    def run_finished(self, run_id: str, report: Mapping[str, Any]) -> None:
        """End the run's span."""
        if run_id == self._run_id and self._open:
            node = self._open.pop()
            if report["status"] != "success":
                node.fail(report["status"])
            node.end(attributes={"status": report["status"]})

    def _begin(self, name: str, about: Mapping[str, Any]) -> None:
        self._open.append(self._open[-1].below(name, {f"oreflow.{key}": value for key, value in about.items()}))


_TO_BATCH = 3
