"""Settings of engines have their effect, whichever engine it is, or are refused: memory, parallelism, batch_size."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

import oreflow

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
MORE
tables:
  bronze.sales: {source: sales, BRONZE}
  silver.sales: {input: bronze.sales, columns: {id: {type: int64}}, batch_size: 40}
"""
ROWS = "id,name\n" + "".join(f"{number},n{number}\n" for number in range(100))

WATCH = """
import pathlib
import oreflow

@oreflow.hookimpl(wrapper=True)
def run_step(step):
    import polars
    pathlib.Path("threads").write_text(str(polars.thread_pool_size()))
    return (yield)
"""


@pytest.fixture
def shop(project):
    """A project of a hundred rows: shop(more of the declaration, keys of the bronze table)."""

    def make(more="", bronze="batch_size: 30"):
        return project(DECLARATION.replace("MORE", more).replace("BRONZE", bronze), {"a.csv": ROWS})

    return make


def _row_groups(made, table):
    (path,) = made.path(table).glob("*.parquet")
    about = pq.ParquetFile(path).metadata
    return [about.row_group(index).num_rows for index in range(about.num_row_groups)]


def test_batch_size_is_the_most_rows_of_a_row_group(shop):
    made = shop()
    made.run_well()
    assert _row_groups(made, "bronze.sales") == [30, 30, 30, 10]
    assert _row_groups(made, "silver.sales") == [40, 40, 20]


def test_a_stage_may_say_it_for_its_tables(shop):
    made = shop("processors: {bronze: {batch_size: 50, parallelism: 1}}", "")
    made.run_well()
    assert _row_groups(made, "bronze.sales") == [50, 50]


def test_parallelism_is_how_many_threads_the_engine_has(shop):
    made = shop(bronze="parallelism: 3")
    (made.root / "oreflow_plugins.py").write_text(WATCH)
    done = made.cli("run", "--json", anew=True)  # it has its threads where it is imported
    assert done.code == 0, done.err
    assert (made.root / "threads").read_text() == "3"
    assert not [remark for table in done.json["tables"] for remark in table["remarks"]]


WATCH_SPARK = """
import json, pathlib
import oreflow

@oreflow.hookimpl(wrapper=True)
def run_step(step):
    result = yield
    from pyspark.sql import SparkSession
    spark = SparkSession.active()
    pathlib.Path("spark").write_text(json.dumps([spark.sparkContext.master, spark.sparkContext.defaultParallelism]))
    return result
"""


def test_on_spark_they_mean_the_same(shop, spark):
    more = "processors: {bronze: {engine: spark}, silver: {engine: spark}}"
    made = shop(more, "batch_size: 30, parallelism: 1")
    made.put("b.csv", ROWS)
    (made.root / "oreflow_plugins.py").write_text(WATCH_SPARK)
    done = made.cli("run", "--json")
    assert done.code == 0, done.err
    assert json.loads((made.root / "spark").read_text()) == ["local[1]", 1]
    assert sum(_row_groups(made, "bronze.sales")) == 200  # one file, since one task at a time wrote
    assert max(_row_groups(made, "bronze.sales")) == 30
    assert max(_row_groups(made, "silver.sales")) == 40
    assert not [remark for table in done.json["tables"] for remark in table["remarks"]]


def test_what_is_said_too_late_for_a_spark_that_runs_is_remarked_on(shop, spark):
    more = "engines: {spark: {master: 'local[7]', conf: {spark.driver.memory: 5g, spark.sql.shuffle.partitions: 3}}}"
    results = shop(more).run_well(engine="spark")
    remarks = " ".join(results["bronze.sales"].remarks)
    assert "spark.master local[7] has no effect: this Spark has local[2]" in remarks
    assert "spark.driver.memory 5g has no effect" in remarks
    assert "shuffle" not in remarks


def test_parallelism_that_comes_too_late_is_remarked_on(shop):
    made = shop(bronze="parallelism: 97")
    results = made.run_well()  # in this process, which has loaded Polars long ago
    assert any("parallelism 97 has no effect" in remark for remark in results["bronze.sales"].remarks)


