"""The command line: verbs only; all that they do is in `oreflow.api`."""

from __future__ import annotations

import oreflow.cli.collector  # isort: skip  # noqa: F401  before everything that it is to speed up

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Iterable
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from oreflow.cli.commands import oreflow as cli
from oreflow.contract.errors import DeclarationError, OreflowError
from oreflow.secrets import Redaction


def main() -> None:
    """Run a command, and end the process.

    Exit codes: 0 success, 1 a failed run, 2 a mistake in a declaration or a command, 130 interrupted.
    """
    code = _run()
    try:
        _finish(sys.stdout)
    except BrokenPipeError:  # the reader, such as `head`, has had enough; what was done is done
        pass
    except OSError as error:  # the disk is full
        code = code or _tell(error)
    _finish(sys.stderr)
    # Engines end what they began elsewhere, such as a session of a server.
    atexit._run_exitfuncs()  # noqa: SLF001  the only way to have them run before what follows
    # Everything is written. Taking an interpreter with an engine in it down in good order costs 0.15 s for nothing.
    os._exit(code)


def _run() -> int:
    _prepare_output()
    try:
        code = cli.main(prog_name="oreflow", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return 130
    except SystemExit as end:  # click ends the process with 1 where the reader, such as `head`, has had enough
        return 0 if isinstance(end.__context__, BrokenPipeError) else 1
    except (OreflowError, click.ClickException, OSError) as error:
        return _tell(error)
    except Exception:
        traceback.print_exc()
        return 1
    return code if isinstance(code, int) else 0


def _finish(stream: Any) -> None:
    """Write all that a stream has; it may be one that somebody has put in the place of ours."""
    stream.finish() if isinstance(stream, _Discreet) else stream.flush()


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
    """Says on standard error what happened, as other messages of the command line are said; not where log lines do."""

    gives_way = True

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


class _Discreet:
    """A stream that shows no secret which this process has followed, whatever prints it: a message, a traceback."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._filter = Redaction(stream.write)

    def write(self, text: str) -> int:
        self._filter.feed(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._filter.flush()
        self._stream.flush()

    def finish(self) -> None:
        """Write what was held back; nothing comes any more."""
        if "buffer" in vars(self):
            self.buffer.finish()
        self._filter.flush(last=True)
        self._stream.flush()

    @cached_property
    def buffer(self) -> _DiscreetBytes:
        return _DiscreetBytes(self._stream.buffer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _DiscreetBytes(_Discreet):
    """The same for who writes bytes; those that are no text go through as they are."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._filter = Redaction(lambda text: stream.write(text.encode(errors="surrogateescape")))

    def write(self, data: Any) -> int:
        self._filter.feed(bytes(data).decode(errors="surrogateescape"))
        return len(data)


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
