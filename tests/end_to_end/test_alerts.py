"""Alerts as people get them: by a real mail server and a real receiver of webhooks, from run to run."""

from __future__ import annotations

import ast
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from servers import free_port, mailbox, webhooks

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
    deduplicate: {keys: [id]}
    checks: [{name: has a name, type: completeness, column: name, threshold: 0.5}]
"""
GOOD, POOR, BAD = "id,name\n1,ada\n2,grace\n", "id,name\n1,\n2,grace\n3,alan\n", "id,name\n1,\n2,\n3,\n4,\n5,edsger\n"


@pytest.fixture
def receiver():
    with webhooks() as found:
        yield found


@pytest.fixture
def mails():
    with mailbox() as found:
        yield found


def shop(project, alerts, receiver=None, more=""):
    """The shop with rules; where there is a receiver, it is told by JSON."""
    channels = f'  channels: {{team: {{type: webhook, url: "{receiver.url}"}}}}\n' if receiver else ""
    return project(f"{DECLARATION}alerts:\n  patience: 5s\n{channels}  rules:\n{alerts}{more}", {"a.csv": GOOD})


def deliver(made, content):
    """A run with one more file."""
    made.put(f"b{len(list((made.root / 'data/raw').iterdir()))}.csv", content)
    return oreflow.run(made.root)


def test_a_closed_gate_is_told_by_webhook_and_mail_and_so_is_that_it_is_open_again(project, receiver, mails):
    more = f"""\
    night: {{type: email, host: 127.0.0.1, port: {mails.port}, security: none, from: "oreflow <o@shop.example>",
            to: [night@shop.example]}}
"""
    alerts = "    bad delivery: {event: gate_failed, severity: critical, description: Ask the shop.}\n"
    made = shop(project, alerts, receiver)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(re.sub(r"  channels: \{(team: .*)\}\n", rf"  channels:\n    \1\n{more}", text))
    assert made.run().alerts == []
    report = deliver(made, BAD)
    assert [(each["rule"], each["status"], each["told"]) for each in report.alerts] == [
        ("bad delivery", "firing", ["night", "team"])
    ]
    (body,) = receiver.posted
    (alert,) = body["alerts"]
    failure = report.tables[1].batches[0].failures[0]
    assert failure["figures"] == "check 'has a name': 4 of 5 rows fail, 20 % pass, threshold 50 %"
    assert (alert["subject"], alert["severity"]) == ({"table": "silver.sales"}, "critical")
    assert alert["summary"] == f"silver.sales: batch 2 was refused: {failure['figures']}"
    assert alert["details"] == [f"data/raw/b1.csv:{row} name is NULL" for row in (2, 3, 4)]
    assert alert["run_id"] == report.run_id
    (to, mail), *_ = mails.found
    assert (to, mail["From"]) == (["night@shop.example"], "oreflow <o@shop.example>")
    assert mail["Subject"] == f"[critical] shop (development): {alert['summary']}"
    for line in (*alert["details"], *alert["commands"], "Ask the shop."):
        assert line in mail.get_content()
    shown = made.cli(*alert["commands"][0].split()[1:])
    assert (shown.code, report.run_id in shown.out) == (0, True)

    made.put("b1.csv", GOOD)
    mended = oreflow.run(made.root, full_refresh=["bronze.sales"])
    assert mended.succeeded
    assert [(each["rule"], each["status"], each["told"]) for each in mended.alerts] == [
        ("bad delivery", "resolved", ["night", "team"])
    ]
    assert receiver.alerts == [("bad delivery", "firing"), ("bad delivery", "resolved")]
    assert (
        mails.found[-1][1]["Subject"]
        .strip()
        .startswith("[resolved] shop (development): silver.sales: no gate_failed any more")
    )
    assert receiver.posted[0]["alerts"][0]["key"] == receiver.posted[1]["alerts"][0]["key"]
    assert made.run().alerts == []
    assert len(receiver.posted) == 2


def test_a_condition_fires_in_its_second_run_and_is_over_where_its_figure_is_well_again(project, receiver):
    alerts = "    poor: {when: data_quality_score < 0.9 for 2 runs, until: 0.95, tables: silver.*}\n"
    made = shop(project, alerts, receiver)
    made.run()
    assert deliver(made, POOR).alerts == []
    (status,) = oreflow.alerts(made.root)
    assert (status.rule, status.status, status.when) == ("poor", "pending", "data_quality_score below 0.9 for 2 runs")
    (alert,) = deliver(made, POOR).alerts
    assert alert["summary"] == "data_quality_score of silver.sales is 0.666667, below 0.9 for 2 runs"
    assert alert["details"] == ["1 row breaks 'has a name'"]
    assert receiver.alerts == [("poor", "firing")]
    (alert,) = deliver(made, POOR).alerts  # it goes on, and is not told again
    assert (alert["status"], alert["told"], alert["is_new"]) == ("firing", ["team"], False)
    assert receiver.alerts == [("poor", "firing")]
    rows = "".join(f"{row},x\n" for row in range(10, 27))
    (alert,) = deliver(made, f"id,name\n9,\n{rows}").alerts  # 0.944: above where it began, and not yet well
    assert alert["status"] == "firing"
    (alert,) = deliver(made, GOOD).alerts
    assert alert["status"] == "resolved"
    assert receiver.alerts == [("poor", "firing"), ("poor", "resolved")]


def test_the_thresholds_of_the_specification_are_rules(project, receiver):
    more = "monitoring:\n  enable_metrics: true\n  alert_thresholds: {error_rate: 0.05, processing_time: 300}\n"
    made = shop(project, "    never: {when: processing_time > 1d}\n", receiver, more)
    made.run()
    (alert,) = deliver(made, POOR).alerts
    assert (alert["rule"], alert["subject"], alert["threshold"]) == ("error_rate", {"table": "silver.sales"}, 0.05)
    assert alert["value"] == pytest.approx(1 / 3)
    assert [each.rule for each in oreflow.alerts(made.root)] == ["error_rate", "processing_time", "never"]
    made.declare((made.root / "config/pipeline.yaml").read_text().replace("time: 300", "time: 0.001"))
    found = {each["rule"]: each["status"] for each in made.run().alerts}
    assert found == {"error_rate": "firing", "processing_time": "firing"}


def test_any_metric_and_any_aggregation_can_be_a_rule(project, receiver):
    alerts = """\
    checks: {when: check_failures > 0}
    files: {when: files_claimed_total >= 1, severity: info}
    ratio: {when: failed > 10%}
