"""From staged files to a table: the audit, then the commits.

The order of the commits is what makes a batch exactly-once: the quarantine first, then the table, whose
commit carries the batch number and decides. Whatever a crash leaves before that commit is replaced
when the same batch runs again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from oreflow.contract import Commit, DataType, Engine, Overwrite, StepError
from oreflow.contract.errors import told
from oreflow.pipeline.candidate import Batch, Candidate
from oreflow.pipeline.journal import settle
from oreflow.pipeline.kept import keep
from oreflow.pipeline.quality import Failure, gate
from oreflow.pipeline.report import RefusedError, schema_changes, spelled
from oreflow.secrets import redacted

_SAMPLES = 3
_NO_COLUMNS = {
    "_batch_id": DataType("int64"),
    "_source_file": DataType("string"),
    "_source_row": DataType("int64"),
}
"""The columns of a table whose files could not be read so far."""


class Publication:
    """Audits the candidate of a batch, and publishes it or keeps it for inspection."""

    def __init__(self, batch: Batch, candidate: Candidate, engine: Engine) -> None:
        self._batch = batch
        self._candidate = candidate
        self._engine = engine

    def audit(self) -> None:
        """Hold the row account and the quality gate against the candidate.

        Raises:
            StepError: a row is unaccounted for.
            RefusedError: the gate was not passed; the message has the figures.
        """
        candidate, account = self._candidate, self._candidate.account
        try:
            account.check_balance(self._batch.processor)
        except StepError:
            self._batch.sweep()
            raise
        failures, remarks = gate(
            candidate.judged,
            candidate.counts,
            account,
            self._batch.spec.quality_threshold,
            self._batch.spec.checks,
            self._batch.factory.check_types,
        )
        account.remarks += remarks
        if failures:
            account.failures = redacted([self._described(failure) for failure in failures])
            details = "; ".join(_words(failure) for failure in account.failures)
            kept = self._keep()
            message = f"the quality gate was not passed: {details}; the candidate is kept in {kept}"
            raise RefusedError(message, account)

    def _described(self, failure: Failure) -> dict[str, Any]:
        """The failure's figures, with a few of the rows that brought it about."""
        candidate = self._candidate
        described: dict[str, Any] = {"check": failure.check, "figures": failure.message, "samples": []}
        if failure.flag and candidate.judged:
            rows = candidate.judged.sample(failure.flag, _SAMPLES)
        elif failure.unreadable and candidate.unreadable is not None:
            rows = candidate.unreadable.head(_SAMPLES)
        else:
            return described
        found = self._engine.execute({}, {"sample": rows}).collected["sample"]
        described["samples"] = [
            {"file": row.get("_source_file") or "", "row": row.get("_source_row"), "reason": row["_reason"]}
            for row in found
        ]
        return described

    def _keep(self) -> str:
        """Move the staged files to where they can be looked at; gives the folder."""
        folder = self._batch.lake.failed(self._batch.spec.name, self._batch.claim.batch)
        shutil.rmtree(folder, ignore_errors=True)
        staged = {
            "published": (self._batch.path, self._candidate.published),
            "quarantined": (self._batch.quarantine, self._candidate.quarantined),
        }
        for name, (home, files) in staged.items():
            (folder / name).mkdir(parents=True)
            for file in files.files:
                (home / file.path).rename(folder / name / file.path)
        with suppress(OSError):  # the files are there, and any reader of Parquet has them
            keep(folder, self._candidate.quarantined)
        self._withdraw_quarantine()
        self._batch.sweep()
        return str(folder)

    def _withdraw_quarantine(self) -> None:
        """Take out what an attempt that broke off between the two commits left in the quarantine."""
        existing, batch = self._batch.tables.load(self._batch.quarantine), self._batch.claim.batch
        if existing and (stale := tuple(file for file in existing.files if file.first_batch >= batch)):
            change = Commit(batch, existing.version, existing.columns, remove=stale)
            self._batch.tables.commit(self._batch.quarantine, change)

    def publish(self) -> None:
        """Commit the quarantine, then the table, then write the account down.

        Raises:
            CommitConflict: somebody else has written to the table meanwhile; nothing of the batch can be seen in it.
            StepError: a staged file is damaged.
        """
        candidate, table = self._candidate, self._batch.table
        claim, account = self._batch.claim, candidate.account
        account.replaces, account.run_id = self._replaces, self._batch.access.run_id
        self._examine()
        self._publish_quarantine()
        columns = candidate.published.columns or (table.columns if table else dict(_NO_COLUMNS))
        replace = table is not None and self._replaces
        if table is not None and not replace:
            columns = {**table.columns, **columns}
        account.columns = spelled(columns)
        account.schema_changes = schema_changes(spelled(table.columns), account.columns) if table else []
        record = {"claim": claim.to_dict(), **account.to_dict()}
        self._batch.path.mkdir(parents=True, exist_ok=True)
        self._batch.tables.commit(
            self._batch.path,
            Commit(
                batch=claim.batch,
                base=table.version if table else None,
                columns=columns,
                add=(*candidate.published.files, *candidate.add),
                remove=candidate.remove,
                replace=replace,
                account=record,
            ),
        )
        self._batch.progress("published")
        if self._replaces:
            settle(self._batch.tables, self._batch.quarantine, claim.batch)
        try:
            self._batch.journal.write_account(claim.batch, account.to_dict())
        except Exception as error:  # the rows are in the table, and its log has the account too
            account.remarks.append(f"the account of batch {claim.batch} is in the table's log only: {told(error)}")
        self._batch.progress("accounted")

    def _examine(self) -> None:
        candidate = self._candidate
        self._batch.examine(self._batch.path, (*candidate.published.files, *candidate.add))
        self._batch.examine(self._batch.quarantine, candidate.quarantined.files)

    def _publish_quarantine(self) -> None:
        """Make the quarantine hold this batch's rejected rows, and those of no earlier attempt at it.

        Rows of a table that is being replaced stay in it until the table is: `settle` takes them out.
        """
        staged, batch = self._candidate.quarantined, self._batch.claim.batch
        existing = self._batch.tables.load(self._batch.quarantine)
        stale = tuple(f for f in existing.files if f.first_batch >= batch) if existing else ()
        if staged.files or stale:
            self._batch.quarantine.mkdir(parents=True, exist_ok=True)
            known = existing.columns if existing else {}
            self._batch.tables.commit(
                self._batch.quarantine,
                Commit(
                    batch=batch,
                    base=existing.version if existing else None,
                    columns={**known, **staged.columns},
                    add=staged.files,
                    remove=stale,
                ),
            )
        self._batch.progress("quarantined")

    @property
    def _replaces(self) -> bool:
        return self._batch.claim.refresh or isinstance(self._candidate.mode, Overwrite)


def _words(failure: Mapping[str, Any]) -> str:
    samples = [f"{each['file']}:{each['row'] or ''} {each['reason']}" for each in failure["samples"]]
    return f"{failure['figures']}, for example {'; '.join(samples)}" if samples else str(failure["figures"])
