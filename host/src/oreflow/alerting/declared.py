"""Alerts as a declaration says them: `alerts:` with its rules and channels, and `monitoring.alert_thresholds`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from oreflow.alerting.conditions import Condition, number, parse_condition
from oreflow.contract import DeclarationError, Problem
from oreflow.factory import ProcessorFactory
from oreflow.quantities import lasting
from oreflow.validation import did_you_mean

SECTION = "alerts"
THRESHOLDS = ("monitoring", "alert_thresholds")
EVENTS: Mapping[str, str] = {
    "gate_failed": "a quality gate has refused a batch",
    "table_failed": "a table could not be made",
    "schema_changed": "columns of a table were added, removed, or have another type",
    "file_set_aside": "a source file could not be read at all",
    "breaker_opened": "calls to a resource fail so often that none is made for now",
    "call_failed": "a call to a resource was given up",
    "run_failed": "a run has failed",
    "run_interrupted": "a run was interrupted",
}
"""What happens in a run that a rule can be on."""
OF_TABLES = ("gate_failed", "table_failed", "schema_changed", "file_set_aside")
"""Those of them that happen to a table."""
FIGURES: Mapping[str, str] = {
    "error_rate": "the share of a table's rows that were quarantined in the run, 0 to 1",
    "processing_time": "how long the run took in seconds, or with `tables`, each of these",
    "freshness": "how old the last batch of a table is in seconds, at the end of a run",
    "since_last_run": "how long ago the last run ended in seconds",
    "since_last_success": "how long ago the last run ended that succeeded",
}
"""What a condition can be on besides metrics and aggregations."""
SEVERITIES = ("info", "warning", "critical")
_LOW = {"data_quality_score"}
"""The figures of which a low one is bad: a threshold is the least that they should be."""
LONG = 1e9
"""Seconds, some thirty years: longer than anything that somebody wants to wait for."""
_SHARES = ("error_rate", "data_quality_score")
_PATIENCE = 10.0
_LOG, _LAKE = "log", "lake"


@dataclass(frozen=True)
class Rule:
    """What is to be told: where a condition holds, or one of some events happens.

    `tables` are patterns of the names of tables that it is about (none: all). `until` is where the condition, once it
    holds, holds no more (None: at its own threshold). `repeat` is after how many seconds an alert that goes on is told
    again (None: it is not).
    """

    name: str
    condition: Condition | None
    events: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    until: float | None = None
    severity: Literal["info", "warning", "critical"] = "warning"
    channels: tuple[str, ...] = ()
    repeat: float | None = None
    description: str = ""

    def is_about(self, table: str) -> bool:
        """Whether it is about a table."""
        return not self.tables or any(fnmatchcase(table, pattern) for pattern in self.tables)


@dataclass(frozen=True)
class DeclaredChannel:
    """A way to tell people: the kind of channel, and its options."""

    name: str
    type: str
    options: Mapping[str, Any] = field(hash=False)

    def place(self, error: DeclarationError) -> DeclarationError:
        """What its plugin has against its options, as problems of the declaration."""
        path = (SECTION, "channels", self.name)
        return DeclarationError([Problem(each.message, (*path, *each.path), each.mend) for each in error.problems])


@dataclass(frozen=True)
class Alerting:
    """Who is to be told of what.

    `patience` is how many seconds the end of a run waits for all channels together; `tables` are those of the pipeline,
    `resources` all that its runs call.
    """

    rules: tuple[Rule, ...]
    channels: tuple[DeclaredChannel, ...]
    patience: float = _PATIENCE
    tables: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def rule(self, name: str) -> Rule:
        """The rule of a name.

        Raises:
            DeclarationError: there is none.
        """
        for each in self.rules:
            if each.name == name:
                return each
        known = [each.name for each in self.rules]
        mend = did_you_mean(name, known) if known else "declare some under `alerts.rules`"
        raise DeclarationError([Problem(f"there is no rule '{name}'", mend=mend)])


def declared_alerting(data: Mapping[str, Any], factory: ProcessorFactory) -> tuple[Alerting | None, list[Problem]]:
    """What a declaration whose form is right says of alerts, and what is wrong with it."""
    said, thresholds = data.get(SECTION, {}), data.get("monitoring", {}).get("alert_thresholds", {})
    if not said and not thresholds:
        return None, []
    problems: list[Problem] = []
    channels = list(_channels(said.get("channels", {}), factory, problems))
    if not channels and _LOG in factory.alert_channels:
        channels = [DeclaredChannel(_LOG, _LOG, {})]
    names = [each.name for each in channels]
    tables = list(data.get("tables", {}))
    aggregations = list(data.get("monitoring", {}).get("metrics", {}).get("aggregations", {}))
    rules = [
        Rule(name, Condition(name, "<" if name in _LOW else ">", float(most)), channels=tuple(names))
        for name, most in thresholds.items()
        if _is_figure(name, aggregations, (*THRESHOLDS, name), problems)
    ]
    for name, most in thresholds.items():
        problems += _no_share(name, most, (*THRESHOLDS, name))
    taken = {each.name for each in rules}
    for name, about in said.get("rules", {}).items():
        path = (SECTION, "rules", name)
        if name in taken:
            problems.append(Problem(f"there is a threshold called '{name}' as well", path, "say it once"))
        rules += _rule(name, about, names, tables, aggregations, problems)
    patience = _seconds(said.get("patience", _PATIENCE), (SECTION, "patience"), problems)
    resources = (*data.get("sources", {}), *tables, _LAKE)
    return Alerting(tuple(rules), tuple(channels), patience or _PATIENCE, tuple(tables), resources), problems


def _channels(
    said: Mapping[str, Mapping[str, Any]], factory: ProcessorFactory, problems: list[Problem]
) -> Iterator[DeclaredChannel]:
    for name, about in said.items():
        try:
            factory.require("alert channel", about["type"])
        except DeclarationError as error:
            path = (SECTION, "channels", name, "type")
            problems += [Problem(each.message, path, each.mend) for each in error.problems]
            continue
        yield DeclaredChannel(name, about["type"], {key: value for key, value in about.items() if key != "type"})


def _rule(
    name: str,
    said: Mapping[str, Any],
    channels: Sequence[str],
    tables: Sequence[str],
    aggregations: Sequence[str],
    problems: list[Problem],
) -> Iterator[Rule]:
    path, before = (SECTION, "rules", name), len(problems)
    condition = None
    if ("when" in said) == ("event" in said):
        problems.append(Problem("it has to be `when` a condition holds, or an `event`", path, "say one of them"))
    elif "when" in said:
        try:
            condition = parse_condition(said["when"])
            _is_figure(condition.figure, aggregations, (*path, "when"), problems)
            problems += _no_share(condition.figure, condition.threshold, (*path, "when"))
        except ValueError as error:
            problems.append(Problem(str(error), (*path, "when")))
    problems += _unknown("event", _listed(said.get("event", ())), list(EVENTS), (*path, "event"))
    problems += _unknown("channel", said.get("channels", ()), channels, (*path, "channels"))
    patterns = _listed(said.get("tables", ()))
    for pattern in patterns:
        if not any(fnmatchcase(table, pattern) for table in tables):
            what = f"there is no table '{pattern}'"
            problems.append(Problem(what, (*path, "tables"), did_you_mean(pattern, tables)))
    if patterns:
        on = (condition.figure,) if condition else _listed(said.get("event", ()))
        problems += _of_no_table(on, (*path, "tables"))
    if "until" in said and "event" in said:
        problems.append(Problem("an event has no figure that could get there", (*path, "until"), "leave it out"))
    until = _until(said, (*path, "until"), problems)
    if condition and until is not None and condition.holds(until):
        what = f"{condition.shown(until)} is {condition.words}, so that the alert would never be over"
        problems.append(Problem(what, (*path, "until"), "say a figure at which all is well again"))
    repeat = _seconds(said["repeat"], (*path, "repeat"), problems, LONG) if "repeat" in said else None
    if len(problems) == before:
        yield Rule(
            name,
            condition,
            _listed(said.get("event", ())),
            patterns,
            until,
            said.get("severity", "warning"),
            tuple(said.get("channels", channels)),
            repeat,
            said.get("description", ""),
        )


def _of_no_table(on: Sequence[str], path: tuple[str | int, ...]) -> Iterator[Problem]:
    """That nothing of what a rule is on is of a table, though it is limited to some."""
    if on and not any(map(_may_be_of_a_table, on)):
        yield Problem(f"{' and '.join(on)} {'is' if len(on) == 1 else 'are'} of no table", path, "leave it out")


def _may_be_of_a_table(name: str) -> bool:
    """Whether an event or a figure is of a table; of a metric that a program counts nobody knows."""
    from oreflow.monitoring.catalogue import LABELS

    if name in EVENTS or name in FIGURES:
        return name in OF_TABLES or (name in FIGURES and not name.startswith("since_last_"))
    return "table" in LABELS.get(f"oreflow_{name.removeprefix('oreflow_').removesuffix('_total')}", ("table",))


def _until(said: Mapping[str, Any], path: tuple[str | int, ...], problems: list[Problem]) -> float | None:
    if "until" not in said:
        return None
    try:
        return number(str(said["until"]))
    except ValueError as error:
        problems.append(Problem(str(error), path))
        return None


def _no_share(figure: str, threshold: float, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """What is wrong with a number that a share can never get to, or is always below."""
    if figure in _SHARES and not 0 <= threshold <= 1:
        yield Problem(
            f"{figure} is a share, from 0 to 1, and {threshold:g} is none", path, "say one such as 5% or 0.05"
        )


def _listed(said: str | Sequence[str]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


def _unknown(what: str, said: Collection[str], known: Sequence[str], path: tuple[str | int, ...]) -> Iterator[Problem]:
    for name in said:
        if name not in known:
            mend = did_you_mean(name, known) if known else f"declare it under `{SECTION}.{what}s`"
            yield Problem(f"there is no {what} '{name}'", path, mend)


def metric_names() -> list[str]:
    """The metrics that a run counts, without `oreflow_` and `_total`."""
    from oreflow.monitoring.catalogue import METRICS

    return [name.removesuffix("_total") for name in METRICS]


def _is_figure(name: str, aggregations: Sequence[str], path: tuple[str | int, ...], problems: list[Problem]) -> bool:
    """Whether a condition can be on it; a name that is like a known one is taken for a slip.

    A program may count metrics of its own. Which these are is known only once it has.
    """
    known = [*FIGURES, *metric_names(), *aggregations]
    short = name.removeprefix("oreflow_").removesuffix("_total")
    if name in known or short in known or name.startswith("oreflow_"):
        return True
    mend = did_you_mean(name, known)
    if mend.startswith("did you mean"):
        problems.append(Problem(f"there is no figure '{name}'", path, f"{mend} (a metric of your own: oreflow_{name})"))
        return False
    return True


def _seconds(
    said: float | str, path: tuple[str | int, ...], problems: list[Problem], longest: float | None = None
) -> float | None:
    try:
        return lasting(said, path, longest)
    except DeclarationError as error:
        problems += error.problems
        return None
