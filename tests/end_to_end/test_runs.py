"""Looking at one run, and at what differs between two."""

from __future__ import annotations

import json

import pytest

import oreflow
from oreflow.cli import show_runs

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


def test_what_two_runs_have_to_say_stands_below_their_figures(two_runs):
    made, first, _ = two_runs
    made.put("c.csv", "id,name\nx,\n")
    failed = made.cli("run", "--set", "processors.silver.quality_threshold=0.9")
    assert failed.code == 1
    assert "(declared in --set processors.silver.quality_threshold)" in failed.out  # the layer that says it
    table, _, reasons = made.cli("runs", "compare", first).out.partition("\n\n")
    assert "quality gate" not in table
    assert reasons.startswith("silver.sales, reason:\n") and "the quality gate was not passed" in reasons


def test_a_report_that_is_damaged_is_left_out_and_said_to_be(two_runs):
    made, first, second = two_runs
    file = made.root / "lake/_oreflow/runs" / f"{second}.json"
    file.write_text(file.read_text()[:200])
    done = made.cli("runs")
    assert (first in done.out, second in done.out) == (True, False)
    for args in (("runs",), ("runs", "show"), ("report",)):
        said = made.cli(*args).err
        assert said.count(f"{second}.json is no report of a run, or a damaged one, and is left out") == 1


def test_a_narrow_screen_is_told_what_it_has_not(two_runs, monkeypatch, capsys):
    made, *_ = two_runs
    monkeypatch.setenv("COLUMNS", "80")
    show_runs.runs(oreflow.runs(made.root))
    said = capsys.readouterr().out
    assert said.endswith("\nstarted (UTC), superseded, seconds: on a screen of 100 columns, or with --json\n")


def test_rows_of_other_batches_are_told_of_where_one_has_none(two_runs):
    made, *_ = two_runs
    done = made.cli("quarantine", "show", "silver.sales", "--batch", "1")
    assert done.out == "no row of batch 1 of silver.sales is in quarantine; 2 rows of the table are\n"


def test_a_run_is_asked_for_by_its_id_the_beginning_of_one_or_as_the_latest(two_runs):
    made, first, second = two_runs
    assert made.cli("runs", "show", first[:-3], "--json").json["run_id"] == first
    assert made.cli("runs", "show", "--json").json == oreflow.runs(made.root)[0].to_dict()
    shown = made.cli("runs", "show", second).out
    assert shown.startswith(f"run {second} of shop, started ")
    assert "silver.sales  published" in shown


def test_a_report_says_when_each_batch_was_made_and_of_what(two_runs):
    made, first, second = two_runs
    reports = [oreflow.show_run(each, made.root) for each in (first, second)]
    for report in reports:
        assert report.schema == 1
        assert [table.inputs for table in report.tables] == [["sales"], ["bronze.sales"]]
        for table in report.tables:
            stage, _, name = table.table.partition(".")
            assert table.path == str(made.root / "lake" / stage / name)
            assert report.started_at <= table.started_at
            assert list(table.columns)[:2] == ["id", "name"]
            (batch,) = table.batches
            assert (batch.batch, batch.status, batch.schema_changes) == (table.batch, "published", [])
            assert table.started_at <= batch.started_at
            assert 0 < batch.seconds <= table.seconds
            figures = (batch.read, batch.published, batch.quarantined, batch.superseded, batch.rules, batch.score)
            of_table = (table.rows_read, table.rows_published, table.rows_quarantined, table.rows_superseded)
            assert figures == (*of_table, table.rules, table.quality_score)
    files = [report.tables[0].batches[0].files for report in reports]
    assert files == [[{"file": "data/raw/a.csv", "bytes": 22}], [{"file": "data/raw/b.csv", "bytes": 27}]]
    assert reports[1].tables[1].columns["id"] == "int64"


