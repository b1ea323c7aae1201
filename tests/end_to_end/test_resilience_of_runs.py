"""What a run does when its sources, its tables and its lake fail: real runs, with faults at the place of the call.

The faults are raised in `call_resource`, around which the policy of a resource lies as around the call itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from deltalake import DeltaTable

import oreflow
from oreflow.resilience import Resilience, set_resilience
from oreflow.resilience.testing import instant_waits

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/sales*.csv", format: csv}
  stock: {path: "./data/raw/stock*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  bronze.stock: {source: stock}
  silver.sales: {input: bronze.sales, columns: {id: {type: int64}}}
  silver.stock: {input: bronze.stock, columns: {id: {type: int64}}}
"""
FILES = {"sales1.csv": "id\n1\n2\n", "stock1.csv": "id\n7\n"}


@pytest.fixture(autouse=True)
def _resources_of_its_own():
    """Breakers outlive a run; what a test opens is not left open for the next."""
    before = set_resilience(Resilience())
    yield
    set_resilience(before)


@pytest.fixture
def shop(project):
    """A project whose calls fail as the lines say, which know `resource`, `operation` and the `number` of the call."""

    def make(before="", after="", declaration=DECLARATION, files=FILES):
        made = project(declaration, files)
        (made.root / "oreflow_plugins.py").write_text(_faults(before, after))
        return made

    return make


def _faults(before="", after=""):
    return f"""
from oreflow import hookimpl

CALLS = []

@hookimpl(wrapper=True)
def call_resource(resource, operation):
    CALLS.append((resource, operation))
    number = CALLS.count((resource, operation))
    {before or "pass"}
    result = yield
    {after or "pass"}
    return result
"""


def uses(report):
    return {use["resource"]: use for use in report.resources}


def test_a_call_that_fails_is_made_again_and_the_report_tells(shop):
    made = shop("if resource == 'sales' and operation == 'read' and number < 3: raise ConnectionResetError('gone')")
    with instant_waits() as clock:
        report = made.run()
    assert report.succeeded
    sales = next(table for table in report.tables if table.table == "bronze.sales")
    assert sales.retries == 2
    assert sales.waited_seconds == pytest.approx(sum(clock.waits), abs=0.001)
    use = uses(report)["sales"]
    assert (use["retries"], use["gave_up"], use["breaker"]) == (2, 0, "closed")
    assert use["last_error"] == "ConnectionResetError: gone"
    assert uses(report)["stock"]["retries"] == 0
    assert len(made.rows("bronze.sales")) == 2
    kept = json.loads(next((made.root / "lake/_oreflow/runs").glob("*.json")).read_text())
    assert kept["resources"] == report.resources


def test_the_terminal_shows_it(shop):
    made = shop("if resource == 'sales' and operation == 'read' and number < 3: raise ConnectionResetError('gone')")
    done = made.cli("run", "--set", "resilience.defaults.retry.base=1ms")
    assert done.code == 0
    assert "  sales: 2 attempts of " in done.out
    assert " made again - ConnectionResetError: gone\n" in done.out
    assert "stock:" not in done.out


def test_what_fails_for_good_ends_with_its_own_error_and_the_others_go_on(shop):
    made = shop("if resource == 'sales' and operation == 'read': raise OSError(5, 'Input/output error', 'x.csv')")
    done = made.cli("run", "--set", "resilience.defaults.retry={max_attempts: 4, base: 1ms}")
    assert done.code == 1
    line = next(line for line in done.out.splitlines() if line.startswith("! bronze.sales"))
    assert "failed  x.csv: Input/output error - after 4 attempts of sales in 0.0" in line
    assert "- silver.sales  skipped" in done.out
    assert "published" in next(line for line in done.out.splitlines() if line.startswith("+ silver.stock"))
    assert "RetryError" not in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_a_commit_whose_answer_was_lost_is_made_once(shop):
    made = shop(after="if operation == 'commit' and number % 2: raise TimeoutError('no answer')")
    with instant_waits():
        results = made.run_well()
    assert {name: made.version(name) for name in results} == dict.fromkeys(results, 0)
    assert len(made.rows("silver.sales")) == 2


