"""What a declaration says of monitoring is done, or refused; and no backend, however it fails, is the run's fault."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time

import pytest

import oreflow
from oreflow import DeclarationError
from oreflow.monitoring import get_metrics_collector, places, query

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
"""
FILES = {"a.csv": "id,name\n1,ada\n2,grace\n3,\nx,alan\n", "b.csv": "id,name\n4,edsger\n4,edsger,too many\n"}

PLUGIN = """
import json, os, time
from oreflow import hookimpl
from oreflow.contract import Figure, MetricBackend, MetricBackendMetadata, TraceBackend, TraceBackendMetadata

SCHEMA = {"properties": {"does": {"type": "string", "description": "how it fails"},
                         "token": {"type": "string", "description": "a secret"}}}

class Wordless(Exception):
    def __str__(self): raise SystemExit("I go")

class Tracer:
    def __init__(self, does): self.does = does
    def start_span(self, *_, **__):
        if self.does == "raises at start": raise RuntimeError("no span")
        return self
    def get_span_context(self):
        from opentelemetry.trace import INVALID_SPAN_CONTEXT
        return INVALID_SPAN_CONTEXT
    def __getattr__(self, name):
        def raises(*_, **__): raise RuntimeError(f"no {name}")
        return raises

class Odd(MetricBackend):
    def __init__(self, options): self.options = options
    def open(self, read):
        if self.options["does"] == "no open": raise OSError("port 9464 is taken")
    def write(self, snapshot):
        does = self.options["does"]
        if does == "notes":
            with open(os.environ["NOTES_OF_TEST"], "a") as file: print(self.options.get("token"), file=file)
        if does == "wordless": raise Wordless
        if does == "hangs" or self.__dict__.get("has_failed"):
            if "HANGS_IN_TEST" in os.environ: open(os.environ["HANGS_IN_TEST"], "w").close()
            time.sleep(600)
        if does == "fails once and hangs":
            self.has_failed = True
            raise ConnectionRefusedError("once")
        if does == "fails": raise ConnectionRefusedError(f"refused, by {self.options.get('token')}")
        if does == "exits": raise SystemExit("I go")
        if does == "full": os.write(os.open("/dev/full", os.O_WRONLY), b"x")

    def query(self, aggregation, at):
        if self.options["does"] == "odd figures": return [Figure((), 1.0)]
        if self.options["does"] == "no figures": return [Figure(None, 1.0)]
        if self.options["does"] == "infinite": return [Figure((), float("inf"))]
        if self.options["does"] != "sleeps": raise RuntimeError("I do not know")
        time.sleep(600)

class OddSpans(TraceBackend):
    def __init__(self, options): self.options = options
    def provider(self):
        from opentelemetry.trace import NoOpTracerProvider
        does = self.options["does"]
        if does == "no provider": raise RuntimeError("no provider")
        if does == "provider hangs": time.sleep(600)
        if does == "nothing": return None
        if not does.startswith("raises"): return NoOpTracerProvider()
        tracer = Tracer(does)
        tracer.get_tracer = lambda *_, **__: tracer
        return tracer
    @property
    def fault(self):
        if self.options["does"] == "fault raises": raise RuntimeError("no fault")
        if self.options["does"] == "fault hangs": time.sleep(600)
        return ""
    def flush(self, seconds):
        if self.options["does"] == "hangs": time.sleep(600)
        if self.options["does"] == "fails": raise ConnectionRefusedError("refused")
        return not self.options["does"].startswith("fault")

@hookimpl
def metric_backends(): return [MetricBackendMetadata("odd", "1.0", "For a test", SCHEMA, can_query=True)]

@hookimpl
def create_metric_backend(name, options): return Odd(options)

@hookimpl
def trace_backends(): return [TraceBackendMetadata("odd", "1.0", "For a test", SCHEMA)]

@hookimpl
def create_trace_backend(name, options): return OddSpans(options)
"""

FEW = "{allow: [oreflow-bronze, oreflow-silver, oreflow-gold, oreflow-polars, oreflow-delta]}"


@pytest.fixture
def shop(project):
    """A project that says this of monitoring."""

    def make(monitoring, plugin=PLUGIN):
        made = project(DECLARATION + f"monitoring: {monitoring}\n", FILES)
        (made.root / "oreflow_plugins.py").write_text(plugin)
        return made

    return make


