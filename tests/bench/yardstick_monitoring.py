"""What the libraries alone take to tell as much as a monitored run of the retail job does, without oreflow.

    python yardstick_monitoring.py PROJECT ADDRESS

The job runs without monitoring; right after it, as many spans, log lines and figures are made, and written to as many
places, by the libraries alone and as leanly as they allow: the text of Prometheus is made once, one client of HTTP
serves all but the collector, and nothing is recovered, bounded, masked or told where it fails.
Prints a list of pairs as JSON: the seconds of the job, and of this.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog
import urllib3
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

import oreflow

TABLES = ("bronze.transactions", "silver.transactions", "gold.sales_by_day", "gold.sales_by_country", "gold.customers")
OPERATIONS, LINES, COUNTERS, BOUNDS = 5, 26, 9, 16  # of a table, a run, a table, a histogram: as the job's
TIMES, WARMING = 12, 3


def telling(address: str, folder: Path) -> Callable[[], None]:
    """A function that tells of one run."""
    exporter = OTLPSpanExporter(endpoint=f"{address}/v1/traces", compression=Compression.Gzip)
    processor = BatchSpanProcessor(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("yardstick")
    log = logger(folder / "log.jsonl")
    disable_created_metrics()  # type: ignore[no-untyped-call]  # of series that the job has not either
    registry, names = CollectorRegistry(), ["pipeline", "stage", "table"]
    counters = [Counter(f"rows_{number}", "Rows", names, registry=registry) for number in range(COUNTERS)]
    bounds = [0.005 * 2**number for number in range(BOUNDS)]
    seconds = Histogram("seconds", "Seconds", names, registry=registry, buckets=bounds)
    pool = urllib3.PoolManager()

    def tell() -> None:
        about = {"run_id": "20260101T000000", "pipeline": "retail"}
        with tracer.start_as_current_span("run", attributes=about):
            for table in TABLES:
                with tracer.start_as_current_span(f"table {table}", attributes={**about, "table": table}) as span:
                    with tracer.start_as_current_span("batch 1", attributes={"table": table, "batch": 1}) as batch:
                        for number in range(OPERATIONS):
                            attributes = {"resource": "lake", "operation": str(number), "attempt": 1}
                            tracer.start_span(f"{number} lake", attributes=attributes).end()
                        batch.set_attributes({"status": "published", "read": 1, "published": 1, "quarantined": 0})
                    span.set_attributes({"status": "published", "seconds": 0.1})
        for number in range(LINES):
            log.info("batch published", **about, stage="bronze", table=TABLES[0], batch=number, rows_read=1, rows=1)
        for table in TABLES:
            labels = "retail", table.partition(".")[0], table
            for counter in counters:
                counter.labels(*labels).inc()
            seconds.labels(*labels).observe(0.1)
        processor.force_flush()
        text = generate_latest(registry)  # once, for whoever asks the endpoint, too
        (folder / "metrics.prom.new").write_bytes(text)
        (folder / "metrics.prom.new").replace(folder / "metrics.prom")
        pool.request("PUT", f"{address}/metrics/job/retail", body=text)
        samples = [each for family in registry.collect() for each in family.samples]
        (folder / "metrics.json").write_text(json.dumps([[each.name, each.labels, each.value] for each in samples]))
        lines = [f"{each.name},{','.join(map('='.join, each.labels.items()))} value={each.value} 1" for each in samples]
        pool.request("POST", f"{address}/write?db=oreflow", body="\n".join(lines))

    return tell


def logger(file: Path) -> structlog.stdlib.BoundLogger:
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
    tell, pairs = telling(address, project), []
    for number in range(WARMING + TIMES):
        shutil.rmtree(project / "lake", ignore_errors=True)
        start = time.perf_counter()
        report = oreflow.run(project)
        between = time.perf_counter()
        tell()
        if number >= WARMING:
            pairs.append((between - start, time.perf_counter() - between))
        if not report.succeeded:
            raise SystemExit(str(report.status))
    print(json.dumps(pairs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
