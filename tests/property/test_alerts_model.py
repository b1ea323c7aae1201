"""An alert's life against a model that looks at the whole history of its figure at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from oreflow.alerting.conditions import Condition
from oreflow.alerting.declared import Rule
from oreflow.alerting.judging import Finding, State, due, judge, sweep, was_told

START = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = st.lists(st.sampled_from([0.0, 0.5, 0.92, 0.97, 1.0]), max_size=12)


def firing_by_the_model(values, runs, hours, until):
    """Whether it fires after each value, one run an hour: a stretch of bad values, at whose end it has lasted."""
    found, began, fires = [], None, False
    for number, value in enumerate(values):
        is_bad = value < 0.9 or (fires and until is not None and value < until)
        began = number if is_bad and began is None else began if is_bad else None
        fires = is_bad and (fires or (number - began + 1 >= runs and number - began >= hours))
        found.append(fires)
    return found


def lived(values, rule, channels_work):
    """The states after each value, and what each channel was told, in order."""
    states: dict[str, State] = {}
    told: dict[str, list[str]] = {"a": [], "b": []}
    fires = []
    for number, (value, works) in enumerate(zip(values, channels_work, strict=True)):
        now = START + timedelta(hours=number)
        judge(states, Finding(rule, {"table": "silver.x"}, "words", value), f"run {number}", now)
        for state in list(states.values()):
            for channel in due(state, rule, (), now):
                if works or channel == "a":
                    told[channel].append(state.status)
                    was_told(state, channel, state.status, now)
        sweep(states, rule.channels)
        fires.append(any(state.status == "firing" for state in states.values()))
    return fires, told, states


@given(VALUES, st.integers(1, 3), st.integers(0, 2), st.sampled_from([None, 0.95]), st.data())
def test_it_fires_while_its_condition_has_held_long_enough_and_each_change_is_told_once(
    values, runs, hours, until, data
):
    rule = Rule("r", Condition("x", "<", 0.9, runs, hours * 3600.0), until=until, channels=("a", "b"))
    works = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    fires, told, states = lived(values, rule, works)
    expected = firing_by_the_model(values, runs, hours, until)
    assert fires == expected
    changes = [now for before, now in zip([False, *expected], expected, strict=False) if before != now]
    assert told["a"] == ["firing" if each else "resolved" for each in changes]
    # One that fails now and then misses what came and went meanwhile, and never has two of a kind after each other.
    assert all(one != other for one, other in zip(told["b"], told["b"][1:], strict=False))
    assert told["b"][:1] in ([], ["firing"])
    if works and works[-1]:
        is_known = told["b"][-1:] == ["firing"]  # of one that begins again before it was told as over it hears later
        assert is_known == (fires[-1] or any(state.told for state in states.values()))
        assert all(state.status != "resolved" for state in states.values())
