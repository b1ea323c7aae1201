"""The verbs of `oreflow`. What they need is imported when they run, so that `--help` stays quick."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from oreflow import __version__

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_PROJECT = click.option(
    "--project", default=".", type=click.Path(file_okay=False), help="The project's folder (here, where not said)."
)
_ENV = click.option("--env", "environment", help="The environment layer: development, staging, production or test.")
_PIPELINE = click.option("--pipeline", default="pipeline", help="The pipeline: NAME is config/NAME.yaml.")
_COUNT = click.IntRange(min=1)
_ENGINE = click.option("--engine", help="Use this engine for every table.")


def _project_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (_JSON, _ENV, _PROJECT):
        command = option(command)
    return command


class _Commands(click.Group):
    """The built-in commands, and those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._added()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self._added().get(cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        import difflib

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), 1) if args else []
            if close and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean '{close[0]}'?", ctx) from error
            raise

    def _added(self) -> dict[str, click.Command]:
        from oreflow.factory import answers, get_processor_factory

        found = answers(get_processor_factory().hooks, "cli_commands")
        return {c.name: c for _, answer in found if not isinstance(answer, BaseException) for c in answer if c.name}


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="oreflow")
def oreflow() -> None:
    """Medallion data pipelines: declared once, run exactly once, every row accounted for."""


@oreflow.command()
@click.argument("folder")
def init(folder: str) -> None:
    """Make a project in FOLDER: a commented pipeline, its schema, a few sample files."""
    from oreflow import api
    from oreflow.cli import show

    show.created(folder, api.init(folder))


@oreflow.command()
@click.argument("pipeline", default="pipeline")
@_ENGINE
@click.option("--why", is_flag=True, help="Show every candidate, and why it won or lost.")
@_project_options
def plan(pipeline: str, engine: str | None, why: bool, project: str, environment: str | None, as_json: bool) -> None:
    """Show what a run would do, by which processor, and why."""
    from oreflow import api
    from oreflow.cli import show

    planned = api.plan(project, pipeline, environment=environment, engine=engine)
    if as_json:
        _print_json({"pipeline": pipeline, "tables": [table.to_dict() for table in planned]})
    else:
        show.plan(planned, why=why)
        show.broken([plugin for plugin in api.plugins() if plugin["status"] == "broken"])


@oreflow.command()
@click.argument("pipeline", default="pipeline")
@_ENGINE
@click.option("--table", "tables", multiple=True, help="Make only this table (may be said several times).")
@click.option("--full-refresh", multiple=True, metavar="TABLE", help="Make TABLE anew from all of its input.")
@_project_options
def run(
    pipeline: str,
    engine: str | None,
    tables: tuple[str, ...],
    full_refresh: tuple[str, ...],
    project: str,
    environment: str | None,
    as_json: bool,
) -> int:
    """Make the tables of PIPELINE (config/PIPELINE.yaml) as far as anything is new for them."""
    from oreflow import api
    from oreflow.cli import progress

    with progress.shown(quiet=as_json):
        report = api.run(
            project, pipeline, environment=environment, engine=engine, tables=tables, full_refresh=full_refresh
        )
    if as_json:
        _print_json(report.to_dict())
    else:
        from oreflow.cli import show

        show.report(report)
    return 0 if report.succeeded else 1


@oreflow.group(invoke_without_command=True)
@_PIPELINE
@_project_options
@click.pass_context
def tables(ctx: click.Context, pipeline: str, project: str, environment: str | None, as_json: bool) -> None:
    """List the tables with their versions and rows."""
    if ctx.invoked_subcommand:
        _refuse_lost_options(ctx)
        return
    from oreflow import api
    from oreflow.cli import show

    found = api.tables(project, pipeline=pipeline, environment=environment)
    _print_json(found) if as_json else show.tables(found)


@tables.command("show")
@click.argument("table")
@click.option("--limit", default=5, show_default=True, type=_COUNT, help="How many sample rows.")
@_PIPELINE
@_project_options
def show_table(table: str, limit: int, pipeline: str, project: str, environment: str | None, as_json: bool) -> None:
    """Show one TABLE: where it lies, its version, rows, columns and a few rows."""
    from oreflow import api
    from oreflow.cli import show

    (found,) = api.tables(project, table, pipeline=pipeline, environment=environment, limit=limit)
    _print_json(found) if as_json else show.table(found)


@oreflow.group()
def quarantine() -> None:
    """Look at the rows that were set aside."""


@quarantine.command("show")
@click.argument("table")
@click.option("--rule", help="Only rows that broke this rule.")
@click.option("--limit", type=_COUNT, help="How many rows; 20 where not said, all with --json.")
@_PIPELINE
@_project_options
def show_quarantine(
    table: str,
    rule: str | None,
    limit: int | None,
    pipeline: str,
    project: str,
    environment: str | None,
    as_json: bool,
) -> None:
    """Show the quarantined rows of TABLE with the rules that they broke."""
    from oreflow import api
    from oreflow.cli import show

    shown = limit if as_json or limit is not None else show.ROWS
    rows = api.quarantine(project, table, pipeline=pipeline, environment=environment, rule=rule, limit=shown)
    if as_json:
        _print_json(rows)
    else:
        (about,) = api.tables(project, table, pipeline=pipeline, environment=environment)
        show.quarantine(table, rows, about["rows_quarantined"], rule)


@oreflow.command()
@click.option("--limit", default=20, show_default=True, type=_COUNT, help="How many runs, the latest first.")
@_PIPELINE
@_project_options
def runs(limit: int, pipeline: str, project: str, environment: str | None, as_json: bool) -> None:
    """List the runs, the latest first."""
    from oreflow import api
    from oreflow.cli import show

    found = api.runs(project, pipeline=pipeline, environment=environment, limit=limit)
    _print_json([report.to_dict() for report in found]) if as_json else show.runs(found)


@oreflow.command()
@_JSON
def plugins(as_json: bool) -> None:
    """List the installed plugins, what they bring, and which are broken and why."""
    from oreflow import api
    from oreflow.cli import show

    found = api.plugins()
    _print_json(found) if as_json else show.plugins(found)


def _refuse_lost_options(ctx: click.Context) -> None:
    """Options before a subcommand would have no effect."""
    for name in ctx.params:
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = "--" + {"as_json": "json", "environment": "env"}.get(name, name)
            raise click.UsageError(f"say {option} after '{ctx.invoked_subcommand}'", ctx)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))
