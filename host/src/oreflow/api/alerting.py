"""The verbs on alerts: which there are, whether they get to people, and that nobody is to be told for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oreflow.alerting.declared import LONG, Alerting
from oreflow.alerting.judging import Silence, State, text_of
from oreflow.api.project import DEFAULT_NAME, load
from oreflow.contract import DeclarationError, Problem
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.model import Pipeline
from oreflow.quantities import lasting
from oreflow.validation import did_you_mean


@dataclass(frozen=True)
class RuleStatus:
    """A rule, the alerts that it has now, and until when who is not told.

    `when` is its condition or its events in words. `status` is `ok`, `pending` (a condition holds, not yet for long
    enough), `firing`, or `resolved` (it is over, and not all who heard of it know).
    """

    rule: str
    when: str
    severity: str
    channels: Sequence[str]
    tables: Sequence[str] = ()
    status: str = "ok"
    alerts: Sequence[State] = ()
    silences: Sequence[Silence] = ()

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class AlertCheck:
    """What `oreflow alerts check` has found: alerts as reports have them, and what could not be told."""

    alerts: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)


def alerts(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> list[RuleStatus]:
    """The rules of a pipeline, each with the alerts that it has now."""
    from oreflow.pipeline.telling import book_of

    declared, alerting, _ = _alerting(project, pipeline, environment, options)
    page, now, found = book_of(declared).read(), datetime.now(UTC), []
    for rule in alerting.rules:
        states = [state for state in page.states.values() if state.rule == rule.name]
        when = f"{rule.condition.figure} {rule.condition.words}" if rule.condition else f"on {', '.join(rule.events)}"
        status = next((each for each in ("firing", "pending", "resolved") if each in [s.status for s in states]), "ok")
        silences = [each for each in page.silences if each.rule == rule.name]
        silences = [each for each in silences if datetime.fromisoformat(each.until) > now]
        about = (rule.severity, rule.channels, rule.tables, status, states, silences)
        found.append(RuleStatus(rule.name, when, *about))
    return found


def check_alerts(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> AlertCheck:
    """Tell of what has not happened for too long, and again what could not be told; makes nothing.

    A run holds what it knows against the rules itself. That there is none can only be noticed by another process, such
    as one of cron: rules on `freshness`, `since_last_run` and `since_last_success` are looked at.
    """
    from oreflow.pipeline.telling import alerts_of

    declared, alerting, factory = _alerting(project, pipeline, environment, options)
    with declared.config.document.locating(), alerts_of(declared, alerting, factory) as found:
        return AlertCheck(*found.conclude())


def try_alert_channel(
    channel: str,
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> None:
    """Send two notices that say that they are a test: that it fires, and that it is over.

    Raises:
        DeclarationError: there is no such channel.
        OreflowError: it did not get there; says why.
    """
    from oreflow.pipeline.telling import alerts_of

    declared, alerting, factory = _alerting(project, pipeline, environment, options)
    known = [each.name for each in alerting.channels]
    if channel not in known:
        raise DeclarationError([Problem(f"there is no channel '{channel}'", mend=did_you_mean(channel, known))])
    alone = tuple(each for each in alerting.channels if each.name == channel)
    one = replace(alerting, channels=alone)
    with declared.config.document.locating(), alerts_of(declared, one, factory) as found:
        found.send_test(channel)


def silence_alert(
    rule: str,
    seconds: float | str | None,
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    table: str = "",
    environment: str | None = None,
    options: Sequence[str] = (),
) -> Silence | None:
    """Have nobody told of a rule for some time (`2h`); None: have them told again.

    `table` limits it to one; without it, to have a rule told again ends all its silences. What goes on after that time
    is told then. Gives the silence; None where it is told again.

    Raises:
        DeclarationError: there is no such rule or table, or it is no time.
    """
    from oreflow.pipeline.telling import book_of

    declared, alerting, _ = _alerting(project, pipeline, environment, options)
    alerting.rule(rule)
    if table:
        declared.table(table)
    silence = None
    if seconds is not None:
        until = datetime.now(UTC) + timedelta(seconds=lasting(seconds, ("--for",), LONG))
        silence = Silence(rule, text_of(until), table)
    with book_of(declared).changing() as page:
        ends = {table} if table or silence else {each.table for each in page.silences}
        page.silences = [each for each in page.silences if each.rule != rule or each.table not in ends]
        page.silences += [silence] if silence else []
    return silence


def _alerting(
    project: str | Path, pipeline: str, environment: str | None, options: Sequence[str]
) -> tuple[Pipeline, Alerting, ProcessorFactory]:
    declared, factory = load(project, pipeline, environment, options)
    if declared.alerting is None:
        mend = "declare some under `alerts.rules`, or thresholds under `monitoring.alert_thresholds`"
        raise DeclarationError([Problem(f"the pipeline '{declared.name}' has no rules of alerts", mend=mend)])
    return declared, declared.alerting, factory
