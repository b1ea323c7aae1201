"""The ledger has what reports have, in SQLite and in a real PostgreSQL; it is on no run's way, and can be made anew."""

from __future__ import annotations

import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

import oreflow

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales, quality_threshold: 0.5}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, name: {type: string}}
    checks: [{name: has a name, type: completeness, column: name, threshold: 0.4}]
  gold.names:
    input: silver.sales
    group_by: [name]
    measures: {n: count(*)}
resilience: {defaults: {retry: {base: 1ms, cap: 2ms}}}
"""
LEDGER = 'database: {url: "URL", timeout: 60s}\n'  # where many tests are run at once, one takes its time
STORM = (
    "chaos: {faults: [{fault: exception, resource: lake, operation: commit, rate: 1, at_most: 2, error: timeout}]}\n"
)
GOOD, DIRTY = "id,name\n1,ada\n2,grace\n", "id,name\n3,\nx,alan\n4,edsger\n"
WIDER, BAD = "id,name,age\n5,barbara,29\n", "id,name\n6,\n7,\n8,\n"


class Kept:
    """A ledger as anybody reads it who knows SQL: SQLite's own module, or psycopg."""

    def __init__(self, server=None, file=None, database="") -> None:
        self.server, self.file, self.database = server, file, database

    @property
    def url(self):
        return f"sqlite:///{self.file}" if self.file else self.server.url(self.database)

    def ask(self, query):
        if self.server:
            return self.server.ask(query, self.database)
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query).fetchall()

    def all(self):
        """Every row of every table."""
        names = ("runs", "plugins", "steps", "batches", "checks", "schema_changes", "attempts")
        return {name: sorted(self.ask(f"select * from oreflow_{name}"), key=repr) for name in names}

    def lose(self):
        if self.server:
            self.server.ask(f"drop database {self.database}")
            self.server.ask(f"create database {self.database}")
        else:
            self.file.unlink()


@pytest.fixture
def new_database(postgres):
    """Make an empty database."""
    return lambda: Kept(postgres, database=postgres.new_database())


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request, tmp_path):
    """A ledger that is not there yet."""
    if request.param == "sqlite":
        return Kept(file=tmp_path / "own" / "ledger.db")
    return request.getfixturevalue("new_database")()


@pytest.fixture
def shop(project):
    """A project with a ledger: shop(url), whose first delivery is clean."""

    def make(url, more="", folder="project"):
        return project(DECLARATION + LEDGER.replace("URL", url) + more, {"a.csv": GOOD}, folder=folder)

    return make


def impatient(made):
    """Let a project wait for its ledger for a second only."""
    made.declare((made.root / "config/pipeline.yaml").read_text().replace("timeout: 60s", "timeout: 1s"))
    return made


def eventful(made):
    """Runs in which all happens that a ledger keeps: a gate refuses, calls are made again, a column comes."""
    plain = (made.root / "config/pipeline.yaml").read_text()
    made.run()
    made.run()
    made.put("b.csv", DIRTY)
    made.declare(plain + STORM)
    made.run()
    made.declare(plain)
    made.put("c.csv", WIDER)
    made.run()
    made.put("d.csv", BAD)
    made.run()
    return oreflow.runs(made.root)


