"""What crosses the boundary between the host and a plugin that takes metrics or spans somewhere.

Metrics have the data model of Prometheus (https://prometheus.io/docs/concepts/data_model): families of series, each
series with labels; a counter grows from the start of its process, a histogram counts observations by upper bounds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class MetricKind(StrEnum):
    """How a metric's figures are to be read."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


Labels = tuple[tuple[str, str], ...]
"""The labels of a series: pairs of name and value, sorted by name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at a moment.

    `value` is a counter's total since the process began, a gauge's value, or the sum of a histogram's observations.
    `count` is how many these were, `buckets` how many of them were at or below each bound of the family (cumulative,
    without the last, `+Inf`, which is `count`).
    """

    labels: Labels
    value: float
    count: int = 0
    buckets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric with all its series.

    `name` is the full name without the suffix `_total` that a counter has where it is written down; `unit` is a base
    unit (`seconds`, `bytes`, `ratio`) or ''; `bounds` are the upper bounds of a histogram's buckets, rising, without
    `+Inf`.
    """

    name: str
    kind: MetricKind
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All metrics of a process at a moment, in seconds since 1970.

    `number` rises with each snapshot of a process: clocks are set back, and threads hand over late.
    """

    at: float
    families: tuple[MetricFamily, ...]
    number: int = 0


@dataclass(frozen=True)
class Aggregation:
    """A figure made of metrics over a window of time.

    `function` is one of those below; `metrics` are full names: one, or for `ratio` two. `window` is in seconds: it
    reaches from `at - window`, which does not belong to it, to `at`, which does; that of `latest` may be infinite. `by`
    are the labels that groups are made by, `where` are values that labels must have; a label that a series does not
    have has the value ''. `share` is that of `percentile`: 0.95 for `p95`.

    A series is in a window that has a moment in which it was there; else it measured nothing. Within a group the series
    that are in the window come to one value:

    | function | counter | gauge | histogram |
    |---|---|---|---|
    | `latest` | totals, added up | the value that changed last | sums of all observations, added up |
    | `sum` | increases, added up | newest values, added up | increases of the sums, added up |
    | `rate` | `sum` for each second of the window | change for each second, added up | as a counter |
    | `percentile` | None | of the values that it came to | of the observations in the window |
    | `ratio` | `sum` of the first metric over that of the second | the same | the same |

    - An increase is the value at the end less that at the window's start. A series that began within the window counts
      from 0; where a value fell, it was reset to 0 in between, as in Prometheus. What went on between two snapshots
      goes to the second one's moment. The change of a gauge is the same without these rules, and begins at its first
      value where it began within the window.
    - Where several gauges changed last at the same moment, `latest` is their mean.
    - The percentile of a gauge is interpolated between values as by `quantile_over_time` of Prometheus; a value counts
      once for each time that the gauge came to it, however long it stayed. That of histograms is the one of all the
      group's observations, interpolated within a bucket as by `histogram_quantile`.
    - NaN is no value: a gauge that is NaN measures nothing, and a figure that would be NaN is None, as is a ratio where
      one of the metrics measured nothing or the second comes to 0.
    """

    name: str
    function: str
    metrics: tuple[str, ...]
    window: float
    by: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A value of an aggregation for one group; `value` is None where nothing was measured, or a ratio is of nothing."""

    labels: Labels
    value: float | None


@dataclass(frozen=True)
class Surroundings:
    """Whose metrics or spans a backend is created for.

    `folder` is a place of its own beside the tables for what it has to keep: the same for each process of the
    pipeline, and made by the backend when it needs it. `project` is what relative paths start at.
    """

    pipeline: str
    environment: str
    project: Path
    folder: Path


class MetricBackend(ABC):
    """Where metrics go. The host calls each from a thread of its own, and never waits for it longer than it says.

    What a method raises is told and logged, and harms no run. `write` is called at each interval and at the end of
    each run; a backend that could not take one snapshot is given the next, which has all that the one before had.
    """

    def open(self, read: Callable[[], Snapshot]) -> None:  # noqa: B027  most have nothing to begin
        """Begin; `read` gives the figures as they are now, for those that are asked by others.

        Where it raises, it is called again before the next `write`, which is called nevertheless.
        """

    @abstractmethod
    def write(self, snapshot: Snapshot) -> None:
        """Take the figures of a moment."""

    def query(self, aggregation: Aggregation, at: float) -> Sequence[Figure]:
        """The figures of an aggregation at a moment, one for each group; asked of those whose metadata says so."""
        return ()

    def close(self) -> None:  # noqa: B027  most have nothing to let go of
        """Let go of what it has; nothing is written any more."""


class TraceBackend(ABC):
    """Where spans go: what an SDK of OpenTelemetry is set up by."""

    @property
    def fault(self) -> str:
        """Why spans did not get there, in one line; '' where all did, or where it does not know."""
        return ""

    @abstractmethod
    def provider(self) -> Any:
        """The `opentelemetry.trace.TracerProvider` whose spans go there; the same at each call."""

    @abstractmethod
    def flush(self, seconds: float) -> bool:
        """Send what has ended, in so many seconds at the most; gives whether all was sent."""

    def close(self) -> None:  # noqa: B027  some have nothing to let go of
        """Let go of what it has; no span is begun any more."""
