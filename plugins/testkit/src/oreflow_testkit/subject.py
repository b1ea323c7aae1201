"""What is judged: a processor at a stage, on an engine, with options and rows; and the two ways to call it.

Alone, as the host calls it within a step; or as a whole, by a run of the host over a tiny lake.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import narwhals as nw

from oreflow import ProcessorFactory, get_processor_factory
from oreflow.contract import (
    LINEAGE,
    DeclarationError,
    Engine,
    Output,
    ProcessingConfig,
    ProcessingStage,
    Processor,
    ProcessorMetadata,
    Rule,
    SourceFile,
    Step,
)
from oreflow.factory import PROJECT_FILE, Offer
from oreflow_testkit.compare import Rows, comparable
from oreflow_testkit.errors import ContractBroken, in_one_line
from oreflow_testkit.lake import TinyLake
from oreflow_testkit.sample import Row, columns_of, csv_text

SOURCE = "rows"
INPUT = "bronze.rows"
"""What a silver or gold processor reads: the rows as the standard bronze processor publishes them."""

CLOCK = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
"""When the batch of a step was claimed, unless a check says otherwise."""

Frame = nw.LazyFrame[Any]
History = Callable[[str], "Frame | None"]


@dataclass(frozen=True)
class Loaded:
    """What a run, or several, made of rows: the account and the contents of the judged table."""

    lake: TinyLake
    table: str
    read: int
    published: int
    quarantined: int
    superseded: int

    def contents(self, without: Iterable[str] = ()) -> dict[str, Rows]:
        """The published and the quarantined rows, without lineage and some more columns."""
        left_out = (*LINEAGE, *without)
        return {
            "published": comparable(self.lake.rows(self.table), left_out),
            "quarantined": comparable(map(_in_order, self.lake.quarantine(self.table)), left_out),
        }


def _in_order(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A quarantined row with its rules in an order of their own."""
    return {**row, "_rules": sorted(row["_rules"])}


