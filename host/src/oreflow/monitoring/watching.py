"""What is seen of one run: its events become metrics, spans and log lines for as long as it lasts."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from oreflow.contract import Aggregation, Surroundings, TraceBackend
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory
from oreflow.monitoring import places
from oreflow.monitoring.aggregations import doubts
from oreflow.monitoring.collector import MetricsCollector, get_metrics_collector
from oreflow.monitoring.declared import DeclaredBackend, Monitoring
from oreflow.monitoring.patience import created, within
from oreflow.monitoring.recorder import Recorder
from oreflow.secrets import redacted

if TYPE_CHECKING:
    from oreflow.monitoring.handlers import Logging
    from oreflow.monitoring.tracing import Traces

_log = logging.getLogger("oreflow.monitoring")
_TO_BEGIN = 0.5
"""The share of the patience that may be gone before a run begins."""
_FOR_FIGURES = 0.1
"""The share of the patience that is left to aggregations where backends that hang use up the rest."""


class Watch:
    """The views of one run, by what its declaration says of monitoring; a context for the time of the run.

    Metrics are those of the process: its collector and its backends outlive the run. To enter it raises
    `DeclarationError` where a backend cannot be had, or a secret that it needs, and `OreflowError` where a plugin fails
    to create one.
    """

    def __init__(
        self, declared: Monitoring, factory: ProcessorFactory, surroundings: Surroundings, run_id: str
    ) -> None:
        self._declared, self._factory, self._surroundings, self._run_id = declared, factory, surroundings, run_id
        self._places: list[places.Place] = []
        self._trace_backends: list[TraceBackend] = []
        self._logging: Logging | None = None
        self._traces: Traces | None = None
        self._views: list[Any] = []
        self._remarks = list(declared.remarks)
        self._patience = declared.patience
        self._begun_by = 0.0  # of the monotonic clock
        self._is_finished = False
        self._open = ExitStack()

    def __enter__(self) -> Self:
        start = time.monotonic()
        self._begun_by = start + self._patience * _TO_BEGIN
        with ExitStack() as opening:  # what was opened is closed where the rest cannot be
            if self._declared.logs is not None:
                self._begin_logs(self._declared.logs, opening)
            if self._declared.traces is not None:
                self._begin_traces(self._declared.traces, opening)
            if self._declared.metrics is not None:
                self._begin_metrics(self._declared.metrics, opening)
            for view in self._views:
                self._factory.hooks.register(view)
                opening.callback(self._factory.hooks.unregister, view)
            self._open = opening.pop_all()
        self._patience -= min(time.monotonic(), self._begun_by) - start
        return self

    def _begin_logs(self, said: Mapping[str, Any], opening: ExitStack) -> None:
        from oreflow.monitoring.handlers import Logging
        from oreflow.monitoring.logs import Logs

        self._logging = opening.enter_context(Logging(said, self._surroundings.project, self._run_id))
        logs = Logs(self._run_id, self._surroundings.pipeline, self._logging)
        opening.callback(logs.close)
        self._views.append(logs)

    def _begin_traces(self, declared: tuple[DeclaredBackend, ...], opening: ExitStack) -> None:
        from oreflow.monitoring.nodes import is_anybody_there
        from oreflow.monitoring.tracing import Traces

        for each in declared:
            backend = self._trace_backend(each)
            if backend is None:
                self._doubt(f"spans could not be kept by {each.type}: it could not be created in time")
                continue
            # What there was to send is sent by then, or was not in all the time that there is.
            opening.callback(within, backend.close, 0.0)
            self._trace_backends.append(backend)
        if not declared and not is_anybody_there():
            mend = "say where in monitoring.tracing.backends"
            if not self._factory.trace_backends:
                mend = f"pip install oreflow-opentelemetry, and {mend}"
            self._remarks.append(f"spans are enabled and go nowhere - {mend}")
        self._traces = Traces(self._run_id, [partial(_tracer, each, self._begun_by) for each in self._trace_backends])
        opening.callback(self._traces.close)
        self._views.append(self._traces)

    def _trace_backend(self, declared: DeclaredBackend) -> TraceBackend | None:
        """A backend; None where its plugin takes too long to create it."""
        create = partial(self._factory.create_trace_backend, declared.type, declared.options, self._surroundings)
        backend: TraceBackend | None = created(create, self._begun_by - time.monotonic(), declared.place)
        return backend

    def _begin_metrics(self, declared: tuple[DeclaredBackend, ...], opening: ExitStack) -> None:
        collector = get_metrics_collector()
        if most := self._declared.most_label_sets:
            opening.enter_context(_at_most(most, collector))
        self._places, remarks = places.begin(declared, self._factory, self._surroundings, self._begun_by)
        opening.callback(places.leave, self._places)
        self._remarks += remarks
        self._views.append(Recorder(collector, self._run_id, self._surroundings.pipeline))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        try:
            if error is not None and not self._is_finished:  # a run that is cut off has something to tell, too
                if self._traces:
                    self._traces.cut_off()
                self.finish()
        finally:
            self._open.close()

    def heard(self, resource: str, event: Mapping[str, Any]) -> None:
        """Tell the views of what was decided before there were any: while the run was planned."""
        for view in self._views:
            view.resource_event(run_id=self._run_id, resource=resource, event=event)

    def finish(self) -> tuple[list[str], dict[str, list[dict[str, Any]]]]:
        """Have all figures and spans sent, in the time that is declared for it.

        Gives in one line each what was not sent, and the figures of the declaration's aggregations by their names.
        Whoever interrupts it has waited enough: the run is done, and only what is seen of it is not.
        """
        self._is_finished = True
        try:
            start = time.monotonic()
            share = 1 - _FOR_FIGURES if self._declared.aggregations else 1.0
            remarks = self._sent(start + share * self._patience)
            figures = self._aggregations(start + self._patience)
        except KeyboardInterrupt:
            return [*self._remarks, "metrics and spans were not waited for: interrupted"], {}
        return [*self._remarks, *remarks], figures

    def _sent(self, deadline: float) -> list[str]:
        asked = places.ask(self._places)
        remarks = [fault for each in self._trace_backends if (fault := _unsent(each, deadline))]
        if self._traces and self._traces.fault:
            remarks.append(f"spans could not be kept: {redacted(self._traces.fault)}")
        for remark in remarks:
            _log.warning("%s", remark)
        faults = [(export.name, export.fault(number, deadline)) for export, number in asked]
        if self._logging and self._logging.fault:
            remarks.append(f"log lines could not be written: {redacted(self._logging.fault)}")
        return remarks + [f"metrics did not get to {name}: {fault}" for name, fault in faults if fault]

    def _aggregations(self, deadline: float) -> dict[str, list[dict[str, Any]]]:
        now, found = time.time(), {}
        for each in self._declared.aggregations:
            answer = within(partial(_figures, each, now, self._places), max(deadline - time.monotonic(), 0.0))
            if isinstance(answer, tuple):
                found[each.name], found_doubts = answer
                for doubt in found_doubts:
                    self._doubt(f"the aggregation {each.name}: {doubt}")
            else:
                why = "its backend has not answered in time" if answer is None else told(answer)
                self._doubt(f"the aggregation {each.name} could not be had: {redacted(why)}")
        return found

    def _doubt(self, remark: str) -> None:
        self._remarks.append(remark)
        _log.warning("%s", remark)


def _figures(
    aggregation: Aggregation, at: float, among: Sequence[places.Place]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The figures of an aggregation as JSON has them, and what may be wrong with it.

    Raises:
        Exception: the backend cannot say, or what it says are no figures.
    """
    found = places.figures(aggregation, at, among)
    values = [
        {
            "labels": {str(name): str(value) for name, value in figure.labels},
            "value": figure.value if figure.value is None or math.isfinite(figure.value) else None,
        }
        for figure in found
    ]
    return values, list(doubts(aggregation, found))


