"""`oreflow report`: which run, where the page goes, and who opens it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
from pathlib import Path

import click

from oreflow.contract import DeclarationError, Problem
from oreflow.secrets import redacted

_BEGIN = 4096
"""Bytes of a file that are looked at to say whether it is a report."""


@click.command()
@click.argument("run", default="latest")
@click.option("--output", metavar="FILE", help="The file of the page; oreflow-report-RUN.html here, where not said.")
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
@click.option("--no-rows", is_flag=True, help="Leave out the values of rejected rows.")
@click.option("--pipeline", default="pipeline", help="The pipeline: NAME is config/NAME.yaml.")
@click.option("--project", default=".", type=click.Path(file_okay=False), help="The project's folder.")
@click.option("--env", "environment", help="The environment layer: development, staging, production or test.")
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Say a value over all other layers.")
@click.option("--json", "as_json", is_flag=True, help="Print the document behind the page, and write none.")
def report(
    run: str,
    output: str | None,
    *,
    opens: bool,
    no_rows: bool,
    pipeline: str,
    project: str,
    environment: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the report of RUN (its id, the beginning of one, or latest) as one page that needs nothing else."""
    if as_json and (output or opens):
        raise click.UsageError(f"say {'--output' if output else '--open'} or --json: no page is written with --json")
    from oreflow_report.gathering import gather

    clean = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with clean:  # what plugins may print must not stand within JSON
        document = redacted(
            gather(run, project, pipeline=pipeline, environment=environment, options=options, rows=not no_rows)
        )
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from oreflow_report.page import GENERATOR, render

    path = _place(output, document["run"]["run_id"])
    _refuse_what_is_no_report(path, GENERATOR)
    _write(path, render(document))
    click.echo(f"wrote {path}")
    if opens and not _opened(path):
        click.echo("no browser was found here; open the file in one", err=True)


def _place(output: str | None, run_id: str) -> Path:
    name = f"oreflow-report-{run_id}.html"
    path = Path(output or name)
    if path.is_dir() or (output or "").endswith(("/", os.sep)):
        path = path / name
    if not path.parent.is_dir():
        problem = Problem(f"there is no folder {path.parent}", mend="make it, or say another file: --output FILE")
        raise DeclarationError([problem])
    return path


def _refuse_what_is_no_report(path: Path, generator: str) -> None:
    try:
        with path.open("rb") as file:
            begin = file.read(_BEGIN)
    except FileNotFoundError:
        return
    if f'<meta name="generator" content="{generator}'.encode() not in begin:
        mend = "say another file: --output FILE"
        raise DeclarationError([Problem(f"{path} is there, and no report of a run; it is left as it is", mend=mend)])


def _write(path: Path, page: str) -> None:
    """Write the page whole or not at all: somebody may have the one before open.

    Raises:
        OSError: it cannot be written, as to a full disk.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def _opened(path: Path) -> bool:
    import webbrowser

    try:
        return webbrowser.open(path.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False
