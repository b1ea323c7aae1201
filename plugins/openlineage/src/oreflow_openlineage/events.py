"""The events of one run: a job for the pipeline, one below it for each table, each with START, RUNNING and an end.

No value of a row is in them. What a backend of OpenLineage makes of each part is in docs/reference/lineage.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import UUID, uuid5

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    error_message_run,
    job_type_job,
    parent_run,
    processing_engine_run,
    sql_job,
    tags_run,
)

from oreflow import __version__
from oreflow.contract import Surroundings
from oreflow_openlineage.datasets import PRODUCER, Datasets, Moved, ours
from oreflow_openlineage.making import Making
from oreflow_openlineage.parents import Named, Parent

_RUNS = UUID("5b0a4a3c-6c0e-4f0b-9d5e-0e7a1c0f6b52")
"""The names of runs are made of the id that oreflow has for them within this one, so that anybody can make them."""
_ENDS = {
    "published": RunState.COMPLETE,
    "unchanged": RunState.COMPLETE,
    "stale": RunState.COMPLETE,
    "failed": RunState.FAIL,
    "skipped": RunState.ABORT,
    "interrupted": RunState.ABORT,
}
_ENDS_OF_RUNS = {"success": RunState.COMPLETE, "failed": RunState.FAIL, "interrupted": RunState.ABORT}
_ENGINES = {"polars": ("polars",), "spark": ("pyspark", "pyspark-client")}
"""The packages that say the version of an engine."""

_NOTHING: Moved = ([], [])

Handler = Callable[..., list[RunEvent]]


def run_uuid(namespace: str, run_id: str, job: str) -> str:
    """The name that the run of a job has in OpenLineage, by the id of the run in oreflow."""
    return str(uuid5(_RUNS, json.dumps([namespace, run_id, job])))


class Story:
    """Makes the events of a run of what its hooks are told, in their order."""

    def __init__(self, namespace: str, run_id: str, surroundings: Surroundings, parent: Parent | None) -> None:
        self._namespace, self._run_id = namespace, run_id
        self._surroundings, self._parent = surroundings, parent
        self._pipeline = Named(namespace, surroundings.pipeline, run_uuid(namespace, run_id, surroundings.pipeline))
        self._datasets = Datasets(surroundings.project, [])
        self._open: dict[str, Making] = {}

    def told(self, what: str, at: datetime, **about: Any) -> list[RunEvent]:
        """The events of something that a hook was told: `what` is the hook's name, `about` its arguments."""
        tell: Handler = getattr(self, f"_{what}")
        return tell(at, **about)

    # What hooks are told

    def _run_started(
        self, at: datetime, plan: Sequence[Mapping[str, Any]], completed: Sequence[Mapping[str, Any]]
    ) -> list[RunEvent]:
        self._datasets = Datasets(self._surroundings.project, plan)
        killed = [event for report in completed for event in self._of_killed(at, plan, report)]
        return [*killed, self._of_pipeline(RunState.START, at)]

    def _of_killed(self, at: datetime, plan: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> list[RunEvent]:
        """The ends of a run whose process has gone, and of the table that it was making."""
        story = Story(self._namespace, report["run_id"], self._surroundings, None)
        story._datasets = self._datasets
        known, cut, events = {each["table"] for each in plan}, {"errorMessage": _error("it was killed")}, []
        for table in report["tables"]:
            was_made = not table["seconds"] and table["status"] in ("published", "interrupted")
            if was_made and table["table"] in known:
                state = _ENDS[table["status"]]
                more = {} if state == RunState.COMPLETE else cut
                events.append(story._of_table(state, at, self._datasets.making(table["table"]), more=more))
        return [*events, story._of_pipeline(RunState.ABORT, at, cut)]

    def _step_started(self, at: datetime, table: str) -> list[RunEvent]:
        making = self._open[table] = self._datasets.making(table)
        return [self._of_table(RunState.START, at, making, self._datasets.declared(making))]

    def _batch_started(
        self, at: datetime, table: str, batch: int, files: Sequence[Mapping[str, Any]]
    ) -> list[RunEvent]:
        self._open[table].begin(batch, files)
        return []

    def _batch_finished(
        self, at: datetime, table: str, batch: int, status: str, account: Mapping[str, Any]
    ) -> list[RunEvent]:
        making = self._open[table]
        making.end(batch, status, account)
        return [self._of_table(RunState.RUNNING, at, making, self._datasets.moved(making, is_end=False))]

    def _step_finished(self, at: datetime, result: Mapping[str, Any]) -> list[RunEvent]:
        table = result["table"]
        making = self._open.pop(table)
        making.complete(result)
        self._datasets.know(table, result["columns"])
        state = _ENDS[result["status"]]
        more = {} if state == RunState.COMPLETE else {"errorMessage": _error(self._why(result))}
        moved = self._datasets.moved(making, is_end=True) if making.batches else _NOTHING
        return [self._of_table(state, at, making, moved, more)]

    def _run_finished(self, at: datetime, report: Mapping[str, Any]) -> list[RunEvent]:
        cut = {"errorMessage": _error("it was interrupted")}
        events = [self._of_table(RunState.ABORT, at, each, more=cut) for each in self._open.values()]
        self._open.clear()
        state = _ENDS_OF_RUNS[report["status"]]
        more = {} if state == RunState.COMPLETE else {"errorMessage": _error(_of_tables(report))}
        return [*events, self._of_pipeline(state, at, more)]

    # Events

    def _of_pipeline(self, state: RunState, at: datetime, more: Mapping[str, RunFacet] | None = None) -> RunEvent:
        engine = ours(
            processing_engine_run.ProcessingEngineRunFacet,
            name="oreflow",
            version=__version__,
            openlineageAdapterVersion=_adapter(),
        )
        facets: dict[str, RunFacet] = {"processing_engine": engine, **self._tags(), **(more or {})}
        if self._parent:
            facets["parent"] = _below(self._parent.run, self._parent.root)
        return self._event(state, at, self._pipeline, facets, {"jobType": _job_type("PIPELINE")})

    def _of_table(
        self,
        state: RunState,
        at: datetime,
        making: Making,
        moved: Moved = _NOTHING,
        more: Mapping[str, RunFacet] | None = None,
    ) -> RunEvent:
        planned = making.planned
        name = f"{self._pipeline.job}.{planned['table']}"
        named = Named(self._namespace, name, run_uuid(self._namespace, self._run_id, name))
        root = self._parent.root if self._parent else self._pipeline
        facets: dict[str, RunFacet] = {
            "parent": _below(self._pipeline, root),
            **_engine(planned["engine"]),
            **self._tags(),
            **(more or {}),
        }
        of_job: dict[str, JobFacet] = {"jobType": _job_type("TABLE")}
        if isinstance(query := planned["options"].get("sql"), str):
            of_job["sql"] = ours(sql_job.SQLJobFacet, query=query)
        return self._event(state, at, named, facets, of_job, moved)

    def _event(
        self,
        state: RunState,
        at: datetime,
        named: Named,
        facets: dict[str, RunFacet],
        of_job: dict[str, JobFacet],
        moved: Moved = _NOTHING,
    ) -> RunEvent:
        return RunEvent(
            eventType=state,
            eventTime=at.isoformat(timespec="milliseconds"),
            run=Run(named.run_id, facets),
            job=Job(named.namespace, named.job, of_job),
            inputs=moved[0],
            outputs=moved[1],
            producer=PRODUCER,
        )

    def _tags(self) -> dict[str, RunFacet]:
        said = {"oreflow_run_id": self._run_id, "environment": self._surroundings.environment}
        tags = [tags_run.TagsRunFacetFields(key, value, "OREFLOW") for key, value in said.items() if value]
        return {"tags": ours(tags_run.TagsRunFacet, tags=tags)}

    def _why(self, result: Mapping[str, Any]) -> str:
        """Why a table was not made. The words of an error may have values of rows, and are not in it."""
        if result["status"] == "interrupted":
            return "it was interrupted"
        last = result["batches"][-1] if result["batches"] else None
        if result["status"] == "skipped" or last is None or last["status"] == "published":
            return str(result["reason"])
        where = f"`oreflow runs show {self._run_id}` says more"
        if last["status"] == "refused":
            figures = "; ".join(each["figures"] for each in last["failures"])
            return f"batch {last['batch']} did not pass the quality gate: {figures} - {where}"
        kind = last["reason"].partition(":")[0]  # it begins with the class of the error
        return f"batch {last['batch']} has failed with {kind or 'an error'} - {where}"


def _of_tables(report: Mapping[str, Any]) -> str:
    made = [each for each in report["tables"] if _ENDS[each["status"]] == RunState.COMPLETE]
    others = [f"{each['table']} ({each['status']})" for each in report["tables"] if each not in made]
    return f"{len(others)} of {len(report['tables'])} tables were not made: {', '.join(others)}"


def _error(message: str) -> RunFacet:
    return ours(error_message_run.ErrorMessageRunFacet, message=message, programmingLanguage="PYTHON")


def _below(run: Named, root: Named) -> RunFacet:
    return ours(
        parent_run.ParentRunFacet,
        run=parent_run.Run(run.run_id),
        job=parent_run.Job(run.namespace, run.job),
        root=parent_run.Root(parent_run.RootRun(root.run_id), parent_run.RootJob(root.namespace, root.job)),
    )


def _job_type(kind: str) -> JobFacet:
    return ours(job_type_job.JobTypeJobFacet, processingType="BATCH", integration="OREFLOW", jobType=kind)


def _engine(name: str) -> dict[str, RunFacet]:
    """The engine that a table is made on, where its version is known."""
    for package in _ENGINES.get(name, ()):
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        facet = processing_engine_run.ProcessingEngineRunFacet
        return {"processing_engine": ours(facet, name=name, version=found, openlineageAdapterVersion=_adapter())}
    return {}


def _adapter() -> str:
    return version("oreflow-openlineage")
