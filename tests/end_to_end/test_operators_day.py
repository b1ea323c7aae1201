"""An operator's day: a bad delivery of real data closes a gate, people hear of it, and a corrected one is told as well.

Wherever the operator looks, the figures are the same: in the alert, the report and its page, the ledger, the metrics
and the lineage events.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from servers import mailbox, webhooks

import oreflow

ROOT = Path(__file__).parents[2]
ADDED = """
alerts:
  rules:
    bad delivery: {event: gate_failed, severity: critical, description: Ask the shop for a corrected file.}
    many errors: {when: error_rate > 5%, tables: bronze.*}
  channels:
    team: {type: webhook, url: "WEBHOOK"}
    night:
      {type: email, host: 127.0.0.1, port: PORT, security: none, from: oreflow@shop.example, to: [night@shop.example]}
monitoring: {metrics: {backends: [{type: json}]}}
lineage: {transport: {type: file, path: lineage.jsonl}}
database: {}
"""
GOOD_DAYS, FAULTS = 5, 0.1
TABLE = "bronze.transactions"


@pytest.fixture(scope="module")
def day(require, shared_data, tmp_path_factory, project_in):
    """The day: good deliveries, a bad one, and its correction; with what was told of each."""
    days = shared_data / "online_retail" / "by-day"
    require(days, f"the data set {days} is missing")
    made = project_in(tmp_path_factory.mktemp("operator"), "retail")
    raw = made.root / "data" / "raw"
    raw.mkdir(parents=True)
    *good, bad = sorted(days.glob("*.csv"))[: GOOD_DAYS + 1]
    for file in good:
        shutil.copy(file, raw)
    with webhooks() as team, mailbox() as night:
        text = (ROOT / "config" / "retail.yaml").read_text(encoding="utf-8") + ADDED
        made.declare(text.replace("WEBHOOK", team.url).replace("PORT", str(night.port)))
        reports = [made.run()]
        planted = plant(bad, raw / bad.name)
        done = made.cli("run", "retail")
        reports.append(oreflow.show_run("latest", made.root, pipeline="retail"))
        shutil.copy(bad, raw / bad.name)
        reports.append(made.run())
        yield SimpleNamespace(
            made=made, reports=reports, planted=planted, delivery=bad.name, code=done.code, team=team, night=night
        )


def plant(delivery: Path, file: Path) -> list[int]:
    """Damage one line in ten of a delivery, so that it is no record any more; gives the numbers of these lines."""
    head, *lines = delivery.read_bytes().splitlines(keepends=True)
    step = round(1 / FAULTS)
    numbers = range(0, len(lines), step)
    for number in numbers:
        lines[number] = lines[number].replace(b",", b",,,,", 1)
    file.write_bytes(head + b"".join(lines))
    return [number + 2 for number in numbers]


def test_the_bad_delivery_closes_the_gate_and_nothing_of_it_is_published(day):
    _, bad, mended = day.reports
    assert (day.code, [each.status for each in day.reports]) == (1, ["success", "failed", "success"])
    (batch,) = bad.tables[0].batches
    assert (batch.status, batch.published, batch.quarantined) == ("refused", 0, len(day.planted))
    assert [file["file"] for file in batch.files] == [f"data/raw/{day.delivery}"]
    assert all(each.status in ("skipped", "unchanged") for each in bad.tables[1:])
    lines = len((day.made.root / "data/raw" / day.delivery).read_bytes().splitlines()) - 1
    (batch,) = mended.tables[0].batches
    assert (batch.status, batch.read, batch.published) == ("published", lines, lines)


def test_the_alert_has_table_check_figures_three_rows_and_the_command_by_both_ways(day):
    bad = day.reports[1]
    result = bad.tables[0]
    alerts = {each["rule"]: each for body in day.team.posted[:1] for each in body["alerts"]}
    assert {(each["rule"], each["status"]) for each in alerts.values()} == {
        ("bad delivery", "firing"),
        ("many errors", "firing"),
    }
    alert = alerts["bad delivery"]
    assert (alert["subject"], alert["run_id"], alert["severity"]) == ({"table": TABLE}, bad.run_id, "critical")
    assert "is below quality_threshold 95 %" in alert["summary"]
    assert f"'readable' is broken by {result.rows_quarantined:,} of {result.rows_read:,} rows" in alert["summary"]
    places = [re.match(r"data/raw/(\S+):(\d+) ", each) for each in alert["details"]]
    assert [place[1] for place in places] == [day.delivery] * 3
    assert {int(place[2]) for place in places} <= set(day.planted)
    assert alerts["many errors"]["value"] == pytest.approx(result.rows_quarantined / result.rows_read)
    to, mail = day.night.found[0]
    assert to == ["night@shop.example"]
    assert (
        mail["Subject"].strip().startswith("[critical] retail (development): bronze.transactions: batch 2 was refused")
    )
    for line in (*alert["details"], *alert["commands"], "Ask the shop for a corrected file."):
        assert line in mail.get_content()


def test_the_commands_of_the_alert_lead_to_what_was_wrong(day):
    (alert,) = [each for each in day.team.posted[0]["alerts"] if each["rule"] == "bad delivery"]
    for command in alert["commands"]:
        done = day.made.cli(*shlex.split(command)[1:])
        assert done.code == 0, done.err
    command = next(each for each in alert["commands"] if "oreflow report" in each)
    done = day.made.cli(*shlex.split(command)[1:])
    page = Path(re.search(r"(\S+\.html)", done.out)[1])
    page = page if page.is_absolute() else day.made.root / page
    text = page.read_text(encoding="utf-8")
    for shown in (day.reports[1].run_id, TABLE, day.delivery, f"{len(day.planted)}"):
        assert shown in text


def test_the_corrected_delivery_is_told_as_the_end_of_it(day):
    ends = [each for body in day.team.posted for each in body["alerts"] if each["status"] == "resolved"]
    assert {each["rule"] for each in ends} == {"bad delivery", "many errors"}
    assert {each["run_id"] for each in ends} == {day.reports[2].run_id}
    keys = {each["key"] for body in day.team.posted for each in body["alerts"]}
    assert len(keys) == 2
    assert day.night.found[-1][1]["Subject"].strip().startswith("[resolved] retail")
    assert {each["status"] for each in day.reports[2].alerts} == {"resolved"}
    assert day.made.run().alerts == []


def in_the_ledger(day, report):
    (file,) = (day.made.root / "lake" / "_oreflow").rglob("ledger.db")
    with closing(sqlite3.connect(file)) as ledger:
        rows = ledger.execute(
            "select table_name, rows_read, rows_published, rows_quarantined, rows_superseded from oreflow_steps"
            " where run_id = ?",
            [report.run_id],
        ).fetchall()
    return {name: tuple(figures) for name, *figures in rows}


def in_the_metrics(day):
    """Of all runs of this process, and of the one that was a process of its own."""
    (file,) = (day.made.root / "lake" / "_oreflow").rglob("metrics.json")
    found = {}
    for metric in json.loads(file.read_text())["metrics"]:
        for series in metric["series"]:
            if "table" in series["labels"] and "value" in series:
                found.setdefault(series["labels"]["table"], {})[metric["name"]] = series["value"]
    return found


def in_the_lineage(day, report):
    """How many rows each table's events say that it got, and of how many it was made."""
    events = [json.loads(line) for line in (day.made.root / "lineage.jsonl").read_text().splitlines()]
    found = {}
    for event in events:
        tags = {each["key"]: each["value"] for each in event["run"]["facets"].get("tags", {}).get("tags", ())}
        if tags.get("oreflow_run_id") != report.run_id or event["eventType"] not in ("COMPLETE", "FAIL"):
            continue
        for output in event.get("outputs", ()):
            if rows := output.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount"):
                found[output["name"]] = rows
    return found


