"""What the commands have in common: options, and JSON with nothing else on standard output."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import click

from oreflow.secrets import redacted

_OUTPUT = "oreflow.output"


def _keep_output_clean(ctx: click.Context, _: click.Parameter, wanted: bool) -> bool:
    """Send what plugins may print elsewhere, so that standard output is JSON and nothing else."""
    if wanted and _OUTPUT not in ctx.meta:
        ctx.meta[_OUTPUT] = sys.stdout
        ctx.with_resource(contextlib.redirect_stdout(sys.stderr))
    return wanted


JSON = click.option("--json", "as_json", is_flag=True, callback=_keep_output_clean, help="Print JSON.")
PROJECT = click.option(
    "--project", default=".", type=click.Path(file_okay=False), help="The project's folder (here, where not said)."
)
ENVIRONMENT = click.option(
    "--env", "environment", help="The environment layer: development, staging, production or test."
)
SET = click.option(
    "--set", "options", multiple=True, metavar="KEY=VALUE", help="Say a value over all other layers (several times)."
)
PIPELINE = click.option("--pipeline", default="pipeline", help="The pipeline: NAME is config/NAME.yaml.")
COUNT = click.IntRange(min=1)
ENGINE = click.option("--engine", help="Use this engine for every table.")


def project_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that looks at a project's declaration."""
    for option in (JSON, SET, ENVIRONMENT, PROJECT):
        command = option(command)
    return command


NAME = click.option("--name", default="pipeline", help="The configuration: NAME is config/NAME.yaml.")


def refuse_lost_options(ctx: click.Context) -> None:
    """Options before a subcommand would have no effect."""
    for name in ctx.params:
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = "--" + {"as_json": "json", "environment": "env", "options": "set"}.get(name, name)
            raise click.UsageError(f"say {option} after '{ctx.invoked_subcommand}'", ctx)


def print_json(value: Any) -> None:
    """Print JSON where standard output was before plugins were kept from it."""
    output = click.get_current_context().meta[_OUTPUT]
    text = json.dumps(redacted(value), indent=2, default=lambda each: redacted(str(each)), ensure_ascii=False)
    click.echo(text, file=output)
