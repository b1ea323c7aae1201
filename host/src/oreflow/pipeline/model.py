"""The typed declaration: a pipeline, its sources and its tables, in the order in which they are made."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oreflow.alerting.declared import Alerting
from oreflow.config.snapshot import Snapshot
from oreflow.contract import Check, DataType, DeclarationError, Problem, ProcessingConfig, ProcessingStage, Surroundings
from oreflow.monitoring.declared import Monitoring
from oreflow.pipeline.health import Health
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.report import READABLE
from oreflow.pipeline.resources import Resource
from oreflow.validation import did_you_mean


@dataclass(frozen=True)
class Source:
    """Raw files: a path pattern relative to the project, and how to read them."""

    name: str
    path: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TableSpec:
    """A table as declared, with its stage's defaults laid under it.

    `options` are the table's own keys for its processor, `defaults` its stage's; `origins` says where
    each key was said (its path in the declaration), for messages.
    """

    name: str
    stage: ProcessingStage
    source: Source | None
    inputs: tuple[str, ...]
    engine: str
    processor: str
    required: tuple[str, ...]
    preferred: tuple[str, ...]
    quality_threshold: float | None
    parallelism: int | None
    batch_size: int | None
    checks: tuple[Check, ...]
    options: Mapping[str, Any]
    defaults: Mapping[str, Any]
    origins: Mapping[str, tuple[str | int, ...]] = field(repr=False, compare=False, hash=False)

    @property
    def fingerprint(self) -> str:
        """A short hash of what decides the table's rows, to tell when the declaration has changed."""
        content: list[Any] = [self.inputs, self.source and [self.source.path, dict(self.source.options)]]
        content += [dict(self.options), dict(self.defaults)]
        rules = [[c.name, c.type, c.action, c.nulls, dict(c.options)] for c in self.checks]
        text = json.dumps([content, rules], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def rules(self) -> set[str]:
        """The rules that a row can break, as far as the declaration tells; a processor may have others."""
        rule = self.options.get("deduplicate")
        keys = rule.get("keys", ()) if isinstance(rule, dict) else ()
        found = {READABLE, *(check.name for check in self.checks), *(f"{key} is the key" for key in keys)}
        return found | set(_casts(self.options.get("columns")))

    def processing_config(self, engine: str = "auto", reads: str = "", writes: str = "") -> ProcessingConfig:
        """What a processor is asked for, to make this table."""
        return ProcessingConfig(
            stage=self.stage,
            engine=engine,
            input_path=reads,
            output_path=writes,
            options=self.options,
            defaults=self.defaults,
            inputs=self.inputs,
            checks=tuple(check.type for check in self.checks),
        )

    def place(self, problem: Problem) -> Problem:
        """A problem within the processor's options as a problem of the declaration."""
        key = str(problem.path[0]) if problem.path else ""
        origin = self.origins.get(key)
        path = (*origin, *problem.path[1:]) if key and origin else (*self.origins[""], *problem.path)
        return Problem(problem.message, path, problem.mend)


@dataclass(frozen=True)
class Pipeline:
    """A declaration that has been checked. `tables` come in the order in which they can be made.

    `engines` are the options of engines by name, `resources` what it depends on, `sections` what it says
    in the sections that plugins add; `share` is the address of the board by which breakers are shared ('': none);
    `in_process_up_to` is how many bytes of memory an input may need for `engine: auto` to choose an engine inside the
    process (None: as many as the machine has). `monitoring` is what is to be seen of its runs (None: nothing besides
    their reports), `health` what is to be looked at besides, `alerting` who is to be told of what (None:
    nobody).
    """

    name: str
    description: str
    project: Path
    lake: Path
    tables: tuple[TableSpec, ...]
    engines: Mapping[str, Mapping[str, Any]] = field(hash=False)
    resources: Mapping[str, Resource] = field(hash=False)
    sections: Mapping[str, Any] = field(hash=False)
    in_process_up_to: int | None
    config: Snapshot = field(repr=False, compare=False, hash=False)
    share: str = field(default="", repr=False)
    monitoring: Monitoring | None = None
    health: Health = field(default_factory=Health)
    alerting: Alerting | None = None

    def surroundings(self, room: str) -> Surroundings:
        """What a plugin is told of the pipeline, with the folder of a room beside the tables.

        The folder has the pipeline's name in it: several may have a lake in common.
        """
        folder = Lake(self.lake).state / room / self.name
        return Surroundings(self.name, self.config.environment, self.project, folder)

    def table(self, name: str) -> TableSpec:
        """The table called `name`.

        Raises:
            DeclarationError: there is none.
        """
        for table in self.tables:
            if table.name == name:
                return table
        mend = did_you_mean(name, [table.name for table in self.tables])
        raise DeclarationError([Problem(f"the pipeline '{self.name}' has no table '{name}'", mend=mend)])


def _casts(columns: object) -> Iterator[str]:
    """The names of the rules that columns with types stand for; another processor's `columns` may be something else."""
    for name, column in columns.items() if isinstance(columns, dict) else ():
        with contextlib.suppress(TypeError, KeyError, ValueError):
            yield f"{name} is {DataType.parse(column['type'])}"
