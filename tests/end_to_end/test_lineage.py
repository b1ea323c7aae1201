"""Lineage of runs: events of OpenLineage that the published schemas find right, with the figures of the report.

Whatever becomes of the backend, the run is as it would be without it, and says what did not get there.
"""

from __future__ import annotations

import importlib
import itertools
import json
import pkgutil
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lineage import by_run, lines, listening, problems, schemas, states
from servers import free_port

import oreflow
from oreflow.contract import DeclarationError

ROOT = Path(__file__).parent.parent.parent
SECRET = "lin3age-k3y-0f-marquez"
SMALL = """
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
TABLES = ("bronze.sales", "silver.sales", "gold.names")


def section(**said):
    return "\nlineage: " + json.dumps(said) + "\n"


def of(transport):
    return section(transport=transport)


@pytest.fixture
def backend():
    with listening() as made:
        yield made


def remark(report):
    """What the report says of lineage."""
    (found,) = [each for each in report.remarks if "oreflow-openlineage" in each]
    return found


# The retail example


@pytest.fixture(scope="module")
def retail(tmp_path_factory, project_in):
    """The retail example, run twice; gives the project, the reports, and what a backend was sent of each run."""
    root = tmp_path_factory.mktemp("retail")
    oreflow.init(root / "sample")
    made = project_in(root / "shop", "retail")
    (made.root / "config").mkdir(parents=True)
    shutil.copytree(root / "sample/data", made.root / "data")
    declared = (ROOT / "config/retail.yaml").read_text()
    with listening() as backend, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEAGE_KEY", SECRET)
        http = {"type": "http", "url": f"{backend.address}/marquez", "api_key": "${env:LINEAGE_KEY}"}
        made.declare(declared.replace("quality_threshold: 0.95", "quality_threshold: 0.5") + of(http))
        reports = [made.run(), made.run()]
        assert all(report.succeeded for report in reports)
        second = next(number for number, event in enumerate(backend.events) if number and started(event, "retail"))
        yield made, reports, (backend.events[:second], backend.events[second:]), backend


def started(event, job):
    return event["eventType"] == "START" and event["job"]["name"] == job


def end_of(events, table, pipeline="retail"):
    return by_run(events)[f"{pipeline}.{table}"][-1]


def test_every_event_of_a_run_is_valid_against_the_published_schemas(retail):
    _, _, runs, _ = retail
    events = [*runs[0], *runs[1]]
    assert {event["eventType"] for event in events} == {"START", "RUNNING", "COMPLETE"}
    assert [problem for event in events for problem in problems(event)] == []


def test_the_schemas_find_a_fault_in_an_event_and_in_each_kind_of_facet(retail):
    """They would pass anything, were they not found where an event says that they are."""
    event = json.loads(json.dumps(end_of(retail[2][0], "silver.transactions")))
    for facet, key, wrong in [
        (event["run"]["facets"]["parent"]["run"], "runId", "no uuid"),
        (event["job"]["facets"]["jobType"], "processingType", 7),
        (event["inputs"][0]["inputFacets"]["inputStatistics"], "rowCount", "many"),
        (event["inputs"][0]["facets"]["dataSource"], "uri", "no uri"),
        (event["outputs"][0]["outputFacets"]["outputStatistics"], "size", 1.5),
        (event["outputs"][0]["facets"]["columnLineage"], "fields", []),
        (event, "eventTime", "yesterday"),
    ]:
        right, facet[key] = facet[key], wrong
        assert len(problems(event)) == 1, key
        facet[key] = right
    event["run"]["facets"]["errorMessage"] = event["run"]["facets"]["parent"]
    assert "a facet of this name is not the ParentRunFacet" in problems(event)[0]


def test_the_schemas_are_of_the_versions_that_the_client_says():
    home = importlib.import_module("openlineage.client.generated")
    said = {}
    for module in pkgutil.iter_modules(home.__path__):
        for each in vars(importlib.import_module(f"{home.__name__}.{module.name}")).values():
            if hasattr(each, "_get_schema"):
                document = each._get_schema().partition("#")[0]
                said[document.rpartition("/")[2]] = document
    for document in schemas():
        name = document.rpartition("/")[2]
        assert said[name] == document, f"fetch {name} of {said[name]} for tests/openlineage"


def test_each_run_has_a_beginning_and_one_end(retail):
    _, _, runs, _ = retail
    for events, ways in zip(runs, (["START", "RUNNING", "COMPLETE"], ["START", "COMPLETE"]), strict=True):
        found = by_run(events)
        assert states(found.pop("retail")) == ["START", "COMPLETE"]
        assert [states(each) for each in found.values()] == [ways] * 5
        assert states(events)[0] == "START" and events[0]["job"]["name"] == events[-1]["job"]["name"] == "retail"
        times = [event["eventTime"] for event in events]
        assert times == sorted(times)
    ids = {event["run"]["runId"] for events in runs for event in events}
    assert len(ids) == 12


def test_the_run_of_a_table_is_below_that_of_the_pipeline(retail):
    _, reports, runs, _ = retail
    for report, events in zip(reports, runs, strict=True):
        pipeline = events[0]
        assert "parent" not in pipeline["run"]["facets"]
        for event in events:
            tags = {tag["key"]: tag["value"] for tag in event["run"]["facets"]["tags"]["tags"]}
            assert tags["oreflow_run_id"] == report.run_id
            assert event["job"]["namespace"] == "oreflow"
            if event["job"]["name"] != "retail":
                parent = event["run"]["facets"]["parent"]
                assert parent["run"]["runId"] == parent["root"]["run"]["runId"] == pipeline["run"]["runId"]
                assert parent["job"]["name"] == parent["root"]["job"]["name"] == "retail"
                assert event["run"]["facets"]["processing_engine"]["name"] == "polars"


def test_the_figures_are_those_of_the_report(retail):
    made, reports, (events, _), _ = retail
    for result in reports[0].tables:
        event = end_of(events, result.table)
        (read,) = event["inputs"]
        written = {dataset["name"]: dataset for dataset in event["outputs"]}
        table = written.pop(str(made.path(result.table)))
        statistics = table["outputFacets"]["outputStatistics"]
        assert statistics["rowCount"] == result.rows_published
        files = list(made.path(result.table).glob("*.parquet"))
        assert statistics["fileCount"] == len(files)
        assert statistics["size"] == sum(file.stat().st_size for file in files)
        assert table["facets"]["version"]["datasetVersion"] == str(made.version(result.table))
        assert table["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "CREATE"
        fields = {each["name"]: each["type"] for each in table["facets"]["schema"]["fields"]}
        assert fields == result.columns
        if result.rows_quarantined:
            (aside,) = written.values()
            assert aside["name"] == str(made.path(result.table, quarantine=True))
            assert aside["outputFacets"]["outputStatistics"]["rowCount"] == result.rows_quarantined
        else:
            assert not written
        if not result.table.startswith("gold"):
            assert read["inputFacets"]["inputStatistics"]["rowCount"] == result.rows_read
    (files,) = end_of(events, "bronze.transactions")["inputs"]
    raw = list((made.root / "data/raw").glob("*.csv"))
    assert files["name"] == str(made.root / "data/raw") and files["namespace"] == "file"
    assert files["inputFacets"]["inputStatistics"]["fileCount"] == len(raw)
    assert files["inputFacets"]["inputStatistics"]["size"] == sum(file.stat().st_size for file in raw)
    assert [each["name"] for each in files["facets"]["schema"]["fields"]] == [
        *("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
    ]


def test_a_run_that_made_nothing_says_of_no_data_that_it_was_written(retail):
    _, _, (_, events), _ = retail
    assert all(event["inputs"] == event["outputs"] == [] for event in events if event["eventType"] == "COMPLETE")
    assert all(len(event["outputs"]) == 1 for event in events[1:-1] if event["eventType"] == "START")


def test_what_checks_found_is_said_of_what_they_judged(retail):
    _, reports, (events, _), _ = retail
    (result,) = [each for each in reports[0].tables if each.table == "silver.transactions"]
    found = end_of(events, "silver.transactions")["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    by_name = {each["name"]: each for each in found}
    assert len(by_name) == len(found)
    columns = {
        "customer known": ("not_null", "CustomerID"),
        "sold something": ("custom_sql", "Quantity"),
        "has a price": ("custom_sql", "UnitPrice"),
        "has a description": ("not_null", "Description"),
        "invoice number": ("matches_pattern", "InvoiceNo"),
    }
    assert set(by_name) == set(columns) | set(result.rules)
    for name, each in by_name.items():
        assert each["success"] is (name not in result.rules)
        assert int(each["actual"]) == result.rules.get(name, 0)
        if name in columns:
            assert (each["assertion"], each["column"]) == columns[name]
            assert each["params"]["action"] == "quarantine"


CHECKED = """
    checks:
      - {name: known,   type: completeness, columns: [id, name]}
      - {name: once,    type: uniqueness, column: id, action: warn}
      - {name: small,   type: validity, column: id, range: {max: 5}, action: fail, threshold: 0.1}
      - {name: listed,  type: validity, column: name, values: [ada, grace, alan]}
      - {name: enough,  type: row_count, min: 1, max: 2}
      - {name: plenty,  type: row_count, min: 100, action: warn}
