"""From new rows to staged files: inputs, the processor, its rules and the checks, written beside the table unseen.

Nothing here can be seen by a reader, and all of it can be thrown away.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import narwhals as nw

from oreflow.contract import (
    INTERNAL,
    LINEAGE,
    Append,
    Engine,
    Executed,
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
    Unreadable,
    is_wildcard,
)
from oreflow.contract.checks import CheckContext
from oreflow.pipeline.calling import process
from oreflow.pipeline.candidate import Batch, Candidate
from oreflow.pipeline.merge import REPLACED, merge, rewrite
from oreflow.pipeline.quality import CANDIDATES, Judged, judge
from oreflow.pipeline.report import READABLE, Account

_EMPTY = Staged((), {})
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


class Stage:
    """Makes the candidate of a batch on an engine."""

    def __init__(self, batch: Batch, engine: Engine) -> None:
        self._batch = batch
        self._engine = engine

    def step(self, history: Callable[[str], nw.LazyFrame[Any] | None] = lambda _: None) -> Step:
        """What the processor is told of the step that it is called for."""
        claim, planned = self._batch.claim, self._batch.planned
        spec, options = planned.spec, copy.deepcopy(dict(planned.config.options))  # the processor's, to do as it likes
        return Step(spec.name, spec.stage, claim.batch, claim.claimed_at, options, self._engine, history)

    def make(self) -> Candidate:
        """Process the new rows, write those to publish and those to set aside, and count them.

        Raises:
            StepError: the processor, the data or an expression makes it impossible.
        """
        engine, table = self._engine, self._batch.table
        inputs = self._inputs(engine)
        output = self._process(engine, inputs)
        self._batch.progress("processed")
        staging: dict[str, Staging] = {}
        collect: dict[str, nw.LazyFrame[Any]] = {f"read {name}": rows for name, rows in inputs.uncounted.items()}
        judged, mode = None, None
        if output:
            mode = output.mode
            judged = self._judge(output, engine, table)
            counted_apart = not (output.row_by_row and judged.counted_by_quarantine)
            if counted_apart or judged.rejected is not None or isinstance(mode, Merge):
                judged = replace(judged, rows=engine.share(judged.rows))
            accepted = judged.accepted
            if isinstance(mode, Merge):
                merging = merge(accepted, judged.columns, None if self._batch.claim.refresh else table, mode, engine)
                accepted = merging.winners
                collect["merged"] = merging.superseded
                if merging.replaced is not None:
                    collect["replaced"] = merging.replaced
            batches = (self._batch.claim.batch,) * 2 if output.row_by_row else (0, 0)
            staging["published"] = self._staging(accepted, self._batch.path, batches)
            if counted_apart:
                collect["counts"] = judged.counts
            for place, (before, after) in enumerate(output.superseded):
                collect[f"before {place}"] = before.select(nw.len().alias("_rows"))
                collect[f"after {place}"] = after.select(nw.len().alias("_rows"))
        if (rejected := self._rejected(inputs.scan, judged)) is not None:
            batches = (self._batch.claim.batch,) * 2
            staging["quarantined"] = self._staging(rejected, self._batch.quarantine, batches)
        done = self._execute(staging, collect)
        candidate = Candidate(
            published=done.staged.get("published", _EMPTY),
            quarantined=done.staged.get("quarantined", _EMPTY),
            judged=judged,
            mode=mode,
            counts=_integers(done.collected.get("counts", ())),
            account=Account(remarks=[f"{f.label} was set aside whole: {f.reason}" for f in inputs.unreadable]),
            unreadable=inputs.scan.rejected if inputs.scan else None,
        )
        if judged and not candidate.counts:
            candidate.counts = self._counts(judged, candidate, _total(done.collected, "merged"))
        self._count(candidate, inputs, output, done.collected)
        if isinstance(mode, Merge) and table and done.collected.get("replaced"):
            replaced = done.collected["replaced"]
            candidate.remove, candidate.add = rewrite(
                table, replaced, candidate.published, mode.keys, engine, self._staging
            )
            candidate.account.replaced = sum(int(row[REPLACED]) for row in replaced)
        self._batch.progress("staged")
        return candidate

    def _execute(self, staging: Mapping[str, Staging], collect: Mapping[str, nw.LazyFrame[Any]]) -> Executed:
        done = Executed()

        def write() -> list[Path]:
            nonlocal done
            done = self._engine.execute(staging, collect, self._batch.tasks)
            return [staging[name].folder / file.path for name, found in done.staged.items() for file in found.files]

        self._batch.access.within(self._batch.spec.name, "stage", write)
        for name, found in done.staged.items():  # some are read again before they are published
            self._batch.examine(staging[name].folder, found.files)
        return done

    def _staging(self, frame: nw.LazyFrame[Any], folder: Path, batches: tuple[int, int]) -> Staging:
        return Staging(frame, folder, self._batch.prefix, batches, self._batch.spec.batch_size)

    def _inputs(self, engine: Engine) -> _Inputs:
        if source := self._batch.spec.source:
            raw = self._batch.source_files
            scan = self._batch.access.within(source.name, "scan", lambda: engine.scan_source(raw, source.options))
            self._refuse_lost(scan)
            frames = {source.name: scan.rows} if scan.rows is not None else {}
            if isinstance(scan.rows_read, int):
                return _Inputs(frames, scan.rows_read, scan=scan)
            return _Inputs(frames, uncounted={source.name: scan.rows_read}, scan=scan)
        snapshots = {name: self._snapshot(name) for name in self._batch.claim.inputs}
        if not self._batch.planned.incremental:
            return _Inputs({name: engine.scan_table(table) for name, table in snapshots.items()})
        frames, uncounted, counted = {}, {}, 0
        for name, (first, last) in self._batch.claim.inputs.items():
            table = snapshots[name]
            files = [f for f in table.files if f.last_batch >= first and f.first_batch <= last]
            frames[name] = engine.scan_table(table, files)
            if all(first <= f.first_batch and f.last_batch <= last for f in files):
                counted += sum(f.rows for f in files)
            else:  # files that a merge rewrote hold rows of several batches
                frames[name] = frames[name].filter(nw.col("_batch_id").is_between(first, last))
                uncounted[name] = frames[name].select(nw.len().alias("_read"))
        return _Inputs(frames, counted, uncounted, history=lambda name: self._history(engine, snapshots[name], name))

    def _refuse_lost(self, scan: SourceScan) -> None:
        """Refuse what the system does not give any more: what could be read when it was claimed is no bad file.

        Raises:
            StepError: there is such a file. It comes of the system's error, which tells whether to try again.
        """
        claimed = dict(zip((each.label for each in self._batch.source_files), self._batch.claim.files, strict=True))
        for file in scan.unreadable:
            if file.error is not None and claimed[file.label].sha256:
                what = f"the source file {file.label} could be read when it was claimed, and now no more: {file.reason}"
                raise StepError(f"{what} - nothing was published; the next run looks anew") from file.error

    def _snapshot(self, name: str) -> Table:
        table = self._batch.tables.load(self._batch.lake.table(name))
        if table is None:
            raise StepError(f"its input {name} has no table yet")
        return table

    def _history(self, engine: Engine, table: Table, name: str) -> nw.LazyFrame[Any] | None:
        first, _ = self._batch.claim.inputs[name]
        files = [file for file in table.files if file.first_batch < first]
        if not files:
            return None
        rows = engine.scan_table(table, files)
        return rows if all(f.last_batch < first for f in files) else rows.filter(nw.col("_batch_id") < first)

    def _process(self, engine: Engine, inputs: _Inputs) -> Output | None:
        if not inputs.frames:
            return None
        offer = self._batch.planned.selection.offer
        processor = self._batch.factory.create(offer, self._batch.planned.config)
        step = self.step(inputs.history)
        return self._batch.access.within(step.table, "process", lambda: process(processor, offer, inputs.frames, step))

    def _judge(self, output: Output, engine: Engine, table: Table | None) -> Judged:
        rows = self._spelled_as_published(output)
        if output.row_by_row:
            rows = rows.with_columns(nw.lit(self._batch.claim.batch, nw.Int64).alias("_batch_id"))
        names = rows.collect_schema().names()
        columns = list(output.columns) or [name for name in names if not name.startswith(INTERNAL)]
        _refuse_names(columns)
        missing = [name for name in columns if name not in names]
        if missing:
            raise StepError(
                f"the processor {self._batch.processor} says that it publishes {missing}, which its rows do not have"
            )
        if output.row_by_row:
            columns += [name for name in LINEAGE if name in names and name not in columns]
        if isinstance(output.mode, Merge):
            self._refuse_comparisons()
        published = engine.scan_table(table) if table and not self._batch.claim.refresh else None
        rules = (*_key_rules(output.mode), *output.rules)
        context = CheckContext(engine, None if isinstance(output.mode, Overwrite) else published)
        marked = Output(rows, columns, rules, output.raw)
        return judge(marked, columns, self._batch.spec.checks, self._batch.factory.check_types, context)

    def _spelled_as_published(self, output: Output) -> nw.LazyFrame[Any]:
        """The rows, with columns that the table has in other letters (`name`, `Name`) named as there."""
        table = self._batch.table
        if table is None or self._batch.claim.refresh or not isinstance(output.mode, Append) or output.columns:
            return output.rows
        published = {name.lower(): name for name in table.columns}
        names = output.rows.collect_schema().names()
        other = {name: published[name.lower()] for name in names if published.get(name.lower(), name) != name}
        return output.rows.rename(other) if other else output.rows

    def _refuse_comparisons(self) -> None:
        for check in self._batch.spec.checks:
            kind = self._batch.factory.check_types[check.type]
            if isinstance(kind, RowCheck) and kind.compares_rows:
                raise StepError(
                    f"check '{check.name}' compares rows with each other, but rows of this table replace each other"
                    " by key, which makes the key unique - take the check away"
                )

    def _rejected(self, scan: SourceScan | None, judged: Judged | None) -> nw.LazyFrame[Any] | None:
        broken = judged.rejected if judged else None
        frames = [] if broken is None else [broken]
        if scan and scan.rejected is not None:
            columns = ["_raw", "_rules", "_reason", "_source_file", "_source_row"]
            frames.append(
                scan.rejected.with_columns(nw.lit(READABLE).str.split("\x1f").alias("_rules")).select(*columns)
            )
        if not frames:
            return None
        together = frames[0] if len(frames) == 1 else nw.concat(frames, how="diagonal")
        return together.with_columns(nw.lit(self._batch.claim.batch, nw.Int64).alias("_batch_id"))

    def _counts(self, judged: Judged, candidate: Candidate, merged: int) -> dict[str, int]:
        """How many rows break each rule, from the rows that were set aside for it: a pass over all is spared."""
        staged = candidate.quarantined
        broken: dict[str, int] = {}
        if staged.files:
            aside = Table(self._batch.quarantine, 0, 0, staged.columns, staged.files)
            rules = self._engine.scan_table(aside).select("_rules").explode("_rules")
            counts = self._engine.execute({}, {"rules": rules.group_by("_rules").agg(nw.len().alias("_rows"))})
            broken = {row["_rules"]: int(row["_rows"]) for row in counts.collected["rules"]}
        candidates = candidate.published.rows + merged + staged.rows - broken.get(READABLE, 0)
        return {CANDIDATES: candidates} | {flag.column: broken.get(flag.name, 0) for flag in judged.flags}

    def _count(self, candidate: Candidate, inputs: _Inputs, output: Output | None, collected: _Collected) -> None:
        """Fill the account from what was counted in different places: inputs, plan, and written files."""
        account, counts = candidate.account, candidate.counts
        by_processor = _total(collected, "before ") - _total(collected, "after ")
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


def _key_rules(mode: Any) -> Sequence[Rule]:
    """A row without a key cannot be merged: which version of what would it be?"""
    if not isinstance(mode, Merge):
        return ()
    return [
        Rule(f"{key} is the key", nw.col(key).is_null(), nw.lit(f"{key}: NULL cannot be a key")) for key in mode.keys
    ]


def _refuse_names(columns: Sequence[str]) -> None:
    """Refuse names by which a column could not be told from others."""
    spelled: dict[str, str] = {}
    for name in columns:
        if is_wildcard(name):
            raise StepError(f"no column can be called '{name}', which stands for other columns - choose another name")
        if (other := spelled.setdefault(name.lower(), name)) != name or columns.count(name) > 1:
            raise StepError(f"no table tells the columns '{other}' and '{name}' apart - give one of them another name")


def _integers(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {name: int(value or 0) for row in rows for name, value in row.items()}


def _total(collected: _Collected, prefix: str) -> int:
    return sum(
        int(v or 0) for name, rows in collected.items() if name.startswith(prefix) for r in rows for v in r.values()
    )
