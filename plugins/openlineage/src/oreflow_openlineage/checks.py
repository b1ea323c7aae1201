"""The facet `dataQualityAssertions` of what a table is made of: what its checks have found, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

from oreflow_openlineage.columns import named

_OF_ROWS = ("completeness", "validity", "uniqueness")
"""Kinds of check that judge each row: how many have failed is in the account."""
_OF_VALIDITY = {
    "expression": "custom_sql",
    "pattern": "matches_pattern",
    "values": "accepted_values",
    "range": "accepted_range",
}


def assertions(
    checks: Sequence[Mapping[str, Any]], batches: Sequence[Mapping[str, Any]], column_of: Callable[[str], str | None]
) -> list[quality.Assertion]:
    """What the declared checks of a table have found in batches, and which other rules their rows have broken.

    `batches` are accounts of batches that were judged. `column_of` gives the column of the input that one of the table
    comes from. Of a kind of check that nobody knows here it is not always told whether it has passed; then nothing is
    said.
    """
    broken = Counter[str]()
    for account in batches:
        broken.update(account["rules"])
    found = [_declared(check, batches, broken, column_of) for check in checks]
    return [each for each in found if each] + list(_others(checks, broken))


def _declared(
    check: Mapping[str, Any],
    batches: Sequence[Mapping[str, Any]],
    broken: Mapping[str, int],
    column_of: Callable[[str], str | None],
) -> quality.Assertion | None:
    name, columns = check["name"], named(check)
    about: dict[str, Any] = {
        "name": name,
        "assertion": _classified(check),
        "severity": "error" if check["action"] == "fail" else "warn",
        "params": {"action": check["action"], **({"columns": columns} if len(columns) > 1 else {})},
    }
    if len(columns) == 1:
        about["column"] = column_of(columns[0])
    if "expression" in check:
        about |= {"content": check["expression"], "contentType": "sql"}
    if name in broken or check["type"] in _OF_ROWS:
        rows = broken.get(name, 0)
        return quality.Assertion(success=not rows, expected="0", actual=str(rows), **about)
    if check["type"] == "row_count":
        return _row_count(check, batches, about)
    if any(each["check"] == name for account in batches for each in account["failures"]):
        return quality.Assertion(success=False, **about)
    return quality.Assertion(success=True, **about) if check["action"] == "fail" else None


def _row_count(
    check: Mapping[str, Any], batches: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> quality.Assertion:
    low, high = check.get("min"), check.get("max")
    counts = [account["published"] for account in batches]
    wrong = [rows for rows in counts if (low is not None and rows < low) or (high is not None and rows > high)]
    bounds = f"{'' if low is None else low}..{'' if high is None else high}"
    return quality.Assertion(success=not wrong, expected=bounds, actual=str((wrong or counts)[-1]), **about)


def _others(checks: Sequence[Mapping[str, Any]], broken: Mapping[str, int]) -> Iterator[quality.Assertion]:
    """Rules that nobody declares as checks: that a line can be read, that a text is of its column's type."""
    declared = {check["name"] for check in checks}
    for rule, rows in sorted(broken.items()):
        if rule not in declared:
            yield quality.Assertion(
                assertion="rule", success=False, name=rule, severity="warn", expected="0", actual=str(rows)
            )


def _classified(check: Mapping[str, Any]) -> str:
    """The kind of a check in the words of the specification."""
    if check["type"] == "validity":
        return next((word for key, word in _OF_VALIDITY.items() if key in check), "validity")
    words = {"completeness": "not_null", "uniqueness": "unique"}
    return words.get(check["type"], str(check["type"]))
