"""Two engines make the same tables of the same pipeline, value for value; and where they do not, it is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import oreflow

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns:
      id: {type: int64}
      shop: {type: string, clean: [trim, empty_to_null]}
      price: {type: "decimal(10,2)"}
      weight: {type: float64}
      at: {type: timestamp}
    deduplicate: exact
    checks:
      - {name: has a shop, type: completeness, column: shop}
      - {name: costs something, type: validity, expression: "price > 0"}
  gold.shops:
    input: silver.sales
    group_by: [shop]
    measures: {n: "count(*)", revenue: "sum(price)", weight: "sum(weight)", last: "max(at)"}
"""
ROWS = {
    "a.csv": "id,shop,price,weight,at\n1,north,1.50,0.1,2026-01-02 03:04:05\n2, south ,2.25,0.2,2026-01-02 03:04\n"
    "2, south ,2.25,0.2,2026-01-02 03:04\n3,,9.99,1e3,2026-01-03T00:00:00.5\n4,north,x,1,2026-01-04 00:00:00\n",
    "b.csv": 'id,shop,price,weight,at\n5,north,0.00,nan,2026-01-05 00:00:00\n6,"we,st",7.10,0.3,2026-02-30 00:00:00\n'
    "broken\n7,north,3.10,0.7,2026-01-06 00:00:00\n",
}
PLANTED = """
import narwhals as nw
import oreflow
from oreflow import Output, Processor, ProcessorMetadata

METADATA = ProcessorMetadata(
    name="planted", version="1.0", description="Does otherwise on Spark", engine="any", supported_stages=["silver"],
    capabilities=["incremental"], option_schema={"properties": {"planted": {"type": "boolean"}}},
)


class Planted(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        if step.engine.metadata.name == "spark":
            wrong = nw.when(nw.col("id") == "3").then(nw.lit("other")).otherwise(nw.col("shop")).alias("shop")
            rows = rows.filter(nw.col("id") != "7").with_columns(wrong)
        number = nw.lit(float("nan" if step.engine.metadata.name == "polars" else 1))
        return Output(rows.with_columns(number=nw.when(nw.col("id") == "5").then(number)), row_by_row=False)
"""


@pytest.fixture
def shop(project, spark):
    return project(DECLARATION, ROWS)


def test_a_pipeline_is_equal_on_both_engines(shop):
    shop.declare(DECLARATION + "lineage: {transport: {type: file, path: lineage.jsonl}}\n")
    found = oreflow.parity(shop.root)
    assert found.equal, [table.differences for table in found.tables]
    assert found.engines == ("polars", "spark")
    assert [(table.table, table.quarantine, table.rows["polars"], table.rows["spark"]) for table in found.tables] == [
        ("bronze.sales", False, 8, 8),
        ("bronze.sales", True, 1, 1),
        ("silver.sales", False, 3, 3),
        ("silver.sales", True, 4, 4),
        ("gold.shops", False, 2, 2),
    ]
    assert not (shop.root / "lake").exists()
    assert not (shop.root / "lineage.jsonl").exists(), "it is no run that anybody has to hear of"


def test_a_planted_difference_is_shown(project, spark, tmp_path):
    declaration = DECLARATION.partition("  silver.sales:")[0] + "  silver.sales: {input: bronze.sales, planted: true}\n"
    shop = project(declaration, ROWS)
    (shop.root / "oreflow_plugins.py").write_text(PLANTED)
    keep = tmp_path / "both"
    found = oreflow.parity(shop.root, keep=keep)
    assert not found.equal
    bronze, _, silver = found.tables
    assert bronze.equal
    assert silver.differing == 5  # a row that is only on polars, and two with another value on each side
    told = " ".join(silver.differences)
    assert "rows published: 8 on polars, 7 on spark" in told
    assert "data/raw/a.csv:5 shop: None on polars, 'other' on spark" in told
    assert "data/raw/b.csv:2 number: nan on polars, 1.0 on spark" in told
    assert "only on polars, 1 x: id '7', shop 'north'" in told
    assert {path.name for path in keep.iterdir()} == {"polars", "spark"}


def test_the_command_says_so_in_json(shop, way_to_this_spark):
    done = shop.cli("parity", "--json", env=way_to_this_spark())
    assert done.code == 0, done.err
    assert json.loads(done.out)["equal"] is True
    assert done.json["tables"][0] == {
        "table": "bronze.sales", "quarantine": False, "rows": {"polars": 8, "spark": 8}, "differing": 0,
        "not_made_on": [], "differences": [], "equal": True,
    }  # fmt: skip


def test_what_an_engine_could_not_make_is_no_difference(shop):
    done = shop.cli("parity", "--json", env={"JAVA_HOME": "/no/java"})
    assert done.code == 1
    bronze, *others = done.json["tables"]
    assert bronze["not_made_on"] == ["spark"]
    (told,) = bronze["differences"]
    assert told.startswith("not made on spark: there is no Java at /no/java")
    assert [table["differences"] for table in others] == [
        ["not made on spark: bronze.sales was not made"], ["not made on spark: silver.sales was not made"],
    ]  # fmt: skip


def test_the_traceback_of_a_fault_is_kept(project, spark):
    declaration = DECLARATION.partition("  silver.sales:")[0] + "  silver.sales: {input: bronze.sales, planted: true}\n"
    shop = project(declaration, ROWS)
    fault = PLANTED.replace("(rows,) = inputs.values()", "return self.nothing_of_the_kind")
    (shop.root / "oreflow_plugins.py").write_text(fault)
    done = shop.cli("parity", "--json", env={"JAVA_HOME": "/no/java"})
    assert done.code == 1
    (reason, _) = done.json["tables"][1]["differences"]
    traceback = Path(reason.rpartition(" ")[2])
    assert "nothing_of_the_kind" in traceback.read_text()
    assert traceback.is_relative_to(done.json["folder"])
    shutil.rmtree(done.json["folder"])


def test_a_comparison_needs_two_engines(project, polars_only, spark):
    shop = project(DECLARATION, ROWS)
    done = shop.cli("parity", python=polars_only)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: two engines are compared, and there is polars - pip install oreflow-spark\n"
    for one_engine in (("polars",), ("polars", "auto"), ("polars", "polars")):
        done = shop.cli("parity", *(f"--engine={name}" for name in one_engine))
        assert done.code == 2
        assert "say two of them" in done.err
    (shop.root / "full").mkdir()
    (shop.root / "full" / "file").touch()
    done = shop.cli("parity", "--keep", "full")
    assert done.code == 2
    assert "is not an empty folder" in done.err
