"""What a person sees while a run is under way: a line for each table, and on a terminal what it is doing now."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from oreflow.factory import ProcessorFactory
from oreflow.hookspecs import hookimpl

_MARK = {"published": "+", "unchanged": "=", "stale": "~", "failed": "!", "skipped": "-", "interrupted": "x"}
_COLOUR = {
    "published": "green",
    "unchanged": None,
    "stale": "yellow",
    "failed": "red",
    "skipped": "yellow",
    "interrupted": "yellow",
}


class _Lines:
    """Writes a line when a table is done; on a terminal also one that is overwritten until then."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._width = 0

    @hookimpl
    def run_started(self, tables: Sequence[str]) -> None:
        """Make room for the longest name."""
        self._width = max((len(name) for name in tables), default=0)

    @hookimpl
    def step_progressed(self, table: str, batch: int, phase: str) -> None:
        """Show what is being done now."""
        if self._live:
            doing = "waits for another run" if phase == "waiting" else f"batch {batch} {phase}"
            _say(f"\r\x1b[2K  {table}  {doing} ...", nl=False)

    @hookimpl
    def tasks_progressed(self, table: str, batch: int, done: int, total: int) -> None:
        """Show how far the engine is."""
        if self._live and total:
            _say(f"\r\x1b[2K  {table}  batch {batch}: {done:,} of {total:,} tasks ...", nl=False)

    @hookimpl
    def resource_event(self, resource: str, event: dict[str, Any]) -> None:
        """Show what is waited for."""
        if self._live and event["kind"] == "delayed":
            _say(f"\r\x1b[2K  {resource}  {event['seconds']:.1f} s for the rate limit ...", nl=False)
        if self._live and event["kind"] == "retry":
            wait = f"attempt {event['attempt'] + 1} in {event['seconds']:.1f} s"
            _say(f"\r\x1b[2K  {resource}  {wait}: {event['error'][:60]} ...", nl=False)

    @hookimpl
    def step_finished(self, result: dict[str, Any]) -> None:
        """Show what became of a table."""
        if self._live:
            _say("\r\x1b[2K", nl=False)
        status = result["status"]
        name = f"{_MARK[status]} {result['table']:{self._width}}"
        parts = [click.style(name, fg=_COLOUR[status]), status]
        if status == "published":
            parts.append(f"batch {result['batch']} on {result['engine']}: {_rows(result)}, {result['seconds']:.2f} s")
        elif result["reason"]:
            parts.append(result["reason"])
        _say("  ".join(parts))
        for remark in result["remarks"]:
            _say(f"    {remark}")

    def clear(self) -> None:
        """Leave no half line behind."""
        if self._live:
            _say("\r\x1b[2K", nl=False)


def _say(text: str, *, nl: bool = True) -> None:
    """Print what can be done without: that nobody reads it, or that the disk is full, the report will find too."""
    with suppress(OSError):
        click.echo(text, nl=nl)


def _rows(result: dict[str, Any]) -> str:
    kinds = ("published", "quarantined", "superseded")
    counts = ", ".join(f"{result[f'rows_{kind}']:,} {kind}" for kind in kinds if result[f"rows_{kind}"])
    rows = "1 row" if result["rows_read"] == 1 else f"{result['rows_read']:,} rows"
    return f"{rows} = {counts or 'none'}"


@contextmanager
def shown(factory: ProcessorFactory) -> Iterator[None]:
    """Show the progress of the runs within, which a factory is told of."""
    lines = _Lines()
    hooks = factory.hooks
    hooks.register(lines)
    try:
        yield
    finally:
        lines.clear()
        hooks.unregister(lines)
