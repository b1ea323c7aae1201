"""The verbs that look at what was made: tables, quarantine, runs."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.api.project import DEFAULT_NAME, load
from oreflow.contract import (
    INTERNAL,
    LINEAGE,
    DeclarationError,
    Engine,
    OreflowError,
    Problem,
    ProcessorCapability,
    StepError,
    Surroundings,
    Table,
)
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.report import Account, RunReport, is_report
from oreflow.validation import did_you_mean

if TYPE_CHECKING:
    import narwhals as nw

    from oreflow.pipeline.batches import Batches
    from oreflow.pipeline.difference import RunDifference
    from oreflow.pipeline.model import Pipeline
    from oreflow.probing import HealthReport

_log = logging.getLogger("oreflow.runs")
LATEST = "latest"
"""How the latest run is asked for."""


def tables(
    project: str | Path = ".",
    name: str | None = None,
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    options: Sequence[str] = (),
    limit: int = 0,
) -> list[dict[str, Any]]:
    """The tables of a pipeline: name, path, version, batch, rows, rows in quarantine, columns with their types.

    `name` picks one of them; `limit` adds as many sample rows.
    """
    declared, factory = load(project, pipeline, environment, options)
    specs = [declared.table(name)] if name else list(declared.tables)
    return [_describe(declared, spec.name, factory, limit) for spec in specs]


def quarantine(
    project: str | Path = ".",
    name: str = "",
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    options: Sequence[str] = (),
    rule: str | None = None,
    batches: Sequence[int] | None = None,
    refused: int | None = None,
    worst: bool = False,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """The quarantined rows of a table: raw values, `_rules`, `_reason`, `_source_file`, `_source_row`, `_batch_id`.

    `rule` keeps those that broke a rule, `batches` (None: all) those of some batches, `limit` (None: all) the first
    ones. They come by batch, file and row; with `worst`, those that broke most rules before the others. `refused` is a
    batch that its quality gate has refused: the rows that it would have set aside take the place of those that were.

    Raises:
        DeclarationError: neither the declaration nor the quarantine knows the rule.
    """
    import narwhals as nw

    from oreflow.pipeline.kept import kept
    from oreflow.pipeline.lake import Lake

    declared, factory = load(project, pipeline, environment, options)
    spec = declared.table(name)
    lake = Lake(declared.lake)
    if refused is None:
        table = factory.create_table_format().load(lake.quarantine(name))
    else:
        table = kept(lake.failed(name, refused), refused)
    engine = reading_engine(factory)
    if rule and rule not in spec.rules:
        known = spec.rules
        if table is not None:
            broken = engine.scan_table(table).select("_rules").explode("_rules").unique()
            known = known | {row["_rules"] for row in _collect(engine, broken, name, table)}
        if rule not in known:
            problem = Problem(f"the table '{name}' has no rule '{rule}'", mend=did_you_mean(rule, known))
            raise DeclarationError([problem])
    if table is None:
        return []
    files = table.files
    if batches is not None:  # a quarantine may be large; and where rows have no lineage, only the files tell
        files = tuple(f for f in files if any(f.first_batch <= batch <= f.last_batch for batch in batches))
    rows = engine.scan_table(table, files)
    if rule:
        rows = rows.filter(nw.col("_rules").list.contains(rule))
    if batches is not None and "_batch_id" in table.columns:
        rows = rows.filter(nw.col("_batch_id").is_in(list(batches)))
    rows = _ordered(rows, table.columns, worst=worst)
    return _collect(engine, rows if limit is None else rows.head(limit), name, table)


def _ordered(rows: nw.LazyFrame[Any], columns: Collection[str], *, worst: bool) -> nw.LazyFrame[Any]:
    """Quarantined rows by where they come from; with `worst`, by how many rules they broke before that."""
    import narwhals as nw

    order = [name for name in LINEAGE if name in columns]
    if not worst:
        return rows.sort(*order) if order else rows
    number = f"{INTERNAL}number"
    rows = rows.with_columns(nw.col("_rules").list.len().alias(number))
    return rows.sort(number, *order, descending=[True, *(False for _ in order)]).drop(number)


def runs(
    project: str | Path = ".",
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    options: Sequence[str] = (),
    limit: int | None = None,
) -> list[RunReport]:
    """The runs of a pipeline, the latest first; `limit` (None: all) the first ones."""
    from oreflow.pipeline.lake import Lake, json_files, read_json
    from oreflow.pipeline.presence import GONE, is_under_way

    declared, _ = load(project, pipeline, environment, options)
    lake = Lake(declared.lake)
    reports = []
    for file in json_files(lake.runs):
        if not is_report(value := read_json(file)):
            _log.warning("%s is no report of a run, or a damaged one, and is left out", file)
        elif value["pipeline"] == declared.name:
            reports.append(RunReport.from_dict(value))
    reports.sort(key=lambda report: report.started_at, reverse=True)  # an id has no more than the second
    for report in reports[:limit]:
        if report.status == "running" and not is_under_way(lake, report.run_id):
            report.status, report.remarks = "interrupted", [*report.remarks, GONE]
            for table in (each for each in report.tables if each.status == "running"):
                table.status, table.reason = "interrupted", "what of it was published is looked up by the next run"
    return reports[:limit]


def batches(
    project: str | Path = ".",
    name: str = "",
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The batches that are in a table, the first one first, as they are written down beside it and with its commits.

    Each has its `batch`, when it was claimed (`claimed_at`, ISO 8601; '' where nothing tells it), the `files` that it
    read of a source (with their `bytes`), and its account as the hook `batch_finished` has it, whose `run_id` is the
    run that has committed it. One of which nothing is left to tell has its number alone.
    """
    from oreflow.pipeline.access import Access
    from oreflow.pipeline.batches import Batches
    from oreflow.pipeline.lake import Lake

    declared, factory = load(project, pipeline, environment, options)
    spec, access = declared.table(name), Access(declared, factory)
    table, made = access.tables.load(Lake(declared.lake).table(name)), Batches(declared, spec, access)
    return [_batch(made, number) for number in range(1, (table.batch if table else 0) + 1)]


