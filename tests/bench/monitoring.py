"""What monitoring costs: a count, a line that nobody wants, and the retail job with everything on.

The job is run alternately with monitoring and without in one process, so that what the machine does besides falls on
both alike; the figure is the ratio of all the time that runs take with it to that without. A run's own time goes up and
down by a tenth, which hides what is measured: how far the figure may be off is told, and beside it what monitoring
takes by its parts, which scatter by a twentieth of that. The retail job of a year has 305 files and 541,909 rows, here
of four copies of the 95 days that we have. What monitoring takes is as much however many rows there are, so that its
share differs, and beside that on the 95 days is told what the libraries alone take that are told of the same events
(yardstick_monitoring.py). Whole processes are measured too: what is imported for it is paid once in each.

It makes files, for which a disk that is busy takes ten times as long: TMPDIR=/dev/shm leaves the disk out.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import sqrt
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any
from unittest.mock import patch

COUNTER, HISTOGRAM, EXPOSITION, GUARD, FILTERED = (
    "a counter with three labels, us",
    "a histogram, us",
    "10,000 label sets as a text, s",
    "spans that nobody keeps, us",
    "a line of a log that nobody wants, us",
)
BOUNDS = {COUNTER: 0.5, HISTOGRAM: 1.2, EXPOSITION: 2.0, GUARD: 0.1, FILTERED: 0.2}
JOB, JOB_BOUND = "{}, with everything on, ratio", 1.03  # at each size
FILES, ROWS, COPIES = 305, 541_909, 4  # of the retail job, made of so many copies of what we have
YARDSTICK = Path(__file__).with_name("yardstick_monitoring.py")
PROCESSES, PAIRS = 5, 6
OF_THE_JOB = 20  # processes for what has a bound that is near
FEW = 3
Verdict = Callable[[str, float, float | None], bool]
Pairs = list[tuple[float, float]]


def bench_monitoring(
    verdict: Verdict, make_data: Callable[[int], Path], make_project: Callable[[Path, Path], Path], work: Path
) -> list[bool]:
    """Measure and print; whether the bounds hold. `make_project` makes a project of the retail job over raw files."""
    print("\nmonitoring")
    kept = [verdict(what, took, BOUNDS.get(what)) for what, took in micro()]
    jobs = {
        "95 days": (make_data(1), PROCESSES),
        "the retail job of a year": (year(make_data(COPIES)), OF_THE_JOB),
        "ten times 95 days": (make_data(10), PROCESSES),
    }
    if hasattr(os, "sync"):
        os.sync()  # else the disk is busy with what was just made
    with sink() as address:
        for number, (name, (raw, processes)) in enumerate(jobs.items()):
            project = make_project(work / f"project-monitoring-{number}", raw)
            declaration = (project / "config" / "pipeline.yaml").read_text(encoding="utf-8")
            (project / "config" / "monitored.yaml").write_text(declaration + everything(address), encoding="utf-8")
            pairs, parts = bench_pairs([sys.executable, __file__, str(project)], processes)
            ratio, doubt = ratio_of(pairs)
            kept.append(verdict(JOB.format(f"{name}, {rows_of(raw):,} rows"), ratio, JOB_BOUND))
            without = fmean(off for off, _ in pairs)
            more = fmean(on - off for off, on in parts)
            print(f"    {ratio:.3f} give or take {doubt:.3f}: {len(pairs)} pairs, of {without:.2f} s without it")
            kept.append(verdict(f"  by its parts, {more * 1000:.0f} ms", 1 + more / without, JOB_BOUND))
            if number == 0:
                bench_libraries(project, address)
                bench_processes(project)
    return kept


def year(raw: Path) -> Path:
    """A folder with as many files and rows as the retail job of a year has: the largest, with rows of the others."""
    found = raw.with_name(f"{raw.name}-year")
    if not found.is_dir():
        found.mkdir()
        others = sorted(raw.iterdir(), key=lambda each: each.stat().st_size)
        largest, others = others[-FILES:], others[:-FILES]
        for file in largest:
            (found / file.name).hardlink_to(file)
        missing = ROWS - rows_of(found)
        for file, other in zip(largest, reversed(others), strict=False):
            more = other.read_bytes().splitlines(keepends=True)[1 : 1 + missing]
            (found / file.name).unlink()  # which is a file of `raw` too
            (found / file.name).write_bytes(file.read_bytes() + b"".join(more))
            missing -= len(more)
    return found


def rows_of(raw: Path) -> int:
    """How many rows files have."""
    return sum(file.read_bytes().count(b"\n") - 1 for file in raw.glob("*.csv"))


def micro() -> Iterator[tuple[str, float]]:
    """Each small thing, and the least time that it took, in the unit that it says."""
    from oreflow.monitoring import MetricsCollector, spans

    collector, labels = MetricsCollector(most_label_sets=20_000), {"pipeline": "p", "stage": "s", "table": "t"}
    rows, waits = collector.counter("rows", labels), collector.histogram("wait_seconds", labels)
    yield COUNTER, least(rows.inc)
    yield HISTOGRAM, least(lambda: waits.observe(0.3))
    yield "the same counter found by its labels, us", least(lambda: collector.increment_counter("rows", 1, labels))
    try:
        from prometheus_client import CollectorRegistry, Counter
    except ImportError as error:
        print(f"  prometheus-client: not measured, {error}")
    else:
        theirs = Counter("rows", "Rows", list(labels), registry=CollectorRegistry())
        yield "prometheus-client's, by labels() each time, us", least(lambda: theirs.labels(**labels).inc())
    yield GUARD, least(lambda: spans.is_kept) - least(lambda: None)
    yield FILTERED, bench_filtered_log()
    for number in range(10_000):
        collector.increment_counter("keys", 1, {"key": str(number)})
    start = time.perf_counter()
    collector.export("prometheus")
    yield EXPOSITION, time.perf_counter() - start


def bench_filtered_log() -> float:
    """Microseconds of a call whose level nobody asks for."""
    from oreflow.monitoring import get_logger

    log = get_logger("oreflow.bench")
    return least(lambda: log.debug("nobody reads this"))


def least(call: Callable[[], Any], times: int = 20_000, rounds: int = 20) -> float:
    """The least time of a call over several rounds, in microseconds of CPU."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            call()
        found.append((time.process_time() - start) / times * 1e6)
    return min(found)


