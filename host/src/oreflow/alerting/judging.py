"""How an alert begins, goes on and ends: by what was found of its rule, one finding after the other."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
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
    is_news: bool = False
    """Whether it is told again where something else has happened, though the alert goes on."""


@dataclass
class State:
    """An alert as it is kept from run to run.

    It is `pending` until its condition has held for long enough, and goes once all who heard that it fires have heard
    that it is `resolved`. `runs` is how many it held in, `run_id` the last of them. `told` says by the name of a
    channel when it was told last that it fires, `asked` when it was to tell it, and has not said yet whether it did.
    `id` is when it began first: to those who have not heard that it was over, one that begins again is the same.
    `figure` is what the rule's condition is on ('': it is on events).
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
    asked: dict[str, str] = field(default_factory=dict)
    id: str = ""
    figure: str = ""
    is_of_a_failure: bool = False

    @property
    def heard(self) -> set[str]:
        """The channels by which people may have heard that it fires."""
        return {*self.told, *self.asked}

    @property
    def key(self) -> str:
        """What tells it from other alerts: its rule, its subject, and when it began."""
        return f"{key_of(self.rule, self.subject)} {self.id}"

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> State:
        """The state that `to_dict` described.

        Raises:
            Exception: this is none.
        """
        found = cls(**{each.name: value[each.name] for each in fields(cls) if each.name in value})
        if found.status not in ("pending", "firing", "resolved"):
            raise ValueError(f"an alert has the status {found.status!r}")
        times = [found.since, *found.told.values(), *found.asked.values()]
        found.since, *_ = [text_of(datetime.fromisoformat(each)) for each in times]
        if not all(isinstance(each, str) for each in (*found.subject, *found.subject.values(), found.words)):
            raise TypeError("an alert has no text where one is expected")
        return found


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
    rule, key, value = finding.rule, key_of(finding.rule.name, finding.subject), finding.value
    if value is not None and math.isnan(value):  # of that nobody knows anything
        return
    state = states.get(key)
    if not _holds(finding, is_firing=state is not None and state.status == "firing"):
        if state and (state.status == "firing" or state.heard):
            end(state, finding.words, run_id, value)
        elif state and state.status == "pending":
            del states[key]
        return
    if state is None or state.status == "resolved":
        began = text_of(now)
        told, asked, first = (state.told, state.asked, state.id) if state and state.heard else ({}, {}, began)
        figure = rule.condition.figure if rule.condition else ""
        state = State(rule.name, dict(finding.subject), "pending", began, finding.words, figure=figure)
        state.told, state.asked, state.id, states[key] = told, asked, first, state
    is_other_run = bool(run_id) and state.run_id != run_id  # a look between runs is none
    state.runs += is_other_run or not state.runs
    if finding.is_news and is_other_run and state.words != finding.words:
        state.told.clear()  # what has happened now is something else
    condition = rule.condition
    if condition or finding.details or is_other_run:  # of several events of a run the one that says most
        state.words, state.details = finding.words, list(finding.details)
    state.value, state.commands, state.is_of_a_failure = value, list(finding.commands), finding.is_of_a_failure
    state.run_id = run_id or state.run_id
    if state.status == "pending" and datetime.fromisoformat(state.since) > now:  # the clock was set back
        state.since = text_of(now)
    age = (now - datetime.fromisoformat(state.since)).total_seconds()
    if condition is None or (state.runs >= condition.runs and age >= condition.seconds):
        state.status = "firing"


def end(state: State, words: str, run_id: str, value: float | None = None) -> None:
    """Have an alert be over."""
    state.status, state.words, state.value, state.details = "resolved", words, value, []
    state.run_id = run_id or state.run_id


def _holds(finding: Finding, *, is_firing: bool) -> bool:
    condition = finding.rule.condition
    if condition is None:
        return finding.happened
    return finding.value is not None and condition.holds(finding.value, finding.rule.until if is_firing else None)


def due(state: State, rule: Rule, silences: Sequence[Silence], now: datetime) -> list[str]:
    """The channels that are to be told of an alert now; that it is over, those that may have heard of it."""
    if state.status == "resolved":
        return sorted(state.heard)
    if state.status == "pending" or any(each.covers(state, now) for each in silences):
        return []
    return [channel for channel in rule.channels if _is_new(state.told.get(channel), rule.repeat, now)]


def _is_new(told: str | None, repeat: float | None, now: datetime) -> bool:
    if told is None:
        return True
    before = datetime.fromisoformat(told)  # after now, where the clock was set back
    return repeat is not None and (before > now or before + timedelta(seconds=repeat) <= now)


def was_told(state: State | None, channel: str, status: str, now: datetime) -> None:
    """Remember that a channel has told an alert as it was then."""
    if state is None:
        return
    if status == "firing":
        state.told[channel] = text_of(now)
    elif state.status == "resolved":
        state.told.pop(channel, None)
    state.asked.pop(channel, None)


def retire(states: dict[str, State], rules: Mapping[str, Rule], there: Mapping[str, Collection[str]]) -> None:
    """End what can be found no more: its rule, its table or its resource is none any more, or the rule is on another.

    `there` has the tables and the resources of the pipeline.
    """
    for key, state in list(states.items()):
        words = _gone(state, rules.get(state.rule), there)
        if words and state.status != "resolved":
            if state.heard:
                end(state, words, "")
            else:
                del states[key]


def _gone(state: State, rule: Rule | None, there: Mapping[str, Collection[str]]) -> str:
    if rule is None:
        return f"there is no rule '{state.rule}' any more"
    if state.figure != (rule.condition.figure if rule.condition else ""):
        return f"the rule '{state.rule}' is on something else now"
    for what, names in there.items():
        if what in state.subject and state.subject[what] not in names:
            return f"there is no {what} {state.subject[what]} any more"
    if "table" in state.subject and not rule.is_about(state.subject["table"]):
        return f"the rule '{state.rule}' is about other tables now"
    return ""


def sweep(states: dict[str, State], channels: Collection[str]) -> None:
    """Forget what is over, and all who heard of it know, as far as there are such channels."""
    for key, state in list(states.items()):
        if state.status == "resolved" and not state.heard & set(channels):
            del states[key]


def text_of(moment: datetime) -> str:
    """A moment as it is kept: ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
