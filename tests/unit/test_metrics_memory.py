"""What is asked of the metrics in memory comes out as one works it out by hand, in bounded memory."""

from __future__ import annotations

import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oreflow.contract import Aggregation, DeclarationError, MetricFamily, MetricKind, Sample, Snapshot, Surroundings
from oreflow.factory import get_processor_factory
from oreflow.monitoring import MetricsCollector
from oreflow.monitoring.aggregations import parse_aggregation
from oreflow.validation import validate

BOUNDS = (1.0, 2.0, 5.0)


def memory(**options):
    place = Surroundings("shop", "dev", Path(), Path())
    return get_processor_factory().create_metric_backend("memory", options, place)


def labelled(**labels):
    return tuple(sorted(labels.items()))


def counter(value, name="rows", **labels):
    return MetricFamily(name, MetricKind.COUNTER, "", (Sample(labelled(**labels), float(value)),))


def gauge(value, name="depth", **labels):
    return MetricFamily(name, MetricKind.GAUGE, "", (Sample(labelled(**labels), float(value)),))


def histogram(*observations, name="took", **labels):
    buckets = tuple(sum(each <= bound for each in observations) for bound in BOUNDS)
    sample = Sample(labelled(**labels), float(sum(observations)), len(observations), buckets)
    return MetricFamily(name, MetricKind.HISTOGRAM, "", (sample,), "", BOUNDS)


def merged(families):
    """Families with all their series."""
    found = {}
    for each in families:
        before = found[each.name].samples if each.name in found else ()
        found[each.name] = MetricFamily(each.name, each.kind, "", (*before, *each.samples), "", each.bounds)
    return tuple(found.values())


def kept(moments, **options):
    """A backend that was handed these figures."""
    backend = memory(**options)
    for at, families in moments.items():
        backend.write(Snapshot(at, merged(families)))
    return backend


def asked(backend, text, at):
    """The figures as {labels: value}; where no labels are asked for, the only value."""
    aggregation = parse_aggregation("figure", text, lambda name: name)
    found = backend.query(aggregation, at)
    if aggregation.by:
        return {tuple(value for _, value in figure.labels): figure.value for figure in found}
    return found[0].value if found else "nothing"


# Counters


def test_a_counter_has_increased_by_what_it_has_more_than_at_the_start_of_the_window():
    backend = kept({0: [counter(10)], 60: [counter(25)], 120: [counter(40)], 180: [counter(100)]})
    assert asked(backend, "sum(rows) over 60s", 180) == 60
    assert asked(backend, "sum(rows) over 120s", 180) == 75
    assert asked(backend, "sum(rows) over 90s", 180) == 75  # at 90 it had what it had at 60
    assert asked(backend, "rate(rows) over 60s", 180) == 1
    assert asked(backend, "sum(rows) over 60s", 130) == 15
    assert asked(backend, "latest(rows)", 180) == 100
    assert asked(backend, "latest(rows)", 179) == 40


def test_a_counter_that_began_within_the_window_counts_from_0():
    backend = kept({100: [counter(7)], 110: [counter(9)]})
    assert asked(backend, "sum(rows) over 1m", 110) == 9
    assert asked(backend, "sum(rows) over 10s", 110) == 2  # it had 7 at 100, which is the start of the window
    assert asked(backend, "rate(rows) over 90s", 110) == 0.1


def test_what_was_counted_before_the_backend_began_is_in_no_window():
    collector, backend = MetricsCollector(), memory()
    collector.increment_counter("rows", 1000)
    backend.open(collector.snapshot)
    collector.increment_counter("rows", 7)
    collector.increment_counter("files", 3)
    snapshot = collector.snapshot()
    backend.write(snapshot)
    assert asked(backend, "sum(oreflow_rows) over 1h", snapshot.at) == 7
    assert asked(backend, "sum(oreflow_files) over 1h", snapshot.at) == 3
    assert asked(backend, "latest(oreflow_rows)", snapshot.at) == 1007


def test_a_counter_that_fell_was_reset():
    backend = kept({0: [counter(10)], 10: [counter(15)], 20: [counter(4)], 30: [counter(6)]})
    assert asked(backend, "sum(rows) over 30s", 30) == 5 + 4 + 2
    assert asked(backend, "sum(rows) over 20s", 30) == 4 + 2


def test_a_counter_that_stood_still_has_increased_by_0_and_one_that_is_gone_by_nothing():
    backend = kept({0: [counter(10)], 60: [counter(10)], 120: []})
    assert asked(backend, "sum(rows) over 10s", 60) == 0
    assert asked(backend, "sum(rows) over 10s", 30) == 0
    assert asked(backend, "sum(rows) over 10s", 120) is None
    assert asked(backend, "latest(rows) over 1m", 120) is None
    assert asked(backend, "latest(rows)", 120) == 10


