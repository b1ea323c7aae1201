"""What a person sees at the end of a command: tables drawn by rich, which is loaded only here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

if TYPE_CHECKING:
    from oreflow.pipeline.plan import PlannedTable
    from oreflow.pipeline.report import RunReport, TableResult

ROWS = 20
_ROOMY = 110
_WIDE = 240  # where nobody reads along, a line is not cut to the width of a screen that is not there


def _console() -> Console:
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(width=width, highlight=False, soft_wrap=False)


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for column in columns:
        # What a line is about must be readable whole, so the first column is never broken.
        first = column == columns[0]
        drawn.add_column(escape(column), justify="right" if column in right else "left", overflow="fold", no_wrap=first)
    return drawn


def counted(number: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def created(folder: str, files: Sequence[Path]) -> None:
    """What `init` made, and what to type next."""
    console = _console()
    console.print(f"Made the project {escape(folder)}:")
    for file in files:
        console.print(f"  {escape(str(file))}")
    console.print(f"\nNext: cd {escape(folder)} && oreflow plan && oreflow run")


def plan(planned: Sequence[PlannedTable], *, why: bool) -> None:
    """A line for each table, and its candidates where asked."""
    console = _console()
    drawn = _table("table", "from", "what is new", "processor", "why")
    for table in planned:
        about = table.to_dict()
        cells = [about["table"], ", ".join(about["inputs"]), about["work"], about["processor"], about["reason"]]
        drawn.add_row(*[escape(cell) for cell in cells])
    console.print(drawn)
    if why:
        candidates = _table("table", "candidate", "score", "from", "why", right=("score",))
        for table in planned:
            for verdict in table.selection.candidates:
                score = "-" if verdict.score is None else str(verdict.score)
                offer = verdict.offer
                candidates.add_row(table.spec.name, offer.name, score, offer.distribution, escape(verdict.reason))
        console.print()
        console.print(candidates)


def report(run: RunReport) -> None:
    """The account of a run: a line for each table; on a narrow screen without what the lines above it said."""
    console = _console()
    published = sum(table.status == "published" for table in run.tables)
    if run.succeeded and not published:
        console.print(f"\nrun {run.run_id}: nothing new, nothing was changed, {run.seconds:.2f} s")
        return
    console.print()
    cells: dict[str, Callable[[TableResult], str]] = {
        "table": lambda t: t.table,
        "status": lambda t: t.status,
        "batch": lambda t: "" if t.batch is None else str(t.batch),
        "read": lambda t: f"{t.rows_read:,}",
        "published": lambda t: f"{t.rows_published:,}",
        "quarantined": lambda t: f"{t.rows_quarantined:,}",
        "superseded": lambda t: f"{t.rows_superseded:,}",
        "quality": lambda t: "" if t.quality_score is None else f"{int(t.quality_score * 1000) / 10:.1f} %",
        "seconds": lambda t: f"{t.seconds:.2f}",
    }
    if console.width < _ROOMY:
        cells = {name: cell for name, cell in cells.items() if name not in ("status", "batch", "quality")}
    drawn = _table(*cells, right=set(cells) - {"table", "status"})
    for table in run.tables:
        drawn.add_row(*[cell(table) for cell in cells.values()])
    console.print(drawn)
    console.print(f"\nrun {run.run_id}: {run.status}, {run.seconds:.2f} s")
    for remark in run.remarks:
        console.print(f"  {escape(remark)}")


def tables(found: Sequence[dict[str, Any]]) -> None:
    """A line for each table of the lake."""
    from oreflow.pipeline.plan import size_text

    drawn = _table(
        "table",
        "version",
        "batch",
        "rows",
        "quarantined",
        "size",
        "path",
        right=("version", "batch", "rows", "quarantined", "size"),
    )
    for table in found:
        state = [str(table["version"]), str(table["batch"])] if table["exists"] else ["-", "-"]
        rows = [f"{table['rows']:,}", f"{table['rows_quarantined']:,}", size_text(table["bytes"])]
        drawn.add_row(table["table"], *state, *rows, escape(table["path"]))
    _console().print(drawn)


def table(about: dict[str, Any]) -> None:
    """One table, its columns and a few rows."""
    console = _console()
    if not about["exists"]:
        console.print(f"{about['table']} has not been made yet; `oreflow run` makes it")
        return
    console.print(
        f"{about['table']}  version {about['version']}, batch {about['batch']},"
        f" {counted(about['rows'], 'row')} in {counted(about['files'], 'file')}"
    )
    console.print(f"{escape(about['path'])}\n")
    columns = _table("column", "type")
    for name, of_type in about["columns"].items():
        columns.add_row(escape(name), escape(of_type))
    console.print(columns)
    if about.get("sample"):
        console.print()
        _rows(console, about["sample"])


def quarantine(name: str, rows: Sequence[dict[str, Any]], total: int, rule: str | None) -> None:
    """Quarantined rows, one below the other: what is wrong first, then the raw values."""
    console = _console()
    if not rows:
        console.print(f"no row of {name} is in quarantine" + (f" for '{escape(rule)}'" if rule else ""))
        return
    for row in rows:
        place = row.get("_source_file") or ""
        line = f":{row['_source_row']}" if row.get("_source_row") is not None else ""
        console.print(f"{escape(str(place))}{line}  {escape('; '.join(row.get('_rules') or ()))}")
        values = {key: value for key, value in row.items() if not key.startswith("_")}
        told = ", ".join(f"{key}={'NULL' if value is None else value}" for key, value in values.items())
        for text in (row.get("_reason"), told if any(v is not None for v in values.values()) else "", row.get("_raw")):
            if text:
                console.print(Padding(escape(str(text)), (0, 0, 0, 4)))
    console.print(f"\n{len(rows):,} shown, {counted(total, 'row')} of {name} in quarantine")


def runs(found: Sequence[RunReport]) -> None:
    """A line for each run."""
    console = _console()
    if not found:
        console.print("no run yet; `oreflow run` makes the first")
        return
    drawn = _table(
        "run",
        "started (UTC)",
        "status",
        "published",
        "quarantined",
        "superseded",
        "seconds",
        "tables",
        right=("published", "quarantined", "superseded", "seconds"),
    )
    for run in found:
        totals = [
            sum(getattr(table, f"rows_{kind}") for table in run.tables)
            for kind in ("published", "quarantined", "superseded")
        ]
        states = [
            f"{sum(t.status == status for t in run.tables)} {status}"
            for status in ("published", "unchanged", "failed", "skipped")
        ]
        told = ", ".join(state for state in states if not state.startswith("0 "))
        drawn.add_row(
            run.run_id,
            run.started_at[:19].replace("T", " "),
            run.status,
            *[f"{n:,}" for n in totals],
            f"{run.seconds:.2f}",
            told,
        )
    console.print(drawn)


def plugins(found: Sequence[dict[str, Any]]) -> None:
    """A line for each plugin; broken ones with the reason."""
    console = _console()
    if not found:
        console.print('no plugin is installed; pip install "oreflow[polars]" has the standard ones', markup=False)
        return
    drawn = _table("plugin", "distribution", "version", "status", "brings", "stages", "capabilities")
    for plugin in found:
        drawn.add_row(
            plugin["name"],
            plugin["distribution"],
            plugin["version"],
            plugin["status"] + (f": {escape(plugin['reason'])}" if plugin["reason"] else ""),
            ", ".join(plugin["brings"]),
            ", ".join(plugin["stages"]),
            ", ".join(plugin["capabilities"]),
        )
    console.print(drawn)


def _rows(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    drawn = _table(*rows[0])
    for row in rows:
        drawn.add_row(*[escape("NULL" if value is None else str(value)) for value in row.values()])
    console.print(drawn)
