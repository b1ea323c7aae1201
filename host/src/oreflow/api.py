"""Everything that the command line does, for use from Python, under the same names.

Each function takes the project's folder. What is wrong in a declaration or a request is raised as
`DeclarationError`; a run that fails is not an error here, its report says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.contract import DeclarationError, Engine, Problem, ProcessorCapability, Table
from oreflow.factory import ProcessorFactory, get_processor_factory

if TYPE_CHECKING:
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
    from oreflow.pipeline.run import Run

    tables = [tables] if isinstance(tables, str) else tables
    full_refresh = [full_refresh] if isinstance(full_refresh, str) else full_refresh
    declared, factory = _load(project, pipeline, environment)
    return Run(declared, factory, engine=engine, only=tables, full_refresh=full_refresh).execute()


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
    """
    import narwhals as nw

    from oreflow.pipeline.lake import Lake

    declared, factory = _load(project, pipeline, environment)
    path = Lake(declared.lake).quarantine(declared.table(name).name)
    table = factory.create_table_format().load(path)
    if table is None:
        return []
    engine = _reading_engine(factory)
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


def plugins() -> list[dict[str, Any]]:
    """What is installed: each plugin with its distribution, what it brings, and why it is broken, if it is."""
    return get_processor_factory().describe_plugins()


def _load(project: str | Path, pipeline: str, environment: str | None) -> tuple[Pipeline, ProcessorFactory]:
    from oreflow.pipeline.model import load_pipeline

    factory = get_processor_factory()
    return load_pipeline(Path(project), factory, pipeline, environment), factory


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
    if limit and table:
        about["sample"] = _sample(table, factory, limit)
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


__all__ = ["init", "plan", "plugins", "quarantine", "run", "runs", "tables"]