def test_what_is_no_longer_kept_has_not_begun_within_the_window():
    minutes = {60 * minute: [counter(100 + minute)] for minute in range(31)}
    backend = kept(minutes, keep="10m")
    assert backend.kept == 11  # the value at the start of a window of 10 minutes is there still
    assert asked(backend, "sum(rows) over 10m", 1800) == 10
    assert asked(backend, "sum(rows) over 30m", 1800) == 10
    backend = kept(minutes, most=5)
    assert backend.kept == 5
    assert asked(backend, "sum(rows) over 30m", 1800) == 4
    assert asked(backend, "latest(rows)", 1800) == 130


def test_a_series_that_was_forgotten_and_is_back_does_not_count_from_0():
    backend = kept({0: [counter(100)], 100: [], 200: [counter(105)], 210: [counter(106)]}, keep=60)
    assert asked(backend, "sum(rows) over 1m", 210) == 1


def test_a_window_that_is_longer_than_what_is_kept_is_warned_of_once(caplog):
    backend = kept({0: [counter(1)], 60: [counter(2)]})
    with caplog.at_level(logging.WARNING):
        asked(backend, "sum(rows) over 1h", 60)
        assert not caplog.records
        for _ in range(2):
            asked(backend, "sum(rows) over 1d", 60)
            asked(backend, "latest(rows)", 60)
    assert [record.getMessage() for record in caplog.records] == [
        "the aggregation figure looks 86400 s back, and figures are kept in memory for 3600 s - say more with `keep`"
    ]


# Groups


SHOP = {
    0: [
        counter(0, "failed", pipeline="shop", table="a", stage="silver"),
        counter(0, "read", pipeline="shop", table="a", stage="silver"),
        counter(10, "failed", pipeline="shop", table="b", stage="gold"),
        counter(50, "read", pipeline="shop", table="b", stage="gold"),
        counter(7, "read", pipeline="idle", table="c", stage="gold"),
        counter(7, "failed", pipeline="idle", table="c", stage="gold"),
        counter(1, "read", pipeline="gone", table="d"),
    ],
    60: [
        counter(5, "failed", pipeline="shop", table="a", stage="silver"),
        counter(100, "read", pipeline="shop", table="a", stage="silver"),
        counter(25, "failed", pipeline="shop", table="b", stage="gold"),
        counter(150, "read", pipeline="shop", table="b", stage="gold"),
        counter(7, "read", pipeline="idle", table="c", stage="gold"),
        counter(7, "failed", pipeline="idle", table="c", stage="gold"),
    ],
}


def test_a_ratio_is_of_what_was_counted_in_the_window():
    backend = kept(SHOP)
    assert asked(backend, "ratio(failed, read) over 1m by pipeline", 60) == {
        ("shop",): 20 / 200,
        ("idle",): None,  # of nothing
        ("gone",): None,  # nothing was measured
    }
    assert asked(backend, "ratio(failed, read) over 1m by pipeline, table where stage=gold", 60) == {
        ("shop", "b"): 0.15,
        ("idle", "c"): None,
    }
    assert asked(backend, "ratio(failed, read) over 1m", 60) == 0.1


def test_groups_come_in_the_order_of_labels_and_a_label_that_is_not_there_is_empty():
    found = kept(SHOP).query(Aggregation("figure", "latest", ("read",), math.inf, ("table", "stage")), 60)
    assert [(figure.labels, figure.value) for figure in found] == [
        ((("stage", ""), ("table", "d")), 1),
        ((("stage", "gold"), ("table", "b")), 150),
        ((("stage", "gold"), ("table", "c")), 7),
        ((("stage", "silver"), ("table", "a")), 100),
    ]


def test_where_may_ask_for_a_label_that_is_not_there():
    assert asked(kept(SHOP), "latest(read) by table where stage=''", 60) == {("d",): 1}


def test_there_are_no_figures_where_there_is_no_series():
    backend = kept(SHOP)
    assert asked(memory(), "sum(read) over 1m", 60) == "nothing"
    assert asked(backend, "sum(unknown) over 1m", 60) == "nothing"
    assert asked(backend, "sum(read) over 1m where stage=none", 60) == "nothing"
    assert asked(backend, "sum(read) over 1m", -1000) is None  # there is one, which had not begun


# Gauges


