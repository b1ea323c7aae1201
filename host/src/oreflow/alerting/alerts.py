"""The alerts of one run: what is found is held against the rules, and people are told while it goes on."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from oreflow.alerting.book import Book, Page
from oreflow.alerting.declared import Alerting, DeclaredChannel, Rule
from oreflow.alerting.findings import RUN, TABLE, Findings, Times
from oreflow.alerting.judging import Finding, State, due, judge, key_of, retire, sweep, text_of, was_told
from oreflow.alerting.measuring import Measures
from oreflow.alerting.sending import LONGEST, Outbox
from oreflow.contract import Alert, AlertChannel, DeclarationError, Notice, OreflowError, Surroundings
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory
from oreflow.hookspecs import hookimpl
from oreflow.monitoring.patience import created
from oreflow.secrets import redacted

_log = logging.getLogger("oreflow.alerts")
_REPORT = "oreflow-report"
_SHOWN = ("rule", "status", "severity", "subject", "summary", "value", "threshold", "since", "details")


class Alerts:
    """What is told of one run, or of what has not happened where nothing runs (`run_id` ''); a context for that time.

    `options` are those by which commands find the pipeline. To enter it raises `DeclarationError` where a channel, or a
    secret that it needs, cannot be had.
    """

    def __init__(
        self,
        declared: Alerting,
        factory: ProcessorFactory,
        surroundings: Surroundings,
        book: Book,
        times: Times,
        *,
        run_id: str = "",
        options: str = "",
    ) -> None:
        self._declared, self._factory, self._surroundings = declared, factory, surroundings
        self._book, self._run_id = book, run_id
        self._rules = {rule.name: rule for rule in declared.rules}
        self._outboxes: dict[str, Outbox] = {}
        self._measures = Measures(run_id, surroundings.pipeline)
        looks = [f"{each}{options}" for each in _looks(factory, of_a_run=bool(run_id))]
        self._findings = Findings(declared, self._measures, times, looks, run_id)
        self._on_the_way: set[tuple[str, str, str]] = set()
        self._told: dict[tuple[str, str], list[str]] = {}
        self._report: Mapping[str, Any] | None = None
        self._of_table: list[Finding] = []
        self._began = text_of(datetime.now(UTC))
        self._remarks: list[str] = []
        self._until_created = 0.0  # of time.monotonic()
        self._changing = threading.Lock()
        self._remembered: Page | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._until_created = time.monotonic() + self._declared.patience
        classifier = self._factory.classifier
        for each in self._declared.channels:
            channel = self._channel(each)
            if channel is not None:
                self._outboxes[each.name] = Outbox(
                    each.name, channel, self._declared.patience, self._was_sent, classifier.classify
                )
        if not self._declared.channels:
            mend = "pip install oreflow-alerts, and declare who is told under `alerts.channels`"
            self._remark(f"alerts are in the reports of runs only, since there is no channel - {mend}")
        with ExitStack() as opening:
            for listener in (self, self._measures.recorder):
                self._factory.hooks.register(listener)
                opening.callback(self._factory.hooks.unregister, listener)
            self._open = opening.pop_all()
        return self

    def _channel(self, declared: DeclaredChannel) -> AlertChannel | None:
        """A channel; None where its plugin takes too long to create it, or fails to."""
        create = partial(self._factory.create_alert_channel, declared.type, declared.options, self._surroundings)
        left = self._until_created - time.monotonic()
        try:
            channel: AlertChannel | None = created(create, left, declared.place)
        except DeclarationError:
            raise
        except Exception as error:  # of its plugin; the run is to be made nevertheless
            self._remark(f"alerts cannot be told by {declared.name}: {_cut(redacted(told(error)))}")
            return None
        if channel is None:
            self._remark(f"alerts cannot be told by {declared.name}: it could not be created in time")
        return channel

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._open.close()

    @hookimpl(trylast=True)
    def run_started(self, run_id: str, completed: Sequence[Mapping[str, Any]]) -> None:
        """Tell of runs that were killed, which nobody could tell of then."""
        if run_id == self._run_id and (found := [each for run in completed for each in self._findings.of_killed(run)]):
            self._judge(found)

    @hookimpl(trylast=True)
    def batch_finished(self, run_id: str, table: str, batch: int, status: str, account: Mapping[str, Any]) -> None:
        """Keep what has happened to a batch until its table is done: what that brings about comes in one message."""
        if run_id == self._run_id:
            self._of_table += self._findings.of_batch(table, batch, status, account)

    @hookimpl(trylast=True)
    def resource_event(self, run_id: str, resource: str, event: Mapping[str, Any]) -> None:
        """Tell of calls that do not go well."""
        if run_id == self._run_id and (found := self._findings.of_event(resource, event)):
            self._judge(found)

    def heard(self, resource: str, event: Mapping[str, Any]) -> None:
        """Tell of what was decided before there was anybody to hear it: while the run was planned."""
        self.resource_event(self._run_id, resource, event)

    @hookimpl(trylast=True)
    def step_finished(self, run_id: str, result: Mapping[str, Any]) -> None:
        """Hold what is known of a table against the rules."""
        if run_id == self._run_id:
            found, self._of_table = [*self._of_table, *self._findings.of_step(result)], []
            self._judge(found, result)

    @hookimpl(trylast=True)
    def run_finished(self, run_id: str, report: Mapping[str, Any]) -> None:
        """Keep what the rules are held against at the end."""
        if run_id == self._run_id:
            self._report = report

    def conclude(
        self, aggregations: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Hold the run as a whole against the rules, and wait until all is told, for as long as is declared.

        Gives the alerts that go on or have ended with it, as the report has them, and in one line each what could not
        be told. Nothing is raised: the run is done, and only who hears of it is not.
        """
        try:
            return self._concluded(aggregations or {}), self._remarks
        except KeyboardInterrupt:
            return [], [*self._remarks, "alerts were not waited for: interrupted"]
        except Exception as error:
            return [], [*self._remarks, redacted(f"alerts could not be told: {told(error)}")]

    def _concluded(self, aggregations: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
        self._judge(self._findings.of_run(self._report, aggregations), at_the_end=True)
        deadline = time.monotonic() + self._declared.patience
        unsent = {name: outbox.finish(deadline) for name, outbox in self._outboxes.items()}
        faults: dict[str, dict[str, str]] = {}
        for name, each in unsent.items():
            for notice, why in each:
                rules = ", ".join(f"'{rule}'" for rule in dict.fromkeys(alert.rule for alert in notice.alerts))
                what = f"the alert {rules}" if "', '" not in rules else f"the alerts {rules}"
                self._remark(f"{_cut(what)} did not get to {name}: {why} - the next run tries it again")
                for alert in notice.alerts:
                    faults.setdefault(alert.key, {})[name] = why
        if self._report:
            self._doubt_figures(aggregations)
        return self._entries(faults)

    def send_test(self, name: str) -> None:
        """Send a notice that says that it is a test.

        Raises:
            OreflowError: it did not get there; says why.
        """
        pipeline, environment = self._surroundings.pipeline, self._surroundings.environment
        alert = Alert(
            rule="test",
            status="firing",
            severity="info",
            pipeline=pipeline,
            environment=environment,
            run_id="",
            key=f"{pipeline} test {name}",
            summary=f"this is a test of the channel {name}",
            since=text_of(datetime.now(UTC)),
        )
        if name not in self._outboxes:
            raise OreflowError(f"the test did not get to {name}: {'; '.join(self._remarks)}")
        outbox = self._outboxes[name]
        outbox.put(Notice([alert]))
        outbox.put(Notice([replace(alert, status="resolved")]))  # else PagerDuty would have an incident for ever
        for _, why in outbox.finish(time.monotonic() + self._declared.patience):
            raise OreflowError(f"the test did not get to {name}: {why}")

    def _doubt_figures(self, aggregations: Mapping[str, Any]) -> None:
        """Say of which figures nobody knows anything: a name may be a slip."""
        for rule in self._declared.rules:
            figure = rule.condition.figure if rule.condition else ""
            if figure and figure not in aggregations and not self._measures.is_known(figure):
                self._remark(f"the rule '{rule.name}' is on '{figure}', and nothing has been counted as that")

    def _judge(
        self, found: Sequence[Finding], result: Mapping[str, Any] | None = None, *, at_the_end: bool = False
    ) -> None:
        """Hold findings against what is known, and have told what is new; at the end also what could not be told yet.

        `result` is that of a table of which all is among what was found.
        """
        now = datetime.now(UTC)
        with self._changing_page() as page:
            if at_the_end:
                there = {"table": self._declared.tables, "resource": self._declared.resources}
                retire(page.states, self._rules, there)
            found = [*found, *self._findings.vanished(page.states, found, result, self._report)]
            for each in found:
                judge(page.states, _discreet(each), self._run_id, now)
            keys = {key_of(each.rule.name, each.subject) for each in found}
            notices = self._due({key: s for key, s in page.states.items() if at_the_end or key in keys}, page, now)
        for name, alerts in notices.items():
            self._outboxes[name].put(Notice(alerts))

    @contextmanager
    def _changing_page(self) -> Iterator[Page]:
        """What is kept, to be changed; where it cannot be kept, what is remembered of it until the end of this run."""
        with self._changing:
            if self._remembered is not None:
                yield self._remembered
                return
            try:
                with self._book.changing() as page:
                    self._remembered = page
                    try:
                        yield page
                    except BaseException:
                        self._remembered = None
                        raise
                self._remembered = None
            except OSError as error:
                self._remark(f"alerts cannot be kept: {error.strerror or error}")
                if self._remembered is None:  # nothing was changed yet
                    self._remembered = Page()
                    with suppress(OSError):
                        self._remembered = self._book.read()
                    yield self._remembered

    def _due(self, states: Mapping[str, State], page: Page, now: datetime) -> dict[str, list[Alert]]:
        """What of some alerts is to be told by which channel."""
        found: dict[str, list[Alert]] = {}
        for state in states.values():
            rule = self._rule_of(state)
            for name in due(state, rule, page.silences, now):
                way = (state.key, name, state.status)
                if name in self._outboxes and way not in self._on_the_way:
                    self._on_the_way.add(way)
                    if state.status == "firing":
                        state.asked[name] = text_of(now)
                    found.setdefault(name, []).append(self._alert(rule, state))
        return found

    def _rule_of(self, state: State) -> Rule:
        """Its rule, or what stands for one that is declared no more."""
        return self._rules.get(state.rule) or Rule(state.rule, None)

    def _alert(self, rule: Rule, state: State) -> Alert:
        condition = rule.condition
        is_firing = state.status == "firing"
        return Alert(
            rule=rule.name,
            status="firing" if is_firing else "resolved",
            severity=rule.severity,
            pipeline=self._surroundings.pipeline,
            environment=self._surroundings.environment,
            run_id=self._run_id,
            key=f"{self._surroundings.pipeline} {state.key}",
            summary=f"{state.words}, {condition.words}" if condition and is_firing else state.words,
            since=state.since,
            subject=dict(state.subject),
            value=state.value if state.value is None or math.isfinite(state.value) else None,
            threshold=condition.threshold if condition else None,
            description=rule.description,
            details=list(state.details),
            commands=list(state.commands),
        )

    def _was_sent(self, name: str, notice: Notice) -> None:
        """Remember what was told, on the thread of a channel."""
        now = datetime.now(UTC)
        with self._changing_page() as page:
            states = {f"{self._surroundings.pipeline} {state.key}": state for state in page.states.values()}
            for alert in notice.alerts:
                self._told.setdefault((alert.key, alert.status), []).append(name)
                was_told(states.get(alert.key), name, alert.status, now)

    def _entries(self, unsent: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
        """The alerts as the report has them; what is over and told is forgotten.

        `unsent` says by the key of an alert, and the name of a channel, why it was not told.
        """
        with self._changing_page() as page:
            found = []
            for state in page.states.values():
                if state.status != "pending":
                    alert = self._alert(self._rule_of(state), state)
                    found.append(self._entry(alert, state, page, unsent.get(alert.key, {})))
                for name in unsent.get(f"{self._surroundings.pipeline} {state.key}", {}):
                    state.asked.pop(name, None)
            sweep(page.states, self._outboxes)
            return found

    def _entry(self, alert: Alert, state: State, page: Page, unsent: Mapping[str, str]) -> dict[str, Any]:
        about, now = alert.to_dict(), datetime.now(UTC)
        told = {*self._told.get((alert.key, alert.status), ()), *(state.told if alert.status == "firing" else ())}
        is_silenced = alert.status == "firing" and not told and any(each.covers(state, now) for each in page.silences)
        return {key: about[key] for key in _SHOWN} | {
            "is_new": alert.status == "resolved" or state.since >= self._began,
            "is_silenced": is_silenced,
            "told": sorted(told),
            "unsent": dict(unsent),
        }

    def _remark(self, text: str) -> None:
        if text not in self._remarks:
            self._remarks.append(text)
            _log.warning("%s", text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _discreet(found: Finding) -> Finding:
    """What was found, without secrets: it is written down, and sent."""
    return replace(found, words=redacted(found.words), details=redacted(list(found.details)))


def _looks(factory: ProcessorFactory, *, of_a_run: bool) -> list[str]:
    """The commands that show more, with places for a table and a run."""
    has_pages = any(each.distribution == _REPORT and each.status == "ok" for each in factory.plugins)
    shown = [f"oreflow runs show {RUN}", *([f"oreflow report {RUN}"] if has_pages else [])]
    return [*(shown if of_a_run else ["oreflow runs"]), f"oreflow quarantine show {TABLE}"]