"""
    failed = "ratio(records_failed, records_processed) over 1h by table"
    more = f'monitoring: {{metrics: {{aggregations: {{failed: "{failed}"}}}}}}\n'
    made = shop(project, alerts, receiver, more)
    assert {each["rule"] for each in made.run().alerts} == {"files"}
    found = {each["rule"]: each for each in deliver(made, POOR).alerts}
    assert found["checks"]["subject"] == {"check": "has a name", "table": "silver.sales"}
    assert (found["checks"]["value"], found["ratio"]["subject"]) == (1, {"table": "silver.sales"})
    assert found["ratio"]["value"] == pytest.approx(0.2)
    found = {each["rule"]: each["status"] for each in deliver(made, GOOD).alerts}
    assert found["checks"] == "resolved"  # of a counter that counts nothing any more nobody hears a figure
    assert made.run().alerts  # nothing is new, and what is known of the last delivery holds


def test_what_a_program_counts_itself_can_be_a_rule_and_what_nobody_counts_is_said(project, receiver):
    alerts = "    mine: {when: parcels_lost > 2}\n    slip: {when: oreflow_nobody_counts_this > 2}\n"
    made = shop(project, alerts, receiver)
    (made.root / "oreflow_plugins.py").write_text(
        "import oreflow\nfrom oreflow.monitoring import get_metrics_collector\n\n"
        "@oreflow.hookimpl\ndef step_finished():\n    get_metrics_collector().increment_counter('parcels_lost', 2)\n"
    )
    report = made.run()
    assert [(each["rule"], each["value"]) for each in report.alerts] == [("mine", 4)]
    (remark,) = report.remarks
    assert remark == "the rule 'slip' is on 'oreflow_nobody_counts_this', and nothing has been counted as that"


def test_events_of_columns_files_and_runs_are_told(project, receiver):
    alerts = """\
    columns: {event: schema_changed}
    broken: {event: [table_failed, run_failed], tables: silver.*}
