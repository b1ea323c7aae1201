"""A Spark Connect server as its user meets it: the same tables, one line where it cannot be had, nothing left on it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import oreflow

pytestmark = pytest.mark.xdist_group("spark in other tests")

KEYED = """
  silver.latest:
    input: bronze.transactions
    columns: {invoice_no: {from: InvoiceNo, type: string}, quantity: {from: Quantity, type: int64}}
    deduplicate: {keys: [invoice_no], order_by: [quantity]}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Server:
    """A Connect server and what it writes down."""

    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"sc://127.0.0.1:{self.port}"

    def sessions(self) -> set[str]:
        """The sessions that it still has."""
        log = self.log.read_text(encoding="utf-8")
        had = set(re.findall("sessionId: ([-0-9a-f]+) accessed", log))
        return had - set(re.findall("Closing session with .*sessionId: ([-0-9a-f]+)", log))


@pytest.fixture(scope="module")
def client(require):
    """What the client needs besides Spark."""
    for name in ("pyspark", "grpc", "grpc_status", "pandas"):
        mend = 'pip install "oreflow-spark[connect]"'
        require(importlib.util.find_spec(name) is not None, f"{name} is missing: {mend}")


@pytest.fixture(scope="module")
def server(client, require, tmp_path_factory):
    """A server on this machine, which has a Spark of its own."""
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else shutil.which("java")
    require(Path(java or "/no/java"), "Java is missing: apt-get install openjdk-17-jre-headless")
    folder, port = tmp_path_factory.mktemp("server"), _free_port()
    home = Path(importlib.util.find_spec("pyspark").origin).parent
    conf = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": 2,
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.ui.enabled": "false",
    }
    command = [home / "bin" / "spark-submit", "--master", "local[2]"]
    command += [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    env = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not _answers(port):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.2)
    yield Server(port, folder / "log")
    process.kill()  # it may be in a task that does not end
    process.wait(30)


@pytest.fixture
def sample(tmp_path, project_in):
    """The project that `oreflow init` makes, with a merge, a damaged file and one that cannot be read."""

    def make(folder: str):
        oreflow.init(tmp_path / folder)
        project = project_in(tmp_path / folder)
        declaration = (project.root / "config/pipeline.yaml").read_text()
        marts = declaration.index("  # Gold:")
        project.declare(declaration[:marts] + KEYED + "\n" + declaration[marts:])
        project.put("empty.csv", "")
        return project

    return make


def test_the_same_tables_as_on_polars(server, sample):
    polars, spark = sample("polars"), sample("spark")
    for late in (False, True):
        for project in (polars, spark):
            if late:
                days = sorted((project.root / "data/raw").glob("2026*.csv"))
                shutil.copy(days[0], days[0].with_name("2026-02-01.csv"))
        polars.run_well(engine="polars")
        done = spark.cli("run", "--engine", "spark", "--json", env={"OREFLOW_SPARK_REMOTE": server.address})
        assert done.code == 0, done.out + done.err
        assert done.err == ""
        assert {table["engine"] for table in done.json["tables"]} == {"spark"}
        assert not [r for table in done.json["tables"] for r in table["remarks"] if "no effect" in r]
    assert spark.tables() == polars.tables()
    assert spark.state() == polars.state()
    assert not server.sessions()


MANY = """
name: many
sources: {days: {path: "./data/raw/*.csv", format: csv}}
engines: {spark: {remote: "SERVER", conf: CONF}}
tables:
  bronze.days: {source: days, parallelism: 1, quality_threshold: 0.5}
"""


