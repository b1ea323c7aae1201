"""An aggregation is read as it is meant, and what is none is refused in a line that says why and shows a right one."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oreflow.contract import Aggregation
from oreflow.monitoring import MetricsCollector
from oreflow.monitoring.aggregations import parse_aggregation

FULL_NAME = MetricsCollector().full_name


def parsed(text: str) -> Aggregation:
    return parse_aggregation("figure", text, FULL_NAME)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ratio(records_failed, records_processed) over 15m by pipeline",
            ("ratio", ("oreflow_records_failed", "oreflow_records_processed"), 900, ("pipeline",), {}, 0),
        ),
        (
            "rate(records_processed_total) over 5m by pipeline, table where stage=silver",
            ("rate", ("oreflow_records_processed",), 300, ("pipeline", "table"), {"stage": "silver"}, 0),
        ),
        (
            "p95(processing_time_seconds) over 1h",
            ("percentile", ("oreflow_processing_time_seconds",), 3600, (), {}, 0.95),
        ),
        ("p99.9(x) over PT1H", ("percentile", ("oreflow_x",), 3600, (), {}, 0.999)),
        ("percentile(x, 0.95) over 1h30m", ("percentile", ("oreflow_x",), 5400, (), {}, 0.95)),
        ("percentile(x,1) over 90", ("percentile", ("oreflow_x",), 90, (), {}, 1)),
        ("sum(records_failed) over 1d", ("sum", ("oreflow_records_failed",), 86400, (), {}, 0)),
        (
            "latest(data_quality_score) by table",
            ("latest", ("oreflow_data_quality_score",), math.inf, ("table",), {}, 0),
        ),
        ("latest(x) over 200ms", ("latest", ("oreflow_x",), 0.2, (), {}, 0)),
        (
            "  sum( oreflow_x )\n over 1m\n  by a ,b\n where check = \"has a name, 'or'\" , table='' ",
            ("sum", ("oreflow_x",), 60, ("a", "b"), {"check": "has a name, 'or'", "table": ""}, 0),
        ),
        ("sum(x) over 1m by where where over=by", ("sum", ("oreflow_x",), 60, ("where",), {"over": "by"}, 0)),
        ("sum(x) over 1m where table=silver.sales", ("sum", ("oreflow_x",), 60, (), {"table": "silver.sales"}, 0)),
    ],
)
def test_what_is_said_is_understood(text, expected):
    found = parsed(text)
    assert (found.function, found.metrics, found.window, found.by, found.where, found.share) == expected
    assert found.name == "figure"


@pytest.mark.parametrize(
    ("text", "fault", "example"),
    [
        ("", "'' does not begin with a function of metrics in brackets", "sum("),
        ("records_failed over 1d", "does not begin with a function of metrics in brackets", "sum("),
        ("sum(sum(x)) over 1d", "does not begin with a function of metrics in brackets", "sum("),
        ("summ(x) over 1d", "there is no function 'summ': did you mean 'sum'?", "sum("),
        ("RATE(x) over 1d", "there is no function 'RATE': did you mean 'rate'?", "sum("),
        ("p(x) over 1d", "there is no function 'p': ", "sum("),
        ("frobnicate(x) over 1d", "there are latest, p95, percentile, rate, ratio, sum", "sum("),
        ("ratio(x) over 1d", "ratio is of one metric and another one, and what is in the brackets is 1", "ratio("),
        ("ratio(x, y, z) over 1d", "what is in the brackets is 3", "ratio("),
        ("sum() over 1d", "sum is of one metric, and what is in the brackets is 0", "sum("),
        ("p95(x, 0.95) over 1d", "p95 is of one metric, and what is in the brackets is 2", "p95("),
        ("percentile(x) over 1d", "percentile is of a metric and a share", "percentile("),
        ("percentile(x, 95) over 1d", "'95' is no share: one is from 0 to 1", "percentile("),
        ("percentile(x, -0.5) over 1d", "'-0.5' is no share", "percentile("),
        ("percentile(x, nan) over 1d", "'nan' is no share", "percentile("),
        ("percentile(0.95, x) over 1d", "'x' is no share", "percentile("),
        ("p999(x) over 1d", "p999 is above p100: the percentile 99.9 is written as p99.9", "p95("),
        ("sum(x y) over 1d", "a metric cannot be called 'x y'", "sum("),
        ("ratio(x,) over 1d", "a metric cannot be called ''", "ratio("),
        ("sum(x)", "`over` is missing: sum is one over a window of time", "sum("),
        ("rate(x) by table", "`over` is missing", "rate("),
        ("sum(x) over yesterday", "'yesterday' is no time such as 300 (seconds), 5m or PT5M", "sum("),
        ("sum(x) over -5m", "'-5m' is no time", "sum("),
        ("sum(x) over 99999999999999d", "is no time", "sum("),
        (f"sum(x) over {'9' * 5000}m", "is no time", "sum("),
        ("sum(x) over 0s", "a window of 0s has nothing in it", "sum("),
        ("latest(x) over 0", "a window of 0 has nothing in it", "latest("),
        ("sum(x) over", "'over' is not understood", "sum("),
        ("sum(x) over 5 m", "'m' is not understood", "sum("),
        ("sum(x) over 5m by", "'by' is not understood", "sum("),
        ("sum(x) by table over 5m", "'over 5m' is not understood: what follows is `over`, `by` and `where`", "sum("),
        ("sum(x) over 5m by a b", "'b' is not understood", "sum("),
        ("sum(x) over 5m where stage", "'where stage' is not understood", "sum("),
        ("sum(x) over 5m where stage=has a name", "'a name' is not understood", "sum("),
        ("sum(x) over 5m by le", "a label cannot be called 'le'", "sum("),
        ("sum(x) over 5m by a-b", "a label cannot be called 'a-b'", "sum("),
        ("sum(x) over 5m where __x=1", "a label cannot be called '__x'", "sum("),
        ("sum(x) over 5m by a, b, a", "`by` says the label a twice", "sum("),
        ("sum(x) over 5m where a=1, a=2", "`where` says the label a twice", "sum("),
    ],
)
def test_a_mistake_is_told_with_a_right_example(text, fault, example):
    with pytest.raises(ValueError) as caught:
        parsed(text)
    message = str(caught.value)
    assert fault in message
    assert "\n" not in message
    shown = message.partition(" - a right one is `")[2].removesuffix("`")
    assert shown.startswith(example)
    assert parsed(shown)


WORDS = st.sampled_from(
    [
        *"(),=\"' \n",
        "over",
        "by",
        "where",
        "sum",
        "p95",
        "p",
        "percentile",
        "ratio",
        "latest",
        "x",
        "5m",
        "0",
        "0.5",
        "9" * 400,
    ]
)


@given(text=st.text() | st.lists(WORDS | st.text(max_size=3), max_size=14).map("".join) | st.lists(WORDS).map(" ".join))
@example(text="p\u0663(x) over 1m")
@example(text=f"percentile(x, {'9' * 400}) over 1m")
@example(text=f"sum(x) over 1m by {'a ' * 5000}")
@example(text=f"sum(x) over 1m where {'a=' * 5000}")
@example(text=f"sum{' ' * 50000}")
def test_whatever_is_said_it_is_an_aggregation_or_a_plain_refusal(text):
    try:
        found = parsed(text)
    except ValueError as error:
        assert " - a right one is `" in str(error)
    else:
        assert found.window > 0
        assert 0 <= found.share <= 1
        assert len(found.metrics) == (2 if found.function == "ratio" else 1)
