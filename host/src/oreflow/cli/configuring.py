"""The verbs of `oreflow config`."""

from __future__ import annotations

import json

import click

from oreflow.cli.groups import Extensible
from oreflow.cli.options import (
    COUNT,
    ENVIRONMENT,
    JSON,
    NAME,
    PROJECT,
    print_json,
    project_options,
)


@click.group(cls=Extensible)
@click.pass_context
def config(ctx: click.Context) -> None:
    """Ask where a value came from, what holds, what is wrong, and what was in use."""
    from oreflow.config.stored import asked_once

    ctx.with_resource(asked_once())


@config.command("show")
@click.argument("name", default="pipeline")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print YAML.")
@project_options
def show_config(
    name: str, as_yaml: bool, project: str, environment: str | None, options: tuple[str, ...], as_json: bool
) -> None:
    """Show the effective configuration of NAME with where each value came from; secrets are masked."""
    from oreflow import api
    from oreflow.cli import show_config as show

    if as_json and as_yaml:
        raise click.UsageError("--json and --yaml are two forms of the same: say one of them")
    found = api.effective_config(project, name, environment=environment, options=options)
    for problem in found.problems:
        click.echo(f"warning: {problem}", err=True)
    if as_json:
        print_json(found.to_dict())
    elif as_yaml:
        show.as_yaml(found.masked)
    else:
        show.configuration(found)


@config.command("explain")
@click.argument("key")
@project_options
def explain_config(key: str, project: str, environment: str | None, options: tuple[str, ...], as_json: bool) -> None:
    """Show every layer's word on KEY, such as retail.lake; the one that wins comes first."""
    from oreflow import api
    from oreflow.cli import show_config as show

    found = api.explain_config(key, project, environment=environment, options=options)
    if as_json:
        print_json([{"key": each, "said": [spoken.to_dict() for spoken in said]} for each, said in found])
    else:
        show.explanation(key, found)


@config.command("validate")
@click.argument("names", nargs=-1)
@PROJECT
@ENVIRONMENT
@JSON
def validate_config(names: tuple[str, ...], project: str, environment: str | None, as_json: bool) -> int:
    """Check NAMES (all configurations, where not said) in every environment; exit code 2 where something is wrong."""
    from oreflow import api
    from oreflow.cli import show_config as show

    found = api.check_config(project, names, environment)
    print_json([finding.to_dict() for finding in found]) if as_json else show.findings(
        found, api.foreign_variables(project, names)
    )
    return 2 if found else 0


@config.command("schema")
@click.argument("name", default="pipeline")
@PROJECT
def show_schema(name: str, project: str) -> None:
    """Print the JSON Schema of NAME: a configuration, or a dataclass as module:Class."""
    from oreflow import api

    click.echo(json.dumps(api.config_schema(name, project), indent=2, ensure_ascii=False))


@config.command("history")
@click.argument("name", default="pipeline")
@PROJECT
@ENVIRONMENT
@JSON
def config_history(name: str, project: str, environment: str | None, as_json: bool) -> None:
    """List the configurations that runs of NAME have used, the latest first."""
    from oreflow import api
    from oreflow.cli import show_config as show

    found = api.config_history(project, name, environment=environment)
    if as_json:
        print_json([vars(version) for version in found])
    elif found:
        show.history(found)
    else:
        lake = api.effective_config(project, name, environment=environment).masked.get("lake", "./lake")
        click.echo(f"no run of '{name}' has used any configuration so far in the lake {lake}")


@config.command("diff")
@click.argument("before", type=COUNT)
@click.argument("after", type=COUNT)
@NAME
@PROJECT
@ENVIRONMENT
@JSON
def config_diff(before: int, after: int, name: str, project: str, environment: str | None, as_json: bool) -> None:
    """Show what differs between the versions BEFORE and AFTER of `config history`."""
    from oreflow import api
    from oreflow.cli import show_config as show

    found = api.config_difference(before, after, project, name, environment=environment)
    print_json([vars(difference) for difference in found]) if as_json else show.differences(found)


@config.command("rollback")
@click.argument("version", type=COUNT)
@NAME
@PROJECT
@ENVIRONMENT
@JSON
def config_rollback(version: int, name: str, project: str, environment: str | None, as_json: bool) -> None:
    """Make VERSION of `config history` the effective configuration again, by writing the local layer."""
    from oreflow import api
    from oreflow.cli import show_config as show

    done = api.rollback_config(version, project, name, environment=environment)
    print_json(done.to_dict()) if as_json else show.rolled_back(version, done)


@config.command("pull")
@click.argument("name", default="pipeline")
@PROJECT
@ENVIRONMENT
@JSON
def config_pull(name: str, project: str, environment: str | None, as_json: bool) -> None:
    """Print what the shared store says of NAME, as a file that `config push` takes."""
    from oreflow import api
    from oreflow.cli import show_config as show

    found = api.pull_config(project, name, environment=environment)
    print_json(vars(found)) if as_json else show.stored(found)


@config.command("push")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--on", "expected", type=click.IntRange(min=0), help="The version that FILE was made on, from its pull.")
@click.option("--name", help="The configuration; the one that FILE was pulled of, where not said.")
@PROJECT
@ENVIRONMENT
@JSON
def config_push(
    file: str, expected: int | None, name: str | None, project: str, environment: str | None, as_json: bool
) -> None:
    """Publish FILE as the shared store's layer; refused where somebody has published since it was pulled."""
    from oreflow import api
    from oreflow.cli import show_config as show

    made_on, whose = show.pulled(file, expected, name)
    done = api.push_config(file, made_on, project, whose, environment=environment)
    print_json(done.to_dict()) if as_json else show.pushed(done)