def reported(report):
    return {
        each.table: (each.rows_read, each.rows_published, each.rows_quarantined, each.rows_superseded)
        for each in report.tables
    }


@pytest.mark.parametrize("number", range(3), ids=["good", "bad", "mended"])
def test_report_document_ledger_and_lineage_agree_on_every_figure(day, number):
    report = day.reports[number]
    assert in_the_ledger(day, report) == reported(report)
    document = day.made.cli("report", report.run_id, "--pipeline", "retail", "--json").json
    assert (
        document["run"]["tables"]
        == oreflow.show_run(report.run_id, day.made.root, pipeline="retail").to_dict()["tables"]
    )
    written = in_the_lineage(day, report)
    for each in report.tables:
        if each.status == "published":
            assert written[each.path] == each.rows_published
            if each.rows_quarantined:
                stage, _, name = each.table.partition(".")
                assert written[str(day.made.root / "lake" / "_quarantine" / stage / name)] == each.rows_quarantined
    if not report.succeeded:
        assert written == {}


def test_the_metrics_are_those_of_the_runs_of_their_process(day):
    """The bad run was a process of its own, whose file the mended run has written anew."""
    metrics = in_the_metrics(day)
    for name, part in (("oreflow_records_processed_total", 0), ("oreflow_records_published_total", 1)):
        of_both = [reported(report) for report in (day.reports[0], day.reports[2])]
        for table in of_both[0]:
            assert metrics[table][name] == sum(each[table][part] for each in of_both)
