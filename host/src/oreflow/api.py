"""Everything that the command line does, for use from Python, under the same names.

Each function takes the project's folder. What is wrong in a declaration or a request is raised as
`DeclarationError`; a run that fails is not an error here, its report says so.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.config import did_you_mean
from oreflow.contract import DeclarationError, Engine, Problem, ProcessorCapability, Table
from oreflow.factory import VARIABLE, ProcessorFactory, get_processor_factory

if TYPE_CHECKING:
    from oreflow.inspection import Finding, Judgement
    from oreflow.pipeline.model import Pipeline
    from oreflow.pipeline.plan import PlannedTable
    from oreflow.pipeline.report import RunReport

DEFAULT_NAME = "pipeline"


def init(folder: str | Path) -> list[Path]:
    """Make a project in a new or empty folder; gives the files that were written.

    Raises:
        DeclarationError: the folder has something in it, or cannot be written.
    """
    from oreflow.scaffold import write_project

    return write_project(Path(folder), get_processor_factory())


def plan(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    engine: str | None = None,
) -> tuple[PlannedTable, ...]:
    """What a run would do: for each table the processor, why it was chosen, and what is new. Writes nothing."""
    from oreflow.pipeline.plan import plan_pipeline

    declared, factory = _load(project, pipeline, environment)
    return plan_pipeline(declared, factory, factory.create_table_format(), engine)


def run(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    engine: str | None = None,
    tables: Sequence[str] = (),
    full_refresh: Sequence[str] = (),
) -> RunReport:
    """Make the tables of a pipeline, as far as anything is new for them.

    `engine` takes the place of every table's own; `tables` limits the run to some;
    `full_refresh` names tables to make anew from all of their input.
    """
    from oreflow.pipeline.locking import lock_path
    from oreflow.pipeline.run import Run

    tables = [tables] if isinstance(tables, str) else tables
    full_refresh = [full_refresh] if isinstance(full_refresh, str) else full_refresh
    declared, factory = _load(project, pipeline, environment)
    lock = lock_path(Path(project), pipeline)
    return Run(declared, factory, engine=engine, only=tables, full_refresh=full_refresh, lock=lock).execute()


def tables(
    project: str | Path = ".",
    name: str | None = None,
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    limit: int = 0,
) -> list[dict[str, Any]]:
    """The tables of a pipeline: name, path, version, batch, rows, rows in quarantine, columns with their types.

    `name` picks one of them; `limit` adds as many sample rows.
    """
    declared, factory = _load(project, pipeline, environment)
    specs = [declared.table(name)] if name else list(declared.tables)
    return [_describe(declared, spec.name, factory, limit) for spec in specs]


def quarantine(
    project: str | Path = ".",
    name: str = "",
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    rule: str | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """The quarantined rows of a table: raw values, `_rules`, `_reason`, `_source_file`, `_source_row`, `_batch_id`.

    `rule` keeps those that broke a rule, `limit` (None: all) the first ones.

    Raises:
        DeclarationError: neither the declaration nor the quarantine knows the rule.
    """
    import narwhals as nw

    from oreflow.pipeline.lake import Lake

    declared, factory = _load(project, pipeline, environment)
    spec = declared.table(name)
    table = factory.create_table_format().load(Lake(declared.lake).quarantine(name))
    engine = _reading_engine(factory)
    if rule and rule not in spec.rules:
        broken = _collect(engine, engine.scan_table(table).select("_rules").explode("_rules").unique()) if table else []
        known = spec.rules | {row["_rules"] for row in broken}
        if rule not in known:
            problem = Problem(f"the table '{name}' has no rule '{rule}'", mend=did_you_mean(rule, known))
            raise DeclarationError([problem])
    if table is None:
        return []
    rows = engine.scan_table(table)
    if rule:
        rows = rows.filter(nw.col("_rules").list.contains(rule))
    order = [c for c in ("_batch_id", "_source_file", "_source_row") if c in table.columns]
    rows = rows.sort(*order)
    return _collect(engine, rows if limit is None else rows.head(limit))


def runs(
    project: str | Path = ".", *, pipeline: str = DEFAULT_NAME, environment: str | None = None, limit: int | None = None
) -> list[RunReport]:
    """The runs of a pipeline, the latest first; `limit` (None: all) the first ones."""
    from oreflow.pipeline.lake import Lake, read_json
    from oreflow.pipeline.report import RunReport

    declared, _ = _load(project, pipeline, environment)
    folder = Lake(declared.lake).runs
    files = sorted(folder.glob("*.json"), reverse=True) if folder.is_dir() else []
    found = (read_json(file) for file in files)
    reports = [RunReport.from_dict(value) for value in found if value and value["pipeline"] == declared.name]
    return reports[:limit]


def plugins(project: str | Path = ".") -> list[dict[str, Any]]:
    """What is installed: each plugin with its distribution, what it brings, and why it is broken, if it is."""
    from oreflow.inspection import describe

    factory = project_factory(project)
    factory.examine_schemas()
    return [describe(factory, plugin) for plugin in factory.plugins]


def plugin(name: str, project: str | Path = ".") -> dict[str, Any]:
    """One plugin, by its name or that of its distribution or processor: metadata, options, hooks, profile of past runs.

    Raises:
        DeclarationError: there is none.
    """
    from oreflow.inspection import show
    from oreflow.pipeline.history import profiles
    from oreflow.pipeline.lake import Lake

    lake = Lake(Path(project) / "lake")
    factory = project_factory(project)
    if (Path(project) / "config" / f"{DEFAULT_NAME}.yaml").is_file():
        with contextlib.suppress(DeclarationError):  # who looks an option up may just be mending the declaration
            lake = Lake(_load(project, DEFAULT_NAME, None)[0].lake)
    return show(factory, name, profiles(lake))


def doctor(project: str | Path = ".") -> list[Finding]:
    """What is wrong with the plugins that are installed, each with what mends it."""
    from oreflow.inspection import examine

    factory = project_factory(project)
    factory.examine_schemas()
    return list(examine(factory))


def new_plugin(name: str, stage: str, folder: str | Path = ".") -> list[Path]:
    """Make a package with a processor for a stage, in a new folder of its name; gives the files that were written.

    Raises:
        DeclarationError: the name is no package's, or the folder is there already.
    """
    from oreflow.scaffold import write_plugin

    return write_plugin(Path(folder), name, stage)


def check_plugin(distribution: str, project: str | Path = ".") -> list[Judgement]:
    """The judgement of the conformance kit on each processor of a distribution.

    Raises:
        DeclarationError: it is not installed or brings no processor, or oreflow-testkit is not installed.
    """
    factory = project_factory(project)
    found = [p for p in factory.plugins if distribution in (p.distribution, p.name)]
    if not found:
        mend = did_you_mean(distribution, {p.distribution for p in factory.plugins})
        raise DeclarationError([Problem(f"no plugin '{distribution}' is installed", mend=mend)])
    if unusable := [p for p in found if p.status != "ok"]:
        raise DeclarationError([Problem(f"{p} is {p.status}: {p.reason}", mend=p.mend) for p in unusable])
    items = [(p, item) for p in found for item in (p.brings or {}).get("processors", ())]
    names = [f"{p.distribution}:{item.name}" for p, item in items]  # whoever else has the name
    if not names:
        raise DeclarationError([Problem(f"{distribution} brings no processor, and only processors are judged")])
    try:
        judge = importlib.import_module("oreflow_testkit").judge
    except ModuleNotFoundError:
        mend = "pip install oreflow-testkit"
        raise DeclarationError([Problem("the conformance kit is not installed", mend=mend)]) from None
    with _only(factory):  # the kit looks for plugins as any process does
        return [judgement for name in names for judgement in judge(name)]


@contextlib.contextmanager
def _only(factory: ProcessorFactory) -> Iterator[None]:
    """Let no plugin be loaded within that a factory has not."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join(p.distribution for p in factory.plugins if p.status == "ok")
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def lock(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    engine: str | None = None,
) -> Path:
    """Write down who makes each table now, so that a run by others stops; gives the lock file."""
    from oreflow.pipeline.locking import lock_path, locked_choices, write_lock
    from oreflow.pipeline.plan import plan_pipeline

    declared, factory = _load(project, pipeline, environment)
    planned = plan_pipeline(declared, factory, factory.create_table_format(), engine)
    path = lock_path(Path(project), pipeline)
    write_lock(path, locked_choices(declared, planned, factory))
    return path


