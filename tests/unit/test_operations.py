"""The dashboard and the alerts speak of metrics that there are, and the alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from oreflow.monitoring.catalogue import METRICS

OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations"
DASHBOARD = json.loads((OPERATIONS / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((OPERATIONS / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
ALERTS = {rule["alert"]: rule for rule in RULES}
SELECTED = re.compile(r"(oreflow_\w+)(?:\{(.*?)\})?")
GROUPED = re.compile(r"by \(([\w, ]+)\) \((?:increase\()?(oreflow_\w+)")

CASES = r"""
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - name: a run that fails is told of until one succeeds, and at once where none ever has
    interval: 1m
    input_series:
      - {series: 'oreflow_last_run_timestamp_seconds{pipeline="shop", job="a"}', values: '100 700 700 800'}
      - {series: 'oreflow_last_success_timestamp_seconds{pipeline="shop", job="b"}', values: '100 100 100 800'}
      - {series: 'oreflow_last_run_timestamp_seconds{pipeline="new"}', values: '_ _ 700 700'}
    alert_rule_test:
      - {eval_time: 0m, alertname: OreflowRunFailed, exp_alerts: []}
      - eval_time: 1m
        alertname: OreflowRunFailed
        exp_alerts:
          - exp_labels: {severity: critical, pipeline: shop}
            exp_annotations:
              summary: The last run of shop has failed
              description: >-
                It was over at 1970-01-01 00:11:40 +0000 UTC. This goes away with the next run that succeeds.
              command: oreflow runs
      - eval_time: 3m
        alertname: OreflowRunFailed
        exp_alerts:
          - exp_labels: {severity: critical, pipeline: new}
            exp_annotations:
              summary: The last run of new has failed
              description: >-
                It was over at 1970-01-01 00:11:40 +0000 UTC. This goes away with the next run that succeeds.
              command: oreflow runs
  - name: no success for a day
    interval: 1m
    input_series:
      - {series: 'oreflow_last_success_timestamp_seconds{pipeline="shop"}', values: '0x1600'}
    alert_rule_test:
      - {eval_time: 24h, alertname: OreflowNoSuccess, exp_alerts: []}
      - eval_time: 25h
        alertname: OreflowNoSuccess
        exp_alerts:
          - exp_labels: {severity: critical, pipeline: shop}
            exp_annotations:
              summary: No run of shop has succeeded for 1d 1h 0m 0s
              description: Runs fail, or are not started, or their metrics do not get to Prometheus.
              command: oreflow runs
  - name: an error rate of 10 % is high, one of 1 % is not, and none where nothing was read
    interval: 1m
    input_series:
      - {series: 'oreflow_records_processed_total{pipeline="shop", table="silver.bad"}', values: '0+100x70'}
      - {series: 'oreflow_records_failed_total{pipeline="shop", table="silver.bad"}', values: '0+10x70'}
      - {series: 'oreflow_records_processed_total{pipeline="shop", table="silver.good"}', values: '0+100x70'}
      - {series: 'oreflow_records_failed_total{pipeline="shop", table="silver.good"}', values: '0+1x70'}
      - {series: 'oreflow_records_processed_total{pipeline="shop", table="silver.idle"}', values: '5x70'}
      - {series: 'oreflow_records_failed_total{pipeline="shop", table="silver.idle"}', values: '5x70'}
    alert_rule_test:
      - eval_time: 65m
        alertname: OreflowErrorRateHigh
        exp_alerts:
          - exp_labels: {severity: warning, pipeline: shop, table: silver.bad}
            exp_annotations:
              summary: 10% of the rows of silver.bad were quarantined
              description: More than 5 % of what shop has read for this table within an hour.
              command: oreflow quarantine show silver.bad
  - name: the first figures of a table count where the pipeline was there, not those of a new pipeline
    interval: 1m
    input_series:
      - {series: 'oreflow_last_run_timestamp_seconds{pipeline="shop"}', values: '0x200'}
      - {series: 'oreflow_records_processed_total{pipeline="shop", table="silver.first"}', values: '_x90 100x110'}
      - {series: 'oreflow_records_failed_total{pipeline="shop", table="silver.first"}', values: '_x90 10x110'}
      - {series: 'oreflow_last_run_timestamp_seconds{pipeline="new"}', values: '_x80 0x120'}
      - {series: 'oreflow_records_processed_total{pipeline="new", table="silver.all"}', values: '_x80 100x120'}
      - {series: 'oreflow_records_failed_total{pipeline="new", table="silver.all"}', values: '_x80 50x120'}
    alert_rule_test:
      - eval_time: 95m
        alertname: OreflowErrorRateHigh
        exp_alerts:
          - exp_labels: {severity: warning, pipeline: shop, table: silver.first}
            exp_annotations:
              summary: 10% of the rows of silver.first were quarantined
              description: More than 5 % of what shop has read for this table within an hour.
              command: oreflow quarantine show silver.first
      - {eval_time: 160m, alertname: OreflowErrorRateHigh, exp_alerts: []}
  - name: a score below 0.9 is low
    interval: 1m
    input_series:
      - {series: 'oreflow_data_quality_score{pipeline="shop", table="silver.bad"}', values: '0.75x5'}
      - {series: 'oreflow_data_quality_score{pipeline="shop", table="silver.good"}', values: '0.9x5'}
    alert_rule_test:
      - eval_time: 3m
        alertname: OreflowQualityLow
        exp_alerts:
          - exp_labels: {severity: warning, pipeline: shop, table: silver.bad}
            exp_annotations:
              summary: The quality score of silver.bad is 75%
              description: Of the last batch that shop has made of this table, less than 90 % was good.
              command: oreflow quarantine show silver.bad
  - name: a breaker that stays open, not one that recovers within 5 minutes
    interval: 1m
    input_series:
      - {series: 'oreflow_breaker_state{pipeline="shop", resource="orders"}', values: '0 2x10'}
      - {series: 'oreflow_breaker_state{pipeline="shop", resource="lake"}', values: '0 2 2 1 2 2 0 0 0 0'}
    alert_rule_test:
      - eval_time: 8m
        alertname: OreflowBreakerOpen
        exp_alerts:
          - exp_labels: {severity: critical, pipeline: shop, resource: orders}
            exp_annotations:
              summary: "orders is left alone: its circuit breaker is open"
              description: Calls of shop to it have failed again and again, and are not made for now.
              command: oreflow runs --limit 1 --json
  - name: the first call or file of a pipeline that was there counts, what a new pipeline comes with does not
    interval: 1m
    input_series:
      - {series: 'oreflow_last_run_timestamp_seconds{pipeline="shop"}', values: '0x200'}
      - {series: 'oreflow_files_set_aside_total{pipeline="shop", table="bronze.first"}', values: '_x90 1x110'}
      - {series: 'oreflow_files_set_aside_total{pipeline="shop", table="bronze.more"}', values: '7x90 8x110'}
      - {series: 'oreflow_calls_failed_total{pipeline="shop", resource="lake"}', values: '_x90 1x110'}
      - {series: 'oreflow_last_run_timestamp_seconds{pipeline="new"}', values: '_x80 0x120'}
      - {series: 'oreflow_files_set_aside_total{pipeline="new", table="bronze.old"}', values: '_x80 9x120'}
      - {series: 'oreflow_calls_failed_total{pipeline="new", resource="lake"}', values: '_x80 9x120'}
    alert_rule_test:
      - eval_time: 95m
        alertname: OreflowFilesSetAside
        exp_alerts:
          - exp_labels: {severity: warning, pipeline: shop, table: bronze.first}
            exp_annotations:
              summary: Files for bronze.first could not be read at all
              description: Within an hour, shop has set files aside; nothing of them is in the table.
              command: oreflow quarantine show bronze.first
          - exp_labels: {severity: warning, pipeline: shop, table: bronze.more}
            exp_annotations:
              summary: Files for bronze.more could not be read at all
              description: Within an hour, shop has set files aside; nothing of them is in the table.
              command: oreflow quarantine show bronze.more
      - eval_time: 95m
        alertname: OreflowCallsGivenUp
        exp_alerts:
          - exp_labels: {severity: warning, pipeline: shop, resource: lake}
            exp_annotations:
              summary: Calls to lake were given up
              description: Within an hour, calls of shop have failed for good, whatever was tried again.
              command: oreflow runs --limit 1 --json
      - {eval_time: 160m, alertname: OreflowFilesSetAside, exp_alerts: []}
      - {eval_time: 160m, alertname: OreflowCallsGivenUp, exp_alerts: []}
  - name: exports that fail for longer than a moment
    interval: 1m
    input_series:
      - {series: 'oreflow_exports_failed_total{pipeline="shop", backend="influxdb"}', values: '0 0+1x20'}
      - {series: 'oreflow_exports_failed_total{pipeline="shop", backend="textfile"}', values: '3x20'}
    alert_rule_test:
      - eval_time: 10m
        alertname: OreflowMetricsNotExported
        exp_alerts:
          - exp_labels: {severity: warning, pipeline: shop, backend: influxdb}
            exp_annotations:
              summary: Metrics of shop do not get to influxdb
              description: The warning of the run says why. Nothing of a counter is lost once it is mended.
              command: oreflow runs --limit 1 --json
