"""What became of a run in one sentence, and what to do next: the commands that lead on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from oreflow_report.texts import VALUE, counted, shown

Json = dict[str, Any]
TABLES = 25
"""Tables of which rejected rows are shown, those with most of them first."""
_MOST_OPTIONS = 10
"""Batches that a command names: one with more is longer than somebody types, and shows all instead."""


@dataclass(frozen=True)
class Project:
    """Where a run was made, as the command line is told it: for the commands that the report says."""

    folder: str = "."
    pipeline: str = "pipeline"
    environment: str | None = None

    def command(self, *words: str, positional: bool = False) -> str:
        """A command of oreflow for this pipeline; `positional`: it takes the pipeline as its last argument."""
        parts = ["oreflow", *words]
        if self.pipeline != Project.pipeline:
            parts += [self.pipeline] if positional else ["--pipeline", self.pipeline]
        parts += ["--project", self.folder] if self.folder != Project.folder else []
        parts += ["--env", self.environment] if self.environment else []
        return shlex.join(parts)


def verdict(run: Json, earlier: Sequence[Json], project: Project) -> Json:
    """One sentence on the run, and the commands that lead on."""
    if run["status"] == "failed":
        return _failed(run, earlier, project)
    if run["status"] == "interrupted":
        text = "What was published is whole and stays. The next run goes on from there."
        return _said("interrupted", "The run was interrupted", text, [_again(project, "run again")])
    if run["status"] == "running":
        step = {"say": "look again when it is over", "command": project.command("report", run["run_id"])}
        return _said("running", "The run is under way", "These are its figures so far.", [step])
    return _succeeded(run, project)


def _failed(run: Json, earlier: Sequence[Json], project: Project) -> Json:
    failed = [table for table in run["tables"] if table["status"] == "failed"]
    skipped = sum(table["status"] == "skipped" for table in run["tables"])
    said = [_why(table) for table in failed[:3]]
    if said:
        said = [f"{'; '.join(said)}."]
    if skipped:
        said.append(f"{counted(skipped, 'table')} made of it {'was' if skipped == 1 else 'were'} skipped.")
    said.append("Readers see the tables as they were before.")
    text = " ".join(said)
    title = f"{_named(failed)} failed" if failed else "The run failed"
    again = _again(project, "when it is mended, run again: what is published stays")
    steps = [*_look_at_failures(failed, run, earlier, project), again]
    return _said("failed", title, f"{text[:1].upper()}{text[1:]}", steps)


def _succeeded(run: Json, project: Project) -> Json:
    made = [table for table in run["tables"] if table["status"] == "published"]
    if stale := [table for table in run["tables"] if table["status"] == "stale"]:
        title = f"{_named(stale)} {'is' if len(stale) == 1 else 'are'} stale"
        text = "What it is made of could not be reached; it is as it was before."
        look = {"say": "see whether it can be reached now", "command": project.command("health")}
        return _said("attention", title, text, [look, _again(project, "when it can, run again")])
    if not made:
        text = "There was no new input. Every table is as it was before."
        return _said("unchanged", "Nothing new, nothing was changed", text, [])
    title = f"{counted(len(made), 'table')} published"
    aside = [table for table in made if table["rows_quarantined"]]
    if not aside:
        return _said("success", title, "No row was set aside. Nothing is to be done.", [])
    number = sum(table["rows_quarantined"] for table in aside)
    text = f"{counted(number, 'row')} of {_named(aside)} {'was' if number == 1 else 'were'} set aside."
    return _said("success", title, text, [_look_at_quarantine(table, project) for table in worst_tables(run)[:3]])


def _said(kind: str, title: str, text: str, steps: Sequence[Json]) -> Json:
    return {"kind": kind, "title": title, "text": text, "next": list(steps)}


def _again(project: Project, say: str) -> Json:
    return {"say": say, "command": project.command("run", positional=True)}


def _named(tables: Sequence[Json]) -> str:
    """`silver.orders`, `silver.orders and gold.days`, `silver.orders and 3 more`."""
    names = [shown(table["table"]) for table in tables]
    if len(names) > 2:  # noqa: PLR2004  two have room
        return f"{names[0]} and {len(names) - 1} more tables"
    return " and ".join(names)


def _why(table: Json) -> str:
    """Why a table failed, without examples: what its gate had against it, or the first words of what went wrong."""
    failures = [failure["figures"] for batch in table["batches"] for failure in batch["failures"]]
    return shown("; ".join(failures) or table["reason"], VALUE)


def _look_at_failures(failed: Sequence[Json], run: Json, earlier: Sequence[Json], project: Project) -> Iterator[Json]:
    """Where the rows are that a gate refused; of what failed otherwise, what is not as it was when all went well."""
    for table in failed[:3]:
        for batch in table["batches"]:
            if batch["status"] == "refused" and batch["quarantined"]:
                say = f"look at the rows of {shown(table['table'])} that its gate refused; the worst stand below"
                command = project.command("quarantine", "show", table["table"], "--refused", str(batch["batch"]))
                yield {"say": say, "command": command}
    well = [each["run_id"] for each in earlier if each["status"] == "success" and is_before(each, run)]
    if well:
        command = project.command("runs", "compare", well[0], run["run_id"])
        yield {"say": "see what is otherwise than in the last run that went well", "command": command}


def _look_at_quarantine(table: Json, project: Project) -> Json:
    command = project.command("quarantine", "show", table["table"], *of_batches(table))
    return {"say": f"look at the rows of {shown(table['table'])} that were set aside", "command": command}


def of_batches(table: Json) -> list[str]:
    """The options that show the rows which a run has set aside of a table, and no others; none where that are many."""
    made = [batch["batch"] for batch in table["batches"] if batch["status"] == "published" and batch["quarantined"]]
    return [word for batch in made for word in ("--batch", str(batch))] if len(made) <= _MOST_OPTIONS else []


def worst_tables(run: Json) -> list[Json]:
    """The tables of which rejected rows are shown: those with most of them first."""
    aside = [table for table in run["tables"] if table["rows_quarantined"]]
    return sorted(aside, key=lambda table: -table["rows_quarantined"])[:TABLES]


def is_before(report: Json, run: Json) -> bool:
    """Whether a report is of an earlier run."""
    earlier: bool = report["started_at"] < run["started_at"]
    return earlier