def test_a_server_may_be_declared_and_settings_have_their_effect_or_a_remark(server, project):
    conf = (
        "{spark.sql.ui.explainMode: simple, spark.executor.memory: 3g, spark.sql.hive.thriftServer.singleSession: on}"
    )
    days = {f"{day:03}.csv": "a,b\n1,2\n3,4\n5,6,7\n" for day in range(130)}  # which Spark would read by three tasks
    made = project(MANY.replace("SERVER", server.address).replace("CONF", conf), days)
    done = made.cli("run", "--engine", "spark", "--json")
    assert done.code == 0, done.out + done.err
    (table,) = done.json["tables"]
    assert (table["rows_published"], table["rows_quarantined"]) == (260, 130)
    for quarantine in (False, True):
        assert len(list(made.path("bronze.days", quarantine=quarantine).glob("*.parquet"))) == 1
    assert table["remarks"] == [
        "spark.executor.memory 3g has no effect: this Spark has another one",
        "spark.sql.hive.thriftServer.singleSession true has no effect: this Spark has false",
    ]


def test_a_value_that_spark_does_not_take_is_one_line(server, sample):
    project = sample("shop")
    local = f"engines: {{spark: {{remote: '{server.address}', conf: {{spark.sql.shuffle.partitions: many}}}}}}\n"
    (project.root / "config/pipeline.local.yaml").write_text(local)
    done = project.cli("run", "--engine", "spark")
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if "failed  " in line and line.startswith("!")]
    assert "spark.sql.shuffle.partitions cannot be many: The value 'many'" in line
    assert "stacktrace" not in line
    assert done.err == ""


@pytest.mark.parametrize("variable", ["OREFLOW_SPARK_REMOTE", "SPARK_REMOTE"])
def test_a_server_that_is_not_there_is_one_line_and_soon(variable, client, sample):
    project = sample("shop")
    address = f"sc://127.0.0.1:{_free_port()}"
    begin = time.monotonic()
    done = project.cli("run", "--engine", "spark", env={variable: f"{address}/;token=mysecret"})
    assert time.monotonic() - begin < 20
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if "does not answer" in line]
    assert f"the Spark server {address} does not answer: Failed to connect to remote host: Connection refused" in line
    assert "mysecret" not in done.out
    assert done.err == ""


@pytest.mark.parametrize("package", ["pandas", "grpc"])
def test_without_the_packages_of_the_client_there_is_one_line(package, require, sample, tmp_path):
    require(importlib.util.find_spec("pyspark") is not None, "pyspark is missing: pip install oreflow-spark")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules['{package}'] = None\n")
    env = {"OREFLOW_SPARK_REMOTE": f"sc://127.0.0.1:{_free_port()}", "PYTHONPATH": str(tmp_path)}
    done = sample("shop").cli("run", "--engine", "spark", env=env)
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if "pip install" in line]
    assert 'Spark Connect needs more packages: pip install "oreflow-spark[connect]" (' in line
    assert done.err == ""


USED = """
    from pyspark.sql import SparkSession
    import oreflow
    mine = SparkSession.builder.remote("SERVER").getOrCreate()
    mine.range(3).createOrReplaceTempView("numbers")
    mine.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    report = oreflow.run(".", engine="spark", tables=["bronze.transactions", "silver.transactions"])
    assert report.succeeded, report
    assert mine.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    assert mine.sql("select count(*) from numbers").collect()[0][0] == 3
    assert SparkSession.active() is mine
    print("the session is mine still:", mine.session_id)
"""


def test_a_session_of_the_user_stays_as_it_is(server, sample):
    project, other = sample("shop"), sample("other")
    before = server.sessions()
    (project.root / "use.py").write_text(textwrap.dedent(USED).replace("SERVER", server.address))
    done = subprocess.run([sys.executable, "use.py"], cwd=project.root, capture_output=True, text=True, check=False)
    assert "the session is mine still" in done.stdout, done.stdout + done.stderr
    assert server.sessions() - before == {done.stdout.split()[-1]}
    other.run_well(engine="polars", tables=["bronze.transactions", "silver.transactions"])
    assert project.state() == other.state()


