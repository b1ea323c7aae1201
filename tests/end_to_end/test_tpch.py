"""TPC-H on both engines: the example of the documentation, against sums that plain Python makes of the same files.

The generator is deterministic, its answers are exact decimals, and so are these: whole numbers of hundredths.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import oreflow

ROOT = Path(__file__).parents[2]
TABLES = ("lineitem", "orders", "customer", "supplier", "nation", "region")
SCALE = "0.1"


@pytest.fixture(scope="module")
def data(tmp_path_factory, require) -> Path:
    folder = tmp_path_factory.mktemp("tpch")
    generator = Path(sys.executable).with_name("tpchgen-cli")
    require(generator, "the generator of TPC-H is missing: pip install tpchgen-cli")
    subprocess.run(
        [generator, "csv", "-s", SCALE, "--tables", ",".join(TABLES), "-o", folder], check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def both(data, tmp_path_factory, project_in, spark):
    """The example made on both engines, and what the comparison says."""
    project = project_in(tmp_path_factory.mktemp("example") / "tpch")
    shutil.copytree(ROOT / "docs/examples/tpch", project.root)
    (project.root / "data").symlink_to(data)
    keep = project.root / "both"
    found = oreflow.parity(project.root, keep=keep)
    return found, keep


def test_every_table_is_equal_on_both_engines(both):
    found, _ = both
    assert found.equal, [(table.table, table.differences) for table in found.tables if not table.equal]
    assert sum(table.rows["spark"] for table in found.tables if table.table.startswith("silver.")) == 766_602


def _rows(data: Path, table: str) -> Iterator[dict[str, str]]:
    with (data / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _cents(text: str) -> int:
    return int(Decimal(text) * 100)


@pytest.fixture(scope="module")
def by_hand(data):
    """Q1, Q5 and Q6 in whole numbers: sums of 1/100, 1/10,000 and 1/1,000,000."""
    nations = {row["n_nationkey"]: (row["n_name"], row["n_regionkey"]) for row in _rows(data, "nation")}
    (asia,) = [row["r_regionkey"] for row in _rows(data, "region") if row["r_name"] == "ASIA"]
    suppliers = {row["s_suppkey"]: row["s_nationkey"] for row in _rows(data, "supplier")}
    customers = {row["c_custkey"]: row["c_nationkey"] for row in _rows(data, "customer")}
    buyers = {
        row["o_orderkey"]: customers[row["o_custkey"]]
        for row in _rows(data, "orders")
        if "1994-01-01" <= row["o_orderdate"] < "1995-01-01"
    }
    q1: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 6)
    q5: dict[str, int] = defaultdict(int)
    q6 = 0
    for row in _rows(data, "lineitem"):
        quantity, price, discount, tax = (
            _cents(row[f"l_{name}"]) for name in ("quantity", "extendedprice", "discount", "tax")
        )
        net = price * (100 - discount)
        if row["l_shipdate"] <= "1998-09-02":
            sums = q1[row["l_returnflag"], row["l_linestatus"]]
            for place, value in enumerate((quantity, price, net, net * (100 + tax), discount, 1)):
                sums[place] += value
        nation = suppliers[row["l_suppkey"]]
        if buyers.get(row["l_orderkey"]) == nation and nations[nation][1] == asia:
            q5[nations[nation][0]] += net
        if "1994-01-01" <= row["l_shipdate"] < "1995-01-01" and 5 <= discount <= 7 and quantity < 2400:
            q6 += price * discount
    return q1, q5, q6


@pytest.mark.parametrize("engine", ["polars", "spark"])
def test_the_answers_are_exact(engine, both, by_hand):
    _, keep = both
    q1, q5, q6 = by_hand

    def table(name: str) -> list[dict[str, Any]]:
        return pl.read_delta(str(keep / engine / "gold" / name)).to_dicts()

    (found,) = table("q6_revenue_change")
    assert found["revenue"] == Decimal(q6).scaleb(-4)
    assert {row["n_name"]: row["revenue"] for row in table("q5_local_supplier_volume")} == {
        name: Decimal(value).scaleb(-4) for name, value in q5.items()
    }
    summary = {(row["l_returnflag"], row["l_linestatus"]): row for row in table("q1_pricing_summary")}
    assert set(summary) == set(q1)
    for key, (quantity, price, net, charge, discount, count) in q1.items():
        row = summary[key]
        assert row["sum_qty"] == Decimal(quantity).scaleb(-2)
        assert row["sum_base_price"] == Decimal(price).scaleb(-2)
        assert row["sum_disc_price"] == Decimal(net).scaleb(-4)
        assert row["sum_charge"] == Decimal(charge).scaleb(-6)
        assert row["count_order"] == count
        for name, total in (("avg_qty", quantity), ("avg_price", price), ("avg_disc", discount)):
            assert row[name] == pytest.approx(total / 100 / count, rel=1e-12)