"""


def test_each_kind_of_check_says_whether_it_has_passed(project):
    declared = SMALL.replace("string}}\n", f"string}}}}{CHECKED}")
    made = project(declared + of({"type": "file", "path": "lineage.jsonl"}), FILES)
    made.run_well()
    event = end_of(lines(made.root / "lineage.jsonl"), "silver.sales", "shop")
    assert problems(event) == []
    found = event["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {
        each["name"]: (each["assertion"], each.get("column"), each["severity"], each["success"], each["actual"])
        for each in found
    } == {
        "known": ("not_null", None, "warn", False, "2"),
        "once": ("unique", "id", "warn", False, "1"),
        "small": ("accepted_range", "id", "error", False, "1"),
        "listed": ("accepted_values", "name", "warn", False, "1"),
        "enough": ("row_count", None, "error", True, "2"),
        "plenty": ("row_count", None, "warn", False, "2"),
        "id is int64": ("rule", None, "warn", False, "1"),
    }
    by_name = {each["name"]: each for each in found}
    assert by_name["known"]["params"] == {"action": "quarantine", "columns": ["id", "name"]}
    assert by_name["enough"]["expected"] == "1..2" and by_name["plenty"]["expected"] == "100.."


DIRECT = {"=": "IDENTITY", "~": "TRANSFORMATION", "+": "AGGREGATION"}
BRONZE = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
EXPECTED = {
    "bronze.transactions": ({name: f"={name}" for name in BRONZE}, {}),
    "silver.transactions": (
        {
            "invoice_no": "=InvoiceNo",
            "stock_code": "=StockCode",
            "description": "~Description",
            "quantity": "~Quantity",
            "invoice_date": "~InvoiceDate",
            "unit_price": "~UnitPrice",
            "customer_id": "~CustomerID",
            "country": "=Country",
            "_source_file": "=_source_file",
            "_source_row": "=_source_row",
        },
        {
            **{name: "FILTER GROUP_BY" for name in BRONZE if name not in ("StockCode", "Country")},
            "StockCode": "GROUP_BY",
            "Country": "GROUP_BY",
        },
    ),
    "gold.sales_by_day": (
        {"day": "~invoice_date", "revenue": "+quantity +unit_price", "customers": "+customer_id"},
        {"invoice_date": "GROUP_BY"},
    ),
    "gold.sales_by_country": (
        {"country": "=country", "revenue": "+quantity +unit_price", "invoices": "+invoice_no"},
        {"country": "GROUP_BY"},
    ),
    "gold.customer_rfm": (
        {
            "customer_id": "=customer_id",
            "last_purchase": "+invoice_date",
            "frequency": "+invoice_no",
            "monetary": "+quantity +unit_price",
        },
        {"customer_id": "GROUP_BY"},
    ),
}


@pytest.mark.parametrize("table", EXPECTED)
def test_every_column_says_where_it_comes_from(retail, table):
    _, reports, (events, _), _ = retail
    event = end_of(events, table)
    (reads,) = event["inputs"]
    said = event["outputs"][0]["facets"]["columnLineage"]
    columns, rows = EXPECTED[table]
    found = {}
    for name, each in said["fields"].items():
        assert all((field["namespace"], field["name"]) == ("file", reads["name"]) for field in each["inputFields"])
        found[name] = {
            field["field"]: [(how["type"], how["subtype"]) for how in field["transformations"]]
            for field in each["inputFields"]
        }
    assert found == {
        name: {part[1:]: [("DIRECT", DIRECT[part[0]])] for part in uses.split()} for name, uses in columns.items()
    }
    assert {
        each["field"]: " ".join(how["subtype"] for how in each["transformations"]) for each in said["dataset"]
    } == rows
    (result,) = [each for each in reports[0].tables if each.table == table]
    own = {"_batch_id", "_ingested_at"} | ({"_source_file", "_source_row"} if table.startswith("bronze") else set())
    assert set(columns) == set(result.columns) - own, "a column of the table is not in the expectation"


def test_the_quarantine_of_silver_has_the_columns_of_its_input(retail):
    _, _, (events, _), _ = retail
    said = end_of(events, "silver.transactions")["outputs"][1]["facets"]["columnLineage"]["fields"]
    assert {name: each["inputFields"][0]["field"] for name, each in said.items()} == {
        name: name for name in (*BRONZE, "_source_file", "_source_row")
    }


def test_the_sql_of_a_table_is_told(retail):
    _, _, (events, _), _ = retail
    facets = {event["job"]["name"]: event["job"]["facets"] for event in events}
    assert facets["retail.gold.customer_rfm"]["sql"]["query"].startswith("select customer_id, max(invoice_date)")
    assert [name for name, each in facets.items() if "sql" in each] == ["retail.gold.customer_rfm"]
    assert facets["retail"]["jobType"]["jobType"] == "PIPELINE"
    assert all(each["jobType"]["integration"] == "OREFLOW" for each in facets.values())


def test_each_request_has_the_key_and_nothing_else_has_it(retail):
    made, reports, runs, backend = retail
    assert {headers["Authorization"] for headers in backend.headers} == {f"Bearer {SECRET}"}
    assert set(backend.paths) == {"/marquez/api/v1/lineage"}
    assert SECRET not in json.dumps(runs)
    kept = [file.read_text(errors="replace") for file in (made.root / "lake/_oreflow").rglob("*.json")]
    assert kept and SECRET not in "".join(kept)
    assert not reports[0].remarks


def test_no_value_of_a_row_is_in_an_event(retail):
    made, _, runs, _ = retail
    said = json.dumps(runs)
    words = [row["description"] for row in made.dicts("silver.transactions")]
    assert words and not [word for word in words if word in said]


# Runs that do not go well


def test_a_run_whose_gate_refuses_a_batch_fails_with_its_figures(project):
    declared = SMALL.replace("string}}", "string}}\n    quality_threshold: 0.9")
    made = project(declared + of({"type": "file", "path": "lineage.jsonl"}), FILES)
    report = made.run()
    events = lines(made.root / "lineage.jsonl")
    assert [problem for event in events for problem in problems(event)] == []
    found = by_run(events)
    assert [states(each) for each in found.values()] == [
        ["START", "FAIL"],
        ["START", "RUNNING", "COMPLETE"],
        ["START", "RUNNING", "FAIL"],
        ["START", "ABORT"],
    ]
    failed = found["shop.silver.sales"][-1]
    message = failed["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith(
        "batch 1 did not pass the quality gate: quality score 75 % is below quality_threshold 90 %: 'id is int64' is "
        "broken by 1 of 4 rows - "
    )
    assert f"`oreflow runs show {report.run_id}`" in message
    assert "'x'" in report.tables[1].reason and "'x'" not in message
    (table,) = failed["outputs"]
    written = table["outputFacets"]["outputStatistics"]
    assert (written["rowCount"], written["size"], written["fileCount"]) == (0, 0, 0)
    assert failed["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == report.tables[1].rows_read == 4
    (broken,) = failed["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (broken["name"], broken["success"], broken["actual"]) == ("id is int64", False, "1")
    skipped = found["shop.gold.names"][-1]["run"]["facets"]["errorMessage"]["message"]
    assert skipped == "silver.sales was not made"
    whole = found["shop"][-1]["run"]["facets"]["errorMessage"]["message"]
    assert whole == "2 of 3 tables were not made: silver.sales (failed), gold.names (skipped)"


def test_the_words_of_an_engine_which_may_have_values_are_not_told(project):
    declared = SMALL.replace("select name, count(*) as n", "select name, sum(cast(name as int64)) as n")
    made = project(declared + of({"type": "file", "path": "lineage.jsonl"}), FILES)
    report = made.run()
    assert "ada" in report.tables[2].reason or "grace" in report.tables[2].reason
    events = lines(made.root / "lineage.jsonl")
    assert [problem for event in events for problem in problems(event)] == []
    said = end_of(events, "gold.names", "shop")["run"]["facets"]["errorMessage"]["message"]
    assert said.startswith("batch 1 has failed with ")
    assert not [word for word in ("ada", "grace", "alan") if word in json.dumps(events)]


def test_a_source_that_is_away_is_told_as_it_is(project):
    made = project(SMALL + of({"type": "file", "path": "lineage.jsonl"}), FILES)
    made.run_well()
    shutil.rmtree(made.root / "data")
    (made.root / "lineage.jsonl").unlink()
    made.run()
    said = end_of(lines(made.root / "lineage.jsonl"), "bronze.sales", "shop")["run"]["facets"]["errorMessage"]
    assert said["message"].startswith("the folder of source 'sales' is not there")


AT = """
import os
from oreflow import hookimpl

