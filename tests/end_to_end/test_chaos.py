"""Faults that are injected on purpose: each does what it says, and leaves no table wrong; without being asked, none."""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import oreflow
from oreflow.factory import discovery

DECLARATION = """
name: shop
RESILIENCE
sources: {raw_files: {path: "./data/raw/*.csv", format: csv}}
processors:
  bronze: {engine: polars}
  silver: {engine: polars}
  gold: {engine: polars}
tables:
  bronze.orders: {source: raw_files}
  silver.orders:
    input: bronze.orders
    columns:
      id: {type: int64}
      country: {type: string}
      amount: {type: "decimal(18,2)"}
    checks: [{name: paid, type: validity, expression: amount > 0}]
  silver.latest:
    input: bronze.orders
    columns: {id: {type: int64}, country: {type: string}, amount: {type: "decimal(18,2)"}}
    deduplicate: {keys: [country], order_by: [id], keep: last}
  gold.sales:
    input: silver.orders
    group_by: [country]
    measures: {total: sum(amount)}
"""
TRIES = """
resilience:
  defaults: {retry: {max_attempts: 10, base: 1ms, cap: 5ms}, breaker: false}
"""
ONCE = "resilience: {defaults: {retry: {max_attempts: 1}, breaker: false}}"
TABLES = ("bronze.orders", "silver.orders", "silver.latest", "gold.sales")
HEADER = "id,country,amount\n"
FIRST = HEADER + "1,de,1.00\n2,fr,2.50\nx,fr,3.00\n4,de,-4.00\n5,it,5.00\n"
SECOND = HEADER + "6,de,1.00\n7,fr,2.50\nno record\n8,it,8.00\n"


@pytest.fixture
def shop(project, caplog):
    """Make the project in a folder of its own, with two files to read; what is injected is logged."""
    caplog.set_level(logging.INFO, logger="oreflow.chaos")

    def make(folder: str = "shop", tries: str = TRIES) -> Any:
        return project(DECLARATION.replace("RESILIENCE", tries), {"a.csv": FIRST, "b.csv": SECOND}, folder=folder)

    return make


def storm(made: Any, *faults: str, seed: int = 0, more: str = "") -> Path:
    """A file of faults."""
    lines = "".join(f"  - {{{fault}}}\n" for fault in faults)
    return made.put("chaos/storm.yaml", f"seed: {seed}\n{more}faults:\n{lines}")


def by_table(report: oreflow.RunReport) -> dict[str, Any]:
    return {result.table: result for result in report.tables}


