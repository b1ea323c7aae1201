"""The spans of a run, as a collector has them: run, table, batch, attempt, engine, with the figures of the report."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest
from servers import receiver

import oreflow
from oreflow.monitoring import continued_trace, trace_headers

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
monitoring: {tracing: {backends: [BACKEND]}, patience: PATIENCE}
"""
FILES = {"a.csv": "id,name\n1,ada\n2,grace\n3,\nx,alan\n", "b.csv": "id,name\n4,edsger\n4,edsger,too many\n"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture
def collector():
    with receiver() as kept:
        yield kept


@pytest.fixture
def shop(project):
    """A project whose spans go to an address."""

    def make(address, more="", declaration=DECLARATION, patience="3s"):
        backend = f"{{type: otlp, endpoint: '{address}'{more}}}"
        return project(declaration.replace("BACKEND", backend).replace("PATIENCE", patience), FILES)

    return make


def test_spans_are_the_tree_of_a_run(shop, collector):
    report = shop(collector.address).run()
    assert report.succeeded
    run = collector.named("run shop")
    assert run.parent == ""
    assert {span.trace for span in collector.spans} == {run.trace}
    assert run.attributes["oreflow.run.id"] == report.run_id
    ways = {span.name: collector.way(span) for span in collector.spans}
    assert ways["table silver.sales"] == ["run shop"]
    top = ["run shop", "table silver.sales", "batch 1", "make silver.sales"]
    assert ways["process silver.sales"] == ways["stage silver.sales"] == top
    assert ways["scan sales"][-3:] == ["batch 1", "make bronze.sales", "read sales"]
    assert ways["commit lake"][:1] == ["run shop"]
    assert not any(name.startswith(("load", "list", "digest", "account")) for name in ways)
    assert not any(span.is_error for span in collector.spans)


def test_figures_on_spans_are_those_of_the_report(shop, collector):
    for table in shop(collector.address).run().tables:
        span = collector.named(f"table {table.table}")
        (batch,) = [each for each in collector.spans if each.parent == span.id and each.name == "batch 1"]
        for kind in ("read", "published", "quarantined", "superseded"):
            rows = getattr(table, f"rows_{kind}")
            assert span.attributes[f"oreflow.rows.{kind}"] == batch.attributes[f"oreflow.rows.{kind}"] == rows
        assert span.attributes["oreflow.quality_score"] == pytest.approx(table.quality_score)
        assert span.attributes["oreflow.stage"] == table.table.partition(".")[0]
        broken = {e["oreflow.check"]: e["oreflow.rows"] for name, e in batch.events if name == "check broken"}
        assert broken == table.rules


def test_the_resource_says_whose_spans_they_are(shop, collector):
    shop(collector.address, ", service: shop-nightly, attributes: {team: data, level: 3}").run()
    resource = collector.named("run shop").resource
    assert resource["service.name"] == "shop-nightly"
    assert (resource["team"], resource["level"]) == ("data", 3)
    assert resource["oreflow.pipeline"] == "shop"
    assert resource["deployment.environment.name"] == "development"
    assert resource["host.name"] == socket.gethostname()


def test_a_call_that_is_made_again_shows_its_attempts_and_what_was_decided(shop, collector):
    made = shop(collector.address)
    (made.root / "chaos.yaml").write_text(
        "faults: [{fault: exception, resource: lake, operation: commit, rate: 1, at_most: 1}]"
    )
    assert made.run(chaos=made.root / "chaos.yaml").succeeded
    first, *others = [span for span in collector.spans if span.name == "commit lake"]
    assert first.is_error
    assert first.attributes["error.type"] == "ConnectionResetError"
    (exception,) = [about for name, about in first.events if name == "exception"]
    assert "chaos" in exception["exception.message"]
    assert not any(span.is_error for span in others)
    assert others[0].attributes["oreflow.attempt"] == 2
    (retry,) = [about for span in collector.spans for name, about in span.events if name == "retry"]
    assert (retry["oreflow.resource"], retry["oreflow.attempt"]) == ("lake", 1)


def test_calls_that_are_no_attempts_at_the_same_are_each_a_first_one(shop, collector):
    shop(collector.address).run_well()
    commits = [span.attributes["oreflow.attempt"] for span in collector.spans if span.name == "commit lake"]
    assert commits == [1] * len(commits)
    assert len(commits) > 2  # of a table and of its quarantine


def test_what_was_decided_while_the_run_was_planned_is_on_its_span(shop, collector):
    made = shop(collector.address)
    (made.root / "chaos.yaml").write_text(
        "faults: [{fault: exception, resource: sales, operation: list, rate: 1, at_most: 1}]"
    )
    report = made.run(chaos=made.root / "chaos.yaml")
    assert report.succeeded
    events = [(name, about["oreflow.resource"]) for name, about in collector.named("run shop").events]
    assert events == [("retry", "sales"), ("recovered", "sales")]
    (use,) = [each for each in report.resources if each["resource"] == "sales"]
    assert use["retries"] == 1


def test_a_run_that_is_cut_off_sends_its_spans(shop, collector, monkeypatch):
    made = shop(collector.address)
    (made.root / "oreflow_plugins.py").write_text(
        "from oreflow import hookimpl\n\n@hookimpl\ndef step_progressed(phase):\n"
        "    if phase == 'staged': raise KeyboardInterrupt\n"
    )
    with pytest.raises(KeyboardInterrupt):
        made.run()
    for name in ("run shop", "table bronze.sales", "batch 1"):
        span = collector.named(name)
        assert (span.is_error, span.attributes["error.type"]) == (True, "interrupted")
    assert collector.named("make bronze.sales").attributes["error.type"] == "KeyboardInterrupt"


PROCESSOR = """
import oreflow
from oreflow import Output, Processor, ProcessorMetadata, hookimpl
from opentelemetry import trace

METADATA = ProcessorMetadata(name="own", version="1.0", description="Has spans of its own", engine="any",
                             supported_stages=["silver"], capabilities=["incremental"])

class Own(Processor):
    metadata = METADATA
    def process(self, inputs, step):
        from oreflow.monitoring import get_metrics_collector, trace_headers
        with open("headers.txt", "w") as file:
            file.write(trace_headers()["traceparent"])
        with get_metrics_collector().time_operation("look_up", {"of": "names"}) as span:
            span.tags["batch_size"] = 3
        FAIL
        (rows,) = inputs.values()
        return Output(rows)

@hookimpl
def processors(): return [METADATA]

@hookimpl
def create_processor(name, config): return Own(config)
"""


@pytest.fixture
def own(shop, collector, monkeypatch):
    """A run with a processor that has a span of its own, and fails where it is said."""

    def make(fail=""):
        columns = "columns: {id: {type: int64}, name: {type: string}}"
        made = shop(collector.address, declaration=DECLARATION.replace(columns, "processor: own"))
        (made.root / "oreflow_plugins.py").write_text(PROCESSOR.replace("FAIL", fail))
        monkeypatch.chdir(made.root)
        return made, made.run()

    return make


def test_a_span_that_a_processor_begins_lies_in_its_attempt(own, collector):
    made, report = own()
    assert report.succeeded
    span = collector.named("look_up")
    assert collector.way(span)[-2:] == ["make silver.sales", "process silver.sales"]
    assert (span.attributes["oreflow.of"], span.attributes["oreflow.batch_size"]) == ("names", 3)
    process = collector.named("process silver.sales")
    assert (made.root / "headers.txt").read_text().startswith(f"00-{process.trace}-{process.id}-0")


def test_a_processor_that_fails_is_an_error_on_the_way_up(own, collector):
    _, report = own("raise KeyError('no such customer')")
    (failed,) = [table for table in report.tables if table.status == "failed"]
    process = collector.named("process silver.sales")
    assert process.is_error
    (exception,) = [about for name, about in process.events if name == "exception"]
    assert process.attributes["error.type"] == exception["exception.type"] == "KeyError"
    assert exception["exception.message"] == "'no such customer'"
    assert "in process" in exception["exception.stacktrace"]
    assert "own of oreflow_plugins.py" in process.message
    assert collector.named("table silver.sales").message == failed.reason
    assert collector.named("run shop").is_error
    assert not collector.named("table bronze.sales").is_error


WORDLESS = """
from oreflow import hookimpl

class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("it has no words")

@hookimpl(wrapper=True)
def call_resource(operation):
    if operation == "stage":
        raise Wordless
    return (yield)
"""


def test_an_error_that_cannot_be_told_is_that_of_the_run_with_spans_and_without(shop, collector, project):
    reasons = []
    for made in (shop(collector.address), project(DECLARATION.partition("monitoring")[0], FILES, folder="without")):
        (made.root / "oreflow_plugins.py").write_text(WORDLESS)
        reasons.append(made.run().tables[0].reason.partition(" - ")[0])
    assert reasons == ["Wordless", "Wordless"]
    stages = [span for span in collector.spans if span.name == "stage bronze.sales"]
    assert stages
    for stage in stages:
        assert stage.is_error
        assert stage.attributes["error.type"].endswith(".Wordless")
        assert collector.way(stage)[0] == "run shop"


@pytest.mark.parametrize(
    "variables",
    [
        {"TRACEPARENT": f"00-{TRACE}-{PARENT}-01", "TRACESTATE": "vendor=1"},
        {"B3": f"{TRACE}-{PARENT}-1"},
    ],
    ids=["w3c", "b3"],
)
def test_a_run_continues_the_trace_of_who_has_started_it(shop, collector, variables):
    made = shop(collector.address)
    assert made.cli("run", env=variables).code == 0
    run = collector.named("run shop")
    assert (run.trace, run.parent) == (TRACE, PARENT)


def test_a_trace_that_nobody_wants_is_not_sent(shop, collector):
    made = shop(collector.address)
    assert made.cli("run", env={"TRACEPARENT": f"00-{TRACE}-{PARENT}-00"}).code == 0
    assert not collector.spans
    assert shop(collector.address, ", sample: 0").run().succeeded
    assert not collector.spans


def test_a_malformed_parent_is_left_alone_with_a_warning(shop, collector):
    done = shop(collector.address).cli("run", env={"TRACEPARENT": "00-nonsense"})
    assert done.code == 0
    assert "cannot be continued: TRACEPARENT is malformed - its form is 00-TRACE-SPAN-01, with" in done.err
    assert collector.named("run shop").parent == ""


def test_without_the_package_for_b3_a_run_begins_a_trace_and_says_so(shop, collector):
    made = shop(collector.address)
    (made.root / "sitecustomize.py").write_text("import sys; sys.modules['opentelemetry.propagators.b3'] = None")
    done = made.cli("run", env={"B3": f"{TRACE}-{PARENT}-1", "PYTHONPATH": str(made.root)})
    assert done.code == 0
    assert "the trace of whoever calls cannot be continued: headers of B3 need a library: pip install" in done.err
    assert collector.named("run shop").parent == ""


def test_headers_that_only_say_whether_to_sample_are_not_malformed(caplog):
    with continued_trace({"b3": "0"}):
        assert trace_headers() == {}
    assert caplog.text == ""


def test_a_service_continues_the_trace_of_its_caller_into_a_run(shop, collector):
    made = shop(collector.address)
    with continued_trace({"Traceparent": f"00-{TRACE}-{PARENT}-01"}):
        assert trace_headers("b3") == {"b3": f"{TRACE}-{PARENT}-1"}
        made.run_well()
    run = collector.named("run shop")
    assert (run.trace, run.parent) == (TRACE, PARENT)


def test_several_collectors_have_a_whole_tree_each(project, collector):
    with receiver() as other:
        both = "}, {".join(f"type: otlp, endpoint: '{each.address}'" for each in (collector, other))
        made = project(DECLARATION.replace("BACKEND", f"{{{both}}}").replace("PATIENCE", "3s"), FILES)
        made.run_well()
        for kept in (collector, other):
            assert kept.way(kept.named("process silver.sales"))[0] == "run shop"
        assert len(collector.spans) == len(other.spans)


# Collectors that fail


def test_a_collector_that_is_away_is_a_remark(shop):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    report = shop(address, ", timeout: 500ms").run()
    assert report.succeeded
    (remark,) = report.remarks
    assert "spans were not sent" in remark
    assert "refused" in remark


def test_a_collector_that_refuses_is_a_remark_without_the_key(shop, collector, monkeypatch):
    monkeypatch.setenv("SHOP_OTLP_KEY", "k3y-of-the-collector")
    collector.answers = [401] * 20
    made = shop(collector.address, ", headers: {authorization: 'Bearer ${env:SHOP_OTLP_KEY}'}")
    done = made.cli("run")
    assert done.code == 0
    assert "spans were not sent" in done.out
    assert "401" in done.out
    assert collector.headers[0]["authorization"] == "Bearer k3y-of-the-collector"
    assert "k3y-of" not in done.out + done.err


def test_a_collector_that_never_answers_costs_the_patience_that_is_declared(shop):
    with receiver(hang=600) as slow:
        start = time.monotonic()
        report = shop(slow.address, ", timeout: 100s", patience="400ms").run()
        assert time.monotonic() - start < report.seconds + 5
    assert report.succeeded
    assert report.remarks == ["spans were not sent: the collector has not answered in time"]


def test_without_tracing_nothing_of_it_is_loaded(project):
    made = project(DECLARATION.partition("monitoring")[0] + "monitoring: {metrics: {backends: []}}", FILES)
    script = "import sys, oreflow; assert oreflow.run('.').succeeded; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (", endpoint: 'localhost:4318'", "monitoring.tracing.backends.0.endpoint"),
        (", sample: 2", "monitoring.tracing.backends.0.sample"),
        (", timeout: soon", "'soon' does not fit"),
        (", heders: {}", "did you mean 'headers'?"),
    ],
)
def test_a_mistake_is_told_at_its_place(project, more, says):
    backend = f"{{type: otlp{more}}}"
    made = project(DECLARATION.replace("BACKEND", backend).replace("PATIENCE", "1s"), FILES)
    done = made.cli("run")
    assert done.code == 2
    assert says in done.err


def test_a_program_with_spans_of_its_own_has_those_of_its_runs_among_them(project):
    made = project(DECLARATION.replace("{backends: [BACKEND]}", "{backends: []}").replace("PATIENCE", "1s"), FILES)
    script = """
import oreflow
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
with trace.get_tracer("mine").start_as_current_span("nightly"):
    assert oreflow.run(".").succeeded
spans = {span.name: span for span in kept.get_finished_spans()}
assert spans["run shop"].parent.span_id == spans["nightly"].context.span_id
print(len(spans) > 5)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=made.root, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert oreflow.plugin("opentelemetry")["status"] == "ok"