@hookimpl
def step_progressed(table, phase):
    if (table, phase) == ("silver.sales", "staged"):
        os.kill(os.getpid(), {number})
"""


@pytest.mark.parametrize(
    ("number", "silver"),
    [(signal.SIGTERM, ["START", "RUNNING", "COMPLETE"]), (signal.SIGINT, ["START", "RUNNING", "ABORT"])],
    ids=["asked to end", "interrupted"],
)
def test_an_interrupted_run_is_aborted(project, number, silver):
    made = project(SMALL + of({"type": "file", "path": "lineage.jsonl"}), FILES)
    (made.root / "oreflow_plugins.py").write_text(AT.format(number=int(number)))
    assert made.cli("run", "--json").code == 128 + number
    events = lines(made.root / "lineage.jsonl")
    assert [problem for event in events for problem in problems(event)] == []
    found = by_run(events)
    assert states(found["shop"]) == ["START", "ABORT"]
    assert states(found["shop.silver.sales"]) == silver
    assert states(found["shop.gold.names"]) == ["START", "ABORT"]
    assert "errorMessage" in found["shop"][-1]["run"]["facets"]


def test_the_end_of_a_killed_run_is_told_by_the_next(project):
    made = project(SMALL + of({"type": "file", "path": "lineage.jsonl"}), FILES)
    (made.root / "oreflow_plugins.py").write_text(AT.format(number=int(signal.SIGKILL)))
    assert made.cli("run").code == -signal.SIGKILL
    (made.root / "oreflow_plugins.py").unlink()
    assert made.run().remarks == []
    killed = oreflow.runs(made.root)[1]
    events = lines(made.root / "lineage.jsonl")
    assert [problem for event in events for problem in problems(event)] == []

    def is_of(event):
        tags = event["run"]["facets"]["tags"]["tags"]
        return {"key": "oreflow_run_id", "value": killed.run_id, "source": "OREFLOW"} in tags

    found = by_run([event for event in events if is_of(event)])
    assert states(found["shop"]) == ["START", "ABORT"]
    assert states(found["shop.bronze.sales"]) == ["START", "RUNNING", "COMPLETE"]
    assert states(found["shop.silver.sales"]) == ["START", "ABORT"]


@pytest.mark.parametrize("table", ["bronze.sales", "silver.sales"])
def test_a_table_that_was_killed_before_its_first_batch_has_an_end_too(project, table):
    made = project(SMALL + of({"type": "file", "path": "lineage.jsonl"}), FILES)
    (made.root / "oreflow_plugins.py").write_text(
        "import os, signal, time\nfrom oreflow import hookimpl\n\n@hookimpl(trylast=True)\ndef step_started(table):\n"
        f"    if table == '{table}':\n        time.sleep(1)\n        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert made.cli("run").code == -signal.SIGKILL
    before = by_run(lines(made.root / "lineage.jsonl"))
    assert states(before[f"shop.{table}"]) == ["START"]
    (made.root / "oreflow_plugins.py").unlink()
    assert made.run().remarks == []
    killed = oreflow.runs(made.root)[1]
    assert [(each.table, each.status) for each in killed.tables][-1] == (table, "interrupted")
    ends = {(each["run"]["runId"], each["eventType"]) for each in lines(made.root / "lineage.jsonl")}
    for begun in (before["shop"][0], before[f"shop.{table}"][0]):
        assert (begun["run"]["runId"], "ABORT") in ends


# Backends that are away, hang, or do not want them


@contextmanager
def answering(drips=b""):
    """The address of a server that answers nothing, or a little every now and then."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection):
            with connection:
                for at in itertools.count():
                    if over.wait(0.05):
                        return
                    try:
                        if drips:
                            connection.sendall(drips if not at else b"x")
                    except OSError:
                        return

        def accept():
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture(scope="module")
def quick(tmp_path_factory, project_in):
    """Run a small pipeline anew with a section; gives the report, and how long it took longer than without one."""
    made = project_in(tmp_path_factory.mktemp("quick"))
    for name, content in FILES.items():
        made.put(name, content)
    made.declare(SMALL)
    made.run_well()

    def run(said=""):
        shutil.rmtree(made.root / "lake")
        made.declare(SMALL + said)
        start = time.monotonic()
        report = made.run()
        seconds = time.monotonic() - start
        assert report.succeeded, report.tables
        assert [table.status for table in report.tables] == ["published"] * 3
        return report, seconds

    return run