"""
    made = shop(project, alerts, receiver)
    made.run()
    (alert,) = deliver(made, "id,name,age\n3,x,29\n").alerts
    assert (alert["rule"], alert["summary"]) == ("columns", "bronze.sales: age (string) was added")
    found = {(each["rule"], each["subject"].get("table", "")): each for each in deliver(made, BAD).alerts}
    assert found["columns", "bronze.sales"]["status"] == "resolved"
    assert found["broken", "silver.sales"]["summary"].startswith("silver.sales failed: the quality gate was not passed")
    assert found["broken", ""]["summary"] == "the run failed at silver.sales"


def test_an_answer_that_quotes_the_secret_path_is_shown_without_it_wherever_it_is_cut(project, receiver, monkeypatch):
    secret = receiver.url.rpartition("/")[2]
    monkeypatch.setenv("HOOK_OF_QUOTES", receiver.url)
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(
        text.replace(f'"{receiver.url}"', '"${env:HOOK_OF_QUOTES}"')
        + "monitoring: {logs: {levels: {root: debug}, file: l.log}}\n"
    )
    made.run()
    receiver.statuses, receiver.says = [404], "x" * 180 + f" /hooks/{secret}"
    (remark,) = deliver(made, BAD).remarks
    assert "it answers 404: xxx" in remark
    assert secret[:4] not in remark
    assert secret not in (made.root / "l.log").read_text()


def test_a_server_that_asks_for_a_time_that_no_clock_has_is_waited_for_no_longer_than_patience(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.run()
    receiver.statuses, receiver.retry_after = [503], "99999999999"
    remarks = deliver(made, BAD).remarks
    assert all("it answers 503" in each for each in remarks)  # where it was not told at the second attempt
    made.run()
    assert receiver.alerts == [("bad delivery", "firing")]


def test_a_mistake_of_monitoring_hides_none_of_alerts(project, receiver):
    more = "monitoring: {metrics: {backends: [{type: json, pth: m.json}]}}\n"
    made = shop(project, "    x: {event: gate_faild}\n", receiver, more)
    found = made.cli("run").err
    assert "backends.0.pth: unknown key 'pth' - did you mean 'path'?" in found
    assert "there is no event 'gate_faild' - did you mean 'gate_failed'?" in found
    made = shop(project, "    x: {event: gate_failed}\n", receiver, "monitoring: [metrics]\n")
    assert made.cli("run").code == 2


def test_an_address_that_was_written_down_is_shown_nowhere(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.run()
    assert receiver.url not in made.cli("config", "show").out
    kept = [each for each in (made.root / "lake").rglob("*.json") if receiver.url in each.read_text()]
    assert kept == []


def test_a_clock_that_was_set_back_keeps_nobody_from_being_told(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed, repeat: 1h}\n", receiver)
    made.run()
    deliver(made, BAD)
    book = made.root / "lake/_oreflow/alerts/shop/alerts.json"
    found = json.loads(book.read_text())
    (state,) = found["alerts"].values()
    state["told"] = {"team": "2999-01-01T00:00:00.000+00:00"}
    book.write_text(json.dumps(found))
    made.run()
    made.run()
    assert receiver.alerts == [("bad delivery", "firing")] * 2


def test_a_condition_that_began_in_the_future_of_a_clock_begins_anew(project, receiver):
    made = shop(project, "    rows: {when: error_rate > 5% for 1s}\n", receiver)
    made.run()
    deliver(made, BAD)
    book = made.root / "lake/_oreflow/alerts/shop/alerts.json"
    found = json.loads(book.read_text())
    (state,) = found["alerts"].values()
    assert state["status"] == "pending"
    state["since"] = "2999-01-01T00:00:00.000+00:00"
    book.write_text(json.dumps(found))
    deliver(made, BAD)
    time.sleep(1)
    deliver(made, BAD)
    assert receiver.alerts == [("rows", "firing")]


def test_what_a_channel_refuses_is_not_tried_again_in_the_same_run(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.run()
    receiver.statuses = [404, 500]
    (remark,) = deliver(made, BAD).remarks
    assert "it answers 404 - the next run tries it again" in remark
    assert receiver.statuses == [500]  # nobody has come for it
    made.run()
    assert receiver.alerts == [("bad delivery", "firing")]


def test_a_channel_that_fails_is_tried_again_and_then_by_the_next_run(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.run()
    receiver.statuses = [500, 503]
    assert deliver(made, BAD).remarks == []  # the third attempt went well
    assert receiver.alerts == [("bad delivery", "firing")]
    made.put("b1.csv", GOOD)
    receiver.statuses = [500] * 3
    report = oreflow.run(made.root, full_refresh=["bronze.sales"])
    place = receiver.url.partition("/hooks")[0]
    assert report.remarks == [
        f"the alert 'bad delivery' did not get to team: {place}: it answers 500 - the next run tries it again"
    ]
    assert report.succeeded
    assert report.alerts[0]["unsent"] == {"team": f"{place}: it answers 500"}
    assert "t0ps3cr3t" not in json.dumps(report.to_dict())
    made.run()
    assert receiver.alerts == [("bad delivery", "firing"), ("bad delivery", "resolved")]


def test_a_channel_that_hangs_or_is_away_costs_a_run_no_more_than_is_said(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.declare((made.root / "config/pipeline.yaml").read_text().replace("patience: 5s", "patience: 1s"))
    made.run()
    receiver.hangs = 20.0
    start = time.monotonic()
    report = deliver(made, BAD)
    assert time.monotonic() - start < 5
    assert "did not get to team" in report.remarks[0]
    made.declare(
        (made.root / "config/pipeline.yaml").read_text().replace(receiver.url, f"http://127.0.0.1:{free_port()}/")
    )
    report = made.run()
    assert "it cannot be reached: Connection refused - the next run tries it again" in report.remarks[0]


def test_nobody_is_told_of_what_is_silenced_until_the_time_is_over(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.run()
    until = made.cli("alerts", "silence", "bad delivery", "--for", "2h", "--json").json["until"]
    assert timedelta(hours=1.9) < datetime.fromisoformat(until) - datetime.now(UTC) < timedelta(hours=2)
    (alert,) = deliver(made, BAD).alerts
    assert (alert["is_silenced"], alert["told"], receiver.posted) == (True, [], [])
    assert f"bad delivery: silent until {until}" in made.cli("alerts", "list").out
    assert made.cli("alerts", "silence", "bad delivery", "--lift").out == "'bad delivery' is told again\n"
    for table in ("silver.sales", "bronze.sales"):
        made.cli("alerts", "silence", "bad delivery", "--for", "1h", "--table", table)
    made.cli("alerts", "silence", "bad delivery", "--lift", "--table", "silver.sales")
    assert made.cli("alerts", "check").code == 0
    assert receiver.alerts == [("bad delivery", "firing")]
    made.cli("alerts", "silence", "bad delivery", "--lift")
    assert [each.silences for each in oreflow.alerts(made.root)] == [[]]


def test_what_one_table_brings_about_comes_in_one_message_with_the_worst_first(project, receiver):
    alerts = """\
    rows: {when: error_rate > 5%}
    quick: {when: processing_time > 1d, tables: silver.*}
    bad delivery: {event: gate_failed, severity: critical}
    good: {when: "data_quality_score >= 1", tables: silver.*, severity: info}
