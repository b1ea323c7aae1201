"""Every hook that a plugin may implement, with its meaning; the versioned face of the host.

A plugin is an object (a module, a class instance) behind an entry point of the group
`oreflow.plugins`. It states `oreflow_api = 1` and implements any of these with `@oreflow.hookimpl`.
Answers that are lists are collected from every plugin; of the `create_...` hooks and of `classify_error`,
the first answer that is not None wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from oreflow.contract import (
    AlertChannel,
    AlertChannelMetadata,
    BreakerBoard,
    BreakerBoardMetadata,
    CheckType,
    Classification,
    ConfigStore,
    ConfigStoreMetadata,
    Engine,
    EngineMetadata,
    HealthCheck,
    MetricBackend,
    MetricBackendMetadata,
    Problem,
    ProcessingConfig,
    Processor,
    ProcessorMetadata,
    SectionMetadata,
    Step,
    Surroundings,
    TableFormat,
    TableFormatMetadata,
    TraceBackend,
    TraceBackendMetadata,
)

if TYPE_CHECKING:
    import click

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("oreflow")
hookimpl = pluggy.HookimplMarker("oreflow")


@hookspec
def processors() -> Sequence[ProcessorMetadata]:
    """Metadata of the processors that the plugin brings."""


@hookspec(firstresult=True)
def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
    """The processor called `name` in the plugin's metadata; None where it is not the plugin's."""


@hookspec
def validate_config(name: str, config: ProcessingConfig) -> Sequence[Problem]:
    """What is wrong in a configuration for processor `name`, beyond its schema; paths are within its options."""


@hookspec
def engines() -> Sequence[EngineMetadata]:
    """Metadata of the engines that the plugin brings."""


@hookspec(firstresult=True)
def create_engine(name: str, options: Mapping[str, Any], parallelism: int | None) -> Engine | None:
    """The engine called `name`; None where it is not the plugin's.

    `options` are the keys of `engines.NAME` in the declaration, which fit the engine's `option_schema`. `parallelism`
    is the highest that a table of the run says (None: none says any); an engine that cannot follow it has `remarks`.
    """


@hookspec
def table_formats() -> Sequence[TableFormatMetadata]:
    """Metadata of the table formats that the plugin brings."""


@hookspec(firstresult=True)
def create_table_format(name: str) -> TableFormat | None:
    """The table format called `name`; None where it is not the plugin's."""


@hookspec
def config_stores() -> Sequence[ConfigStoreMetadata]:
    """Metadata of the kinds of shared configuration store that the plugin brings."""


@hookspec(firstresult=True)
def create_config_store(name: str, address: str) -> ConfigStore | None:
    """A store of the kind called `name`, which is the scheme of `address`; None where it is not the plugin's."""


@hookspec
def breaker_boards() -> Sequence[BreakerBoardMetadata]:
    """Metadata of the kinds of board that the plugin brings, by which processes tell each other of open breakers."""


@hookspec(firstresult=True)
def create_breaker_board(name: str, address: str) -> BreakerBoard | None:
    """A board of the kind called `name`, which is the scheme of `address`; None where it is not the plugin's."""


@hookspec
def metric_backends() -> Sequence[MetricBackendMetadata]:
    """Metadata of the kinds of place that the plugin can bring metrics to."""


@hookspec(firstresult=True)
def create_metric_backend(name: str, options: Mapping[str, Any], surroundings: Surroundings) -> MetricBackend | None:
    """A backend of the kind called `name`; None where it is not the plugin's.

    `options` are the keys that the declaration has beside its `type`, which fit the `option_schema`, with references to
    secrets followed. Nothing is connected to before `open`.
    """


@hookspec
def trace_backends() -> Sequence[TraceBackendMetadata]:
    """Metadata of the kinds of place that the plugin can bring spans to."""


@hookspec(firstresult=True)
def create_trace_backend(name: str, options: Mapping[str, Any], surroundings: Surroundings) -> TraceBackend | None:
    """A backend of the kind called `name`, as `create_metric_backend` does; None where it is not the plugin's."""


@hookspec
def alert_channels() -> Sequence[AlertChannelMetadata]:
    """Metadata of the ways to tell people of alerts that the plugin brings."""


@hookspec(firstresult=True)
def create_alert_channel(name: str, options: Mapping[str, Any], surroundings: Surroundings) -> AlertChannel | None:
    """A channel of the kind called `name`, as `create_metric_backend` does; None where it is not the plugin's."""


@hookspec
def health_checks(
    surroundings: Surroundings, engines: Mapping[str, Mapping[str, Any]], sections: Mapping[str, Any]
) -> Sequence[HealthCheck]:
    """What is to be looked at to say whether a run of a pipeline would go well.

    `engines` are those that its tables may be made on, with the options that are declared for them, and `sections`
    those that plugins have added and the declaration says; references to secrets are not followed.
    """


@hookspec
def sections() -> Sequence[SectionMetadata]:
    """Metadata of the sections that the plugin adds to declarations; what they say comes with `run_configured`."""


@hookspec
def check_types() -> Sequence[CheckType]:
    """The kinds of quality check that the plugin brings."""