def totals(name, **labels):
    """The sum of the series of a metric that have these labels."""
    wanted = set(labels.items())
    families = {family.name: family for family in get_metrics_collector().snapshot().families}
    samples = families[name].samples if name in families else ()
    return sum(sample.value for sample in samples if wanted <= set(sample.labels))


# What is declared


def test_a_run_without_the_section_loads_nothing_for_it(project):
    made = project(DECLARATION, FILES)
    script = "import sys, oreflow; assert oreflow.run('.').succeeded; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.replace("'", "").strip("[]\n").split(", "))
    assert not {"structlog", "prometheus_client", "opentelemetry"} & loaded
    assert {name for name in loaded if name.startswith("oreflow.monitoring")} <= {
        "oreflow.monitoring",
        "oreflow.monitoring.declared",
        "oreflow.monitoring.logs",
    }


def test_the_specifications_section_runs_as_it_stands(shop):
    made = shop("{enable_metrics: true, enable_tracing: true}")
    report = made.run()
    assert report.succeeded
    document = json.loads((made.root / "lake/_oreflow/monitoring/shop/metrics.json").read_text())
    processed = {
        tuple(sorted(series["labels"].items())): series["value"]
        for metric in document["metrics"]
        if metric["name"] == "oreflow_records_processed_total"
        for series in metric["series"]
        if series["labels"]["pipeline"] == "shop"
    }
    assert len(processed) == 2


def test_what_is_not_enabled_is_not_kept(shop):
    before = totals("oreflow_runs", pipeline="shop")
    assert shop("{enable_metrics: false, metrics: {backends: [{type: odd, does: fails}]}}").run().remarks == []
    assert totals("oreflow_runs", pipeline="shop") == before


def test_figures_of_a_run_are_those_of_its_report(shop):
    made = shop("{metrics: {backends: []}}")
    before = {
        (name, table): totals(f"oreflow_records_{name}", pipeline="shop", table=table)
        for name in ("processed", "published", "failed", "superseded")
        for table in ("bronze.sales", "silver.sales")
    }
    for table in made.run().tables:
        figures = {
            "processed": table.rows_read,
            "published": table.rows_published,
            "failed": table.rows_quarantined,
            "superseded": table.rows_superseded,
        }
        for name, rows in figures.items():
            now = totals(f"oreflow_records_{name}", pipeline="shop", table=table.table)
            assert now - before[name, table.table] == rows, (name, table)