def bench_pairs(script: list[str], processes: int = PROCESSES) -> tuple[Pairs, Pairs]:
    """The seconds of the job without and with, in pairs of runs in one process, and those in parts of monitoring.

    A script prints them, by `run_pairs`. A process is steadily slower at one or the other than the next, by more than
    what is measured: so there are some.
    """
    whole: Pairs = []
    parts: Pairs = []
    for _ in range(processes):
        done = subprocess.run(script, check=True, capture_output=True, text=True)
        off, on, *within = json.loads(done.stdout.splitlines()[-1])
        whole += zip(off, on, strict=True)
        parts += zip(*within, strict=True)
    return whole, parts


def ratio_of(pairs: Pairs) -> tuple[float, float]:
    """All the time with to that without, and how far that may be off, in 19 cases of 20.

    Of the job against itself it scatters by a third less than the median of the ratios of the pairs.
    """
    ratio = fmean(on for _, on in pairs) / fmean(off for off, _ in pairs)
    rests = [on - ratio * off for off, on in pairs]
    return ratio, 1.96 * stdev(rests) / sqrt(len(rests)) / fmean(off for off, _ in pairs)


def bench_libraries(project: Path, address: str) -> None:
    """Print what the libraries alone take, beside which the ratio is to be read."""
    pairs, parts = bench_pairs([sys.executable, str(YARDSTICK), str(project), address])
    ratio, doubt = ratio_of(pairs)
    more = fmean(on - off for off, on in parts) * 1000
    print(f"    the libraries alone, told of the same events: {more:.0f} ms, {ratio:.3f} give or take {doubt:.3f}")
    (project / "oreflow_plugins.py").unlink()


