"""What the command line prints: the shapes of `--json` that other programs rely on, and the words that people read."""

from __future__ import annotations

import json

import pytest

import oreflow
from oreflow.cli import columns

RESULT = {
    "table": str,
    "batch": int,
    "processor": str,
    "engine": str,
    "status": str,
    "rows_read": int,
    "rows_published": int,
    "rows_quarantined": int,
    "rows_superseded": int,
    "quality_score": float,
    "seconds": float,
    "reason": str,
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory, project_in, run_cli):
    folder = tmp_path_factory.mktemp("demo")
    made = run_cli("init", "shop", cwd=folder)
    assert made.code == 0, made.err
    project = project_in(folder / "shop")
    planned = project.cli("plan", "--json")
    first = project.cli("run", "--json")
    assert first.code == 0, first.out + first.err
    return project, planned.json, first.json


def test_init_makes_a_project_that_runs_as_it_is(shop):
    project, _, report = shop
    assert (project.root / "config" / "pipeline.yaml").is_file()
    schema = json.loads((project.root / "config" / "schemas" / "pipeline.schema.json").read_text())
    assert schema["type"] == "object"
    first_line = (project.root / "config" / "pipeline.yaml").read_text().splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=schemas/pipeline.schema.json"
    assert "lake" in (project.root / ".gitignore").read_text()
    assert report["status"] == "success"


def test_the_report_of_a_run_has_the_promised_shape(shop):
    _, _, report = shop
    assert set(report) >= {"run_id", "pipeline", "status", "seconds", "tables"}
    assert report["pipeline"] == "shop"
    assert len(report["tables"]) == 5
    for table in report["tables"]:
        for key, kind in RESULT.items():
            assert isinstance(table[key], kind), (key, table)
        assert table["status"] == "published"
        assert (table["batch"], table["engine"]) == (1, "polars")
        assert table["rows_read"] == table["rows_published"] + table["rows_quarantined"] + table["rows_superseded"]


def test_the_report_of_a_run_with_nothing_new_says_so(shop):
    project, _, _ = shop
    report = project.cli("run", "--json").json
    assert {table["status"] for table in report["tables"]} == {"unchanged"}
    assert {table["reason"] for table in report["tables"]} == {"nothing new"}
    assert {table["quality_score"] for table in report["tables"]} == {None}
    assert "nothing new" in project.cli("run").out


def test_a_plan_names_the_processor_and_the_reason_and_writes_nothing(shop, tmp_path, project_in):
    _, planned, _ = shop
    assert [table["table"] for table in planned["tables"]][:2] == ["bronze.transactions", "silver.transactions"]
    for table in planned["tables"]:
        assert set(table) >= {"table", "inputs", "processor", "engine", "reason", "work", "candidates"}
        assert table["processor"] == f"polars_{table['table'].split('.')[0]}"
        assert table["reason"]
        assert all(candidate["reason"] for candidate in table["candidates"])
    assert planned["tables"][0]["work"].startswith("batch 1: 3 new files")
    fresh = project_in(tmp_path / "fresh")
    oreflow.init(fresh.root)
    said = fresh.cli("plan", "--why")
    assert said.code == 0
    assert "polars_silver" in said.out
    assert "standard for silver" in said.out
    assert not (fresh.root / "lake").exists()


def test_tables_show_tells_path_version_rows_and_columns(shop):
    project, _, _ = shop
    about = project.cli("tables", "show", "silver.transactions", "--json").json
    assert set(about) >= {"path", "version", "rows", "columns"}
    assert about["path"] == str(project.path("silver.transactions"))
    assert about["rows"] == len(project.rows("silver.transactions"))
    assert about["version"] == project.version("silver.transactions")
    assert about["columns"]["unit_price"] == "decimal(18,3)"
    assert about["columns"]["customer_id"] == "int64"
    assert len(about["sample"]) == 5
    listed = {table["table"]: table for table in project.cli("tables", "--json").json}
    assert listed["silver.transactions"]["rows"] == about["rows"]
    assert len(listed) == 5
    assert "decimal(18,3)" in project.cli("tables", "show", "silver.transactions").out


