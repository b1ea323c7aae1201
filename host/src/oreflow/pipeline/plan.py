"""What a run will do: a processor for each table, with the reasons, and what is new for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from oreflow.contract import (
    DeclarationError,
    OreflowError,
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    ProcessorCapability,
    Table,
)
from oreflow.contract.errors import told
from oreflow.factory import Memory, Offer, ProcessorFactory, Selection, engine_mend
from oreflow.pipeline.access import Access
from oreflow.pipeline.batches import Batches
from oreflow.pipeline.faults import SourceAway
from oreflow.pipeline.history import profiles
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.model import Pipeline, TableSpec
from oreflow.pipeline.mounts import on_network
from oreflow.quantities import size_text
from oreflow.resilience import ResilienceError, attempts_of
from oreflow.secrets import redacted

_GROWTH = {"raw": 3, "table": 40}
"""How many bytes of memory a byte of a raw file, and one of a table's files, may need with intermediate results.

Measured on retail: a byte of csv is 0.9 bytes of columns, one of Parquet 14 to 16; thrice that for what comes between.
"""


@dataclass(frozen=True)
class PlannedTable:
    """A table of a pipeline, the processor chosen for it, and what there is to do.

    `fault` is with what its source has failed, where it could not be asked, and `blame` the source's name.
    """

    pipeline: str
    spec: TableSpec
    config: ProcessingConfig
    selection: Selection
    work: str
    memory: Memory
    engine_options: Mapping[str, Any]
    parallelism: int | None = None
    fault: Exception | None = None
    blame: str = ""

    @property
    def incremental(self) -> bool:
        """Whether the processor reads only the batches that it has not seen."""
        return ProcessorCapability.INCREMENTAL in set(self.selection.offer.processor.capabilities)

    @property
    def inputs(self) -> list[str]:
        """The tables that it is made of, or its source."""
        return list(self.spec.inputs) or [self.spec.source.name if self.spec.source else ""]

    def to_dict(self) -> dict[str, Any]:
        """What `oreflow plan --json` prints for the table."""
        return {
            "table": self.spec.name,
            "inputs": self.inputs,
            "processor": self.selection.offer.name,
            "engine": self.selection.offer.engine,
            "distribution": self.selection.offer.distribution,
            "version": self.selection.offer.version,
            "reason": self.selection.reason,
            "work": self.work,
            "memory": {"needed_bytes": self.memory.needed, "limit_bytes": self.memory.limit},
            "candidates": [
                {
                    "processor": verdict.offer.name,
                    "engine": verdict.offer.engine,
                    "score": verdict.score,
                    "reason": verdict.reason,
                    "distribution": verdict.offer.distribution,
                    "version": verdict.offer.version,
                }
                for verdict in self.selection.candidates
            ],
        }


def plan_pipeline(
    pipeline: Pipeline, factory: ProcessorFactory, access: Access, engine: str | None = None
) -> tuple[PlannedTable, ...]:
    """Choose a processor for every table and look at what is new; nothing is written.

    `engine` takes the place of every table's own.

    Raises:
        DeclarationError: all that stands in the way of all tables, at once.
    """
    if engine and engine not in (ProcessingEngine.AUTO.value, *factory.engines):
        raise DeclarationError([Problem(f"there is no engine '{engine}'", mend=engine_mend(engine, factory.engines))])
    problems: list[Problem] = []
    planned: list[PlannedTable] = []
    needs: dict[str, int] = {}
    faults: dict[str, Exception] = {}
    remote = factory.remote_engines(pipeline.engines)
    beside = remote if remote and on_network(pipeline.lake) else []
    limit = _memory_bytes() if pipeline.in_process_up_to is None else pipeline.in_process_up_to
    speed = _speed_in(Lake(pipeline.lake))
    for spec in pipeline.tables:
        try:
            work, needed = _work(pipeline, spec, access, needs, faults)
            config = _config(pipeline, spec, engine)
            memory = Memory(needed, limit)
            selection = factory.select(
                config,
                spec.required,
                spec.processor,
                preferred_capabilities=spec.preferred,
                memory=memory,
                speed=speed,
                beside=beside,
            )
            config = config.for_processor(selection.offer.processor)
            options = pipeline.engines.get(selection.offer.engine, {})
            table = PlannedTable(pipeline.name, spec, config, selection, work, memory, options)
            fault = faults.get(spec.name)
            planned.append(replace(table, fault=fault, blame=spec.source.name if fault and spec.source else ""))
        except DeclarationError as error:
            problems += [pipeline.config.document.locate(problem) for problem in _placed(error, spec, engine)]
        except OreflowError:
            raise
        except Exception as error:
            if attempts_of(error) is None and not isinstance(error, (OSError, ResilienceError)):
                raise
            raise OreflowError(
                f"the lake {pipeline.lake} cannot be read: {redacted(told(error))}{_tried(error)}"
            ) from error
    if problems:
        raise DeclarationError(dict.fromkeys(problems))
    return tuple(replace(table, parallelism=_highest(planned, table.selection.offer.engine)) for table in planned)


def _tried(error: Exception) -> str:
    attempts = attempts_of(error)
    return f" - after {attempts.number} attempts in {attempts.waited:.3g} s" if attempts and attempts.number > 1 else ""


def _highest(planned: Sequence[PlannedTable], engine: str) -> int | None:
    """How many tasks of an engine may work at the same time: it has one pool of workers for all of its tables."""
    said = [table.spec.parallelism for table in planned if table.selection.offer.engine == engine]
    return max((each for each in said if each), default=None)


def _speed_in(lake: Lake) -> Callable[[Offer], float | None]:
    """How many rows a second an offer did in the lake's runs, which are looked at only where somebody asks."""
    known = cache(lambda: profiles(lake))

    def speed(offer: Offer) -> float | None:
        profile = known().get(offer.name)
        return profile.rows_per_second if profile else None

    return speed


