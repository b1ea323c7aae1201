"""Aggregations over what is kept. What each function means is said by `oreflow.contract.Aggregation`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from oreflow.contract import Aggregation, Figure, Labels, MetricKind, Sample
from oreflow_metrics.series import Metric, Run, Series, Store


@dataclass(frozen=True)
class _Seen:
    """A series that is in the window: its values there, and the way from the window's start to its end."""

    runs: Sequence[Run]
    path: Sequence[Sample | None]


@dataclass(frozen=True)
class _Group:
    """The series of a group that are in the window: one at least."""

    metric: Metric
    seen: Sequence[_Seen]

    def latest(self) -> float:
        newest = [each.runs[-1] for each in self.seen]
        if self.metric.kind is not MetricKind.GAUGE:
            return sum(run.sample.value for run in newest)
        changed = max(run.first for run in newest)
        last = [run.sample.value for run in newest if run.first == changed]
        return sum(last) / len(last)

    def sum(self) -> float:
        if self.metric.kind is MetricKind.GAUGE:
            return self.latest_values()
        return sum(_increase(each.path).value for each in self.seen)

    def latest_values(self) -> float:
        return sum(each.runs[-1].sample.value for each in self.seen)

    def change(self) -> float:
        """What `rate` is made of."""
        return sum(map(_change, self.seen)) if self.metric.kind is MetricKind.GAUGE else self.sum()

    def percentile(self, share: float) -> float:
        if self.metric.kind is MetricKind.GAUGE:
            return _of_values(share, sorted(run.sample.value for each in self.seen for run in each.runs))
        if self.metric.kind is MetricKind.HISTOGRAM:
            increases = [_increase(each.path) for each in self.seen]
            counts = [sum(counts) for counts in zip(*((*each.buckets, each.count) for each in increases), strict=True)]
            return _of_buckets(share, self.metric.bounds, counts)
        return math.nan


_FUNCTIONS: dict[str, Callable[[_Group, Aggregation], float]] = {
    "latest": lambda group, _: group.latest(),
    "sum": lambda group, _: group.sum(),
    "ratio": lambda group, _: group.sum(),
    "rate": lambda group, asked: group.change() / asked.window,
    "percentile": lambda group, asked: group.percentile(asked.share),
}


def figures(store: Store, asked: Aggregation, at: float) -> list[Figure]:
    """One figure for each group that has a series, in the order of labels.

    Raises:
        ValueError: the aggregation is none.
    """
    function = _FUNCTIONS.get(asked.function)
    if function is None:
        raise ValueError(f"there is no function {asked.function!r}: there are {', '.join(sorted(_FUNCTIONS))}")
    wanted = 2 if asked.function == "ratio" else 1
    if len(asked.metrics) != wanted or not asked.window > 0 or not 0 <= asked.share <= 1:
        raise ValueError(f"{asked.name} needs {wanted} of metrics, a window above 0, and a share from 0 to 1")
    parts = [dict(_values(store, name, asked, at, function)) for name in asked.metrics]
    found = []
    for labels in sorted(set().union(*parts)):
        value = parts[0].get(labels)
        if wanted > 1:
            other = parts[1].get(labels)
            value = value / other if value is not None and other else None
        found.append(Figure(labels, None if value is None or math.isnan(value) else value))
    return found


def _values(
    store: Store, name: str, asked: Aggregation, at: float, function: Callable[[_Group, Aggregation], float]
) -> Iterator[tuple[Labels, float | None]]:
    """The value of each group of a metric; None where it measured nothing."""
    metric = store.metrics.get(name)
    if metric is None:
        return
    start, groups = at - asked.window, dict[Labels, list[_Seen]]()
    for labels, series in metric.series.items():
        has = dict(labels)
        if all(has.get(label, "") == value for label, value in asked.where.items()):
            group = groups.setdefault(tuple(sorted((label, has.get(label, "")) for label in asked.by)), [])
            if seen := _seen(series, metric.kind, start, at):
                group.append(seen)
    for labels, group in groups.items():
        yield labels, function(_Group(metric, group), asked) if group else None


def _seen(series: Series, kind: MetricKind, start: float, end: float) -> _Seen | None:
    """A series in a window; None where it is not in it."""
    runs, path = series.within(start, end), series.path(start, end)
    if kind is MetricKind.GAUGE:
        if not runs or math.isnan(runs[-1].sample.value):
            return None
        runs = [run for run in runs if not math.isnan(run.sample.value)]
        path = [sample for sample in path if sample and not math.isnan(sample.value)]
    return _Seen(runs, path) if runs else None


def _change(gauge: _Seen) -> float:
    first, last = gauge.path[0], gauge.path[-1]
    return last.value - first.value if first and last else 0.0


def _increase(path: Sequence[Sample | None]) -> Sample:
    """What a counter or a histogram has counted on its way: from each reset to the value before the next one."""
    begin, last = path[0], path[0]
    parts: list[tuple[Sample | None, Sample | None]] = []
    for sample in path[1:]:
        if last and sample and _is_reset(last, sample):
            parts.append((begin, last))
            begin = None
        last = sample
    parts.append((begin, last))
    value, count, buckets = 0.0, 0, [0] * len(last.buckets if last else ())
    for before, after in parts:
        if after:
            value += after.value - (before.value if before else 0.0)
            count += after.count - (before.count if before else 0)
            old = before.buckets if before else (0,) * len(buckets)
            buckets = [total + end - start for total, end, start in zip(buckets, after.buckets, old, strict=True)]
    return Sample((), value, count, tuple(buckets))


def _is_reset(before: Sample, after: Sample) -> bool:
    """Whether it began anew in between; the sum of a histogram may fall without that."""
    if after.buckets:
        return after.count < before.count or any(map(operator.lt, after.buckets, before.buckets))
    return after.value < before.value


def _of_values(share: float, values: Sequence[float]) -> float:
    """The percentile of sorted values."""
    at = share * (len(values) - 1)
    low, high = values[math.floor(at)], values[math.ceil(at)]
    return low if low == high else low + (high - low) * (at - math.floor(at))


def _of_buckets(share: float, bounds: Sequence[float], counts: Sequence[int]) -> float:
    """The percentile of observations that are counted by upper bounds, cumulative, the last one being `+Inf`."""
    if not counts[-1] or not bounds:
        return math.nan
    rank = share * counts[-1]
    at = next(at for at, count in enumerate(counts) if count and count >= rank)
    if at == len(bounds):
        return bounds[-1]
    if at == 0 and bounds[0] <= 0:
        return bounds[0]
    low, before = (bounds[at - 1], counts[at - 1]) if at else (0.0, 0)
    return low + (bounds[at] - low) * (rank - before) / (counts[at] - before)