"""


def labels_of(series: str) -> set[str]:
    """The labels of a series by its name in PromQL.

    Raises:
        KeyError: there is no such series.
    """
    name = series.removeprefix("oreflow_")
    if name in METRICS and METRICS[name][0] != "histogram":
        return set(METRICS[name][1])
    base, _, suffix = name.rpartition("_")
    kind, labels, _ = METRICS[base]
    assert kind == "histogram", series
    assert suffix in ("bucket", "sum", "count"), series
    return {*labels, "le"} if suffix == "bucket" else set(labels)


def targets() -> list[tuple[str, str, str]]:
    """Each query of the dashboard: the panel's title, the expression, the legend."""
    return [(p["title"], t["expr"], t["legendFormat"]) for p in DASHBOARD["panels"] for t in p["targets"]]


@pytest.mark.parametrize(
    "expression", [*(expr for _, expr, _ in targets()), *(rule["expr"] for rule in RULES)], ids=lambda e: e[:60]
)
def test_an_expression_names_series_and_labels_that_there_are(expression):
    series = SELECTED.findall(expression)
    assert series
    every = set.union(*(labels_of(name) for name, _ in series))
    for name, matchers in series:
        assert set(re.findall(r"(\w+) *[=!]", matchers)) <= labels_of(name), name
    grouped = GROUPED.findall(expression)
    assert len(grouped) == len(re.findall(r"\b(?:by|without)\b", expression))
    for labels, name in grouped:
        assert set(labels.split(", ")) <= labels_of(name), name
    for labels in re.findall(r"\bon \(([\w, ]+)\)", expression):
        assert set(labels.split(", ")) <= every


