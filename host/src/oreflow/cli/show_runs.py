"""What the command line shows of runs: what one has made, which there were, and what differs between two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from oreflow.cli import columns
from oreflow.cli.show import counted, value_text

if TYPE_CHECKING:
    from oreflow.pipeline.difference import RunDifference
    from oreflow.pipeline.report import RunReport, TableResult

_KINDS = ("published", "quarantined", "superseded")
_ROOMY = 100
_ROOM_FOR = ("started (UTC)", "superseded", "seconds")
"""The columns of runs that a narrower screen has not."""
_REASON = "reason"
_LONG = 0.005
"""Seconds of waiting that are told: 0.00 would say nothing."""


def report(run: RunReport) -> None:
    """The account of a run: a line for each table; on a narrow screen without what the lines above it said."""
    told = sum(table.status in ("published", "stale") for table in run.tables)
    click.echo()
    if run.succeeded and not told:
        click.echo(f"run {run.run_id}: nothing new, nothing was changed, {run.seconds:.2f} s")
    else:
        rows = [_account(table) for table in run.tables]
        names = list(rows[0])
        if columns.screen_width() < _ROOMY:
            names = [name for name in names if name not in ("status", "batch", "quality")]
        columns.draw(names, [[row[name] for name in names] for row in rows], set(names) - {"table", "status"})
        click.echo(f"\nrun {run.run_id}: {run.status}, {run.seconds:.2f} s")
    for use in run.resources:
        if line := _use(use):
            click.echo(f"  {line}")
    for name, figures in run.aggregations.items():
        for figure in figures:
            of = ", ".join(f"{label} {value}" for label, value in figure["labels"].items())
            value = "nothing measured" if figure["value"] is None else f"{figure['value']:,.6g}"
            click.echo(f"  {name}{f' of {of}' if of else ''}: {value}")
    for alert in run.alerts:
        status = "is over" if alert["status"] == "resolved" else "fires" if alert["is_new"] else "goes on"
        how = "told to" if alert["is_new"] else "known to"
        to = f", {how} {', '.join(alert['told'])}" if alert["told"] else ", silent" if alert["is_silenced"] else ""
        click.echo(f"  alert '{alert['rule']}' {status}{to}: {alert['summary']}")
    for remark in run.remarks:
        click.echo(f"  {remark}")


def _use(use: dict[str, Any]) -> str:
    """What of the calls to a resource did not go well; '' where all did.

    With which error a call failed for good stands at the table that it was made for.
    """
    parts = []
    if use["retries"]:
        again = "1 attempt" if use["retries"] == 1 else f"{use['retries']:,} attempts"
        parts.append(f"{again} of {use['attempts']:,} made again")
    if use["waited_seconds"] >= _LONG:
        parts.append(f"{use['waited_seconds']:.2f} s waited")
    if use["gave_up"] and use["kind"] != "table":
        parts.append(f"{counted(use['gave_up'], 'call')} failed")
    if use["rejected"]:
        parts.append(f"{counted(use['rejected'], 'call')} not made")
    if use["breaker"] not in ("", "closed"):
        parts.append(f"its breaker is {use['breaker'].replace('_', ' ')}")
    error = f" - {use['last_error']}" if use["last_error"] and not use["gave_up"] else ""
    return f"{use['resource']}: {', '.join(parts)}{error}" if parts else ""


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


def runs(found: Sequence[RunReport]) -> None:
    """A line for each run."""
    if not found:
        click.echo("no run yet; `oreflow run` makes the first")
        return
    rows = []
    for run in found:
        totals = [sum(getattr(table, f"rows_{kind}") for table in run.tables) for kind in _KINDS]
        states = ("published", "unchanged", "stale", "failed", "skipped", "interrupted", "running")
        numbers = {state: sum(table.status == state for table in run.tables) for state in states}
        told = ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
        started = run.started_at[:19].replace("T", " ")
        rows.append([run.run_id, started, run.status, *[f"{n:,}" for n in totals], f"{run.seconds:.2f}", told])
    names = ["run", "started (UTC)", "status", *_KINDS, "seconds", "tables"]
    if columns.screen_width() < _ROOMY:
        kept = [i for i, name in enumerate(names) if name not in _ROOM_FOR]
        names, rows = [names[i] for i in kept], [[row[i] for i in kept] for row in rows]
    columns.draw(names, rows, {*_KINDS, "seconds"})
    if columns.screen_width() < _ROOMY:
        click.echo(f"\n{', '.join(_ROOM_FOR)}: on a screen of {_ROOMY} columns, or with --json")


def run(found: RunReport) -> None:
    """One run: what became of each table and why, then what `oreflow run` says at its end."""
    click.echo(f"run {found.run_id} of {found.pipeline}, started {found.started_at[:19].replace('T', ' ')} UTC")
    for table in found.tables:
        told = [table.reason] if table.reason and table.status != "unchanged" else []
        for line in [*told, *table.remarks]:
            click.echo(f"  {table.table}: {line}")
    report(found)


def run_differences(found: Sequence[RunDifference], before: str, after: str) -> None:
    """A line for each figure that two runs do not have in common."""
    if not found:
        click.echo(f"{before} and {after} do not differ")
        return
    rows = [
        [each.table or "(run)", each.what, _figure(each.before), _figure(each.after), _change(each.change)]
        for each in found
        if each.what != _REASON
    ]
    columns.draw(["table", "what", before, after, "change"], rows, {before, after, "change"})
    for each in found:
        if each.what == _REASON:  # a sentence, which would make a column of any width
            click.echo(f"\n{each.table}, reason:")
            for run, reason in ((before, each.before), (after, each.after)):
                for line in columns.indented(f"{run}: {reason or 'none'}", 2):
                    click.echo(line)


def _figure(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value_text(value)


def _change(change: float | None) -> str:
    return "" if change is None else f"{change:+,}"
