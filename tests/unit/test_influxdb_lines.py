"""Figures as line protocol: read back by a parser of its own that follows the specification and nothing of the writer.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/: a backslash escapes a comma, a blank
and an equals sign, and is itself before anything else.
"""

from __future__ import annotations

import math

from hypothesis import example, given
from hypothesis import strategies as st

from oreflow.contract import MetricFamily, MetricKind, Sample
from oreflow.monitoring import MetricsCollector
from oreflow.monitoring.exposition import written
from oreflow_influxdb.lines import line

AT = 1_700_000_000_123_456_789
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from(",= \\\n\"'#\r\t"), max_size=12)
NAMES = st.text("abc_", min_size=1, max_size=3)
NUMBERS = st.floats() | st.integers(-(2**53), 2**53).map(float)


def token(text: str, ends: str, escaped: str) -> tuple[str, str]:
    """What stands before the first sign of `ends` that is not escaped, and the text from there on."""
    found, at = "", 0
    while text[at] not in ends:
        if text[at] == "\\" and text[at + 1] in escaped:
            at += 1
        found += text[at]
        at += 1
    return found, text[at:]


def parsed(text: str) -> tuple[str, dict[str, str], dict[str, float], int]:
    """Measurement, tags, fields and time of a line."""
    assert text.endswith("\n")
    assert "\n" not in text[:-1]
    measurement, rest = token(text, ", ", ", ")
    tags: dict[str, str] = {}
    while rest.startswith(","):
        name, rest = token(rest[1:], "=", ",= ")
        assert name not in tags
        tags[name], rest = token(rest[1:], ", ", ",= ")
    assert list(tags) == sorted(tags)
    fields, _, time = rest[1:].partition(" ")
    values = dict(field.split("=") for field in fields.split(","))
    return measurement, tags, {name: float(value) for name, value in values.items()}, int(time)


def said(text: str) -> str:
    """What the protocol makes of a text that it cannot say."""
    text = text.replace("\n", "\\n")
    return f"{text} " if text.endswith("\\") else text


def gauge(value: float = 1.0, labels: dict[str, str] | None = None, name: str = "oreflow_depth") -> tuple:
    sample = Sample(tuple(sorted((labels or {}).items())), value)
    return MetricFamily(name, MetricKind.GAUGE, "", (sample,)), sample


@given(name=TEXTS.filter(bool), labels=st.dictionaries(NAMES, TEXTS), value=NUMBERS)
@example(name="m", labels={"a": "\\", "b": ",\\", "c": "\\\\ ", "d": "=\\="}, value=1.0)
def test_what_is_written_is_read_back(name, labels, value):
    text = line(*gauge(value, labels, name), {}, AT).decode()
    if not math.isfinite(value):
        assert text == ""
        return
    tags = {key: said(each) for key, each in labels.items() if each}
    assert parsed(text) == (said(name), tags, {"value": value}, AT)


@given(key=TEXTS, value=TEXTS)
def test_tags_of_the_declaration_may_be_called_anything(key, value):
    text = line(*gauge(), {key: value}, AT).decode()
    called = said(f"{key}_" if key in ("time", "_field", "_measurement") else key)
    assert parsed(text)[1] == ({called: said(value)} if key and value else {})


@given(observations=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_a_histogram_has_its_count_its_sum_and_a_field_for_each_bound(observations):
    collector = MetricsCollector()
    series = collector.histogram("took_seconds", {"table": "a b"}, bounds=(0.5, 1, 7200, 1e6))
    for each in observations:
        series.observe(each)
    (family,) = collector.snapshot().families
    name, tags, fields, _ = parsed(line(family, family.samples[0], {}, AT).decode())
    assert (name, tags) == ("oreflow_took_seconds", {"table": "a b"})
    total = fields.pop("sum", None)
    assert total == sum(observations) or (total is None and not math.isfinite(family.samples[0].value))
    bounds = {bound: sum(each <= bound for each in observations) for bound in (0.5, 1, 7200, 1e6, math.inf)}
    assert fields == {"count": len(observations)} | {written(float(bound)): n for bound, n in bounds.items()}


def test_lines_are_as_a_reader_of_the_readme_expects_them():
    collector = MetricsCollector()
    collector.increment_counter("records_processed_total", 3, {"pipeline": "shop", "stage": ""})
    collector.histogram("run_duration_seconds", {"pipeline": "shop"}, bounds=(1, 60)).observe(2.5)
    text = "".join(
        line(family, family.samples[0], {"site": "Köln, Süd"}, AT).decode() for family in collector.snapshot().families
    )
    assert text == (
        f"oreflow_records_processed,pipeline=shop,site=Köln\\,\\ Süd value=3.0 {AT}\n"
        "oreflow_run_duration_seconds,pipeline=shop,site=Köln\\,\\ Süd"
        f" count=1.0,sum=2.5,1.0=0.0,60.0=1.0,+Inf=1.0 {AT}\n"
    )


def test_a_label_goes_before_a_tag_of_the_same_name():
    text = line(*gauge(labels={"stage": "gold"}), {"stage": "all", "site": "x"}, AT).decode()
    assert parsed(text)[1] == {"stage": "gold", "site": "x"}


def test_what_is_no_character_is_written_as_what_it_was():
    assert parsed(line(*gauge(), {"site": "\ud800"}, AT).decode())[1] == {"site": r"\ud800"}