@pytest.mark.parametrize(
    "drips",
    [b"", b"HTTP/1.1 201 Created\r\n", b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n"],
    ids=["hangs", "drips its headers", "drips its body"],
)
def test_a_backend_that_keeps_waiting_costs_a_run_a_bounded_time(quick, drips):
    with answering(drips) as address:
        http = {"type": "http", "url": address, "timeout": "200ms"}
        report, seconds = quick(section(transport=http, wait="600ms"))
    assert f"11 of 11 lineage events did not get to {address}: " in remark(report)
    assert "it does not answer in time" in remark(report)
    assert seconds < 15


def test_a_run_waits_no_longer_than_said_for_a_request_that_may_take_longer(quick):
    with answering() as address:
        http = {"type": "http", "url": address, "timeout": "1m"}
        report, seconds = quick(section(transport=http, wait="300ms"))
    assert "11 of 11 lineage events did not get to " in remark(report)
    assert "they were not sent within 0.3 s" in remark(report)
    assert seconds < 15
    deadline = time.monotonic() + 5
    while any(thread.name == "oreflow-lineage" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "its thread still waits for the answer"
        time.sleep(0.01)


def test_a_backend_that_is_away_costs_next_to_nothing(quick):
    report, seconds = quick(of({"type": "http", "url": f"http://127.0.0.1:{free_port()}"}))
    assert "11 of 11 lineage events did not get to http://127.0.0.1:" in remark(report)
    assert "Connection refused" in remark(report)
    assert seconds < 15


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (500, "it answers 500 Internal Server Error"),
        (401, "it answers 401 Unauthorized"),
        (302, "it answers 302 Found"),
    ],
)
def test_a_backend_that_refuses_is_said_with_its_answer(quick, backend, status, why):
    backend.always = status
    http = {"type": "http", "url": backend.address, "api_key": SECRET}
    report, seconds = quick(of(http))
    assert f"11 of 11 lineage events did not get to {backend.address}: {why}" in remark(report)
    assert SECRET not in json.dumps(report.to_dict())
    assert set(backend.paths) == {"/api/v1/lineage"}, "a redirection was followed"
    assert len(backend.paths) == (13 if status == 500 else 11)
    assert seconds < 15


