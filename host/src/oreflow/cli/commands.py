"""The verbs of `oreflow`. What they need is imported when they run, so that `--help` stays quick."""

from __future__ import annotations

import contextlib

import click

from oreflow import __version__
from oreflow.cli.alerting import alerts
from oreflow.cli.configuring import config
from oreflow.cli.groups import Extensible
from oreflow.cli.looking import health, quarantine, runs, tables
from oreflow.cli.options import (
    COUNT,
    ENGINE,
    ENVIRONMENT,
    JSON,
    PROJECT,
    SET,
    print_json,
    project_options,
    refuse_lost_options,
)


@click.group(cls=Extensible, context_settings={"help_option_names": ["-h", "--help"]})
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
@ENGINE
@click.option(
    "--why",
    is_flag=False,
    flag_value="all",
    metavar="[TABLE]",
    help="Show every candidate for TABLE (all tables, where not said), its score, and why it won or lost.",
)
@project_options
def plan(
    pipeline: str,
    engine: str | None,
    why: str | None,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what a run would do, by which processor, and why."""
    from oreflow import api
    from oreflow.cli import show

    planned = api.plan(project, pipeline, environment=environment, options=options, engine=engine)
    if why not in (None, "all"):
        planned = tuple(table for table in planned if table.spec.name == why)
        if not planned:
            raise click.UsageError(f"the pipeline has no table '{why}'; say the pipeline's name before --why")
    changes = api.lock_changes(project, pipeline, environment=environment, options=options, engine=engine)
    if as_json:
        tables = [table.to_dict() for table in planned]
        lock = [str(change) for change in changes]
        resources = api.resources(project, pipeline, environment=environment, options=options)
        print_json({"pipeline": planned[0].pipeline, "tables": tables, "lock": lock, "resources": resources})
    else:
        show.plan(planned, why=why is not None)
        factory = api.project_factory(project, pipeline, environment=environment, options=options)
        show.broken(factory.missing)
        show.lock_changes(changes)


@oreflow.command()
@click.argument("pipeline", default="pipeline")
@ENGINE
@click.option("--table", "tables", multiple=True, help="Make only this table (may be said several times).")
@click.option("--full-refresh", multiple=True, metavar="TABLE", help="Make TABLE anew from all of its input.")
@click.option("--chaos", metavar="FILE", help="Inject the faults that FILE declares (oreflow-chaos).")
@project_options
def run(
    pipeline: str,
    engine: str | None,
    tables: tuple[str, ...],
    full_refresh: tuple[str, ...],
    chaos: str | None,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> int:
    """Make the tables of PIPELINE (config/PIPELINE.yaml) as far as anything is new for them."""
    from oreflow import api
    from oreflow.cli import progress
    from oreflow.cli.signals import TERMINATED, ending_by_signal

    factory = api.project_factory(project, pipeline, environment=environment, options=options)
    with contextlib.nullcontext() if as_json else progress.shown(factory), ending_by_signal() as stop:
        report = api.run(
            project,
            pipeline,
            environment=environment,
            options=options,
            engine=engine,
            tables=tables,
            full_refresh=full_refresh,
            chaos=chaos,
            stop=stop,
        )
    with contextlib.suppress(BrokenPipeError):  # whether the run succeeded is not the reader's to decide
        if as_json:
            print_json(report.to_dict())
        else:
            from oreflow.cli import show_runs

            show_runs.report(report)
    return 0 if report.succeeded else TERMINATED if report.status == "interrupted" else 1


@oreflow.command()
@click.argument("pipeline", default="pipeline")
@click.option("--engine", "engines", multiple=True, help="One of the two engines; those installed, where not said.")
@click.option("--keep", metavar="FOLDER", help="Keep both lakes in this new or empty folder.")
@click.option("--limit", default=5, show_default=True, type=COUNT, help="How many differing rows of a table.")
@project_options
def parity(
    pipeline: str,
    engines: tuple[str, ...],
    keep: str | None,
    limit: int,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run PIPELINE on two engines into lakes of their own, and compare every table value for value."""
    from oreflow import api
    from oreflow.cli import progress, show

    factory = api.project_factory(project, pipeline, environment=environment, options=options)
    with contextlib.nullcontext() if as_json else progress.shown(factory):
        found = api.parity(
            project, pipeline, environment=environment, options=options, engines=engines, keep=keep, limit=limit
        )
    print_json(found.to_dict()) if as_json else show.parity(found)
    return 0 if found.equal else 1


@oreflow.command()
@click.argument("pipeline", default="pipeline")
@ENGINE
@PROJECT
@ENVIRONMENT
@SET
def lock(pipeline: str, engine: str | None, project: str, environment: str | None, options: tuple[str, ...]) -> None:
    """Write down who makes each table, so that a run by any other processor or version stops."""
    from oreflow import api

    click.echo(f"wrote {api.lock(project, pipeline, environment=environment, options=options, engine=engine)}")


@oreflow.group(cls=Extensible, invoke_without_command=True)
@PROJECT
@JSON
@click.pass_context
def plugins(ctx: click.Context, project: str, as_json: bool) -> None:
    """List the installed plugins, what they bring, and which are broken and why."""
    if ctx.invoked_subcommand:
        refuse_lost_options(ctx)
        return
    from oreflow import api
    from oreflow.cli import show

    found = api.plugins(project)
    print_json(found) if as_json else show.plugins(found)


@plugins.command("show")
@click.argument("name")
@PROJECT
@JSON
def show_plugin(name: str, project: str, as_json: bool) -> None:
    """Show one plugin: what it brings, its options, its hooks, and how it has done in past runs."""
    from oreflow import api
    from oreflow.cli import show

    found = api.plugin(name, project)
    print_json(found) if as_json else show.plugin(found)


@plugins.command()
@PROJECT
@JSON
def doctor(project: str, as_json: bool) -> int:
    """Say what is wrong with the plugins here, and the command that mends it; exit code 1 where something is."""
    from oreflow import api
    from oreflow.cli import show

    found = api.doctor(project)
    print_json([finding.to_dict() for finding in found]) if as_json else show.findings(found)
    return 1 if found else 0


@plugins.command("new")
@click.argument("name")
@click.option(
    "--stage", required=True, type=click.Choice(["bronze", "silver", "gold"]), help="The stage of its processor."
)
def new_plugin(name: str, stage: str) -> None:
    """Make NAME, a package with a processor, its tests and all that it needs to be published."""
    from oreflow import api
    from oreflow.cli import show

    show.created_plugin(name, api.new_plugin(name, stage))


@plugins.command("check")
@click.argument("distribution")
@PROJECT
@JSON
def check_plugin(distribution: str, project: str, as_json: bool) -> int:
    """Judge the processors of DISTRIBUTION by the conformance kit; exit code 1 where one fails.

    DISTRIBUTION is one that is installed, or oreflow_plugins.py, the project's own file.
    """
    from oreflow import api
    from oreflow.cli import show

    found = api.check_plugin(distribution, project)
    print_json([vars(judgement) for judgement in found]) if as_json else show.judgements(distribution, found)
    return 0 if all(judgement.passed for judgement in found) else 1


for command in (tables, quarantine, health, runs):
    oreflow.add_command(command)
oreflow.add_command(config)
oreflow.add_command(alerts)