def surroundings(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> tuple[Surroundings, Mapping[str, Any]]:
    """For the commands of plugins, what `run_configured` tells of a pipeline: its surroundings, and plugins' sections.

    Raises:
        DeclarationError: the declaration is wrong.
    """
    declared, _ = load(project, pipeline, environment, options)
    return declared.surroundings("plugins"), copy.deepcopy(declared.sections)


def show_run(
    run: str = LATEST,
    project: str | Path = ".",
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    options: Sequence[str] = (),
    among: Sequence[RunReport] | None = None,
) -> RunReport:
    """The report of one run: by its id, the beginning of one, or `latest`; `among` (None: all) those that `runs` gave.

    Raises:
        DeclarationError: there is no such run, or there are several.
    """
    if among is None:
        among = runs(project, pipeline=pipeline, environment=environment, options=options)
    return _chosen(run, among)


def compare_runs(
    before: str,
    after: str = LATEST,
    project: str | Path = ".",
    *,
    pipeline: str = DEFAULT_NAME,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> list[RunDifference]:
    """What differs between two runs, each said as for `show_run`.

    Raises:
        DeclarationError: one of them is not there.
    """
    from oreflow.pipeline.difference import compare

    found = runs(project, pipeline=pipeline, environment=environment, options=options)
    return compare(_chosen(before, found), _chosen(after, found))


def health(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
    checks: Sequence[str] = (),
    max_age: float = 0.0,
) -> HealthReport:
    """Whether a run of a pipeline would go well; makes nothing.

    `checks` are names, or patterns of names (`engine *`), of those to be made (all, where none is said). What was found
    within the last `max_age` seconds of this process is not looked at anew: for a service that is asked often.

    Raises:
        DeclarationError: the declaration cannot be read, or there is no such check.
    """
    from oreflow.probing import examine

    checks = [checks] if isinstance(checks, str) else checks
    return examine(*load(project, pipeline, environment, options), checks, max_age)


def _batch(made: Batches, number: int) -> dict[str, Any]:
    account = made.journal.account(number)
    found = Account.from_dict(account).to_dict() if account else {}
    with contextlib.suppress(StepError):  # neither a file nor the table's log has its claim any more
        claim = made.journal.finished(number)
        files = zip(made.source_files(claim), claim.files, strict=True)
        found["claimed_at"] = claim.claimed_at.isoformat(timespec="milliseconds")
        found["files"] = [{"file": shown.label, "bytes": claimed.bytes} for shown, claimed in files]
    return {"batch": number, "claimed_at": "", "files": [], **found}


def _chosen(run: str, among: Sequence[RunReport]) -> RunReport:
    if run == LATEST:
        found = list(among[:1])
    else:
        found = [each for each in among if each.run_id == run] or [e for e in among if run and e.run_id.startswith(run)]
    if len(found) == 1:
        return found[0]
    if not among:
        raise DeclarationError([Problem("there is no run yet", mend="`oreflow run` makes the first")])
    what = f"there is no run '{run}'" if not found else f"{len(found)} runs begin with '{run}'"
    mend = f"`oreflow runs` lists them; the latest is {among[0].run_id}"
    raise DeclarationError([Problem(what, mend=mend)])


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
        about["sample"] = _sample(name, table, factory, limit) if table else []
    return about


def _sample(name: str, table: Table, factory: ProcessorFactory, limit: int) -> list[dict[str, Any]]:
    engine = reading_engine(factory)
    return _collect(engine, engine.scan_table(table).head(limit), name, table)


def _collect(engine: Engine, rows: Any, name: str, table: Table) -> list[dict[str, Any]]:
    """A few rows made of a table's."""
    from oreflow.pipeline.lake import damage

    try:
        return list(engine.execute({}, {"rows": rows}).collected["rows"])
    except (OreflowError, OSError) as error:
        if found := damage(name, table):
            raise OreflowError(found) from error
        raise


def reading_engine(factory: ProcessorFactory) -> Engine:
    """An engine for looking at a few rows: one inside the process, where there is one."""
    able = sorted(
        factory.engines, key=lambda name: ProcessorCapability.IN_PROCESS not in factory.engines[name][0].capabilities
    )
    if not able:
        mend = 'pip install "oreflow[polars]"'
        raise DeclarationError([Problem("no engine is installed, so that no row can be read", mend=mend)])
    return factory.create_engine(able[0])