def test_a_page_that_answers_is_no_backend(quick, backend):
    backend.kind = "text/html; charset=utf-8"
    report, _ = quick(of({"type": "http", "url": backend.address}))
    assert "a web page answers there" in remark(report)


def test_what_fails_for_a_moment_is_sent_again_in_order(quick, backend):
    backend.answers = [503, 201, 201, 429, 503]
    report, _ = quick(of({"type": "http", "url": backend.address}))
    assert not report.remarks
    assert [states(each) for each in by_run(backend.events).values()] == [
        ["START", "COMPLETE"],
        *[["START", "RUNNING", "COMPLETE"]] * 3,
    ]


def test_a_password_of_netrc_does_not_take_the_place_of_the_key(quick, backend, tmp_path, monkeypatch):
    host = urlsplit(backend.address).hostname
    (tmp_path / "netrc").write_text(f"machine {host} login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    quick(of({"type": "http", "url": backend.address, "api_key": SECRET}))
    assert {headers["Authorization"] for headers in backend.headers} == {f"Bearer {SECRET}"}


def test_a_file_that_cannot_be_written_is_said(quick, tmp_path):
    (tmp_path / "folder").mkdir()
    report, _ = quick(of({"type": "file", "path": str(tmp_path / "folder")}))
    assert "11 of 11 lineage events did not get to " in remark(report) and "Is a directory" in remark(report)


# Files and the console


def test_several_processes_add_whole_lines_to_one_file(project, start_run):
    columns = [f"a_column_with_a_long_name_{number}" for number in range(300)]
    content = ",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n"
    declared = (
        "name: wide\nsources: {wide: {path: './data/raw/*.csv', format: csv}}\ntables: {bronze.wide: {source: wide}}"
    )
    projects = [project(declared, {"a.csv": content}, folder=f"wide{number}") for number in range(3)]
    file = projects[0].root / "logs" / "lineage.jsonl"
    for each in projects:
        each.declare(declared + of({"type": "file", "path": str(file)}))
    processes = [start_run(each) for each in projects]
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and "lineage" not in out, out
    events = lines(file)
    assert len(events) == 3 * 5
    assert max(map(len, file.read_bytes().splitlines())) > 2**15, "no line is longer than what is written at once"
    assert [problem for event in events for problem in problems(event)] == []


def test_the_console_has_events_beside_what_a_run_prints(project):
    made = project(SMALL + of({"type": "console"}), FILES)
    done = made.cli("run", "--json")
    assert done.json["status"] == "success"
    events = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert len(events) == 11 and [problem for event in events for problem in problems(event)] == []


# What the environment says


def test_an_empty_section_sends_where_the_environment_says(quick, monkeypatch):
    for namespace in ("team-a", "team-b"):
        with listening() as backend:
            monkeypatch.setenv("OPENLINEAGE_URL", backend.address)
            monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
            monkeypatch.setenv("OPENLINEAGE_NAMESPACE", namespace)
            report, _ = quick(section())
        assert not report.remarks
        assert len(backend.events) == 11
        assert {event["job"]["namespace"] for event in backend.events} == {namespace}
        assert {headers["Authorization"] for headers in backend.headers} == {f"Bearer {SECRET}"}


def test_the_file_of_the_client_is_heeded_and_no_secret_goes_with_its_facets(quick, backend, monkeypatch, tmp_path):
    config = {
        "transport": {"type": "composite", "transports": [{"type": "http", "url": backend.address}]},
        "facets": {"environment_variables": ["LINEAGE_KEY"]},
        "tags": {"job": {"team": "shop"}},
    }
    (tmp_path / "openlineage.yml").write_text(json.dumps(config))
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(tmp_path / "openlineage.yml"))
    monkeypatch.setenv("LINEAGE_KEY", SECRET)
    http = {"type": "http", "url": backend.address, "api_key": "${env:LINEAGE_KEY}"}
    for said in (section(), of(http)):
        backend.events.clear()
        report, _ = quick(said)
        assert not report.remarks and len(backend.events) == 11
        assert backend.events[0]["job"]["facets"]["tags"]["tags"][0]["value"] == "shop"
    assert "environmentVariables" in backend.events[0]["run"]["facets"]
    assert SECRET not in json.dumps(backend.events)


