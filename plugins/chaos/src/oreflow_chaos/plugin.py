"""The entry point of oreflow-chaos: the section `chaos`, and the faults that it declares around the calls of a run.

Without the section nothing is loaded and nothing is changed; a call costs what it is to ask for its run.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from oreflow.contract import Problem, SectionMetadata
from oreflow.hookspecs import hookimpl
from oreflow_chaos.declared import SCHEMA

if TYPE_CHECKING:
    from oreflow_chaos.faults import Chaos

oreflow_api = 1

SECTION = "chaos"
_MOST_RUNS = 1000
"""So many runs are remembered: one that another plugin keeps from beginning never ends."""
_runs: dict[str, Chaos] = {}


@hookimpl
def sections() -> list[SectionMetadata]:
    """The section `chaos`."""
    return [SectionMetadata(SECTION, "0.1.0", "faults that are injected into a run on purpose", SCHEMA)]


@hookimpl
def run_configured(
    run_id: str, sections: Mapping[str, Any], resources: Mapping[str, str], environment: str
) -> list[Problem]:
    """Take the faults of a run down, or say what is wrong with them."""
    section = sections.get(SECTION)
    if section is None:
        return []
    from oreflow_chaos.declared import problems
    from oreflow_chaos.faults import Chaos

    found = problems(section, resources, environment)
    if not found:
        while len(_runs) >= _MOST_RUNS:
            _runs.pop(next(iter(_runs)), None)
        _runs[run_id] = Chaos(section, run_id)
    return found


@hookimpl(wrapper=True)
def call_resource(run_id: str, resource: str, operation: str) -> Generator[None, Any, Any]:
    """Inject what is due before the call and after it."""
    chaos = _runs.get(run_id)
    if chaos is None:
        return (yield)
    due = chaos.due(resource, operation)
    for fault in due:
        fault.before(resource, operation)
    result = yield
    for fault in due:
        result = fault.after(resource, operation, result)
    return result


@hookimpl
def run_finished(run_id: str) -> None:
    """Say what was injected, and forget the faults of the run."""
    if chaos := _runs.pop(run_id, None):
        chaos.tell(run_id)
