"""`oreflow report`, as its user types it: where the page goes, what it leaves alone, and the document behind it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.resources import files

import jsonschema_rs
import pytest

import oreflow

DECLARATION = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, name: {type: string}, qty: {type: int64}}
    quality_threshold: 0.5
    checks:
      - {name: has a name, type: completeness, column: name}
      - {name: sold something, type: validity, expression: "qty > 0"}
"""
GOOD = "id,name,qty\n1,ada,1\n2,grace,2\n3,,3\n"
BAD = "id,name,qty\n4,,-1\n5,alan,x\n6,barbara,1\n7,confidential,0\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory, project_in):
    """A project after a run that went well and one whose delivery its gate has refused."""
    project = project_in(tmp_path_factory.mktemp("report") / "shop")
    project.declare(DECLARATION)
    project.put("a.csv", GOOD)
    project.run_well()
    project.put("b.csv", BAD)
    assert not project.run().succeeded
    return project


def test_the_page_of_the_latest_run_is_written_here_and_only_over_a_report(made):
    run = oreflow.show_run(project=made.root)
    name = f"oreflow-report-{run.run_id}.html"
    done = made.cli("report")
    assert (done.code, done.out, done.err) == (0, f"wrote {name}\n", "")
    first = (made.root / name).read_text(encoding="utf-8")
    assert run.run_id in first
    assert made.cli("report", "--output", name).code == 0  # it is a report, and may be written anew
    (made.root / name).write_text("<html>my notes", encoding="utf-8")
    done = made.cli("report")
    assert done.code == 2
    assert (
        done.err
        == f"error: {name} is there, and no report of a run; it is left as it is - say another file: --output FILE\n"
    )
    assert (made.root / name).read_text() == "<html>my notes"
    (made.root / name).unlink()
    assert not list(made.root.glob(".*.part"))


def test_the_page_goes_into_the_file_or_folder_that_is_said(made, tmp_path):
    run = oreflow.runs(made.root)[-1].run_id
    assert (
        made.cli("report", run[:-2], "--output", str(tmp_path)).out == f"wrote {tmp_path}/oreflow-report-{run}.html\n"
    )
    assert made.cli("report", run, "--output", str(tmp_path / "page.html")).code == 0
    assert "2 tables published" in (tmp_path / "page.html").read_text(encoding="utf-8")
    done = made.cli("report", "--output", str(tmp_path / "nowhere" / "page.html"))
    mend = "make it, or say another file: --output FILE"
    assert (done.code, done.err) == (2, f"error: there is no folder {tmp_path / 'nowhere'} - {mend}\n")
    done = made.cli("report", "--output", f"{tmp_path / 'nowhere'}/")
    assert (done.code, done.err) == (2, f"error: there is no folder {tmp_path / 'nowhere'} - {mend}\n")


def test_a_page_that_does_not_fit_on_the_disk_leaves_the_one_before_and_is_named(made, tmp_path):
    page = tmp_path / "page.html"
    assert made.cli("report", "--output", str(page)).code == 0
    before = page.read_bytes()
    # A limit of files' size is a full disk for whoever writes more; a block of it is 1 KiB.
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-", sys.executable, "-m", "oreflow"]
    command = [*limited, "report", "--output", str(page)]
    done = subprocess.run(command, cwd=made.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"error: {page}: File too large\n")
    assert page.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_the_document_has_the_runs_own_report_and_the_worst_rows_of_what_was_refused(made):
    document = made.cli("report", "--json").json
    schema = json.loads(files("oreflow_report").joinpath("report.schema.json").read_text(encoding="utf-8"))
    assert [str(error) for error in jsonschema_rs.validator_for(schema).iter_errors(document)] == []
    assert document["run"] == made.cli("runs", "show", "--json").json
    (found,) = document["rejected"]
    assert (found["table"], found["quarantined"], found["refused"]) == ("silver.sales", 0, 3)
    assert [(row["file"], row["line"], row["rules"]) for row in found["rows"]] == [
        ("data/raw/b.csv", 2, ["has a name", "sold something"]),
        ("data/raw/b.csv", 3, ["qty is int64", "sold something"]),
        ("data/raw/b.csv", 5, ["sold something"]),
    ]
    assert found["rows"][2]["values"] == {"id": "7", "name": "confidential", "qty": "0"}
    (silver,) = [each for each in document["quality"] if each["table"] == "silver.sales"]
    shares = {each["check"]: (each["broken"], each["earlier_shares"]) for each in silver["checks"]}
    assert shares == {"sold something": (3, [0.0]), "has a name": (1, [1 / 3]), "qty is int64": (1, [0.0])}


