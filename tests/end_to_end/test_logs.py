"""The lines of a run: each says of which run, table and batch it is, and their figures are the report's."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading

import pytest

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
monitoring: {logs: LOGS}
"""
FILES = {"a.csv": "id,name\n1,ada\n2,grace\n3,\nx,alan\n", "b.csv": b"id,name\n\xff\xfe\x00\x00"}
TO_FILE = "{level: debug, file: logs/run.jsonl, format: json}"

CHATTY = """
import logging
import oreflow
from oreflow import Output, Processor, ProcessorMetadata, hookimpl
from oreflow.monitoring import get_logger

METADATA = ProcessorMetadata(name="chatty", version="1.0", description="Says what it does", engine="any",
                             supported_stages=["silver"], capabilities=["incremental"])
log = get_logger("shop.chatty")

class Chatty(Processor):
    metadata = METADATA
    def process(self, inputs, step):
        log.warning("processing", rows="some")
        logging.getLogger("py4j.clientserver").warning("slow")
        (rows,) = inputs.values()
        return Output(rows)

@hookimpl
def processors(): return [METADATA]

@hookimpl
def create_processor(name, config): return Chatty(config)
"""


@pytest.fixture
def shop(project):
    def make(logs=TO_FILE, declaration=DECLARATION):
        return project(declaration.replace("LOGS", logs), FILES)

    return make


def lines(made):
    return [json.loads(line) for line in (made.root / "logs/run.jsonl").read_text().splitlines()]


def test_each_line_of_a_run_says_of_which_it_is_with_the_figures_of_the_report(shop):
    made = shop()
    report = made.run()
    found = lines(made)
    assert {(line["run_id"], line["pipeline"]) for line in found} == {(report.run_id, "shop")}
    assert [found[0]["event"], found[-1]["event"]] == ["run started", "run finished"]
    by_table = {line["table"]: line for line in found if line["event"] == "table published"}
    for table in report.tables:
        line = by_table[table.table]
        for key in ("rows_read", "rows_published", "rows_quarantined", "rows_superseded", "quality_score", "seconds"):
            assert line[key] == getattr(table, key), key
        assert line["stage"] == table.table.partition(".")[0]
    broken = {(line["table"], line["check"]): line["rows"] for line in found if line["event"] == "check broken"}
    assert broken == {(table.table, rule): rows for table in report.tables for rule, rows in table.rules.items()}
    assert {line["batch"] for line in found if line["event"].startswith("batch")} == {1}


@pytest.mark.parametrize("form", ["json", "console"])
def test_only_lines_for_people_cost_a_process_what_draws_them(shop, form):
    made = shop(TO_FILE.replace("json}", f"{form}}}"))
    script = "import sys, oreflow; oreflow.run('.'); print('structlog' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    assert done.stdout == f"{form == 'console'}\n"
    assert (made.root / "logs/run.jsonl").read_text()


def test_a_table_that_fails_is_an_error_with_its_reason(shop):
    made = shop(declaration=DECLARATION.replace("column: name}]", "column: name, action: fail}]"))
    report = made.run()
    (line,) = [each for each in lines(made) if each["level"] == "error" and "table" in each]
    (failed,) = [table for table in report.tables if table.status == "failed"]
    assert (line["event"], line["reason"], line["table"]) == ("table failed", failed.reason, "silver.sales")
    assert lines(made)[-1]["level"] == "error"


def test_a_call_that_is_made_again_is_told(shop):
    made = shop()
    (made.root / "chaos.yaml").write_text(
        "faults: [{fault: exception, resource: lake, operation: commit, rate: 1, at_most: 2}]"
    )
    report = made.run(chaos=made.root / "chaos.yaml")
    told = [each for each in lines(made) if each["event"] == "retry"]
    assert len(told) == sum(table.retries for table in report.tables) == 2
    assert {each["resource"] for each in told} == {"lake"}
    assert all("ConnectionResetError" in each["error"] and each["attempt"] >= 1 for each in told)


