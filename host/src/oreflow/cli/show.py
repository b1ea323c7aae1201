"""What a person sees at the end of a command."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oreflow.cli import columns

if TYPE_CHECKING:
    from oreflow.pipeline.plan import PlannedTable
    from oreflow.pipeline.report import RunReport, TableResult

ROWS = 20
_KINDS = ("published", "quarantined", "superseded")
_ROOMY = 100


def counted(number: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def created(folder: str, files: Sequence[Path]) -> None:
    """What `init` made, and what to type next."""
    click.echo(f"Made the project {folder}:")
    for file in files:
        click.echo(f"  {file}")
    click.echo(f"\nNext: cd {folder} && oreflow plan && oreflow run")


def plan(planned: Sequence[PlannedTable], *, why: bool) -> None:
    """A line for each table, and its candidates where asked."""
    about = [table.to_dict() for table in planned]
    rows = [[a["table"], ", ".join(a["inputs"]), a["work"], a["processor"], a["reason"]] for a in about]
    _draw(["table", "from", "what is new", "processor", "why"], rows)
    if why:
        candidates = [
            [table.spec.name, v.offer.name, "-" if v.score is None else str(v.score), v.offer.distribution, v.reason]
            for table in planned
            for v in table.selection.candidates
        ]
        click.echo()
        _draw(["table", "candidate", "score", "from", "why"], candidates, {"score"})


def report(run: RunReport) -> None:
    """The account of a run: a line for each table; on a narrow screen without what the lines above it said."""
    published = sum(table.status == "published" for table in run.tables)
    click.echo()
    if run.succeeded and not published:
        click.echo(f"run {run.run_id}: nothing new, nothing was changed, {run.seconds:.2f} s")
        return
    rows = [_account(table) for table in run.tables]
    names = list(rows[0])
    if columns.screen_width() < _ROOMY:
        names = [name for name in names if name not in ("status", "batch", "quality")]
    _draw(names, [[row[name] for name in names] for row in rows], set(names) - {"table", "status"})
    click.echo(f"\nrun {run.run_id}: {run.status}, {run.seconds:.2f} s")
    for remark in run.remarks:
        click.echo(f"  {remark}")


def _account(table: TableResult) -> dict[str, str]:
    quality = "" if table.quality_score is None else f"{int(table.quality_score * 1000) / 10:.1f} %"
    return {
        "table": table.table,
        "status": table.status,
        "batch": "" if table.batch is None else str(table.batch),
        "read": f"{table.rows_read:,}",
        "published": f"{table.rows_published:,}",
        "quarantined": f"{table.rows_quarantined:,}",
        "superseded": f"{table.rows_superseded:,}",
        "quality": quality,
        "seconds": f"{table.seconds:.2f}",
    }


def tables(found: Sequence[dict[str, Any]]) -> None:
    """A line for each table of the lake."""
    from oreflow.pipeline.plan import size_text

    rows = []
    for about in found:
        state = [str(about["version"]), str(about["batch"])] if about["exists"] else ["-", "-"]
        counts = [f"{about['rows']:,}", f"{about['rows_quarantined']:,}", size_text(about["bytes"])]
        rows.append([about["table"], *state, *counts, about["path"]])
    names = ["table", "version", "batch", "rows", "quarantined", "size", "path"]
    _draw(names, rows, set(names) - {"table", "path"})


def table(about: dict[str, Any]) -> None:
    """One table, its columns and a few rows."""
    if not about["exists"]:
        click.echo(f"{about['table']} has not been made yet; `oreflow run` makes it")
        return
    click.echo(
        f"{about['table']}  version {about['version']}, batch {about['batch']},"
        f" {counted(about['rows'], 'row')} in {counted(about['files'], 'file')}"
    )
    click.echo(f"{about['path']}\n")
    _draw(["column", "type"], [[name, of_type] for name, of_type in about["columns"].items()])
    if sample := about.get("sample"):
        click.echo()
        rows = [["NULL" if value is None else str(value) for value in row.values()] for row in sample]
        _draw(list(sample[0]), rows)


def quarantine(name: str, rows: Sequence[dict[str, Any]], total: int, rule: str | None) -> None:
    """Quarantined rows, one below the other: what is wrong first, then the raw values."""
    if not rows:
        click.echo(f"no row of {name} is in quarantine" + (f" for '{rule}'" if rule else ""))
        return
    for row in rows:
        line = f":{row['_source_row']}" if row.get("_source_row") is not None else ""
        click.echo(f"{row.get('_source_file') or ''}{line}  {'; '.join(row.get('_rules') or ())}")
        values = {key: value for key, value in row.items() if not key.startswith("_")}
        told = ", ".join(f"{key}={'NULL' if value is None else value}" for key, value in values.items())
        for text in (row.get("_reason"), told if any(v is not None for v in values.values()) else "", row.get("_raw")):
            for part in columns.indented(str(text), 4) if text else ():
                click.echo(part)
    click.echo(f"\n{len(rows):,} shown, {counted(total, 'row')} of {name} in quarantine")


def runs(found: Sequence[RunReport]) -> None:
    """A line for each run."""
    if not found:
        click.echo("no run yet; `oreflow run` makes the first")
        return
    rows = []
    for run in found:
        totals = [sum(getattr(table, f"rows_{kind}") for table in run.tables) for kind in _KINDS]
        states = ("published", "unchanged", "failed", "skipped")
        numbers = {state: sum(table.status == state for table in run.tables) for state in states}
        told = ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
        started = run.started_at[:19].replace("T", " ")
        rows.append([run.run_id, started, run.status, *[f"{n:,}" for n in totals], f"{run.seconds:.2f}", told])
    names = ["run", "started (UTC)", "status", *_KINDS, "seconds", "tables"]
    if columns.screen_width() < _ROOMY:
        kept = [i for i, name in enumerate(names) if name not in ("started (UTC)", "superseded", "seconds")]
        names, rows = [names[i] for i in kept], [[row[i] for i in kept] for row in rows]
    _draw(names, rows, {*_KINDS, "seconds"})


def broken(found: Sequence[dict[str, Any]]) -> None:
    """A line for each plugin that was left out."""
    for plugin in found:
        click.echo(
            f"\nthe plugin {plugin['name']} of {plugin['distribution']} is broken and left out: {plugin['reason']}"
        )


def plugins(found: Sequence[dict[str, Any]]) -> None:
    """A line for each plugin; broken ones with the reason."""
    if not found:
        click.echo('no plugin is installed; pip install "oreflow[polars]" has the standard ones')
        return
    rows = [
        [
            plugin["name"],
            plugin["distribution"],
            plugin["version"],
            plugin["status"] + (f": {plugin['reason']}" if plugin["reason"] else ""),
            ", ".join(plugin["brings"]),
            ", ".join(plugin["stages"]),
            ", ".join(plugin["capabilities"]),
        ]
        for plugin in found
    ]
    _draw(["plugin", "distribution", "version", "status", "brings", "stages", "capabilities"], rows)


def _draw(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> None:
    for line in columns.table(header, rows, right):
        click.echo(line)