def test_a_step_is_made_again_on_the_table_that_another_writer_has_changed(shop):
    """It is no fault of the lake, whose breaker does not hear of it."""
    made = shop()
    made.run_well()
    made.put("sales2.csv", "id\n3\n")
    (made.root / "oreflow_plugins.py").write_text(
        "from deltalake import DeltaTable\n"
        + _faults(
            f"if operation == 'commit' and number == 1: DeltaTable({str(made.path('bronze.sales'))!r})"
            ".alter.set_table_properties({'delta.appendOnly': 'false'})"
        )
    )
    report = made.run()
    assert report.succeeded, [table.reason for table in report.tables]
    assert uses(report)["bronze.sales"]["retries"] == 1
    assert uses(report)["lake"]["retries"] == 0
    assert sorted(row["id"] for row in made.dicts("bronze.sales")) == ["1", "2", "3"]
    assert DeltaTable(made.path("bronze.sales")).version() == 2  # ours, and the other writer's


def test_a_source_that_is_down_opens_its_breaker_and_the_other_tables_are_made(shop):
    declaration = DECLARATION.replace("  silver.sales", "  bronze.again: {source: sales}\n  silver.sales")
    made = shop("if resource == 'sales': raise ConnectionRefusedError('nobody there')", declaration=declaration)
    began = time.monotonic()
    done = made.cli("run", "--json")
    assert time.monotonic() - began < 20
    assert done.code == 1
    tables = {table["table"]: table for table in done.json["tables"]}
    assert {name: table["status"] for name, table in tables.items()} == {
        "bronze.sales": "failed", "bronze.again": "failed", "silver.sales": "skipped",
        "bronze.stock": "published", "silver.stock": "published",
    }  # fmt: skip
    reason = tables["bronze.sales"]["reason"]
    assert reason.startswith("the files of source 'sales' cannot be listed: nobody there (declared in config/")
    assert " - after 3 attempts of sales in 0." in reason
    sales = next(use for use in done.json["resources"] if use["resource"] == "sales")
    assert (sales["attempts"], sales["breaker"], sales["opened"]) == (5, "open", 1)
    assert sales["rejected"]


def test_the_next_run_of_the_process_does_not_call_what_is_down(shop):
    made = shop("if resource == 'sales': raise ConnectionRefusedError('nobody there')")
    with instant_waits() as clock:
        made.run()
        made.run()
        again = made.run()
        sales = next(table for table in again.tables if table.table == "bronze.sales")
        assert sales.reason.startswith("the circuit breaker of sales is open, next attempt in ")
        assert uses(again)["sales"]["attempts"] == 0
        (made.root / "oreflow_plugins.py").write_text(_faults())
        clock.advance(61)
        report = made.run()
    assert report.succeeded
    assert uses(report)["sales"]["breaker"] == "closed"


def test_a_stale_table_stays_in_use_while_its_source_is_away(shop):
    declaration = DECLARATION + "resilience: {resources: {sales: {fallback: stale, retry: {base: 1ms}}}}\n"
    made = shop(declaration=declaration)
    made.run_well()
    made.put("stock2.csv", "id\n8\n")
    before = made.rows("bronze.sales")
    (made.root / "oreflow_plugins.py").write_text(_faults("if resource == 'sales': raise TimeoutError('too late')"))
    done = made.cli("run")
    assert done.code == 0, done.out
    assert "~ bronze.sales  stale  the files of source 'sales' cannot be listed: too late" in done.out
    assert "= silver.sales" in done.out
    assert "+ bronze.stock" in done.out
    assert made.rows("bronze.sales") == before
    assert "2 published" in made.cli("runs").out
    assert "1 stale" in made.cli("runs").out


@pytest.mark.parametrize("fault", ["TimeoutError('too late')", "ValueError('no number')"])
def test_nothing_is_stale_without_a_table_or_where_the_source_is_not_away(shop, fault):
    declaration = DECLARATION + "resilience: {resources: {sales: {fallback: stale, retry: {base: 1ms}}}}\n"
    made = shop(declaration=declaration)
    if "Value" in fault:
        made.run_well()
        made.put("sales2.csv", "id\n3\n")
    (made.root / "oreflow_plugins.py").write_text(
        _faults(f"if (resource, operation) == ('sales', 'read'): raise {fault}")
    )
    done = made.cli("run")
    assert done.code == 1
    assert "! bronze.sales  failed" in done.out


