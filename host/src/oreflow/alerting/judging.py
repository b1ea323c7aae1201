"""How an alert begins, goes on and ends: by what was found of its rule, one finding after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from oreflow.alerting.declared import Rule


@dataclass(frozen=True)
class Finding:
    """What was found of a rule and a subject: a `value` for its condition, or whether its event has `happened`.

    `words` say it in one line, `details` are lines that help to see what is wrong.
    """

    rule: Rule
    subject: Mapping[str, str]
    words: str
    value: float | None = None
    happened: bool = False
    details: Sequence[str] = ()
    commands: Sequence[str] = ()
    is_of_a_failure: bool = False
    """Whether it is a figure of a table that could not be made."""


@dataclass
class State:
    """An alert as it is kept from run to run.

    It is `pending` until its condition has held for long enough, and goes once all who heard that it fires have heard
    that it is `resolved`. `runs` is how many it held in, `run_id` the last of them. `told` says by the name of a
    channel when it was told last that it fires. `id` is when it began first: to those who have not heard that it was
    over, one that begins again is the same.
    """

    rule: str
    subject: dict[str, str]
    status: Literal["pending", "firing", "resolved"]
    since: str
    words: str
    value: float | None = None
    runs: int = 0
    run_id: str = ""
    details: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    id: str = ""
    is_of_a_failure: bool = False

    @property
    def key(self) -> str:
        """What tells it from other alerts: its rule, its subject, and when it began."""
        return f"{key_of(self.rule, self.subject)} {self.id}"

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> State:
        """The state that `to_dict` described."""
        return cls(**{each.name: value[each.name] for each in fields(cls) if each.name in value})


@dataclass
class Silence:
    """That nobody is told of a rule until some time; `table` ('': all) limits it."""

    rule: str
    until: str
    table: str = ""

    def covers(self, state: State, now: datetime) -> bool:
        """Whether it keeps an alert from being told now."""
        of_table = not self.table or state.subject.get("table") == self.table
        return state.rule == self.rule and of_table and datetime.fromisoformat(self.until) > now


def key_of(rule: str, subject: Mapping[str, str]) -> str:
    """What a rule and a subject are kept under."""
    return f"{rule} {json.dumps(dict(subject), sort_keys=True)}"


def judge(states: dict[str, State], finding: Finding, run_id: str, now: datetime) -> None:
    """Have an alert begin, go on or end by what was found."""
    rule, key = finding.rule, key_of(finding.rule.name, finding.subject)
    state = states.get(key)
    goes_on = state is not None and state.status != "resolved"
    if not _holds(finding, is_firing=state is not None and state.status == "firing"):
        if state and (state.status == "firing" or state.told):
            state.status, state.words, state.value, state.run_id = "resolved", finding.words, finding.value, run_id
            state.details = []
        elif state and state.status == "pending":
            del states[key]
        return
    if state is None or not goes_on:
        began = text_of(now)
        told, first = (state.told, state.id) if state and state.told else ({}, began)
        state = State(rule.name, dict(finding.subject), "pending", began, finding.words, told=told, id=first)
        states[key] = state
    state.runs += state.run_id != run_id or not state.runs
    condition = rule.condition
    if condition or finding.details or state.run_id != run_id:  # of several events of a run the one that says most
        state.words, state.details = finding.words, list(finding.details)
    state.value, state.run_id, state.commands = finding.value, run_id, list(finding.commands)
    state.is_of_a_failure = finding.is_of_a_failure
    age = (now - datetime.fromisoformat(state.since)).total_seconds()
    if condition is None or (state.runs >= condition.runs and age >= condition.seconds):
        state.status = "firing"


def _holds(finding: Finding, *, is_firing: bool) -> bool:
    condition = finding.rule.condition
    if condition is None:
        return finding.happened
    return finding.value is not None and condition.holds(finding.value, finding.rule.until if is_firing else None)


def due(state: State, rule: Rule, silences: Sequence[Silence], now: datetime) -> list[str]:
    """The channels that are to be told of an alert now."""
    if state.status == "resolved":
        return [channel for channel in rule.channels if channel in state.told]
    if state.status == "pending" or any(each.covers(state, now) for each in silences):
        return []
    return [channel for channel in rule.channels if _is_new(state.told.get(channel), rule.repeat, now)]


def _is_new(told: str | None, repeat: float | None, now: datetime) -> bool:
    if told is None:
        return True
    return repeat is not None and datetime.fromisoformat(told) + timedelta(seconds=repeat) <= now


def was_told(states: dict[str, State], key: str, channel: str, status: str, now: datetime) -> None:
    """Remember that a channel has told an alert as it was then."""
    state = next((each for each in states.values() if each.key == key), None)
    if state is None:
        return
    if status == "firing":
        state.told[channel] = text_of(now)
    elif state.status == "resolved":
        state.told.pop(channel, None)


def sweep(states: dict[str, State], rules: Mapping[str, Rule], tables: Sequence[str]) -> None:
    """Forget what is over and told, and what is of a rule, a channel or a table that is declared no more."""
    for key, state in list(states.items()):
        rule = rules.get(state.rule)
        table = state.subject.get("table")
        is_over = rule is not None and state.status == "resolved" and not set(state.told) & set(rule.channels)
        if rule is None or is_over or (table is not None and (table not in tables or not rule.is_about(table))):
            del states[key]


def text_of(moment: datetime) -> str:
    """A moment as it is kept: ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