def _config(pipeline: Pipeline, spec: TableSpec, engine: str | None) -> ProcessingConfig:
    reads = spec.source.path if spec.source else ", ".join(str(Lake(pipeline.lake).table(i)) for i in spec.inputs)
    writes = str(Lake(pipeline.lake).table(spec.name))
    return spec.processing_config(engine or spec.engine, reads, writes)


def _placed(error: DeclarationError, spec: TableSpec, engine: str | None) -> Iterator[Problem]:
    """Why no processor fits, at the key that asked for it."""
    for problem in error.problems:
        if problem.path == ("lake",):
            yield problem
            continue
        key = "processor" if spec.processor else "engine"
        if not problem.path and key in spec.origins and not engine:
            yield Problem(problem.message, tuple(spec.origins[key]), problem.mend)
        else:
            yield spec.place(problem)


def _work(
    pipeline: Pipeline, spec: TableSpec, access: Access, needs: dict[str, int], faults: dict[str, Exception]
) -> tuple[str, int]:
    """What there is to do, in words, and how many bytes of memory its input may need.

    `needs` are those of the tables that will be made before this one; it is added to them where it will be made too.
    To `faults` is added with what its source has failed.
    """
    lake, tables = Lake(pipeline.lake), access.tables
    if ahead := [name for name in spec.inputs if name in needs]:
        there = _bytes_of(tables.load(lake.table(name)) for name in spec.inputs)
        needs[spec.name] = there * _GROWTH["table"] + sum(needs[name] for name in ahead)
        return f"after {', '.join(ahead)}", needs[spec.name]
    table = tables.load(lake.table(spec.name))
    try:
        pending = Batches(pipeline, spec, access).next(table.batch if table else 0)
    except DeclarationError:
        raise
    except (OreflowError, ResilienceError, OSError) as error:  # the run says it of this table, and makes the others
        blame = error.resource if isinstance(error, ResilienceError) else access.blamed(error)
        if spec.source and (isinstance(error, SourceAway) or blame == spec.source.name):
            faults[spec.name] = error
        return redacted(str(error)), 0
    claim = pending.claim
    if claim is None:
        return "; ".join(["nothing new", *pending.remarks]), 0
    if claim.files:
        size = sum(file.bytes for file in claim.files)
        needs[spec.name] = size * _GROWTH["raw"]
        files = "1 new file" if len(claim.files) == 1 else f"{len(claim.files)} new files"
        return "; ".join([f"batch {claim.batch}: {files}, {size_text(size)}", *pending.remarks]), needs[spec.name]
    parts = [f"{name} {_range(first, last)}" for name, (first, last) in claim.inputs.items()]
    needs[spec.name] = _bytes_of(tables.load(lake.table(name)) for name in claim.inputs) * _GROWTH["table"]
    return f"batch {claim.batch}: {', '.join(parts)}", needs[spec.name]


def _bytes_of(tables: Iterable[Table | None]) -> int:
    """How large the files of tables are."""
    return sum(file.bytes for table in tables if table for file in table.files)


def _range(first: int, last: int) -> str:
    if first > last:
        return "unchanged"
    return f"batch {last}" if first == last else f"batches {first} to {last}"


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no such figure on this system: take a small laptop
        return 8 * 2**30