def test_the_latest_of_gauges_is_the_one_that_changed_last():
    backend = kept(
        {
            0: [gauge(0.9, table="a"), gauge(0.5, table="b")],
            10: [gauge(0.9, table="a"), gauge(0.7, table="b")],
            20: [gauge(0.9, table="a"), gauge(0.7, table="b")],
        }
    )
    assert asked(backend, "latest(depth) by table", 20) == {("a",): 0.9, ("b",): 0.7}
    assert asked(backend, "latest(depth)", 20) == 0.7
    assert asked(backend, "latest(depth)", 5) == 0.7  # both at 0: (0.9 + 0.5) / 2
    assert asked(backend, "latest(depth) over 5s", 20) == 0.7  # it has it still
    assert asked(backend, "sum(depth) over 5s", 20) == 1.6


def test_the_rate_of_a_gauge_is_its_change_which_may_be_below_0():
    backend = kept({0: [gauge(100)], 10: [gauge(60)], 20: [gauge(40)]})
    assert asked(backend, "rate(depth) over 10s", 20) == -2
    assert asked(backend, "rate(depth) over 1m", 20) == -1  # from its first value, and for each of 60 seconds
    assert asked(backend, "rate(depth) over 10s", 0) == 0


def test_the_percentile_of_a_gauge_is_of_the_values_that_it_came_to():
    backend = kept({at: [gauge(value)] for at, value in enumerate([1, 2, 2, 2, 3, 4, 5])})
    assert asked(backend, "p50(depth) over 1m", 6) == 3
    assert asked(backend, "p25(depth) over 1m", 6) == 2
    assert asked(backend, "p90(depth) over 1m", 6) == pytest.approx(4.6)
    assert asked(backend, "p0(depth) over 1m", 6) == 1
    assert asked(backend, "p100(depth) over 1m", 6) == 5
    assert asked(backend, "p50(depth) over 2s", 6) == 4.5


def test_a_gauge_that_is_no_number_measures_nothing():
    backend = kept({0: [gauge(1), gauge(3, table="b")], 10: [gauge(math.nan), gauge(3, table="b")]})
    assert asked(backend, "latest(depth) by table", 10) == {("",): None, ("b",): 3}
    assert asked(backend, "sum(depth) over 1m", 10) == 3


# Histograms


def test_the_percentile_of_a_histogram_is_interpolated_within_a_bucket_as_by_prometheus():
    backend = kept({0: [histogram(0.5, 4)], 60: [histogram(0.5, 4, 1.5, 1.5, 1.6, 3, 1.7, 9, 1, 1, 3, 3)]})
    # In the window: 2 at or below 1, 6 at or below 2, 9 at or below 5, 10 in all.
    assert asked(backend, "p50(took) over 1m", 60) == 1 + (5 - 2) / 4
    assert asked(backend, "p10(took) over 1m", 60) == 0.5
    assert asked(backend, "p75(took) over 1m", 60) == 2 + 3 * 1.5 / 3
    assert asked(backend, "p95(took) over 1m", 60) == 5  # the highest bound that is known
    assert asked(backend, "p0(took) over 1m", 60) == 0
    assert asked(backend, "sum(took) over 1m", 60) == pytest.approx(26.3)
    assert asked(backend, "rate(took) over 1m", 60) == pytest.approx(26.3 / 60)
    assert asked(backend, "p50(took) over 1m", 0) == 1  # began within the window: 0.5 and 4


def test_the_percentile_of_histograms_is_the_one_of_all_their_observations():
    backend = kept({0: [histogram(0.5, 0.5, 0.5, table="a"), histogram(4, table="b")]})
    assert asked(backend, "p75(took) over 1m", 0) == 1
    assert asked(backend, "p75(took) over 1m by table", 0) == {("a",): 0.75, ("b",): 2 + 3 * 0.75}


def test_a_histogram_that_was_reset_counts_from_0():
    backend = kept({0: [histogram(1, 1, 4)], 10: [histogram(4, 4, 4, 4)]})
    assert asked(backend, "sum(took) over 10s", 10) == 16
    assert asked(backend, "p50(took) over 10s", 10) == 3.5


def test_a_histogram_whose_sum_falls_by_an_observation_below_0_was_not_reset():
    backend = kept({0: [histogram(4)], 10: [histogram(4, -3)]})
    assert asked(backend, "sum(took) over 10s", 10) == -3


def test_there_is_no_percentile_of_nothing_or_of_a_counter():
    backend = kept({0: [histogram(1), counter(1)], 60: [histogram(1), counter(2)]})
    assert asked(backend, "p50(took) over 1m", 60) is None
    assert asked(backend, "p50(rows) over 1m", 60) is None


def test_a_figure_of_endless_numbers_is_none_where_it_is_no_number():
    backend = kept({61: [gauge(math.inf), gauge(-math.inf, a="b")]})
    assert asked(backend, "p50(depth) over 1m", 61) is None
    assert asked(backend, "sum(depth) over 1m", 61) is None