def moment(value):
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def test_a_ledger_has_every_figure_of_the_reports(shop, kept):
    reports = eventful(shop(kept.url))
    assert [report.status for report in reports] == ["failed", "success", "success", "success", "success"]
    assert not any("ledger" in remark for report in reports for remark in report.remarks)
    tables = [(report, table) for report in reports for table in report.tables]
    batches = [(report, table, batch) for report, table in tables for batch in table.batches]

    found = kept.ask(
        "select run_id, status, started_at, seconds, configuration_version, configuration_hash, lake from oreflow_runs"
    )
    lake = str(Path(tables[0][1].path).parents[1])
    assert {(row[0], row[1], moment(row[2]), *row[3:]) for row in found} == {
        (
            report.run_id,
            report.status,
            datetime.fromisoformat(report.started_at),
            report.seconds,
            report.configuration["version"],
            report.configuration["hash"],
            lake,
        )
        for report in reports
    }
    assert set(kept.ask("select run_id, part, distribution, version from oreflow_plugins")) == {
        (report.run_id, *plugin.values()) for report in reports for plugin in report.plugins
    }
    figures = (
        *(
            "status",
            "seconds",
            "batch",
            "processor",
            "engine",
            "distribution",
            "version",
            "rows_read",
            "rows_published",
        ),
        *("rows_quarantined", "rows_superseded", "quality_score", "retries", "waited_seconds", "reason"),
    )
    rows = kept.ask(f"select run_id, table_name, {', '.join(figures)} from oreflow_steps")
    assert set(rows) == {
        (report.run_id, table.table, *(getattr(table, name) for name in figures)) for report, table in tables
    }
    rows = kept.ask(
        "select run_id, table_name, batch, status, seconds, rows_read, rows_published, rows_quarantined,"
        " rows_superseded, rows_replaced, quality_score, files, bytes, reason from oreflow_batches"
    )
    assert set(rows) == {
        (
            *(report.run_id, table.table, batch.batch, batch.status, batch.seconds, batch.read, batch.published),
            *(batch.quarantined, batch.superseded, batch.replaced, batch.score, len(batch.files)),
            *(sum(file["bytes"] for file in batch.files), batch.reason),
        )
        for report, table, batch in batches
    }
    assert {row[3] for row in rows} == {"published", "refused"}
    rows = kept.ask("select run_id, table_name, batch, rule, rows_broken from oreflow_checks")
    assert sorted(rows) == sorted(
        (report.run_id, table.table, batch.batch, rule, broken)
        for report, table, batch in batches
        for rule, broken in batch.rules.items()
    )
    assert {row[3] for row in rows} == {"has a name", "id is int64"}
    ((failure,),) = kept.ask("select failure from oreflow_checks where failure <> ''")
    assert failure == "check 'has a name': 3 of 3 rows fail, 0 % pass, threshold 40 %"
    rows = kept.ask("select run_id, table_name, column_name, change, before, after from oreflow_schema_changes")
    assert rows == [(reports[1].run_id, "bronze.sales", "age", "added", None, "string")]
    rows = kept.ask(
        "select run_id, table_name, number, at, batch, resource, kind, attempt, seconds, error, detail"
        " from oreflow_attempts"
    )
    assert {(*row[:3], moment(row[3]), *row[4:]) for row in rows} == {
        (report.run_id, table.table, number, datetime.fromisoformat(event["at"]), *list(event.values())[1:])
        for report, table in tables
        for number, event in enumerate(table.events, 1)
    }
    assert {row[6] for row in rows} >= {"retry", "recovered"}
    assert {row[0] for row in rows} == {reports[2].run_id}


def test_a_ledger_that_is_lost_is_rebuilt_row_for_row(shop, kept):
    made = shop(kept.url)
    eventful(made)
    before = kept.all()
    assert all(before.values())
    assert made.cli("runs", "rebuild", "--json").json["batches"] == {"written": len(before["batches"]), "missing": 0}
    assert kept.all() == before
    kept.lose()
    done = made.cli("runs", "rebuild")
    assert done.code == 0, done.err
    assert "  runs           5, of which the ledger lacked 5\n  steps         15, of which" in done.out
    assert kept.all() == before
    assert "p0stgr3s" not in done.out