def test_quarantine_show_tells_rules_place_and_raw_values(shop):
    project, _, report = shop
    rows = project.cli("quarantine", "show", "silver.transactions", "--json").json
    assert len(rows) == report["tables"][1]["rows_quarantined"]
    for row in rows:
        assert row["_rules"]
        assert row["_source_file"].startswith("data/raw/")
        assert row["_source_row"] >= 2
        assert {"InvoiceNo", "Quantity", "UnitPrice", "CustomerID"} <= set(row)
    bad = [row for row in rows if row["Quantity"] == "one"]
    assert len(bad) == 1
    assert "quantity is int64" in bad[0]["_rules"]
    lines = project.cli("quarantine", "show", "bronze.transactions", "--json").json
    assert [row["_rules"] for row in lines] == [["readable"]]
    assert lines[0]["_raw"]
    words = project.cli("quarantine", "show", "silver.transactions").out
    assert "quantity: 'one' is no int64" in words


def test_quarantine_show_can_be_limited_to_a_rule(shop):
    project, _, _ = shop
    everything = project.cli("quarantine", "show", "silver.transactions", "--json").json
    some = project.cli("quarantine", "show", "silver.transactions", "--rule", "customer known", "--json").json
    assert some == [row for row in everything if "customer known" in row["_rules"]]
    assert 0 < len(some) < len(everything)


def test_a_rule_that_no_row_broke_is_still_a_rule(shop):
    project, _, _ = shop
    for rule in ("readable", "invoice_date is timestamp"):
        done = project.cli("quarantine", "show", "silver.transactions", "--rule", rule)
        assert done.code == 0, done.err


def test_a_table_that_is_not_made_yet_has_an_empty_sample(run_cli, tmp_path):
    run_cli("init", "shop", cwd=tmp_path)
    about = run_cli("tables", "show", "gold.sales_by_day", "--json", cwd=tmp_path / "shop").json
    assert (about["exists"], about["columns"], about["sample"]) == (False, {}, [])


def test_a_plan_and_a_run_have_the_declared_name(project):
    text = "name: other\nsources: {s: {path: './data/raw/*.csv', format: csv}}\ntables: {bronze.s: {source: s}}\n"
    shop = project(text, {"a.csv": "a\n1\n"})
    assert shop.cli("plan", "--json").json["pipeline"] == shop.cli("run", "--json").json["pipeline"] == "other"


def test_a_reader_that_has_had_enough_does_not_make_a_run_fail(project, start_run):
    text = "name: s\nsources: {s: {path: './data/raw/*.csv', format: csv}}\ntables: {bronze.s: {source: s}}\n"
    shop = project(text, {"a.csv": "a\n1\n"})
    process = start_run(shop)
    process.stdout.close()
    assert process.wait(60) == 0
    assert shop.version("bronze.s") == 0
    shop.declare(text.replace("{source: s}", "{source: s, quality_threshold: 1}"))
    shop.put("b.csv", "")
    process = start_run(shop)
    process.stdout.close()
    assert process.wait(60) == 1, "nor a run that failed succeed"


def test_runs_are_listed_with_the_latest_first(shop):
    project, _, report = shop
    project.cli("run")
    found = project.cli("runs", "--json").json
    assert found[-1] == report
    assert len(found) >= 2
    assert [run["started_at"] for run in found] == sorted((run["started_at"] for run in found), reverse=True)
    assert len(project.cli("runs", "--limit", "1", "--json").json) == 1
    assert report["run_id"] in project.cli("runs").out


def test_plugins_are_listed_with_what_they_bring(shop):
    project, _, _ = shop
    found = {plugin["distribution"]: plugin for plugin in project.cli("plugins", "--json").json}
    for name in ("oreflow-bronze", "oreflow-silver", "oreflow-gold", "oreflow-polars", "oreflow-delta"):
        assert found[name]["status"] == "ok"
        assert found[name]["brings"]
    assert found["oreflow-silver"]["stages"] == ["silver"]
    assert "engine polars" in found["oreflow-polars"]["brings"]
    assert "table format delta" in found["oreflow-delta"]["brings"]
    assert "oreflow-silver" in project.cli("plugins").out


