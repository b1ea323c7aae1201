"""The collector counts what it is told, under names and labels that Prometheus knows how to read, in bounded memory."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

import oreflow.monitoring
from oreflow.monitoring import MetricsCollector, counted, get_metrics_collector, spans, timed
from oreflow.secrets import followed


@pytest.fixture
def collector():
    return MetricsCollector()


def figures(collector, parse=parse_prometheus, form="prometheus"):
    """Every sample as a reader of the exposition has it: (name, labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(collector.export(form))
        for sample in family.samples
    }


# The specification's examples


def test_the_specifications_counters_and_gauges(collector):
    collector.increment_counter("records_processed", 1000, {"pipeline": "retail"})
    collector.set_gauge("data_quality_score", 0.95, {"stage": "bronze"})
    assert figures(collector) == {
        ("oreflow_records_processed_total", (("pipeline", "retail"),)): 1000,
        ("oreflow_data_quality_score", (("stage", "bronze"),)): 0.95,
    }


def test_the_specifications_figures_of_a_step(collector):
    collector.record_etl_metrics(
        pipeline_name="retail_pipeline",
        stage="bronze",
        records_processed=10000,
        records_failed=50,
        processing_time=120.5,
        data_quality_score=0.95,
    )
    labels = (("pipeline", "retail_pipeline"), ("stage", "bronze"))
    found = figures(collector)
    assert found["oreflow_records_processed_total", labels] == 10000
    assert found["oreflow_records_failed_total", labels] == 50
    assert found["oreflow_processing_time_seconds_sum", labels] == 120.5
    assert found["oreflow_processing_time_seconds_count", labels] == 1
    assert found["oreflow_data_quality_score", labels] == 0.95


def test_the_specifications_timer_has_tags_that_are_no_labels(collector):
    with collector.time_operation("complex_operation") as span:
        span.tags["batch_size"] = 1000
    assert span.seconds > 0
    assert figures(collector)["oreflow_complex_operation_seconds_count", ()] == 1
    assert "batch_size" not in collector.export()


def test_the_specifications_decorators_on_functions_of_both_kinds(collector):
    @timed("processing_duration", collector=collector)
    @counted("processing_calls", {"kind": "sync"}, collector=collector)
    def process(rows: int) -> int:
        """Double."""
        return rows * 2

    @timed("processing_duration", collector=collector)
    @counted("processing_calls", {"kind": "async"}, collector=collector)
    async def process_later(rows):
        await asyncio.sleep(0.01)
        if rows < 0:
            raise ValueError("less than none")
        return rows * 2

    assert (process(3), asyncio.run(process_later(4))) == (6, 8)
    with pytest.raises(ValueError, match="less than none"):
        asyncio.run(process_later(-1))
    assert (process.__name__, process.__doc__) == ("process", "Double.")
    found = figures(collector)
    assert found["oreflow_processing_duration_seconds_count", ()] == 3
    assert found["oreflow_processing_duration_seconds_sum", ()] > 0.01
    assert found["oreflow_processing_calls_total", (("kind", "sync"),)] == 1
    assert found["oreflow_processing_calls_total", (("kind", "async"),)] == 2


def test_there_is_one_collector_in_a_process():
    assert get_metrics_collector() is get_metrics_collector()
    assert sorted(oreflow.monitoring.__all__) == oreflow.monitoring.__all__


# Names and labels


@pytest.mark.parametrize("name", ["rows", "rows_total", "oreflow_rows", "oreflow_rows_total"])
def test_a_counter_is_the_same_by_each_of_its_names(collector, name):
    collector.counter("rows").inc()
    collector.increment_counter(name)
    assert figures(collector) == {("oreflow_rows_total", ()): 2}


@pytest.mark.parametrize("name", ["", "2x", "rows processed", "a-b", "a:b", "rows_total_total", "rows\n", None, 3])
def test_what_cannot_be_a_name_is_refused(collector, name):
    with pytest.raises(ValueError, match="a metric cannot be called"):
        collector.increment_counter(name)


@pytest.mark.parametrize("label", ["", "2x", "a-b", "le", "quantile", "__name__", 3])
def test_what_cannot_be_a_label_is_refused(collector, label):
    with pytest.raises(ValueError, match="a label cannot be called"):
        collector.increment_counter("rows", 1, {label: "x"})
    assert figures(collector) == {}


