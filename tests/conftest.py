"""What every kind of test may need: projects, the command line as a real process, tables as a reader sees them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from forked import Server

import oreflow
from oreflow.factory import discovery

ROOT = Path(__file__).parent.parent
NOT_IN_PROJECT = ("_ingested_at",)
# For each Spark that a test starts. Of small data the compiling is what takes long: the first of Java's compilers, and
# its simplest collector, will do. With that compiler alone Java keeps 48 MB for what was compiled: after some hundred
# plans it would throw away and compile anew for ever.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m")


@pytest.fixture(scope="session")
def require() -> Callable[[Path | bool, str], None]:
    """Skip a test whose ground is missing; with OREFLOW_REQUIRE_ALL=1 that is a failure, so that CI skips nothing."""

    def check(ground: Path | bool, reason: str) -> None:
        if ground.exists() if isinstance(ground, Path) else ground:
            return
        if os.environ.get("OREFLOW_REQUIRE_ALL") == "1":
            pytest.fail(f"required, but {reason}")
        pytest.skip(reason)

    return check


@pytest.fixture(scope="session")
def spark(require: Callable[[Path | bool, str], None]) -> None:
    """A small Spark session for the whole test process, which the engine finds there; without Spark, a skip."""
    require(importlib.util.find_spec("pyspark") is not None, "pyspark is missing: pip install oreflow-spark")
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else shutil.which("java")
    require(Path(java or "/no/java"), "Java is missing: apt-get install openjdk-17-jre-headless")
    from oreflow_spark.session import session

    conf = {"spark.sql.shuffle.partitions": 2, "spark.driver.memory": "3g", "spark.sql.ui.retainedExecutions": 5}
    # What it remembers of thousands of small jobs would fill its memory.
    conf |= {"spark.ui.retainedJobs": 20, "spark.ui.retainedStages": 20, "spark.ui.retainedTasks": 100}
    session({"master": "local[2]", "conf": conf})


@pytest.fixture(scope="session")
def postgres(require: Callable[[Path | bool, str], None]) -> Iterator[Any]:
    """A real PostgreSQL for the whole test process, a `servers.Postgres`; its password is in LEDGER_PASSWORD."""
    require(importlib.util.find_spec("psycopg") is not None, 'psycopg is missing: pip install "psycopg[binary]"')
    from servers import Postgres

    require(Postgres.binary("initdb") is not None, "PostgreSQL is missing: apt-get install postgresql")
    # A folder that is not root's alone, as the server is not to be.
    with tempfile.TemporaryDirectory(prefix="oreflow-postgresql-") as folder, pytest.MonkeyPatch.context() as patch:
        made = Postgres(Path(folder))
        patch.setenv("LEDGER_PASSWORD", made.password)
        try:
            yield made.start()
        finally:
            made.stop()


# A driver in a Spark that is running already: each start of one takes many seconds.
ATTACHED = """
import os

if "PYSPARK_GATEWAY_PORT" in os.environ:
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    gateway = launch_gateway()
    running = gateway.jvm.org.apache.spark.SparkContext.getOrCreate()
    SparkSession(SparkContext(gateway=gateway, jsc=gateway.jvm.org.apache.spark.api.java.JavaSparkContext(running)))
