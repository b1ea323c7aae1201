"""The entry point of oreflow-ledger: the section `database`, and what a run tells of itself on the way to the ledger.

Nothing of a database is loaded before a run has a ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.contract import DeclarationError, HealthCheck, Problem, SectionMetadata, Surroundings
from oreflow.hookspecs import hookimpl
from oreflow_ledger.section import NAME, SCHEMA, Place, place_of

if TYPE_CHECKING:
    import click

    from oreflow_ledger.writer import Writer

oreflow_api = 1

_MOST_RUNS = 1000
"""So many runs are remembered: one that another plugin keeps from beginning never ends."""
_places: dict[str, Place] = {}
_writers: dict[str, Writer] = {}


@hookimpl
def sections() -> list[SectionMetadata]:
    """The section `database`."""
    return [SectionMetadata(NAME, "0.1.0", "where the ledger of runs is kept", SCHEMA, takes_secrets=True)]


@hookimpl
def run_configured(run_id: str, sections: Mapping[str, Any], surroundings: Surroundings) -> Sequence[Problem]:
    """Take down where a run's ledger is, or say what is wrong with that."""
    if NAME not in sections:
        return []
    try:
        place = place_of(sections[NAME], surroundings)
    except DeclarationError as error:
        return error.problems
    while len(_places) >= _MOST_RUNS:
        _places.pop(next(iter(_places)), None)
    _places[run_id] = place
    return []


@hookimpl
def run_started(
    run_id: str, pipeline: str, plan: Sequence[Mapping[str, Any]], completed: Sequence[Mapping[str, Any]]
) -> None:
    """Begin to write; first how runs ended that were killed."""
    if place := _places.pop(run_id, None):
        from oreflow_ledger.writer import Writer

        begun: dict[str, Any] = {
            "pipeline": pipeline,
            "run_id": run_id,
            "status": "running",
            "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": None,
            "configuration": {},
        }
        _writers[run_id] = Writer(place, begun, lake_of(plan[0]["table"], plan[0]["path"]), completed)


@hookimpl
def step_finished(run_id: str, result: dict[str, Any]) -> None:
    """Have a step written."""
    if writer := _writers.get(run_id):
        writer.step(result)


@hookimpl
def run_finished(run_id: str, report: dict[str, Any]) -> None:
    """Have the run's end written; what the ledger lacks then is a remark of the report."""
    if writer := _writers.pop(run_id, None):
        writer.end(report)


@hookimpl
def health_checks(surroundings: Surroundings, sections: Mapping[str, Any]) -> list[HealthCheck]:
    """Whether the ledger can be written to."""
    if NAME not in sections:
        return []

    def look() -> str:
        from oreflow_ledger.looking import look

        return look(place_of(sections[NAME], surroundings))

    return [HealthCheck("ledger", look)]


@hookimpl
def cli_commands() -> list[click.Command]:
    """`oreflow runs rebuild`."""
    from oreflow_ledger.command import rebuild

    return [rebuild]


def lake_of(table: str, path: str) -> str:
    """The lake that a table is in, by the table's folder: `lake/silver/orders` of `silver.orders`."""
    return str(Path(path).parents[table.count(".")])
