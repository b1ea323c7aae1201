"""One batch of one table: process, stage, audit, publish. The way of a row through oreflow is here."""

from __future__ import annotations

from oreflow.contract import OreflowError, StepError
from oreflow.pipeline.calling import around
from oreflow.pipeline.candidate import Batch, Candidate
from oreflow.pipeline.lake import damage
from oreflow.pipeline.publish import Publication
from oreflow.pipeline.report import Account
from oreflow.pipeline.stage import Stage


def run_batch(batch: Batch) -> Account:
    """Make a claimed batch, and publish it.

    The processing runs inside the `run_step` hook, so that plugins can wrap it.

    Raises:
        StepError: the batch failed; nothing of it can be seen in the table.
    """
    batch.sweep()
    planned = batch.planned
    engine = batch.factory.create_engine(planned.selection.offer.engine, planned.engine_options, planned.parallelism)
    try:
        candidate = batch.access.timed(batch.spec.name, lambda: _candidate(batch, Stage(batch, engine)))
        candidate.account.remarks += engine.remarks
        if batch.access.was_retried:
            batch.sweep(candidate)  # what attempts at reading have left
        publication = Publication(batch, candidate, engine)
        publication.audit()
        batch.progress("audited")
        publication.publish()
    finally:
        engine.release()
    return candidate.account


def _candidate(batch: Batch, stage: Stage) -> Candidate:
    def work() -> Candidate:
        return around(batch.factory, stage.step(), stage.make, Candidate)

    try:
        source = batch.spec.source
        return batch.access.call(source.name, "read", work) if source else work()
    except (OreflowError, OSError) as error:
        if found := _damage(batch):
            raise StepError(found) from error
        raise


def _damage(batch: Batch) -> str:
    """What is wrong with the files of the tables that a batch reads."""
    for name in (*batch.claim.inputs, batch.spec.name):
        table = batch.tables.load(batch.lake.table(name))
        if table and (found := damage(name, table)):
            return found
    return ""
