"""Aggregations as people write them: `ratio(records_failed, records_processed) over 15m by pipeline`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence

from oreflow.contract import Aggregation, Figure, MetricKind
from oreflow.monitoring.catalogue import LABELS, METRICS
from oreflow.monitoring.collector import get_metrics_collector
from oreflow.monitoring.instruments import label_name
from oreflow.quantities import time_of
from oreflow.validation import did_you_mean

_EXAMPLES = {
    "latest": "latest(data_quality_score) by table",
    "sum": "sum(records_failed) over 1d",
    "rate": "rate(records_processed) over 5m by pipeline, table where stage=silver",
    "percentile": "percentile(processing_time_seconds, 0.95) over 1h",
    "ratio": "ratio(records_failed, records_processed) over 15m by pipeline",
}
"""A right one of each function."""
_COUNTERS = {f"oreflow_{name[:-6]}" for name, (kind, _, _) in METRICS.items() if kind == MetricKind.COUNTER}
_SHORT = "p95(processing_time_seconds) over 1h"
_CALL = re.compile(r"\s*(?P<function>[^\s(),]+)\s*\((?P<arguments>[^()]*)\)\s*")
_PERCENTILE = re.compile(r"p(?P<percent>[0-9]+(?:\.[0-9]+)?)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_ITEM = r"[^\s,=]+"
_PAIR = rf"""({_ITEM})\s*=\s*("[^"]*"|'[^']*'|[^\s,='"]+)"""
_ANY_PAIR = _PAIR.replace("(", "(?:")
_CLAUSES = re.compile(
    rf"(?:over\s+(?P<over>\S+)\s*)?(?:by\s+(?P<by>{_ITEM}(?:\s*,\s*{_ITEM})*)\s*)?"
    rf"(?:where\s+(?P<where>{_ANY_PAIR}(?:\s*,\s*{_ANY_PAIR})*)\s*)?(?P<rest>.*)",
    re.DOTALL,
)


def parse_aggregation(name: str, text: str, full_name: Callable[[str], str]) -> Aggregation:
    """The aggregation called `name` that a text says.

    A text is a function of metrics and then, in this order, `over` a time, `by` labels, and `where` labels have values,
    which stand in quotes if there is a blank or a comma in them. Only `latest` may do without `over`: its window is
    infinite then. `p95(X)` is `percentile(X, 0.95)`. `full_name` gives the name of a metric as snapshots have it, as
    does `MetricsCollector.full_name`.

    Raises:
        ValueError: it is none, in a line that says why and shows a right one.
    """
    call = _CALL.match(text)
    if not call:
        raise _wrong(f"{text.strip()!r} does not begin with a function of metrics in brackets", _EXAMPLES["sum"])
    said = call["function"]
    function = "percentile" if _PERCENTILE.fullmatch(said) else said
    if function not in _EXAMPLES:
        known = did_you_mean(said, [*_EXAMPLES, "p95"])
        raise _wrong(f"there is no function {said!r}: {known}", _EXAMPLES["sum"])
    try:
        metrics, share = _arguments(said, call["arguments"])
        window, by, where = _clauses(function, text[call.end() :])
        full = tuple(map(full_name, metrics))
        _check(function, full)
        return Aggregation(name, function, full, window, by, where, share)
    except ValueError as error:
        raise _wrong(str(error), _EXAMPLES[function] if said == function else _SHORT) from None


def doubts(asked: Aggregation, found: Sequence[Figure]) -> Iterator[str]:
    """Why an aggregation may not be what was meant, where what it found looks like it.

    A program may count metrics of its own, and with labels of its own: what is not known is no mistake by that.
    """
    for name in asked.metrics:
        if name not in LABELS and all(each.value is None for each in found) and not _is_counted(name):
            short, known = name.removeprefix("oreflow_"), [each.removeprefix("oreflow_") for each in LABELS]
            yield f"nothing has been counted as '{short}' - {did_you_mean(short, known)}"
            return
    known = sorted({label for name in asked.metrics for label in LABELS.get(name, ())})
    wrong = [label for label in asked.where if not found]
    wrong += [label for label in asked.by if found and not any(dict(each.labels)[label] for each in found)]
    for label in wrong:
        if known and label not in known:
            yield f"no series has a label '{label}' - {did_you_mean(label, known)}"


def _is_counted(name: str) -> bool:
    """Whether this process has such a metric, though perhaps no figure of it: it may be infinite."""
    return any(family.name == name for family in get_metrics_collector().snapshot().families)


def _check(function: str, metrics: Sequence[str]) -> None:
    if function == "percentile" and metrics[0] in _COUNTERS:
        raise ValueError(f"{metrics[0]} is a counter, which has no percentiles: gauges and histograms have")


def _wrong(fault: str, example: str) -> ValueError:
    return ValueError(f"{fault} - a right one is `{example}`")


def _arguments(said: str, text: str) -> tuple[list[str], float]:
    """The metrics that a function is of, and the share of a percentile."""
    found, share = [each.strip() for each in text.split(",")] if text.strip() else [], 0.0
    wanted = {"percentile": ["a metric", "a share"], "ratio": ["one metric", "another one"]}.get(said, ["one metric"])
    if len(found) != len(wanted):
        raise ValueError(f"{said} is of {' and '.join(wanted)}, and what is in the brackets is {len(found)}")
    if said == "percentile":
        said_share = found.pop()
        share = float(said_share) if _NUMBER.fullmatch(said_share) else math.nan
        if not share <= 1:
            raise ValueError(f"{said_share!r} is no share: one is from 0 to 1, as 0.95 is for the percentile 95")
    elif percent := _PERCENTILE.fullmatch(said):
        share = float(f"{percent['percent']}e-2")  # 99.9 / 100 is a little more than 0.999
        if not share <= 1:
            raise ValueError(f"{said} is above p100: the percentile 99.9 is written as p99.9")
    return found, share


def _clauses(function: str, text: str) -> tuple[float, tuple[str, ...], dict[str, str]]:
    """The window in seconds, the labels that groups are made by, and those that must have a value."""
    said = _CLAUSES.fullmatch(text)
    rest = said["rest"] if said else text
    if said is None or rest:
        raise ValueError(f"{rest!r} is not understood: what follows is `over`, `by` and `where`, in this order")
    return _window(function, said["over"]), _by(said["by"] or ""), _where(said["where"] or "")


def _window(function: str, text: str | None) -> float:
    if text is None:
        if function == "latest":
            return math.inf
        raise ValueError(f"`over` is missing: {function} is one over a window of time")
    try:
        window = time_of(float(text) if _NUMBER.fullmatch(text) else text).total_seconds()
    except ValueError:
        raise ValueError(f"{text!r} is no time such as 300 (seconds), 5m or PT5M") from None
    if window <= 0:
        raise ValueError(f"a window of {text} has nothing in it")
    return window


def _by(text: str) -> tuple[str, ...]:
    labels = tuple(label_name(each.strip()) for each in text.split(",")) if text else ()
    if twice := {each for each in labels if labels.count(each) > 1}:
        raise ValueError(f"`by` says the label {min(twice)} twice")
    return labels


def _where(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for label, value in re.findall(_PAIR, text):
        if label_name(label) in found:
            raise ValueError(f"`where` says the label {label} twice")
        found[label] = value[1:-1] if value[0] in "\"'" else value
    return found
