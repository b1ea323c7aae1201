"""The entry point of oreflow-report: the command `oreflow report`, which loads what draws only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oreflow.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

oreflow_api = 1


@hookimpl
def cli_commands() -> list[click.Command]:
    """The command `report`."""
    from oreflow_report.command import report

    return [report]