BROKEN = {
    "broken_import": ("import nothing_of_that_name\n", "which is not installed", "'nothing_of_that_name'"),
    "broken_exit": ("raise SystemExit(3)\n", "cannot be imported", "SystemExit"),
    "broken_api": ("oreflow_api = 99\n", "API 99", "oreflow is too old"),
    "broken_none": ("", "for which API", "written"),
    "broken_hook": (
        "from oreflow import hookimpl\noreflow_api = 1\n@hookimpl\ndef procesors(): return []\n",
        "'procesors'",
        "did you mean 'processors'?",
    ),
    "broken_answer": (
        "from oreflow import hookimpl\noreflow_api = 1\n@hookimpl\ndef processors(): raise KeyError('oops')\n",
        "processors cannot be had",
        "oops",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_listed_with_its_reason_and_everything_else_goes_on(kind, project_in, tmp_path):
    source, *parts = BROKEN[kind]
    site = tmp_path / "site"
    (site / f"{kind}-1.0.dist-info").mkdir(parents=True)
    (site / f"{kind}-1.0.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind}\nVersion: 1.0\n")
    (site / f"{kind}-1.0.dist-info" / "entry_points.txt").write_text(f"[oreflow.plugins]\n{kind} = {kind}\n")
    (site / f"{kind}.py").write_text(source)
    project = project_in(tmp_path / "shop")
    oreflow.init(project.root)
    env = {"PYTHONPATH": str(site)}
    (found,) = [p for p in project.cli("plugins", "--json", env=env).json if p["distribution"] == kind]
    assert found["status"] == "broken"
    for part in parts:
        assert part in found["reason"]
    done = project.cli("run", env=env)
    assert done.code == 0, done.out + done.err


def test_damaged_metadata_hides_no_plugin_but_its_own(project_in, tmp_path):
    site = tmp_path / "site"
    for name, file, content in (
        ("nameless", "entry_points.txt", b"[oreflow.plugins]\nlost = no_such_module\n"),
        ("unreadable", "METADATA", b"Metadata-Version: 2.1\nName: unreadable\nVersion: 1.0\n"),
        ("unreadable", "entry_points.txt", b"\xff\xfe[oreflow.plugins]\n"),
    ):
        (site / f"{name}-1.0.dist-info").mkdir(parents=True, exist_ok=True)
        (site / f"{name}-1.0.dist-info" / file).write_bytes(content)
    project = project_in(tmp_path / "shop")
    oreflow.init(project.root)
    found = {p["name"]: p for p in project.cli("plugins", "--json", env={"PYTHONPATH": str(site)}).json}
    assert found["silver"]["status"] == "ok"
    assert found["lost"]["status"] == "broken"
    assert f"a package in {site}" in found["lost"]["mend"]


def test_a_plugin_that_raises_while_it_is_told_of_a_run_is_remarked_on_and_harms_nothing(project_in, tmp_path):
    site = tmp_path / "site"
    (site / "loud-1.0.dist-info").mkdir(parents=True)
    (site / "loud-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (site / "loud-1.0.dist-info" / "entry_points.txt").write_text("[oreflow.plugins]\nloud = loud\n")
    (site / "loud.py").write_text(
        "from oreflow import hookimpl\noreflow_api = 1\n"
        "@hookimpl\ndef run_started(run_id): raise ValueError('so loud')\n"
    )
    project = project_in(tmp_path / "shop")
    oreflow.init(project.root)
    done = project.cli("run", "--json", env={"PYTHONPATH": str(site)})
    assert done.code == 0
    (remark,) = done.json["remarks"]
    assert "loud" in remark
    assert "so loud" in remark


LONG = {"word": "x" * 300_000, "words": "word " * 60_000, "letters": "ä" * 150_000 + " end", "wide": "漢字" * 100_000}


@pytest.mark.parametrize("kind", LONG)
def test_a_text_of_any_length_is_folded_to_a_screen_and_nowhere_else(kind, monkeypatch):
    text, columns_of = LONG[kind], 2 if kind == "wide" else 1
    monkeypatch.delenv("COLUMNS", raising=False)
    ((line,),) = columns.aligned([["key", text]])
    assert line == f"key  {text}".rstrip()
    monkeypatch.setenv("COLUMNS", "80")
    (lines,) = columns.aligned([["key", text]])
    assert lines[0].startswith("key  ")
    assert max(columns_of * len(line[5:]) for line in lines) in (74, 75)
    assert "".join(line[5:] for line in lines).replace(" ", "") == text.replace(" ", "")