def test_a_metric_is_of_one_kind(collector):
    collector.increment_counter("rows")
    with pytest.raises(ValueError, match="oreflow_rows is a counter, no gauge"):
        collector.set_gauge("rows", 1)
    collector.observe("wait_seconds", 1)
    with pytest.raises(ValueError, match="written down under the same name"):
        collector.set_gauge("wait_seconds_count", 1)
    with pytest.raises(ValueError, match="oreflow_rows is a counter, no gauge"):
        collector.set_gauge("rows_total", 1)


def test_the_order_and_the_types_of_labels_make_no_other_series(collector):
    collector.increment_counter("rows", 1, {"a": 1, "b": "x"})
    collector.increment_counter("rows", 1, {"b": "x", "a": "1"})
    collector.increment_counter("rows", 1, {"a": True, "b": "x"})
    assert figures(collector) == {
        ("oreflow_rows_total", (("a", "1"), ("b", "x"))): 2,
        ("oreflow_rows_total", (("a", "True"), ("b", "x"))): 1,
    }


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=300), max_size=3), max_size=8))
def test_any_labels_are_read_back_as_they_were(tags):
    collector, expected = MetricsCollector(), {}
    for each in tags:
        collector.increment_counter("rows", 1, each)
        kept = {k: v if len(v) <= 256 else v[:255] + "…" for k, v in each.items()}
        labels = tuple(sorted((k, v.encode(errors="backslashreplace").decode()) for k, v in kept.items()))
        expected[labels] = expected.get(labels, 0) + 1
    document = json.loads(collector.export("json"))
    read = {tuple(sorted(s["labels"].items())): s["value"] for m in document["metrics"] for s in m["series"]}
    assert read == expected
    assert len(figures(collector, parse_openmetrics, "openmetrics")) == len(expected)


def test_a_namespace_may_be_another_or_none():
    other, none = MetricsCollector(namespace="shop"), MetricsCollector(namespace="")
    other.increment_counter("rows")
    none.increment_counter("rows")
    assert set(figures(other)) == {("shop_rows_total", ())}
    assert set(figures(none)) == {("rows_total", ())}


def test_an_operation_whose_name_is_none_is_refused_before_it_begins(collector):
    with pytest.raises(ValueError, match="a metric cannot be called"):
        collector.time_operation("two words")
    with pytest.raises(ValueError, match="a metric cannot be called"):
        collector.time_operation(5)


def test_an_operation_may_end_elsewhere_than_it_began(collector):
    """As the one in an asynchronous generator does, which whoever stops early leaves to the loop."""

    async def rows():
        with collector.time_operation("reading"):
            yield 1
            yield 2

    async def first():
        return await anext(aiter(rows()))

    spans.keep(1)
    try:
        assert asyncio.run(first()) == 1
    finally:
        spans.keep(-1)
    assert figures(collector)["oreflow_reading_seconds_count", ()] == 1


def test_the_time_of_a_generator_is_not_that_of_its_call(collector):
    def rows():
        yield 1

    with pytest.raises(TypeError, match="rows is a generator, whose call takes no time: use time_operation in it"):
        timed("reading", collector=collector)(rows)
    with pytest.raises(TypeError, match="is a generator"):
        timed("reading", collector=collector)(counted("reads", collector=collector)(rows))


@pytest.mark.parametrize("decorator", [timed, counted])
def test_a_decorator_without_its_name_is_refused_where_it_stands(decorator):
    with pytest.raises(TypeError, match=r"is missing its name: @\w+\('processing_duration'\)"):
        decorator(lambda: None)


def test_labels_that_are_no_mapping_are_refused(collector):
    with pytest.raises(ValueError, match="labels are a mapping of names and values, not"):
        collector.increment_counter("rows", 1, ["a"])
    collector.increment_counter("rows", 1, {"a": [1, 2]})
    assert figures(collector) == {("oreflow_rows_total", (("a", "[1, 2]"),)): 1}


# Figures


