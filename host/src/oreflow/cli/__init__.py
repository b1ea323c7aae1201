"""The command line: verbs only; all that they do is in `oreflow.api`."""

from __future__ import annotations

import oreflow.cli.collector  # isort: skip  # noqa: F401  before everything that it is to speed up

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from oreflow.cli.commands import oreflow as cli
from oreflow.contract.errors import DeclarationError, OreflowError
from oreflow.secrets import redacted


def main() -> None:
    """Run a command, and end the process.

    Exit codes: 0 success, 1 a failed run, 2 a mistake in a declaration or a command, 130 interrupted.
    """
    code = _run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has had enough; what was done is done
        pass
    except OSError as error:  # the disk is full
        code = code or _tell(error)
    sys.stderr.flush()
    # Engines end what they began elsewhere, such as a session of a server.
    atexit._run_exitfuncs()  # noqa: SLF001  the only way to have them run before what follows
    # Everything is written. Taking an interpreter with an engine in it down in good order costs 0.15 s for nothing.
    os._exit(code)


def _run() -> int:
    _prepare_output()
    try:
        code = cli.main(prog_name="oreflow", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except SystemExit as end:  # click ends the process with 1 where the reader, such as `head`, has had enough
        return 0 if isinstance(end.__context__, BrokenPipeError) else 1
    except (OreflowError, click.ClickException, OSError) as error:
        return _tell(error)
    except Exception:
        traceback.print_exc()
        return 1
    return code if isinstance(code, int) else 0


def _prepare_output() -> None:
    if sys.stdout is None:  # somebody has closed it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  open as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # data may have what the terminal's encoding has not
    # What other libraries log is for their users; oreflow's own warnings are for ours.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("oreflow").addHandler(_Warnings(logging.WARNING))
    streams: Any = _Discreet(sys.stdout), _Discreet(sys.stderr)
    sys.stdout, sys.stderr = streams


class _Warnings(logging.Handler):
    """Says on standard error what happened, as other messages of the command line are said."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


class _Discreet:
    """A stream that shows no secret which this process has followed, whatever prints it: a message, a traceback."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return int(self._stream.write(redacted(text)))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _tell(error: Exception) -> int:
    """Say what is wrong on standard error; gives the exit code."""
    if isinstance(error, DeclarationError):
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return 2
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return 0
    if isinstance(error, click.ClickException):
        click.echo(f"error: {error.format_message()}", err=True)
        if isinstance(error, click.UsageError) and error.ctx:
            click.echo(f"{error.ctx.get_usage()}  (--help tells more)", err=True)
        return error.exit_code
    if isinstance(error, OSError):
        click.echo(f"error: {error.filename or 'the output'}: {error.strerror or error}", err=True)
        return 1
    click.echo(f"error: {error}", err=True)
    return 1