def lock_changes(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    engine: str | None = None,
) -> list[Problem]:
    """What would be done otherwise than was locked; nothing where there is no lock."""
    from oreflow.pipeline.locking import differences, lock_path, locked_choices
    from oreflow.pipeline.plan import plan_pipeline

    path = lock_path(Path(project), pipeline)
    if not path.is_file():
        return []
    declared, factory = _load(project, pipeline, environment)
    planned = plan_pipeline(declared, factory, factory.create_table_format(), engine)
    return differences(path, locked_choices(declared, planned, factory))


def project_factory(
    project: str | Path = ".", pipeline: str = DEFAULT_NAME, *, environment: str | None = None
) -> ProcessorFactory:
    """The factory of what a project's declaration lets in; of all that is installed where there is none.

    Raises:
        DeclarationError: the declaration cannot be read, so that nobody knows what it lets in.
    """
    if pipeline == DEFAULT_NAME and not (Path(project) / "config" / f"{DEFAULT_NAME}.yaml").is_file():
        return get_processor_factory(Path(project).resolve())
    from oreflow.pipeline.model import read_declaration

    return read_declaration(Path(project).resolve(), pipeline, environment)[1]


def _load(project: str | Path, pipeline: str, environment: str | None) -> tuple[Pipeline, ProcessorFactory]:
    from oreflow.pipeline.model import load_pipeline

    return load_pipeline(Path(project), pipeline, environment)