def test_the_declaration_goes_before_the_environment(quick, backend, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "theirs")
    report, _ = quick(section(namespace="mine", transport={"type": "http", "url": backend.address}))
    assert not report.remarks and len(backend.events) == 11
    assert {event["job"]["namespace"] for event in backend.events} == {"mine"}


def test_nothing_is_sent_where_lineage_is_disabled(quick, backend, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    report, _ = quick(of({"type": "http", "url": backend.address}))
    assert not report.remarks and not backend.paths


PARENT = "5f2d1c3a-0c3e-4c1c-8a52-8d2d9f0b7c11"
FIRST = "0a2d1c3a-0c3e-4c1c-8a52-8d2d9f0b7c22"
CONTEXT = {
    "parent": {
        "run": {"runId": PARENT},
        "job": {"namespace": "airflow", "name": "dag.task"},
        "root": {"run": {"runId": FIRST}, "job": {"namespace": "airflow", "name": "dag"}},
    }
}


@pytest.mark.parametrize(
    ("variables", "namespace", "root"),
    [
        ({"OPENLINEAGE_PARENT_ID": f"airflow/dag.task/{PARENT}"}, "airflow", PARENT),
        ({"OPENLINEAGE_PARENT_ID": f"s3://air/flow/dag.task/{PARENT}"}, "s3://air/flow", PARENT),
        (
            {
                "OPENLINEAGE_PARENT_ID": f"airflow/dag.task/{PARENT}",
                "OPENLINEAGE_ROOT_PARENT_ID": f"airflow/dag/{FIRST}",
            },
            "airflow",
            FIRST,
        ),
        ({"OPENLINEAGE_CONTEXT": json.dumps(CONTEXT), "OPENLINEAGE_PARENT_ID": "unread"}, "airflow", FIRST),
    ],
    ids=["parent", "a namespace with slashes", "root", "context"],
)
def test_the_scheduler_of_a_run_is_its_parent(quick, backend, monkeypatch, variables, namespace, root):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    report, _ = quick(of({"type": "http", "url": backend.address}))
    assert not report.remarks
    assert [problem for event in backend.events for problem in problems(event)] == []
    found = by_run(backend.events)
    above = found["shop"][0]["run"]["facets"]["parent"]
    assert (above["run"]["runId"], above["job"]["namespace"], above["job"]["name"]) == (PARENT, namespace, "dag.task")
    assert above["root"]["run"]["runId"] == root
    below = found["shop.silver.sales"][0]["run"]["facets"]["parent"]
    assert below["run"]["runId"] == found["shop"][0]["run"]["runId"]
    assert below["root"]["run"]["runId"] == root


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("OPENLINEAGE_PARENT_ID", "{{ lineage_parent_id }}", "is not of the form NAMESPACE/JOB/RUN"),
        ("OPENLINEAGE_PARENT_ID", "airflow/dag/7", "is not of the form NAMESPACE/JOB/RUN"),
        ("OPENLINEAGE_CONTEXT", '{"parent": []}', "is no JSON with the run and the job of a parent"),
        ("OPENLINEAGE_CONTEXT", "{", "is no JSON with the run and the job of a parent"),
    ],
)
def test_a_parent_that_cannot_be_read_is_a_remark(quick, backend, monkeypatch, name, value, why):
    monkeypatch.setenv(name, value)
    report, _ = quick(of({"type": "http", "url": backend.address}))
    assert f"{name} {why}" in remark(report)
    assert len(backend.events) == 11 and "parent" not in backend.events[0]["run"]["facets"]


