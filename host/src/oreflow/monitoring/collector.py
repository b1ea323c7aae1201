"""The metrics of a process: every series, by name and labels, for whoever counts and for whoever looks."""

from __future__ import annotations

import itertools
import os
import re
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from oreflow.contract import MetricKind, Snapshot
from oreflow.monitoring import spans
from oreflow.monitoring.catalogue import HELP
from oreflow.monitoring.instruments import BOUNDS, Counter, Family, Gauge, Histogram

if TYPE_CHECKING:
    from oreflow.monitoring.nodes import Node

MOST_LABEL_SETS = 2000
"""How many series a metric may have where nobody says otherwise; OpenTelemetry has the same limit."""
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")  # colons are for recording rules
Tags = Mapping[str, Any]
Form = Literal["prometheus", "openmetrics", "json"]


class MetricsCollector:
    """Counters, gauges and histograms by name.

    Names follow https://prometheus.io/docs/practices/naming/: `namespace` is put in front of a name that does not begin
    with it, and a counter ends in `_total` where it is written down, whether it is called so here or not. `tags` are
    labels; each set of them is a series, and a metric has `most_label_sets` at the most: what comes besides is
    counted in one series with the label `overflow`, and warned of once.

    Where a method is given a name that no metric can have, or that is one of another kind, it raises `ValueError`.
    """

    def __init__(self, namespace: str = "oreflow", most_label_sets: int = MOST_LABEL_SETS) -> None:
        self._prefix = f"{namespace}_" if namespace else ""
        self._most = most_label_sets
        self._families: dict[str, Family] = {}
        self._known: dict[tuple[str, MetricKind], Family] = {}  # by the names that callers use
        self._lock = threading.RLock()  # a handler of signals may count, or a __del__, while something is counted
        _all.add(self)

    # For hot paths: a series that is kept by whoever counts

    def counter(self, name: str, tags: Tags | None = None, *, description: str = "") -> Counter:
        """The counter with these labels, to be kept: `inc` costs a fifth of a microsecond."""
        series: Counter = self._family(name, MetricKind.COUNTER, description).series(tags)
        return series

    def gauge(self, name: str, tags: Tags | None = None, *, description: str = "") -> Gauge:
        """The gauge with these labels."""
        series: Gauge = self._family(name, MetricKind.GAUGE, description).series(tags)
        return series

    def histogram(
        self,
        name: str,
        tags: Tags | None = None,
        *,
        bounds: Sequence[float] = (),
        description: str = "",
    ) -> Histogram:
        """The histogram with these labels.

        `bounds` are the upper bounds of its buckets; where they are not said, those of a time in seconds.

        Raises:
            ValueError: it has other bounds already.
        """
        family = self._family(name, MetricKind.HISTOGRAM, description, bounds or BOUNDS)
        if bounds and tuple(map(float, bounds)) != family.bounds:
            raise ValueError(f"the histogram {family.name} has the bounds {list(family.bounds)} already")
        series: Histogram = family.series(tags)
        return series

    # For everything else

    def increment_counter(self, name: str, value: float = 1, tags: Tags | None = None) -> None:
        """Count `value` more."""
        amount = Counter.checked(value)  # what is refused leaves no series behind
        self._family(name, MetricKind.COUNTER).series(tags).inc(amount)

    def set_gauge(self, name: str, value: float, tags: Tags | None = None) -> None:
        """Set a gauge."""
        value = Gauge.checked(value)
        self._family(name, MetricKind.GAUGE).series(tags).set(value)

    def observe(self, name: str, value: float, tags: Tags | None = None) -> None:
        """Take an observation into a histogram."""
        value = Histogram.checked(value)
        self._family(name, MetricKind.HISTOGRAM, bounds=BOUNDS).series(tags).observe(value)

    def time_operation(self, name: str, tags: Tags | None = None) -> Operation:
        """A context whose time goes into the histogram `NAME_seconds`, and which is a span where spans are kept."""
        return Operation(self, name, tags)

    def record_etl_metrics(
        self,
        pipeline_name: str,
        stage: str,
        records_processed: int,
        records_failed: int = 0,
        processing_time: float | None = None,
        data_quality_score: float | None = None,
        **tags: Any,
    ) -> None:
        """The figures of a step, under the names by which a run of oreflow has them.

        `records_processed` are all that were read, of which `records_failed` were bad; `processing_time` is in seconds,
        `data_quality_score` from 0 to 1; `tags` are more labels, such as `table`.

        Raises:
            ValueError: one of them is nothing of that; nothing was counted.
        """
        if Counter.checked(records_failed) > Counter.checked(records_processed):
            raise ValueError(f"of {records_processed} records {records_failed} cannot have failed")
        if processing_time is not None and not Histogram.checked(processing_time) >= 0:
            raise ValueError(f"nothing takes {processing_time} seconds")
        if data_quality_score is not None and not 0 <= Gauge.checked(data_quality_score) <= 1:
            raise ValueError(f"a data quality score is from 0 to 1, not {data_quality_score}")
        labels = {"pipeline": pipeline_name, "stage": stage, **tags}
        self.increment_counter("records_processed", records_processed, labels)
        self.increment_counter("records_failed", records_failed, labels)
        if processing_time is not None:
            self.observe("processing_time_seconds", processing_time, labels)
        if data_quality_score is not None:
            self.set_gauge("data_quality_score", data_quality_score, labels)

    # For whoever looks

    @property
    def most_label_sets(self) -> int:
        """How many series each metric may have; of one that has more already, they stay."""
        return self._most

    @most_label_sets.setter
    def most_label_sets(self, most: int) -> None:
        with self._lock:
            self._most = most
            for family in list(self._families.values()):
                family.most = most

    def snapshot(self) -> Snapshot:
        """All figures as they are now."""
        with self._lock:
            families = tuple(family.family() for _, family in sorted(self._families.items()))
            return Snapshot(time.time(), families, next(_numbers))

    def export(self, form: Form = "prometheus") -> str:
        """All figures as a text: `prometheus` (text format 0.0.4), `openmetrics` (1.0.0) or `json`.

        Raises:
            ValueError: it is none of these.
        """
        from oreflow.monitoring import exposition

        return exposition.text(self.snapshot(), form)

    def full_name(self, name: str) -> str:
        """The name of a metric as snapshots have it: with the namespace, without `_total`.

        Raises:
            ValueError: no metric can be called so.
        """
        if not isinstance(name, str) or not _NAME.match(name):
            raise ValueError(f"a metric cannot be called {name!r}: letters, digits and _, beginning with a letter")
        if name.endswith("_total_total"):
            raise ValueError(f"a metric cannot be called {name!r}: that is what x_total would be written down by")
        full = name if name.startswith(self._prefix) else f"{self._prefix}{name}"
        return full.removesuffix("_total") or full

    def hold(self) -> None:
        """Have nobody count until `let_go`."""
        self._lock.acquire()

    def let_go(self) -> None:
        """Let everybody go on."""
        self._lock.release()

    def begin_anew(self) -> None:
        """Count from 0, in a process that was forked off: its parent has what was counted before. While it is held."""
        for family in self._families.values():
            family.reset()

    def _family(self, name: str, kind: MetricKind, description: str = "", bounds: Sequence[float] = ()) -> Family:
        family = self._known.get((name, kind))
        return family if family is not None else self._named(name, kind, description, bounds)

    def _named(self, name: str, kind: MetricKind, description: str, bounds: Sequence[float]) -> Family:
        full = self.full_name(name)
        with self._lock:
            family = self._families.get(full)
            if family is None:
                text = description or HELP.get(full) or full.removeprefix(self._prefix).replace("_", " ").capitalize()
                family = Family(full, kind, text, self._most, self._lock, bounds)
                for other in list(self._families.values()):
                    if other.name != full and family.exposed & other.exposed:
                        raise ValueError(f"{name} and {other.name} would be written down under the same name")
                family = self._families.setdefault(full, family)  # a handler of signals may have been quicker
            if family.kind is not kind:
                raise ValueError(f"{full} is a {family.kind}, no {kind}")
            self._known[name, kind] = family
        return family


