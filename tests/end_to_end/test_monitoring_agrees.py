"""One run of real data with planted faults is seen with the same figures wherever its metrics, spans and lines go.

The figures are those of the run's report. Each place is asked by the way in which its users ask it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from servers import Influx, free_port, receiver

from oreflow.contract import MetricKind
from oreflow.monitoring import query
from oreflow.monitoring.catalogue import METRICS
from oreflow.monitoring.places import close as close_places

NAME = "watched_retail"
ROOT = Path(__file__).parents[2]
MONITORING = """
resilience:
  defaults: {retry: {max_attempts: 8, base: 1ms, cap: 10ms}}
monitoring:
  metrics:
    backends:
      - {type: memory}
      - {type: json}
      - {type: textfile, format: openmetrics}
      - {type: prometheus, port: PORT}
      - {type: pushgateway, address: "PUSHGATEWAY"}
      - {type: influxdb, address: "INFLUX", database: oreflow}
    aggregations:
      error_rate: ratio(records_failed, records_processed) over 1h by table
  tracing: {backends: [{type: otlp, endpoint: "COLLECTOR"}]}
  logs: {level: debug, format: json, file: log.jsonl}
"""
ELSEWHERE = """
name: elsewhere
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
monitoring:
  metrics: {backends: [{type: memory}, {type: prometheus, port: PORT}]}
"""
CHAOS = """
seed: 7
faults:
  - {fault: exception, resource: lake, operation: commit, rate: 1, at_most: 2, error: timeout, when: after}
  - {fault: exception, resource: transactions, operation: digest, rate: 0.1, at_most: 5}
  - {fault: corrupt_file, resource: silver.transactions, rate: 1, at_most: 1}
