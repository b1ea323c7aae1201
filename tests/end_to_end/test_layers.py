"""A declaration is laid in layers: base, environment, local, variables; the later wins, key by key."""

from __future__ import annotations

import pytest

BASE = """\
name: retail
lake: ./lake
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
processors: {bronze: {quality_threshold: 0.1}}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}}
"""
FILES = {"a.csv": "id,country\n1,de\n2\n"}  # half of the lines can be read


@pytest.fixture
def shop(project, monkeypatch):
    monkeypatch.delenv("OREFLOW_ENV", raising=False)
    return project(BASE, FILES, name="retail")


def _says(threshold: str) -> str:
    return f"processors: {{bronze: {{quality_threshold: {threshold}}}}}\n"


def _passes(shop, *args, **env) -> bool:
    done = shop.cli("run", "retail", *args, env=env)
    assert done.code in (0, 1), done.err
    assert (done.code == 0) == ("quality gate was not passed" not in done.out)
    return done.code == 0


def test_the_base_layer_alone_decides_where_there_is_no_other(shop):
    assert _passes(shop)


def test_the_layer_of_the_environment_wins_over_the_base(shop):
    shop.put("config/retail.production.yaml", _says("0.9"))
    assert not _passes(shop, "--env", "production")
    assert _passes(shop)


def test_the_environment_can_be_said_by_a_variable(shop):
    shop.put("config/retail.staging.yaml", _says("0.9"))
    assert not _passes(shop, OREFLOW_ENV="staging")


def test_the_local_layer_wins_over_the_environment(shop):
    shop.put("config/retail.production.yaml", _says("0.9"))
    shop.put("config/retail.local.yaml", _says("0.2"))
    assert _passes(shop, "--env", "production")


def test_a_variable_wins_over_every_file(shop):
    shop.put("config/retail.local.yaml", _says("0.2"))
    assert not _passes(shop, RETAIL_PROCESSORS__BRONZE__QUALITY_THRESHOLD="0.9")


def test_a_variable_reaches_a_key_of_a_table_and_a_plain_key(shop):
    assert not _passes(shop, RETAIL_TABLES__BRONZE_SALES__QUALITY_THRESHOLD="0.9")
    assert _passes(shop, RETAIL_LAKE="./pond")
    assert (shop.root / "pond" / "silver" / "sales").is_dir()


def test_a_layer_adds_keys_and_leaves_the_others(shop):
    shop.put("config/retail.local.yaml", "tables:\n  gold.sales: {input: silver.sales, measures: {n: 'count(*)'}}\n")
    assert _passes(shop)
    assert shop.dicts("gold.sales") == [{"n": 1}]


def test_a_mistake_in_a_layer_is_told_with_that_layer_and_its_line(shop):
    shop.put("config/retail.local.yaml", "\nprocessors:\n  bronze:\n    quality_threshold: lots\n")
    done = shop.cli("run", "retail")
    assert done.code == 2
    assert "config/retail.local.yaml:4" in done.err


def test_mistakes_in_several_layers_are_told_at_once(shop):
    shop.put("config/retail.local.yaml", "lakes: x\n")
    shop.put("config/retail.production.yaml", "\ntables: {bronze.sales: {sourc: sales}}\n")
    done = shop.cli("run", "retail", "--env", "production")
    assert done.code == 2
    assert "config/retail.local.yaml:1" in done.err
    assert "config/retail.production.yaml:2" in done.err


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("RETAIL_PROCESORS__BRONZE__QUALITY_THRESHOLD", "0.5", "did you mean PROCESSORS?"),
        ("RETAIL_PROCESSORS__BRONZ__QUALITY_THRESHOLD", "0.5", "did you mean BRONZE?"),
        ("RETAIL_PROCESSORS__BRONZE__QUALITY_THRESHOLD", "lots", "expected a number"),
    ],
)
def test_a_mistake_in_a_variable_names_the_variable(shop, variable, value, part):
    done = shop.cli("run", "retail", env={variable: value})
    assert done.code == 2
    assert variable in done.err
    assert part in done.err


def test_a_variable_that_is_somebody_elses_is_left_alone(shop):
    assert _passes(shop, RETAIL_API_TOKEN="secret")