def test_lines_of_plugins_and_libraries_have_their_table_and_batch(shop):
    made = shop(declaration=DECLARATION.replace("input: bronze.sales", "input: bronze.sales\n    processor: chatty")
                .replace("columns: {id: {type: int64}, name: {type: string}}", ""))  # fmt: skip
    (made.root / "oreflow_plugins.py").write_text(CHATTY)
    made.run_well()
    found = {line["logger"]: line for line in lines(made)}
    for logger in ("shop.chatty", "py4j.clientserver"):
        assert (found[logger]["table"], found[logger]["batch"]) == ("silver.sales", 1)
    assert found["shop.chatty"]["rows"] == "some"


def test_machines_are_told_on_standard_error_line_by_line_and_people_as_before(shop):
    made = shop("{level: info}")
    done = made.cli("run")
    told = [json.loads(line) for line in done.err.splitlines()]
    assert [line["event"] for line in told][-1] == "run finished"
    assert "+ bronze.sales" in done.out
    assert made.cli("run", "--json", "--set", "monitoring.logs.level=error").json["status"] == "success"
    plain = made.cli("run", "--full-refresh", "silver.sales", "--set", "monitoring.logs.format=console").err
    assert re.search(r"^\S+Z \[info +\] table published ", plain, re.MULTILINE)
    assert "\x1b" not in plain


def test_a_log_that_cannot_be_written_is_a_remark_of_the_run(shop):
    report = shop("{level: info, file: /dev/full}").run()
    assert report.succeeded
    why = "/dev/full: No space left on device - say another file in monitoring.logs"
    assert f"log lines could not be written: {why}" in report.remarks


def test_a_warning_is_told_once(shop):
    metrics = "metrics: {backends: [{type: json, path: data}]}"  # a folder
    made = shop("{level: info}", DECLARATION.replace("monitoring: {", f"monitoring: {{{metrics}, "))
    done = made.cli("run")
    assert done.code == 0
    assert len([line for line in done.err.splitlines() if "do not get to json" in line]) == 1