def test_a_gate_that_was_not_passed_is_not_tried_again(shop):
    made = shop(declaration=DECLARATION.replace("silver.sales: {", "silver.sales: {quality_threshold: 1.0, "))
    made.put("sales2.csv", "id\nx\n")
    report = made.run()
    assert not report.succeeded
    use = uses(report)["silver.sales"]
    assert (use["attempts"], use["retries"], use["gave_up"]) == (1, 0, 0)  # the call went well, its result did not pass
    assert "the quality gate was not passed" in report.tables[2].reason
    assert "attempts" not in report.tables[2].reason


def test_an_attempt_that_takes_too_long_is_given_up_and_made_again(shop):
    """What it does in its thread goes on, and publishes nothing."""
    declaration = DECLARATION + "resilience: {resources: {sales: {timeout: 300ms, retry: {base: 1ms}}}}\n"
    made = shop(
        "import time; time.sleep(1.5 if (resource, operation) == ('sales', 'read') and number == 1 else 0)",
        declaration=declaration,
    )
    report = made.run()
    assert report.succeeded, [table.reason for table in report.tables]
    use = uses(report)["sales"]
    assert use["retries"] == 1
    assert use["last_error"] == "AttemptTimeoutError: sales did not answer within 0.3 s"
    time.sleep(1.5)
    assert made.run().succeeded
    assert len(made.rows("bronze.sales")) == 2
    assert made.version("bronze.sales") == 0


@pytest.mark.parametrize(
    ("resource", "cut"),
    [
        ("silver.sales", "(resource, operation) == ('silver.sales', 'make')"),
        ("lake", "(resource, operation) == ('lake', 'commit')"),
        ("lake", "(resource, operation) == ('lake', 'write')"),
    ],
)
def test_what_others_may_see_is_not_cut_by_a_timeout(shop, resource, cut):
    declaration = DECLARATION + f"resilience: {{resources: {{{resource}: {{timeout: 700ms}}}}}}\n"
    made = shop(after=f"import time; time.sleep(1.0 if {cut} and number == 1 else 0)", declaration=declaration)
    report = made.run()
    assert report.succeeded, [table.reason for table in report.tables]
    assert not any(use["retries"] for use in report.resources)


def test_a_batch_that_takes_too_long_is_staged_again(shop, monkeypatch):
    """The processor of the first attempt goes on, and what it stages is thrown away."""
    slow = """
from oreflow import hookimpl
import time
STEPS = []

@hookimpl(wrapper=True)
def run_step(step):
    STEPS.append(step.table)
    result = yield
    time.sleep(2 if step.table == "silver.sales" and STEPS.count("silver.sales") == 1 else 0)
    return result
"""
    declaration = DECLARATION + "resilience: {resources: {silver.sales: {timeout: 1s, retry: {base: 1ms}}}}\n"
    made = shop(declaration=declaration)
    (made.root / "oreflow_plugins.py").write_text(slow)
    report = made.run()
    assert report.succeeded, [table.reason for table in report.tables]
    assert uses(report)["silver.sales"]["retries"] == 1
    assert uses(report)["silver.sales"]["last_error"].endswith("silver.sales did not answer within 1 s")
    time.sleep(2)
    assert made.run().succeeded
    assert len(made.rows("silver.sales")) == 2
    assert made.version("silver.sales") == 0


def test_a_lake_that_hangs_while_it_is_read_is_read_again(shop):
    declaration = DECLARATION + "resilience: {resources: {lake: {timeout: 300ms, retry: {base: 1ms}}}}\n"
    made = shop(
        "import time; time.sleep(1.5 if (resource, operation) == ('lake', 'load') and number == 3 else 0)",
        declaration=declaration,
    )
    report = made.run()
    assert report.succeeded, [table.reason for table in report.tables]
    assert uses(report)["lake"]["retries"] == 1


def test_a_bulkhead_counts_what_its_timeout_has_given_up(shop):
    more = "{timeout: 200ms, bulkhead: 1, retry: {base: 1ms}}"
    made = shop(
        "import time; time.sleep(1.5 if (resource, operation) == ('sales', 'read') and number == 1 else 0)",
        declaration=DECLARATION + f"resilience: {{resources: {{sales: {more}}}}}\n",
    )
    report = made.run()
    sales = next(table for table in report.tables if table.table == "bronze.sales")
    assert sales.status == "failed"
    assert sales.reason == "sales did not answer within 0.2 s"
    assert uses(report)["sales"]["rejected"]


