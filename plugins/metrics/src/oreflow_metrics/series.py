"""Metrics over time: of each series the values that it came to, with when it had them, as many as there is room for."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from dataclasses import dataclass, field
from operator import attrgetter

from oreflow.contract import Labels, MetricFamily, MetricKind, Sample, Snapshot


@dataclass(slots=True)
class Run:
    """A value, and the first and the last moment at which a series was seen to have it."""

    first: float
    last: float
    sample: Sample


_first = attrgetter("first")


@dataclass(slots=True)
class Series:
    """The values of a series, the oldest first; `is_whole` says that none was let go since it began."""

    is_whole: bool
    number: int  # of all series, in the order in which they came
    runs: list[Run] = field(default_factory=list)

    def within(self, start: float, end: float) -> list[Run]:
        """The values that it had after `start` and until `end`."""
        return [run for run in self._until(end) if run.last > start]

    def path(self, start: float, end: float) -> list[Sample | None]:
        """The value at `start` and those that came until `end`.

        The first is None for a series that began in between; where that value was let go, it is the oldest there is.
        """
        runs = self._until(end)
        at = bisect_right(runs, start, key=_first)
        if at:
            return [run.sample for run in runs[at - 1 :]]
        return [*([None] if self.is_whole else []), *(run.sample for run in runs)]

    def take(self, at: float, sample: Sample) -> int:
        """Take the value of a moment that is after all others; gives how many values it has more."""
        if self.runs and _is_same(self.runs[-1].sample, sample):
            self.runs[-1].last = at
            return 0
        self.runs.append(Run(at, at, sample))
        return 1

    def _until(self, end: float) -> list[Run]:
        return self.runs[: bisect_right(self.runs, end, key=_first)]


@dataclass(slots=True)
class Metric:
    """All series of a metric; `is_whole` says that none was let go, so that one that is new has begun just now."""

    kind: MetricKind
    bounds: tuple[float, ...]
    series: dict[Labels, Series] = field(default_factory=dict)
    is_whole: bool = True


class Store:
    """The metrics of the last `keep` seconds, `most` values at the most. To be used by one thread at a time."""

    def __init__(self, keep: float, most: int) -> None:
        self.most = most
        self.is_too_small = False  # a series had to go that was there just then
        self.metrics: dict[str, Metric] = {}
        self.size = 0
        self._keep = keep
        self._now = float("-inf")
        self._number = 0

    def take(self, snapshot: Snapshot, *, is_first: bool = False) -> None:
        """Take the figures of a moment; of the first one it is not known when its series began.

        Where it is one before those that were taken, the clock has been set back: what it has not come to is let go.
        """
        if snapshot.at <= self._now:
            self._rewind(snapshot.at)
        self._now = snapshot.at
        for family in snapshot.families:
            metric = self._metric(family)
            for sample in family.samples:
                series = metric.series.get(sample.labels)
                if series is None:
                    self._number += 1
                    series = metric.series[sample.labels] = Series(metric.is_whole and not is_first, self._number)
                self.size += series.take(snapshot.at, sample)
        self._forget_old()
        if self.size > self.most:
            self._make_room()

    def _metric(self, family: MetricFamily) -> Metric:
        """The metric of this name: another one where it has become another."""
        found = self.metrics.get(family.name)
        if found is None or (found.kind, found.bounds) != (family.kind, family.bounds):
            self.size -= sum(len(series.runs) for series in found.series.values()) if found else 0
            found = self.metrics[family.name] = Metric(family.kind, family.bounds)
        return found

    def _rewind(self, at: float) -> None:
        for metric in self.metrics.values():
            for labels, series in list(metric.series.items()):
                while series.runs and series.runs[-1].first >= at:
                    series.runs.pop()
                    self.size -= 1
                if series.runs:
                    series.runs[-1].last = min(series.runs[-1].last, at)
                else:
                    metric.is_whole &= series.is_whole
                    del metric.series[labels]

    def _forget_old(self) -> None:
        """Let go what is older than `keep`, but for the value that a window of that length starts with."""
        start = self._now - self._keep
        for metric in self.metrics.values():
            for labels, series in list(metric.series.items()):
                runs = series.runs
                count = len(runs) if runs[-1].last <= start else max(bisect_right(runs, start, key=_first) - 1, 0)
                if count:
                    self._let_go(metric, labels, series, count)

    def _make_room(self) -> None:
        """Let go the values that were seen last the longest ago; of the same moment, first those of new series."""
        oldest = [
            (series.runs[0].last, -series.number, labels, series, metric)
            for metric in self.metrics.values()
            for labels, series in metric.series.items()
        ]
        heapq.heapify(oldest)
        while self.size > self.most:
            last, number, labels, series, metric = oldest[0]
            self.is_too_small |= last == self._now
            self._let_go(metric, labels, series, 1)
            if series.runs:
                heapq.heapreplace(oldest, (series.runs[0].last, number, labels, series, metric))
            else:
                heapq.heappop(oldest)

    def _let_go(self, metric: Metric, labels: Labels, series: Series, count: int) -> None:
        """Let go the oldest values of a series, and the series where it has no others."""
        del series.runs[:count]
        self.size -= count
        series.is_whole = False
        if not series.runs:
            metric.is_whole = False
            del metric.series[labels]


def _is_same(one: Sample, other: Sample) -> bool:
    is_value = one.value == other.value or (math.isnan(one.value) and math.isnan(other.value))
    return is_value and one.count == other.count and one.buckets == other.buckets