class Operation:
    """Something that takes time. `tags` may be added to while it lasts: they go to the span, and are no labels.

    A label for each batch size would be a series for each; what describes one operation belongs to its span.
    `seconds` is what it took, once it is over.
    """

    __slots__ = ("_histogram", "_labels", "_span", "_start", "name", "seconds", "tags")

    def __init__(self, collector: MetricsCollector, name: str, labels: Tags | None) -> None:
        # Here, since what raises where the operation ends would take the place of its own error.
        self._histogram = collector.histogram(_in_seconds(name), labels)
        self._labels, self.name = labels, name
        self.tags: dict[str, Any] = {}
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._span = _span(self.name, self._labels) if spans.is_kept else None  # a guard is all that it costs
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._start
        self._histogram.observe(self.seconds)
        if self._span:
            self._span.end(error, self.tags)


def _span(name: str, labels: Tags | None) -> Node:
    from oreflow.monitoring.nodes import begin

    return begin(name, labels)


def _in_seconds(name: str) -> str:
    """The name of a histogram of times."""
    return name if str(name).endswith("_seconds") else f"{name}_seconds"


_numbers = itertools.count(1)  # of the snapshots of this process
_all: weakref.WeakSet[MetricsCollector] = weakref.WeakSet()
_collector: MetricsCollector | None = None
_making = threading.RLock()


def get_metrics_collector() -> MetricsCollector:
    """The collector of this process, to which runs write as well."""
    global _collector  # noqa: PLW0603  there is one in a process
    with _making:
        if _collector is None:
            _collector = MetricsCollector()
        return _collector


_forking: list[MetricsCollector] = []


def _before_fork() -> None:
    """Nobody counts while the process is copied, so that no lock is held for ever in the copy."""
    _making.acquire()
    _forking.extend(_all)
    for each in _forking:
        each.hold()


def _after_fork() -> None:
    while _forking:
        _forking.pop().let_go()
    _making.release()


def _in_child() -> None:
    for each in _forking:
        each.begin_anew()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