def test_a_rate_limit_spreads_the_calls(shop):
    more = "{rate_limit: {calls: 2, per: 10s, wait: 5m}}"
    files = {f"sales{number}.csv": f"id\n{number}\n" for number in range(10)}
    made = shop(declaration=DECLARATION + f"resilience: {{resources: {{sales: {more}}}}}\n", files=files)
    with instant_waits() as clock:
        report = made.run()
    assert report.tables[0].rows_published == 10
    calls = uses(report)["sales"]["attempts"]
    assert calls > 10  # each file is a call
    assert sum(clock.waits) == pytest.approx((calls - 2) * 5, abs=5)
    assert uses(report)["sales"]["waited_seconds"] == pytest.approx(sum(clock.waits), abs=0.01)


def test_what_is_wrong_in_the_declaration_is_told_at_its_line(project):
    wrong = """resilience:
  defaults: {retry: {base: 2s, cap: 1s}}
  resources:
    salse: {timeout: 1s}
    lake: {fallback: stale}
    sales: {retry: {idempotent: true}}
"""
    done = project(DECLARATION + wrong, FILES).cli("plan")
    assert done.code == 2
    assert "config/pipeline.yaml:16 resilience.resources.sales.retry.idempotent: unknown key" in done.err
    done = project(DECLARATION + wrong.replace("idempotent: true", "max_attempts: 1"), FILES).cli("plan")
    assert done.code == 2
    assert done.err == (
        "error: config/pipeline.yaml:12 resilience.defaults.retry: cap is at least base, not 1.0\n"
        "error: config/pipeline.yaml:14 resilience.resources.salse: there is no resource 'salse'"
        " - did you mean 'sales'?\n"
        "error: config/pipeline.yaml:15 resilience.resources.lake.fallback: without its lake, no table can stay as it"
        " is - take the key away\n"
    )
    done = project(DECLARATION.replace("sales:", "lake:").replace("source: sales", "source: lake"), FILES).cli("plan")
    assert "sources.lake: a source cannot be called 'lake', which is the name of another resource" in done.err


def test_plan_shows_what_holds_for_each_resource_and_variables_change_it(project):
    made = project(DECLARATION + "resilience: {resources: {lake: {retry: {max_attempts: 8}}}}\n", FILES)
    variables = {"PIPELINE_RESILIENCE__DEFAULTS__RETRY__BASE": "3s", "PIPELINE_RESILIENCE__DEFAULTS__BULKHEAD": "2"}
    found = {each["resource"]: each for each in made.cli("plan", "--json", env=variables).json["resources"]}
    assert list(found) == [
        "sales", "stock", "bronze.sales", "bronze.stock", "silver.sales", "silver.stock", "lake"
    ]  # fmt: skip
    assert (found["lake"]["kind"], found["lake"]["retry"]["max_attempts"]) == ("lake", 8)
    assert found["sales"]["retry"]["base"] == "3s"
    assert found["sales"]["bulkhead"] == {"limit": 2, "queue": 0}
    assert "breaker" not in found["silver.sales"]
    assert oreflow.resources(made.root)[0]["retry"]["base"] == "200ms"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_wait_at_once(shop, how):
    made = shop("if resource == 'sales': open('called', 'w').close(); raise TimeoutError('too late')")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "oreflow",
            "run",
            "--set",
            "resilience.defaults.retry={base: 5m, cap: 5m, jitter: none}",
        ],
        cwd=made.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ},
    )
    while not (made.root / "called").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)  # by now it waits for its next attempt
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(how)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert time.monotonic() - began < 10


def test_the_real_fault_of_a_file_is_tried_again(shop):
    """Where the kernel says EIO, as a disk does that goes: /proc/self/mem cannot be read at its beginning."""
    made = shop()
    link = made.root / "data/raw/sales2.csv"
    link.symlink_to("/proc/self/mem")
    with instant_waits():
        report = made.run()
    assert report.tables[0].reason.startswith(f"{link}: Input/output error - after 3 attempts of sales in ")
    use = uses(report)["sales"]
    assert use["retries"] == 2
    assert use["last_error"].startswith("OSError: [Errno 5] Input/output error")
    link.unlink()
    made.run_well()
    assert len(made.rows("bronze.sales")) == 2


# What an attempt leaves behind


