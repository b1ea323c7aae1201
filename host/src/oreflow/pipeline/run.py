"""A run: every table of a pipeline, in order, until nothing is new; and the report of it."""

from __future__ import annotations

import copy
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.contract import DeclarationError, OreflowError, Problem
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory, Profile, answers
from oreflow.pipeline.access import Access
from oreflow.pipeline.batches import Clock
from oreflow.pipeline.failures import Failures, was_ended
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.locking import differences, locked_choices
from oreflow.pipeline.making import Making
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.outline import outline, taking_part
from oreflow.pipeline.plan import PlannedTable, plan_pipeline
from oreflow.pipeline.presence import Presence, complete
from oreflow.pipeline.report import RunReport, TableResult, moment
from oreflow.pipeline.resources import LAKE
from oreflow.pipeline.versions import Versions
from oreflow.resilience import Event, EventKind
from oreflow.secrets import redacted

if TYPE_CHECKING:
    from oreflow.alerting.alerts import Alerts
    from oreflow.monitoring.watching import Watch


class Run:
    """One run of a pipeline. Plugins are told of its progress through the hooks of `factory`.

    `engine` takes the place of every table's own; `only` are the tables to make (all, where empty);
    `full_refresh` are those to make anew from everything; `lock` is a lock file, which need not be there;
    `now` is what tells the time of a claim. Once `stop` is set, the run ends after the batch that it is making.

    Raises:
        DeclarationError: something stands in the way; nothing was run.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        factory: ProcessorFactory,
        *,
        engine: str | None = None,
        only: Sequence[str] = (),
        full_refresh: Sequence[str] = (),
        lock: Path | None = None,
        now: Clock | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        for name in (*only, *full_refresh):
            pipeline.table(name)
        if idle := [name for name in full_refresh if only and name not in only]:
            message = f"{', '.join(idle)} is to be made anew, but is not among the tables of this run"
            raise DeclarationError([Problem(message, mend=f"add --table {idle[0]}")])
        self._pipeline = pipeline
        self._factory = factory
        self._lake = Lake(pipeline.lake)
        self.started_at, self._start = datetime.now(UTC), time.perf_counter()
        self.run_id = f"{self.started_at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self._is_begun = False
        self._early: list[dict[str, Any]] = []  # what was decided about calls while the run was planned
        self._configure()
        self._stop = stop or threading.Event()
        self._cut: KeyboardInterrupt | None = None
        self._is_cut_short = False
        self._access = Access(pipeline, factory, self.run_id, self._heard, self._stop)
        self._tables = self._access.tables
        self._failures = Failures(pipeline, self._access, self._lake.runs / self.run_id)
        self._now = now
        self._full_refresh = frozenset(full_refresh)
        planned = plan_pipeline(pipeline, factory, self._access, engine)
        if lock and (changes := differences(lock, locked_choices(pipeline, planned, factory), only)):
            raise DeclarationError(changes)
        self._planned = [table for table in planned if not only or table.spec.name in only]
        self._results: dict[str, TableResult] = {}
        self._remarks: list[str] = []
        self._used: dict[str, Any] = {}
        self._plugins: list[dict[str, str]] = []

    def _configure(self) -> None:
        """Tell plugins of the run, of which each may have something against it.

        Raises:
            DeclarationError: one has.
        """
        pipeline, problems = self._pipeline, []
        about: dict[str, Any] = {
            "sections": pipeline.sections,
            "resources": {name: resource.kind for name, resource in pipeline.resources.items()},
            "environment": pipeline.config.environment,
            "surroundings": pipeline.surroundings("plugins"),
        }
        for plugin, answer in answers(
            self._factory.hooks, "run_configured", run_id=self.run_id, **copy.deepcopy(about)
        ):
            who = self._factory.plugin(plugin)
            if isinstance(answer, BaseException):
                problems.append(Problem(f"{who} fails where the run is about to begin: {told(answer)}"))
            else:
                problems += [each if isinstance(each, Problem) else Problem(f"{who}: {each}") for each in answer or ()]
        if problems:
            raise DeclarationError([pipeline.config.document.locate(problem) for problem in problems])

    def _watching(self) -> Watch | None:
        """What is to be seen of this run by its declaration; without a section for it, nothing is loaded."""
        pipeline = self._pipeline
        if pipeline.monitoring is None:
            return None
        from oreflow.monitoring.watching import Watch

        return Watch(pipeline.monitoring, self._factory, pipeline.surroundings("monitoring"), self.run_id)

    def _alerting(self) -> Alerts | None:
        """What is to be told of this run by its declaration; without rules, nothing is loaded."""
        if self._pipeline.alerting is None:
            return None
        from oreflow.pipeline.telling import alerts_of

        return alerts_of(self._pipeline, self._pipeline.alerting, self._factory, self.run_id)

    def execute(self) -> RunReport:
        """Make the tables; what fails is in the report, and what depends on it is skipped.

        Raises:
            DeclarationError: the lake cannot be written, or a backend of monitoring cannot be had; nothing was run.
            KeyboardInterrupt: it was interrupted; its report is kept.
        """
        with (
            self._pipeline.config.document.locating(),
            self._watching() or nullcontext() as watch,
            self._alerting() or nullcontext() as alerts,
        ):
            self._prepare()
            with Presence(self._lake, self.run_id) as presence:
                self._make_all(presence, watch, alerts)
                report = self._conclude(watch, alerts)
            if self._cut:
                raise self._cut
            return report

    def _prepare(self) -> None:
        try:
            self._lake.runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = Problem(f"the lake {self._lake.root} cannot be written: {error.strerror}", ("lake",))
            raise DeclarationError([problem]) from error

    def _make_all(self, presence: Presence, watch: Watch | None, alerts: Alerts | None) -> None:
        gone = complete(self._lake, self._access)
        self._is_begun = True
        names = [table.spec.name for table in self._planned]
        self._remarks += [f"{plugin} is broken and was left out: {plugin.reason}" for plugin in self._factory.missing]
        try:
            completed = [report.to_dict() for report in gone if report.pipeline == self._pipeline.name]
            about = {
                "pipeline": self._pipeline.name,
                "tables": names,
                "plan": outline(self._planned, self._lake),
                "completed": completed,
            }
            self._remarks += self._tell("run_started", run_id=self.run_id, **about)
            for each in self._early:
                for heard in [view.heard for view in (watch, alerts) if view]:
                    heard(each["resource"], each["event"])
            self._used, remarks = self._configuration()
            self._remarks += remarks
            self._plugins = taking_part(self._planned, self._pipeline, self._factory)
            presence.show(self._report("running"))
            for planned in self._planned:
                self._make(planned, presence)
        except KeyboardInterrupt as error:
            self._cut = error

    def _conclude(self, watch: Watch | None, alerts: Alerts | None) -> RunReport:
        """Tell what came of the run, and keep its report."""
        failed = any(not result.is_made for result in self._results.values())
        report = self._report("interrupted" if self._cut or self._is_cut_short else "failed" if failed else "success")
        self._keep(report)  # it is there, whatever becomes of those who are told
        try:
            report.remarks += self._tell("run_finished", run_id=self.run_id, report=report.to_dict())
        except KeyboardInterrupt as error:  # the run is done, and only who hears of it is not
            self._cut = self._cut or error
            report.remarks.append("plugins were not waited for: interrupted")
        if watch:
            unsent, report.aggregations = watch.finish()
            report.remarks += unsent
        if alerts:
            report.alerts, unsent = alerts.conclude(report.aggregations)
            report.remarks += unsent
        if fault := self._keep(report):
            report.remarks.append(fault)
        return report

    def _report(self, status: str) -> RunReport:
        return RunReport(
            run_id=self.run_id,
            pipeline=self._pipeline.name,
            status=status,
            seconds=_since(self._start),
            tables=list(self._results.values()),
            started_at=self.started_at.isoformat(timespec="milliseconds"),
            remarks=[redacted(remark) for remark in self._remarks],
            plugins=self._plugins,
            configuration=self._used,
            resources=[dict(vars(use)) for use in self._access.uses],
        )

    def _keep(self, report: RunReport) -> str:
        """Write the report beside the tables; gives why it cannot be, since only the history lacks the run then."""
        try:
            self._access.write(self._lake.runs / f"{self.run_id}.json", report.to_dict())
        except Exception as error:
            return f"the report of this run could not be kept: {_words(error)}"
        return ""

    def _configuration(self) -> tuple[dict[str, Any], list[str]]:
        """The version of the configuration that this run uses, and a remark where it cannot be kept."""
        config = self._pipeline.config
        try:
            version = self._access.call(LAKE, "write", Versions(self._lake, config.name).record, config)
        except Exception as error:
            return {"hash": config.version}, [f"the configuration of this run could not be kept: {_words(error)}"]
        return {"version": version.version, "hash": version.hash}, []

    def _make(self, planned: PlannedTable, presence: Presence) -> None:
        """Make a table, and tell plugins what became of it."""
        offer, name = planned.selection.offer, planned.spec.name
        result = TableResult(
            name, None, offer.name, offer.engine, offer.distribution, offer.version, started_at=moment()
        )
        result.path, result.inputs = str(self._lake.table(name)), planned.inputs
        self._take_early(planned, result)
        presence.begin(result)
        about = {"run_id": self.run_id, "table": name}
        result.remarks += self._tell("step_started", **about, processor=offer.name, engine=offer.engine)
        broken = [each for each in planned.spec.inputs if each in self._results and not self._results[each].is_made]
        self._results[name] = result
        start = time.perf_counter()
        token = _making.set(result)
        try:
            self._make_one(planned, result, broken, presence)
        except KeyboardInterrupt as error:
            self._cut = error
            result.status, result.reason = "interrupted", "it was interrupted while it was made"
        except BaseException as error:
            result.status, result.reason = "failed", self._failures.reason(planned, error)
            if was_ended(error):
                result.status, self._is_cut_short = "interrupted", True
            elif result.batch is not None and self._failures.falls_back(planned, error):
                result.status = "stale"
        finally:
            _making.reset(token)
            self._access.forget()
        result.seconds, result.waited_seconds = _since(start), round(result.waited_seconds, 3)
        if result.status in ("published", "failed"):
            profile = self._factory.profiles.setdefault(offer.name, Profile())
            profile.ran(result.rows_read, result.seconds, result.reason if result.status == "failed" else "")
        result.reason = redacted(result.reason)  # an engine's own words may have what it was told
        result.remarks = [redacted(remark) for remark in result.remarks]
        result.remarks += self._tell("step_finished", run_id=self.run_id, result=asdict(result))
        presence.end()

    def _take_early(self, planned: PlannedTable, result: TableResult) -> None:
        """Give a table what was decided about calls to its source while the run was planned, the first that has it."""
        source = planned.spec.source.name if planned.spec.source else None
        for each in [early for early in self._early if early["resource"] == source]:
            self._early.remove(each)
            event = each["event"]
            result.events.append({"at": each["at"], "batch": None, "resource": source, **event})
            _count(result, event["kind"], event["seconds"])

    def _make_one(self, planned: PlannedTable, result: TableResult, broken: Sequence[str], presence: Presence) -> None:
        if self._cut:  # whoever interrupts wants no more of it, not even a look at the table
            result.status, result.reason = "skipped", "the run was interrupted before"
            return
        making = self._making(planned, result, lambda: presence.show(self._report_within(result)))
        result.batch = making.last_batch()
        if broken:
            result.status, result.reason = "skipped", f"{', '.join(broken)} was not made"
        elif self._stop.is_set() or not making.make():
            self._is_cut_short = True
            if result.status == "published":
                result.remarks.append("the run was asked to end: there is more that is new")
            else:
                result.status, result.reason = "skipped", "the run was asked to end before"

    def _report_within(self, result: TableResult) -> RunReport:
        """What is known while a table is made."""
        report = self._report("running")
        report.tables = [replace(each, status="running") if each is result else each for each in report.tables]
        return report

    def _making(self, planned: PlannedTable, result: TableResult, show: Callable[[], None]) -> Making:
        return Making(
            planned=planned,
            result=result,
            pipeline=self._pipeline,
            factory=self._factory,
            access=self._access,
            lake=self._lake,
            refresh=planned.spec.name in self._full_refresh,
            now=self._now,
            stop=self._stop,
            show=show,
            tell=partial(self._tell, run_id=self.run_id, table=planned.spec.name),
        )

    def _heard(self, event: Event) -> None:
        """A decision about a call: the table in whose making it was made has it, and plugins are told."""
        result = _making.get()
        if result:
            _count(result, event.kind.value, event.seconds)
        said = {
            "kind": event.kind.value,
            "attempt": event.attempt,
            "seconds": round(event.seconds, 3),
            "error": redacted(told(event.error)) if event.error else "",
            "detail": event.detail,
        }
        if result:
            batch = next((each.batch for each in result.batches[-1:] if each.status == "running"), None)
            result.events.append({"at": moment(), "batch": batch, "resource": event.resource, **said})
        table = result.table if result else ""
        if not self._is_begun:
            self._early.append({"at": moment(), "resource": event.resource, "event": said})
        self._tell("resource_event", run_id=self.run_id, table=table, resource=event.resource, event=said)

    def _tell(self, hook: str, **what: Any) -> list[str]:
        """Tell every plugin; one that raises is remarked on and harms nothing."""
        remarks: list[str] = []
        for plugin, answer in answers(self._factory.hooks, hook, **copy.deepcopy(what)):  # theirs, to do as they like
            if isinstance(answer, BaseException):
                said = f": {answer}" if isinstance(answer, OreflowError) else f" failed in {hook}: {told(answer)}"
                remarks.append(redacted(f"{self._factory.plugin(plugin)}{said}"))
        return remarks


def _count(result: TableResult, kind: str, seconds: float) -> None:
    """Count a wait for another attempt."""
    if kind in (EventKind.RETRY.value, EventKind.DELAYED.value):
        result.retries += kind == EventKind.RETRY.value
        result.waited_seconds += seconds


_making: ContextVar[TableResult | None] = ContextVar("making", default=None)
"""The table that is made; also for what goes on in a thread that was begun for it."""


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
