"""What the document of a run is made of, by the same functions that anybody may call."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oreflow import api
from oreflow.contract import OreflowError
from oreflow_report.document import ROWS, describe
from oreflow_report.verdict import Json, Project, worst_tables

_log = logging.getLogger("oreflow.report")


def gather(
    run: str = "latest",
    project: str = ".",
    *,
    pipeline: str = "pipeline",
    environment: str | None = None,
    options: Sequence[str] = (),
    rows: bool = True,
) -> Json:
    """The document of a run: by its id, the beginning of one, or `latest`; `rows`: with values of rejected rows.

    Raises:
        DeclarationError: there is no such run, or the declaration cannot be read.
    """
    where: dict[str, Any] = {"pipeline": pipeline, "environment": environment, "options": options}
    found = api.runs(project, **where)
    chosen, others = api.show_run(run, among=found).to_dict(), [each.to_dict() for each in found]
    rejected = {}
    for table in worst_tables(chosen) if rows else ():
        try:
            rejected[table["table"]] = list(_worst_rows(table, chosen, others, project, where))
        except (OreflowError, OSError) as error:  # of a run long ago the table may be gone; the rest can be told
            _log.warning("the rejected rows of %s cannot be shown: %s", table["table"], error)
    return describe(chosen, others, rejected, Project(str(Path(project).resolve()), pipeline, environment), rows=rows)


def _worst_rows(table: Json, run: Json, others: Sequence[Json], project: str, where: dict[str, Any]) -> Iterator[Json]:
    """Of the rows that a run set aside, or would have but for the gate, those that broke most rules."""

    def rows(**which: Any) -> list[Json]:
        return api.quarantine(project, table["table"], **which, worst=True, limit=ROWS, **where)

    if published := [batch["batch"] for batch in table["batches"] if batch["status"] == "published"]:
        yield from rows(batches=published)
    later = [each for other in others if other["started_at"] > run["started_at"] for each in other["tables"]]
    for number in _refused(table):
        # Of a batch that was refused again only the last candidate is kept.
        if not any(each["table"] == table["table"] and number in _refused(each) for each in later):
            yield from ({**row, "_refused": True} for row in rows(refused=number))


def _refused(table: Json) -> list[int]:
    return [batch["batch"] for batch in table["batches"] if batch["status"] == "refused"]