@pytest.mark.parametrize("what", ["taken away", "a disk that goes"])
def test_a_file_that_goes_after_it_was_claimed_is_loaded_when_it_is_back(shop, what):
    """It is no bad file, to be set aside under the digest that it had."""
    goes = "import os; os.rename('data/raw/sales2.csv', 'kept.csv')"
    if what != "taken away":
        goes += "; os.symlink('/proc/self/mem', 'data/raw/sales2.csv')"
    made = shop(f"if (resource, operation, number) == ('sales', 'read', 1): {goes}")
    made.put("sales2.csv", "id\n3\n")
    done = made.cli("run", "--set", "resilience.defaults.retry.base=1ms")
    assert done.code == 1
    assert "the source file data/raw/sales2.csv could be read when it was claimed, and now no more" in done.out
    assert made.version("bronze.sales") is None
    (made.root / "data/raw/sales2.csv").unlink(missing_ok=True)
    (made.root / "kept.csv").rename(made.root / "data/raw/sales2.csv")
    (made.root / "oreflow_plugins.py").write_text(_faults())
    made.run_well()
    assert sorted(row["id"] for row in made.dicts("bronze.sales")) == ["1", "2", "3"]


@pytest.mark.parametrize("fallback", ["", "fallback: stale, "])
def test_a_source_whose_folder_is_gone_is_away(shop, fallback):
    more = f"resilience: {{resources: {{sales: {{{fallback}timeout: 9s}}}}}}\n"
    made = shop(declaration=DECLARATION.replace("raw/stock*", "stock/stock*") + more, files={})
    made.put("sales1.csv", "id\n1\n")
    made.put("data/stock/stock1.csv", "id\n7\n")
    made.run_well()
    (made.root / "data/raw").rename(made.root / "elsewhere")
    for options in ((), ("--full-refresh", "bronze.sales")):
        done = made.cli("run", *options)
        assert done.code == (0 if fallback else 1)
        mark = "~ bronze.sales  stale" if fallback else "! bronze.sales  failed"
        assert f"{mark}  the folder of source 'sales' is not there (./data/raw/sales*.csv)" in done.out
    assert "nothing was changed" not in done.out
    (made.root / "data/raw").mkdir()
    assert made.cli("run").code == 0


def test_a_thread_that_was_given_up_takes_nothing_away(shop):
    """Whatever of it comes late, the files that have been committed since are there."""
    late = (
        "import threading, time; time.sleep(1.6 * ('oreflow-sales' == threading.current_thread().name and number < 9))"
    )
    declaration = DECLARATION + "resilience: {resources: {sales: {timeout: 1s, retry: {base: 1ms}}}}\n"
    made = shop(declaration=declaration)
    made.run_well()
    made.put("sales2.csv", "id\n3\n")
    (made.root / "oreflow_plugins.py").write_text(_faults(after=f"if operation == 'load': {late}"))
    made.run()
    time.sleep(4)
    (made.root / "oreflow_plugins.py").write_text(_faults())
    made.run_well()
    assert sorted(row["id"] for row in made.dicts("bronze.sales")) == ["1", "2", "3"]