@pytest.mark.parametrize("amount", [-1, math.nan, -0.001, math.inf, 10**400, "5", None, b"1", Decimal("NaN")])
def test_a_counter_takes_nothing_but_what_it_can_grow_by_and_keeps_no_series_of_what_it_refuses(collector, amount):
    with pytest.raises(ValueError, match=r"a counter only grows|a number is expected"):
        collector.increment_counter("rows", amount)
    assert collector.snapshot().families == ()
    rows = collector.counter("rows")
    with pytest.raises(ValueError, match=r"a counter only grows|a number is expected"):
        rows.inc(amount)
    assert figures(collector) == {("oreflow_rows_total", ()): 0}


def test_numbers_of_other_libraries_are_numbers(collector):
    for amount in (Decimal("1.5"), Fraction(1, 2), True, pl.Series([3]).sum()):
        collector.increment_counter("rows", amount)
        collector.set_gauge("size", amount)
        collector.observe("wait_seconds", amount)
    found = figures(collector)
    assert (found["oreflow_rows_total", ()], found["oreflow_size", ()]) == (6, 3)
    assert found["oreflow_wait_seconds_sum", ()] == 6
    assert {type(each.value) for family in collector.snapshot().families for each in family.samples} == {float}


@pytest.mark.parametrize(
    "wrong",
    [
        {"records_failed": 11},
        {"records_processed": -1},
        {"processing_time": -1},
        {"processing_time": "long"},
        {"data_quality_score": 95},
        {"data_quality_score": math.nan},
    ],
)
def test_figures_of_a_step_that_cannot_be_are_refused_as_a_whole(collector, wrong):
    with pytest.raises(ValueError, match=r"cannot|expected|takes|from 0 to 1"):
        collector.record_etl_metrics(**{"pipeline_name": "shop", "stage": "bronze", "records_processed": 10, **wrong})
    assert collector.snapshot().families == ()


