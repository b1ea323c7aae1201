"""What the pages say of resilience is so: each field with its default, each state, each kind of event."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from oreflow.resilience import (
    BreakerPolicy,
    BreakerState,
    BulkheadPolicy,
    EventKind,
    HedgePolicy,
    Policy,
    RateLimitPolicy,
    RetryPolicy,
)

PAGE = Path(__file__).resolve().parents[2].joinpath("docs/reference/resilience.md").read_text(encoding="utf-8")


def rows(after: str) -> dict[str, str]:
    """The first two cells of the table behind some words."""
    table = PAGE.partition(after)[2].strip().partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", table, re.MULTILINE))


@pytest.mark.parametrize("policy", [RetryPolicy, BreakerPolicy, BulkheadPolicy, RateLimitPolicy, HedgePolicy])
def test_each_field_is_there_with_its_default(policy):
    told = rows(f"`{policy.__name__}`:")
    assert list(told) == [field.name for field in fields(policy)]
    for field in fields(policy):
        plain = told[field.name].strip("`").partition(",")[0]
        if field.default is MISSING:
            assert plain == "required"
        elif field.default not in (None, ()):
            assert plain == str(field.default), field.name


def test_the_order_states_and_events_are_those_there_are():
    order = re.findall(r"^\d\. `(\w+)`", PAGE.partition("## Order")[2].partition("## Options")[0], re.MULTILINE)
    assert order == [field.name for field in fields(Policy)]
    assert set(rows("## States of a breaker\n")) == {state.value for state in BreakerState}
    assert set(rows("and `detail`:")) == {kind.value for kind in EventKind}
