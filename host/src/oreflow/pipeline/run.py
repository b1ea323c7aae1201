"""A run: every table of a pipeline, in order, until nothing is new; and the report of it."""

from __future__ import annotations

import copy
import secrets
import time
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oreflow.contract import DeclarationError, OreflowError, Problem, StepError, TableFormat
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory, Profile, answers, home_of
from oreflow.pipeline.batches import Batches, Clock
from oreflow.pipeline.faults import PluginFault
from oreflow.pipeline.journal import Claim, settle
from oreflow.pipeline.lake import Lake, write_json
from oreflow.pipeline.lock import held
from oreflow.pipeline.locking import differences, locked_choices
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.plan import PlannedTable, plan_pipeline
from oreflow.pipeline.report import RefusedError, RunReport, TableResult
from oreflow.pipeline.versions import Versions
from oreflow.secrets import redacted


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
        self._tables: TableFormat = factory.create_table_format()
        self._now = now
        self._full_refresh = frozenset(full_refresh)
        planned = plan_pipeline(pipeline, factory, self._tables, engine)
        if lock and (changes := differences(lock, locked_choices(pipeline, planned, factory), only)):
            raise DeclarationError(changes)
        self._planned = [table for table in planned if not only or table.spec.name in only]
        self.started_at = datetime.now(UTC)
        self.run_id = f"{self.started_at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"

    def execute(self) -> RunReport:
        """Make the tables; what fails is in the report, and what depends on it is skipped."""
        start = time.perf_counter()
        names = [table.spec.name for table in self._planned]
        try:
            self._lake.runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = Problem(f"the lake {self._lake.root} cannot be written: {error.strerror}", ("lake",))
            raise DeclarationError([self._pipeline.config.document.locate(problem)]) from error
        used, remarks = self._configuration()
        remarks += [f"{plugin} is broken and was left out: {plugin.reason}" for plugin in self._factory.missing]
        remarks += self._tell("run_started", run_id=self.run_id, pipeline=self._pipeline.name, tables=names)
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
        )
        report.remarks += self._tell("run_finished", run_id=self.run_id, report=report.to_dict())
        try:
            write_json(self._lake.runs / f"{self.run_id}.json", report.to_dict())
        except OSError as error:  # the tables are right; only the history lacks this run
            report.remarks.append(f"the report of this run could not be kept: {error.strerror or error}")
        return report

    def _configuration(self) -> tuple[dict[str, Any], list[str]]:
        """The version of the configuration that this run uses, and a remark where it cannot be kept."""
        config = self._pipeline.config
        try:
            version = Versions(self._lake, config.name).record(config)
        except OSError as error:
            return {"hash": config.version}, [f"the configuration of this run could not be kept: {error.strerror}"]
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
        found += [(what, plugin.distribution, plugin.version) for what, plugin in plugins if plugin]
        rows = dict.fromkeys(found)
        return [{"part": what, "distribution": home, "version": version} for what, home, version in rows]

    def _make(self, planned: PlannedTable, results: dict[str, TableResult]) -> TableResult:
        offer = planned.selection.offer
        result = TableResult(planned.spec.name, None, offer.name, offer.engine, offer.distribution, offer.version)
        start = time.perf_counter()
        broken = [name for name in planned.spec.inputs if name in results and not results[name].is_made]
        try:
            result.batch = self._last_batch(planned)
            if broken:
                result.status, result.reason = "skipped", f"{', '.join(broken)} was not made"
            else:
                with self._lock(planned.spec.name):
                    self._make_batches(planned, result)
        except PluginFault as error:
            result.status, result.reason = "failed", self._unforeseen(planned, error)
        except OreflowError as error:
            place = self._pipeline.config.document.locate(Problem("", ("tables", planned.spec.name)))
            own = home_of("processor", offer.processor.name) == offer.distribution
            maker = "" if own or offer.origin in str(error) else f"made by {offer.name} of {offer.origin}, "
            result.status, result.reason = "failed", f"{error} ({maker}declared in {place.file}:{place.line})"
        except OSError as error:
            result.status, result.reason = "failed", f"{error.filename or 'a file'}: {error.strerror or error}"
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            result.status, result.reason = "failed", self._unforeseen(planned, error)
        result.seconds = _since(start)
        if result.status in ("published", "failed"):
            profile = self._factory.profiles.setdefault(offer.name, Profile())
            profile.ran(result.rows_read, result.seconds, result.reason if result.status == "failed" else "")
        return result

    def _unforeseen(self, planned: PlannedTable, error: BaseException) -> str:
        """A fault in a plugin or in oreflow: the traceback goes to a file, for whoever mends it."""
        file = self._lake.runs / f"{self.run_id}.{planned.spec.name}.traceback.txt"
        file.write_text(redacted("".join(traceback.format_exception(error))), encoding="utf-8")
        if isinstance(error, PluginFault):
            return f"{error}, the traceback is in {file}"
        offer = planned.selection.offer
        return (
            f"{told(error)} - a fault in {offer.name} (package {offer.distribution}) or in oreflow;"
            f" nothing was published, the traceback is in {file}"
        )

    def _make_batches(self, planned: PlannedTable, result: TableResult) -> None:
        """Run the batch that a crash left, if any, and then whatever is new."""
        batches = Batches(self._pipeline, planned.spec, self._tables, self._now)
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

        claim = batches.write(claim)
        progress("claimed")
        table = self._tables.load(self._lake.table(name))
        batch = Batch(
            planned=planned,
            claim=claim,
            lake=self._lake,
            tables=self._tables,
            factory=self._factory,
            journal=batches.journal,
            source_files=batches.source_files(claim),
            progress=progress,
            tasks=tasks,
            table=table,
        )
        try:
            account = run_batch(batch)
        except Exception as error:
            if isinstance(error, RefusedError):
                result.refuse(error.account)
            # Nothing was published. The next run shall look anew at what there is and at what is declared;
            # only a crash, of which nobody knows how far it came, leads back to the same claim.
            batches.journal.release(claim)
            raise
        result.add(claim.batch, account)

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
                remarks.append(f"{self._factory.plugin(plugin)} failed in {hook}: {told(answer)}")
        return remarks


def _anew(planned: PlannedTable) -> str:
    return f"`oreflow run --full-refresh {planned.spec.name}` makes the table anew"


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
