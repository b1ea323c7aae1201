"""The run that has started this one, as schedulers say it to what they start.

https://openlineage.io/docs/integrations/dbt has the variables; Airflow's macro `lineage_parent_id` gives their values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

CONTEXT, PARENT, ROOT = "OPENLINEAGE_CONTEXT", "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"


class Named(NamedTuple):
    """A run of a job, by the names that it has there."""

    namespace: str
    job: str
    run_id: str


class Parent(NamedTuple):
    """The run that has started this one, and the first one of all that led to it."""

    run: Named
    root: Named


def parent_of(environment: Mapping[str, str]) -> tuple[Parent | None, str]:
    """The parent that some variables say, and a remark where they say none in a form that can be read.

    `OPENLINEAGE_CONTEXT` goes before the other two, as it does for dbt.
    """
    if said := environment.get(CONTEXT):
        try:
            parent = json.loads(said)["parent"]
            run = _of_json(parent)
            return Parent(run, _of_json(parent["root"]) if parent.get("root") else run), ""
        except (ValueError, KeyError, TypeError, AttributeError):
            return None, f"{CONTEXT} is no JSON with the run and the job of a parent, and was not heeded"
    name, found = PARENT, []
    for name in (PARENT, ROOT):
        if said := environment.get(name):
            try:
                found.append(_of_text(said))
            except ValueError:
                return None, f"{name} is not of the form NAMESPACE/JOB/RUN, with a UUID as the run, and was not heeded"
        elif name == PARENT:
            return None, ""
    return Parent(found[0], found[-1]), ""


def _of_json(said: Mapping[str, Any]) -> Named:
    job = said["job"]
    return Named(_text(job["namespace"]), _text(job["name"]), str(UUID(said["run"]["runId"])))


def _of_text(said: str) -> Named:
    namespace, job, run_id = said.rsplit("/", 2)  # a namespace may be an address
    return Named(_text(namespace), _text(job), str(UUID(run_id)))


def _text(said: object) -> str:
    if not isinstance(said, str) or not said:
        raise ValueError(said)
    return said
