"""What the libraries alone take to tell of a run of the retail job, without oreflow's monitoring.

    python yardstick_monitoring.py PROJECT ADDRESS

A plugin of the project, which this makes, is told of the same events as oreflow's views are, as they happen, and makes
of them as many spans and log lines and most of the figures, for as many places: by the libraries alone and as leanly
as they allow. The text of Prometheus is made once, one client of HTTP serves all but the collector, and nothing is
recovered, bounded, masked, kept for the next process or told where it fails. Runs with it and without alternate in one
process; prints the seconds of each, and of its parts, as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import urllib3
from monitoring import run_pairs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Span, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

from oreflow.hookspecs import hookimpl
from oreflow.pipeline.run import Run

QUICK = ("list", "digest", "load", "account", "write")  # calls that are no spans, as those that read the lake
ROWS = ("read", "published", "quarantined", "superseded")
PLUGIN = """
import sys
sys.path.insert(0, {here!r})
from yardstick_monitoring import Libraries

oreflow_api = 1
_libraries = Libraries({address!r}, {folder!r})
globals().update({{name: getattr(_libraries, name) for name in Libraries.HOOKS}})
"""


class Libraries:
    """Listens to the runs of the pipeline `libraries`."""

    HOOKS = (
        "run_started",
        "step_started",
        "batch_started",
        "call_resource",
        "batch_finished",
        "step_finished",
        "run_finished",
    )

    def __init__(self, address: str, folder: str) -> None:
        self._address, self._folder = address, Path(folder)
        self._processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{address}/v1/traces"))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self._tracer, self._log = provider.get_tracer("yardstick"), logger(self._folder / "log.jsonl")
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it says no types; the job has no such series
        self._registry, names = CollectorRegistry(), ["pipeline", "stage", "table"]
        self._rows = [Counter(f"rows_{kind}", "Rows", names, registry=self._registry) for kind in ROWS]
        more = {"batches": "status", "check_failures": "check", "steps": "status"}
        self._more = {
            name: Counter(name, name, [*names, label], registry=self._registry) for name, label in more.items()
        }
        self._runs = Counter("runs", "Runs", ["pipeline", "status"], registry=self._registry)
        bounds = [0.005 * 2**number for number in range(16)]
        self._seconds = Histogram("seconds", "Seconds", names, registry=self._registry, buckets=bounds)
        self._pool = urllib3.PoolManager()
        self._open: list[Any] = []
        self._about: dict[str, Any] = {}
        self._is_on = False

    @hookimpl(tryfirst=True)
    def run_started(self, run_id: str, pipeline: str, tables: Sequence[str]) -> None:
        """Begin."""
        self._is_on = pipeline == "libraries"
        if self._is_on:
            self._about = {"run_id": run_id, "pipeline": pipeline}
            self._begin("run", self._about)
            self._log.info("run started", **self._about, tables=list(tables))

    @hookimpl(tryfirst=True)
    def step_started(self, table: str, processor: str, engine: str) -> None:
        """Begin a table."""
        if self._is_on:
            self._about |= {"stage": table.partition(".")[0], "table": table}
            self._begin(f"table {table}", {"table": table, "processor": processor, "engine": engine})
            self._log.debug("table started", **self._about, processor=processor, engine=engine)

    @hookimpl(tryfirst=True)
    def batch_started(self, table: str, batch: int, files: Sequence[Mapping[str, Any]]) -> None:
        """Begin a batch."""
        if self._is_on:
            self._begin(f"batch {batch}", {"table": table, "batch": batch, "files": len(files)})
            self._log.debug("batch started", **self._about, batch=batch, files=len(files))

    @hookimpl(wrapper=True)
    def call_resource(self, resource: str, operation: str) -> Generator[None, Any, Any]:
        """A span for a call that is no quick one."""
        if not self._is_on or operation in QUICK or (operation == "read" and resource == "lake"):
            return (yield)
        with self._tracer.start_as_current_span(f"{operation} {resource}", attributes={"attempt": 1}):
            return (yield)

    @hookimpl(trylast=True)
    def batch_finished(self, batch: int, status: str, account: Mapping[str, Any]) -> None:
        """End a batch."""
        if not self._is_on:
            return
        labels = [self._about[name] for name in ("pipeline", "stage", "table")]
        self._more["batches"].labels(*labels, status).inc()
        rows = {kind: account[kind] for kind in ROWS} if account else {}
        for counter, number in zip(self._rows, rows.values(), strict=False):
            counter.labels(*labels).inc(number)
        for check, number in account.get("rules", {}).items():
            self._more["check_failures"].labels(*labels, check).inc(number)
            self._log.warning("check broken", **self._about, batch=batch, check=check, rows=number)
        self._log.debug(f"batch {status}", **self._about, batch=batch, **rows)
        self._end({"status": status, **rows})

    @hookimpl(trylast=True)
    def step_finished(self, result: Mapping[str, Any]) -> None:
        """End a table."""
        if self._is_on:
            labels = [self._about[name] for name in ("pipeline", "stage", "table")]
            self._more["steps"].labels(*labels, result["status"]).inc()
            self._seconds.labels(*labels).observe(result["seconds"])
            self._log.info(f"table {result['status']}", **self._about, seconds=result["seconds"])
            self._end({"status": result["status"], "seconds": result["seconds"]})

    @hookimpl(trylast=True)
    def run_finished(self, report: Mapping[str, Any]) -> None:
        """End, and have all of it where it goes to."""
        if not self._is_on:
            return
        self._runs.labels(self._about["pipeline"], report["status"]).inc()
        self._log.info("run finished", **self._about, status=report["status"], seconds=report["seconds"])
        self._end({"status": report["status"]})
        self._processor.force_flush()
        self._write()

    def _write(self) -> None:
        text = generate_latest(self._registry)  # once, for whoever asks an endpoint, too
        (self._folder / "metrics.prom.new").write_bytes(text)
        (self._folder / "metrics.prom.new").replace(self._folder / "metrics.prom")
        self._pool.request("PUT", f"{self._address}/metrics/job/retail", body=text)
        samples = [each for family in self._registry.collect() for each in family.samples]
        document = json.dumps([[each.name, each.labels, each.value] for each in samples])
        (self._folder / "metrics.json").write_text(document)
        lines = [f"{each.name},{','.join(map('='.join, each.labels.items()))} value={each.value} 1" for each in samples]
        self._pool.request("POST", f"{self._address}/write?db=oreflow", body="\n".join(lines))

    def _begin(self, name: str, attributes: Mapping[str, Any]) -> None:
        span = self._tracer.start_as_current_span(name, attributes=attributes, end_on_exit=True)
        self._open.append((span, span.__enter__()))

    def _end(self, attributes: Mapping[str, Any]) -> None:
        manager, span = self._open.pop()
        span.set_attributes(attributes)
        manager.__exit__(None, None, None)


def logger(file: Path) -> Any:
    """structlog as its documentation sets it up for the standard library."""
    formatter = structlog.stdlib.ProcessorFormatter
    handler = logging.FileHandler(file)
    handler.setFormatter(formatter(processors=[formatter.remove_processors_meta, structlog.processors.JSONRenderer()]))
    plain = logging.getLogger("yardstick")
    plain.propagate = False
    plain.setLevel(logging.DEBUG)
    plain.addHandler(handler)
    before = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso")]
    return structlog.wrap_logger(
        plain, [*before, formatter.wrap_for_formatter], wrapper_class=structlog.stdlib.BoundLogger
    )


def main(project: Path, address: str) -> None:
    """Run the job alternately with the libraries and without."""
    here, folder = str(Path(__file__).parent), str(project)
    (project / "oreflow_plugins.py").write_text(PLUGIN.format(here=here, address=address, folder=folder))
    declaration = (project / "config" / "pipeline.yaml").read_text(encoding="utf-8")
    told = declaration.replace("name: retail", "name: libraries", 1)
    (project / "config" / "libraries.yaml").write_text(told, encoding="utf-8")
    run_pairs(project, "libraries", [(Run, "_tell"), (Tracer, "start_span"), (Span, "end")])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