def test_what_an_earlier_attempt_left_in_the_quarantine_is_not_taken_for_this_one(shop, monkeypatch):
    """The quarantine has the batch already, and a version more by a new column, when its commit fails for a moment."""
    made = shop(declaration=DECLARATION + "resilience: {defaults: {breaker: false, retry: {base: 1ms}}}\n")
    made.put("sales1.csv", "id,k\n1,1\nx,3\n")
    made.run_well()
    made.put("sales2.csv", "id,k\n5,5\ny,4\n")
    before = "if (resource, operation, number) == ('lake', 'commit', 3): raise PermissionError(13, 'denied')"
    (made.root / "oreflow_plugins.py").write_text(_faults(before))
    assert not made.run().succeeded
    assert len(made.rows("silver.sales", quarantine=True)) == 2
    made.put("sales3.csv", "id,k\n6,6\nz,4\nw,4\n")
    made.declare(
        DECLARATION.replace(
            "silver.sales: {input: bronze.sales, columns: {",
            "silver.sales: {input: bronze.sales, columns: {k: {type: int64}, ",
        )
    )
    write, failed = DeltaTable.create_write_transaction, []

    def once(table, *args, **options):
        if "_quarantine" in table.table_uri and not failed:
            failed.append(table)
            raise OSError(5, "Input/output error")
        return write(table, *args, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", once)
    (made.root / "oreflow_plugins.py").write_text(_faults())
    results = made.run_well()
    assert failed
    kept = [row["id"] for row in made.dicts("silver.sales", quarantine=True)]
    assert (results["silver.sales"].rows_quarantined, sorted(kept)) == (3, ["w", "x", "y", "z"])


def test_a_batch_whose_every_answer_was_lost_is_told_as_published(shop):
    made = shop()
    made.run_well()
    lost = _faults(after="if operation == 'commit': raise PermissionError(13, 'lost')")
    made.put("sales2.csv", "id\n3\n")
    (made.root / "oreflow_plugins.py").write_text(lost)
    report = made.run()
    sales = report.tables[0]
    assert (sales.status, sales.batch, sales.rows_published) == ("published", 2, 1)
    assert "batch 2 was published, though its making ended with PermissionError" in sales.remarks[-1]
    assert (made.root / "lake/_oreflow/batches/bronze.sales/000002.json").exists()
    (made.root / "oreflow_plugins.py").write_text(_faults())
    assert {table.status for table in made.run().tables} == {"unchanged"}
    assert sorted(row["id"] for row in made.dicts("bronze.sales")) == ["1", "2", "3"]


def test_a_quarantine_of_a_table_made_anew_is_cleared_also_where_that_was_cut_off(shop):
    made = shop()
    made.put("sales2.csv", "id\nx\n")
    made.run_well()
    fault = "if (resource, operation, number) == ('lake', 'commit', 3): raise TimeoutError('no answer')"
    (made.root / "oreflow_plugins.py").write_text(_faults(fault))
    report = made.run(
        tables=["silver.sales"], full_refresh=["silver.sales"], options=["resilience.defaults.retry.max_attempts=1"]
    )
    assert report.succeeded, report.tables[0].reason
    assert [row["_batch_id"] for row in made.dicts("silver.sales", quarantine=True)] == [2]


@pytest.mark.parametrize(
    "fault",
    [
        "operation == 'commit': raise OSError(28, 'No space left on device')",
        "operation == 'commit': raise TimeoutError('no answer')",
        "operation == 'process': raise MemoryError",
        "operation == 'stage': raise OSError(28, 'No space left on device')",
        "operation == 'stage': raise OSError(5, 'Input/output error', 'LAKE/x')",
    ],
)
def test_only_the_source_makes_a_table_stale(shop, fault):
    made = shop(declaration=DECLARATION + "resilience: {resources: {sales: {fallback: stale, retry: {base: 1ms}}}}\n")
    made.run_well()
    made.put("sales2.csv", "id\n3\n")
    (made.root / "oreflow_plugins.py").write_text(_faults(f"if {fault}".replace("LAKE", str(made.root / "lake"))))
    report = made.run()
    assert report.tables[0].status == "failed", report.tables[0]


def test_a_conflict_with_a_commit_of_its_own_is_mended(shop, monkeypatch):
    """The new column was committed, the rows were not: the step is made again on the table as it is by then."""
    made = shop(declaration=DECLARATION + "resilience: {defaults: {retry: {base: 1ms}}}\n")
    made.run_well()
    made.put("sales2.csv", "id,more\n3,4\n")
    write, failed = DeltaTable.create_write_transaction, []

    def once(table, *args, **options):
        if not failed:
            failed.append(table)
            raise OSError(5, "Input/output error")
        return write(table, *args, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", once)
    made.run_well()
    assert failed
    assert sorted(row["id"] for row in made.dicts("bronze.sales")) == ["1", "2", "3"]


def test_a_plugin_that_keeps_a_commit_to_itself_is_found_out(shop):
    made = shop()
    (made.root / "oreflow_plugins.py").write_text(
        "from oreflow import hookimpl\n\n@hookimpl\ndef call_resource(operation):\n"
        "    return 'done' if operation == 'commit' else None\n"
    )
    report = made.run()
    assert report.tables[0].status == "failed"
    assert "was not committed to: a plugin around the call has not let it through" in report.tables[0].reason


def test_an_answer_that_asks_for_fewer_calls_is_no_fault_of_the_processor(shop):
    throttled = "class Busy(Exception): status_code = 429\n"
    made = shop()
    (made.root / "oreflow_plugins.py").write_text(
        throttled + _faults("if (resource, operation) == ('sales', 'read'): raise Busy('slow down')")
    )
    with instant_waits():
        report = made.run()
    assert report.tables[0].reason.startswith("Busy: slow down - after 3 attempts of sales in ")
    assert not list((made.root / "lake").rglob("*.traceback.txt"))
