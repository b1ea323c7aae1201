"""A batch on its way: what it is to be made of, and what was made, before anybody can see it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw

from oreflow.contract import DataFile, Mode, SourceFile, Staged, StepError, Table, TableFormat
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.access import Access
from oreflow.pipeline.journal import Claim, Journal
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.model import TableSpec
from oreflow.pipeline.plan import PlannedTable
from oreflow.pipeline.quality import Judged
from oreflow.pipeline.report import Account


@dataclass(frozen=True)
class Batch:
    """One batch of one table, and what is needed to make it; `table` is the table before it (None: there is none).

    `progress` is told of the phases that the batch reaches, `tasks` how many tasks the engine has done of how many.
    """

    planned: PlannedTable
    claim: Claim
    lake: Lake
    access: Access
    factory: ProcessorFactory
    journal: Journal
    source_files: Sequence[SourceFile]
    progress: Callable[[str], None]
    tasks: Callable[[int, int], None]
    table: Table | None

    @property
    def tables(self) -> TableFormat:
        """Where the tables are loaded from and committed to."""
        return self.access.tables

    @property
    def spec(self) -> TableSpec:
        """The table's declaration."""
        return self.planned.spec

    @property
    def processor(self) -> str:
        """The processor and its package, for messages."""
        offer = self.planned.selection.offer
        return f"{offer.name} of {offer.origin}"

    @property
    def path(self) -> Path:
        """The table's folder."""
        return self.lake.table(self.spec.name)

    @property
    def quarantine(self) -> Path:
        """The folder of the table's quarantine."""
        return self.lake.quarantine(self.spec.name)

    @property
    def prefix(self) -> str:
        """What the names of this batch's files begin with."""
        return f"batch-{self.claim.batch:06d}"

    def sweep(self, but: Candidate | None = None) -> None:
        """Delete what an attempt at this batch left staged and uncommitted, but for the files of a candidate.

        Never on a thread that a timeout may give up: it could come late, and find files to be left over that have been
        committed since.
        """
        for folder in (self.path, self.quarantine):
            table = self.tables.load(folder)
            live = {file.path for file in table.files} if table else set()
            if but:
                live |= {file.path for file in (*but.published.files, *but.add, *but.quarantined.files)}
            for stale in folder.glob(f"{self.prefix}-*.parquet"):
                if stale.name not in live:
                    stale.unlink(missing_ok=True)
            for stale in folder.glob(f".{self.prefix}-*"):
                shutil.rmtree(stale, ignore_errors=True)  # a thread that was given up may still write there

    def examine(self, folder: Path, files: Iterable[DataFile]) -> None:
        """See that staged files are on the disk as they were written, by their sizes.

        Raises:
            StepError: one is not. It comes of an OSError, since to write it again may help.
            OSError: the disk does not say.
        """
        for file in files:
            path = folder / file.path
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                size = 0
            if size != file.bytes:
                found = f"has {size:,} bytes where {file.bytes:,} were written"
                fault = OSError(errno.EIO, found, str(path))
                raise StepError(
                    f"the staged file {path} {found} - look after the disk; nothing was published"
                ) from fault


@dataclass
class Candidate:
    """What was staged and counted, before it is judged."""

    published: Staged
    quarantined: Staged
    judged: Judged | None
    mode: Mode | None
    counts: Mapping[str, int]
    account: Account
    unreadable: nw.LazyFrame[Any] | None
    remove: tuple[DataFile, ...] = ()
    add: tuple[DataFile, ...] = ()
