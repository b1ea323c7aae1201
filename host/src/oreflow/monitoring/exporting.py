"""Handing metrics to the places that they go to: each has a thread of its own, for which nobody waits longer than said.

A backend that fails, hangs or is away is a remark of the run and a warning; the run is as it would be without it. What
it missed is in what it is handed next, since counters only grow.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from oreflow.contract import Aggregation, DeclarationError, Figure, MetricBackend, OreflowError, Surroundings
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory
from oreflow.monitoring.collector import MetricsCollector, get_metrics_collector
from oreflow.monitoring.declared import DeclaredBackend
from oreflow.secrets import redacted

AT_THE_END = 1.0
"""Seconds that the end of a process waits for all backends together: the end of each run has waited before."""
_log = logging.getLogger("oreflow.monitoring")


class Export:
    """One backend with its thread; `every` is how many seconds lie between two writings."""

    def __init__(self, name: str, backend: MetricBackend, every: float, collector: MetricsCollector) -> None:
        self.name, self.backend = name, backend
        self._every, self._collector = every, collector
        self._changed = threading.Condition()
        self._asked = self._done = 0  # how many writings somebody waits for, and how many of them are over
        self._is_closing = self._was_opened = False
        self._fault = ""
        self._failed = collector.counter("exports_failed", {"backend": name})
        self._thread = threading.Thread(target=self._work, name=f"oreflow-metrics-{name}", daemon=True)
        self._thread.start()

    def wait_until_open(self, deadline: float) -> None:
        """Wait until it has begun, or failed to, until a time of `time.monotonic()`.

        What is counted after that is new to it; what was counted before, one that keeps figures takes for old.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._was_opened, max(deadline - time.monotonic(), 0.0))

    def ask(self) -> int:
        """Have it write what there is now; gives what to wait for."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def fault(self, asked: int, deadline: float) -> str:
        """Why what was asked for is not written by a time of `time.monotonic()`; '' where it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= asked, max(deadline - time.monotonic(), 0.0))
            return self._fault if self._done >= asked else "it has not answered in time"

    def close(self) -> None:
        """Let it write once more, and end."""
        with self._changed:
            self._is_closing = True
            self._asked += 1
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for its end until a time of `time.monotonic()`."""
        self._thread.join(max(deadline - time.monotonic(), 0.0))

    def _work(self) -> None:
        fault = self._call(lambda: self.backend.open(self._collector.snapshot))
        is_open = not fault
        with self._changed:
            self._was_opened = True
        self._note(0, fault)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._done, self._every)
                asked, is_closing = self._asked, self._is_closing
            if not is_open:  # a port that was taken may be free by now
                fault = self._call(lambda: self.backend.open(self._collector.snapshot))
                is_open = not fault
            # One that nobody can ask, since its port is taken, may keep figures for those that others ask.
            unwritten = self._call(lambda: self.backend.write(self._collector.snapshot()))
            self._note(asked, unwritten if is_open else fault)
            if is_closing:
                self._call(self.backend.close)
                return

    def _note(self, done: int, fault: str) -> None:
        """Remember what became of a writing; that it fails, and that it goes well again, is said once."""
        with self._changed:
            before, self._fault, self._done = self._fault, fault, done
            self._changed.notify_all()
        if fault:
            self._failed.inc()
        if fault and not before:
            _log.warning("metrics do not get to %s: %s", self.name, fault)
        elif before and not fault:
            _log.info("metrics get to %s again", self.name)

    def _call(self, function: Callable[[], None]) -> str:
        """Why a function of the backend failed, in one line; '' where it went well."""
        try:
            function()
        except OreflowError as error:
            return str(redacted(str(error)))
        except BaseException as error:  # on a thread of its own nothing else would hear of it
            return str(redacted(told(error)))
        return ""


def exports(
    declared: Iterable[DeclaredBackend], factory: ProcessorFactory, surroundings: Surroundings
) -> list[tuple[str, DeclaredBackend, MetricBackend | None]]:
    """The backends of a declaration, created and not begun yet; None for one that is at work in this process already.

    Raises:
        DeclarationError: its plugin has something against the options of one, or a secret is not there.
        OreflowError: a plugin fails to create one.
    """
    found = []
    for each in declared:
        key = json.dumps([each.type, each.every, dict(each.options), str(surroundings)], sort_keys=True, default=str)
        try:
            backend = None if key in _running else factory.create_metric_backend(each.type, each.options, surroundings)
        except DeclarationError as error:
            raise each.place(error) from error
        found.append((key, each, backend))
    return found


def begin(
    created: Sequence[tuple[str, DeclaredBackend, MetricBackend | None]], collector: MetricsCollector, seconds: float
) -> list[Export]:
    """Have the backends work until the process ends: an endpoint outlives the run that it was declared for.

    So many seconds at the most are waited until all have begun.
    """
    deadline = time.monotonic() + seconds
    with _starting:
        for key, each, backend in created:
            if key not in _running and backend:
                _running[key] = Export(each.type, backend, each.every, collector)
        found = [_running[key] for key, _, _ in created]
    for export in found:
        export.wait_until_open(deadline)
    return found


def query(aggregation: Aggregation | str, at: float | None = None) -> list[Figure]:
    """The figures of an aggregation, one for each group, by a backend of this process that keeps metrics.

    An aggregation may be said as in a declaration: `ratio(records_failed, records_processed) over 15m by pipeline`.
    `at` is the end of its window in seconds since 1970, now where not said.

    Raises:
        ValueError: what is said is no aggregation.
        LookupError: no such backend is at work.
    """
    if isinstance(aggregation, str):
        from oreflow.monitoring.aggregations import parse_aggregation

        asked = parse_aggregation("query", aggregation, get_metrics_collector().full_name)
    else:
        asked = aggregation
    at = time.time() if at is None else at
    found = figures(asked, at, reversed(list(_running.values())))
    if found is not None:
        return found
    raise LookupError(
        "no backend that keeps metrics is at work in this process: a run whose declaration has {type: memory}"
    )


def figures(aggregation: Aggregation, at: float, among: Iterable[Export]) -> list[Figure] | None:
    """The figures of an aggregation by the first of some backends that keeps metrics; None where none does."""
    for each in among:
        with contextlib.suppress(NotImplementedError):
            return list(each.backend.query(aggregation, at))
    return None


_running: dict[str, Export] = {}
_starting = threading.Lock()


@atexit.register
def close() -> None:
    """Close every backend of the process, in `AT_THE_END` seconds."""
    deadline = time.monotonic() + AT_THE_END
    with _starting:
        found = list(_running.values())
        _running.clear()
    for each in found:
        each.close()
    for each in found:
        each.join(deadline)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)  # their threads are the parent's alone
