"""A Spark Connect server as its user meets it: the same tables, and one line where it cannot be had."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import oreflow

pytestmark = pytest.mark.xdist_group("spark")

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


@pytest.fixture(scope="module")
def client(require):
    """What the client needs besides Spark."""
    for name in ("pyspark", "grpc", "grpc_status", "pandas"):
        mend = 'pip install "oreflow-spark[connect]"'
        require(importlib.util.find_spec(name) is not None, f"{name} is missing: {mend}")


@pytest.fixture(scope="module")
def server(client, require, tmp_path_factory):
    """The address of a server, which has a Spark of its own."""
    require(Path(shutil.which("java") or "/no/java"), "Java is missing: apt-get install openjdk-17-jre-headless")
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
    env = {**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not _answers(port):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.2)
    yield f"sc://127.0.0.1:{port}"
    process.terminate()
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
        done = spark.cli("run", "--engine", "spark", "--json", env={"OREFLOW_SPARK_REMOTE": server})
        assert done.code == 0, done.out + done.err
        assert done.err == ""
        assert {table["engine"] for table in done.json["tables"]} == {"spark"}
        assert not [r for table in done.json["tables"] for r in table["remarks"] if "no effect" in r]
    assert spark.tables() == polars.tables()
    assert spark.state() == polars.state()


def test_a_server_may_be_declared_and_says_what_it_does_not_let_be_set(server, sample):
    project = sample("shop")
    conf = "{spark.sql.shuffle.partitions: 3, spark.executor.memory: 3g}"
    local = f"engines: {{spark: {{remote: '{server}', conf: {conf}}}}}\n"
    (project.root / "config/pipeline.local.yaml").write_text(local)
    done = project.cli("run", "--engine", "spark", "--json", "--table", "bronze.transactions")
    assert done.code == 0, done.out + done.err
    (remarks,) = [table["remarks"] for table in done.json["tables"]]
    assert any("spark.executor.memory 3g has no effect" in remark for remark in remarks)
    assert not any("shuffle" in remark for remark in remarks)


def test_a_server_that_is_not_there_is_one_line_and_soon(client, sample):
    project = sample("shop")
    address = f"sc://127.0.0.1:{_free_port()}"
    done = project.cli("run", "--engine", "spark", env={"OREFLOW_SPARK_REMOTE": address})
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if "cannot be used" in line]
    assert f"the Spark server {address} cannot be used: failed to connect" in line
    assert done.err == ""


USED = """
    from pyspark.sql import SparkSession
    import oreflow
    mine = SparkSession.builder.remote("SERVER").getOrCreate()
    mine.range(3).createOrReplaceTempView("numbers")
    mine.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    report = oreflow.run(".", engine="spark")
    assert report.succeeded, report
    assert mine.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    assert mine.sql("select count(*) from numbers").collect()[0][0] == 3
    assert SparkSession.active() is mine
    print("the session is mine still")
"""


def test_a_session_of_the_user_stays_as_it_is(server, sample):
    project, other = sample("shop"), sample("other")
    (project.root / "use.py").write_text(textwrap.dedent(USED).replace("SERVER", server))
    done = subprocess.run([sys.executable, "use.py"], cwd=project.root, capture_output=True, text=True, check=False)
    assert "the session is mine still" in done.stdout, done.stdout + done.stderr
    other.run_well(engine="polars")
    assert project.state() == other.state()
