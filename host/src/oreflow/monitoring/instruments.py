"""The series of a metric: what is counted on the way of a row, at the cost of a lock and an addition.

prometheus-client's own instruments would do, were it not that finding a series by its labels takes them 1.8 µs and that
they keep any number of them. The model and what is written down are theirs (`oreflow.monitoring.exposition`).
"""

from __future__ import annotations

import logging
import math
import re
import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from oreflow.contract import Labels, MetricFamily, MetricKind, Sample
from oreflow.secrets import redacted

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""The upper bounds of a histogram where nobody says others: seconds, from a query to a night's job."""
OVERFLOW: Labels = (("overflow", "true"),)
"""The labels of the series that takes what has no room for a series of its own."""
_MOST = sys.float_info.max
_PLAIN = (int, float)  # what is a number without a look at it
_LONGEST = 256  # characters of a label's value
_SPELLINGS = 4  # orders of the same labels that are remembered, on average
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_UNITS = ("seconds", "bytes", "ratio")
_log = logging.getLogger("oreflow.monitoring")


class Counter:
    """A series that only grows. Made by `MetricsCollector.counter`; safe to be used by several threads."""

    __slots__ = ("_lock", "labels", "value")

    def __init__(self, labels: Labels, lock: Any, bounds: Sequence[float] = ()) -> None:
        self.labels, self._lock, self.value = labels, lock, 0.0

    def inc(self, amount: float = 1) -> None:
        """Count `amount` more.

        Raises:
            ValueError: it is below 0, infinite, or no number.
        """
        if type(amount) not in _PLAIN or not 0 <= amount <= _MOST:
            amount = self.checked(amount)
        with self._lock:
            self.value += amount

    @staticmethod
    def checked(amount: Any) -> float:
        """What may be counted more; raises as `inc`."""
        found = number(amount)
        if not 0 <= found <= _MOST:
            raise ValueError(f"a counter only grows, and cannot count {amount!r} more")
        return found

    def sample(self) -> Sample:
        """What it has now. Under the lock."""
        return Sample(self.labels, self.value)

    def reset(self) -> None:
        """Begin to count anew."""
        self.value = 0.0


class Gauge:
    """A series that has a value, which may be any. Made by `MetricsCollector.gauge`."""

    __slots__ = ("_lock", "labels", "value")

    def __init__(self, labels: Labels, lock: Any, bounds: Sequence[float] = ()) -> None:
        self.labels, self._lock, self.value = labels, lock, 0.0

    def set(self, value: float) -> None:
        """Have this value from now on.

        Raises:
            ValueError: it is no number.
        """
        self.value = self.checked(value)

    def inc(self, amount: float = 1) -> None:
        """Have `amount` more, or less where it is below 0.

        Raises:
            ValueError: it is no number.
        """
        amount = self.checked(amount)
        with self._lock:
            self.value += amount

    @staticmethod
    def checked(value: Any) -> float:
        """What may be its value; raises as `set`."""
        return number(value)

    def sample(self) -> Sample:
        """What it has now. Under the lock."""
        return Sample(self.labels, self.value)

    def reset(self) -> None:
        """Keep what it has: a value is as true in a copy of the process."""


class Histogram:
    """A series of observations, counted by upper bounds. Made by `MetricsCollector.histogram`."""

    __slots__ = ("_bounds", "_counts", "_lock", "labels", "sum")

    def __init__(self, labels: Labels, lock: Any, bounds: Sequence[float] = BOUNDS) -> None:
        self.labels, self._lock, self._bounds = labels, lock, bounds
        self.reset()

    def observe(self, value: float) -> None:
        """Take an observation.

        Raises:
            ValueError: it is infinite, or no number.
        """
        if type(value) not in _PLAIN or not -_MOST <= value <= _MOST:
            value = self.checked(value)
        at = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[at] += 1
            self.sum += value

    @staticmethod
    def checked(value: Any) -> float:
        """What may be observed; raises as `observe`."""
        found = number(value)
        if not -_MOST <= found <= _MOST:
            raise ValueError(f"an observation is a finite number, and {value!r} is none")
        return found

    def sample(self) -> Sample:
        """What it has now. Under the lock."""
        total, buckets = 0, []
        for count in self._counts:
            total += count
            buckets.append(total)
        return Sample(self.labels, self.sum, total, tuple(buckets[:-1]))

    def reset(self) -> None:
        """Begin to count anew."""
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0