def test_a_report_says_what_has_become_of_the_columns(two_runs):
    made, _, _ = two_runs
    made.put("c.csv", "id,name,age\n5,barbara,29\n")
    added = {"column": "age", "change": "added", "before": "", "after": "string"}
    assert [batch.schema_changes for batch in made.run().tables[0].batches] == [[added]]
    declared = DECLARATION.replace("type: completeness", "threshold: 0.1, type: completeness")
    made.declare(declared.replace("id: {type: int64}", "id: {type: int32}, age: {type: int64}"))
    report = oreflow.run(made.root, full_refresh=["silver.sales"])
    changed = {"column": "id", "change": "changed", "before": "int64", "after": "int32"}
    assert report.tables[1].batches[0].schema_changes == [changed, {**added, "after": "int64"}]
    kept = [json.loads(each.read_text()) for each in (made.root / "lake" / "_oreflow").rglob("*.account.json")]
    assert [changed, {**added, "after": "int64"}] in [each["schema_changes"] for each in kept]


def test_a_report_has_what_a_gate_had_against_a_batch_with_a_few_of_its_rows(two_runs):
    made, _, _ = two_runs
    made.put("c.csv", "id,name\n6,\n7,\n")
    made.declare(DECLARATION.replace("type: completeness", "threshold: 0.9, type: completeness"))
    (batch,) = made.run().tables[1].batches
    assert (batch.status, batch.read, batch.published) == ("refused", 2, 0)
    (failure,) = batch.failures
    assert failure["check"] == "has a name"
    assert failure["figures"] == "check 'has a name': 2 of 2 rows fail, 0 % pass, threshold 90 %"
    places = [(each["file"], each["row"]) for each in failure["samples"]]
    assert places == [("data/raw/c.csv", 2), ("data/raw/c.csv", 3)]
    assert batch.reason.startswith("the quality gate was not passed: check 'has a name'")


def test_a_report_that_an_older_version_has_written_can_be_read(two_runs):
    made, first, _ = two_runs
    file = made.root / "lake" / "_oreflow" / "runs" / f"{first}.json"
    report = json.loads(file.read_text())
    del report["schema"]
    for table in report["tables"]:
        for key in ("started_at", "inputs", "path", "columns", "batches", "events"):
            del table[key]
    file.write_text(json.dumps(report))
    old = oreflow.show_run(first, made.root)
    assert (old.schema, old.tables[0].batches, old.tables[0].rows_read) == (0, [], 2)
    assert made.cli("runs", "show", first).code == 0


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


def test_batches_are_told_as_they_are_written_down_beside_a_table_or_with_its_commits(two_runs):
    made, first, second = two_runs
    names = ("bronze.sales", "silver.sales")
    before = [oreflow.batches(made.root, name) for name in names]
    for number, batches in enumerate(before):
        assert [(each["batch"], each["run_id"]) for each in batches] == [(1, first), (2, second)]
        for each in batches:
            (reported,) = oreflow.show_run(each["run_id"], made.root).tables[number].batches
            assert each["claimed_at"] <= reported.started_at
            same = ("read", "published", "quarantined", "superseded", "replaced", "score", "rules", "files")
            assert {name: each[name] for name in same} == {name: getattr(reported, name) for name in same}
    for file in (made.root / "lake/_oreflow/batches").rglob("*.json"):
        file.unlink()
    assert [oreflow.batches(made.root, name) for name in names] == before
    with pytest.raises(oreflow.DeclarationError, match=r"has no table .gold\.sales."):
        oreflow.batches(made.root, "gold.sales")


def test_the_commands_of_plugins_are_told_what_a_run_is_told(two_runs):
    made, _, _ = two_runs
    made.declare(DECLARATION + "chaos: {faults: [{fault: latency, rate: 0.1, delay: 0.1}]}\n")
    around, sections = oreflow.surroundings(made.root)
    assert (around.pipeline, around.project) == ("shop", made.root)
    assert around.folder.is_relative_to(made.root / "lake")
    assert list(sections) == ["chaos"]
