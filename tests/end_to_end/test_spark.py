"""Spark as its user meets it: the same tables as on Polars, one line where Java is missing, nothing left behind.

What is about a whole process (its start, its terminal, its session) runs in one of its own; Spark's start is dear, so
that each is looked at by several tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

import oreflow

WITHOUT_OREFLOW = """
import sys
if any("pyspark" in word for word in sys.orig_argv):  # Spark's Python workers, not the driver
    sys.modules.update(dict.fromkeys(("oreflow", "oreflow_spark", "narwhals", "polars")))
"""


@pytest.fixture
def sample(tmp_path, project_in):
    """The project that `oreflow init` makes."""

    def make(folder: str):
        oreflow.init(tmp_path / folder)
        return project_in(tmp_path / folder)

    return make


def use(project, script: str) -> subprocess.CompletedProcess[str]:
    """Run a program of a user that has a session of its own."""
    (project.root / "use.py").write_text(textwrap.dedent(script))
    # What its workers run, such a program has to say itself.
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "use.py"]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False, env=env)


def test_the_same_tables_as_on_polars(spark, sample):
    polars, spark = sample("polars"), sample("spark")
    for late in (False, True):
        for project, engine in ((polars, "polars"), (spark, "spark")):
            if late:
                days = sorted((project.root / "data/raw").glob("*.csv"))
                shutil.copy(days[0], days[0].with_name("2026-02-01.csv"))
            project.run_well(engine=engine)
        assert spark.tables() == polars.tables()
        assert spark.state("_rules") == polars.state("_rules")


def test_without_java_there_is_one_line(spark, sample):
    project = sample("shop")
    nowhere = {"PATH": str(Path(sys.executable).parent), "JAVA_HOME": ""}
    for env in (nowhere, {"JAVA_HOME": "/no/java"}):
        done = project.cli("run", "--engine", "spark", env=env)
        assert done.code == 1
        (line,) = [line for line in (done.out + done.err).splitlines() if "Java" in line]
        assert "Spark needs Java 17 or later; apt-get install openjdk-17-jre-headless, or set JAVA_HOME" in line
        assert "Traceback" not in done.out + done.err


WATCH = """
import json
import oreflow

@oreflow.hookimpl
def tasks_progressed(table, batch, done, total):
    with open("tasks.jsonl", "a") as file:
        print(json.dumps([table, batch, done, total]), file=file)
"""


@pytest.fixture(scope="module")
def alone(spark, tmp_path_factory, project_in):
    """A run by itself, whose executors have no oreflow: the project, what was said, Spark's log, what is new there."""
    root, apart = tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("apart")
    oreflow.init(root)
    project = project_in(root)
    (root / "oreflow_plugins.py").write_text(WATCH)
    day = min((root / "data/raw").glob("*.csv"))
    header, *lines = day.read_text().splitlines()
    more = [f"7{number:05}{line[6:]}" for number in range(20_000) for line in lines[:1]]
    day.write_text("\n".join([header, *lines, *more, ""]))
    for folder in ("blocked", "events", "with a blank"):
        (apart / folder).mkdir()
    (apart / "blocked/sitecustomize.py").write_text(WITHOUT_OREFLOW)
    events = {"spark.eventLog.enabled": True, "spark.eventLog.compress": False}
    events["spark.eventLog.dir"] = (apart / "events").as_uri()
    (root / "config/pipeline.local.yaml").write_text(json.dumps({"engines": {"spark": {"conf": events}}}))
    before = set(root.iterdir())
    env = {"PYTHONPATH": str(apart / "blocked"), "TMPDIR": str(apart / "with a blank")}
    done = project.cli("run", "--engine", "spark", env=env)
    assert done.code == 0, done.out + done.err
    return project, done, apart / "events", set(root.iterdir()) - before


def test_a_run_by_itself_is_quiet_but_for_its_progress_and_its_executors_need_no_oreflow(alone):
    project, done, _, new = alone
    spoken = done.out + done.err
    assert not [word for word in ("WARN", "INFO", "Stage", "log4j", "incubator", "Setting default") if word in spoken]
    assert new == {project.root / "lake", project.root / "tasks.jsonl"}
    told = [json.loads(line) for line in (project.root / "tasks.jsonl").read_text().splitlines()]
    assert ["bronze.transactions", 1] in [each[:2] for each in told]
    assert any(total for *_, total in told)
    assert all(0 <= done <= total for _, _, done, total in told)
    hidden = [p for p in (project.root / "lake").rglob("*") if p.name.startswith(".batch") or p.suffix == ".crc"]
    assert not hidden


