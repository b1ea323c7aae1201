"""Looking at one run, and at what differs between two."""

from __future__ import annotations

import pytest

import oreflow

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, name: {type: string}}
    checks: [{name: has a name, type: completeness, column: name}]
"""


@pytest.fixture
def two_runs(project):
    """A run of good rows, and one whose delivery is worse; gives the project and the ids."""
    made = project(DECLARATION, {"a.csv": "id,name\n1,ada\n2,grace\n"})
    first = made.run()
    made.put("b.csv", "id,name\n3,\nx,alan\n4,edsger\n")
    made.declare(DECLARATION.replace("type: completeness", "threshold: 0.1, type: completeness"))
    return made, first.run_id, made.run().run_id


def test_what_differs_between_two_runs_is_what_their_reports_say_otherwise(two_runs):
    made, first, second = two_runs
    found = made.cli("runs", "compare", first, second, "--json").json
    differs = {(each["table"], each["what"]): (each["before"], each["after"], each["change"]) for each in found}
    assert differs["bronze.sales", "rows_read"] == (2, 3, 1)
    assert differs["silver.sales", "rows_quarantined"] == (0, 2, 2)
    assert differs["silver.sales", "rows that broke 'has a name'"] == (None, 1, None)
    assert differs["silver.sales", "quality_score"][0] == 1
    assert differs["", "configuration"][2] == 1
    assert ("bronze.sales", "rows_quarantined") not in differs
    reports = [oreflow.show_run(each, made.root) for each in (first, second)]
    for (table, what), (before, after, _) in differs.items():
        for report, value in zip(reports, (before, after), strict=True):
            (result,) = [each for each in report.tables if each.table == table] or [report]
            if hasattr(result, what) and what != "configuration":
                assert getattr(result, what) == value
    assert made.cli("runs", "compare", first, first).out == f"{first} and {first} do not differ\n"
    assert "silver.sales  rows_quarantined" in made.cli("runs", "compare", first).out


def test_a_run_is_asked_for_by_its_id_the_beginning_of_one_or_as_the_latest(two_runs):
    made, first, second = two_runs
    assert made.cli("runs", "show", first[:-3], "--json").json["run_id"] == first
    assert made.cli("runs", "show", "--json").json == oreflow.runs(made.root)[0].to_dict()
    shown = made.cli("runs", "show", second).out
    assert shown.startswith(f"run {second} of shop, started ")
    assert "silver.sales  published" in shown


@pytest.mark.parametrize(
    ("run", "says"), [("nope", "there is no run 'nope' - `oreflow runs` lists them"), ("20", "2 runs begin with '20'")]
)
def test_a_run_that_is_not_there_is_refused(two_runs, run, says):
    done = two_runs[0].cli("runs", "show", run)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_where_there_is_no_run_it_says_what_makes_one(project):
    done = project(DECLARATION, {}).cli("runs", "show")
    assert (done.code, "there is no run yet - `oreflow run` makes the first" in done.err) == (2, True)
    assert project(DECLARATION, {}).cli("runs", "--limit", "3", "show").code == 2