def test_of_runs_without_reports_a_rebuild_has_what_they_have_published(shop, kept):
    made = shop(kept.url)
    reports = eventful(made)
    before = kept.all()
    for report in made.root.glob("lake/_oreflow/runs/*.json"):
        report.unlink()
    assert made.cli("runs", "rebuild", "--json").json["runs"]["missing"] == 0
    assert kept.all() == before, "what the ledger knows better was written over"
    kept.lose()
    # Of bronze.sales neither the files of the claims nor those of the accounts are left, but the table's log.
    for file in (made.root / "lake/_oreflow/batches/bronze.sales").iterdir():
        file.unlink()
    found = made.cli("runs", "rebuild", "--json").json
    published = [
        (r.run_id, t.table, b) for r in reports for t in r.tables for b in t.batches if b.status == "published"
    ]
    assert found["batches"] == {"written": len(published), "missing": len(published)}
    rows = kept.ask(
        "select run_id, table_name, batch, rows_read, rows_published, rows_quarantined, rows_superseded, rows_replaced,"
        " quality_score, files, bytes from oreflow_batches"
    )
    assert set(rows) == {
        (
            *(run_id, table, batch.batch, batch.read, batch.published, batch.quarantined, batch.superseded),
            *(batch.replaced, batch.score, len(batch.files), sum(file["bytes"] for file in batch.files)),
        )
        for run_id, table, batch in published
    }
    of_steps = (
        "select run_id, table_name, rows_read, rows_published, rows_quarantined, quality_score from oreflow_steps"
    )
    assert set(kept.ask(of_steps)) == {
        (r.run_id, t.table, t.rows_read, t.rows_published, t.rows_quarantined, t.quality_score)
        for r in reports
        for t in r.tables
        if t.status == "published"
    }
    assert {row[0] for row in kept.ask("select status from oreflow_runs")} == {"unknown"}
    assert kept.all()["checks"] == [row for row in before["checks"] if row[-1] == "" and row[2:4] != ("", "")]


