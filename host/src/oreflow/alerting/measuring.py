"""The figures of one run that conditions are on: each metric of it, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oreflow.alerting.declared import FIGURES, metric_names
from oreflow.contract import MetricFamily, MetricKind, Sample
from oreflow.monitoring.catalogue import METRICS
from oreflow.monitoring.collector import MetricsCollector, get_metrics_collector
from oreflow.monitoring.recorder import Recorder

_MADE = ("published", "failed")
Found = tuple[Mapping[str, str], float]
"""A subject, and the value of a figure of it."""


class Measures:
    """What is counted of one run: by a collector of its own, so that the figures are this run's and no other's.

    `recorder` is the listener that counts.
    """

    def __init__(self, run_id: str, pipeline: str) -> None:
        self._pipeline = pipeline
        self._collector = MetricsCollector()
        self.recorder = Recorder(self._collector, run_id, pipeline)
        self._before = {
            (family.name, sample.labels): sample
            for family in get_metrics_collector().snapshot().families
            for sample in family.samples
        }

    def of_table(self, figure: str, result: Mapping[str, Any], *, with_time: bool) -> Iterator[Found]:
        """A figure of a table that is done; `with_time`: also how long it took, which else is said of the run alone."""
        table, is_made = result["table"], result["status"] in _MADE
        if figure == "processing_time":
            if with_time and is_made:
                yield {"table": table}, result["seconds"]
        elif figure == "error_rate":
            if rows := self._of(table, "records_processed"):
                yield {"table": table}, self._of(table, "records_failed") / rows
        elif is_made:
            yield from (found for found in self._metric(figure) if found[0].get("table") == table)

    def of_run(self, figure: str, report: Mapping[str, Any]) -> Iterator[Found]:
        """A figure of the run, of a resource, or of a program's own metric; none that is a table's."""
        if figure == "processing_time":
            yield {}, report["seconds"]
        elif _short(figure) in metric_names():
            yield from (found for found in self._metric(figure) if "table" not in found[0])
        else:
            yield from self._own(figure)

    def is_counter(self, figure: str) -> bool:
        """Whether it is a metric that is there only where something was counted."""
        kind, _, _ = METRICS.get(f"{_short(figure)}_total", ("", (), ""))
        return kind == MetricKind.COUNTER

    def is_known(self, figure: str) -> bool:
        """Whether it is a figure that a run has, or somebody has counted it."""
        if figure in FIGURES or _short(figure) in metric_names():
            return True
        return self._family(get_metrics_collector(), figure) is not None

    def _of(self, table: str, figure: str) -> float:
        return sum(value for subject, value in self._metric(figure) if subject.get("table") == table)

    def _metric(self, figure: str) -> Iterator[Found]:
        if family := self._family(self._collector, figure):
            for sample in family.samples:
                yield self._subject(sample), sample.value

    def _own(self, figure: str) -> Iterator[Found]:
        """What a program or a plugin has counted itself since the run has begun."""
        family = self._family(get_metrics_collector(), figure)
        for sample in family.samples if family else ():
            labels = dict(sample.labels)
            if labels.get("pipeline", self._pipeline) != self._pipeline:
                continue
            before = self._before.get((family.name, sample.labels)) if family else None
            is_set = family is not None and family.kind is MetricKind.GAUGE
            yield self._subject(sample), sample.value - (before.value if before and not is_set else 0.0)

    def _family(self, collector: MetricsCollector, figure: str) -> MetricFamily | None:
        try:
            name = collector.full_name(figure)
        except ValueError:
            return None
        return next((family for family in collector.snapshot().families if family.name == name), None)

    def _subject(self, sample: Sample) -> dict[str, str]:
        return {name: value for name, value in sample.labels if name not in ("pipeline", "stage")}


def _short(figure: str) -> str:
    return figure.removeprefix("oreflow_").removesuffix("_total")
