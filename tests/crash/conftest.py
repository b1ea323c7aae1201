"""Small lakes to crash: a project before its first batch and before its second, and what clean runs make of both."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import oreflow

SECOND_BATCH = {
    "2026-01-08.csv": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "600001,90001,ENAMEL MUG BLUE,6,2026-01-05 08:26:00,2.55,17001.0,United Kingdom\n"  # came in the first batch
        "600017,90005,PAPER STAR LARGE,9,2026-01-08 08:31:00,4.95,17010.0,Netherlands\n"  # a newer version of a key
        "600030,90001,ENAMEL MUG RED,many,2026-01-08 09:00:00,2.55,17003.0,France\n"
        "600031,90002,TIN BOX,3,2026-01-08 09:10:00,3.39,17004.0,Germany\n"
        "600031,90002,TIN BOX,3,2026-01-08 09:10:00,3.39,17004.0,Germany\n"
        "600032,90003,too,many,fields,2,2026-01-08 10:00:00,1.00,17001.0,Spain\n"
    ),
    "2026-01-04.csv": (  # older than what is loaded
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "599990,90004,BEESWAX CANDLE,1,2026-01-04 08:00:00,1.25,,United Kingdom\n"
        "599991,90004,BEESWAX CANDLE,8,2026-01-04 08:05:00,1.25,17002.0,France\n"
        "600001,90001,ENAMEL MUG BLUE,5,2026-01-04 08:26:00,2.55,17001.0,United Kingdom\n"  # an older version of a key
    ),
    "2026-01-09.csv": "",  # cannot be read at all
}
MERGED = """
  silver.latest:
    input: bronze.transactions
    columns:
      invoice_no:   {from: InvoiceNo, type: string}
      stock_code:   {from: StockCode, type: string}
      quantity:     {from: Quantity, type: int64}
      invoice_date: {from: InvoiceDate, type: timestamp, format: "%Y-%m-%d %H:%M:%S"}
    deduplicate: {keys: [invoice_no, stock_code], order_by: [invoice_date], keep: last}
    checks:
      - {name: sold something, type: validity, expression: "quantity > 0"}
"""


@dataclass(frozen=True)
class Scene:
    """A lake as it is before a run, with the tables as readers see them before it and after a clean run."""

    start: Path
    before: dict[Any, Any]
    after: dict[Any, Any]
    seconds: float


@pytest.fixture(scope="session")
def scenes(tmp_path_factory, project_in, start_run) -> dict[str, Scene]:
    folder = tmp_path_factory.mktemp("scenes")
    first = project_in(folder / "empty")
    oreflow.init(first.root)
    declaration = (first.root / "config" / "pipeline.yaml").read_text(encoding="utf-8")
    marts = declaration.index("  # Gold:")
    # The gate of bronze is wide, since the second batch is small and dirty.
    first.declare((declaration[:marts] + MERGED + "\n" + declaration[marts:]).replace("0.9}", "0.5}"))
    good = _clean(first, project_in(folder / "good"), start_run)
    second = project_in(folder / "loaded")
    shutil.copytree(good.project.root, second.root)
    for name, content in SECOND_BATCH.items():
        second.put(name, content)
    better = _clean(second, project_in(folder / "better"), start_run)
    return {
        "empty lake": Scene(first.root, {}, good.project.state(), good.seconds),
        "good tables": Scene(second.root, good.project.state(), better.project.state(), better.seconds),
    }


@dataclass(frozen=True)
class _Clean:
    project: Any
    seconds: float


def _clean(project, copy, start_run) -> _Clean:
    shutil.copytree(project.root, copy.root)
    start = time.perf_counter()
    process = start_run(copy)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return _Clean(copy, time.perf_counter() - start)


@pytest.fixture
def at_start(scenes, tmp_path, project_in) -> Callable[[str, str], Any]:
    """A copy of a scene's lake before its run."""

    def copy(scene: str, name: str) -> Any:
        shutil.copytree(scenes[scene].start, tmp_path / name)
        return project_in(tmp_path / name)

    return copy