def test_aggregations_are_in_the_report_and_can_be_asked_for(shop):
    made = shop(
        "{metrics: {aggregations: {error_rate: 'ratio(records_failed, records_processed) over 15m by table',"
        " ada: 'latest(nothing_of_the_kind)'}}}"
    )
    report = made.run()
    tables = {table.table: table for table in report.tables}
    for figure in report.aggregations["error_rate"]:
        table = tables[figure["labels"]["table"]]
        assert figure["value"] == pytest.approx(table.rows_quarantined / table.rows_read)
    assert len(report.aggregations["error_rate"]) == 2
    assert report.aggregations["ada"] == []
    (sum_of_all,) = query("sum(records_processed) over 1h where table=silver.sales")
    assert sum_of_all.value >= tables["silver.sales"].rows_read
    shown = made.cli("run", "--full-refresh", "bronze.sales")
    assert "error_rate" in shown.out


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{metrics: {backends: [{type: prometheu}]}}", "there is no metric backend 'prometheu'"),
        ("{metrics: {backends: [{type: odd, dose: x}]}}", "unknown key 'dose' - did you mean 'does'?"),
        ("{metrics: {backends: [{does: x}]}}", "'type' is missing"),
        ("{metrics: {backends: [{type: odd, every: 0s}]}}", "monitoring.metrics.backends.0.every"),
        ("{metrics: {most_label_sets: 0}}", "monitoring.metrics.most_label_sets"),
        ("{metrics: {aggregations: {x: 'median(rows) over 5m'}}}", "monitoring.metrics.aggregations.x"),
        ("{tracing: {backends: [{type: otpl}]}}", "there is no trace backend 'otpl'"),
        (
            "{metrics: {backends: [{type: odd, does: x}, {type: odd, does: x}]}}",
            "monitoring.metrics.backends.1: it is the same as monitoring.metrics.backends.0 - say it once",
        ),
        ("{metrics: {aggregations: {'a\\nb': 'sum(rows) over 5m'}}}", "monitoring.metrics.aggregations"),
        ("{metrics: {aggregations: {x: 'p95(records_failed) over 5m'}}}", "records_failed is a counter, which has no"),
        (
            "{metrics: {aggregations: {x: 'sum(runs) over 5m where stage=sivler, table=silver.sale'}}}",
            "there is no stage 'sivler' - did you mean 'silver'?",
        ),
        (
            "{logs: {levels: {'': debug}}}",
            "'' cannot be a key here - say the name of a logger",
        ),
        (
            "{metrics: {backends: [{type: pushgateway, address: 'http://a:1', grouping: {a b: x}}]}}",
            "backends.0.grouping.a b: 'a b' cannot be a key here - of letters, digits and _",
        ),
        ("{patience: soon}", "monitoring.patience: 'soon' does not fit"),
        ("{enable_metrics: maybe}", "expected true or false, got 'maybe'"),
        ("{alert_tresholds: {}}", "unknown key 'alert_tresholds'"),
        ("{metrics: {backends: [{type: odd, does: x, token: '${env:NO_SUCH_TOKEN}'}]}}", "NO_SUCH_TOKEN"),
        (
            "{metrics: {backends: [{type: jsn}]}}",
            "backends.0.type: there is no metric backend 'jsn' - did you mean 'json'?",
        ),
        ("{metrics: {backends: [{typ: json}]}}", "backends.0: 'type' is missing - did you mean it by 'typ'?"),
        (
            f"{{metrics: {{aggregations: {{rows: sum(records_processed) over 1h}}}}}}\nplugins: {FEW}",
            "monitoring.metrics.aggregations: no backend keeps metrics - pip install oreflow-metrics",
        ),
        (
            "{tracing: {backends: [{type: otlp, endpoint: 'http://ada:s3cret@localhost:99999'}]}}",
            "backends.0.endpoint: this is no address of a collector - say http://HOST:4318",
        ),
        (
            "{tracing: {backends: [{type: otlp, endpoint: 'localhost:4318'}]}}",
            "backends.0.endpoint: 'localhost:4318' does not fit",
        ),
        (
            "{metrics: {aggregations: {rate: ratio(records_failed, records_processed) over 15m by table}}}",
            "quote a figure with a comma",
        ),
    ],
)
def test_a_mistake_is_told_at_its_place_before_anything_is_run(shop, section, says):
    made = shop(section)
    done = made.cli("run")
    assert (done.code, (made.root / "lake").exists()) == (2, False)
    assert says in done.err
    assert "Traceback" not in done.err
    assert "s3cret" not in done.err


# What a backend may do


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("fails", "metrics did not get to odd: ConnectionRefusedError: refused"),
        ("exits", "metrics did not get to odd: SystemExit: I go"),
        ("full", "metrics did not get to odd: OSError: [Errno 28] No space left on device"),
        ("no open", "metrics did not get to odd: OSError: port 9464 is taken"),
        ("wordless", "metrics did not get to odd: Wordless"),
    ],
)
def test_a_backend_that_fails_is_a_remark_and_a_warning(shop, does, says):
    made = shop(f"{{metrics: {{backends: [{{type: odd, does: {does}}}]}}}}")
    done = made.cli("run")
    assert done.code == 0
    assert says in done.out
    assert done.err.count("warning: metrics do not get to odd") == 1
    assert made.cli("runs", "--json").json[0]["status"] == "success"


@pytest.mark.parametrize("kind", ["metrics", "tracing"])
def test_a_backend_that_hangs_costs_the_patience_that_is_declared(shop, kind):
    made = shop(f"{{patience: 500ms, {kind}: {{backends: [{{type: odd, does: hangs}}]}}}}")
    start = time.monotonic()
    report = made.run()
    took = time.monotonic() - start
    assert report.succeeded
    assert took < report.seconds + 5
    assert any("has not answered in time" in remark for remark in report.remarks), report.remarks