@hookspec(firstresult=True)
def classify_error(error: BaseException) -> Classification | None:
    """What kind of fault an error is, and whether to try again; None where the plugin does not know it.

    It is asked before what is built in, for each error of a failed attempt: look at the type first, and import nothing
    to answer.
    """


@hookspec(firstresult=True)
def run_step(step: Step, call: Callable[[], Any]) -> Any:
    """Around the work of each step, from processing to staging. Implement it as a wrapper (`wrapper=True`).

    The host's own implementation, innermost, returns `call()`.
    """


@hookspec
def run_configured(
    run_id: str,
    sections: Mapping[str, Any],
    resources: Mapping[str, str],
    environment: str,
    surroundings: Surroundings,
) -> Sequence[Problem]:
    """A run is about to begin; problems keep it from it, each at a path in the declaration.

    `sections` are those that plugins have added and the declaration says, `resources` the kind of each resource by its
    name (source, table, lake), `environment` the one of the configuration, and `surroundings` those of the pipeline,
    with a folder beside the tables for what plugins have to keep. There is a `run_finished` only for a run that was not
    kept from beginning.
    """


@hookspec(firstresult=True)
def call_resource(run_id: str, resource: str, operation: str, call: Callable[[], Any]) -> Any:
    """Around each attempt of a call to a resource of a run. Implement it as a wrapper (`wrapper=True`).

    `resource` is the name of a source, of a table, or `lake`. A source's operations are `list`, `digest` (of a file)
    and `read` (the work of a batch that reads it), a table's is `make` (a whole batch), the lake's are `load`,
    `account`, `commit` (of the table format), `read` and `write` (of what is written down beside the tables). What is
    raised here is the error of the attempt. Parts of an attempt are wrapped too: of `read`, the `scan` of the files, of
    `make`, `process` (what the processor gives) and `stage` (the writing of files); their results are a `SourceScan`,
    an `Output` or None, and the paths of the files. The host's own implementation, innermost, returns `call()`.
    """


@hookspec
def run_started(
    run_id: str,
    pipeline: str,
    tables: Sequence[str],
    plan: Sequence[Mapping[str, Any]],
    completed: Sequence[Mapping[str, Any]],
) -> None:
    """A run has begun; `tables` in the order in which they are made.

    `plan` says of each its `table`, `stage`, `inputs` (tables), `source` (None: it is made of tables) with the pattern
    of its `files`, the `path` of its folder, who makes it (`processor`, `engine`, `distribution`, `version`), and what
    is declared for it: `options` for its processor, and `checks` with their `name`, `type`, `action` and own keys.
    References to secrets are not followed. `completed` are the reports of earlier runs whose processes have gone, which
    this run has just completed: nobody has heard how they ended.
    """


@hookspec
def step_started(run_id: str, table: str, processor: str, engine: str) -> None:
    """A table is about to be looked at, and made as far as anything is new for it."""


@hookspec
def batch_started(run_id: str, table: str, batch: int, files: Sequence[Mapping[str, Any]]) -> None:
    """A batch has been claimed and is about to be made; of a source, `files` are those that it reads.

    Each has `file`, as lineage and messages call it, and `bytes` (-1: the system does not say).
    """


@hookspec
def batch_finished(run_id: str, table: str, batch: int, status: str, account: Mapping[str, Any]) -> None:
    """A batch is over: `published`, `refused` by its quality gate, `failed`, or `interrupted` by a signal.

    `account` says where its rows went: `read`, `published`, `quarantined`, `superseded`, `replaced`, `score`, `rules`
    (how many rows broke each), `set_aside` (files that could not be read, each with its reason), `columns` (those of
    the table after it, with types), `schema_changes`, `failures` (of its gate), `remarks`, and `run_id`, the run that
    has committed it. Of a batch that was refused they are the candidate's, and none was
    published; of one that failed or was interrupted it is empty.
    """


@hookspec
def step_progressed(run_id: str, table: str, batch: int, phase: str) -> None:
    """A batch has reached a phase of the protocol.

    In order: `claimed`, `processed`, `staged`, `audited`, `quarantined` (committed to the
    quarantine), `published` (committed to the table), `accounted`.
    """


@hookspec
def tasks_progressed(run_id: str, table: str, batch: int, done: int, total: int) -> None:
    """Between `processed` and `staged`: the engine has done so many of the tasks that it knows of by now.

    Told a few times a second at the most, and only by an engine that knows; `total` may still grow.
    """


@hookspec
def resource_event(run_id: str, table: str, resource: str, event: dict[str, Any]) -> None:
    """What was decided about a call to a resource that did not go well, while a table was made ('' where none was).

    `event` has `kind` (retry, delayed, gave_up, suppressed, recovered, rejected, state), `attempt` (from 1),
    `seconds` (of the wait), `error` (in one line) and `detail` (the state that a breaker came to, why a call was given
    up).
    """


@hookspec
def step_finished(run_id: str, result: dict[str, Any]) -> None:
    """A table is done; `result` is its entry in the run's report."""


@hookspec
def run_finished(run_id: str, report: dict[str, Any]) -> None:
    """The run is over; `report` is what `oreflow run --json` prints."""


@hookspec
def cli_commands() -> Sequence[click.Command]:
    """Commands that the plugin adds to `oreflow`; one that is called `runs rebuild` is put into the group `runs`."""
