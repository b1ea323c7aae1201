"""Metrics in memory against a plain model, which keeps all that it was ever handed and goes through it for a figure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oreflow.contract import Aggregation, MetricFamily, MetricKind, Sample, Snapshot, Surroundings
from oreflow.factory import get_processor_factory

BOUNDS = (1.0, 4.0)
NAMES = {
    "rows": MetricKind.COUNTER,
    "read": MetricKind.COUNTER,
    "depth": MetricKind.GAUGE,
    "took": MetricKind.HISTOGRAM,
}
LABELS = ((), (("a", "x"),), (("a", "x"), ("b", "y")), (("a", "z"), ("b", "y")))
SMALL = st.integers(0, 4)


def samples(name, labels):
    """A value of a series; that of a counter or a histogram may be less than the one before."""
    if name != "took":
        return st.builds(Sample, st.just(labels), SMALL.map(float))
    steps = st.tuples(SMALL, SMALL, SMALL)
    return steps.map(lambda n: Sample(labels, 3.0 * n[0] + n[1], sum(n), (n[0], n[0] + n[1])))


SERIES = [(name, labels) for name in NAMES for labels in LABELS]
MOMENTS = st.fixed_dictionaries({}, optional={key: samples(*key) for key in SERIES})


@st.composite
def histories(draw, moments=MOMENTS):
    """Snapshots by their moments, which rise."""
    steps = draw(st.lists(st.tuples(st.integers(1, 5), moments), max_size=8))
    at, found = 0, {}
    for step, series in steps:
        at += step
        found[at] = series
    return found


ASKED = st.builds(
    lambda function, name, window, by, where, share: Aggregation(
        "asked", function, ("rows", "read") if function == "ratio" else (name,), window, by, where, share
    ),
    st.sampled_from(["latest", "sum", "rate", "percentile", "ratio"]),
    st.sampled_from(sorted(NAMES)),
    st.integers(1, 20).map(float),
    st.sampled_from([(), ("a",), ("b", "a"), ("c",)]),
    st.sampled_from([{}, {"a": "x"}, {"b": ""}, {"a": "none"}]),
    st.sampled_from([0.0, 0.25, 0.5, 0.95, 1.0]),
)


def backend_of(history, **options):
    place = Surroundings("shop", "dev", Path(), Path())
    backend = get_processor_factory().create_metric_backend("memory", options, place)
    for at, series in history.items():
        families = tuple(
            MetricFamily(name, kind, "", tuple(s for (of, _), s in series.items() if of == name), "", BOUNDS)
            for name, kind in NAMES.items()
        )
        backend.write(Snapshot(float(at), families))
        assert backend.kept <= options.get("most", 100_000)
    return backend


@dataclass
class One:
    """A series with all that was ever seen of it."""

    points: list[tuple[float, Sample]]
    start: float
    end: float

    def is_in_window(self):
        stays = [(t, u) for (t, one), (u, other) in pairwise(self.points) if one == other]
        spans = [*stays, *((t, t) for t, _ in self.points)]
        return any(u > self.start and t <= self.end for t, u in spans)

    def newest(self):
        return [(t, sample) for t, sample in self.points if t <= self.end][-1][1]

    def came_to(self):
        """The values that it came to within the window, or had from before: (when, value)."""
        found = []
        for t, sample in self.points:
            if found and found[-1][2] == sample.value:
                found[-1][1] = t
            else:
                found.append([t, t, sample.value])
        return [(first, value) for first, last, value in found if last > self.start and first <= self.end]

    def way(self):
        before = [sample for t, sample in self.points if t <= self.start]
        return before[-1:], [sample for t, sample in self.points if self.start < t <= self.end]

    def increase(self, part=lambda sample: sample.value):
        before, then = self.way()
        last, total = (before or [Sample((), 0.0, 0, (0, 0))])[0], 0
        for each in then:
            is_reset = each.value < last.value
            if each.buckets:
                is_reset = each.count < last.count or any(
                    n < m for n, m in zip(each.buckets, last.buckets, strict=True)
                )
            total += part(each) if is_reset else part(each) - part(last)
            last = each
        return total

    def change(self):
        before, then = self.way()
        way = [*before, *then]
        return way[-1].value - way[0].value


def model(history, asked, at):
    """The figures by their groups."""

    def group_of(labels):
        return tuple(sorted((label, dict(labels).get(label, "")) for label in asked.by))

    def part(name):
        groups = {}
        for key in SERIES:
            points = [(t, series[key]) for t, series in history.items() if key in series]
            if key[0] == name and points and all(dict(key[1]).get(k, "") == v for k, v in asked.where.items()):
                one = One(points, at - asked.window, at)
                groups.setdefault(group_of(key[1]), []).extend([one] if one.is_in_window() else [])
        return {group: value(asked, NAMES[name], ones) if ones else None for group, ones in groups.items()}

    if asked.function != "ratio":
        return part(asked.metrics[0])
    first, second = map(part, asked.metrics)
    return {
        group: first[group] / second[group] if first.get(group) is not None and second.get(group) else None
        for group in first.keys() | second.keys()
    }


def value(asked, kind, ones):
    is_gauge = kind is MetricKind.GAUGE
    if asked.function == "latest" and is_gauge:
        newest = [one.came_to()[-1] for one in ones]
        last = [value for t, value in newest if t == max(newest)[0]]
        return sum(last) / len(last)
    if asked.function == "latest" or (asked.function == "sum" and is_gauge):
        return sum(one.newest().value for one in ones)
    if asked.function == "rate":
        return sum(one.change() if is_gauge else one.increase() for one in ones) / asked.window
    if asked.function != "percentile":
        return sum(one.increase() for one in ones)
    if is_gauge:
        return between(sorted(value for one in ones for _, value in one.came_to()), asked.share)
    return None if kind is MetricKind.COUNTER else within_buckets(ones, asked.share)


def between(values, share):
    at = share * (len(values) - 1)
    return values[int(at)] * (1 - at % 1) + values[min(int(at) + 1, len(values) - 1)] * (at % 1)


def within_buckets(ones, share):
    """Each observation of a bucket lies at an equal distance from the next one."""
    count = sum(one.increase(lambda sample: sample.count) for one in ones)
    low, high = (sum(one.increase(lambda sample, n=n: sample.buckets[n]) for one in ones) for n in (0, 1))
    rank = share * count
    if not count:
        return None
    if low and rank <= low:
        return rank / low
    if high and rank <= high:
        return 1 + 3 * (rank - low) / (high - low)
    return 4.0


def found_in(backend, asked, at):
    found = backend.query(asked, at)
    assert [figure.labels for figure in found] == sorted(figure.labels for figure in found)
    return {figure.labels: figure.value for figure in found}


def agrees(found, expected):
    return {key: each if each is None else pytest.approx(each) for key, each in expected.items()} == found


@given(history=histories(), asked=st.lists(ASKED, min_size=1, max_size=4), at=st.integers(-1, 45))
def test_every_figure_is_the_one_of_a_plain_model(history, asked, at):
    backend = backend_of(history)
    for each in asked:
        assert agrees(found_in(backend, each, at), model(history, each, at))


@given(
    history=histories(st.fixed_dictionaries({key: samples(*key) for key in SERIES if key[1]})),
    asked=ASKED,
    keep=st.integers(1, 20),
)
def test_what_is_let_go_is_in_no_window_that_is_kept_for(history, asked, keep):
    at = max(history, default=0)
    if asked.window <= keep:
        assert agrees(found_in(backend_of(history, keep=keep), asked, at), model(history, asked, at))


@given(
    history=histories(),
    most=st.integers(1, 30),
    window=st.integers(1, 20).map(float),
    name=st.sampled_from(sorted(NAMES)),
)
def test_what_had_to_go_makes_a_counter_count_less_and_never_more(history, most, window, name):
    at = max(history, default=0)
    asked = Aggregation("asked", "sum", ("rows",), window, ("a", "b"))
    found, expected = found_in(backend_of(history, most=most), asked, at), model(history, asked, at)
    for labels, figure in found.items():
        assert figure is None or figure <= expected[labels]
    newest = Aggregation("asked", "latest", (name,), math.inf, ("a", "b"))
    expected = model(history, newest, at)
    for labels, figure in found_in(backend_of(history, most=most), newest, at).items():
        assert figure == expected[labels]