Series = Counter | Gauge | Histogram
SERIES: Mapping[MetricKind, type[Series]] = {
    MetricKind.COUNTER: Counter,
    MetricKind.GAUGE: Gauge,
    MetricKind.HISTOGRAM: Histogram,
}


class Family:
    """A metric with its series, of which there are at most so many; what comes besides goes into one series."""

    def __init__(
        self, name: str, kind: MetricKind, description: str, most: int, lock: Any, bounds: Sequence[float] = ()
    ) -> None:
        self.name, self.kind, self.description = name, kind, description
        self.bounds = tuple(float(bound) for bound in bounds)
        if kind is MetricKind.HISTOGRAM:
            rises = all(a < b for a, b in zip(self.bounds, self.bounds[1:], strict=False))
            if not self.bounds or not rises or not all(map(math.isfinite, self.bounds)):
                raise ValueError(f"the bounds of {name} are finite numbers that rise, not {list(bounds)}")
        self.most, self._lock = most, lock
        self._series: dict[Labels, Series] = {}
        self._spelled: dict[Any, Series] = {}  # by labels as callers have said them, for the quick way

    @property
    def exposed(self) -> set[str]:
        """The names under which its series are written down."""
        suffixes = {
            MetricKind.COUNTER: ("", "_total", "_created"),
            MetricKind.GAUGE: ("",),
            MetricKind.HISTOGRAM: ("", "_bucket", "_sum", "_count", "_created"),
        }
        return {f"{self.name}{suffix}" for suffix in suffixes[self.kind]}

    def series(self, tags: Mapping[str, Any] | None) -> Any:
        """The series with these labels, made where there is none yet.

        Raises:
            ValueError: a label cannot be called so.
        """
        try:
            key = tuple(tags.items()) if tags else ()
        except AttributeError:
            raise ValueError(f"labels are a mapping of names and values, not {tags!r}") from None
        try:
            found = self._spelled.get(key)
        except TypeError:  # a list cannot be looked for, and is a text like everything else
            key = tuple((name, str(value)) for name, value in key)
            found = self._spelled.get(key)
        if found is not None:
            return found
        labels = tuple(sorted((label_name(name), label_value(value)) for name, value in key))
        is_news = False
        with self._lock:
            found = self._series.get(labels)
            if found is None:
                if len(self._series) >= self.most:
                    labels, is_news = OVERFLOW, OVERFLOW not in self._series
                found = self._series.setdefault(labels, SERIES[self.kind](labels, self._lock, self.bounds))
            if labels is not OVERFLOW and all(type(value) is str for _, value in key):  # 1 and True are equal keys
                if len(self._spelled) >= _SPELLINGS * self.most:
                    self._spelled.clear()
                self._spelled[key] = found
        if is_news:
            _log.warning(
                "the metric %s has %s label sets, as many as it may; others are counted together in the series with"
                " overflow=true - take labels with many values away, or raise most_label_sets",
                self.name,
                self.most,
            )
        return found

    def family(self) -> MetricFamily:
        """What it is and has now. Under the lock."""
        unit = next((unit for unit in _UNITS if self.name.endswith(f"_{unit}")), "")
        samples = tuple(series.sample() for series in list(self._series.values()))
        return MetricFamily(self.name, self.kind, self.description, samples, unit, self.bounds)

    def reset(self) -> None:
        """Begin to count anew, in a process that was forked off."""
        for series in self._series.values():
            series.reset()


def label_name(name: object) -> str:
    """The name of a label, if it can be one.

    Raises:
        ValueError: it cannot.
    """
    if not isinstance(name, str) or not _LABEL.match(name) or name.startswith("__") or name in ("le", "quantile"):
        raise ValueError(f"a label cannot be called {name!r}: letters, digits and _, not le, quantile or __...")
    return name


def number(value: Any) -> float:
    """A number of any library, such as numpy or decimal, as a float.

    Raises:
        ValueError: it is none; a text is none, whatever it says.
    """
    try:
        if not isinstance(value, (str, bytes, bytearray)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"a number is expected, and {str(redacted(repr(value)))[:60]} is none")


def label_value(value: object) -> str:
    """The value of a label, as series have it: a text of bounded length, without secrets."""
    text = str(redacted(str(value)))
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    return text.encode(errors="backslashreplace").decode()  # what is no character cannot be written down
