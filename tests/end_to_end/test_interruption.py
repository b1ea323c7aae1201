"""A run that is asked to end, interrupted or killed: what is published stays, and each row is reported once."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

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
  gold.names:
    inputs: [silver.sales]
    sql: select name, count(*) as n from silver.sales group by name
"""
FILES = {"a.csv": "id,name\n1,ada\n2,grace\n3,\nx,alan\n"}
AT = """
import os, signal
from oreflow import hookimpl

@hookimpl
def step_progressed(table, phase):
    if (table, phase) == ("{table}", "{phase}"):
        for number in {signals}:
            os.kill(os.getpid(), number)
"""


@pytest.fixture
def shop(project):
    """A project, in which signals come at a moment of a run of its own process."""

    def make(table="", phase="", *signals):
        made = project(DECLARATION, FILES)
        numbers = [int(each) for each in signals]
        (made.root / "oreflow_plugins.py").write_text(AT.format(table=table, phase=phase, signals=numbers))
        return made

    return make


def statuses(report):
    return [each["status"] for each in report["tables"]]


def go_on(made):
    """Run to the end without any signal."""
    (made.root / "oreflow_plugins.py").unlink()
    return made.run_well()


@pytest.mark.parametrize("phase", ["claimed", "staged", "quarantined", "published", "accounted"])
def test_sigterm_ends_a_run_after_the_batch_that_it_is_making(shop, phase):
    made = shop("silver.sales", phase, signal.SIGTERM)
    done = made.cli("run", "--json")
    assert done.code == 143, done.err
    assert "asked to end: the run ends after the batch that it is making" in done.err
    assert done.json["status"] == "interrupted"
    assert statuses(done.json) == ["published", "published", "skipped"]
    assert done.json["tables"][2]["reason"] == "the run was asked to end before"
    assert [each["status"] for each in made.cli("runs", "--json").json] == ["interrupted"]
    assert [each.status for each in go_on(made).values()] == ["unchanged", "unchanged", "published"]


