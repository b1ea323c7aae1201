"""`oreflow runs rebuild`, with the options that the host's own commands about runs have."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict

import click


@click.command("runs rebuild")
@click.option("--pipeline", default="pipeline", help="The pipeline: NAME is config/NAME.yaml.")
@click.option(
    "--project", default=".", type=click.Path(file_okay=False), help="The project's folder (here, where not said)."
)
@click.option("--env", "environment", help="The environment layer: development, staging, production or test.")
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Say a value over all other layers.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rebuild(pipeline: str, project: str, environment: str | None, options: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001  click hands it over by name
    """Write the ledger of runs anew from what is kept beside the tables."""
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what a plugin may print is no part of the answer
        from oreflow_ledger import rebuild as work

        found = work.rebuild(project, pipeline, environment, options)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False), file=output)
        return
    click.echo(f"wrote what is kept of {found.pipeline} into {found.ledger}", file=output)
    for name in ("runs", "steps", "batches"):
        counted = getattr(found, name)
        click.echo(f"  {name:8} {counted.written:>7,}, of which the ledger lacked {counted.missing:,}", file=output)