def test_two_runs_at_once_have_their_lines_each(shop, tmp_path, project):
    """And the one that ends first takes nothing from the other."""
    first = shop("{level: debug, file: logs/run.jsonl, format: json}")
    other = project(DECLARATION.replace("name: shop", "name: second").replace("LOGS", TO_FILE), FILES, folder="other")
    before = logging.getLogger("oreflow").level
    threads = [threading.Thread(target=made.run_well) for made in (first, other)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for made, name in ((first, "shop"), (other, "second")):
        found = lines(made)
        assert {line["pipeline"] for line in found if line["logger"] == "oreflow.run"} == {name}
        assert [found[0]["event"], found[-1]["event"]] == ["run started", "run finished"]
        assert sum(line["event"] == "batch published" for line in found) == 2
    assert logging.getLogger("oreflow").level == before


CONFIGURES = """
import logging.config
from oreflow import hookimpl

@hookimpl
def step_progressed(table, phase):
    if (table, phase) == ("bronze.sales", "staged"): HOW
"""
WAYS = {
    "anew": "logging.basicConfig(force=True)",
    "whole": "logging.config.dictConfig({'version': 1, 'disable_existing_loggers': True})",
    "level": "logging.getLogger('oreflow').setLevel(logging.ERROR)",
    "own level": "logging.getLogger('oreflow.run').setLevel(logging.ERROR)",
    "handler": "[each.setLevel(logging.ERROR) for each in logging.getLogger().handlers]",
    "filter": "[each.addFilter(lambda record: False) for each in logging.getLogger().handlers]",
    "disable": "logging.disable(logging.CRITICAL)",
    "propagate": "logging.getLogger('oreflow').propagate = False",
    "filter of ours": "logging.getLogger('oreflow.run').addFilter(lambda record: False)",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_plugin_that_configures_logging_silences_no_more_than_it_must_and_is_told_of(shop, way):
    made = shop()
    (made.root / "oreflow_plugins.py").write_text(CONFIGURES.replace("HOW", WAYS[way]))
    done = made.cli("run")
    assert "code that the run has called has configured logging anew, so that some are missing" in done.out
    events = [line["event"] for line in lines(made)]
    assert events[0] == "run started"
    assert events[-1] == "run finished"
    assert events.count("table published") >= 1


def test_a_plugin_that_gives_lines_another_form_shows_no_secret(shop, monkeypatch):
    monkeypatch.setenv("SECRET_OF_LINES", "s3cret-of-lines")
    metrics = "metrics: {backends: [{type: influxdb, address: 'http://127.0.0.1:9', database: a, username: b,"
    metrics += " password: '${env:SECRET_OF_LINES}'}]}"
    made = shop(declaration=DECLARATION.replace("monitoring: {", f"monitoring: {{{metrics}, "))
    (made.root / "oreflow_plugins.py").write_text(
        "import logging, os\nfrom oreflow import hookimpl\n\n@hookimpl\ndef step_progressed(phase):\n"
        "    for each in logging.getLogger().handlers: each.setFormatter(logging.Formatter('%(message)s'))\n"
        "    logging.getLogger('shop').warning('the password is %s, or %s', os.environ['SECRET_OF_LINES'], phase)\n"
    )
    made.run()
    text = (made.root / "logs/run.jsonl").read_text()
    assert "the password is ***, or staged" in text
    assert "s3cret" not in text


def test_a_pipe_is_no_file_for_lines(shop):
    made = shop("{level: info, file: pipe}")
    os.mkfifo(made.root / "pipe")
    report = made.run()
    assert report.succeeded
    assert "is a pipe, and no file" in str(report.remarks)


@pytest.mark.parametrize("stream", ["None", "open(os.devnull, 'w')", "object()"])
def test_a_standard_error_that_nobody_can_write_to_is_a_remark(shop, stream):
    made = shop("{level: info}")
    script = f"""
import os, sys, oreflow
sys.stderr = {stream}
if hasattr(sys.stderr, "close"): sys.stderr.close()
report = oreflow.run(".")
print(report.status, [each for each in report.remarks if "log lines" in each])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=False)
    assert re.match(r"""success \[["']log lines could not be written: """, done.stdout), done.stderr


def test_the_level_of_all_others_may_be_said(shop):
    made = shop("{level: info, levels: {root: error, shop.loud: debug}, file: logs/run.jsonl, format: json}")
    (made.root / "oreflow_plugins.py").write_text(
        "import logging\nfrom oreflow import hookimpl\n\n@hookimpl\ndef run_started():\n"
        "    for name in ('py4j', 'shop.loud.er', 'shop.quiet'):\n"
        "        for level in (10, 30, 40): logging.getLogger(name).log(level, f'at {level}')\n"
    )
    made.run_well()
    found = [(line["logger"], line["event"]) for line in lines(made) if line["event"].startswith("at ")]
    loud = [("shop.loud.er", f"at {level}") for level in (10, 30, 40)]
    assert found == [("py4j", "at 40"), *loud, ("shop.quiet", "at 40")]


def test_warnings_stay_on_the_terminal_where_lines_go_to_a_file(shop):
    metrics = "metrics: {backends: [{type: json, path: data}]}"  # a folder
    made = shop(TO_FILE, DECLARATION.replace("monitoring: {", f"monitoring: {{{metrics}, "))
    assert "warning: metrics do not get to json" in made.cli("run").err
    assert [line for line in lines(made) if "do not get to json" in line["event"]]


def test_what_was_decided_while_the_run_was_planned_is_told(shop):
    made = shop()
    (made.root / "chaos.yaml").write_text(
        "faults: [{fault: exception, resource: sales, operation: list, rate: 1, at_most: 1}]"
    )
    assert made.run(chaos=made.root / "chaos.yaml").succeeded
    events = [line["event"] for line in lines(made) if line["logger"] == "oreflow.run"]
    assert events[:3] == ["run started", "retry", "recovered"]


def test_people_on_a_terminal_see_whole_lines_beside_the_progress(shop):
    made = shop("{level: info}")
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "oreflow", "run"], cwd=made.root, stdout=other, stderr=other, close_fds=True
    )
    os.close(other)
    text = b""
    with contextlib.suppress(OSError), os.fdopen(main, "rb", buffering=0) as read:
        while piece := read.read(65536):
            text += piece
    assert process.wait(60) == 0
    screen = [re.split(r"\x1b\[2K|\r", line)[-1] for line in text.decode().split("\r\n")]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in screen]
    told = [line for line in plain if "[info" in line or "[warning" in line]
    assert told
    assert all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in told), told
