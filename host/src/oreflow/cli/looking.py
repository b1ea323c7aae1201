"""The verbs that look at what was made, and at whether more can be: tables, quarantine, health, runs."""

from __future__ import annotations

from typing import Any

import click

from oreflow.cli.groups import Extensible
from oreflow.cli.options import COUNT, PIPELINE, print_json, project_options, refuse_lost_options


@click.group(cls=Extensible, invoke_without_command=True)
@PIPELINE
@project_options
@click.pass_context
def tables(
    ctx: click.Context, pipeline: str, project: str, environment: str | None, options: tuple[str, ...], as_json: bool
) -> None:
    """List the tables with their versions and rows."""
    if ctx.invoked_subcommand:
        refuse_lost_options(ctx)
        return
    from oreflow import api
    from oreflow.cli import show

    found = api.tables(project, pipeline=pipeline, environment=environment, options=options)
    print_json(found) if as_json else show.tables(found)


@tables.command("show")
@click.argument("table")
@click.option("--limit", default=5, show_default=True, type=COUNT, help="How many sample rows.")
@PIPELINE
@project_options
def show_table(
    table: str,
    limit: int,
    pipeline: str,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show one TABLE: where it lies, its version, rows, columns and a few rows."""
    from oreflow import api
    from oreflow.cli import show

    (found,) = api.tables(project, table, pipeline=pipeline, environment=environment, options=options, limit=limit)
    print_json(found) if as_json else show.table(found)


@click.group(cls=Extensible)
def quarantine() -> None:
    """Look at the rows that were set aside."""


@quarantine.command("show")
@click.argument("table")
@click.option("--rule", help="Only rows that broke this rule.")
@click.option(
    "--refused", type=COUNT, metavar="BATCH", help="Those that BATCH, which was refused, would have set aside."
)
@click.option("--batch", "batches", type=COUNT, multiple=True, metavar="BATCH", help="Only rows of BATCH.")
@click.option("--limit", type=COUNT, help="How many rows; 20 where not said, all with --json.")
@PIPELINE
@project_options
def show_quarantine(
    table: str,
    rule: str | None,
    batches: tuple[int, ...],
    refused: int | None,
    limit: int | None,
    pipeline: str,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the quarantined rows of TABLE with the rules that they broke."""
    from oreflow import api
    from oreflow.cli import show

    shown = limit if as_json or limit is not None else show.ROWS
    where: dict[str, Any] = {"pipeline": pipeline, "environment": environment, "options": options}
    rows = api.quarantine(project, table, rule=rule, batches=batches or None, refused=refused, limit=shown, **where)
    if as_json:
        print_json(rows)
    elif refused is not None:
        show.refused(table, rows, refused, rule)
    else:
        (about,) = api.tables(project, table, **where)
        show.quarantine(table, rows, about["rows_quarantined"], rule, batches)


@click.command()
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@PIPELINE
@project_options
def health(
    checks: tuple[str, ...],
    pipeline: str,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> int:
    """Say whether a run would go well: all checks, or those called CHECK, such as 'engine *'."""
    from oreflow import api
    from oreflow.cli import show

    found = api.health(project, pipeline, environment=environment, options=options, checks=checks)
    print_json(found.to_dict()) if as_json else show.health(found)
    return 0 if found.is_ready else 1


@click.group(cls=Extensible, invoke_without_command=True)
@click.option("--limit", default=20, show_default=True, type=COUNT, help="How many runs, the latest first.")
@PIPELINE
@project_options
@click.pass_context
def runs(
    ctx: click.Context,
    limit: int,
    pipeline: str,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """List the runs, the latest first."""
    if ctx.invoked_subcommand:
        refuse_lost_options(ctx)
        return
    from oreflow import api
    from oreflow.cli import show_runs as show

    found = api.runs(project, pipeline=pipeline, environment=environment, options=options, limit=limit)
    print_json([report.to_dict() for report in found]) if as_json else show.runs(found)


@runs.command("show")
@click.argument("run", default="latest")
@PIPELINE
@project_options
def show_run(
    run: str, pipeline: str, project: str, environment: str | None, options: tuple[str, ...], as_json: bool
) -> None:
    """Show one RUN: its id, the beginning of one, or latest."""
    from oreflow import api
    from oreflow.cli import show_runs as show

    found = api.show_run(run, project, pipeline=pipeline, environment=environment, options=options)
    print_json(found.to_dict()) if as_json else show.run(found)


@runs.command("compare")
@click.argument("before")
@click.argument("after", default="latest")
@PIPELINE
@project_options
def compare_runs(
    before: str,
    after: str,
    pipeline: str,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what differs between the runs BEFORE and AFTER (latest, where not said)."""
    from oreflow import api
    from oreflow.cli import show_runs as show

    found = api.compare_runs(before, after, project, pipeline=pipeline, environment=environment, options=options)
    print_json([each.to_dict() for each in found]) if as_json else show.run_differences(found, before, after)
