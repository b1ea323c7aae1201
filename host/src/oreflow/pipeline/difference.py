"""What differs between two runs of a pipeline: between the run that went well and the one that did not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from oreflow.pipeline.report import RunReport, TableResult

_OF_TABLES = (
    "status",
    "reason",
    "rows_read",
    "rows_published",
    "rows_quarantined",
    "rows_superseded",
    "quality_score",
    "seconds",
    "retries",
    "engine",
    "processor",
    "distribution",
    "version",
)


@dataclass(frozen=True)
class RunDifference:
    """A figure of which two runs have another value: of a `table`, or of the whole run ('').

    `before` and `after` are None where the run has none of that; `change` is their difference where both are numbers.
    """

    table: str
    what: str
    before: Any
    after: Any

    @property
    def change(self) -> float | None:
        """How much more the second run has."""
        if not isinstance(self.before, (int, float)) or not isinstance(self.after, (int, float)):
            return None
        return round(self.after - self.before, 6)

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values."""
        return {**asdict(self), "change": self.change}


def compare(before: RunReport, after: RunReport) -> list[RunDifference]:
    """What differs, the run's own first, then the tables' in the order in which they are made."""
    found = list(_differences("", _of_run(before), _of_run(after)))
    tables = [{each.table: each for each in report.tables} for report in (before, after)]
    for name in dict.fromkeys([*tables[1], *tables[0]]):
        found += _differences(name, *(_of_table(each.get(name)) for each in tables))
    return found


def _differences(table: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[RunDifference]:
    for what in dict.fromkeys([*before, *after]):
        one, other = before.get(what), after.get(what)
        if one != other:
            yield RunDifference(table, what, one, other)


def _of_run(report: RunReport) -> dict[str, Any]:
    plugins = {f"{each['part']} of {each['distribution']}": each["version"] for each in report.plugins}
    retries = {f"retries of {use['resource']}": use["retries"] for use in report.resources if use["retries"]}
    return {
        "status": report.status,
        "seconds": report.seconds,
        "configuration": report.configuration.get("version") or report.configuration.get("hash"),
        **plugins,
        **retries,
    }


def _of_table(result: TableResult | None) -> dict[str, Any]:
    if result is None:
        return {}
    about = {name: getattr(result, name) for name in _OF_TABLES}
    return {key: value for key, value in about.items() if value != ""} | {
        f"rows that broke {rule!r}": rows for rule, rows in result.rules.items()
    }
