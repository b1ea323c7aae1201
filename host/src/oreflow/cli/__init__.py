"""The command line: verbs only; all that they do is in `oreflow.api`."""

from __future__ import annotations

import sys

import click

from oreflow.cli.commands import oreflow as cli
from oreflow.contract.errors import DeclarationError, OreflowError


def main() -> None:
    """Run a command. Exit codes: 0 success, 1 a failed run, 2 a mistake in a declaration or a command."""
    try:
        code = cli.main(prog_name="oreflow", standalone_mode=False)
    except DeclarationError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        sys.exit(2)
    except OreflowError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        if isinstance(error, click.UsageError) and error.ctx:
            click.echo(error.ctx.get_usage() + "  (--help tells more)", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
