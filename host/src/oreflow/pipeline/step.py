"""One batch of one table: process, stage, audit, publish, account. The way of a row through oreflow is here.

The order of the writes is what makes it exactly-once: the claim first, then data files that no
reader sees, then the quarantine, and last the table's commit, which carries the batch number and
decides. Whatever a crash leaves before that commit is replaced when the same batch runs again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import narwhals as nw

from oreflow.contract import (
    LINEAGE,
    Commit,
    DataFile,
    DataType,
    Engine,
    Merge,
    Output,
    Overwrite,
    RowCheck,
    Rule,
    SourceScan,
    Staged,
    Staging,
    Step,
    StepError,
    Table,
    TableFormat,
    Unreadable,
)
from oreflow.contract.checks import CheckContext
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.batches import Batches, Claim
from oreflow.pipeline.lake import Lake, write_json
from oreflow.pipeline.merge import REPLACED, merge, rewrite
from oreflow.pipeline.plan import PlannedTable
from oreflow.pipeline.quality import CANDIDATES, READABLE, Failure, Judged, gate, judge
from oreflow.pipeline.report import Account

_SAMPLES = 3
_EMPTY = Staged((), {})
_BRONZE_COLUMNS = {
    "_batch_id": DataType("int64"),
    "_source_file": DataType("string"),
    "_source_row": DataType("int64"),
}


_Collected = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass
class _Inputs:
    """What a batch reads: frames for the processor, and how many rows they have, known without reading them.

    `uncounted` are one-row counts still to be collected; `scan` is what the reader gave for a source.
    """

    frames: dict[str, nw.LazyFrame[Any]]
    counted: int = 0
    uncounted: dict[str, nw.LazyFrame[Any]] = field(default_factory=dict)
    scan: SourceScan | None = None
    history: Callable[[str], nw.LazyFrame[Any] | None] = lambda _: None

    @property
    def unreadable(self) -> Sequence[Unreadable]:
        """The files that could not be read at all."""
        return self.scan.unreadable if self.scan else ()


@dataclass
class _Candidate:
    """What was staged and counted, before it is judged."""

    published: Staged
    quarantined: Staged
    judged: Judged | None
    mode: Any
    counts: Mapping[str, int]
    account: Account
    unreadable: nw.LazyFrame[Any] | None
    remove: tuple[DataFile, ...] = ()
    add: tuple[DataFile, ...] = ()


class GateError(StepError):
    """A batch that did not pass its quality gate; nothing of it was published."""


class Batch:
    """One batch of one table, from its claim to its account."""

    def __init__(
        self,
        planned: PlannedTable,
        claim: Claim,
        lake: Lake,
        tables: TableFormat,
        factory: ProcessorFactory,
        batches: Batches,
        progress: Callable[[str], None],
    ) -> None:
        self._planned = planned
        self._spec = planned.spec
        self._claim = claim
        self._lake = lake
        self._tables = tables
        self._factory = factory
        self._batches = batches
        self._progress = progress
        self._path = lake.table(self._spec.name)
        self._quarantine = lake.quarantine(self._spec.name)
        self._prefix = f"batch-{claim.batch:06d}"

    def run(self) -> Account:
        """Do it all.

        Raises:
            StepError: the batch failed; nothing of it can be seen in the table.
        """
        table = self._tables.load(self._path)
        self._sweep()
        engine = self._factory.create_engine(self._planned.selection.offer.engine)
        candidate: _Candidate = self._factory.hooks.hook.run_step(
            step=self._step(engine, lambda _: None), call=lambda: self._stage(engine, table)
        )
        self._audit(engine, candidate)
        self._progress("audited")
        self._publish(table, candidate)
        return candidate.account

    def _step(self, engine: Engine, history: Callable[[str], nw.LazyFrame[Any] | None]) -> Step:
        claim, spec = self._claim, self._spec
        options = self._planned.config.options
        return Step(spec.name, spec.stage, claim.batch, claim.claimed_at, options, engine, history)

    # Process and stage

    def _stage(self, engine: Engine, table: Table | None) -> _Candidate:
        inputs = self._inputs(engine)
        output = self._process(engine, inputs)
        self._progress("processed")
        staging: dict[str, Staging] = {}
        collect: dict[str, nw.LazyFrame[Any]] = {f"read {name}": rows for name, rows in inputs.uncounted.items()}
        judged, mode = None, None
        if output:
            mode = output.mode
            judged = self._judge(output, engine, table)
            accepted = judged.accepted
            if isinstance(mode, Merge):
                merging = merge(accepted, judged.columns, None if self._claim.refresh else table, mode, engine)
                accepted = merging.winners
                collect["merged"] = merging.superseded
                if merging.replaced is not None:
                    collect["replaced"] = merging.replaced
            batches = (self._claim.batch,) * 2 if "_batch_id" in judged.columns else (0, 0)
            staging["published"] = Staging(accepted, self._path, self._prefix, batches)
            collect["counts"] = judged.counts
            collect |= {f"superseded {index}": count for index, count in enumerate(output.superseded)}
        if (rejected := self._rejected(inputs.scan, judged)) is not None:
            staging["quarantined"] = Staging(rejected, self._quarantine, self._prefix, (self._claim.batch,) * 2)
        done = engine.execute(staging, collect)
        candidate = _Candidate(
            published=done.staged.get("published", _EMPTY),
            quarantined=done.staged.get("quarantined", _EMPTY),
            judged=judged,
            mode=mode,
            counts=_integers(done.collected.get("counts", ())),
            account=Account(remarks=[f"{f.label} was set aside whole: {f.reason}" for f in inputs.unreadable]),
            unreadable=inputs.scan.rejected if inputs.scan else None,
        )
        self._count(candidate, inputs, output, done.collected)
        if isinstance(mode, Merge) and table and done.collected.get("replaced"):
            replaced = done.collected["replaced"]
            candidate.remove, candidate.add = rewrite(
                table, replaced, candidate.published, mode.keys, engine, self._prefix
            )
            candidate.account.replaced = sum(int(row[REPLACED]) for row in replaced)
        self._progress("staged")
        return candidate

    def _inputs(self, engine: Engine) -> _Inputs:
        if self._spec.source:
            scan = engine.scan_source(self._batches.source_files(self._claim), self._spec.source.options)
            frames = {self._spec.source.name: scan.rows} if scan.rows is not None else {}
            return _Inputs(frames, scan.rows_read, scan=scan)
        snapshots = {name: self._snapshot(name) for name in self._claim.inputs}
        if not self._planned.incremental:
            return _Inputs({name: engine.scan_table(table) for name, table in snapshots.items()})
        frames, uncounted, counted = {}, {}, 0
        for name, (first, last) in self._claim.inputs.items():
            table = snapshots[name]
            files = [f for f in table.files if f.last_batch >= first and f.first_batch <= last]
            frames[name] = engine.scan_table(table, files)
            if all(first <= f.first_batch and f.last_batch <= last for f in files):
                counted += sum(f.rows for f in files)
            else:  # files that a merge rewrote hold rows of several batches
                frames[name] = frames[name].filter(nw.col("_batch_id").is_between(first, last))
                uncounted[name] = frames[name].select(nw.len().alias("_read"))
        return _Inputs(frames, counted, uncounted, history=lambda name: self._history(engine, snapshots[name], name))

    def _snapshot(self, name: str) -> Table:
        table = self._tables.load(self._lake.table(name))
        if table is None:
            raise StepError(f"its input {name} has no table yet")
        return table

    def _history(self, engine: Engine, table: Table, name: str) -> nw.LazyFrame[Any] | None:
        first, _ = self._claim.inputs[name]
        files = [file for file in table.files if file.first_batch < first]
        if not files:
            return None
        rows = engine.scan_table(table, files)
        return rows if all(f.last_batch < first for f in files) else rows.filter(nw.col("_batch_id") < first)

    def _process(self, engine: Engine, inputs: _Inputs) -> Output | None:
        if not inputs.frames:
            return None
        processor = self._factory.create(self._planned.selection.offer, self._planned.config)
        output = processor.process(inputs.frames, self._step(engine, inputs.history))
        if not isinstance(output, Output):
            raise StepError(
                f"the processor {self._name} returned {type(output).__name__} where an Output is expected"
                f" - tell its author, the package {self._planned.selection.offer.distribution}"
            )
        return output

    def _judge(self, output: Output, engine: Engine, table: Table | None) -> Judged:
        rows = output.rows
        if output.row_by_row:
            rows = rows.with_columns(nw.lit(self._claim.batch, nw.Int64).alias("_batch_id"))
        names = rows.collect_schema().names()
        columns = list(output.columns) or names
        missing = [name for name in columns if name not in names]
        if missing:
            raise StepError(f"the processor {self._name} says that it publishes {missing}, which its rows do not have")
        if output.row_by_row:
            columns += [name for name in LINEAGE if name in names and name not in columns]
        if isinstance(output.mode, Merge):
            self._refuse_comparisons()
        published = engine.scan_table(table) if table and not self._claim.refresh else None
        rules = (*_key_rules(output.mode), *output.rules)
        context = CheckContext(engine, None if isinstance(output.mode, Overwrite) else published)
        marked = Output(rows, columns, rules, output.raw)
        return judge(marked, columns, self._spec.checks, self._factory.check_types, context)

    def _refuse_comparisons(self) -> None:
        for check in self._spec.checks:
            kind = self._factory.check_types[check.type]
            if isinstance(kind, RowCheck) and kind.compares_rows:
                raise StepError(
                    f"check '{check.name}' compares rows with each other, but rows of this table replace each other"
                    " by key, which makes the key unique - take the check away"
                )

    def _rejected(self, scan: SourceScan | None, judged: Judged | None) -> nw.LazyFrame[Any] | None:
        frames = [judged.rejected] if judged and judged.rejected is not None else []
        if scan and scan.rejected is not None:
            columns = ["_raw", "_rules", "_reason", "_source_file", "_source_row"]
            frames.append(
                scan.rejected.with_columns(nw.lit(READABLE).str.split("\x1f").alias("_rules")).select(*columns)
            )
        if not frames:
            return None
        together = frames[0] if len(frames) == 1 else nw.concat(frames, how="diagonal")
        return together.with_columns(nw.lit(self._claim.batch, nw.Int64).alias("_batch_id"))

    def _count(self, candidate: _Candidate, inputs: _Inputs, output: Output | None, collected: _Collected) -> None:
        """Fill the account from what was counted in different places: inputs, plan, and written files."""
        account, counts = candidate.account, candidate.counts
        by_processor = _total(collected, "superseded ")
        by_key = _total(collected, "merged")
        account.published, account.quarantined = candidate.published.rows, candidate.quarantined.rows
        account.superseded = by_processor + by_key
        if output is None or output.row_by_row:
            account.read = inputs.counted + _total(collected, "read ")
        else:
            account.read = counts[CANDIDATES] + by_processor
        accepted = account.published + by_key
        kept = account.published + account.quarantined
        account.score = account.published / kept if kept else None
        flags = candidate.judged.flags if candidate.judged else ()
        account.rules = {flag.name: counts[flag.column] for flag in flags if counts[flag.column]}
        if unreadable := account.quarantined - (counts.get(CANDIDATES, accepted) - accepted):
            account.rules[READABLE] = unreadable
        account.set_aside = [{"file": file.label, "reason": file.reason} for file in inputs.unreadable]

    # Audit

    def _audit(self, engine: Engine, candidate: _Candidate) -> None:
        account = candidate.account
        try:
            account.check_balance(self._name)
        except StepError:
            self._sweep()
            raise
        failures, remarks = gate(
            candidate.judged,
            candidate.counts,
            account,
            self._spec.quality_threshold,
            self._spec.checks,
            self._factory.check_types,
        )
        account.remarks += remarks
        if failures:
            details = "; ".join(self._describe(engine, failure, candidate) for failure in failures)
            kept = self._keep(candidate)
            self._batches.release(self._claim)
            raise GateError(f"the quality gate was not passed: {details}; the candidate is kept in {kept}")

    def _describe(self, engine: Engine, failure: Failure, candidate: _Candidate) -> str:
        if failure.flag and candidate.judged:
            rows = candidate.judged.sample(failure.flag, _SAMPLES)
        elif failure.unreadable and candidate.unreadable is not None:
            rows = candidate.unreadable.head(_SAMPLES)
        else:
            return failure.message
        found = engine.execute({}, {"sample": rows}).collected["sample"]
        samples = [f"{row.get('_source_file', '')}:{row.get('_source_row') or ''} {row['_reason']}" for row in found]
        return f"{failure.message}, for example {'; '.join(samples)}"

    def _keep(self, candidate: _Candidate) -> str:
        folder = self._lake.failed(self._spec.name, self._claim.batch)
        shutil.rmtree(folder, ignore_errors=True)
        staged = {
            "published": (self._path, candidate.published),
            "quarantined": (self._quarantine, candidate.quarantined),
        }
        for name, (home, files) in staged.items():
            (folder / name).mkdir(parents=True)
            for file in files.files:
                (home / file.path).rename(folder / name / file.path)
        self._sweep()
        return str(folder)

    # Publish and account

    def _publish(self, table: Table | None, candidate: _Candidate) -> None:
        claim, account = self._claim, candidate.account
        record = {"claim": claim.to_dict(), **account.to_dict()}
        self._publish_quarantine(candidate)
        columns = candidate.published.columns or (table.columns if table else dict(_BRONZE_COLUMNS))
        replace = table is not None and (claim.refresh or isinstance(candidate.mode, Overwrite))
        if table is not None and not replace:
            columns = {**table.columns, **columns}
        self._path.mkdir(parents=True, exist_ok=True)
        self._tables.commit(
            self._path,
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
        self._progress("published")
        write_json(self._batches.account_path(claim.batch), account.to_dict())
        self._progress("accounted")

    def _publish_quarantine(self, candidate: _Candidate) -> None:
        """Make the quarantine hold this batch's rejected rows, and those of no earlier attempt at it."""
        staged, batch = candidate.quarantined, self._claim.batch
        existing = self._tables.load(self._quarantine)
        stale = tuple(f for f in existing.files if f.first_batch >= batch) if existing else ()
        replace = self._claim.refresh and existing is not None and bool(existing.files)
        if staged.files or stale or replace:
            self._quarantine.mkdir(parents=True, exist_ok=True)
            known = existing.columns if existing and not replace else {}
            self._tables.commit(
                self._quarantine,
                Commit(
                    batch=batch,
                    base=existing.version if existing else None,
                    columns={**known, **(staged.columns or (existing.columns if existing else {}))},
                    add=staged.files,
                    remove=stale,
                    replace=replace,
                ),
            )
        self._progress("quarantined")

    def _sweep(self) -> None:
        """Delete what an attempt at this batch left staged and uncommitted."""
        for folder in (self._path, self._quarantine):
            table = self._tables.load(folder)
            live = {file.path for file in table.files} if table else set()
            for stale in folder.glob(f"{self._prefix}-*.parquet"):
                if stale.name not in live:
                    stale.unlink()

    @property
    def _name(self) -> str:
        return self._planned.selection.offer.name


def _key_rules(mode: Any) -> Sequence[Rule]:
    """A row without a key cannot be merged: which version of what would it be?"""
    if not isinstance(mode, Merge):
        return ()
    return [
        Rule(f"{key} is the key", nw.col(key).is_null(), nw.lit(f"{key}: NULL cannot be a key")) for key in mode.keys
    ]


def _integers(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {name: int(value or 0) for row in rows for name, value in row.items()}


def _total(collected: _Collected, prefix: str) -> int:
    return sum(
        int(v or 0) for name, rows in collected.items() if name.startswith(prefix) for r in rows for v in r.values()
    )