def test_ten_runs_at_once_on_an_empty_postgresql_lose_no_record(shop, new_database, start_run):
    kept = new_database()
    projects = [shop(kept.url, folder=f"shop{number}") for number in range(5)]
    for made in projects:
        made.put("b.csv", DIRTY)
    running = [start_run(made) for made in projects for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 10, said
    reports = [report for made in projects for report in oreflow.runs(made.root)]
    assert len(reports) == 10
    assert not any(report.remarks for report in reports), [report.remarks for report in reports]
    assert set(kept.ask("select run_id, status, seconds from oreflow_runs")) == {
        (report.run_id, report.status, report.seconds) for report in reports
    }
    tables = [(report.run_id, table) for report in reports for table in report.tables]
    assert set(kept.ask("select run_id, table_name, rows_read, seconds from oreflow_steps")) == {
        (run_id, table.table, table.rows_read, table.seconds) for run_id, table in tables
    }
    before = kept.all()
    found = projects[0].cli("runs", "rebuild", "--json").json
    assert [found[what]["missing"] for what in ("runs", "steps", "batches")] == [0, 0, 0]
    assert kept.all() == before


AWAY = """
import os, signal, subprocess, time
from oreflow import hookimpl

@hookimpl
def step_finished(result):
    if result["table"] == "silver.sales":  # of which the ledger is told after this
        time.sleep(1.5)  # what there is so far is written
        server = int(os.environ["SERVER"])
        begun = map(int, subprocess.run(["pgrep", "-P", str(server)], capture_output=True).stdout.split())
        stop = os.environ["HOW"] == "SIGSTOP"
        for process in (server, *begun) if stop else (server,):
            os.kill(process, signal.SIGSTOP if stop else signal.SIGQUIT)
"""


@pytest.mark.parametrize(("how", "says"), [("SIGQUIT", "connection"), ("SIGSTOP", "it does not answer in 1 s")])
def test_a_database_that_dies_or_hangs_under_way_costs_a_run_a_remark(shop, new_database, postgres, how, says):
    kept = new_database()
    made = impatient(shop(kept.url))
    (made.root / "oreflow_plugins.py").write_text(AWAY)
    start = time.monotonic()
    try:
        done = made.cli("run", "--json", env={"SERVER": str(postgres.process.pid), "HOW": how})
        took = time.monotonic() - start
    finally:
        postgres.stop()  # also of one that hangs, as the signals are sent to it together
        postgres.start()
    report = done.json
    assert (done.code, report["status"]) == (0, "success"), done.err
    assert took < 10
    (remark,) = report["remarks"]
    assert remark.startswith(
        f"the plugin ledger of oreflow-ledger 0.1.0: the ledger {kept.url} lacks some of this run: "
    )
    assert says in remark
    assert remark.endswith("`oreflow runs rebuild` completes it")
    assert kept.ask("select status from oreflow_runs") == [("running",)]
    assert kept.ask("select table_name from oreflow_steps") == [("bronze.sales",)]
    (made.root / "oreflow_plugins.py").unlink()
    found = made.cli("runs", "rebuild", "--json").json
    assert found["steps"] == {"written": 3, "missing": 2}
    assert kept.ask("select status, seconds from oreflow_runs") == [("success", report["seconds"])]


def test_a_database_that_is_away_is_asked_once_in_a_run(shop, monkeypatch):
    monkeypatch.setenv("LEDGER_PASSWORD", "s3cret-of-ledger")
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                asked.append(connection)
                connection.close()

        threading.Thread(target=refuse, daemon=True).start()
        made = shop(f"postgresql://ada:${{env:LEDGER_PASSWORD}}@127.0.0.1:{listener.getsockname()[1]}/shop")
        report = made.run()
        listener.shutdown(socket.SHUT_RDWR)
    assert (report.status, len(asked), len(report.remarks)) == ("success", 1, 1)
    assert "s3cret" not in report.remarks[0]


def test_no_output_and_no_file_has_the_password(shop, new_database, monkeypatch):
    """Neither where it is wrong and stands in the declaration, nor where it is right and the database is not there."""
    kept = new_database()
    logs = (
        "monitoring: {logs: {level: debug, levels: {sqlalchemy: debug, psycopg: debug, alembic: debug}, file: log}}\n"
    )
    wrong = shop(kept.server.url(kept.database, "p4ss-of-l3dger!"), logs)
    nowhere = shop(kept.server.url("nowhere"), logs, folder="nowhere")
    monkeypatch.setenv("LEDGER_URL", kept.server.url(kept.database, "p4ss-in-@-url").replace("-@-", "-%40-"))
    whole = shop("${env:LEDGER_URL}", logs, folder="whole")
    commands = {("run",): 0, ("runs", "rebuild"): 1, ("health", "ledger"): 0, ("config", "show"): 0}
    said = ""
    for made, asked in ((wrong, commands), (nowhere, {("run", "--json"): 0}), (whole, {("run",): 0})):
        for command, code in asked.items():
            done = made.cli(*command)
            said += done.out + done.err
            assert done.code == code, done.err
        files = [file for file in made.root.rglob("*") if file.is_file() and file.parent.name != "config"]
        said += "".join(file.read_text(errors="replace") for file in files)
    assert said.count("password authentication failed") > 3
    assert r"database \"nowhere\" does not exist" in said
    assert "postgresql://postgres:***@127.0.0.1" in said
    assert "the ledger ${env:LEDGER_URL} lacks some of this run: " in said
    assert "p4ss" not in said
    assert "p0stgr3s" not in said


def test_a_file_that_is_locked_or_no_database_costs_a_run_a_remark(shop, tmp_path):
    file = tmp_path / "ledger.db"
    made = impatient(shop(f"sqlite:///{file}"))
    made.run_well()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin exclusive")
        report = made.run()
        other.execute("rollback")
    assert report.status == "success"
    assert "does not answer in 1 s" in report.remarks[0] or "database is locked" in report.remarks[0]
    file.write_bytes(b"no database at all" * 100)
    report = made.run()
    mend = f"file is not a database - move {file} away, and `oreflow runs rebuild` makes it anew"
    assert report.remarks[0].endswith(mend)
    (check,) = oreflow.health(made.root, checks="ledger").checks
    assert (check.status, check.reason.endswith(mend)) == ("warn", True)
    assert file.read_bytes() == b"no database at all" * 100
    done = made.cli("runs", "rebuild")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(f"ledger.db: {mend}\n")
    file.unlink()
    assert made.cli("runs", "rebuild").code == 0


def test_a_ledger_of_a_newer_version_is_left_as_it_is(shop, kept):
    made = shop(kept.url)
    made.run_well()
    if kept.server:
        kept.ask("update oreflow_ledger_version set version_num = '9999'")
    else:
        with closing(sqlite3.connect(kept.file)) as connection:
            connection.execute("update oreflow_ledger_version set version_num = '9999'")
            connection.commit()
    before = kept.all()
    report = made.run()
    assert report.status == "success"
    assert "its schema has the revision 9999, and this version of oreflow-ledger knows 0001" in report.remarks[0]
    assert kept.all() == before
    (check,) = oreflow.health(made.root, checks="ledger").checks
    assert (check.status, "revision 9999" in check.reason) == ("warn", True)


def test_runs_that_are_older_than_is_declared_go_with_all_that_is_theirs(shop, kept):
    made = shop(kept.url, "", folder="one")
    other = shop(kept.url, "", folder="other")
    made.run_well()
    other.run_well()
    time.sleep(1.1)
    made.declare((made.root / "config/pipeline.yaml").read_text().replace("timeout: 60s", "retention: 1s"))
    last = made.run().run_id
    left = kept.all()
    lakes = {str(each.root / "lake"): each for each in (made, other)}
    assert sorted((lakes[row[2]].root.name, row[1] == last) for row in left["runs"]) == [
        ("one", True),
        ("other", False),
    ]
    ids = {row[1] for row in left["runs"]}
    assert {row[1] for rows in left.values() for row in rows} == ids
    time.sleep(1.1)
    assert made.cli("runs", "rebuild", "--json").json["runs"] == {"written": 0, "missing": 0}
    assert [row[1] for row in kept.all()["runs"]] == list(ids - {last})


def test_health_says_whether_the_ledger_can_be_written_to(shop, kept, postgres):
    made = shop(kept.url)

    def check():
        (found,) = oreflow.health(made.root, checks="ledger").checks
        return found.status, found.reason

    status, reason = check()
    assert status == "pass"
    assert reason.endswith("made by the next run")
    assert not (kept.file and kept.file.exists())
    made.run_well()
    status, reason = check()
    assert status == "pass"
    assert reason.startswith(kept.url) and reason.endswith("schema 0001") and " answers in " in reason
    if kept.server:
        made.declare((made.root / "config/pipeline.yaml").read_text().replace(str(postgres.port), "1"))
        status, reason = check()
        assert (status, "refused" in reason) == ("warn", True)
        assert made.cli("health").code == 0


def test_a_ledger_that_can_be_read_and_not_written_is_a_warning_of_health(shop, new_database):
    kept = new_database()
    made = shop(kept.url)
    assert made.cli("run").code == 0
    kept.ask(f"alter database {kept.database} set default_transaction_read_only = on")
    (check,) = made.cli("health", "ledger", "--json").json["checks"]
    assert (check["status"], "read-only" in check["reason"]) == ("warn", True)


def test_runs_of_a_process_share_its_connections(shop, new_database):
    kept = new_database()
    made = [shop(kept.url, folder=f"shop{number}") for number in range(4)]
    for each in made:
        text = (each.root / "config/pipeline.yaml").read_text()
        each.declare(text.replace("timeout: 60s", "timeout: 60s, pool_size: 1"))
    seen, over = [], threading.Event()

    def look():
        query = "select count(*) from pg_stat_activity where application_name = 'oreflow-ledger'"
        while not over.wait(0.01):
            seen.append(kept.ask(query)[0][0])

    threads = [threading.Thread(target=each.run) for each in made]
    looking = threading.Thread(target=look)
    for thread in (looking, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    looking.join()
    assert max(seen) == 1
    assert len(kept.ask("select * from oreflow_runs where status = 'success'")) == 4
    deadline = time.monotonic() + 5
    while kept.ask("select 1 from pg_stat_activity where application_name = 'oreflow-ledger'"):
        assert time.monotonic() < deadline, "connections were left open"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{url: shop.db}", ":16 database.url: this is no address of a database - say sqlite:///FILE or postgresql://"),
        ("{url: 'mysql://ada@db/shop'}", "database.url: a ledger is in SQLite or in PostgreSQL, not in mysql - say "),
        ("{url: 'postgresql+asyncpg://ada@db/shop'}", "not in postgresql+asyncpg"),
        ("{url: 'postgres://ada:hunter22@db/shop'}", "not in postgres - say sqlite:///FILE or postgresql://"),
        ("{url: 'sqlite://'}", "database.url: the address names no file"),
        ("{url: 'sqlite:///:memory:'}", "database.url: the address names no file"),
        ("{url: 'sqlite:///shop.db?mode=ro'}", "database.url: a file of SQLite has no parameters - say the file alone"),
        ("{url: 'postgresql://ada@db:port/shop'}", "database.url: this is no address of a database"),
        ("{url: 'postgresql://ada@db'}", "database.url: the address names no database"),
        ("{url: 'postgresql://ada:${env:NOT_SET}@db/shop'}", "database.url: the variable NOT_SET is not set"),
        ("{url: 'sqlite:///shop.db', host: db}", "database.host: url and host do not go together - say the one or"),
        ("{username: ada}", "database.username: 'username' is of a PostgreSQL, and 'host' is missing - add host, or"),
        ("{host: db}", ":16 database: 'database' is missing - add the name of the database, beside host"),
        ("{host: db, database: shop, password: hunter22}", "database: 'username' is missing - add it, beside password"),
        ("{host: db, database: shop, port: 0}", "database.port"),
        ("{retention: 0d}", "database.retention: '0d' is no time that lasts - say one above 0, such as 90d"),
        ("{retention: soon}", "database.retention: 'soon' does not fit"),
        ("{pool_size: 0}", "database.pool_size"),
        ("{config: database, host: h}", "config and host do not go together"),
        ("{retention: 30}", "database.retention: '30' does not fit - how long runs are kept: a text such as 90d"),
        ("{timout: 3s}", "unknown key 'timout' - did you mean 'timeout'?"),
    ],
)
def test_a_mistake_is_one_line_at_its_place(project, section, says):
    made = project(DECLARATION + f"database: {section}\n", {"a.csv": GOOD})
    with pytest.raises(oreflow.DeclarationError) as refused:
        made.run()
    (line,) = {str(problem) for problem in refused.value.problems if problem.line}
    assert says in line
    assert line.startswith("config/pipeline.yaml:16 ")
    assert "hunter22" not in line
    assert not (made.root / "lake").exists()