"""
    made = shop(project, alerts, receiver)
    made.run()
    deliver(made, BAD)
    first, second = receiver.posted
    assert first["title"] == "[info] shop (development): data_quality_score of silver.sales is 1, at or above 1"
    assert [(each["rule"], each["status"]) for each in second["alerts"]] == [
        ("bad delivery", "firing"),
        ("rows", "firing"),
        ("good", "resolved"),
    ]
    summary = second["alerts"][0]["summary"]
    assert second["title"] == f"[critical] shop (development): {summary}, and 1 more, and 1 over"
    made.put("b1.csv", "id,name\n")  # the bad delivery is taken away
    (made.root / "data/raw/b1.csv").unlink()
    report = oreflow.run(made.root, full_refresh=["bronze.sales"])
    assert {each["rule"]: each["status"] for each in report.alerts if each["rule"] != "good"} == {
        "bad delivery": "resolved",
        "rows": "resolved",
    }


def test_a_figure_of_what_was_refused_is_over_where_the_delivery_is_taken_away(project, receiver):
    made = shop(project, "    rows: {when: error_rate > 5%}\n", receiver)
    made.declare(
        (made.root / "config/pipeline.yaml")
        .read_text()
        .replace("source: sales}", "source: sales, quality_threshold: 0.9}")
    )
    made.run()
    made.put("b.csv", "id,name\n1,a,b\n2,x\n")
    (alert,) = made.run().alerts
    assert (alert["subject"], alert["value"]) == ({"table": "bronze.sales"}, 0.5)
    (made.root / "data/raw/b.csv").unlink()
    report = made.run()
    assert [table.status for table in report.tables] == ["unchanged", "unchanged"]
    assert [(each["rule"], each["status"]) for each in report.alerts] == [("rows", "resolved")]


def test_a_run_that_was_killed_is_told_by_the_next(project, receiver):
    made = shop(project, "    cut: {event: [run_interrupted, run_failed], severity: critical}\n", receiver)
    (made.root / "oreflow_plugins.py").write_text(
        "import os, signal\nfrom oreflow import hookimpl\n\n@hookimpl\ndef step_progressed(table, phase):\n"
        "    if (table, phase) == ('silver.sales', 'staged'): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert made.cli("run").code == -signal.SIGKILL
    (made.root / "oreflow_plugins.py").unlink()
    assert made.run().succeeded
    fired, over = (body["alerts"][0] for body in receiver.posted)
    killed = oreflow.runs(made.root)[1].run_id
    assert fired["summary"].startswith(f"the run {killed} was interrupted: its process has ended without a word")
    assert fired["commands"][0].startswith(f"oreflow runs show {killed} ")
    assert (over["status"], over["summary"]) == ("resolved", "the run succeeded")


def test_health_says_of_a_channel_whether_it_can_be_had_and_others_can_be_tried(project, receiver, monkeypatch):
    monkeypatch.delenv("NO_SUCH_HOOK", raising=False)
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(
        text.replace("channels: {team:", 'channels: {other: {type: webhook, url: "${env:NO_SUCH_HOOK}"}, team:')
    )
    found = {each.name: each for each in oreflow.health(made.root, checks="alert channel *").checks}
    assert {name: each.status for name, each in found.items()} == {
        "alert channel other": "fail",
        "alert channel team": "pass",
    }
    assert "NO_SUCH_HOOK" in found["alert channel other"].reason
    assert made.cli("alerts", "test", "team").code == 0


def test_that_nothing_has_run_is_told_by_a_look_between_runs(project, receiver):
    alerts = """\
    no run: {when: since_last_run > 1d}
    old: {when: freshness > 1d, tables: silver.*}
