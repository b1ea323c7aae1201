"""Metrics as texts: Prometheus' and OpenMetrics' by prometheus-client, and JSON.

Plugins that write figures down or are asked for them use it too, so that a figure reads the same wherever it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from oreflow.contract import MetricFamily, MetricKind, Snapshot

CONTENT_TYPES = {
    "prometheus": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": openmetrics.CONTENT_TYPE_LATEST,
    "json": "application/json",
}
"""The media type of each format."""


def text(snapshot: Snapshot, form: str) -> str:
    """A snapshot as `prometheus` (text format 0.0.4), `openmetrics` (1.0.0) or `json`.

    Raises:
        ValueError: it is none of these.
    """
    if form == "json":
        return json.dumps(document(snapshot), indent=2)
    writers: dict[str, Any] = {"prometheus": exposition.generate_latest, "openmetrics": openmetrics.generate_latest}
    if form in writers:
        return str(writers[form](Figures(snapshot)), "utf-8")
    raise ValueError(f"there is no format {form!r}: there are prometheus, openmetrics and json")


def document(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as a document of JSON: `at` (seconds since 1970) and `metrics`, each with its `series`.

    A series has `labels` and `value`, that of a histogram `count`, `sum` and `buckets` (cumulative, by upper bound).
    """
    return {"at": snapshot.at, "metrics": [_described(family) for family in snapshot.families]}


def exposed_name(family: MetricFamily) -> str:
    """The name that a metric is written down by: a counter's ends in `_total`."""
    return f"{family.name}_total" if family.kind is MetricKind.COUNTER else family.name


def written(value: float) -> str:
    """A number as Prometheus writes it: `0.5`, `+Inf`."""
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # prometheus-client says no types of it


def _described(family: MetricFamily) -> dict[str, Any]:
    series: list[dict[str, Any]] = []
    for sample in family.samples:
        one: dict[str, Any] = {"labels": dict(sample.labels)}
        if family.kind is MetricKind.HISTOGRAM:
            bounds = [*map(written, family.bounds), "+Inf"]
            buckets = dict(zip(bounds, (*sample.buckets, sample.count), strict=True))
            one |= {"count": sample.count, "sum": _number(sample.value), "buckets": buckets}
        else:
            one["value"] = _number(sample.value)
        series.append(one)
    about = {"name": exposed_name(family), "type": family.kind.value, "help": family.help, "unit": family.unit}
    return {**about, "series": series}


def _number(value: float) -> float | int | str:
    """A number as JSON has it: whole where it is, and a text where JSON has none for it."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN
        return written(value)
    return int(value) if value == int(value) and abs(value) < 2**53 else value


class Figures(Collector):
    """A snapshot where prometheus-client expects a registry."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """The metrics as prometheus-client has them."""
        return _families(self._snapshot)


def _families(snapshot: Snapshot) -> Iterator[Metric]:
    for family in snapshot.families:
        metric: Metric
        if family.kind is MetricKind.COUNTER:
            metric = CounterMetricFamily(family.name, family.help)
            for sample in family.samples:
                metric.add_sample(f"{family.name}_total", dict(sample.labels), sample.value)
        elif family.kind is MetricKind.GAUGE:
            metric = GaugeMetricFamily(family.name, family.help)
            for sample in family.samples:
                metric.add_sample(family.name, dict(sample.labels), sample.value)
        else:
            metric = HistogramMetricFamily(family.name, family.help)
            bounds = [*map(written, family.bounds), "+Inf"]
            for sample in family.samples:
                labels = dict(sample.labels)
                for bound, count in zip(bounds, (*sample.buckets, sample.count), strict=True):
                    metric.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
                metric.add_sample(f"{family.name}_sum", labels, sample.value)
                metric.add_sample(f"{family.name}_count", labels, sample.count)
        metric.unit = family.unit
        yield metric