def injected(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was injected, without the run's id."""
    told = [record for record in caplog.records if record.name == "oreflow.chaos" and record.levelname == "INFO"]
    return [record.getMessage().partition(" of run")[0] for record in told]


@pytest.fixture
def calm(shop):
    """The tables of a run without faults."""
    made = shop("calm")
    made.run_well()
    return made.state()


# Each fault


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("connection_reset", "chaos: connection reset"),
        ("timeout", "chaos: timed out"),
        ("refused", "chaos: connection refused"),
        ("io", "chaos: input/output error"),
        ("throttled", "chaos: too many requests"),
        ("permission", "chaos: permission denied"),
        ("unknown", "chaos: unknown error"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_exception_is_raised_and_told(error, told, when, shop):
    made = shop(tries=ONCE)
    fault = f"fault: exception, resource: raw_files, operation: read, rate: 1, error: {error}, when: {when}"
    results = by_table(made.run(chaos=storm(made, fault)))
    assert [result.status for result in results.values()] == ["failed", "skipped", "skipped", "skipped"]
    assert told in results["bronze.orders"].reason
    assert made.state() == {}


def test_an_exception_is_a_reset_connection_before_the_call_where_no_more_is_said(shop, caplog):
    made = shop(tries=ONCE)
    results = by_table(made.run(chaos=storm(made, "fault: exception, resource: silver.orders, rate: 1")))
    assert "chaos: connection reset" in results["silver.orders"].reason
    assert injected(caplog) == ["chaos: connection_reset before make of silver.orders, number 1 of faults.0"]


def test_a_commit_whose_answer_is_lost_is_not_made_twice(shop, calm):
    made = shop()
    fault = "fault: exception, resource: lake, operation: commit, rate: 1, at_most: 5, when: after, error: timeout"
    assert made.run(chaos=storm(made, fault)).succeeded
    assert made.state() == calm


def test_a_throttled_call_comes_again_when_it_was_told_to(shop):
    made = shop()
    fault = "fault: exception, resource: raw_files, operation: list, rate: 1, at_most: 1"
    start = time.perf_counter()
    report = made.run(chaos=storm(made, f"{fault}, error: throttled, retry_after: 0.3"))
    assert report.succeeded
    assert time.perf_counter() - start >= 0.3
    (source,) = [use for use in report.resources if use["resource"] == "raw_files"]
    assert source["retries"] == 1


def test_latency_lets_the_call_wait(shop, caplog):
    made = shop()
    start = time.perf_counter()
    assert made.run(chaos=storm(made, 'fault: latency, resource: "*.orders", rate: 1, delay: 0.4')).succeeded
    assert time.perf_counter() - start >= 0.8
    assert [line.partition(", number")[0] for line in injected(caplog)] == [
        "chaos: latency before make of bronze.orders",
        "chaos: latency before make of silver.orders",
    ]


def test_a_call_that_waits_longer_than_it_may_is_made_again(shop):
    made = shop(tries=TRIES + "  resources: {raw_files: {timeout: 2s}}\n")
    fault = "fault: latency, resource: raw_files, operation: list, rate: 1, at_most: 1, delay: 3"
    report = made.run(chaos=storm(made, fault))
    assert report.succeeded
    (source,) = [use for use in report.resources if use["resource"] == "raw_files"]
    assert source["retries"] == 1
    assert "TimeoutError" in source["last_error"]


@pytest.mark.parametrize(("when", "version"), [("before", None), ("after", 0)])
def test_the_process_is_killed_before_the_commit_or_after_it(when, version, shop):
    made = shop()
    storm(made, f"fault: kill, resource: lake, operation: commit, rate: 1, when: {when}")
    done = made.cli("run", "--chaos", "chaos/storm.yaml")
    assert done.code == -signal.SIGKILL
    # The quarantine is committed first.
    assert made.version("bronze.orders", quarantine=True) == version
    assert made.version("bronze.orders") is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_full_disk_is_told_and_the_table_stays(when, shop):
    made = shop()
    fault = f"fault: disk_full, resource: lake, operation: commit, rate: 1, when: {when}"
    results = by_table(made.run(chaos=storm(made, fault)))
    assert "chaos: no space left on device" in results["bronze.orders"].reason
    assert made.version("bronze.orders") is None


def test_corrupt_input_damages_what_is_read_and_not_the_files(shop):
    made = shop()
    before = {file.name: file.read_bytes() for file in (made.root / "data/raw").iterdir()}
    fault = "fault: corrupt_input, resource: raw_files, rate: 1, rows: 0.4"
    assert made.run(chaos=storm(made, fault)).succeeded
    assert {file.name: file.read_bytes() for file in (made.root / "data/raw").iterdir()} == before
    rows = made.dicts("bronze.orders")
    damaged = [row for row in rows if "chaos" in row["id"]]
    assert len(rows) == 8
    assert 0 < len(damaged) < 8
    assert all("chaos" in row["country"] and "chaos" in row["amount"] for row in damaged)
    aside = made.dicts("silver.orders", quarantine=True)
    assert sum("chaos" in row["_reason"] for row in aside) == len(damaged)


@pytest.mark.parametrize("share", [0.02, 0.5, 1])
def test_so_many_rows_are_damaged_as_are_said(share, shop):
    made = shop()
    made.put("a.csv", HEADER + "".join(f"{number},de,1.00\n" for number in range(5000)))
    fault = f"fault: corrupt_input, rate: 1, rows: {share}"
    made.run(chaos=storm(made, fault), tables=["bronze.orders"])
    rows = made.dicts("bronze.orders")
    assert len(rows) == 5003
    assert sum("chaos" in row["id"] for row in rows) == pytest.approx(5003 * share, abs=5)


def test_the_same_rows_are_damaged_on_both_engines(shop, spark):
    fault = "fault: corrupt_input, rate: 1, rows: 0.3"
    found = []
    for engine in ("polars", "spark"):
        made = shop(engine)
        made.run(chaos=storm(made, fault, seed=3), tables=["bronze.orders"], engine=engine)
        found.append(made.state())
    assert found[0] == found[1]
    assert "chaos" in str(found[0])


def test_a_wrong_result_is_caught_by_the_row_account(shop):
    made = shop()
    results = by_table(made.run(chaos=storm(made, "fault: wrong_result, resource: silver.orders, rate: 1")))
    assert results["silver.orders"].status == "failed"
    assert "the row account does not balance: 8 read, 0 to publish" in results["silver.orders"].reason
    assert made.version("silver.orders") is None
    made.run_well()
    assert made.version("silver.orders") == 0


@pytest.mark.parametrize("engine", ["polars", "spark"])
def test_a_file_that_is_cut_off_is_noticed_and_the_step_is_made_again(engine, shop, calm, request, caplog):
    if engine == "spark":
        request.getfixturevalue("spark")
    made = shop()
    fault = 'fault: corrupt_file, resource: "*.*", rate: 1, at_most: 3'
    report = made.run(chaos=storm(made, fault), engine=engine)
    assert report.succeeded
    assert sum(result.retries for result in report.tables) == 3
    assert len(injected(caplog)) == 3
    assert made.state() == calm


@pytest.mark.parametrize("table", TABLES)
def test_a_file_that_is_always_cut_off_is_told_and_not_published(table, shop, calm):
    made = shop()
    results = by_table(made.run(chaos=storm(made, f"fault: corrupt_file, resource: {table}, rate: 1")))
    assert results[table].status == "failed"
    assert "bytes where" in results[table].reason
    assert made.version(table) is None
    made.run_well()
    assert made.state() == calm


def test_files_of_a_merge_and_of_a_quarantine_are_looked_at_too(shop):
    calm = shop("merged")
    calm.run_well()
    made = shop()
    made.run_well()
    for each in (calm, made):
        each.put("c.csv", HEADER + "9,de,1.00\n10,fr,0.00\nx,fr,3.00\n")
    calm.run_well()
    report = made.run(chaos=storm(made, 'fault: corrupt_file, resource: "silver.*", rate: 0.7, at_most: 6', seed=2))
    assert report.succeeded, by_table(report)
    assert sum(result.retries for result in report.tables) >= 2
    assert made.state() == calm.state()


# Off unless declared


def test_nothing_is_injected_unless_it_is_declared(shop, caplog):
    made = shop()
    made.run_well()
    assert made.cli("run").code == 0
    assert injected(caplog) == []
    assert all(use["attempts"] and not use["retries"] for use in made.run().resources)


def test_a_section_injects_in_each_run_and_a_plan_is_made_without(shop):
    made = shop(tries=ONCE)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(text + "chaos: {faults: [{fault: exception, resource: lake, rate: 1, error: permission}]}\n")
    assert made.cli("plan").code == 0
    done = made.cli("run")
    assert done.code == 1
    assert "chaos: permission denied" in done.err
    made.declare(text + "chaos: {faults: []}\n")
    made.run_well()


def test_the_file_takes_the_place_of_the_section(shop):
    made = shop(tries=ONCE)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(text + "chaos: {faults: [{fault: exception, resource: lake, rate: 1}]}\n")
    storm(made)
    made.put("chaos/calm.yaml", "faults: []\n")
    assert made.cli("run").code != 0
    assert made.cli("run", "--chaos", "chaos/calm.yaml").code == 0
    assert made.run(chaos=made.root / "chaos/calm.yaml").succeeded


def test_a_rate_and_a_limit_are_kept(shop, caplog):
    made = shop()
    fault = "fault: latency, resource: lake, operation: load, delay: 0.0001"
    made.run(chaos=storm(made, f"{fault}, rate: 1"))
    every = len(injected(caplog))
    caplog.clear()
    made = shop("limited")
    made.run(chaos=storm(made, f"{fault}, rate: 1, at_most: 4"))
    assert len(injected(caplog)) == 4
    caplog.clear()
    made = shop("half")
    made.run(chaos=storm(made, f"{fault}, rate: 0.5"))
    assert 0 < len(injected(caplog)) < every


def test_the_same_seed_gives_the_same_faults_and_another_seed_others(shop, caplog):
    faults = (
        'fault: latency, resource: "*", rate: 0.3, delay: 0.0001',
        "fault: exception, resource: lake, rate: 0.2, when: after, error: io",
    )
    found = []
    for number, seed in enumerate((1, 1, 2)):
        caplog.clear()
        made = shop(f"shop{number}")
        assert made.run(chaos=storm(made, *faults, seed=seed)).succeeded
        found.append(injected(caplog))
    assert found[0] == found[1] != found[2]
    assert len(found[0]) > 10


def test_a_fault_is_the_same_whatever_is_declared_after_it(shop, caplog):
    first = "fault: latency, resource: lake, operation: load, rate: 0.4, delay: 0.0001"
    found = []
    for number, more in enumerate(((), ("fault: latency, rate: 0.5, delay: 0.0001",))):
        caplog.clear()
        made = shop(f"shop{number}")
        made.run(chaos=storm(made, first, *more))
        found.append([line for line in injected(caplog) if line.endswith("faults.0")])
    assert found[0] == found[1] != []


def test_a_run_that_is_over_is_forgotten_and_of_those_that_never_began_few_are_remembered(shop, monkeypatch):
    from oreflow_chaos import plugin

    monkeypatch.setattr(plugin, "_runs", {})
    monkeypatch.setattr(plugin, "_MOST_RUNS", 3)
    made = shop()
    file = storm(made, "fault: latency, rate: 0.1, delay: 0.0001")
    for _ in range(5):
        with pytest.raises(oreflow.DeclarationError, match="there is no engine"):
            made.run(chaos=file, engine="abacus")
    assert len(plugin._runs) == 3
    assert made.run(chaos=file).succeeded
    assert len(plugin._runs) == 2


# Production


def test_production_has_no_faults_unless_they_are_meant_for_it(shop):
    made = shop(tries=ONCE)
    storm(made, "fault: exception, resource: raw_files, operation: read, rate: 1")
    done = made.cli("run", "--env", "production", "--chaos", "chaos/storm.yaml")
    assert done.code == 2
    assert "chaos: faults are not injected in production" in done.err
    assert "in_production: true" in done.err
    assert not (made.root / "lake").exists()
    storm(made, "fault: exception, resource: raw_files, operation: read, rate: 1", more="in_production: true\n")
    done = made.cli("run", "--env", "production", "--chaos", "chaos/storm.yaml")
    assert done.code == 1
    assert "chaos: connection reset" in done.out + done.err


# What is refused


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("resource: lake, rate: 1", "chaos.faults.0: 'fault' is missing"),
        ("fault: explode, rate: 1", "chaos.faults.0.fault: 'explode' is not one of the choices"),
        ("fault: kill", "chaos.faults.0: 'rate' is missing"),
        ("fault: kill, rate: 0", "chaos.faults.0.rate: "),
        ("fault: kill, rate: 1.5", "chaos.faults.0.rate: "),
        ("fault: kill, rate: often", "chaos.faults.0.rate: expected a number, got 'often'"),
        ("fault: kill, rate: 1, at_most: 0", "chaos.faults.0.at_most: "),
        ("fault: kill, rate: 1, wen: after", "chaos.faults.0.wen: unknown key 'wen' - did you mean 'when'?"),
        ("fault: kill, rate: 1, when: now", "chaos.faults.0.when: 'now' is not one of the choices"),
        ("fault: kill, rate: 1, delay: 1", "chaos.faults.0.delay: unknown key"),
        ("fault: kill, rate: 1, operation: comit", "chaos.faults.0.operation: 'comit' is not one of the choices"),
        ("fault: latency, rate: 1", "chaos.faults.0: 'delay' is missing - add it: how long the call waits, in seconds"),
        ("fault: latency, rate: 1, delay: 50ms", "chaos.faults.0.delay: expected a number, got '50ms'"),
        ("fault: latency, rate: 1, delay: 0", "chaos.faults.0.delay: "),
        ("fault: latency, rate: 1, delay: 1, when: after", "chaos.faults.0.when: unknown key"),
        ("fault: exception, rate: 1, error: bad", "chaos.faults.0.error: 'bad' is not one of the choices"),
        ("fault: exception, rate: 1, error: io, retry_after: 1", "chaos.faults.0.retry_after: cannot be said here"),
        ("fault: exception, rate: 1, retry_after: 1", "chaos.faults.0.retry_after: cannot be said here"),
        ("fault: disk_full, rate: 1, error: io", "chaos.faults.0.error: unknown key"),
        ("fault: corrupt_input, rate: 1", "chaos.faults.0: 'rows' is missing"),
        ("fault: corrupt_input, rate: 1, rows: 2", "chaos.faults.0.rows: "),
        ("fault: corrupt_input, rate: 1, rows: 1, operation: list", "chaos.faults.0.operation: unknown key"),
        ("fault: wrong_result, rate: 1, rows: 1", "chaos.faults.0.rows: unknown key"),
        ("fault: corrupt_file, rate: 1, when: after", "chaos.faults.0.when: unknown key"),
        (
            "fault: kill, rate: 1, resource: bronze.ordres",
            "no resource is called 'bronze.ordres', or fits it as a pattern - there are bronze.orders, gold.sales,",
        ),
        (
            "fault: corrupt_input, rate: 1, rows: 1, resource: bronze.*",
            "chaos.faults.0.resource: corrupt_input befalls a source, and bronze.orders is none - there are raw_files",
        ),
        (
            "fault: wrong_result, rate: 1, resource: lake",
            "chaos.faults.0.resource: wrong_result befalls a table, and lake is none",
        ),
        ("fault: corrupt_file, rate: 1, resource: raw_files", "corrupt_file befalls a table, and raw_files is none"),
        (
            "fault: kill, rate: 1, resource: raw_files, operation: commit",
            "chaos.faults.0.operation: raw_files is never asked to commit - there are list, digest, read",
        ),
        (
            "fault: kill, rate: 1, resource: silver.*, operation: read",
            "chaos.faults.0.operation: silver.latest or silver.orders is never asked to read - there are make",
        ),
    ],
)
def test_what_has_no_effect_is_refused_at_its_place(fault, told, shop):
    made = shop()
    with pytest.raises(oreflow.DeclarationError) as refused:
        made.run(chaos=storm(made, fault))
    assert told in str(refused.value)
    assert "storm.yaml:3" in str(refused.value)
    assert not (made.root / "lake").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 1\n", "chaos: 'faults' is missing"),
        ("seed: x\nfaults: []\n", "chaos.seed: expected a whole number"),
        ("faults: []\nin_production: maybe\n", "chaos.in_production: expected true or false"),
        ("faults: []\nrate: 1\n", "chaos.rate: unknown key"),
        ("- 1\n", "storm.yaml"),
    ],
)
def test_a_section_that_is_none_is_refused(text, told, shop):
    made = shop()
    made.put("chaos/storm.yaml", text)
    done = made.cli("run", "--chaos", "chaos/storm.yaml")
    assert done.code == 2
    assert told in done.err


