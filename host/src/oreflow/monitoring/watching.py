"""What is seen of one run: its events become metrics, spans and log lines for as long as it lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from oreflow.contract import DeclarationError, Surroundings, TraceBackend
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory
from oreflow.monitoring import exporting
from oreflow.monitoring.collector import get_metrics_collector
from oreflow.monitoring.declared import DeclaredBackend, Monitoring
from oreflow.monitoring.recorder import Recorder
from oreflow.secrets import redacted

if TYPE_CHECKING:
    from oreflow.monitoring.logs import Logging


_FOR_A_FIGURE = 0.5
"""Seconds that aggregations have where backends that hang have used up the patience that is declared."""


class Watch:
    """The views of one run, by what its declaration says of monitoring; a context for the time of the run.

    Metrics are those of the process: its collector and its backends outlive the run. To enter it raises
    `DeclarationError` where a backend cannot be had, or a secret that it needs, and `OreflowError` where a plugin fails
    to create one.
    """

    def __init__(self, declared: Monitoring, factory: ProcessorFactory, place: Surroundings, run_id: str) -> None:
        self._declared, self._factory, self._place, self._run_id = declared, factory, place, run_id
        self._exports: list[exporting.Export] = []
        self._traces: list[TraceBackend] = []
        self._logging: Logging | None = None
        self._remarks = list(declared.remarks)
        self._open = ExitStack()

    def _trace_backend(self, declared: DeclaredBackend) -> TraceBackend:
        try:
            return self._factory.create_trace_backend(declared.type, declared.options, self._place)
        except DeclarationError as error:
            raise declared.place(error) from error

    def __enter__(self) -> Self:
        with ExitStack() as opening:  # what was opened is closed where the rest cannot be
            self._begin(opening)
            self._open = opening.pop_all()
        return self

    def _begin(self, opening: ExitStack) -> None:
        declared, place = self._declared, self._place
        created = exporting.exports(declared.metrics or (), self._factory, place)
        for each in declared.traces or ():
            backend = self._trace_backend(each)
            # What there was to send is sent by then, or was not in all the time that there is.
            opening.callback(_within, backend.close, 0.0)
            self._traces.append(backend)
        views: list[Any] = []
        if declared.logs is not None:
            from oreflow.monitoring.logs import Logging, Logs

            self._logging = opening.enter_context(Logging(declared.logs, place.project, self._run_id))
            logs = Logs(self._run_id, place.pipeline)
            opening.callback(logs.close)
            views.append(logs)
        if declared.traces is not None:
            from oreflow.monitoring.tracing import Traces, is_anybody_there

            if not self._traces and not is_anybody_there():
                mend = "pip install oreflow-opentelemetry, and say where in monitoring.tracing.backends"
                self._remarks.append(f"spans are enabled and go nowhere - {mend}")
            traces = Traces(self._run_id, [each.provider() for each in self._traces])
            opening.callback(traces.close)
            views.append(traces)
        if declared.metrics is not None:
            collector = get_metrics_collector()
            if declared.most_label_sets:
                collector.most_label_sets = declared.most_label_sets
            self._exports = exporting.begin(created, collector, declared.patience)
            views.append(Recorder(collector, self._run_id, place.pipeline))
        for view in views:
            self._factory.hooks.register(view)
            opening.callback(self._factory.hooks.unregister, view)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        if error is not None:  # a run that is cut off has something to tell, too
            self.finish()
        self._open.close()

    def finish(self) -> tuple[list[str], dict[str, list[dict[str, Any]]]]:
        """Have all figures and spans sent, in the time that is declared for it.

        Gives in one line each what was not sent, and the figures of the declaration's aggregations by their names.
        Whoever interrupts it has waited enough: the run is done, and only what is seen of it is not.
        """
        try:
            deadline = time.monotonic() + self._declared.patience
            remarks = self._sent(deadline)
            figures = self._aggregations(max(deadline, time.monotonic() + _FOR_A_FIGURE))
        except KeyboardInterrupt:
            return [*self._remarks, "metrics and spans were not waited for: interrupted"], {}
        return [*self._remarks, *remarks], figures

    def _sent(self, deadline: float) -> list[str]:
        asked = [(each, each.ask()) for each in self._exports]
        remarks = [fault for each in self._traces if (fault := _unsent(each, deadline))]
        faults = [(each.name, each.fault(number, deadline)) for each, number in asked]
        if self._logging and self._logging.fault:
            remarks.append(f"log lines could not be written: {redacted(self._logging.fault)}")
        return remarks + [f"metrics did not get to {name}: {fault}" for name, fault in faults if fault]

    def _aggregations(self, deadline: float) -> dict[str, list[dict[str, Any]]]:
        now, found = time.time(), {}
        for each in self._declared.aggregations:
            asked = partial(exporting.figures, each, now, self._exports)
            answer = _within(asked, max(deadline - time.monotonic(), 0.0))
            if isinstance(answer, list):
                found[each.name] = [{"labels": dict(figure.labels), "value": figure.value} for figure in answer]
            else:
                why = told(answer) if isinstance(answer, BaseException) else "its backend has not answered in time"
                self._remarks.append(f"the aggregation {each.name} could not be had: {redacted(why)}")
        return found


def _unsent(backend: TraceBackend, deadline: float) -> str:
    """Why spans were not sent by a time of `time.monotonic()`; '' where they were."""
    left = max(deadline - time.monotonic(), 0.0)
    outcome = _within(lambda: backend.flush(left), left)
    if outcome is True:
        return ""
    why = told(outcome) if isinstance(outcome, BaseException) else backend.fault
    return f"spans were not sent: {redacted(why) or 'the collector has not answered in time'}"


def _within(function: Callable[[], Any], seconds: float) -> Any:
    """What a function gives or raises in so many seconds; None where it takes longer, and goes on by itself."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=call, name="oreflow-monitoring", daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else None
