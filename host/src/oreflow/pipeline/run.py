"""A run: every table of a pipeline, in order, until nothing is new; and the report of it."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.contract import DeclarationError, Problem, StepError, Surroundings
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory, Profile, answers
from oreflow.pipeline.access import Access
from oreflow.pipeline.batches import Batches, Clock
from oreflow.pipeline.failures import Failures
from oreflow.pipeline.journal import Claim, settle
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.lock import held
from oreflow.pipeline.locking import differences, locked_choices
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.plan import PlannedTable, plan_pipeline
from oreflow.pipeline.report import Account, RefusedError, RunReport, TableResult
from oreflow.pipeline.resources import LAKE
from oreflow.pipeline.versions import Versions
from oreflow.resilience import Event, EventKind
from oreflow.secrets import redacted

if TYPE_CHECKING:
    from oreflow.monitoring.watching import Watch


class Run:
    """One run of a pipeline. Plugins are told of its progress through the hooks of `factory`.

    `engine` takes the place of every table's own; `only` are the tables to make (all, where empty);
    `full_refresh` are those to make anew from everything; `lock` is a lock file, which need not be there;
    `now` is what tells the time of a claim.

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
    ) -> None:
        for name in (*only, *full_refresh):
            pipeline.table(name)
        if idle := [name for name in full_refresh if only and name not in only]:
            message = f"{', '.join(idle)} is to be made anew, but is not among the tables of this run"
            raise DeclarationError([Problem(message, mend=f"add --table {idle[0]}")])
        self._pipeline = pipeline
        self._factory = factory
        self._lake = Lake(pipeline.lake)
        self.started_at = datetime.now(UTC)
        self.run_id = f"{self.started_at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self._is_begun = False
        self._early: list[dict[str, Any]] = []  # what was decided about calls while the run was planned
        self._configure()
        self._access = Access(pipeline, factory, self.run_id, self._heard)
        self._tables = self._access.tables
        self._failures = Failures(pipeline, self._access, self._lake.runs / self.run_id)
        self._now = now
        self._full_refresh = frozenset(full_refresh)
        planned = plan_pipeline(pipeline, factory, self._access, engine)
        if lock and (changes := differences(lock, locked_choices(pipeline, planned, factory), only)):
            raise DeclarationError(changes)
        self._planned = [table for table in planned if not only or table.spec.name in only]

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

        folder = self._lake.state / "monitoring" / pipeline.name  # several pipelines may have a lake in common
        place = Surroundings(pipeline.name, pipeline.config.environment, pipeline.project, folder)
        return Watch(pipeline.monitoring, self._factory, place, self.run_id)

    def execute(self) -> RunReport:
        """Make the tables; what fails is in the report, and what depends on it is skipped.

        Raises:
            DeclarationError: the lake cannot be written, or a backend of monitoring cannot be had; nothing was run.
        """
        try:
            with self._watching() or nullcontext() as watch:
                return self._execute(watch)
        except DeclarationError as error:
            raise DeclarationError([self._pipeline.config.document.locate(each) for each in error.problems]) from error

    def _execute(self, watch: Watch | None) -> RunReport:
        start = time.perf_counter()
        names = [table.spec.name for table in self._planned]
        try:
            self._lake.runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = Problem(f"the lake {self._lake.root} cannot be written: {error.strerror}", ("lake",))
            raise DeclarationError([problem]) from error
        self._is_begun = True
        remarks = [f"{plugin} is broken and was left out: {plugin.reason}" for plugin in self._factory.missing]
        remarks += self._tell("run_started", run_id=self.run_id, pipeline=self._pipeline.name, tables=names)
        if watch:
            for each in self._early:
                watch.heard(each["resource"], each["event"])
        used, more = self._configuration()
        remarks += more
        results: dict[str, TableResult] = {}
        for planned in self._planned:
            result = self._make(planned, results)
            result.reason = redacted(result.reason)  # an engine's own words may have what it was told
            result.remarks = [redacted(remark) for remark in result.remarks]
            results[planned.spec.name] = result
            result.remarks += self._tell("step_finished", run_id=self.run_id, result=vars(result))
        failed = any(not result.is_made for result in results.values())
        report = RunReport(
            run_id=self.run_id,
            pipeline=self._pipeline.name,
            status="failed" if failed else "success",
            seconds=_since(start),
            tables=list(results.values()),
            started_at=self.started_at.isoformat(timespec="milliseconds"),
            remarks=remarks,
            plugins=self._taking_part(),
            configuration=used,
            resources=[dict(vars(use)) for use in self._access.uses],
        )
        report.remarks = [redacted(remark) for remark in report.remarks]
        report.remarks += self._tell("run_finished", run_id=self.run_id, report=report.to_dict())
        if watch:
            self._keep(report)  # it is there, whatever becomes of those who wait for backends
            unsent, report.aggregations = watch.finish()
            report.remarks += unsent
        if fault := self._keep(report):
            report.remarks.append(fault)
        return report

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

    def _taking_part(self) -> list[dict[str, str]]:
        """Who touches the data of this run."""
        factory = self._factory
        chosen = [table.selection.offer for table in self._planned]
        found = [(f"processor {offer.name}", offer.distribution, offer.version) for offer in chosen]
        brought = [("engine", offer.engine) for offer in chosen] + [("table format", "delta")]
        brought += [("check type", check.type) for table in self._planned for check in table.spec.checks]
        plugins = [(f"{what} {name}", factory.bringer(what, name)) for what, name in brought]
        plugins += [("around each step", plugin) for plugin in factory.wrappers]
        plugins += [(f"section {name}", factory.bringer("section", name)) for name in self._pipeline.sections]
        found += [(what, plugin.distribution, plugin.version) for what, plugin in plugins if plugin]
        rows = dict.fromkeys(found)
        return [{"part": what, "distribution": home, "version": version} for what, home, version in rows]

    def _make(self, planned: PlannedTable, results: dict[str, TableResult]) -> TableResult:
        offer = planned.selection.offer
        result = TableResult(planned.spec.name, None, offer.name, offer.engine, offer.distribution, offer.version)
        about = {"run_id": self.run_id, "table": planned.spec.name}
        result.remarks += self._tell("step_started", **about, processor=offer.name, engine=offer.engine)
        start = time.perf_counter()
        broken = [name for name in planned.spec.inputs if name in results and not results[name].is_made]
        making = _making.set(result)
        try:
            result.batch = self._last_batch(planned)
            if broken:
                result.status, result.reason = "skipped", f"{', '.join(broken)} was not made"
            else:
                self._make_under_lock(planned, result)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            result.status, result.reason = "failed", self._failures.reason(planned, error)
            if result.batch is not None and self._failures.falls_back(planned, error):
                result.status = "stale"
        finally:
            _making.reset(making)
            self._access.forget()
        result.seconds, result.waited_seconds = _since(start), round(result.waited_seconds, 3)
        if result.status in ("published", "failed"):
            profile = self._factory.profiles.setdefault(offer.name, Profile())
            profile.ran(result.rows_read, result.seconds, result.reason if result.status == "failed" else "")
        return result

    def _make_under_lock(self, planned: PlannedTable, result: TableResult) -> None:
        if planned.fault:
            raise planned.fault  # its source has just been asked, as often as its policy says
        with self._lock(planned.spec.name):
            self._make_batches(planned, result)

    def _heard(self, event: Event) -> None:
        """A decision about a call: the table in whose making it was made has it, and plugins are told."""
        result = _making.get()
        if result and event.kind in (EventKind.RETRY, EventKind.DELAYED):
            result.retries += event.kind is EventKind.RETRY
            result.waited_seconds += event.seconds
        said = {
            "kind": event.kind.value,
            "attempt": event.attempt,
            "seconds": round(event.seconds, 3),
            "error": redacted(told(event.error)) if event.error else "",
            "detail": event.detail,
        }
        table = result.table if result else ""
        if not self._is_begun:
            self._early.append({"resource": event.resource, "event": said})
        self._say("resource_event", run_id=self.run_id, table=table, resource=event.resource, event=said)

    def _make_batches(self, planned: PlannedTable, result: TableResult) -> None:
        """Run the batch that a crash left, if any, and then whatever is new."""
        batches = Batches(self._pipeline, planned.spec, self._access, self._now)
        done = self._last_batch(planned) or 0
        if done and batches.journal.account(done).get("replaces"):
            settle(self._tables, self._lake.quarantine(planned.spec.name), done)
        refresh = planned.spec.name in self._full_refresh
        was_refreshed = False
        changed = old_rows = batches.changed_declaration(done)
        while claim := (pending := batches.next(done, refresh=refresh or (changed and not planned.incremental))).claim:
            result.remarks += pending.remarks
            was_refreshed = was_refreshed or claim.refresh
            try:
                self._run_batch(planned, batches, claim, result)
            except StepError as error:
                if changed and planned.incremental and not claim.refresh:
                    raise StepError(f"{error} - its declaration has changed; {_anew(planned)}") from error
                raise
            done, refresh, changed = claim.batch, False, False
        result.remarks += [remark for remark in pending.remarks if remark not in result.remarks]
        if result.status == "unchanged":
            # Of a table that there is not yet, why not is all that there is to say.
            result.reason = "nothing new" if done else "; ".join(pending.remarks) or "nothing to read yet"
            result.remarks = result.remarks if done else []
        elif result.rows_quarantined and not result.rows_published:
            result.remarks.append("no row was published: all that were read are in quarantine")
        if old_rows and planned.incremental and not was_refreshed:
            result.remarks.append(f"its declaration has changed, and older rows are as it was; {_anew(planned)}")

    def _last_batch(self, planned: PlannedTable) -> int | None:
        table = self._tables.load(self._lake.table(planned.spec.name))
        return table.batch if table else None

    def _run_batch(self, planned: PlannedTable, batches: Batches, claim: Claim, result: TableResult) -> None:
        # These load the frame library, which a run with nothing new does not need.
        from oreflow.pipeline.candidate import Batch
        from oreflow.pipeline.step import run_batch

        name = planned.spec.name

        def tell(hook: str, **what: object) -> None:
            result.remarks += self._tell(hook, run_id=self.run_id, table=name, batch=claim.batch, **what)

        def progress(phase: str) -> None:
            tell("step_progressed", phase=phase)

        def tasks(done: int, total: int) -> None:
            tell("tasks_progressed", done=done, total=total)

        def over(status: str, account: Account | None = None) -> None:
            tell("batch_finished", status=status, account=account.to_dict() if account else {})

        claim = batches.write(claim)
        progress("claimed")
        files = zip(batches.source_files(claim), claim.files, strict=True)
        tell("batch_started", files=[{"file": shown.label, "bytes": claimed.bytes} for shown, claimed in files])

        def attempt() -> Account:
            if done := self._account_of(batches, claim):  # an attempt before this one did not hear that it was done
                return done
            batch = Batch(
                planned=planned,
                claim=claim,
                lake=self._lake,
                access=self._access,
                factory=self._factory,
                journal=batches.journal,
                source_files=batches.source_files(claim),
                progress=progress,
                tasks=tasks,
                table=self._tables.load(self._lake.table(name)),
            )
            return run_batch(batch)

        try:
            account = self._access.call(name, "make", attempt)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            found = self._done_nevertheless(error, batches, claim)
            if found is None:
                self._not_done(error, result, over)
                raise
            account = found
        result.add(claim.batch, account)
        over("published", account)

    def _not_done(self, error: BaseException, result: TableResult, over: Callable[..., None]) -> None:
        """Tell that a batch is over without being published; of one that its gate refused, with its figures."""
        if isinstance(error, RefusedError):
            result.refuse(error.account)
            over("refused", error.account)
        else:
            over("failed")

    def _done_nevertheless(self, error: BaseException, batches: Batches, claim: Claim) -> Account | None:
        """Of a batch whose making has failed the account, where it is in the table nevertheless.

        Where it is not, its claim is released: the next run shall look anew at what there is and at what is declared.
        Where nobody can tell, it stays, and leads back to the batch as after a crash.
        """
        try:
            account = self._account_of(batches, claim)
            if account is None:
                batches.journal.release(claim)
        except Exception:
            return None
        if account:
            account.remarks.append(f"batch {claim.batch} was published, though its making ended with {told(error)}")
        return account

    def _account_of(self, batches: Batches, claim: Claim) -> Account | None:
        """The account of a claimed batch, if it is in the table by now."""
        name = batches.table
        table = self._tables.load(self._lake.table(name))
        if table is None or table.batch != claim.batch:
            return None
        account = Account.from_dict(batches.journal.account(claim.batch))
        if account.replaces:  # what was cut off after the commit
            settle(self._tables, self._lake.quarantine(name), claim.batch)
        return account

    def _lock(self, name: str) -> AbstractContextManager[None]:
        """The table's lock, so that two runs at once do not do the same work twice."""
        waits = {"run_id": self.run_id, "table": name, "batch": 0, "phase": "waiting"}
        return held(self._lake.lock(name), lambda: self._say("step_progressed", **waits))

    def _say(self, hook: str, **what: object) -> None:
        self._tell(hook, **what)

    def _tell(self, hook: str, **what: Any) -> list[str]:
        """Tell every plugin; one that raises is remarked on and harms nothing."""
        remarks: list[str] = []
        for plugin, answer in answers(self._factory.hooks, hook, **copy.deepcopy(what)):  # theirs, to do as they like
            if isinstance(answer, BaseException):
                remarks.append(redacted(f"{self._factory.plugin(plugin)} failed in {hook}: {told(answer)}"))
        return remarks


_making: ContextVar[TableResult | None] = ContextVar("making", default=None)
"""The table that is made; also for what goes on in a thread that was begun for it."""


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _anew(planned: PlannedTable) -> str:
    return f"`oreflow run --full-refresh {planned.spec.name}` makes the table anew"


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
