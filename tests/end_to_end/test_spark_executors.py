"""Executors of Spark die while a run goes on: nobody notices but Spark's own log.

Spark runs as a small cluster on this machine, with two executors of one core each. A task stands still in the middle of
its files until this test has killed what it wants to kill.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
engines:
  spark:
    master: "local-cluster[2,1,1024]"
    conf:
      spark.eventLog.enabled: true
      spark.eventLog.dir: "file:LOG"
      spark.eventLog.compress: false
      spark.sql.shuffle.partitions: 4
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns:
      id:    {type: int64}
      shop:  {type: string}
      day:   {type: date}
      price: {type: "decimal(18,2)"}
    deduplicate: {keys: [id], order_by: [day], keep: last}
    checks:
      - {name: has a price, type: validity, expression: "price > 0"}
  gold.shops:
    input: silver.sales
    group_by: {shop: shop}
    measures: {revenue: "sum(price)", sales: "count(*)", days: "count(distinct day)"}
"""
FILES, ROWS = 80, 1000
IN_FIRST_TASK, IN_SECOND_TASK = "30.csv", "60.csv"
"""Files that are read in the middle of a task: each task has 16 MB of them, with what it costs to open one."""

# In Spark's Python workers, not in the driver: one that opens such a file reports it, and goes on when it is answered.
HOLD = f"""
import os, socket, sys

def hold(event, args):
    if event == "open" and str(args[0]).endswith({(IN_FIRST_TASK, IN_SECOND_TASK)}):
        with socket.create_connection(("127.0.0.1", int(os.environ["TEST_PORT"]))) as test:
            test.sendall(f"{{os.getpid()}} {{os.path.basename(args[0])}}\\n".encode())
            test.recv(1)

if any("pyspark" in word for word in sys.orig_argv):
    sys.addaudithook(hold)
"""

# In the driver: it reports and waits in the same way while tasks run that need no Python. At the end it stops Spark in
# good order, so that the log is whole: Java alone would be ending still when the run is over.
TELL = """
import os, socket
import oreflow

@oreflow.hookimpl
def tasks_progressed(table, done, total):
    if table == "silver.sales" and 0 < done < total:
        with socket.create_connection(("127.0.0.1", int(os.environ["TEST_PORT"]))) as test:
            test.sendall(f"{os.getpid()} {table}\\n".encode())
            test.recv(1)

@oreflow.hookimpl
def run_finished():
    from pyspark import SparkContext
    SparkContext.getOrCreate().stop()
"""

# A Java that lives for seconds is compiled and swept in the cheapest way.
QUICK_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def _raw(file: int) -> str:
    """Sales, of which every third is another version of one; some have no price, and one line is cut off."""
    lines = ["id,shop,day,price"]
    for row in range(ROWS):
        number = file * ROWS + row - (ROWS // 2 if row % 3 == 0 else 0)
        price = "" if row % 50 == 7 else f"{number % 997 / 100:.2f}"
        lines.append(f"{number},shop {number % 13} of the long street,2026-01-{file % 28 + 1:02d},{price}")
    lines[file + 5] = "cut off"
    return "\n".join(lines) + "\n"


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has just ended
        return ""


def _with_ancestors(process: int) -> Iterator[int]:
    """A process, its parent, and so on."""
    while process:
        yield process
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            return


def _is_executor(process: int) -> bool:
    return "CoarseGrainedExecutorBackend" in _command(process)


def _executor_of(worker: int) -> int:
    return next(filter(_is_executor, _with_ancestors(worker)))


def _an_executor_below(driver: int) -> int:
    running = [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]
    return min(process for process in running if _is_executor(process) and driver in _with_ancestors(process))


@dataclass(frozen=True)
class _End:
    """How a try at a task of a stage ended, by Spark's log."""

    stage: int
    task: int
    number: int
    reason: str
    words: str

    @classmethod
    def of(cls, event: dict[str, Any]) -> _End:
        task, why = event["Task Info"], event["Task End Reason"]
        return cls(event["Stage ID"], task["Index"], task["Task ID"], why["Reason"], why.get("Description", ""))

    def is_retry_of(self, other: _End) -> bool:
        return (self.stage, self.task) == (other.stage, other.task) and self.number > other.number


@contextmanager
def _killing(victims: dict[str, Callable[[int], int]]) -> Iterator[tuple[int, list[str]]]:
    """Listen at a port, and kill a victim for the first that reports from each place; gives port and places."""
    killed: list[str] = []

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            process, place = self.rfile.readline().decode().split(maxsplit=1)
            if find := victims.pop(place.strip(), None):
                os.kill(find(int(process)), signal.SIGKILL)
                killed.append(place.strip())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], killed
        finally:
            server.shutdown()
            thread.join()


def _spark_home(folder: Path) -> str:
    """pyspark's own folder by another way, so that the executors of a cluster keep their files in a test's folder."""
    import pyspark

    folder.mkdir()
    for entry in Path(pyspark.__file__).parent.iterdir():
        (folder / entry.name).symlink_to(entry)
    return str(folder)


def test_executors_that_die_are_survived(spark, project, tmp_path, run_cli):
    files = {f"{number:02d}.csv": _raw(number) for number in range(FILES)}
    log = tmp_path / "log"
    log.mkdir()
    on_spark = project(DECLARATION.replace("LOG", str(log)), files, folder="spark")
    on_spark.put("site/sitecustomize.py", HOLD)
    (on_spark.root / "oreflow_plugins.py").write_text(TELL)
    victims = {IN_FIRST_TASK: _executor_of, IN_SECOND_TASK: lambda worker: worker, "silver.sales": _an_executor_below}
    places = list(victims)
    with _killing(victims) as (port, killed):
        env = {
            "TEST_PORT": str(port),
            "PYTHONPATH": str(on_spark.root / "site"),
            "SPARK_HOME": _spark_home(tmp_path / "home"),
            "JAVA_TOOL_OPTIONS": f"{QUICK_START} -Djava.io.tmpdir={tmp_path}",  # the dead do not clean up
        }
        done = run_cli("run", "--engine", "spark", "--json", cwd=on_spark.root, env=env, timeout=300)
    assert done.code == 0, done.out + done.err
    assert sorted(killed) == sorted(places)

    for table in done.json["tables"]:
        placed = table["rows_published"] + table["rows_quarantined"] + table["rows_superseded"]
        assert table["status"] == "published"
        assert table["rows_read"] == placed, table
    on_polars = project(DECLARATION.replace("LOG", str(log)), files, folder="polars")
    on_polars.run_well(engine="polars")
    assert on_spark.tables() == on_polars.tables()
    assert on_spark.state() == on_polars.state()

    told = [json.loads(line) for file in log.glob("*/events_*") for line in file.read_text().splitlines()]
    last = max(place for place, event in enumerate(told) if event["Event"] == "SparkListenerJobEnd")
    assert sum(event["Event"] == "SparkListenerExecutorRemoved" for event in told[:last]) == 2
    ends = [_End.of(event) for event in told if event["Event"] == "SparkListenerTaskEnd"]
    failed = [end for end in ends if end.reason in ("ExecutorLostFailure", "ExceptionFailure")]
    assert "ExecutorLostFailure" in {end.reason for end in failed}
    assert any("Python worker exited unexpectedly" in end.words for end in failed)
    for end in failed:
        assert any(other.reason == "Success" and other.is_retry_of(end) for other in ends), end