def bench_processes(project: Path) -> None:
    """Print what a whole process takes."""
    whole: dict[str, list[float]] = {"pipeline": [], "monitored": []}
    for number in range(FEW + 1):
        for name, took in whole.items():
            shutil.rmtree(project / "lake", ignore_errors=True)
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "oreflow", "run", name], cwd=project, check=True, capture_output=True)
            if number:
                took.append(time.perf_counter() - start)
    off, on = median(whole["pipeline"]), median(whole["monitored"])
    print(f"    whole processes {off:.2f} s and {on:.2f} s: a process imports {on - off:.2f} s more")


def everything(address: str) -> str:
    """Every backend that there is, all of whose servers are at one address."""
    return f"""
monitoring:
  metrics:
    aggregations: {{error_rate: "ratio(records_failed, records_processed) over 15m by table"}}
    backends:
      - {{type: memory}}
      - {{type: json}}
      - {{type: textfile}}
      - {{type: prometheus, port: 0}}
      - {{type: pushgateway, address: "{address}"}}
      - {{type: influxdb, address: "{address}", database: oreflow}}
  tracing:
    backends: [{{type: otlp, endpoint: "{address}"}}]
  logs: {{level: debug, format: json, file: log.jsonl}}
"""


@contextmanager
def sink() -> Iterator[str]:
    """A server, in a process of its own, that takes all that it is sent; gives its address."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


async def _take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take what comes, at little cost: it is paid by the machine that the job runs on."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            status = b"204 No Content" if b"/write" in head.split(b"\r\n")[0] else b"200 OK\r\nContent-Length: 0"
            writer.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
    writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_take, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def run_pairs(project: Path, other: str, parts: Iterable[tuple[Any, str]]) -> None:
    """Run the job and another declaration of it alternately in this process, and print the seconds of each.

    Of each are printed all that its runs take, and what they take in the functions that are `parts`: whose, and which.
    """
    import oreflow

    found: dict[str, list[float]] = {"pipeline": [], other: []}
    within: dict[str, list[float]] = {name: [] for name in found}
    clock = Clock()
    with ExitStack() as patches:
        for owner, name in parts:
            patches.enter_context(patch.object(owner, name, clock.timed(getattr(owner, name))))
        for number in range(PAIRS + 1):
            for name in found if number % 2 else reversed(found):  # who is second finds the disk's cache warm
                shutil.rmtree(project / "lake", ignore_errors=True)
                before, start = clock.seconds, time.perf_counter()
                report = oreflow.run(project, name)
                if number:  # the first pair loads and warms up
                    found[name].append(time.perf_counter() - start)
                    within[name].append(clock.seconds - before)
                if not report.succeeded or report.remarks:
                    raise SystemExit(f"{name}: {report.status}, {report.remarks}")
    print(json.dumps([*found.values(), *within.values()]))


class Clock:
    """The seconds that calls of some functions have taken in the thread of the run; of one within another, once."""

    def __init__(self) -> None:
        self.seconds, self._is_within, self._thread = 0.0, False, threading.get_ident()

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time taken."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._is_within or threading.get_ident() != self._thread:
                return function(*args, **kwargs)
            self._is_within, start = True, time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._is_within, self.seconds = False, self.seconds + time.perf_counter() - start

        return call


def parts_of_monitoring() -> Iterator[tuple[Any, str]]:
    """What a run does to be seen, and that it tells its plugins, which it does in any case."""
    from oreflow.monitoring.nodes import Node
    from oreflow.monitoring.watching import Watch
    from oreflow.pipeline import declaration
    from oreflow.pipeline.run import Run

    yield declaration, "declared_monitoring"
    yield Run, "_tell"
    for owner, names in ((Watch, ("__enter__", "finish", "__exit__")), (Node, ("__init__", "end"))):
        for name in names:
            yield owner, name


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_pairs(Path(sys.argv[1]), "monitored", parts_of_monitoring())
    else:
        asyncio.run(_serve())