"""
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def seen(require, shared_data, tmp_path_factory, project_in, pushgateway) -> Iterator[SimpleNamespace]:
    """A run with every place at work, all of which stay there to be asked, beside another pipeline of the process."""
    days = shared_data / "online_retail" / "by-day"
    require(days, f"the data set {days} is missing")
    require(shutil.which("influxd") is not None, "influxdb is missing: apt-get install influxdb")
    folder = tmp_path_factory.mktemp("watched")
    influx, port = Influx(folder / "influx").start("oreflow"), free_port()
    other = project_in(tmp_path_factory.mktemp("elsewhere"), "elsewhere")
    (other.root / "data" / "raw").mkdir(parents=True)
    (other.root / "data" / "raw" / "a.csv").write_text("id\n1\n2\n")
    other.declare(ELSEWHERE.replace("PORT", str(port)))
    assert other.run().remarks == []
    made = project_in(folder, "watched")
    raw = made.root / "data" / "raw"
    raw.mkdir(parents=True)
    for day in sorted(days.glob("*.csv")):
        shutil.copy(day, raw / day.name)
    first = min(raw.iterdir())
    lines = first.read_bytes().splitlines(keepends=True)
    planted = [lines[1].replace(b",", b",,,", 1), lines[2].replace(b",", b";"), lines[3][:20] + b"\n"]
    (raw / "planted.csv").write_bytes(b"".join([lines[0], *planted, *lines[4:8]]))
    (raw / "unreadable.csv").write_bytes(b"\x00\xff\xfe\x00" * 50)
    with receiver() as collector:
        declaration = (ROOT / "config" / "retail.yaml").read_text(encoding="utf-8")
        text = re.sub(r"^name: retail$", f"name: {NAME}", declaration, flags=re.MULTILINE) + MONITORING
        places = {
            "PORT": str(port),
            "PUSHGATEWAY": pushgateway,
            "INFLUX": influx.address,
            "COLLECTOR": collector.address,
        }
        for place, value in places.items():
            text = text.replace(place, value)
        made.declare(text)
        (made.root / "chaos.yaml").write_text(CHAOS)
        report = made.run(chaos=made.root / "chaos.yaml")
        assert other.run().succeeded
        assert report.succeeded, [table.reason for table in report.tables]
        yield SimpleNamespace(
            made=made, report=report, influx=influx, collector=collector, pushgateway=pushgateway, port=port
        )
        close_places()  # before what they write to is gone
    influx.stop()


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted({"pipeline": NAME, **labels}.items()))


def reported(report: Any) -> Figures:
    """The figures of a report, under the names of the metrics that have them."""
    found: Figures = {
        key("oreflow_runs", status=report.status): 1,
        key("oreflow_run_duration_seconds"): report.seconds,
    }
    for table in report.tables:
        labels = {"stage": table.table.partition(".")[0], "table": table.table}
        found |= {
            key("oreflow_records_processed", **labels): table.rows_read,
            key("oreflow_records_published", **labels): table.rows_published,
            key("oreflow_records_failed", **labels): table.rows_quarantined,
            key("oreflow_records_superseded", **labels): table.rows_superseded,
            key("oreflow_data_quality_score", **labels): table.quality_score,
            key("oreflow_processing_time_seconds", **labels): table.seconds,
            key("oreflow_steps", **labels, status=table.status): 1,
            key("oreflow_batches", **labels, status="published"): 1,
        }
        found |= {key("oreflow_check_failures", **labels, check=rule): n for rule, n in table.rules.items()}
    for use in report.resources:
        of = {"resource": use["resource"]}
        found |= {
            key("oreflow_attempts", **of): use["attempts"],
            key("oreflow_retries", **of): use["retries"],
            key("oreflow_calls_failed", **of): use["gave_up"],
            key("oreflow_calls_rejected", **of): use["rejected"],
            key("oreflow_retry_wait_seconds", **of): use["waited_seconds"],
        }
        found |= {key("oreflow_breaker_state", **of): 0} if use["breaker"] == "closed" else {}
    found[key("oreflow_files_claimed", table="bronze.transactions")] = 97
    found[key("oreflow_files_set_aside", table="bronze.transactions")] = 1
    return found


UNREPORTED = ("oreflow_last_run_timestamp_seconds", "oreflow_last_success_timestamp_seconds", "oreflow_exports_failed")


def of_this_run(found: Mapping[Any, float]) -> Figures:
    """The figures of the pipeline that the report has too."""
    return {
        (name, labels): value
        for (name, labels), value in found.items()
        if ("pipeline", NAME) in labels and name not in UNREPORTED
    }


def in_memory(seen: SimpleNamespace) -> Figures:
    found = {}
    for short, (kind, labels, _) in METRICS.items():
        function = "sum" if kind == MetricKind.HISTOGRAM else "latest"
        for figure in query(f"{function}({short}) over 1h by {', '.join(labels)}", pipeline=NAME):
            found[f"oreflow_{short.removesuffix('_total')}", figure.labels] = figure.value
    return found


def in_json(seen: SimpleNamespace) -> Figures:
    (path,) = (seen.made.root / "lake/_oreflow/monitoring").rglob("metrics.json")
    return {
        (metric["name"].removesuffix("_total"), tuple(sorted(series["labels"].items()))): series.get(
            "value", series.get("sum")
        )
        for metric in json.loads(path.read_text())["metrics"]
        for series in metric["series"]
    }


def exposed(samples: Iterator[tuple[str, Mapping[str, str], float]]) -> Figures:
    """Samples of an exposition: a histogram is its sum here."""
    others = ("job", "instance", "__name__")
    found: Figures = {}
    for name, labels, value in samples:
        if not name.endswith(("_bucket", "_count", "_created")):
            own = tuple(sorted((label, text) for label, text in labels.items() if label not in others))
            found[name.removesuffix("_total").removesuffix("_sum"), own] = value
    return found


def in_a_text_file(seen: SimpleNamespace) -> Figures:
    (path,) = (seen.made.root / "lake/_oreflow/monitoring").rglob("metrics.prom")
    families = parse_openmetrics(path.read_text())
    return exposed((each.name, each.labels, each.value) for family in families for each in family.samples)


def by_prometheus(server: Any, job: str) -> Figures:
    chosen = f'{{pipeline="{NAME}", job="{job}"}}'
    server.wait_for(chosen)
    return exposed(
        (each["metric"]["__name__"], each["metric"], float(each["value"][1])) for each in server.query(chosen)
    )


def in_influx(seen: SimpleNamespace) -> Figures:
    found = {}
    for short, (kind, labels, _) in METRICS.items():
        name = f"oreflow_{short.removesuffix('_total')}"
        field = "sum" if kind == MetricKind.HISTOGRAM else "value"
        for series in seen.influx.ask(f'SELECT last("{field}") FROM "{name}" GROUP BY *', "oreflow"):
            tags = {label: value for label, value in series["tags"].items() if label in labels}
            found[name, tuple(sorted(tags.items()))] = series["values"][0][1]
    return found


def test_every_place_has_the_figures_of_the_report(seen, prometheus):
    wanted = reported(seen.report)
    targets = [f"http://127.0.0.1:{seen.port}/metrics", f"{seen.pushgateway}/metrics"]
    server = prometheus(targets)
    places = {
        "memory": in_memory(seen),
        "json": in_json(seen),
        "textfile": in_a_text_file(seen),
        "prometheus": by_prometheus(server, "target0"),
        "pushgateway": by_prometheus(server, f"oreflow_{NAME}"),
        "influxdb": in_influx(seen),
    }
    for place, found in places.items():
        assert of_this_run(found) == pytest.approx(wanted, rel=1e-9), place
        assert not [each for each in found if ("pipeline", "elsewhere") in each[1]], place
    assert server.query('oreflow_records_processed_total{pipeline="elsewhere", job="target0"}')[0]["value"][1] == "2"
    assert not server.query(f'{{pipeline="elsewhere", job="oreflow_{NAME}"}}')
    with pytest.raises(LookupError, match=r"several pipelines keep metrics in .*elsewhere, .*watched_retail"):
        query("sum(records_processed) over 1h")
    for kind, most in (("bad", 0.5), ("made again", 1)):
        name = "oreflow_records_failed" if kind == "bad" else "oreflow_retries"
        assert sum(value for (each, _), value in wanted.items() if each == name) > most, f"nothing was {kind}"


def test_spans_have_the_figures_of_the_report(seen):
    retries = 0
    for table in seen.report.tables:
        span = seen.collector.named(f"table {table.table}")
        for kind in ("read", "published", "quarantined", "superseded"):
            assert span.attributes[f"oreflow.rows.{kind}"] == getattr(table, f"rows_{kind}")
        (batch,) = [each for each in seen.collector.spans if each.parent == span.id and each.name == "batch 1"]
        assert {
            e["oreflow.check"]: e["oreflow.rows"] for name, e in batch.events if name == "check broken"
        } == table.rules
    for span in seen.collector.spans:
        retries += sum(name == "retry" for name, _ in span.events)
    assert retries == sum(use["retries"] for use in seen.report.resources)


def test_lines_have_the_figures_of_the_report(seen):
    lines = [json.loads(line) for line in (seen.made.root / "log.jsonl").read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {seen.report.run_id}
    by_table = {line["table"]: line for line in lines if line["event"] == "table published"}
    for table in seen.report.tables:
        for kind in ("read", "published", "quarantined", "superseded"):
            assert by_table[table.table][f"rows_{kind}"] == getattr(table, f"rows_{kind}")
        broken = {e["check"]: e["rows"] for e in lines if e["event"] == "check broken" and e["table"] == table.table}
        assert broken == table.rules
    assert sum(line["event"] == "retry" for line in lines) == sum(use["retries"] for use in seen.report.resources)
    run = seen.collector.named(f"run {NAME}")
    assert {line["trace_id"] for line in lines if line["logger"] == "oreflow.run"} == {run.trace}


def test_aggregations_have_the_figures_of_the_report(seen):
    tables = {table.table: table for table in seen.report.tables}
    figures = {each["labels"]["table"]: each["value"] for each in seen.report.aggregations["error_rate"]}
    assert figures == {name: pytest.approx(t.rows_quarantined / t.rows_read) for name, t in tables.items()}
