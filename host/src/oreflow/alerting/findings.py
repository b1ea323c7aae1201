"""What is found of each rule in one run: in its events as they happen, in a table that is done, and at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from oreflow.alerting.conditions import OF_TIME, Condition
from oreflow.alerting.declared import OF_TABLES, Alerting, Rule
from oreflow.alerting.judging import Finding, State, key_of
from oreflow.alerting.measuring import Measures

TABLE, RUN = "\0table\0", "\0run\0"  # which no path can have
_WORST = 3
"""Rules that most rows broke, of which an alert on a figure of a table tells."""
_OF_RESOURCES = {"state": "breaker_opened", "gave_up": "call_failed"}
_NEWS = ("schema_changed", "file_set_aside")
_OF_RUNS = ("run_failed", "run_interrupted")


class Times(Protocol):
    """How long ago things were, in seconds; None where they never were."""

    def since_batch(self, table: str) -> float | None:
        """How old the last batch of a table is."""

    def since_run(self, *, succeeded: bool) -> float | None:
        """How long ago the last run ended, or the last that `succeeded`."""


class Findings:
    """What is found in one run.

    `looks` are commands that show more of it, with `TABLE` and `RUN` in the places of a table and a run.
    """

    def __init__(self, declared: Alerting, measures: Measures, times: Times, looks: Sequence[str], run_id: str) -> None:
        self._declared, self._measures, self._times = declared, measures, times
        self._looks, self._run_id = looks, run_id
        self._happened: set[tuple[str, str]] = set()
        self._rows_of: dict[str, str] = {}  # the options that show the rows of a table that this run has set aside

    def of_batch(self, table: str, batch: int, status: str, account: Mapping[str, Any]) -> list[Finding]:
        """A gate that was not passed, columns that have changed, files that cannot be read."""
        found: list[Finding] = []
        if status == "published" and account["quarantined"]:
            self._rows_of[table] = f" --batch {batch}"  # of several the last
        if status == "refused":
            figures = "; ".join(each["figures"] for each in account["failures"])
            words = f"{table}: batch {batch} was refused: {figures}"
            self._rows_of[table] = f" --refused {batch}"
            found += self._happening("gate_failed", {"table": table}, words, _samples(account["failures"]))
        if changes := account.get("schema_changes"):
            details = [_change(each) for each in changes]
            found += self._happening("schema_changed", {"table": table}, f"{table}: {'; '.join(details)}")
        if aside := account.get("set_aside"):
            details = [f"{each['file']}: {each.get('reason', '')}" for each in aside]
            words = f"{table}: {'1 file was' if len(aside) == 1 else f'{len(aside):,} files were'} set aside"
            found += self._happening("file_set_aside", {"table": table}, words, details)
        return found

    def of_killed(self, report: Mapping[str, Any]) -> list[Finding]:
        """A run whose process has gone."""
        words = f"the run {report['run_id']} was interrupted: {report['remarks'][-1]}"
        wanted = [rule for rule in self._declared.rules if "run_interrupted" in rule.events]
        commands = self._commands(run_id=report["run_id"])
        return [Finding(rule, {}, words, happened=True, commands=commands) for rule in wanted]

    def of_event(self, resource: str, event: Mapping[str, Any]) -> list[Finding]:
        """Calls that are given up, and a breaker that opens."""
        name = _OF_RESOURCES.get(event["kind"])
        if name is None or (name == "breaker_opened" and event["detail"] != "open"):
            return []
        what = "the breaker is open" if name == "breaker_opened" else "a call was given up"
        error = f": {event['error']}" if event["error"] else ""
        return list(self._happening(name, {"resource": resource}, f"{resource}: {what}{error}"))

    def of_step(self, result: Mapping[str, Any]) -> list[Finding]:
        """What is known of a table that is done."""
        table, found = result["table"], list[Finding]()
        if result["status"] == "failed":
            found += self._happening("table_failed", {"table": table}, f"{table} failed: {result['reason']}")
        for rule in self._declared.rules:
            if not rule.is_about(table):
                continue
            if rule.condition:
                found += self._measured(rule, rule.condition, result)
            elif self._is_over(rule, result):
                words = f"{table}: no {' and no '.join(each for each in rule.events if each in OF_TABLES)} any more"
                found.append(Finding(rule, {"table": table}, words, commands=self._commands(table)))
        return found

    def of_run(
        self, report: Mapping[str, Any] | None, aggregations: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> list[Finding]:
        """What is known at the end of a run, and where there is none (None), of what has not happened for long."""
        found: list[Finding] = []
        for rule in self._declared.rules:
            if rule.condition is None:
                found += self._events_of_a_run(rule, report) if report else ()
            elif rule.condition.figure in OF_TIME:
                found += self._old(rule, rule.condition, report)
            elif rule.condition.figure in aggregations:
                found += self._aggregated(rule, rule.condition, aggregations[rule.condition.figure])
            elif report and not (rule.condition.figure == "processing_time" and rule.tables):
                for subject, value in self._measures.of_run(rule.condition.figure, report):
                    found.append(self._finding(rule, rule.condition, subject, value))
        return found

    def vanished(
        self,
        states: Mapping[str, State],
        found: Sequence[Finding],
        result: Mapping[str, Any] | None,
        report: Mapping[str, Any] | None,
    ) -> Iterator[Finding]:
        """What there are alerts on, and of which nothing was found this time, since it is over.

        Of a table that is done (`result`), or of a run (`report`): counters of which nothing was counted are 0, and
        figures of a batch that was refused go where the table turns out to have nothing new.
        """
        if result is None and report is None:
            return
        table = result["table"] if result else None
        there = {key_of(each.rule.name, each.subject) for each in found}
        rules = {rule.name: rule for rule in self._declared.rules}
        for key, state in list(states.items()):
            rule = rules.get(state.rule)
            if rule is None or rule.condition is None or key in there or state.subject.get("table") != table:
                continue
            is_done = result is None or result["status"] in ("published", "failed")
            if is_done and self._measures.is_counter(rule.condition.figure):
                yield self._finding(rule, rule.condition, state.subject, 0.0)
            elif result and result["status"] == "unchanged" and state.is_of_a_failure:
                yield Finding(rule, state.subject, f"{table}: what was refused is gone, and nothing is new")

    def _happening(
        self, event: str, subject: Mapping[str, str], words: str, details: Sequence[str] = ()
    ) -> Iterator[Finding]:
        table = subject.get("table")
        self._happened.add((event, table or subject.get("resource", "")))
        for rule in self._declared.rules:
            if event in rule.events and (table is None or rule.is_about(table)):
                found = Finding(rule, subject, words, happened=True, is_news=event in _NEWS)
                yield replace(found, details=details, commands=self._commands(table))

    def _measured(self, rule: Rule, condition: Condition, result: Mapping[str, Any]) -> Iterator[Finding]:
        broken = sorted(result["rules"].items(), key=lambda each: -each[1])[:_WORST]
        details = [f"{rows:,} {'row breaks' if rows == 1 else 'rows break'} '{name}'" for name, rows in broken]
        details += [line for batch in result["batches"] for line in _samples(batch["failures"])]
        for subject, value in self._measures.of_table(condition.figure, result, with_time=bool(rule.tables)):
            found = self._finding(rule, condition, subject, value, details)
            yield replace(found, is_of_a_failure=result["status"] == "failed")

    def _is_over(self, rule: Rule, result: Mapping[str, Any]) -> bool:
        """Whether what a rule on events of tables has told of a table is over."""
        events = [each for each in rule.events if each in OF_TABLES]
        is_made = result["status"] in ("published", "unchanged")
        return bool(events) and is_made and not any((each, result["table"]) in self._happened for each in events)

    def _aggregated(self, rule: Rule, condition: Condition, figures: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
        for each in figures:
            subject = {name: value for name, value in each["labels"].items() if name != "pipeline"}
            if each["value"] is not None and (not rule.tables or rule.is_about(subject.get("table", ""))):
                yield self._finding(rule, condition, subject, each["value"])

    def _old(self, rule: Rule, condition: Condition, report: Mapping[str, Any] | None) -> Iterator[Finding]:
        if condition.figure == "freshness":
            for table in filter(rule.is_about, self._declared.tables):
                if (age := self._times.since_batch(table)) is not None:
                    yield self._finding(rule, condition, {"table": table}, age)
            return
        succeeded = condition.figure == "since_last_success"
        is_now = report is not None and (not succeeded or report["status"] == "success")
        age = 0.0 if is_now else self._times.since_run(succeeded=succeeded)
        if age is not None:
            yield self._finding(rule, condition, {}, age)

    def _events_of_a_run(self, rule: Rule, report: Mapping[str, Any]) -> Iterator[Finding]:
        status, commands = report["status"], self._commands()
        if f"run_{status}" in rule.events:
            failed = [each["table"] for each in report["tables"] if each["status"] == "failed"]
            words = f"the run failed at {', '.join(failed)}" if failed else f"the run was {status}"
            yield Finding(rule, {}, words, happened=True, commands=commands)
        elif status == "success" and set(_OF_RUNS) & set(rule.events):
            yield Finding(rule, {}, "the run succeeded", commands=commands)
        events = [each for each in rule.events if each in _OF_RESOURCES.values()]
        for use in report["resources"] if events else ():
            name = use["resource"]
            if use["breaker"] != "open" and not any((each, name) in self._happened for each in events):
                yield Finding(rule, {"resource": name}, f"{name}: calls go well", commands=commands)

    def _finding(
        self, rule: Rule, condition: Condition, subject: Mapping[str, str], value: float, details: Sequence[str] = ()
    ) -> Finding:
        words = f"{condition.figure}{_of(subject)} is {condition.shown(value)}"
        return Finding(rule, subject, words, value, details=details, commands=self._commands(subject.get("table")))

    def _commands(self, table: str | None = None, run_id: str = "") -> list[str]:
        """What shows more of it; `run_id` is that of another run than this."""
        rows = self._rows_of.get(table or "")
        looks = [each.replace(RUN, run_id or self._run_id) for each in self._looks if rows or TABLE not in each]
        return [f"{each.replace(TABLE, table)}{rows}" if table and TABLE in each else each for each in looks]


def _of(subject: Mapping[str, str]) -> str:
    """Of what a figure is, in words."""
    named = [subject[name] for name in ("table", "resource") if name in subject]
    others = [f"{name} '{value}'" for name, value in subject.items() if name not in ("table", "resource")]
    return f" of {', '.join([*named, *others])}" if subject else ""


def _samples(failures: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows by which a gate was closed, each in a line."""
    rows = [sample for failure in failures for sample in failure["samples"]]
    return [f"{each['file']}:{each['row'] or ''} {each['reason']}" for each in rows]


def _change(change: Mapping[str, str]) -> str:
    name = change["column"]
    if change["change"] == "changed":
        return f"{name} is {change['after']}, and was {change['before']}"
    return f"{name} ({change['after'] or change['before']}) was {change['change']}"
