"""Figures as InfluxDB's line protocol: one line for each series.

Fields are those that Telegraf's input `prometheus` makes (`metric_version = 1`), but for `value`, which it calls by the
kind of the metric: a histogram has `count`, `sum` and one field for each upper bound, named as the bound, which Flux'
`prometheus.histogramQuantile(metricVersion: 1)` reads. All are floats: InfluxDB holds a field to the type it had first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache

from oreflow.contract import MetricFamily, MetricKind, Sample, Snapshot
from oreflow.monitoring.exposition import written

_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ ", "\n": r"\n"})
_TAG = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\n": r"\n"})
_RESERVED = {"time", "_field", "_measurement"}
"""Names that InfluxDB gives to other things: a point with such a tag is refused, or cannot be found again."""


def line(family: MetricFamily, sample: Sample, tags: Mapping[str, str], at: int) -> bytes:
    """A series at a moment, in nanoseconds since 1970, as a line with its end; nothing where it has no finite figure.

    The labels go before `tags` of the same name. What the protocol cannot say is said nearly: a line feed by a
    backslash and an n, a backslash at the end by one with a blank behind it; a label that is called as InfluxDB calls
    something else gets a `_` at its end.
    """
    fields = ",".join(f"{name}={value!r}" for name, value in _fields(family, sample) if math.isfinite(value))
    if not fields:
        return b""
    parts = [_whole(family.name.translate(_MEASUREMENT))]
    for name, value in sorted({**tags, **dict(sample.labels)}.items()):
        if name and value:
            key = f"{name}_" if name in _RESERVED else name
            parts.append(f"{_tag(key)}={_tag(value)}")
    return f"{','.join(parts)} {fields} {at}\n".encode(errors="backslashreplace")


def moment(snapshot: Snapshot) -> int:
    """When a snapshot was taken, in nanoseconds since 1970."""
    return round(snapshot.at * 1e9)


def _fields(family: MetricFamily, sample: Sample) -> Iterator[tuple[str, float]]:
    if family.kind is not MetricKind.HISTOGRAM:
        yield "value", float(sample.value)
        return
    yield "count", float(sample.count)
    yield "sum", float(sample.value)
    for bound, count in zip((*family.bounds, math.inf), (*sample.buckets, sample.count), strict=True):
        yield _named(bound), float(count)


@lru_cache(maxsize=4096)
def _tag(text: str) -> str:
    """A key or a value of a tag, of which many series have the same."""
    return _whole(text.translate(_TAG))


_named = lru_cache(maxsize=1024)(written)  # the same bounds in each series of a histogram


def _whole(text: str) -> str:
    """A text that does not take what follows it for its own: no backslash can be escaped."""
    return f"{text}\\ " if text.endswith("\\") else text