"""


@pytest.fixture(scope="session")
def way_to_this_spark(spark: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, str]]:
    """The variables by which a Python process works in the Spark of this one, as in a session of its user's."""
    site = tmp_path_factory.mktemp("attached")
    (site / "sitecustomize.py").write_text(ATTACHED, encoding="utf-8")

    def variables() -> dict[str, str]:
        from pyspark.sql import SparkSession

        session = SparkSession.active()
        session.catalog.clearCache()  # what a driver that died kept would have gone with its own Spark
        gateway = session.sparkContext._gateway.gateway_parameters
        return {
            "PYSPARK_GATEWAY_PORT": str(gateway.port),
            "PYSPARK_GATEWAY_SECRET": gateway.auth_token,
            "PYSPARK_PYTHON": sys.executable,
            "PYTHONPATH": str(site),
        }

    return variables


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several test processes one does all that needs Spark in one half of the tests, so that few are started."""
    for item in items if config.pluginmanager.hasplugin("xdist") else ():
        if "spark" in item.name.partition("[")[2] or "spark" in getattr(item, "fixturenames", ()):
            half = "contract" if "contract" in item.path.parts else "other"
            item.add_marker(pytest.mark.xdist_group(f"spark in {half} tests"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Published data sets, kept beside the repository."""
    return ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Project:
    """A project's folder, driven through the public face and read as any Delta reader would read it."""

    root: Path
    name: str = "pipeline"

    # What lies in it

    def declare(self, text: str) -> None:
        (self.root / "config").mkdir(parents=True, exist_ok=True)
        (self.root / "config" / f"{self.name}.yaml").write_text(text, encoding="utf-8")

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.root / name if "/" in name else self.root / "data" / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    # What is done with it

    def cli(self, *args: str, **options: Any) -> Finished:
        """`oreflow` as a real process in the project's folder: cli("run", env=..., python=..., anew=...)."""
        return _cli(*args, cwd=self.root, **options)

    def run(self, **options: Any) -> oreflow.RunReport:
        return oreflow.run(self.root, self.name, **options)

    def run_well(self, **options: Any) -> dict[str, oreflow.TableResult]:
        """Run, and find that it succeeded and that every account balances."""
        report = self.run(**options)
        results = {result.table: result for result in report.tables}
        assert report.succeeded, {name: result.reason for name, result in results.items()}
        for result in results.values():
            placed = result.rows_published + result.rows_quarantined + result.rows_superseded
            assert result.rows_read == placed, result
        return results

    # What has become of it

    def path(self, table: str, *, quarantine: bool = False) -> Path:
        return self.root / "lake" / ("_quarantine" if quarantine else "") / table.replace(".", "/")

    def rows(self, table: str, *without: str, quarantine: bool = False) -> list[tuple[Any, ...]]:
        """The rows in an order of their own, as tuples of (column, value) without `_ingested_at`."""
        path = self.path(table, quarantine=quarantine)
        if not DeltaTable.is_deltatable(str(path)):
            return []
        dropped = {*NOT_IN_PROJECT, *without}
        frame = pl.read_delta(str(path))
        frame = frame.select(sorted(column for column in frame.columns if column not in dropped))
        rows = [tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in row.items()) for row in frame.to_dicts()]
        return sorted(rows, key=repr)

    def dicts(self, table: str, *without: str, quarantine: bool = False) -> list[dict[str, Any]]:
        return [dict(row) for row in self.rows(table, *without, quarantine=quarantine)]

    def version(self, table: str, *, quarantine: bool = False) -> int | None:
        path = self.path(table, quarantine=quarantine)
        return DeltaTable(path).version() if DeltaTable.is_deltatable(str(path)) else None

    def tables(self) -> list[tuple[str, bool]]:
        """Every Delta table of the lake: its name, and whether it is a quarantine."""
        lake = self.root / "lake"
        found = []
        for log in sorted(lake.rglob("_delta_log")):
            parts = log.parent.relative_to(lake).parts
            found.append((".".join(parts[-2:]), parts[0] == "_quarantine"))
        return found

    def state(self, *without: str) -> dict[tuple[str, bool], list[tuple[Any, ...]]]:
        """All rows of all tables; a table without rows counts as none."""
        rows = {(name, aside): self.rows(name, *without, quarantine=aside) for name, aside in self.tables()}
        return {key: value for key, value in rows.items() if value}

    def files(self) -> dict[str, int]:
        """Every file of the lake but the history of runs, with the moment of its last change."""
        lake = self.root / "lake"
        return {
            str(file.relative_to(lake)): file.stat().st_mtime_ns
            for file in lake.rglob("*")
            if file.is_file() and not file.is_relative_to(lake / "_oreflow" / "runs") and file.suffix != ".lock"
        }


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    """Make a project: its declaration, and its raw files by name (data/raw/ where no folder is said)."""

    def make(
        declaration: str,
        files: Mapping[str, str | bytes] | None = None,
        *,
        name: str = "pipeline",
        folder: str = "project",
    ) -> Project:
        made = Project(tmp_path / folder, name)
        made.declare(declaration)
        (made.root / "data" / "raw").mkdir(parents=True, exist_ok=True)
        for file, content in (files or {}).items():
            made.put(file, content)
        return made

    return make


@pytest.fixture(scope="session")
def project_in() -> type[Project]:
    """For fixtures that outlive a test, and folders that are projects already: project_in(folder, name)."""
    return Project


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process with some more; what goes onto PYTHONPATH goes before what is there."""
    merged = {**os.environ, **more}
    merged.pop(
        "COLUMNS", None
    )  # pytest-xdist sets it; where it is not set, output that nobody reads along is not folded
    if "PYTHONPATH" in more and os.environ.get("PYTHONPATH"):
        merged["PYTHONPATH"] = os.pathsep.join([more["PYTHONPATH"], os.environ["PYTHONPATH"]])
    return merged


@cache
def _server() -> Server:
    """What forks the processes of the command line off; one for each test process."""
    return Server()


def _cli(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    python: str | Path = sys.executable,
    anew: bool = False,
) -> Finished:
    """`oreflow` as a real process; `anew`: not even what is imported was there before it."""
    variables = _environment(env or {})
    if not anew and python == sys.executable and hasattr(os, "fork") and _server().may_run(variables):
        done = _server().run(*args, cwd=cwd, env=variables, timeout=timeout)
    else:
        command = [python, "-m", "oreflow", *args]
        options: dict[str, Any] = {"capture_output": True, "text": True, "encoding": "utf-8", "timeout": timeout}
        done = subprocess.run(command, cwd=cwd, env=variables, check=False, **options)
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def polars_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment as `pip install "oreflow[polars]"` makes it: this one's packages without Spark's."""
    folder = tmp_path_factory.mktemp("polars-only") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    for here in dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]):
        for entry in Path(here).iterdir():
            if "oreflow_spark" not in entry.name and not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    command = folder / "bin" / "oreflow"
    command.write_text(f"#!{python}\nfrom oreflow.cli import main\nmain()\n", encoding="utf-8")
    command.chmod(0o755)
    return python


@pytest.fixture
def without_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if oreflow-spark were not installed in this process."""
    real = discovery.entry_points

    def entry_points(**wanted: Any) -> list[EntryPoint]:
        return [point for point in real(**wanted) if point.name != "spark"]

    monkeypatch.setattr(discovery, "entry_points", entry_points)
    monkeypatch.setattr("oreflow.factory.registry._factories", {})


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., Finished]:
    """`oreflow` as a real process: run_cli("run", "--json", cwd=..., env=...)."""
    return _cli


@pytest.fixture(scope="session")
def start_run() -> Callable[..., subprocess.Popen[str]]:
    """`oreflow run` in a project as a process that goes on by itself; keywords become its variables."""

    def start(project: Project, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "oreflow", "run"],
            cwd=project.root,
            env=_environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    return start


@pytest.fixture
def fresh_factory(monkeypatch: pytest.MonkeyPatch) -> oreflow.ProcessorFactory:
    """The factory of this process, made anew, so that what a test registers is gone after it."""
    monkeypatch.setattr("oreflow.factory.registry._factories", {})
    return oreflow.get_processor_factory()