@pytest.mark.parametrize(
    ("more", "bronze", "told"),
    [
        ("", "parallelism: 0", "tables.bronze.sales.parallelism"),
        ("", "batch_size: many", "tables.bronze.sales.batch_size"),
        ("engines: {polars: {threads: 4}}", "", "engines.polars.threads: unknown key"),
        ("engines: {spark: {conf: {foo: 1}}}", "", "engines.spark.conf.foo: 'foo' is no name for an entry here"),
        (
            "engines: {spark: {conf: {spark.sql.ansi.enabled: false}}}",
            "",
            "cannot be said here - oreflow sets it, since the meaning of the tables depends on it",
        ),
        ("engines: {spark: {master: 'local[0]'}}", "", "engines.spark.master: 'local[0]' does not fit"),
        ("engines: {spark: {master: lokal}}", "", "engines.spark.master: 'lokal' does not fit"),
        ("engines: {spark: {conf: {spark.driver.memory: 1zz}}}", "", "driver.memory: '1zz' does not fit - memory"),
        ("engines: {duckdb: {}}", "", "engines.duckdb: unknown key"),
        ("engines: {auto: {in_process_up_to: much}}", "", "engines.auto.in_process_up_to"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_line(more, bronze, told, shop):
    done = shop(more, bronze).cli("run")
    assert done.code == 2
    assert "error: config/pipeline.yaml:" in done.err
    assert told in done.err


@pytest.mark.parametrize(
    ("settings", "address", "told"),
    [
        (
            "{master: 'spark://127.0.0.1:9'}",
            "",
            "no Spark master answers at spark://127.0.0.1:9 (engines.spark.master)",
        ),
        ("{}", "http://host:15002", "'http://host:15002' is no address of a Spark Connect server - write sc://"),
    ],
)
def test_a_spark_that_cannot_be_reached_is_one_plain_line(settings, address, told, shop, spark):
    done = shop(f"engines: {{spark: {settings}}}").cli(
        "run", "--engine", "spark", env={"OREFLOW_SPARK_REMOTE": address}
    )
    assert done.code == 1
    assert told in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_the_plan_shows_the_estimate_and_the_limit(shop):
    made = shop("engines: {auto: {in_process_up_to: 1.5 GB}}")
    size = len(ROWS)
    bronze, silver = made.cli("plan", "--json").json["tables"]
    assert bronze["memory"] == {"needed_bytes": 3 * size, "limit_bytes": 1_500_000_000}
    assert f"(about {3 * size / 1000:.1f} kB of 1.5 GB)" in bronze["candidates"][0]["reason"]
    shown = made.cli("plan").out
    assert f"memory: about {3 * size / 1000:.1f} kB for bronze.sales" in shown
    assert shown.endswith("engine: auto works in the process up to 1.5 GB\n")
    made.run_well()
    bronze, silver = made.cli("plan", "--json").json["tables"]
    assert bronze["memory"]["needed_bytes"] == silver["memory"]["needed_bytes"] == 0


def test_what_needs_more_than_the_limit_is_larger_than_memory(shop):
    tables = shop("engines: {auto: {in_process_up_to: 1 kB}}").cli("plan", "--json").json["tables"]
    reason = f"input larger than memory (about {3 * len(ROWS) / 1000:.1f} kB of 1.0 kB)"
    for table in tables:  # also that which is made of what is not there yet
        assert table["engine"] == "spark"
        assert reason in table["reason"]
        assert any(f"{reason}, engine out_of_core" in candidate["reason"] for candidate in table["candidates"])


@pytest.mark.parametrize(
    ("remote", "on_network", "chosen"),
    [
        ("engines: {spark: {remote: 'sc://spark:15002'}}", True, "spark"),
        ("engines: {spark: {master: 'spark://spark:7077'}}", True, "spark"),
        ("engines: {spark: {master: 'local[4]'}}", True, "polars"),
        ("engines: {spark: {remote: 'sc://spark:15002'}}", False, "polars"),
        ("", True, "polars"),
    ],
)
def test_spark_is_chosen_where_the_lake_and_its_session_are_remote(remote, on_network, chosen, shop, monkeypatch):
    # What file system a folder is on, tests/unit/test_mounts.py looks at; a network's is not on every machine.
    monkeypatch.setattr("oreflow.pipeline.plan.on_network", lambda _: on_network)
    planned = oreflow.plan(shop(remote).root)
    assert {table.selection.offer.engine for table in planned} == {chosen}
    assert ("both on other machines" in planned[0].selection.reason) == (chosen == "spark")


def test_a_server_in_the_environment_is_a_remote_session(shop, monkeypatch):
    monkeypatch.setattr("oreflow.pipeline.plan.on_network", lambda _: True)
    monkeypatch.setenv("OREFLOW_SPARK_REMOTE", "sc://spark:15002")
    assert {table.selection.offer.engine for table in oreflow.plan(shop().root)} == {"spark"}