@pytest.mark.parametrize(("title", "expression", "legend"), targets())
def test_a_legend_shows_labels_that_the_query_keeps(title, expression, legend):
    kept = {label for labels, _ in GROUPED.findall(expression) for label in labels.split(", ")} - {"le"}
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) == kept


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_for_how_long_how_bad_and_what_to_type(rule):
    assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert {"summary", "description", "command"} == set(rule["annotations"])
    assert rule["annotations"]["command"].startswith("oreflow ")
    kept = {label for labels, _ in GROUPED.findall(rule["expr"]) for label in labels.split(", ")}
    assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= kept


def test_a_command_of_an_alert_is_one_of_oreflow():
    from oreflow.cli.commands import oreflow

    for rule in RULES:
        words = rule["annotations"]["command"].split()[1:]
        command = oreflow
        while hasattr(command, "commands") and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        assert command is not oreflow
        arguments = ["silver.orders" if "$labels" in word else word for word in words if word not in ("{{", "}}")]
        assert command.make_context(command.name, arguments, resilient_parsing=False).params


def test_the_dashboard_can_be_imported_and_asks_for_its_data_source():
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "pipeline", "table"]
    assert variables["datasource"]["type"] == "datasource"
    assert DASHBOARD["id"] is None
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in [*DASHBOARD["panels"], *(t for p in DASHBOARD["panels"] for t in p["targets"])]:
        assert panel["datasource"]["uid"] == "${datasource}"
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"])))
    assert used - {"__rate_interval", "__range"} == set(variables)
    for name in ("pipeline", "table"):
        series, label = re.fullmatch(r"label_values\((\w+).*, (\w+)\)", variables[name]["definition"]).groups()
        assert label in labels_of(series)


def test_panels_do_not_lie_over_one_another():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_each_alert_is_explained_as_it_is():
    page = (OPERATIONS / "index.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(Oreflow\w+)` \| (\w+) \| .* \| `(.*)` \|$", page, re.MULTILINE)
    expected = [
        (name, rule["labels"]["severity"], rule["annotations"]["command"].replace("{{ $labels.table }}", "TABLE"))
        for name, rule in ALERTS.items()
    ]
    assert told == expected


def test_each_metric_is_listed_as_it_is():
    page = (OPERATIONS.parent / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(oreflow_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    told = [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows]
    assert told == [(f"oreflow_{name}", *about) for name, about in METRICS.items()]
    labels = set(re.findall(r"^\| `(\w+)` \| [^|]* \|$", page, re.MULTILINE))
    assert labels == {label for _, labels, _ in METRICS.values() for label in labels}


@pytest.fixture
def promtool(require, tmp_path):
    """Run promtool beside the rules."""
    require(shutil.which("promtool") is not None, "promtool is missing: apt-get install prometheus")
    shutil.copy(OPERATIONS / "alerts.yml", tmp_path)

    def run(*arguments: str) -> None:
        done = subprocess.run(
            ["promtool", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_prometheus_takes_the_rules(promtool):
    promtool("check", "rules", "alerts.yml")


def test_alerts_fire_when_they_should_and_not_else(promtool, tmp_path):
    assert {t["alertname"] for case in yaml.safe_load(CASES)["tests"] for t in case["alert_rule_test"]} == set(ALERTS)
    (tmp_path / "cases.yml").write_text(CASES)
    promtool("test", "rules", "cases.yml")