@dataclass(frozen=True)
class Subject:
    """A processor as it is judged: `name` is what it is asked for by, `folder` where the checks may write.

    `order_matters` says why the table depends on the order in which rows arrive, where it may. `project` is
    the folder of the project whose own file brings it, where no package does.
    """

    name: str
    metadata: ProcessorMetadata
    stage: ProcessingStage
    engine_name: str
    options: Mapping[str, Any]
    rows: Sequence[Row]
    folder: Path
    order_matters: str = ""
    project: str | Path | None = None

    @property
    def factory(self) -> ProcessorFactory:
        """The factory that has it."""
        return factory_of(self.project)

    @property
    def engine(self) -> Engine:
        """The engine that it is judged on."""
        return self.factory.create_engine(self.engine_name)

    @property
    def columns(self) -> list[str]:
        """The columns of its raw rows."""
        return columns_of(self.rows)

    @property
    def table(self) -> str:
        """The table that it makes."""
        return INPUT if self.reads_source else f"{self.stage.value}.judged"

    @property
    def reads_source(self) -> bool:
        """Whether it reads raw files (bronze), not a table."""
        return self.stage is ProcessingStage.BRONZE

    @property
    def offers(self) -> list[Offer]:
        """It, on each engine that it is offered on and that is installed."""
        factory = self.factory
        return [offer for offer in offers_of(factory, self.name) if offer.engine in factory.engines]

    def on(self, engine_name: str) -> Subject:
        """The same on another engine."""
        return replace(self, engine_name=engine_name)

    # Alone

    def config(self, options: Mapping[str, Any] | None = None) -> ProcessingConfig:
        """What it is asked for, with a copy of its options."""
        chosen = copy.deepcopy(dict(self.options if options is None else options))
        inputs = () if self.reads_source else (INPUT,)
        return ProcessingConfig(self.stage, self.engine_name, options=chosen, inputs=inputs)

    @property
    def full_options(self) -> dict[str, Any]:
        """A copy of its options with the defaults of its schema under them, as the host hands them to it."""
        return dict(self.config().for_processor(self.metadata).options)

    def create(self) -> Processor:
        """A new instance, as the host makes one for each batch."""
        return self.factory.create(self.offer(), self.config())

    def offer(self) -> Offer:
        """It on its engine, as the host chooses it for its options."""
        try:
            return self.factory.select(self.config(), name=self.name).offer
        except DeclarationError as error:
            raise ContractBroken(
                f"the options that it is judged with do not fit: {'; '.join(map(str, error.problems))}"
                " - show some that do in the metadata's example, or in `options` of the test"
            ) from error

    def step(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        started_at: datetime = CLOCK,
        history: History = lambda _: None,
    ) -> Step:
        """What the host would tell it of the step."""
        chosen = self.full_options if options is None else options
        return Step(self.table, self.stage, 1, started_at, chosen, self.engine, history)

    def inputs(self, folder: str, *batches: Sequence[Row]) -> dict[str, Frame]:
        """Its rows as frames, from where the host would read them; the files are made in `folder`.

        Each batch of rows, where not all are wanted in one, has a file of its own, and a batch in the bronze table.
        """
        if not self.reads_source:
            lake = self.lake(folder)
            for rows in batches or [self.rows]:
                lake.add(rows, columns=self.columns)
                _expect_success(lake.run(tables=[INPUT]), "the rows could not be made a bronze table for it to read")
            table = self.factory.create_table_format().load(lake.path(INPUT))
            if table is None:
                raise ContractBroken("the rows could not be made a bronze table for it to read: nothing was published")
            return {INPUT: self.engine.scan_table(table)}
        where = self.folder / folder
        where.mkdir(parents=True)
        files = []
        for number, rows in enumerate(batches or [self.rows], 1):
            files.append(SourceFile(where / f"{number:03d}.csv", f"{number:03d}.csv"))
            files[-1].path.write_bytes(csv_text(self.columns, rows).encode())
        scan = self.engine.scan_source(files, {"format": "csv"})
        if scan.rows is None:
            raise ContractBroken(f"the engine {self.engine_name} cannot read the rows as a csv file")
        return {SOURCE: scan.rows}

    def process(self, processor: Processor, inputs: Mapping[str, Frame], step: Step) -> Output:
        """Call it; whatever it raises, and an answer that is none, is told in plain words."""
        try:
            output = processor.process(inputs, step)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ContractBroken(f"process() raised {told(error)}") from error
        if not isinstance(output, Output):
            raise ContractBroken(f"process() returned {kind(output)} - return an Output")
        if not isinstance(output.rows, nw.LazyFrame):
            raise ContractBroken(f"the rows of its Output are {kind(output.rows)} - return a narwhals LazyFrame")
        if wrong := [rule for rule in output.rules if not isinstance(rule, Rule)]:
            raise ContractBroken(f"its Output has {kind(wrong[0])} among its rules - make each of them a Rule")
        return output

    # As a whole

    def lake(self, folder: str) -> TinyLake:
        """A project with the table that it makes, and the table that it reads."""
        self.offer()
        engine = {"engine": self.engine_name} if self.engine_name in self.factory.engines else {}
        judged = {"processor": self.name, **engine, **self.options}
        if self.reads_source:
            tables = {self.table: {"source": SOURCE, **judged}}
        else:
            tables = {
                INPUT: {"source": SOURCE, "processor": "bronze", **engine},
                self.table: {"input": INPUT, **judged},
            }
        lake = TinyLake(self.folder / folder.replace(" ", "_"), tables, [SOURCE])
        if self.project is not None:
            _lend(Path(self.project).resolve() / PROJECT_FILE, lake.root / PROJECT_FILE)
        return lake

    def load(self, folder: str, *batches: Sequence[Row]) -> Loaded:
        """Put each batch of rows into a file of its own and run the host after each; every run has to succeed."""
        lake = self.lake(folder)
        loaded = Loaded(lake, self.table, 0, 0, 0, 0)
        for rows in batches:
            lake.add(rows, columns=self.columns)
            loaded = self.run(loaded)
        return loaded

    def run(self, before: Loaded, **options: Any) -> Loaded:
        """Run the host once more, find that all is well and balances, and add up the account of the judged table."""
        report = before.lake.run(**options)
        _expect_success(report, "the host could not run it")
        (result,) = [result for result in report.tables if result.table == self.table]
        placed = result.rows_published + result.rows_quarantined + result.rows_superseded
        if result.rows_read != placed:
            raise ContractBroken(
                f"the row account does not balance: {result.rows_read:,} read, {result.rows_published:,} published,"
                f" {result.rows_quarantined:,} quarantined, {result.rows_superseded:,} superseded"
            )
        return Loaded(
            before.lake,
            self.table,
            before.read + result.rows_read,
            before.published + result.rows_published,
            before.quarantined + result.rows_quarantined,
            before.superseded + result.rows_superseded,
        )


def factory_of(project: str | Path | None) -> ProcessorFactory:
    """The factory of this process, with what a project's own file brings where a project is said."""
    return get_processor_factory() if project is None else get_processor_factory(Path(project).resolve())


def _lend(own: Path, there: Path) -> None:
    """Let another project have a project's own plugin, the same file, so that it is not imported anew each time."""
    if own.is_file():
        try:
            there.symlink_to(own)
        except OSError:  # not everybody may make links on Windows
            shutil.copy2(own, there)


def offers_of(factory: ProcessorFactory, name: str) -> list[Offer]:
    """A processor on each engine that it runs on; `name` may have `distribution:` before it."""
    return [o for o in factory.offers if name in (o.processor.name, f"{o.distribution}:{o.processor.name}")]


def _expect_success(report: Any, what: str) -> None:
    for result in report.tables:
        if result.status not in ("published", "unchanged"):
            raise ContractBroken(f"{what}: {result.table} {result.status}: {result.reason}")


def told(error: BaseException) -> str:
    """An error in one line."""
    text = in_one_line(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def kind(value: object) -> str:
    """What a value is, for a message."""
    return "None" if value is None else f"a {type(value).__qualname__}"