# What is wrong in a declaration


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "lineage: it is not said where events go - say a `transport`, or set OPENLINEAGE_URL"),
        ({"transport": {"type": "http"}}, "lineage.transport: 'url' is missing"),
        ({"transport": {"type": "kafka"}}, "lineage.transport.type: 'kafka' is not one of the choices"),
        ({"transport": {"type": "file", "path": "a", "url": "b"}}, "lineage.transport.url: unknown key"),
        ({"transport": {"type": "http", "url": "localhost:5000"}}, "lineage.transport.url: "),
        ({"transport": {"type": "http", "url": "http://me:pw@host"}}, "lineage.transport.url: "),
        ({"transport": {"type": "http", "url": "http://host", "timeout": "soon"}}, "lineage.transport.timeout: "),
        ({"wait": "0s", "transport": {"type": "console"}}, "lineage.wait: '0s' is no time that lasts"),
        (
            {"transport": {"type": "http", "url": "http://host", "api_key": "${env:NOT_SET_ANYWHERE}"}},
            "the variable NOT_SET_ANYWHERE is not set",
        ),
        (
            {"transport": {"type": "http", "url": "http://host", "api_key": "two\nlines"}},
            "lineage.transport.api_key: the key has characters that no header has",
        ),
    ],
)
def test_a_mistake_is_one_plain_line(project, said, words):
    made = project(SMALL + section(**said), FILES)
    with pytest.raises(DeclarationError) as error:
        made.run()
    (problem,) = error.value.problems
    assert words in str(problem) and "\n" not in str(problem)
    assert problem.file == "config/pipeline.yaml" and problem.line == 14
    assert not (made.root / "lake").exists()


def test_variables_that_the_client_cannot_read_are_a_plain_line_and_end_the_command(project):
    made = project(SMALL + section(), FILES)
    done = made.cli("run", env={"OPENLINEAGE__TRANSPORT__TYPE": "http"})
    assert done.code == 2
    assert "config/pipeline.yaml:14 lineage: the client of OpenLineage cannot be set up: " in done.err
    assert len(done.err.splitlines()) == 1


def test_without_the_section_nothing_is_loaded(project):
    made = project(SMALL, FILES)
    script = "import sys, oreflow; oreflow.run('.'); print(sorted(m for m in sys.modules if 'openlineage' in m))"
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    assert (
        done.stdout.splitlines()[-1]
        == "['oreflow_openlineage', 'oreflow_openlineage.declared', 'oreflow_openlineage.plugin']"
    )