def test_one_that_hung_and_is_declared_no_more_holds_up_no_other_run(shop):
    made = shop("{patience: 20s, metrics: {backends: [{type: odd, does: fails once and hangs}]}}")
    assert "metrics did not get to odd: ConnectionRefusedError: once" in made.run().remarks
    made.declare(DECLARATION + "monitoring: {patience: 20s, metrics: {backends: [{type: odd, does: nothing}]}}\n")
    start = time.monotonic()
    report = made.run()
    assert report.succeeded
    assert not [remark for remark in report.remarks if "did not get to" in remark]
    assert time.monotonic() - start < 8  # the half of the patience is 10


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("raises at start", "spans could not be kept: RuntimeError: no span"),
        ("raises later", "spans could not be kept: RuntimeError: no "),
        ("no provider", "spans could not be kept: RuntimeError: no provider"),
        ("nothing", "spans could not be kept: AttributeError: 'NoneType' object has no attribute 'get_tracer'"),
        ("provider hangs", "spans could not be kept: TimeoutError: the backend has given no provider of spans in time"),
        ("fault raises", "spans were not sent: RuntimeError: no fault"),
        ("fault hangs", "spans were not sent: the collector has not answered in time"),
    ],
)
def test_spans_that_cannot_be_kept_are_a_remark_and_no_more(shop, does, says):
    odd, own = f"{{type: odd, does: {does}}}", "{type: odd, does: as it should}"
    for backends in (odd, f"{own}, {odd}"):
        report = shop(f"{{patience: 600ms, tracing: {{backends: [{backends}]}}}}").run(full_refresh=["bronze.sales"])
        assert report.succeeded, [table.reason for table in report.tables]
        assert [each for each in report.remarks if each.startswith(says)], report.remarks


def test_a_handler_of_the_program_that_fails_holds_up_no_run(shop):
    made = shop("{patience: 20s, metrics: {backends: [{type: odd, does: fails}]}}")

    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("the disk of the program is full")

    handler = Broken(logging.WARNING)
    logging.getLogger("oreflow.monitoring").addHandler(handler)
    try:
        for _ in range(2):
            start = time.monotonic()
            report = made.run()
            assert time.monotonic() - start < report.seconds + 10
            assert "metrics did not get to odd: ConnectionRefusedError: refused" in str(report.remarks)
    finally:
        logging.getLogger("oreflow.monitoring").removeHandler(handler)


@pytest.mark.parametrize("kind", ["metrics", "tracing"])
def test_a_backend_that_hangs_where_it_is_created_holds_up_nobody(shop, project, kind):
    function = "create_metric_backend" if kind == "metrics" else "create_trace_backend"
    head = f"def {function}(name, options):"
    slow = PLUGIN.replace(head, f"{head} time.sleep(600);")
    made = shop(f"{{patience: 400ms, {kind}: {{backends: [{{type: odd, does: x}}]}}}}", slow)
    start = time.monotonic()
    report = made.run()
    assert time.monotonic() - start < report.seconds + 5
    assert report.succeeded
    assert "could not be created in time" in str(report.remarks)
    text = DECLARATION.replace("name: shop", f"name: beside_{kind}")
    other = project(text + "monitoring: {metrics: {backends: [{type: json}]}}\n", FILES, folder="beside")
    assert other.run().remarks == []


def test_figures_that_json_has_no_number_for_are_none(shop):
    report = shop("{metrics: {backends: [{type: odd, does: infinite}], aggregations: {x: sum(runs) over 5m}}}").run()
    assert report.aggregations == {"x": [{"labels": {}, "value": None}]}


def test_a_provider_of_the_environment_that_is_not_there_is_a_remark(shop, monkeypatch):
    made = shop("{enable_tracing: true}")
    done = made.cli("run", "--json", env={"OTEL_PYTHON_TRACER_PROVIDER": "nonsense"})
    assert (done.code, "spans could not be kept: StopIteration" in str(done.json["remarks"])) == (0, True), done.err