@pytest.fixture(scope="session")
def killer(tmp_path_factory) -> Path:
    """A plugin as pip would install it, which kills its process where KILL_AT says; for PYTHONPATH.

    KILL_AT is `TABLE:PHASE`, or `TABLE:writing` while Spark writes. With KILL_BY=SIGSTOP the process stands still there
    instead, to be looked at.
    """
    site = tmp_path_factory.mktemp("site")
    (site / "killer.py").write_text(
        "import os, pathlib, signal\n"
        "from oreflow.hookspecs import hookimpl\n"
        "oreflow_api = 1\n"
        "@hookimpl\n"
        "def step_progressed(table, phase):\n"
        "    if os.environ.get('KILL_AT') == f'{table}:{phase}':\n"
        "        os.kill(os.getpid(), signal.Signals[os.environ.get('KILL_BY', 'SIGKILL')])\n"
        "@hookimpl\n"
        "def tasks_progressed(table):\n"
        "    if any(pathlib.Path('lake', *table.split('.')).glob('.batch-*')):\n"
        "        step_progressed(table, 'writing')\n"
    )
    about = site / "killer-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[oreflow.plugins]\nkiller = killer\n")
    return site


@pytest.fixture
def start_on_spark(way_to_this_spark, killer) -> Callable[..., subprocess.Popen[str]]:
    """A run on Spark as a process of its own with the killer in it; keywords become its variables.

    It has a Spark of its own, or is attached to the one of this process: each start of one takes many seconds.
    """

    def start(project: Any, *, attached: bool, **env: str) -> subprocess.Popen[str]:
        env |= way_to_this_spark() if attached else {}
        paths = [str(killer), env.pop("PYTHONPATH", ""), os.environ.get("PYTHONPATH", "")]
        return subprocess.Popen(
            [sys.executable, "-m", "oreflow", "run", "--engine", "spark"],
            cwd=project.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    return start


@pytest.fixture
def kill_run(killer, request) -> Callable[..., None]:
    """Run a project on an engine in a process of its own, which dies by SIGKILL where it is told to."""

    def kill(project: Any, at: str, engine: str = "polars") -> None:
        if engine == "spark":
            process = request.getfixturevalue("start_on_spark")(project, attached=True, KILL_AT=at)
            out, code = process.communicate(timeout=120)[0], process.returncode
        else:
            done = project.cli("run", env={"PYTHONPATH": str(killer), "KILL_AT": at})
            out, code = done.out + done.err, done.code
        assert code == -signal.SIGKILL, f"it was not killed: {out}"

    return kill


@pytest.fixture
def assert_whole(scenes) -> Callable[[Any, str], None]:
    """A reader sees each table as it was before the run or as it is after it, never anything between."""

    def check(project: Any, scene: str) -> None:
        before, after = scenes[scene].before, scenes[scene].after
        for key in {*before, *after}:
            rows = project.rows(key[0], quarantine=key[1])
            assert rows in (before.get(key, []), after.get(key, [])), f"{key} is half written"

    return check


@pytest.fixture
def assert_recovers(scenes) -> Callable[..., None]:
    """Run again to the end: the lake is that of a clean run, row for row, and nothing staged is left over."""

    def check(project: Any, scene: str, engine: str = "polars") -> None:
        if engine == "spark":
            project.run_well(engine="spark")  # here, where a Spark is started already
        else:
            again = project.cli("run")
            assert again.code == 0, again.out + again.err
        found, wanted = project.state(), scenes[scene].after
        assert set(found) == set(wanted)
        for key in wanted:
            assert found[key] == wanted[key], f"{key} differs from a clean run's"
        assert not _left_over(project)
        files = project.files()
        assert {result.status for result in project.run_well(engine=engine).values()} == {"unchanged"}
        assert project.files() == files

    return check


def _left_over(project: Any) -> list[str]:
    """What lies in a table's folder that no version of the table has: staged files, folders of an engine."""
    from deltalake import DeltaTable

    found = []
    for name, aside in project.tables():
        path = project.path(name, quarantine=aside)
        known = {"_delta_log"}
        for log in (path / "_delta_log").glob("*.json"):
            known |= {part for part in log.read_text().split('"') if part.endswith(".parquet")}
        assert {Path(uri).name for uri in DeltaTable(path).file_uris()} <= known
        found += [str(file) for file in path.iterdir() if file.name not in known]
    return found