def test_all_that_is_wrong_is_told_at_once(shop):
    made = shop()
    storm(made, "fault: kill, rate: 1, resource: nowhere", "fault: wrong_result, rate: 1, resource: lake")
    done = made.cli("run", "--env", "production", "--chaos", "chaos/storm.yaml")
    assert done.code == 2
    assert all(part in done.err for part in ("not injected in production", "faults.0.resource", "faults.1.resource"))


def test_a_file_that_is_not_there_is_told(shop):
    done = shop().cli("run", "--chaos", "nowhere.yaml")
    assert done.code == 2
    assert "nowhere.yaml: there is no such file" in done.err


WITHOUT = """
import sys
from oreflow.factory import discovery
real = discovery.entry_points
discovery.entry_points = lambda **wanted: [point for point in real(**wanted) if point.name != "chaos"]
from oreflow.cli import main
sys.argv = ["oreflow", *sys.argv[1:]]
main()
"""


def test_without_the_plugin_the_mend_is_to_install_it(shop, monkeypatch):
    made = shop()
    file = storm(made, "fault: kill, rate: 1")
    command = [sys.executable, "-c", WITHOUT, "run", "--chaos", str(file)]
    done = subprocess.run(command, cwd=made.root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install oreflow-chaos" in done.stderr
    real = discovery.entry_points

    def others(**wanted):
        return [point for point in real(**wanted) if point.name != "chaos"]

    monkeypatch.setattr(discovery, "entry_points", others)
    monkeypatch.setattr("oreflow.factory.registry._factories", {})
    with pytest.raises(oreflow.DeclarationError, match="pip install oreflow-chaos"):
        made.run(chaos=file)


# No table is wrong for them


@pytest.mark.parametrize("seed", range(6))
def test_with_three_faults_in_ten_calls_the_tables_are_those_of_a_run_without(seed, shop, calm, caplog):
    made = shop()
    file = storm(
        made,
        'fault: exception, resource: "*", rate: 0.15, when: before',
        'fault: exception, resource: "*", rate: 0.15, when: after, error: timeout',
        seed=seed,
    )
    report = made.run(chaos=file)
    assert report.succeeded, {name: result.reason for name, result in by_table(report).items()}
    assert made.state() == calm
    assert len(injected(caplog)) > 10
    made.put("c.csv", HEADER + "9,de,1.00\n10,fr,0.00\nx,fr,3.00\n")
    assert made.run(chaos=file).succeeded
    twin = shop("twin")
    twin.run_well()
    twin.put("c.csv", HEADER + "9,de,1.00\n10,fr,0.00\nx,fr,3.00\n")
    twin.run_well()
    assert made.state() == twin.state()


@pytest.mark.parametrize("seed", [10, 20, 30])
def test_runs_that_are_killed_until_one_is_not_make_the_tables_of_a_run_without(seed, shop, calm):
    made = shop()
    kills = 0
    for number in range(60):
        file = storm(
            made,
            'fault: kill, resource: "*", rate: 0.02, when: before',
            'fault: kill, resource: "*", rate: 0.02, when: after',
            seed=seed * 100 + number,
        )
        done = made.cli("run", "--chaos", str(file), "--json")
        if done.code == 0:
            break
        assert done.code == -signal.SIGKILL, done.err
        kills += 1
    else:
        pytest.fail("every run was killed")
    assert json.loads(done.out)["status"] == "success"
    assert kills
    assert made.state() == calm


def test_nobody_takes_such_a_run_for_a_true_one(shop, tmp_path):
    made = shop("warned")
    done = made.cli("run", "--set", "chaos={faults: [{fault: latency, rate: 1, delay: 0.001, at_most: 3}]}")
    assert done.code == 0
    assert re.search(r"chaos: faults were injected on purpose into run \S+: 3 of latency", done.err)
    assert "chaos" not in made.cli("run").err


def test_a_part_of_a_call_is_befallen_where_it_is_said(shop):
    """And the timeout of a table is for what is staged."""
    made = shop("parts")
    faults = "{fault: latency, resource: silver.orders, operation: stage, rate: 1, delay: 3, at_most: 1}"
    policy = "resilience.resources={silver.orders: {timeout: 500ms}}"
    done = made.cli("run", "--json", "--set", f"chaos={{faults: [{faults}]}}", "--set", policy)
    assert done.code == 0
    (use,) = [use for use in done.json["resources"] if use["resource"] == "silver.orders"]
    assert use["last_error"] == "AttemptTimeoutError: silver.orders did not answer within 0.5 s"
