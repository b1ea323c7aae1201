"""Making one table: the batch that a crash left, if any, and then whatever is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from oreflow.contract import StepError
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.access import Access
from oreflow.pipeline.batches import Batches, Clock
from oreflow.pipeline.failures import was_ended
from oreflow.pipeline.journal import Claim, settle
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.lock import held
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.plan import PlannedTable
from oreflow.pipeline.report import Account, RefusedError, TableResult, spelled
from oreflow.secrets import redacted


@dataclass(frozen=True)
class Making:
    """One table in one run.

    `refresh` says whether it is made anew from everything; `now` tells the time of a claim; once `stop` is set, no
    other batch is begun. `tell` tells plugins of something by the name of its hook, and gives remarks on those that
    failed; `show` is called where a batch begins.
    """

    planned: PlannedTable
    result: TableResult
    pipeline: Pipeline
    factory: ProcessorFactory
    access: Access
    lake: Lake
    refresh: bool
    now: Clock | None
    stop: threading.Event
    tell: Callable[..., list[str]]
    show: Callable[[], None]

    @property
    def _name(self) -> str:
        return self.planned.spec.name

    def make(self) -> bool:
        """Run the batch that a crash left, if any, and then whatever is new; the result says what came of it.

        Gives whether it came to the end of what is new.

        Raises:
            InterruptedWaitError: it was asked to end while it waited.
            Exception: a batch has failed; it is known whether it is published nevertheless.
        """
        if self.planned.fault:
            raise self.planned.fault  # its source has just been asked, as often as its policy says
        # The table's lock, so that two runs at once do not do the same work twice.
        waits = partial(self.tell, "step_progressed", batch=0, phase="waiting")
        with held(self.lake.lock(self._name), waits, self.stop):
            return self._make_batches()

    def _make_batches(self) -> bool:
        planned, result = self.planned, self.result
        batches = Batches(self.pipeline, planned.spec, self.access, self.now)
        done = self.last_batch() or 0
        if done and batches.journal.account(done).get("replaces"):
            settle(self.access.tables, self.lake.quarantine(self._name), done)
        refresh, was_refreshed = self.refresh, False
        changed = old_rows = batches.changed_declaration(done)
        while claim := (pending := batches.next(done, refresh=refresh or (changed and not planned.incremental))).claim:
            if self.stop.is_set():
                return False
            result.remarks += pending.remarks
            was_refreshed = was_refreshed or claim.refresh
            try:
                self._run_batch(batches, claim)
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
        return True

    def last_batch(self) -> int | None:
        """The number of the last batch in the table; None where there is no table."""
        table = self.access.tables.load(self.lake.table(self._name))
        self.result.columns = spelled(table.columns) if table else {}
        return table.batch if table else None

    def _run_batch(self, batches: Batches, claim: Claim) -> None:
        # These load the frame library, which a run with nothing new does not need.
        from oreflow.pipeline.candidate import Batch
        from oreflow.pipeline.step import run_batch

        def tell(hook: str, **what: object) -> None:
            self.result.remarks += self.tell(hook, batch=claim.batch, **what)

        def progress(phase: str) -> None:
            tell("step_progressed", phase=phase)

        def tasks(done: int, total: int) -> None:
            tell("tasks_progressed", done=done, total=total)

        def over(status: str, account: Account | None = None, reason: str = "") -> None:
            made.end(status, account, redacted(reason))
            made.seconds = round(time.perf_counter() - start, 3)
            tell("batch_finished", status=status, account=account.to_dict() if account else {})

        start = time.perf_counter()
        claim = batches.write(claim)
        pairs = zip(batches.source_files(claim), claim.files, strict=True)
        files = [{"file": shown.label, "bytes": claimed.bytes} for shown, claimed in pairs]
        made = self.result.begin(claim.batch, files)
        self.show()
        progress("claimed")
        tell("batch_started", files=files)

        def attempt() -> Account:
            if done := self._account_of(batches, claim):  # an attempt before this one did not hear that it was done
                return done
            batch = Batch(
                planned=self.planned,
                claim=claim,
                lake=self.lake,
                access=self.access,
                factory=self.factory,
                journal=batches.journal,
                source_files=batches.source_files(claim),
                progress=progress,
                tasks=tasks,
                table=self.access.tables.load(self.lake.table(self._name)),
            )
            return run_batch(batch)

        try:
            account = self.access.call(self._name, "make", attempt)
        except KeyboardInterrupt:
            self._cut_off(batches, claim, over)
            raise
        except BaseException as error:
            found = self._done_nevertheless(error, batches, claim)
            if found is None:
                self._not_done(error, over)
                raise
            account = found
        self._done(claim, account, over)

    def _cut_off(self, batches: Batches, claim: Claim, over: Callable[..., None]) -> None:
        """Tell what became of a batch in which somebody interrupts the run. Its claim leads back to it."""
        with suppress(Exception):
            if done := self._account_of(batches, claim):
                self._done(claim, done, over)
            else:
                over("interrupted")

    def _done(self, claim: Claim, account: Account, over: Callable[..., None]) -> None:
        self.result.add(claim.batch, account)
        over("published", account)

    def _not_done(self, error: BaseException, over: Callable[..., None]) -> None:
        """Tell that a batch is over without being published; of one that its gate refused, with its figures."""
        if isinstance(error, RefusedError):
            self.result.refuse(error.account)
            over("refused", error.account, str(error))
        else:
            over("interrupted" if was_ended(error) else "failed", reason=told(error))

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
        table = self.access.tables.load(self.lake.table(self._name))
        if table is None or table.batch != claim.batch:
            return None
        account = Account.from_dict(batches.journal.account(claim.batch))
        if account.replaces:  # what was cut off after the commit
            settle(self.access.tables, self.lake.quarantine(self._name), claim.batch)
        return account


def _anew(planned: PlannedTable) -> str:
    return f"`oreflow run --full-refresh {planned.spec.name}` makes the table anew"
