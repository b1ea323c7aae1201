"""The entry point of oreflow-openlineage: the section `lineage`, and a run that is told of as it goes on.

Without the section nothing is loaded and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oreflow.contract import DeclarationError, HealthCheck, Problem, SectionMetadata, Surroundings
from oreflow.hookspecs import hookimpl
from oreflow_openlineage.declared import SCHEMA, SECTION

if TYPE_CHECKING:
    from oreflow_openlineage.delivery import Delivery

oreflow_api = 1

_MOST_RUNS = 1000
"""So many runs are remembered: one that another plugin keeps from beginning never ends."""
_runs: dict[str, Delivery] = {}


@hookimpl
def sections() -> list[SectionMetadata]:
    """The section `lineage`."""
    return [SectionMetadata(SECTION, "0.1.0", "events of OpenLineage of each run", SCHEMA, takes_secrets=True)]


@hookimpl
def run_configured(run_id: str, sections: Mapping[str, Any], surroundings: Surroundings) -> list[Problem]:
    """Prepare what the events of a run are sent by, or say what is wrong with it; nothing is connected to."""
    section = sections.get(SECTION)
    if section is None:
        return []
    from oreflow_openlineage.sending import delivery

    made, problems = delivery(section, run_id, surroundings)
    if made:
        while len(_runs) >= _MOST_RUNS:
            _runs.pop(next(iter(_runs)), None)
        _runs[run_id] = made
    return problems


@hookimpl
def health_checks(surroundings: Surroundings, sections: Mapping[str, Any]) -> list[HealthCheck]:
    """Whether events can be sent, for which secrets have to be there; nothing is connected to."""
    section = sections.get(SECTION)
    if section is None:
        return []

    def look() -> str:
        from oreflow_openlineage.sending import delivery

        _, problems = delivery(section, "health", surroundings)
        if problems:
            raise DeclarationError(problems)
        return "events can be sent"

    return [HealthCheck(SECTION, look)]


@hookimpl
def run_started(run_id: str, plan: Sequence[Mapping[str, Any]], completed: Sequence[Mapping[str, Any]]) -> None:
    """START of the pipeline, and the ends of runs whose processes have gone."""
    _tell(run_id, "run_started", plan=plan, completed=completed)


@hookimpl
def step_started(run_id: str, table: str) -> None:
    """START of a table."""
    _tell(run_id, "step_started", table=table)


@hookimpl
def batch_started(run_id: str, table: str, batch: int, files: Sequence[Mapping[str, Any]]) -> None:
    """What a batch reads is in the event of its end."""
    _tell(run_id, "batch_started", table=table, batch=batch, files=files)


@hookimpl
def batch_finished(run_id: str, table: str, batch: int, status: str, account: Mapping[str, Any]) -> None:
    """RUNNING of a table."""
    _tell(run_id, "batch_finished", table=table, batch=batch, status=status, account=account)


@hookimpl
def step_finished(run_id: str, result: dict[str, Any]) -> None:
    """The end of a table."""
    _tell(run_id, "step_finished", result=result)


@hookimpl
def run_finished(run_id: str, report: dict[str, Any]) -> None:
    """The end of the pipeline.

    Raises:
        LineageFault: some events have not been sent; the run has a remark of it.
    """
    if made := _runs.pop(run_id, None):
        made.finish(report)


def _tell(run_id: str, what: str, **about: Any) -> None:
    if made := _runs.get(run_id):
        made.tell(what, **about)