def test_of_a_run_that_went_well_the_rows_are_those_of_its_own_batches(made):
    first = oreflow.runs(made.root)[-1].run_id
    (found,) = made.cli("report", first, "--json").json["rejected"]
    assert (found["quarantined"], found["refused"]) == (1, 0)
    assert [(row["line"], row["batch"], row["refused"]) for row in found["rows"]] == [(4, 1, False)]
    assert found["command"] == f"oreflow quarantine show silver.sales --batch 1 --project {made.root.resolve()}"


def test_where_the_candidate_is_gone_the_samples_of_the_report_are_shown(made, tmp_path, project_in):
    shutil.copytree(made.root, tmp_path / "shop")
    shutil.rmtree(tmp_path / "shop" / "lake" / "_oreflow" / "failed")
    (found,) = project_in(tmp_path / "shop").cli("report", "--json").json["rejected"]
    assert [row["line"] for row in found["rows"]] == [2, 3, 5]
    assert found["rows"][0]["rules"] == ["quality_threshold"]


def test_of_a_batch_that_was_refused_again_each_run_shows_its_own_rows(made, tmp_path, project_in):
    shutil.copytree(made.root, tmp_path / "shop")
    again = project_in(tmp_path / "shop")
    first = oreflow.show_run(project=again.root).run_id
    again.declare(DECLARATION.replace("quality_threshold: 0.5", "quality_threshold: 0.6").replace("qty > 0", "qty > 1"))
    assert not again.run().succeeded
    (now,) = again.cli("report", "--json").json["rejected"]
    (then,) = again.cli("report", first, "--json").json["rejected"]
    assert len(now["rows"]) == 4
    assert [row["rules"] for row in then["rows"]] == [["quality_threshold"]] * 3  # what the report has of them


def test_without_rows_no_value_leaves(made, tmp_path):
    page = tmp_path / "page.html"
    assert made.cli("report", "--no-rows", "--output", str(page)).code == 0
    done = made.cli("report", "--no-rows", "--json")
    for text in (page.read_text(encoding="utf-8"), done.out):
        assert "confidential" not in text
        assert "'x'" not in text
        assert "quality score 25 % is below quality_threshold 50 %" in text
    assert "confidential" in made.cli("report", "--json").out


def test_the_browser_shows_the_page_and_where_there_is_none_its_path_is_said(made, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/shown\n')
    browser.chmod(0o755)
    done = made.cli("report", "--open", "--output", str(tmp_path / "p.html"), env={"BROWSER": f"{browser} %s"})
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "shown").read_text() == f"file://{tmp_path}/p.html\n"
    nothing = {"BROWSER": str(tmp_path / "none"), "PATH": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = made.cli("report", "--open", "--output", str(tmp_path / "p.html"), env=nothing)
    assert (done.code, done.out) == (0, f"wrote {tmp_path}/p.html\n")
    assert done.err == "no browser was found here; open the file in one\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope"], "error: there is no run 'nope' - `oreflow runs` lists them"),
        (["--json", "--open"], "error: say --open or --json: no page is written with --json"),
        (["--pipeline", "other"], "other"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(made, arguments, says):
    done = made.cli("report", *arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "Traceback" not in done.err
    assert not list(made.root.glob("*.html"))
