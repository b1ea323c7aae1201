"""One batch of one table: process, stage, audit, publish. The way of a row through oreflow is here."""

from __future__ import annotations

from oreflow.pipeline.calling import around
from oreflow.pipeline.publish import Publication
from oreflow.pipeline.report import Account
from oreflow.pipeline.stage import Batch, Candidate, Stage


def run_batch(batch: Batch) -> Account:
    """Make a claimed batch, and publish it.

    The processing runs inside the `run_step` hook, so that plugins can wrap it.

    Raises:
        StepError: the batch failed; nothing of it can be seen in the table.
    """
    batch.sweep()
    engine = batch.factory.create_engine(batch.planned.selection.offer.engine)
    stage = Stage(batch, engine)
    candidate = around(batch.factory, stage.step(), stage.make, Candidate)
    publication = Publication(batch, candidate, engine)
    publication.audit()
    batch.progress("audited")
    publication.publish()
    return candidate.account
