"""The project's own processors keep the contract that it holds others to, on every installed engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from oreflow_testkit import ProcessorConformance


@pytest.fixture(autouse=True)
def small_spark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit would start a Spark for this machine; the one that all tests share is smaller.

    So does the process of its own in which the kit judges whether a processor is pure.
    """
    if "spark" not in request.node.name.partition("[")[2]:
        return
    request.getfixturevalue("spark")
    if request.node.originalname == "test_purity":
        variables: Callable[[], dict[str, str]] = request.getfixturevalue("way_to_this_spark")
        for name, value in variables().items():
            if name == "PYTHONPATH":
                monkeypatch.syspath_prepend(value)
            else:
                monkeypatch.setenv(name, value)


class TestBronze(ProcessorConformance):
    plugin = "bronze"


class TestSilver(ProcessorConformance):
    plugin = "silver"


class TestSilverWithExactDuplicates(ProcessorConformance):
    plugin = "silver"
    options: ClassVar = {"columns": {"id": {"type": "int64"}, "note": {"type": "string"}}, "deduplicate": "exact"}
    rows = (
        {"id": "1", "note": "one"},
        {"id": "1", "note": "one"},
        {"id": "1", "note": "another"},
        {"id": "one", "note": "no number"},
        {"id": "one", "note": "no number"},
        {"id": "2", "note": None},
        {"id": "2", "note": None},
        {"id": "2", "note": ""},
    )


class TestGold(ProcessorConformance):
    plugin = "gold"


class TestGoldBySql(ProcessorConformance):
    plugin = "gold"
    options: ClassVar = {
        "sql": 'SELECT day, count(*) AS sales FROM "bronze.rows" WHERE amount IS NOT NULL GROUP BY day'
    }