def test_a_variable_of_opentelemetry_that_is_none_is_refused_in_a_line(shop):
    made = shop("{tracing: {backends: [{type: otlp}]}}")
    done = made.cli("run", env={"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "abc"})
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert "monitoring.tracing.backends.0: OpenTelemetry cannot be set up: ValueError: " in done.err
    done = made.cli("run", env={"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"})
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert "the variable OTEL_EXPORTER_OTLP_ENDPOINT or ..._TRACES_ENDPOINT is none - say http://HOST:4318" in done.err


WAITS = """
import pathlib, time
from oreflow import hookimpl

@hookimpl
def run_started(pipeline):
    here = pathlib.Path({folder!r})
    (here / pipeline).touch()
    while not (here / {until!r}).exists(): time.sleep(0.01)
"""


def test_runs_at_the_same_time_leave_the_number_of_label_sets_as_it_was(project, tmp_path):
    before = get_metrics_collector().most_label_sets

    def begin(name, most, until):
        text = DECLARATION.replace("name: shop", f"name: {name}")
        made = project(
            text + f"monitoring: {{metrics: {{most_label_sets: {most}, backends: []}}}}\n", FILES, folder=f"p-{name}"
        )
        (made.root / "oreflow_plugins.py").write_text(WAITS.format(folder=str(tmp_path), until=until))
        thread = threading.Thread(target=made.run)
        thread.start()
        while not (tmp_path / f"{name}").is_file():
            assert thread.is_alive()
            time.sleep(0.01)
        return thread

    first, second = begin("one_of", 10, "two_of"), begin("two_of", 50, "over")
    first.join()
    assert get_metrics_collector().most_label_sets == 50
    (tmp_path / "over").touch()
    second.join()
    assert get_metrics_collector().most_label_sets == before


def test_several_that_hang_cost_it_once(shop):
    odd = "{backends: [{type: odd, does: hangs}, {type: odd, does: hangs, token: other}]}"
    report = shop(f"{{patience: 1s, metrics: {odd}, tracing: {odd}}}").run()
    assert report.succeeded
    assert report.seconds < 30
    assert len([each for each in report.remarks if "in time" in each]) == 4


def test_a_file_that_cannot_be_written_is_named_and_no_error_of_python(shop):
    made = shop("{metrics: {backends: [{type: json, path: config/pipeline.yaml/figures.json}]}}")
    (remark,) = [each for each in made.run().remarks if "did not get" in each]
    assert remark.startswith(f"metrics did not get to json: {made.root}/config/pipeline.yaml/figures.json: ")
    assert "Error" not in remark


def test_spans_that_are_not_sent_are_a_remark(shop):
    report = shop("{tracing: {backends: [{type: odd, does: fails}]}}").run()
    assert report.succeeded
    assert "spans were not sent: ConnectionRefusedError: refused" in report.remarks


def test_a_secret_of_a_backend_is_in_no_output(shop, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN_OF_BACKEND", "s3cr3t-t0ken")
    made = shop("{metrics: {backends: [{type: odd, does: fails, token: '${env:SHOP_TOKEN_OF_BACKEND}'}]}}")
    done = made.cli("run")
    assert "refused, by ***" in done.out
    kept = "".join(path.read_text() for path in (made.root / "lake/_oreflow/runs").glob("*.json"))
    assert "s3cr3t" not in done.out + done.err + kept


def test_a_secret_that_was_changed_is_followed_and_the_one_before_is_used_no_more(shop, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTES_OF_TEST", str(tmp_path / "notes"))
    made = shop("{metrics: {backends: [{type: odd, does: notes, token: '${env:SHOP_TOKEN_THAT_CHANGES}'}]}}")
    before = threading.active_count()
    for token in ("first-t0ken", "second-t0ken"):
        monkeypatch.setenv("SHOP_TOKEN_THAT_CHANGES", token)
        assert "metrics did not get" not in str(made.run().remarks)
    made.run()
    made.declare((made.root / "config/pipeline.yaml").read_text().replace("does: notes", "does: notes, every: 30s"))
    made.run()
    noted = (tmp_path / "notes").read_text().split()
    assert noted[0] == "first-t0ken"
    assert noted[-3:] == ["second-t0ken"] * 3
    assert "first-t0ken" not in noted[noted.index("second-t0ken") + 1 :]
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(("then", "writings"), [("", 1), ("get_metrics_collector().increment_counter('sold')", 2)])
def test_the_end_of_a_process_writes_what_the_end_of_its_run_has_not(shop, monkeypatch, tmp_path, then, writings):
    monkeypatch.setenv("NOTES_OF_TEST", str(tmp_path / "notes"))
    made = shop("{metrics: {backends: [{type: odd, does: notes, token: one}]}}")
    script = f"import oreflow; from oreflow.monitoring import get_metrics_collector; oreflow.run('.'); {then}"
    subprocess.run([sys.executable, "-c", script], cwd=made.root, check=True)
    assert (tmp_path / "notes").read_text().split() == ["one"] * writings


def test_a_secret_that_is_changed_while_a_run_is_under_way_is_used_no_more_after_it(shop, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTES_OF_TEST", str(tmp_path / "notes"))
    monkeypatch.setenv("SHOP_TOKEN_OF_TWO", "t0ken-of-the-first")
    made = shop("{metrics: {backends: [{type: odd, does: notes, every: 50ms, token: '${env:SHOP_TOKEN_OF_TWO}'}]}}")
    places.close()
    within = "import os, oreflow\nfrom oreflow import hookimpl\n\n@hookimpl\ndef run_started():\n"
    within += "    if os.environ['SHOP_TOKEN_OF_TWO'] == 't0ken-of-the-first':\n"
    within += "        os.environ['SHOP_TOKEN_OF_TWO'] = 't0ken-of-the-second'\n        oreflow.run('.')\n"
    (made.root / "oreflow_plugins.py").write_text(PLUGIN + within)
    monkeypatch.chdir(made.root)
    made.run_well()
    time.sleep(0.3)
    before = (tmp_path / "notes").read_text().count("t0ken-of-the-first")
    time.sleep(0.3)
    assert (tmp_path / "notes").read_text().count("t0ken-of-the-first") == before
    places.close()


def test_each_pipeline_of_a_process_has_its_own_figures(shop, project):
    made = shop("{metrics: {backends: [{type: json}]}}")
    text = DECLARATION.replace("name: shop", "name: other") + "monitoring: {metrics: {backends: [{type: json}]}}\n"
    other = project(text, {"a.csv": "id,name\n1,ada\n"}, folder="other")
    for each in (made, other, made):
        each.run_well()
    for name, root in (("shop", made.root), ("other", other.root)):
        document = json.loads((root / f"lake/_oreflow/monitoring/{name}/metrics.json").read_text())
        series = [(metric["name"], each["labels"]) for metric in document["metrics"] for each in metric["series"]]
        ours = {labels["pipeline"] for _, labels in series if "pipeline" in labels}
        assert ours & {"shop", "other"} == {name}


def test_what_is_of_no_pipeline_is_handed_to_one_of_several_backends_of_a_type(project):
    places.close()
    get_metrics_collector().increment_counter("of_nobody", 5)
    written = []
    for name in ("first", "second"):
        backends = f"[{{type: textfile, path: ../{name}.prom}}, {{type: odd, does: x}}]"
        text = (
            DECLARATION.replace("name: shop", f"name: {name}") + f"monitoring: {{metrics: {{backends: {backends}}}}}\n"
        )
        made = project(text, FILES, folder=name)
        (made.root / "oreflow_plugins.py").write_text(PLUGIN)
        made.run_well()
        written.append((made.root.parent / f"{name}.prom").read_text())
    assert ["oreflow_of_nobody_total 5.0" in text for text in written] == [True, False]


@pytest.mark.parametrize("kind", ["textfile", "json"])
def test_a_file_of_another_pipeline_is_left_alone(project, kind):
    reports = []
    for name in ("ours", "theirs", "ours"):
        backend = f"{{type: {kind}, path: ../shared}}"
        text = DECLARATION.replace("name: shop", f"name: {name}")
        made = project(text + f"monitoring: {{metrics: {{backends: [{backend}]}}}}\n", FILES, folder=name)
        reports.append(made.cli("run", "--json").json)
    path = made.root.parent / "shared"
    shared = made.root.parent / "theirs" / ".." / "shared"
    says = f"metrics did not get to {kind}: {shared} has the metrics of the pipeline ours - say a file of its own"
    assert [report["status"] for report in reports] == ["success"] * 3
    assert [bool(report["remarks"]) for report in reports] == [False, True, False]
    assert reports[1]["remarks"] == [says]
    assert "theirs" not in path.read_text()


def test_a_gate_that_refuses_is_no_call_that_has_failed(project):
    text = DECLARATION.replace("column: name}]", "column: name, action: fail}]").replace("name: shop", "name: gated")
    made = project(text + "monitoring: {metrics: {backends: [{type: json}]}}\n", FILES)
    report = made.run()
    assert [table.status for table in report.tables] == ["published", "failed"]
    assert [use["gave_up"] for use in report.resources] == [0] * len(report.resources)
    assert totals("oreflow_calls_failed", pipeline="gated") == 0


def test_what_a_metric_means_is_the_same_whoever_counts_it_first():
    script = """
from oreflow.monitoring import MetricsCollector
collector = MetricsCollector()
collector.record_etl_metrics("shop", "bronze", 10, 1)
print(collector.export())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "# HELP oreflow_records_failed_total Rows that were quarantined" in done.stdout


def test_two_pipelines_of_one_name_in_a_process_are_told_that_they_have_figures_together(shop, project):
    monitoring = "{metrics: {backends: [{type: json}]}}"
    text = DECLARATION.replace("name: shop", "name: twice") + f"monitoring: {monitoring}\n"
    assert project(text, FILES, folder="one").run().remarks == []
    (remark,) = project(text, FILES, folder="two").run().remarks
    assert remark.startswith("this process has run another pipeline called twice")


def test_what_an_aggregation_may_have_meant_is_said_where_it_found_nothing(shop):
    report = shop(
        "{metrics: {aggregations: {a: sum(record_failed) over 5m, b: sum(records_failed) over 5m by source,"
        " c: 'sum(records_failed) over 5m where shop=north', d: sum(check_failures) over 5m by check,"
        " e: sum(files_set_aside) over 5m by table}}}"
    ).run()
    assert [each for each in report.remarks if each.startswith("the aggregation")] == [
        "the aggregation a: nothing has been counted as 'record_failed' - did you mean 'records_failed'?",
        "the aggregation b: no series has a label 'source' - there are pipeline, stage, table",
        "the aggregation c: no series has a label 'shop' - there are pipeline, stage, table",
    ]


def test_a_metric_that_is_there_and_infinite_is_not_said_to_be_unknown(shop):
    get_metrics_collector().set_gauge("distance_to_infinity", float("inf"))
    try:
        report = shop("{metrics: {aggregations: {a: rate(distance_to_infinity) over 5m}}}").run()
    finally:
        get_metrics_collector().set_gauge("distance_to_infinity", 0)  # it is there for all tests of this process
    assert [each for each in report.remarks if each.startswith("the aggregation")] == []


def test_a_label_that_looks_like_a_slip_is_told_before_anything_is_run(shop):
    with pytest.raises(DeclarationError, match="no label 'tabel' - did you mean 'table'"):
        shop("{metrics: {aggregations: {b: sum(records_failed) over 5m by tabel}}}").run()


def test_a_run_that_was_killed_is_counted_by_the_next(shop):
    killing = "import os, signal\nfrom oreflow import hookimpl\n\n@hookimpl\ndef step_started(table):\n"
    made = shop(
        "{metrics: {backends: [{type: json, path: m.json}]}}", f"{killing}    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert made.cli("run").code == -signal.SIGKILL
    (made.root / "oreflow_plugins.py").unlink()
    assert made.cli("run").code == 0
    metrics = {each["name"]: each["series"] for each in json.loads((made.root / "m.json").read_text())["metrics"]}
    found = {each["labels"]["status"]: each["value"] for each in metrics["oreflow_runs_total"]}
    assert found == {"interrupted": 1, "success": 1}


@pytest.mark.parametrize("kind", ["json", "textfile"])
def test_a_file_that_has_something_else_is_not_written_over(shop, kind):
    made = shop(f"{{metrics: {{backends: [{{type: {kind}, path: notes.txt}}]}}}}")
    (made.root / "notes.txt").write_text("my notes\n")
    (remark,) = [each for each in made.run().remarks if each.startswith("metrics did not get")]
    assert remark.endswith(f"{made.root / 'notes.txt'} is there, and has something else - say another path")
    assert (made.root / "notes.txt").read_text() == "my notes\n"


@pytest.mark.parametrize("begin", ["# EOF\n", "# TYPE x gauge\nx 1\n# EOF\n", "\n"])
def test_a_file_of_metrics_that_has_none_of_a_pipeline_is_written_on(shop, begin):
    made = shop("{metrics: {backends: [{type: textfile, path: m.prom, format: openmetrics}]}}")
    (made.root / "m.prom").write_text(begin)
    assert [each for each in made.run().remarks if each.startswith("metrics did not get")] == []
    assert 'oreflow_runs_total{pipeline="shop"' in (made.root / "m.prom").read_text()


def test_a_warning_on_the_terminal_names_the_table(shop):
    made = shop("{logs: {file: run.log}}")
    made.put("bad.csv", "id,qty\nx,1\n")
    assert "check broken table=" in made.cli("run").err


def test_more_label_sets_are_for_the_run_that_declares_them(shop):
    most = get_metrics_collector().most_label_sets
    assert shop("{metrics: {most_label_sets: 7, backends: []}}").run().succeeded
    assert get_metrics_collector().most_label_sets == most


LISTENER = """
from oreflow import hookimpl

@hookimpl
def step_finished(result):
    import os
    raise RuntimeError(f"cannot tell {os.environ['SHOP_SECRET_OF_LISTENER']} of it")
"""


def test_what_a_listener_raises_is_told_without_a_secret(shop, monkeypatch):
    monkeypatch.setenv("SHOP_SECRET_OF_LISTENER", "l1stener-s3cret")
    odd = "{type: odd, does: x, token: '${env:SHOP_SECRET_OF_LISTENER}'}"
    report = shop(f"{{metrics: {{backends: [{odd}]}}}}", PLUGIN + LISTENER).run()
    assert "cannot tell *** of it" in str(report.to_dict())
    assert "l1stener" not in str(report.to_dict())


def test_metrics_go_on_over_the_runs_of_a_process(shop):
    made = shop("{metrics: {backends: [{type: memory}]}}")
    before = totals("oreflow_runs", pipeline="shop")
    for _ in range(3):
        assert made.run().succeeded
    assert totals("oreflow_runs", pipeline="shop") - before == 3
    assert totals("oreflow_steps", pipeline="shop", status="unchanged") >= 4


SECOND = """
from oreflow import hookimpl
from oreflow.contract import EngineMetadata

@hookimpl
def engines(): return [EngineMetadata("second", "1.0", "Polars once more", ["in_process"])]

@hookimpl
def create_engine(name):
    from oreflow_polars.engine import PolarsEngine
    return PolarsEngine()
"""


def test_a_comparison_of_engines_is_no_run_of_the_pipeline(shop):
    made = shop("{metrics: {backends: [{type: memory}]}}", SECOND)
    before = totals("oreflow_runs", pipeline="shop")
    assert oreflow.parity(made.root, engines=["polars", "second"]).equal
    assert totals("oreflow_runs", pipeline="shop") == before


def test_what_is_enabled_and_goes_nowhere_is_said(shop):
    made = shop("{enable_tracing: true}")
    (remark,) = made.run().remarks
    assert remark == "spans are enabled and go nowhere - say where in monitoring.tracing.backends"
    (made.root / "oreflow_plugins.py").unlink()
    made.declare(f"{DECLARATION}plugins: {FEW}\nmonitoring: {{enable_tracing: true}}\n")
    mend = "pip install oreflow-opentelemetry, and say where in monitoring.tracing.backends"
    assert made.run().remarks == [f"spans are enabled and go nowhere - {mend}"]


def test_whoever_kills_a_run_that_waits_for_a_backend_has_its_report(shop):
    made = shop("{patience: 100s, metrics: {backends: [{type: odd, does: hangs}]}}")
    process = subprocess.Popen([sys.executable, "-c", "import oreflow; oreflow.run('.')"], cwd=made.root)
    deadline = time.monotonic() + 60
    reports = made.root / "lake/_oreflow/runs"
    while not [each for each in reports.glob("*.json") if '"status": "success"' in each.read_text()[:300]]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait(20)
    assert made.cli("runs", "--json").json[0]["status"] == "success"


def test_a_backend_that_hangs_is_waited_for_once_and_not_again_where_the_process_ends(shop):
    made = shop("{patience: 2s, metrics: {backends: [{type: odd, does: hangs}]}}")
    script = "import oreflow, time; oreflow.run('.'); print(time.monotonic())"
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    assert time.monotonic() - float(done.stdout) < 1.9


def test_whoever_interrupts_the_end_of_a_run_has_its_report(shop):
    made = shop("{patience: 100s, metrics: {backends: [{type: odd, does: hangs}]}}")
    script = """
import os, signal, threading, time, oreflow
from pathlib import Path

os.environ["HANGS_IN_TEST"] = "hangs"

def interrupt_the_end():
    while not Path("hangs").exists():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt_the_end, daemon=True).start()
report = oreflow.run(".")
print(report.status, report.remarks)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    assert "success" in done.stdout
    assert "metrics and spans were not waited for: interrupted" in done.stdout
    assert made.cli("runs", "--json").json[0]["status"] == "success"


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("no answer", "RuntimeError: I do not know"),
        ("sleeps", "its backend has not answered in time"),
        ("odd figures", "KeyError: 'table'"),
        ("no figures", "TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_an_aggregation_that_cannot_be_had_is_a_remark(shop, does, says):
    made = shop(
        f"{{patience: 300ms, metrics: {{backends: [{{type: odd, does: {does}}}],"
        " aggregations: {x: sum(runs) over 5m by table}}}"
    )
    report = made.run()
    assert report.succeeded
    assert report.aggregations == {}
    assert f"the aggregation x could not be had: {says}" in report.remarks