def _tracer(backend: TraceBackend, deadline: float) -> Any:
    """The tracer of a backend.

    Raises:
        TimeoutError: it does not give it by a time of `time.monotonic()`.
        Exception: whatever it raises instead.
    """
    found = within(lambda: backend.provider().get_tracer("oreflow"), max(deadline - time.monotonic(), 0.0))
    if found is None:
        raise TimeoutError("the backend has given no provider of spans in time")
    if isinstance(found, BaseException):
        raise found
    return found


def _unsent(backend: TraceBackend, deadline: float) -> str:
    """Why spans were not sent by a time of `time.monotonic()`; '' where they were."""
    left = max(deadline - time.monotonic(), 0.0)
    outcome = within(lambda: backend.flush(left * _TO_SAY_WHY) or str(backend.fault), left)
    if outcome is True:
        return ""
    why = told(outcome) if isinstance(outcome, BaseException) else outcome
    return f"spans were not sent: {redacted(why) if isinstance(why, str) and why else _NO_ANSWER}"


_TO_SAY_WHY = 0.9
"""The share of the time that a backend has to send; in the rest it can say why it has not."""
_NO_ANSWER = "the collector has not answered in time"


@contextmanager
def _at_most(most: int, collector: MetricsCollector) -> Iterator[None]:
    """Let metrics have so many label sets; of several runs at the same time, the most holds."""
    with _limiting:
        if not _limits:
            _limits.append(collector.most_label_sets)  # of before
        _limits.append(most)
        collector.most_label_sets = max(_limits[1:])
    try:
        yield
    finally:
        with _limiting:
            _limits.pop(_limits.index(most, 1))
            collector.most_label_sets = max(_limits[1:], default=_limits[0])
            if not _limits[1:]:
                _limits.clear()


_limits: list[int] = []
_limiting = threading.Lock()