# What is kept


def test_a_value_that_has_not_changed_is_not_kept_again():
    still = [counter(1), gauge(math.nan), histogram(1, 2)]
    backend = kept(dict.fromkeys(range(100), still))
    assert backend.kept == 3


def test_memory_is_bounded_whatever_the_label_sets(caplog):
    backend = memory(most=15_000)

    def snapshot(at):
        samples = tuple(Sample(labelled(table=str(number)), float(at)) for number in range(10_000))
        return Snapshot(at, (MetricFamily("rows", MetricKind.COUNTER, "", samples),))

    with caplog.at_level(logging.WARNING):
        for at in range(1, 5):
            backend.write(snapshot(at))
            assert backend.kept <= 15_000
    assert not caplog.records
    assert asked(backend, "latest(rows)", 4) == 40_000  # the newest value of each series is there
    assert asked(backend, "sum(rows) over 1m", 4) == 5_000  # of those that have one before it


def test_more_series_than_there_is_room_for_are_warned_of_once(caplog):
    backend = memory(most=2)
    families = merged([counter(5, table="a"), counter(6, table="b"), counter(7, table="c")])
    with caplog.at_level(logging.WARNING):
        for at in range(3):
            backend.write(Snapshot(at, families))
    assert asked(backend, "latest(rows) by table", 2) == {("a",): 5, ("b",): 6}
    (record,) = caplog.records
    assert record.getMessage() == (
        "there are more series than the 2 values that are kept in memory, and figures lack some of them"
        " - say more with `most`"
    )
    backend.write(Snapshot(3, merged([counter(5, table="a"), counter(8, table="c")])))
    assert asked(backend, "sum(rows) over 1m by table", 3) == {("a",): 5, ("c",): 0}  # c is none that has just begun


def test_a_clock_that_was_set_back_makes_no_reset():
    backend = kept({100: [counter(10)], 110: [counter(20)], 120: [counter(30)]})
    backend.write(Snapshot(105, (counter(40),)))
    assert asked(backend, "sum(rows) over 5s", 105) == 30
    assert backend.kept == 2
    backend.write(Snapshot(105, (counter(41),)))
    assert asked(backend, "sum(rows) over 1m", 105) == 41
    backend.write(Snapshot(50, (counter(50),)))
    assert asked(backend, "sum(rows) over 1m", 50) == 50
    assert asked(backend, "sum(rows) over 1m", 105) is not None


def test_a_metric_that_has_become_another_begins_anew():
    backend = kept({0: [counter(10)], 10: [gauge(3, name="rows")]})
    assert asked(backend, "sum(rows) over 1m", 10) == 3
    assert backend.kept == 1


def test_it_may_be_written_to_and_asked_at_the_same_time():
    collector, backend = MetricsCollector(), memory(most=500)
    counters = [collector.counter("rows", {"table": str(number)}) for number in range(20)]
    begin = threading.Barrier(4)

    def write():
        begin.wait()
        for _ in range(100):
            for each in counters:
                each.inc()
            backend.write(collector.snapshot())

    def ask():
        begin.wait()
        for _ in range(100):
            found = asked(backend, "sum(oreflow_rows) over 1h by table", 1e12)
            assert all(value is None or value >= 0 for value in found.values())
            assert backend.kept <= 500

    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(job) for job in (write, write, ask, ask)]:
            each.result()
    backend.write(collector.snapshot())
    assert asked(backend, "latest(oreflow_rows)", 1e12) == 20 * 200


# Options


def test_it_says_that_it_answers():
    metadata, _ = get_processor_factory().metric_backends["memory"]
    assert metadata.can_query
    assert not list(validate({"keep": "15m", "most": 10}, metadata.option_schema))


@pytest.mark.parametrize("options", [{"keep": "long"}, {"keep": 0}, {"most": 0}, {"most": "many"}, {"path": "x"}])
def test_options_that_it_does_not_have_are_refused(options):
    metadata, _ = get_processor_factory().metric_backends["memory"]
    assert list(validate(options, metadata.option_schema))


def test_no_time_to_keep_figures_is_refused():
    with pytest.raises(DeclarationError, match="is no time that lasts"):
        memory(keep="0s")


@pytest.mark.parametrize(
    "wrong",
    [
        Aggregation("x", "mean", ("rows",), 60),
        Aggregation("x", "ratio", ("rows",), 60),
        Aggregation("x", "sum", ("rows", "read"), 60),
        Aggregation("x", "sum", ("rows",), 0),
        Aggregation("x", "percentile", ("rows",), 60, share=95),
    ],
)
def test_what_is_no_aggregation_is_refused(wrong):
    with pytest.raises(ValueError):
        memory().query(wrong, 0)
