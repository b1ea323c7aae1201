"""Each hook does what it says, in a real run; a test for each, by the hook's name.

The plugin is a file in the project, `oreflow_plugins.py`, which is a plugin like any other.
"""

from __future__ import annotations

import json
import sys
import warnings

import pluggy
import pytest

import oreflow
from oreflow import hookspecs
from oreflow.contract import HookDeprecation
from oreflow.factory.discovery import discover
from oreflow.factory.policy import Policy

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    SILVER
"""
SILVER = "columns: {id: {type: int64}}"
FILES = {"a.csv": "id,name\n1,ada\n2,grace\n3,\n"}
HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "oreflow_spec")]

PROCESSOR = """
import narwhals as nw
import oreflow
from oreflow import Output, Processor, ProcessorMetadata, hookimpl

METADATA = ProcessorMetadata(
    name="upper", version="1.0", description="Capitals", engine="any", supported_stages=["silver"],
    capabilities=["incremental", "text.capitals"],
    option_schema={"required": ["capitals"], "properties": {"capitals": {"type": "string", "description": "a column"}}},
)


class Upper(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows.with_columns(nw.col(step.options["capitals"]).str.to_uppercase()))
"""


@pytest.fixture
def shop(project):
    """A project with a plugin file: shop(source, silver's options)."""

    def make(source, silver=SILVER, files=FILES):
        made = project(DECLARATION.replace("SILVER", silver), files)
        (made.root / "oreflow_plugins.py").write_text(source)
        return made

    return make


def _names(shop):
    return sorted(row["name"] or "" for row in shop.dicts("silver.sales"))


def test_every_hook_has_a_test():
    assert HOOKS
    assert not [hook for hook in HOOKS if f"test_{hook}" not in globals()]


def test_processors(shop):
    made = shop(PROCESSOR + "@hookimpl\ndef processors(): return [METADATA]\n"
                "@hookimpl\ndef create_processor(name, config): return Upper(config)\n", "capitals: name")  # fmt: skip
    made.run_well()
    assert _names(made) == ["", "ADA", "GRACE"]


def test_create_processor(shop):
    """It gets the options with the stage's defaults under them, and only its own processors are asked of it."""
    source = PROCESSOR + (
        "@hookimpl\ndef processors(): return [METADATA]\n"
        "@hookimpl\ndef create_processor(name, config):\n"
        "    assert name == 'upper', name\n"
        "    assert config.options == {'capitals': 'name'}, config\n"
        "    return Upper(config)\n"
    )
    made = shop(source, "capitals: name")
    made.run_well()
    assert _names(made) == ["", "ADA", "GRACE"]


def test_validate_config(shop):
    source = PROCESSOR + (
        "@hookimpl\ndef validate_config(name, config):\n"
        "    if name == 'upper' and config.options['capitals'] == 'id':\n"
        "        return [oreflow.Problem('a number has no capitals', ('capitals',), 'choose another column')]\n"
        "    return []\n"
    )
    made = shop(source, "capitals: id")
    done = made.cli("plan")
    assert done.code == 2
    assert "tables.silver.sales.capitals: a number has no capitals - choose another column" in done.err


ENGINE = """
from oreflow import hookimpl
from oreflow.contract import EngineMetadata

@hookimpl
def engines(): return [EngineMetadata("second", "1.0", "Polars once more", ["in_process"])]
"""
CREATE_ENGINE = """
@hookimpl
def create_engine(name):
    assert name == "second", name
    from oreflow_polars.engine import PolarsEngine
    return PolarsEngine()
"""


def test_engines(shop):
    made = shop(ENGINE + CREATE_ENGINE)
    (table,) = [t for t in made.cli("plan", "--json").json["tables"] if t["table"] == "silver.sales"]
    assert {c["processor"] for c in table["candidates"]} >= {"polars_silver", "second_silver"}


def test_create_engine(shop):
    made = shop(ENGINE + CREATE_ENGINE)
    results = made.run_well(engine="second")
    assert {result.engine for result in results.values()} == {"second"}
    made = shop(ENGINE)
    (bronze, _) = made.run(engine="second", full_refresh=["bronze.sales"]).tables
    assert bronze.status == "failed"
    assert "the plugin oreflow_plugins of oreflow_plugins.py" in bronze.reason
    assert "does not implement create_engine" in bronze.reason


FORMAT = """
from oreflow import hookimpl
from oreflow.contract import TableFormatMetadata

@hookimpl
def table_formats(): return [TableFormatMetadata("memory", "1.0", "For a test")]

@hookimpl
def create_table_format(name):
    assert name == "memory", name
    from oreflow_delta.format import DeltaFormat
    return DeltaFormat()
"""


def test_table_formats(shop):
    made = shop(FORMAT)
    assert set(oreflow.project_factory(made.root).table_formats) == {"delta", "memory"}


def test_create_table_format(shop):
    factory = oreflow.project_factory(shop(FORMAT).root)
    assert factory.create_table_format("memory") is factory.create_table_format("memory")
    with pytest.raises(oreflow.DeclarationError, match="no table format 'iceberg'"):
        factory.create_table_format("iceberg")


STORE = """
import json
from pathlib import Path
from oreflow import hookimpl
from oreflow.contract import ConfigStore, ConfigStoreMetadata, StoreConflict, StoredConfig

class Folder(ConfigStore):
    def __init__(self, address):
        self.folder = Path(address.removeprefix("folder:"))
    def fetch(self, name, version=None):
        file = self.folder / f"{name}.json"
        return StoredConfig(**json.loads(file.read_text())) if file.exists() else None
    def publish(self, name, data, *, expected, author):
        there = self.fetch(name)
        if (there.version if there else 0) != expected:
            raise StoreConflict(name, expected, there.version)
        (self.folder / f"{name}.json").write_text(json.dumps({"name": name, "version": expected + 1, "data": data}))
        return self.fetch(name)
    def wait(self, name, version, seconds): return None
    def close(self): pass

@hookimpl
def config_stores(): return [ConfigStoreMetadata("folder", "1.0", "For a test")]

@hookimpl
def create_config_store(name, address): return Folder(address) if name == "folder" else None
"""


def test_config_stores(shop):
    made = shop(STORE)
    made.put("config/oreflow.yaml", f"config: {{store: 'folder:{made.root}'}}\n")
    made.put("config/app.yaml", "port: 1\n")
    made.put("./app.yaml", "port: 2\n")
    assert oreflow.push_config(made.root / "app.yaml", 0, made.root, "app").version == 1
    assert oreflow.effective_config(made.root, "app").values == {"port": 2}
    with pytest.raises(oreflow.StoreConflict, match="the store has version 1 of 'app' by now"):
        oreflow.push_config(made.root / "app.yaml", 0, made.root, "app")
    (shown,) = [each for each in oreflow.plugins(made.root) if "config store folder" in each["brings"]]
    assert shown["status"] == "ok"


def test_create_config_store(shop):
    factory = oreflow.project_factory(shop(STORE).root)
    assert factory.create_config_store("folder", "folder:/x").fetch("y") is None
    with pytest.raises(oreflow.DeclarationError, match="no config store 'etcd'"):
        factory.create_config_store("etcd", "etcd://x")


BOARD = """
import json, time
from pathlib import Path
from oreflow import hookimpl
from oreflow.contract import BreakerBoard, BreakerBoardMetadata

class File(BreakerBoard):
    def __init__(self, address):
        self.path = Path(address.removeprefix("file:"))
    def read(self): return json.loads(self.path.read_text()) if self.path.exists() else {}
    def opened(self, name, seconds):
        self.path.write_text(json.dumps({**self.read(), name: time.time() + seconds}))
    def closed(self, name):
        self.path.write_text(json.dumps({key: value for key, value in self.read().items() if key != name}))
    def open_for(self, names):
        return {name: self.read()[name] - time.time() for name in names if name in self.read()}
    def close(self): pass

@hookimpl
def breaker_boards(): return [BreakerBoardMetadata("file", "1.0", "For a test")]

@hookimpl
def create_breaker_board(name, address): return File(address) if name == "file" else None
"""


def test_breaker_boards(shop):
    made = shop(BOARD)
    board = oreflow.project_factory(made.root).create_breaker_board("file", f"file:{made.root}/board.json")
    board.opened("shop@development/sales", 60.0)
    text = (made.root / "config/pipeline.yaml").read_text()
    made.declare(text + f"resilience: {{share: 'file:{made.root}/board.json'}}\n")
    report = made.run()
    (sales,) = [use for use in report.resources if use["resource"] == "sales"]
    assert (report.succeeded, sales["attempts"], sales["breaker"]) == (False, 0, "open")
    (shown,) = [each for each in oreflow.plugins(made.root) if "breaker board file" in each["brings"]]
    assert shown["status"] == "ok"


def test_create_breaker_board(shop):
    factory = oreflow.project_factory(shop(BOARD).root)
    assert factory.create_breaker_board("file", "file:/nowhere").open_for(["x"]) == {}
    with pytest.raises(oreflow.DeclarationError, match="no breaker board 'etcd'"):
        factory.create_breaker_board("etcd", "etcd://x")


BACKENDS = """
import json
from pathlib import Path
from oreflow import hookimpl
from oreflow.contract import MetricBackend, MetricBackendMetadata, TraceBackend, TraceBackendMetadata

SCHEMA = {"properties": {"file": {"type": "string", "description": "a file"}}, "required": ["file"]}

class Written(MetricBackend):
    def __init__(self, file): self.file = file
    def write(self, snapshot):
        figures = {f.name: sum(each.value for each in f.samples) for f in snapshot.families}
        self.file.write_text(json.dumps(figures))

class Spans(TraceBackend):
    def __init__(self, file): self.file = file
    def provider(self):
        from opentelemetry.trace import NoOpTracerProvider
        return NoOpTracerProvider()
    def flush(self, seconds):
        self.file.write_text("flushed")
        return True

@hookimpl
def metric_backends(): return [MetricBackendMetadata("written", "1.0", "For a test", SCHEMA)]

@hookimpl
def create_metric_backend(name, options, surroundings):
    assert (name, surroundings.pipeline, surroundings.environment) == ("written", "shop", "development")
    return Written(surroundings.project / options["file"])

@hookimpl
def trace_backends(): return [TraceBackendMetadata("spans", "1.0", "For a test", SCHEMA)]

@hookimpl
def create_trace_backend(name, options, surroundings): return Spans(surroundings.project / options["file"])
"""
MONITORED = (
    DECLARATION.replace("SILVER", SILVER)
    + """
monitoring:
  metrics: {backends: [{type: written, file: figures.json}]}
  tracing: {backends: [{type: spans, file: spans.txt}]}
"""
)


def test_metric_backends(shop):
    made = shop(BACKENDS)
    made.declare(MONITORED.replace("file: figures.json", "fiel: figures.json"))
    done = made.cli("plan")
    assert done.code == 2
    assert "monitoring.metrics.backends.0.fiel: unknown key 'fiel' - did you mean 'file'?" in done.err
    made.declare(MONITORED.replace("type: written", "type: writen"))
    assert "there is no metric backend 'writen'" in made.cli("plan").err
    (shown,) = [each for each in oreflow.plugins(made.root) if "metric backend written" in each["brings"]]
    assert shown["status"] == "ok"


def test_create_metric_backend(shop):
    made = shop(BACKENDS)
    made.declare(MONITORED)
    assert made.cli("run").code == 0
    figures = json.loads((made.root / "figures.json").read_text())
    assert (figures["oreflow_records_processed"], figures["oreflow_runs"]) == (6, 1)


CHANNELS = """
from oreflow import hookimpl
from oreflow.contract import AlertChannel, AlertChannelMetadata

class Wall(AlertChannel):
    def __init__(self, file): self.file = file
    def send(self, notice, seconds):
        assert seconds > 0
        self.file.write_text(notice.title)

SCHEMA = {"properties": {"file": {"type": "string", "description": "a file"}}, "required": ["file"]}

@hookimpl
def alert_channels(): return [AlertChannelMetadata("wall", "1.0", "For a test", SCHEMA)]

@hookimpl
def create_alert_channel(name, options, surroundings):
    assert (name, surroundings.pipeline) == ("wall", "shop")
    return Wall(surroundings.project / options["file"])
"""
TOLD = "alerts: {rules: {long: {when: processing_time > 0}}, channels: {hall: {type: wall, file: wall.txt}}}\n"


def test_alert_channels(shop):
    made = shop(CHANNELS)
    made.declare(DECLARATION.replace("SILVER", SILVER) + TOLD.replace("file:", "fiel:"))
    assert "alerts.channels.hall.fiel: unknown key 'fiel' - did you mean 'file'?" in made.cli("plan").err
    (shown,) = [each for each in oreflow.plugins(made.root) if "alert channel wall" in each["brings"]]
    assert shown["status"] == "ok"


def test_create_alert_channel(shop):
    made = shop(CHANNELS)
    made.declare(DECLARATION.replace("SILVER", SILVER) + TOLD)
    (alert,) = made.run().alerts
    assert alert["told"] == ["hall"]
    assert (made.root / "wall.txt").read_text() == f"[warning] shop (development): {alert['summary']}"


def test_trace_backends(shop):
    made = shop(BACKENDS)
    made.declare(MONITORED.replace("file: spans.txt", "feil: spans.txt"))
    assert "monitoring.tracing.backends.0.feil: unknown key" in made.cli("plan").err
    assert "trace backend spans" in str(oreflow.plugins(made.root))


def test_create_trace_backend(shop):
    made = shop(BACKENDS)
    made.declare(MONITORED)
    assert made.cli("run").code == 0
    assert (made.root / "spans.txt").read_text() == "flushed"


def test_check_types(shop):
    source = '''
import narwhals as nw
from oreflow import hookimpl
from oreflow.contract import RowCheck

class Even(RowCheck):
    """The column is even."""
    name = "even"
    option_schema = {"required": ["column"], "properties": {"column": {"type": "string"}}}
    def mark(self, rows, flag, check, context):
        return rows.with_columns((nw.col(check.options["column"]) % 2 == 0).alias(flag))
    def reason(self, check, columns):
        return nw.concat_str(nw.col(check.options["column"]).cast(nw.String), nw.lit(" is odd"))

@hookimpl
def check_types(): return [Even()]
'''
    made = shop(source, SILVER + "\n    checks: [{name: even, type: even, column: id}]")
    made.run_well()
    assert [row["id"] for row in made.dicts("silver.sales")] == [2]
    assert {row["_reason"] for row in made.dicts("silver.sales", quarantine=True)} == {"1 is odd", "3 is odd"}


FAULTS = """
from oreflow import Classification, ErrorClass, hookimpl

class Busy(RuntimeError):
    pass

@hookimpl
def classify_error(error):
    return Classification.of(ErrorClass.RATE_LIMITED, retry_after=2) if isinstance(error, Busy) else None
"""


def test_classify_error(shop):
    classifier = oreflow.project_factory(shop(FAULTS).root).classifier
    busy = sys.modules["oreflow_plugins"].Busy
    found = classifier.classify(ExceptionGroup("two", [busy(), TimeoutError()]))
    assert (found.error_class, found.retryable, found.retry_after) == ("rate_limited", True, 2)
    assert classifier.classify(busy()).error_class == "rate_limited"
    assert classifier.classify(RuntimeError()).error_class == "unknown"


def test_run_step(shop):
    source = """
from oreflow import hookimpl

@hookimpl(wrapper=True)
def run_step(step):
    with open("steps.txt", "a") as file:
        print("begin", step.table, file=file)
        try:
            return (yield)
        finally:
            print("end", step.table, file=file)
"""
    made = shop(source)
    assert made.cli("run").code == 0
    written = (made.root / "steps.txt").read_text().splitlines()
    assert written == ["begin bronze.sales", "end bronze.sales", "begin silver.sales", "end silver.sales"]
    (report,) = made.cli("runs", "--json").json
    assert ("around each step", "oreflow_plugins.py") in [(p["part"], p["distribution"]) for p in report["plugins"]]


def test_a_run_step_that_swallows_the_work_is_named(shop):
    made = shop("from oreflow import hookimpl\n\n@hookimpl\ndef run_step(step, call):\n    return 42\n")
    (bronze, _) = made.run().tables
    assert "run_step gave 42 back instead of what was done" in bronze.reason
    assert "the plugin oreflow_plugins of oreflow_plugins.py" in bronze.reason


LISTENER = """
import json
from oreflow import hookimpl

@hookimpl
def {hook}({arguments}):
    with open("told.jsonl", "a") as file:
        print(json.dumps(dict({pairs})), file=file)
"""


def _told(shop, hook, *arguments):
    pairs = ", ".join(f"{name}={name}" for name in arguments)
    made = shop(LISTENER.format(hook=hook, arguments=", ".join(arguments), pairs=pairs))
    report = made.cli("run", "--json").json
    return report, [json.loads(line) for line in (made.root / "told.jsonl").read_text().splitlines()]


def test_run_started(shop):
    report, told = _told(shop, "run_started", "run_id", "pipeline", "tables", "plan")
    (found,) = told
    plan = found.pop("plan")
    assert found == {"run_id": report["run_id"], "pipeline": "shop", "tables": ["bronze.sales", "silver.sales"]}
    keys = ("table", "stage", "source", "inputs", "processor", "distribution")
    assert [tuple(each[key] for key in keys) for each in plan] == [
        ("bronze.sales", "bronze", "sales", [], "polars_bronze", "oreflow-bronze"),
        ("silver.sales", "silver", None, ["bronze.sales"], "polars_silver", "oreflow-silver"),
    ]
    assert [each["path"] for each in plan] == [each["path"] for each in report["tables"]]
    assert "columns" in plan[1]["options"]


def test_step_progressed(shop):
    _, told = _told(shop, "step_progressed", "table", "batch", "phase")
    phases = [each["phase"] for each in told if each["table"] == "bronze.sales"]
    assert phases == ["claimed", "processed", "staged", "audited", "quarantined", "published", "accounted"]
    assert {each["batch"] for each in told} == {1}


CHATTY = """
import json
from oreflow import EngineMetadata, hookimpl

METADATA = EngineMetadata(name="chatty", version="1.0", description="Says how far it is", capabilities=["in_process"])

@hookimpl
def engines(): return [METADATA]

@hookimpl
def create_engine(name, options, parallelism):
    from oreflow_polars.engine import PolarsEngine

    class Chatty(PolarsEngine):
        metadata = METADATA

        def execute(self, staging, collect=None, progress=None):
            if progress:
                progress(1, 4)
                progress(3, 6)
            return super().execute(staging, collect)

    return Chatty() if name == "chatty" else None

@hookimpl
def tasks_progressed(table, batch, done, total):
    with open("told.jsonl", "a") as file:
        print(json.dumps([table, batch, done, total]), file=file)
"""


def test_tasks_progressed(shop):
    made = shop(CHATTY)
    assert made.cli("run", "--engine", "chatty").code == 0
    told = [json.loads(line) for line in (made.root / "told.jsonl").read_text().splitlines()]
    assert [each for each in told if each[0] == "bronze.sales"] == [
        ["bronze.sales", 1, 1, 4],
        ["bronze.sales", 1, 3, 6],
    ]


def test_step_started(shop):
    report, told = _told(shop, "step_started", "run_id", "table", "processor", "engine")
    assert told == [
        {"run_id": report["run_id"], **{key: table[key] for key in ("table", "processor", "engine")}}
        for table in report["tables"]
    ]


def test_batch_started(shop):
    _, told = _told(shop, "batch_started", "table", "batch", "files")
    size = len(FILES["a.csv"])
    assert told == [
        {"table": "bronze.sales", "batch": 1, "files": [{"file": "data/raw/a.csv", "bytes": size}]},
        {"table": "silver.sales", "batch": 1, "files": []},
    ]


def test_batch_finished(shop):
    report, told = _told(shop, "batch_finished", "table", "batch", "status", "account")
    for each, table in zip(told, report["tables"], strict=True):
        account = each["account"]
        assert (each["table"], each["batch"], each["status"]) == (table["table"], 1, "published")
        assert [account[kind] for kind in ("read", "published", "quarantined", "superseded")] == [3, 3, 0, 0]
        assert table["rows_read"] == account["read"]


def test_step_finished(shop):
    report, told = _told(shop, "step_finished", "run_id", "result")
    assert [each["result"] for each in told] == report["tables"]


def test_run_finished(shop):
    report, told = _told(shop, "run_finished", "report")
    assert told == [{"report": report}]


def test_cli_commands(shop):
    source = """
import click
from oreflow import hookimpl

@click.command()
@click.option("--loud", is_flag=True)
def greet(loud):
    "Say hello."
    click.echo("HELLO" if loud else "hello")

@hookimpl
def cli_commands(): return [greet]
"""
    made = shop(source)
    assert "Say hello." in made.cli("--help").out
    assert made.cli("greet", "--loud").out == "HELLO\n"


def test_a_command_of_a_plugin_in_a_group_of_the_host(shop):
    source = """
import click
from oreflow import hookimpl

@click.command("runs count")
def count():
    "Count the runs."
    click.echo("none")

@hookimpl
def cli_commands(): return [count]
"""
    made = shop(source)
    assert "Count the runs." in made.cli("runs", "--help").out
    assert "Count the runs." not in made.cli("--help").out
    assert made.cli("runs", "count").out == "none\n"
    assert "Did you mean 'count'?" in made.cli("runs", "cuont").err


SECTION = """
import oreflow
from oreflow import hookimpl
from oreflow.contract import SectionMetadata

@hookimpl
def sections():
    schema = {"required": ["shout"], "properties": {"shout": {"type": "string"}, "sure": {"type": "boolean"}}}
    return [SectionMetadata("voice", "1.0", "For a test", schema)]

@hookimpl
def run_configured(sections, resources, environment, surroundings):
    assert surroundings.folder.is_relative_to(surroundings.project / "lake" / "_oreflow")
    if sections.get("voice", {}).get("shout") == "no":
        return [oreflow.Problem(f"{environment} is quiet, also {sorted(resources)}", ("voice", "shout"), "whisper")]
"""


def test_sections(shop):
    made = shop(SECTION)
    made.declare(DECLARATION.replace("SILVER", SILVER) + "voice: {shout: 'yes', lout: 1}\n")
    done = made.cli("plan")
    assert done.code == 2
    assert "voice.lout: unknown key" in done.err
    (made.root / "oreflow_plugins.py").unlink()
    assert "voice: unknown key" in made.cli("plan").err


def test_run_configured(shop):
    made = shop(SECTION)
    made.declare(DECLARATION.replace("SILVER", SILVER) + "voice: {shout: 'no'}\n")
    assert made.cli("plan").code == 0
    done = made.cli("run")
    assert (done.code, (made.root / "lake").exists()) == (2, False)
    assert (
        "voice.shout: development is quiet, also ['bronze.sales', 'lake', 'sales', 'silver.sales'] - whisper"
        in done.err
    )
    assert made.cli("run", "--set", "voice.shout=loud").code == 0

    hoarse = SECTION.replace("    if sections", "    raise OSError('hoarse')\n    if sections")
    (made.root / "oreflow_plugins.py").write_text(hoarse)
    done = made.cli("run")
    assert done.code == 2
    assert "the plugin oreflow_plugins of oreflow_plugins.py" in done.err
    assert "fails where the run is about to begin: OSError: hoarse" in done.err


WRAPPED = """
import json
from oreflow import hookimpl

CALLS = []

@hookimpl(wrapper=True)
def call_resource(run_id, resource, operation):
    CALLS.append([resource, operation])
    if CALLS.count(["lake", "commit"]) == 1 and operation == "commit":
        raise ConnectionResetError("gone")
    return (yield)

@hookimpl
def resource_event(run_id, table, resource, event):
    with open("events.jsonl", "a") as file:
        print(json.dumps([table, resource, event]), file=file)

@hookimpl
def run_finished():
    with open("calls.json", "w") as file:
        json.dump(CALLS, file)
"""


def test_call_resource(shop):
    made = shop(WRAPPED)
    assert made.cli("run").code == 0
    calls = json.loads((made.root / "calls.json").read_text())
    about = {tuple(call) for call in calls}
    assert {("sales", "list"), ("sales", "digest"), ("sales", "read"), ("bronze.sales", "make")} < about
    assert {("silver.sales", "make"), ("lake", "load"), ("lake", "commit"), ("lake", "write")} < about
    assert calls.count(["lake", "commit"]) == 3
    assert [row["id"] for row in made.dicts("silver.sales")] == [1, 2, 3]


PARTS = """
import json
from dataclasses import replace
from oreflow import hookimpl

TOLD = []

@hookimpl(wrapper=True)
def call_resource(resource, operation):
    result = yield
    if operation in ("scan", "process"):
        TOLD.append([resource, operation, type(result).__name__])
    if operation == "stage":
        TOLD.append([resource, operation, [path.suffix for path in result if path.is_file()]])
    if operation == "scan":
        return replace(result, rows=result.rows.head(0), rows_read=0)
    return result

@hookimpl
def run_finished():
    with open("told.json", "w") as file:
        json.dump(TOLD, file)
"""


def test_the_parts_of_a_call_are_wrapped_and_the_step_goes_on_with_their_results(shop):
    made = shop(PARTS)
    assert made.cli("run", "--table", "bronze.sales").code == 0
    assert json.loads((made.root / "told.json").read_text()) == [
        ["sales", "scan", "SourceScan"],
        ["bronze.sales", "process", "Output"],
        ["bronze.sales", "stage", []],
    ]
    (made.root / "oreflow_plugins.py").write_text(PARTS.replace('"scan":', '"nothing":'))
    assert made.cli("run", "--full-refresh", "bronze.sales").code == 0
    assert ["bronze.sales", "stage", [".parquet"]] in json.loads((made.root / "told.json").read_text())


def test_resource_event(shop):
    made = shop(WRAPPED)
    assert made.cli("run").code == 0
    told = [json.loads(line) for line in (made.root / "events.jsonl").read_text().splitlines()]
    assert [(table, resource, event["kind"]) for table, resource, event in told] == [
        ("bronze.sales", "lake", "retry"),
        ("bronze.sales", "lake", "recovered"),
    ]
    assert told[0][2]["error"] == "ConnectionResetError: gone"
    assert 0 <= told[0][2]["seconds"] <= 0.2


# How hooks change


class _NextRelease:
    """Hooks of which one is to go, and one has an argument that is."""

    @hookspecs.hookspec(warn_on_impl=HookDeprecation("the hook old_hook will go with API 2; use new_hook"))
    def old_hook(self):
        """To go."""

    @hookspecs.hookspec(warn_on_impl_args={"old": HookDeprecation("the argument 'old' of kept_hook will go")})
    def kept_hook(self, old, new):
        """To stay."""


@pytest.mark.parametrize(
    ("implementation", "told"),
    [("def old_hook(): pass", "the hook old_hook will go with API 2; use new_hook"),
     ("def kept_hook(old): pass", "the argument 'old' of kept_hook will go")],
)  # fmt: skip
def test_who_uses_what_will_go_is_warned_by_name_and_goes_on(implementation, told, tmp_path):
    (tmp_path / "oreflow_plugins.py").write_text(f"from oreflow import hookimpl\n\n@hookimpl\n{implementation}\n")
    manager = pluggy.PluginManager("oreflow")
    manager.add_hookspecs(hookspecs)
    manager.add_hookspecs(_NextRelease)
    with pytest.warns(HookDeprecation, match=r"the plugin oreflow_plugins of oreflow_plugins.py \w+: the") as warned:
        plugins = discover(manager, Policy(said="oreflow_plugins.py"), tmp_path)
    assert told in str(warned[0].message)
    (plugin,) = [plugin for plugin in plugins if plugin.name == "oreflow_plugins"]
    assert (plugin.status, plugin.notes) == ("ok", (told,))


def test_who_keeps_to_what_stays_is_not_warned(tmp_path):
    (tmp_path / "oreflow_plugins.py").write_text(
        "from oreflow import hookimpl\n\n@hookimpl\ndef kept_hook(new): pass\n"
    )
    manager = pluggy.PluginManager("oreflow")
    manager.add_hookspecs(hookspecs)
    manager.add_hookspecs(_NextRelease)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        discover(manager, Policy(said="oreflow_plugins.py"), tmp_path)


def test_health_checks(shop):
    made = shop(
        "from oreflow import hookimpl\nfrom oreflow.contract import HealthCheck\n"
        "@hookimpl\ndef health_checks(surroundings, engines, sections):\n"
        "    return [HealthCheck('own', lambda: f'{surroundings.pipeline} on {list(engines)}, {sections}')]\n"
    )
    (found,) = oreflow.health(made.root, checks="own").checks
    assert (found.status, found.reason) == ("pass", "shop on ['polars'], {}")


def test_a_section_may_have_references_to_secrets_where_its_plugin_takes_them(shop):
    taking = SECTION.replace('"For a test", schema)', '"For a test", schema, takes_secrets=True)')
    made = shop(taking)
    made.declare(DECLARATION.replace("SILVER", SILVER) + 'voice: {shout: "${env:VOICE}"}\n')
    assert made.cli("plan").code == 0
    (made.root / "oreflow_plugins.py").write_text(SECTION)
    assert "voice.shout: a secret has no place here" in made.cli("plan").err