"""
    made = shop(project, alerts, receiver)
    assert made.run().alerts == []
    assert made.cli("alerts", "check").out == "no alert goes on\n"
    state = made.root / "lake" / "_oreflow"
    (report,) = state.glob("runs/*.json")
    (claim,) = state.glob("batches/silver.sales/000001.json")
    for file, key in ((report, "started_at"), (claim, "claimed_at")):
        content = json.loads(file.read_text())
        then = datetime.fromisoformat(content[key]) - timedelta(days=3, minutes=1)
        file.write_text(json.dumps({**content, key: then.isoformat(timespec="milliseconds")}))
    done = made.cli("alerts", "check", "--json").json
    found = [(each["rule"], re.sub(r"3d1m\d*s?", "3d", each["summary"])) for each in done["alerts"]]
    assert found == [
        ("no run", "since_last_run is 3d, above 1d"),
        ("old", "freshness of silver.sales is 3d, above 1d"),
    ]
    assert made.cli("alerts", "check").code == 0
    assert receiver.alerts == [("no run", "firing"), ("old", "firing")]
    found = {each["rule"]: each["status"] for each in deliver(made, GOOD).alerts}
    assert found == {"no run": "resolved", "old": "resolved"}


def test_an_alert_that_goes_on_is_told_again_where_that_is_said(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed, repeat: 1ms}\n", receiver)
    made.run()
    deliver(made, BAD)
    made.run()
    assert receiver.alerts == [("bad delivery", "firing")] * 2


def test_a_channel_can_be_tried(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    assert made.cli("alerts", "test", "team").out == "a test was sent by team\n"
    titles = [each["title"] for each in receiver.posted]
    told = "shop (development): this is a test of the channel team"
    assert titles == [f"[info] {told}", f"[resolved] {told}"]
    receiver.statuses = [401] * 3
    done = made.cli("alerts", "test", "team")
    assert (done.code, "error: the test did not get to team: " in done.err, "it answers 401" in done.err) == (
        1,
        True,
        True,
    )
    done = made.cli("alerts", "test", "taem")
    assert (done.code, done.err) == (2, "error: there is no channel 'taem' - did you mean 'team'?\n")


@pytest.mark.parametrize(
    ("form", "more"), [("slack", ""), ("teams", ""), ("pagerduty", ", routing_key: k3y-of-a-service")]
)
def test_each_service_gets_the_form_that_it_documents(project, receiver, form, more):
    made = shop(project, "    bad & <delivery>: {event: gate_failed, severity: critical}\n", receiver)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(text.replace("type: webhook,", f"type: webhook, format: {form}{more},"))
    made.run()
    deliver(made, BAD)
    made.put("b1.csv", GOOD)
    oreflow.run(made.root, full_refresh=["bronze.sales"])
    fired, resolved = receiver.posted
    if form == "slack":
        assert [each["type"] for each in fired["blocks"]] == ["header", "section"]
        assert "bad &amp; &lt;delivery&gt;" in fired["blocks"][1]["text"]["text"]
        assert resolved["text"].startswith("[resolved] ")
    elif form == "teams":
        (card,) = fired["attachments"]
        assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
        texts = [each["text"] for each in card["content"]["body"]]
        assert any(each.startswith("[critical] bad & <delivery>: silver.sales: batch 2 was refused") for each in texts)
        assert resolved["attachments"][0]["content"]["body"][0]["color"] == "Good"
    else:
        assert [each["event_action"] for each in (fired, resolved)] == ["trigger", "resolve"]
        assert fired["dedup_key"] == resolved["dedup_key"]
        assert fired["payload"]["severity"] == "critical"
        assert fired["payload"]["component"] == "silver.sales"


def test_a_mail_server_that_does_not_take_it_is_said_with_its_words(project, mails):
    channel = (
        f"{{type: email, host: 127.0.0.1, port: {mails.port}, security: none, from: o@x.example, to: [n@x.example]}}"
    )
    made = project(
        f"{DECLARATION}alerts:\n  channels: {{night: {channel}}}\n  rules: {{bad delivery: {{event: gate_failed}}}}\n",
        {"a.csv": BAD},
    )
    mails.refused.add("n@x.example")
    (remark,) = made.run().remarks
    assert (
        f"did not get to night: the mail server 127.0.0.1:{mails.port}: it does not take mail for n@x.example" in remark
    )


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # its own, where it is loaded
def test_apprise_reaches_what_it_reaches(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(
        text.replace(
            f'type: webhook, url: "{receiver.url}"', f'type: apprise, url: "{receiver.url.replace("http", "json")}"'
        )
    )
    made.put("a.csv", BAD)
    receiver.posted.clear()
    made.run()
    (posted,) = receiver.posted
    assert posted["title"].startswith("[warning] shop (development): silver.sales: batch 1 was refused")


def test_without_a_channel_of_its_own_an_alert_is_a_line_of_the_log(project):
    made = shop(project, "    bad delivery: {event: gate_failed, severity: critical}\n")
    made.put("a.csv", BAD)
    done = made.cli("run")
    assert done.code == 1
    assert "alert 'bad delivery' fires: silver.sales: batch 1 was refused: check 'has a name'" in done.err
    assert "- oreflow runs show 20" in done.err


def test_what_is_kept_of_alerts_may_be_damaged_and_no_run_fails(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.put("a.csv", BAD)
    made.run()
    (kept,) = made.root.glob("lake/_oreflow/alerts/shop/alerts.json")
    kept.write_text('{"version": 1, "alerts": [')
    made.run()
    assert kept.with_suffix(".damaged").exists()
    assert receiver.alerts == [("bad delivery", "firing")] * 2


def test_what_several_processes_change_at_once_is_all_kept(project, receiver):
    rules = "".join(f"    rule {number}: {{event: gate_failed}}\n" for number in range(8))
    made = shop(project, rules, receiver)
    made.put("a.csv", BAD)
    script = "import oreflow, sys; oreflow.silence_alert(f'rule {sys.argv[1]}', '2h')"
    commands = [[sys.executable, "-c", script, str(number)] for number in range(8)]
    processes = [subprocess.Popen(command, cwd=made.root) for command in commands]
    assert [process.wait() for process in processes] == [0] * 8
    made.run()
    assert [len(each.silences) for each in oreflow.alerts(made.root)] == [1] * 8
    assert receiver.posted == []


def test_without_rules_nothing_is_loaded_for_them(project):
    made = project(DECLARATION, {"a.csv": GOOD})
    script = (
        "import oreflow, sys; oreflow.run('.'); print([n for n in sys.modules if n.startswith('oreflow.alerting')])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    declared = ["oreflow.alerting", *(f"oreflow.alerting.{room}" for room in ("declared", "schema", "conditions"))]
    assert set(ast.literal_eval(done.stdout)) == set(declared)
    assert not (made.root / "lake/_oreflow/alerts").exists()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (
            "rules: {x: {when: error_rat > 5%}}",
            "alerts.rules.x.when: there is no figure 'error_rat' - did you mean 'error_rate'?",
        ),
        (
            "rules: {x: {when: error_rate is bad}}",
            "'error_rate is bad' is no condition - a right one is `data_quality_score",
        ),
        ("rules: {x: {event: run_failed, tables: silver.*}}", "alerts.rules.x.tables: run_failed is of no table"),
        ("rules: {x: {when: since_last_run > 1d, tables: silver.*}}", "alerts.rules.x.tables: since_last_run is of no"),
        ("rules: {x: {when: runs > 1, tables: silver.*}}", "alerts.rules.x.tables: runs is of no table - leave it out"),
        ("rules: {x: {when: error_rate > much}}", "'much' is no number, share or time"),
        ("rules: {x: {when: error_rate > 1 for ever}}", "what follows `for` is 'ever', and would be `2 runs` or `15m`"),
        ("rules: {x: {when: error_rate > .inf}}", "'.inf' is no number, share or time"),
        ("rules: {x: {severity: info}}", "alerts.rules.x: it has to be `when` a condition holds, or an `event`"),
        (
            "rules: {x: {event: gate_faild}}",
            "alerts.rules.x.event: there is no event 'gate_faild' - did you mean 'gate_failed'?",
        ),
        (
            "rules: {x: {event: gate_failed, until: 1}}",
            "alerts.rules.x.until: an event has no figure that could get there",
        ),
        ("rules: {x: {when: error_rate > 5%, until: 0.1}}", "0.1 is above 0.05, so that the alert would never be over"),
        (
            "rules: {x: {event: gate_failed, tables: silver.sale}}",
            "there is no table 'silver.sale' - did you mean 'silver.sales'?",
        ),
        (
            "rules: {x: {event: gate_failed, channels: [nobody]}}",
            "alerts.rules.x.channels: there is no channel 'nobody'",
        ),
        ("channels: {c: {type: pigeon}}", "alerts.channels.c.type: there is no alert channel 'pigeon'"),
        ("channels: {c: {type: webhook, url: ftp://x}}", "alerts.channels.c.url: it is no address"),
        ("channels: {c: {type: webhook}}", "alerts.channels.c.url: there is no address to send to"),
        ("channels: {c: {type: webhook, format: pagerduty}}", "PagerDuty wants to know for which service"),
        ("channels: {c: {type: webhook, url: 'http://x', colour: red}}", "alerts.channels.c.colour: unknown key"),
        ("channels: {c: {type: email, host: h, from: nobody, to: [a@b.c]}}", "'nobody' is no address of mail"),
        (
            "channels: {c: {type: email, host: h, from: a@b.c, to: [a@b.c], username: u}}",
            "a user logs in with a password",
        ),
        ("channels: {c: {type: webhook, url: '${env:NO_SUCH_HOOK}'}}", "NO_SUCH_HOOK"),
        ("patience: 0s", "alerts.patience"),
        ("rules: {x: {when: error_rate > 5}}", "error_rate is a share, from 0 to 1, and 5 is none"),
        ("rules: {x: {when: error_rate > 5%, until: 6%}}", "0.06 is above 0.05, so that the alert would never be over"),
        (
            "rules: {x: {when: error_rate > 5%, until: soon}}",
            "alerts.rules.x.until: 'soon' is no number, share or time",
        ),
    ],
)
def test_a_slip_in_the_section_is_refused_where_it_stands(project, said, says):
    rules = "" if "rules" in said else "\n  rules: {r: {event: gate_failed}}"
    made = project(f"{DECLARATION}alerts:\n  {said}{rules}\n", {"a.csv": GOOD})
    done = made.cli("run")
    assert (done.code, says in done.err) == (2, True), done.err
    assert "config/pipeline.yaml:" in done.err
    assert not (made.root / "lake").exists()


KEPT = '{"version": 1, "alerts": {"x": %s}, "silences": []}'
STATE = {"rule": "bad delivery", "subject": {"table": "silver.sales"}, "status": "firing", "words": "w", "told": {}}


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"{}",
        (KEPT % json.dumps({**STATE, "since": "yesterday"})).encode(),
        (KEPT % json.dumps({**STATE, "since": "2026-01-01", "told": None})).encode(),
        (KEPT % json.dumps({**STATE, "since": "2026-01-01", "subject": {"table": 1}})).encode(),
        b'{"version": 1, "alerts": {}, "silences": [{"rule": "r", "until": "soon"}]}',
    ],
    ids=["no text", "deep", "empty", "no time", "no channels", "no subject", "no end"],
)
def test_whatever_is_in_the_place_of_what_is_kept_nobody_misses_an_alert(project, receiver, content):
    made = shop(project, "    bad delivery: {event: gate_failed}\n", receiver)
    made.run()
    folder = made.root / "lake/_oreflow/alerts/shop"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alerts.json").write_bytes(content)
    deliver(made, BAD)
    assert receiver.alerts == [("bad delivery", "firing")]
    assert (folder / "alerts.damaged").read_bytes() == content


def test_where_nothing_can_be_kept_people_are_told_all_the_same(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed}\n    rows: {when: error_rate > 5%}\n", receiver)
    made.run()
    folder = made.root / "lake/_oreflow/alerts/shop"
    shutil.rmtree(folder)
    folder.write_text("a file")
    report = deliver(made, BAD)
    assert receiver.alerts == [("bad delivery", "firing"), ("rows", "firing")]
    assert [each["told"] for each in report.alerts] == [["team"], ["team"]]
    assert any(remark.startswith("alerts cannot be kept: ") for remark in report.remarks)


def test_who_heard_of_an_alert_hears_of_its_end_whatever_becomes_of_its_rule(project, receiver):
    made = shop(project, "    rows: {when: error_rate > 5%}\n    other: {event: run_interrupted}\n", receiver)
    made.run()
    deliver(made, BAD)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(text.replace("    rows: {when: error_rate > 5%}\n", ""))
    made.run()
    assert receiver.alerts == [("rows", "firing"), ("rows", "resolved")]
    assert receiver.posted[1]["alerts"][0]["summary"] == "there is no rule 'rows' any more"
    made.declare(text)
    deliver(made, POOR)
    made.declare(text.replace("error_rate > 5%", "since_last_run > 1d"))
    made.run()
    assert receiver.posted[-1]["alerts"][0]["summary"] == "the rule 'rows' is on something else now"
    assert [each.alerts for each in oreflow.alerts(made.root)] == [[], []]


def test_a_channel_that_was_asked_when_a_run_was_killed_hears_of_the_end(project, receiver):
    made = shop(project, "    rows: {when: error_rate > 5%}\n", receiver)
    made.run()
    made.put("b.csv", BAD)
    killing = "import os, signal, time\nfrom oreflow import hookimpl\n\n@hookimpl\ndef run_finished():\n"
    (made.root / "oreflow_plugins.py").write_text(
        f"{killing}    time.sleep(0.5)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    receiver.hangs = 1.0  # it is told, and nobody is there any more to write it down
    assert made.cli("run").code == -signal.SIGKILL
    (made.root / "oreflow_plugins.py").unlink()
    receiver.hangs = 0.0
    time.sleep(1)
    made.put("b.csv", GOOD)
    oreflow.run(made.root, full_refresh=["bronze.sales"])
    assert receiver.alerts == [("rows", "firing"), ("rows", "resolved")]


def test_a_silence_and_a_repetition_may_be_as_long_as_they_are_said(project, receiver):
    made = shop(project, "    bad delivery: {event: gate_failed, repeat: 30d}\n", receiver)
    silence = oreflow.silence_alert("bad delivery", "90d", made.root)
    assert timedelta(days=89) < datetime.fromisoformat(silence.until) - datetime.now(UTC) <= timedelta(days=90)


def test_a_message_says_what_has_no_room_in_it():
    from oreflow.contract import Alert, Notice
    from oreflow_alerts import bodies

    about = {"status": "firing", "severity": "warning", "pipeline": "p", "environment": "e", "run_id": "r"}
    some = [
        Alert(rule="r" * 400 + str(n), key="k" * 400 + str(n), summary="é" * 200, since="", **about) for n in range(100)
    ]
    (slack,) = bodies.as_slack(Notice(some))
    assert len(slack["blocks"]) <= 50
    assert slack["blocks"][-1]["text"]["text"].startswith("and 55 more")
    (teams,) = bodies.as_teams(Notice(some))
    assert len(json.dumps(teams, ensure_ascii=False).encode()) < 28_000
    assert "lines more" in teams["attachments"][0]["content"]["body"][-1]["text"]
    keys = {event["dedup_key"] for event in bodies.as_pagerduty(Notice(some), "k")}
    assert (len(keys), max(map(len, keys)) <= 255) == (100, True)


def test_a_call_that_is_given_up_while_the_run_is_planned_is_told_and_counted_at_its_table(project, receiver):
    made = shop(project, "    calls: {event: call_failed}\n", receiver)
    made.declare(
        (made.root / "config/pipeline.yaml").read_text()
        + "resilience: {defaults: {retry: {max_attempts: 2, base: 1ms}}}\n"
    )
    faults = "{fault: exception, resource: sales, operation: list, rate: 1, error: timeout}"
    (made.root / "chaos.yaml").write_text(f"faults: [{faults}]\n")
    report = oreflow.run(made.root, chaos=made.root / "chaos.yaml")
    assert [each["rule"] for each in report.alerts] == ["calls"]
    assert report.tables[0].retries == 1
    assert [each["kind"] for each in report.tables[0].events] == ["retry", "gave_up"]