def test_sigterm_before_a_run_has_begun_ends_it_without_anything_made(shop):
    made = shop()
    (made.root / "oreflow_plugins.py").write_text(
        "import os, signal\nfrom oreflow import hookimpl\n\n@hookimpl\ndef run_configured():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = made.cli("run", "--json")
    assert (done.code, statuses(done.json)) == (143, ["skipped"] * 3)
    assert made.tables() == []
    go_on(made)


def test_a_second_sigterm_is_as_ctrl_c(shop):
    made = shop("silver.sales", "staged", signal.SIGTERM, signal.SIGTERM)
    done = made.cli("run")
    assert done.code == 130
    assert done.err.endswith("interrupted\n")
    assert statuses(made.cli("runs", "--json").json[0]) == ["published", "interrupted", "skipped"]
    assert [each.status for each in go_on(made).values()] == ["unchanged", "published", "published"]


@pytest.mark.parametrize("phase", ["claimed", "staged", "published"])
def test_a_run_that_is_interrupted_is_reported_with_what_it_has_published(shop, phase):
    made = shop("silver.sales", phase, signal.SIGINT)
    assert made.cli("run").code == 130
    (report,) = made.cli("runs", "--json").json
    assert report["status"] == "interrupted"
    bronze, silver, gold = report["tables"]
    assert bronze["status"] == "published"
    assert gold["reason"] == "the run was interrupted before"
    read = silver["rows_read"]
    assert read == (4 if phase == "published" else 0)
    tables = go_on(made)
    assert read + tables["silver.sales"].rows_read == 4  # each row is in one report


def test_listeners_are_told_how_an_interrupted_run_ends(shop, capfd):
    made = shop("silver.sales", "staged", signal.SIGINT)
    with (made.root / "oreflow_plugins.py").open("a") as file:
        file.write(
            "\n@hookimpl\ndef batch_finished(table, status): print('batch', table, status)\n"
            "\n@hookimpl\ndef step_finished(result): print('step', result['table'], result['status'])\n"
            "\n@hookimpl\ndef run_finished(report): print('run', report['status'])\n"
        )
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert capfd.readouterr().out.splitlines() == [
        "batch bronze.sales published",
        "step bronze.sales published",
        "batch silver.sales interrupted",
        "step silver.sales interrupted",
        "step gold.names skipped",
        "run interrupted",
    ]


def test_a_wait_for_the_next_attempt_ends_with_the_run(shop, project):
    made = shop()
    made.declare(DECLARATION + "resilience: {defaults: {retry: {max_attempts: 3, base: 100s, jitter: none}}}\n")
    (made.root / "chaos.yaml").write_text(
        "faults: [{fault: exception, resource: silver.sales, operation: make, rate: 1}]"
    )
    (made.root / "oreflow_plugins.py").write_text(
        "import os, signal, threading\nfrom oreflow import hookimpl\n\n@hookimpl\ndef resource_event(event):\n"
        "    if event['kind'] == 'retry': threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
    )
    start = time.monotonic()
    done = made.cli("run", "--chaos", "chaos.yaml", "--json")
    assert time.monotonic() - start < 50
    assert (done.code, statuses(done.json)) == (143, ["published", "interrupted", "skipped"]), done.err
    assert "chaos: connection reset" in done.json["tables"][1]["reason"]


def test_a_wait_for_another_run_ends_with_the_run(shop):
    made = shop()
    lock = made.root / "lake/_oreflow/locks/bronze.sales.lock"
    lock.parent.mkdir(parents=True)
    hold = f"import fcntl; file = open({str(lock)!r}, 'a'); fcntl.flock(file, 2); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    report = made.run(stop=stop)
    holder.communicate(b"\n", timeout=20)
    assert report.status == "interrupted"
    assert [each.status for each in report.tables] == ["interrupted", "skipped", "skipped"]
    go_on(made)


def test_who_runs_pipelines_from_python_may_ask_them_to_end(shop):
    made, stop = shop(), threading.Event()
    stop.set()
    report = made.run(stop=stop)
    assert (report.status, report.succeeded, made.tables()) == ("interrupted", False, [])


def reports_of_a_killed_run(made):
    """What is known of it before the next run, and after that; and what that one has made."""
    done = made.cli("run")
    assert done.code == -signal.SIGKILL
    before = made.cli("runs", "--json").json
    tables = go_on(made)
    return before, made.cli("runs", "--json").json[1], tables


@pytest.mark.parametrize(
    ("phase", "status", "read"),
    [("staged", "interrupted", 0), ("published", "published", 4), ("accounted", "published", 4)],
)
def test_the_report_of_a_killed_run_is_completed_by_the_next(shop, phase, status, read):
    made = shop("silver.sales", phase, signal.SIGKILL)
    (before,), report, tables = reports_of_a_killed_run(made)
    for each in (before, report):
        assert each["status"] == "interrupted"
        assert each["remarks"][-1].startswith("its process has ended without a word")
    assert statuses(before) == ["published", "interrupted"]
    assert statuses(report) == ["published", status]
    silver = report["tables"][1]
    assert silver["rows_read"] == read
    assert silver["rows_read"] == silver["rows_published"] + silver["rows_quarantined"] + silver["rows_superseded"]
    assert read + tables["silver.sales"].rows_read == 4
    assert not list((made.root / "lake/_oreflow/runs").glob(".*"))


def test_a_run_that_is_under_way_can_be_seen(shop):
    made = shop()
    (made.root / "oreflow_plugins.py").write_text(
        "import subprocess, sys\nfrom oreflow import hookimpl\n\n@hookimpl\ndef step_progressed(table, phase):\n"
        "    if (table, phase) == ('silver.sales', 'staged'):\n"
        "        with open('seen.json', 'w') as file:\n"
        "            subprocess.run([sys.executable, '-m', 'oreflow', 'runs', '--json'], stdout=file, check=True)\n"
    )
    assert made.cli("run").code == 0
    (seen,) = json.loads((made.root / "seen.json").read_text())
    assert (seen["status"], statuses(seen)) == ("running", ["published", "running"])
    assert seen["remarks"] == []
    assert made.cli("runs", "--json").json[0]["status"] == "success"


def test_the_reports_of_two_runs_at_once_are_their_own(shop, project):
    made = shop()
    runs = [threading.Thread(target=oreflow.run, args=(made.root,)) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    found = oreflow.runs(made.root)
    assert [each.status for each in found] == ["success", "success"]
    assert sum(table.rows_read for each in found for table in each.tables) == 4 + 4 + 3


@pytest.mark.skipif(sys.platform == "win32", reason="locks are taken otherwise there")
def test_a_lake_where_there_can_be_no_locks_is_an_error_and_no_wait_without_end(shop, monkeypatch):
    import fcntl

    def no_locks(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    made = shop()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    report = made.run()
    assert [each.status for each in report.tables] == ["failed", "skipped", "skipped"]
    assert "No locks available" in report.tables[0].reason


def test_a_run_that_is_just_beginning_is_not_taken_for_one_that_has_gone(shop):
    made = shop()
    made.run_well()
    young, old = (made.root / f"lake/_oreflow/runs/.{name}.running" for name in ("young", "old"))
    for each in (young, old):
        each.touch()
    os.utime(old, (time.time() - 3600, time.time() - 3600))
    made.run_well()
    assert (young.exists(), old.exists()) == (True, False)


def test_ctrl_c_while_plugins_are_told_of_the_end_leaves_the_report_as_it_is(shop):
    made = shop()
    (made.root / "oreflow_plugins.py").write_text(
        "import os, signal, time\nfrom oreflow import hookimpl\n\n@hookimpl\ndef run_finished():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(5)\n"
    )
    assert made.cli("run").code == 130
    (report,) = made.cli("runs", "--json").json
    assert statuses(report) == ["published", "published", "published"]
    assert (report["status"], report["remarks"]) == ("success", ["plugins were not waited for: interrupted"])


def test_what_another_version_has_left_of_a_run_stops_no_other(shop):
    made = shop()
    made.run()
    runs = made.root / "lake/_oreflow/runs"
    (kept,) = runs.glob("*.json")
    report = json.loads(kept.read_text())
    novel = {**report, "novelty": 1, "tables": [{**table, "novelty": 1} for table in report["tables"]]}
    kept.write_text(json.dumps({**novel, "status": "running"}))
    (runs / f".{report['run_id']}.running").touch()
    (runs / "20200101T000000-000000.json").write_text('{"tables": []}')
    (runs / ".20200101T000000-000000.running").touch()
    assert made.run().succeeded
    (completed,) = [each for each in oreflow.runs(made.root) if each.run_id == report["run_id"]]
    assert completed.status == "interrupted"