def test_without_the_driver_a_postgresql_is_refused_with_what_mends_it(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(oreflow.DeclarationError, match=r'pip install "oreflow-ledger\[postgresql\]"'):
        shop("postgresql://ada@db/shop").run()


def test_fields_say_the_same_as_an_address(project, new_database, postgres, monkeypatch):
    kept = new_database()
    # What a reference leads to is taken for a secret by all of this process: a database of its own, and no host.
    monkeypatch.setenv("LEDGER_DATABASE", kept.database)
    fields = f"host: 127.0.0.1, port: {postgres.port}, database: '${{env:LEDGER_DATABASE}}', username: postgres"
    made = project(DECLARATION + f'database: {{{fields}, password: "${{env:LEDGER_PASSWORD}}"}}\n', {"a.csv": GOOD})
    report = made.run()
    assert report.remarks == []
    assert kept.ask("select run_id from oreflow_runs") == [(report.run_id,)]
    (check,) = oreflow.health(made.root, checks="ledger").checks
    assert check.reason.startswith(
        f"postgresql://postgres:***@127.0.0.1:{postgres.port}/${{env:LEDGER_DATABASE}} answers"
    )


def test_the_database_may_be_that_of_a_configuration_of_the_project(project, new_database, postgres, monkeypatch):
    kept = new_database()
    made = project(DECLARATION + "database: {config: database, retention: 90d}\n", {"a.csv": GOOD})
    fields = f"host: 127.0.0.1\nport: 1\ndatabase: {kept.database}\nusername: postgres\npassword: none\necho: false\n"
    made.put("config/database.yaml", f"{fields}pool_size: 3\n")
    made.put("config/database.development.yaml", f"port: {postgres.port}\n")
    monkeypatch.setenv("DATABASE_PASSWORD", postgres.password)
    report = made.run()
    assert report.remarks == []
    assert kept.ask("select run_id from oreflow_runs") == [(report.run_id,)]
    (check,) = oreflow.health(made.root, checks="ledger").checks
    assert check.status == "pass"
    assert postgres.password not in check.reason
    for content, says in (
        ("port: 1\n", "the configuration 'database' says no url and no host - say one in config/database.yaml"),
        (
            "host: h\ndatabase: d\nretnetion: 90d\n",
            "has a key 'retnetion', which is none of a ledger's - did you mean 'retention'?",
        ),
        ("host: h\ndatabase: d\nport: many\n", "the configuration 'database' cannot be used: port: expected"),
    ):
        made.put("config/database.yaml", content)
        made.put("config/database.development.yaml", "")
        monkeypatch.delenv("DATABASE_PASSWORD", raising=False)
        with pytest.raises(oreflow.DeclarationError) as refused:
            made.run()
        assert says in str(refused.value)
        assert "config/pipeline.yaml:16 database.config" in str(refused.value)


def test_how_a_killed_run_ended_is_written_by_the_next(shop, kept):
    made = shop(kept.url)
    killing = "import os, signal\nfrom oreflow import hookimpl\n\n@hookimpl\ndef step_progressed(table, phase):\n"
    killing += "    if (table, phase) == ('silver.sales', 'published'): os.kill(os.getpid(), signal.SIGKILL)\n"
    (made.root / "oreflow_plugins.py").write_text(killing)
    assert made.cli("run").code == -signal.SIGKILL
    (made.root / "oreflow_plugins.py").unlink()
    assert made.run().remarks == []
    killed = oreflow.runs(made.root)[1]
    assert killed.status == "interrupted"
    steps = dict(kept.ask(f"select table_name, rows_read from oreflow_steps where run_id = '{killed.run_id}'"))
    assert steps == {table.table: table.rows_read for table in killed.tables}
    assert kept.ask(f"select status from oreflow_runs where run_id = '{killed.run_id}'") == [("interrupted",)]
    rows = kept.all()
    kept.lose()
    made.cli("runs", "rebuild")
    assert kept.all() == rows


def test_an_empty_section_is_a_file_beside_the_tables_and_none_is_no_ledger(project):
    made = project(DECLARATION, {"a.csv": GOOD})
    made.run_well()
    done = made.cli("runs", "rebuild")
    assert (done.code, done.err) == (2, "error: shop has no ledger - add `database: {}` to its declaration\n")
    made.declare(DECLARATION + "database: {}\n")
    made.put("b.csv", DIRTY)
    made.run_well()
    kept = Kept(file=made.root / "lake/_oreflow/plugins/shop/ledger.db")
    assert len(kept.ask("select * from oreflow_runs")) == 1
    assert made.cli("runs", "rebuild", "--json").json["runs"] == {"written": 2, "missing": 1}