FORGET = """
    import os
    import oreflow

    @oreflow.hookimpl
    def step_progressed(phase):
        if phase == "processed" and os.environ.get("FORGET"):
            from pyspark.sql import SparkSession
            from pyspark.sql.connect.client import SparkConnectClient
            session = SparkSession.active().session_id
            SparkConnectClient(os.environ["OREFLOW_SPARK_REMOTE"] + f"/;session_id={session}").release_session()
"""
AGAIN = """
    import os
    import oreflow
    from pyspark.sql import SparkSession

    def run(address, **variables):
        os.environ.update(variables, OREFLOW_SPARK_REMOTE=address)
        (table,) = oreflow.run(".", engine="spark", tables=["bronze.transactions"]).tables
        print(table.status, table.reason)
        assert SparkSession.getActiveSession() is None

    run("NOBODY")
    run("SERVER", FORGET="1")
    run("SERVER", FORGET="")
"""


def test_after_a_run_that_lost_its_server_the_process_can_run_again(server, sample):
    project, before = sample("shop"), server.sessions()
    (project.root / "oreflow_plugins.py").write_text(textwrap.dedent(FORGET))
    nobody = f"sc://127.0.0.1:{_free_port()}"
    script = textwrap.dedent(AGAIN).replace("SERVER", server.address).replace("NOBODY", nobody)
    (project.root / "again.py").write_text(script)
    done = subprocess.run([sys.executable, "again.py"], cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, third = done.stdout.splitlines()
    assert f"failed the Spark server {nobody} does not answer" in first
    assert "failed the Spark server has ended the session, or was started anew: run again" in second
    assert third.startswith("published")
    assert done.stderr == ""
    assert server.sessions() == before


@dataclass
class Wire:
    """A way to a server that can be cut."""

    port: int
    ends: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ends.append(self.listener)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"sc://127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                there = socket.create_connection(("127.0.0.1", self.port))
                self.ends += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)

    def cut(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


STOP = """
    import pathlib
    import time
    import oreflow

    @oreflow.hookimpl
    def step_progressed(table, phase):
        if (table, phase) == ("silver.transactions", "processed"):
            pathlib.Path("here").touch()
            deadline = time.monotonic() + 60
            while pathlib.Path("here").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
"""


def test_a_server_that_goes_away_is_one_line_for_each_table_and_waited_for_once(server, sample, start_run):
    project, wire = sample("shop"), Wire(server.port)
    project.run_well(engine="polars", tables=["bronze.transactions"])
    (project.root / "oreflow_plugins.py").write_text(textwrap.dedent(STOP))
    (project.root / "config/pipeline.local.yaml").write_text("processors: {silver: {engine: spark}}\n")
    run = start_run(project, OREFLOW_SPARK_REMOTE=wire.address)
    while not (project.root / "here").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    wire.cut()
    (project.root / "here").unlink()
    begin = time.monotonic()
    said, _ = run.communicate(timeout=90)
    assert time.monotonic() - begin < 25  # of 15 that an outage may last
    assert run.returncode == 1
    lines = [line for line in said.splitlines() if line.startswith("!")]
    assert [line.split()[1] for line in lines] == ["silver.transactions", "silver.latest"]
    for line in lines:
        assert "does not answer: Failed to connect to remote host: Connection refused (declared in" in line
    assert not [word for word in ("Warning", "Traceback", "traceback") if word in said]
    assert project.version("silver.transactions") is None
    (project.root / "oreflow_plugins.py").unlink()
    project.run_well(engine="polars")


# The last one, since a server may go on with what it has been told to leave: Spark's own code for a join does not look
# up until it is through.
def test_ctrl_c_gives_the_session_back(server, sample, never_ending):
    project, before = sample("shop"), server.sessions()
    never_ending(project)
    env = {"OREFLOW_SPARK_REMOTE": server.address}
    done = project.cli("run", "--engine", "spark", "--table", "gold.endless", env=env)
    assert (done.code, done.err.strip()) == (130, "interrupted")
    assert server.sessions() == before