SIGNALS = """
import signal
from oreflow.monitoring import MetricsCollector
collector = MetricsCollector()
rows, heard = collector.counter("rows"), 0

def handler(*_):
    global heard
    heard += 1
    rows.inc()
    collector.increment_counter("signals", 1, {"number": str(heard % 100)})
    collector.increment_counter(f"new{counted % 500}", 1)
    collector.snapshot()
    signal.setitimer(signal.ITIMER_REAL, 0.0005)

counted = 0
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
while heard < 300:
    rows.inc()
    collector.increment_counter("others", 1, {"number": str(counted % 100)})
    collector.increment_counter(f"new{counted % 500}", 1)
    counted += 1
    if counted % 50 == 0:
        collector.snapshot()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
totals = {family.name: sum(each.value for each in family.samples) for family in collector.snapshot().families}
news = sum(value for name, value in totals.items() if name.startswith("oreflow_new"))
print(rows.value == counted + heard == news, totals["oreflow_signals"] == heard)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such signals")
def test_a_handler_of_signals_may_count_while_something_is_counted():
    """As a `__del__` may, whenever the garbage collector likes."""
    done = subprocess.run([sys.executable, "-c", SIGNALS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True True\n"


def test_a_secret_is_in_no_label(collector, monkeypatch):
    monkeypatch.setenv("LABEL_SECRET_OF_TEST", "h1dden-in-label")
    followed("${env:LABEL_SECRET_OF_TEST}")
    collector.increment_counter("calls", 1, {"address": "https://h1dden-in-label@shop"})
    assert "h1dden" not in collector.export()


def test_a_gauge_goes_up_and_down(collector):
    gauge = collector.gauge("open_files")
    gauge.set(3)
    gauge.inc(-1)
    assert figures(collector) == {("oreflow_open_files", ()): 2}


def test_an_observation_is_counted_in_each_bucket_that_it_fits(collector):
    waits = collector.histogram("wait_seconds", {"of": "x"}, bounds=(0.5, 1, 2))
    for seconds in (0.5, 0.7, 1.5, 9):
        waits.observe(seconds)
    found = figures(collector)
    buckets = {dict(labels)["le"]: value for (name, labels), value in found.items() if name.endswith("_bucket")}
    assert buckets == {"0.5": 1, "1.0": 2, "2.0": 3, "+Inf": 4}
    assert found["oreflow_wait_seconds_sum", (("of", "x"),)] == 11.7
    for wrong in (math.nan, math.inf, "1", None):
        with pytest.raises(ValueError, match=r"is none|expected"):
            waits.observe(wrong)
    with pytest.raises(ValueError, match=r"has the bounds \[0.5, 1.0, 2.0\] already"):
        collector.histogram("wait_seconds", bounds=(1, 2))


@pytest.mark.parametrize("bounds", [(2, 1), (1, 1), (1, math.inf), (math.nan,)])
def test_bounds_that_do_not_rise_are_refused(collector, bounds):
    with pytest.raises(ValueError, match="finite numbers that rise"):
        collector.histogram("wait_seconds", bounds=bounds)


def test_threads_lose_nothing(collector):
    rows, waits = collector.counter("rows", {"a": 1}), collector.histogram("wait_seconds")

    def work():
        for _ in range(5000):
            rows.inc()
            waits.observe(0.1)
            collector.increment_counter("rows", 1, {"a": "2"})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = figures(collector)
    assert found["oreflow_rows_total", (("a", "1"),)] == found["oreflow_rows_total", (("a", "2"),)] == 20000
    assert found["oreflow_wait_seconds_count", ()] == 20000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_off_counts_from_0(collector):
    rows = collector.counter("rows")
    rows.inc(5)
    collector.set_gauge("size", 7)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        rows.inc()
        os.write(write, collector.export("json").encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        metrics = {each["name"]: each["series"][0]["value"] for each in json.load(answer)["metrics"]}
    os.waitpid(child, 0)
    assert metrics == {"oreflow_rows_total": 1, "oreflow_size": 7}
    assert figures(collector)["oreflow_rows_total", ()] == 5


# Bounds


def test_what_has_no_room_for_a_series_is_counted_in_one_and_warned_of_once(caplog):
    collector = MetricsCollector(most_label_sets=3)
    with caplog.at_level(logging.WARNING, "oreflow.monitoring"):
        for number in range(10):
            collector.increment_counter("rows", 1, {"file": number})
            collector.increment_counter("rows", 1, {"file": str(number)})
    found = figures(collector)
    assert found == {
        **{("oreflow_rows_total", (("file", str(number)),)): 2 for number in range(3)},
        ("oreflow_rows_total", (("overflow", "true"),)): 14,
    }
    (warning,) = caplog.messages
    assert "oreflow_rows has 3 label sets" in warning
    collector.most_label_sets = 5
    collector.increment_counter("rows", 1, {"file": "again"})
    assert figures(collector)["oreflow_rows_total", (("file", "again"),)] == 1


def test_ten_thousand_label_sets_are_written_down_whole():
    collector = MetricsCollector(most_label_sets=10_000)
    for number in range(10_000):
        collector.increment_counter("rows", number, {"key": str(number)})
    assert sum(figures(collector).values()) == 49_995_000


# Texts


def test_each_format_says_the_same(collector):
    collector.increment_counter("rows", 3, {"a": 'q"uo\\te\n'})
    collector.observe("wait_seconds", 0.2, {"b": "ä"})
    collector.set_gauge("lag_seconds", math.inf)
    assert figures(collector) == figures(collector, parse_openmetrics, "openmetrics")
    document = json.loads(collector.export("json"))
    by_name = {each["name"]: each for each in document["metrics"]}
    assert by_name["oreflow_rows_total"]["series"] == [{"labels": {"a": 'q"uo\\te\n'}, "value": 3}]
    assert by_name["oreflow_lag_seconds"]["series"] == [{"labels": {}, "value": "+Inf"}]
    (waits,) = by_name["oreflow_wait_seconds"]["series"]
    assert (waits["count"], waits["sum"], waits["buckets"]["0.25"], waits["buckets"]["0.1"]) == (1, 0.2, 1, 0)
    with pytest.raises(ValueError, match="there are prometheus, openmetrics and json"):
        collector.export("xml")


def test_a_metric_says_what_it_is(collector):
    collector.counter("rows", description="Rows that were seen").inc()
    collector.observe("wait_seconds", 1)
    text = collector.export("openmetrics")
    assert "# HELP oreflow_rows Rows that were seen" in text
    assert "# HELP oreflow_wait_seconds Wait seconds" in text
    assert "# UNIT oreflow_wait_seconds seconds" in text