def test_no_row_passes_through_the_driver(alone):
    """Spark's own event log has each plan, and how many bytes each task gave back to the driver."""
    project, _, log, _ = alone
    assert len(project.rows("silver.transactions")) > 15_000
    files = [path for path in log.rglob("*") if path.is_file() and not path.name.startswith((".", "appstatus"))]
    events = [json.loads(line) for path in files for line in path.read_text().split("\n") if line]
    returned = [e["Task Metrics"]["Result Size"] for e in events if e["Event"] == "SparkListenerTaskEnd"]
    assert len(returned) > 20
    # A hundredth of the rows would be more than this; what comes back is counts and the metrics of the task.
    assert max(returned) < 12_000
    plans = [e["physicalPlanDescription"] for e in events if "physicalPlanDescription" in e]
    assert any("Execute InsertIntoHadoopFsRelationCommand" in plan for plan in plans)
    for sent in ("LocalTableScan [", "Scan ExistingRDD", "BroadcastExchange"):
        assert not [plan for plan in plans if sent in plan], sent


FOREIGN = """
    import time
    from pyspark.sql import SparkSession
    import oreflow
    settings = {"spark.sql.session.timeZone": "Asia/Tokyo", "spark.sql.ansi.enabled": "false",
                "spark.sql.caseSensitive": "false", "spark.sql.shuffle.partitions": "2"}
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    mine = builder.config(map=settings).getOrCreate()
    mine.range(3).createTempView("numbers")
    report = oreflow.run(".", engine="spark")
    assert report.succeeded, report
    try:
        oreflow.run("../endless", engine="spark", tables=["gold.endless"])
    except KeyboardInterrupt:
        end, tracker = time.monotonic() + 30, mine.sparkContext.statusTracker()
        while tracker.getActiveJobsIds():
            assert time.monotonic() < end, "jobs that nobody waits for go on"
            time.sleep(0.1)
        print("nothing of it goes on")
    assert {key: mine.conf.get(key) for key in settings} == settings
    assert mine.sql("select count(*) from numbers").collect()[0][0] == 3
    assert [table.name for table in mine.catalog.listTables()] == ["numbers"]
    print("the session is mine still")
"""


def test_a_session_that_is_there_stays_as_it_is_and_ctrl_c_ends_our_jobs_in_it(spark, sample, never_ending):
    project = sample("shop")
    never_ending(sample("endless"))
    done = use(project, FOREIGN)
    assert done.stdout.splitlines() == ["nothing of it goes on", "the session is mine still"], done.stdout + done.stderr
    other = sample("other")
    other.run_well(engine="polars")
    assert project.state("_rules") == other.state("_rules")


def test_ctrl_c_is_one_also_where_py4j_makes_another_error_of_it(spark):
    from pyspark.sql import SparkSession

    from oreflow_spark.execute import run

    def progress(done, total):
        error = OSError(107, "Transport endpoint is not connected")
        error.__context__ = KeyboardInterrupt()  # in whose handling py4j raises it
        raise error

    session = SparkSession.getActiveSession()
    endless = session.range(10**12).selectExpr("sum(sqrt(id)) as total")
    with pytest.raises(KeyboardInterrupt):
        run(session, {}, {"total": endless}, progress)


def _alive(mark: str) -> list[str]:
    """The commands of the processes that have a word in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is not ours
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().partition(b"\0")[0].decode())
    return found


def test_ctrl_c_while_spark_starts_leaves_no_java_behind(spark, sample, start_run):
    project, mark = sample("shop"), uuid4().hex
    (project.root / "config/pipeline.local.yaml").write_text("processors: {bronze: {engine: spark}}\n")
    run = start_run(project, MARK=mark)
    deadline = time.monotonic() + 60
    while not any(command.endswith("java") for command in _alive(mark)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert (run.returncode, "Traceback" in out) == (130, False), out
    while _alive(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(mark)