def _describe(declared: Pipeline, name: str, factory: ProcessorFactory, limit: int) -> dict[str, Any]:
    from oreflow.pipeline.lake import Lake

    lake = Lake(declared.lake)
    formats = factory.create_table_format()
    table, aside = formats.load(lake.table(name)), formats.load(lake.quarantine(name))
    about: dict[str, Any] = {
        "table": name,
        "path": str(lake.table(name)),
        "exists": table is not None,
        "version": table.version if table else None,
        "batch": table.batch if table else None,
        "rows": table.rows if table else 0,
        "rows_quarantined": aside.rows if aside else 0,
        "bytes": sum(file.bytes for file in table.files) if table else 0,
        "files": len(table.files) if table else 0,
        "columns": {column: str(of_type) for column, of_type in table.columns.items()} if table else {},
    }
    if limit:
        about["sample"] = _sample(table, factory, limit) if table else []
    return about


def _sample(table: Table, factory: ProcessorFactory, limit: int) -> list[dict[str, Any]]:
    engine = _reading_engine(factory)
    return _collect(engine, engine.scan_table(table).head(limit))


def _collect(engine: Engine, rows: Any) -> list[dict[str, Any]]:
    return list(engine.execute({}, {"rows": rows}).collected["rows"])


def _reading_engine(factory: ProcessorFactory) -> Engine:
    """An engine for looking at a few rows: one inside the process, where there is one."""
    able = sorted(
        factory.engines, key=lambda name: ProcessorCapability.IN_PROCESS not in factory.engines[name][0].capabilities
    )
    if not able:
        mend = 'pip install "oreflow[polars]"'
        raise DeclarationError([Problem("no engine is installed, so that no row can be read", mend=mend)])
    return factory.create_engine(able[0])


__all__ = [
    "check_plugin",
    "doctor",
    "init",
    "lock",
    "lock_changes",
    "new_plugin",
    "plan",
    "plugin",
    "plugins",
    "project_factory",
    "quarantine",
    "run",
    "runs",
    "tables",
]
