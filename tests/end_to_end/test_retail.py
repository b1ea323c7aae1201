"""The main job: 95 days of real retail files give exactly the published figures, however they arrive.

The declaration is the one of the issue, word for word; the figures are those of the data set's own
reference.json, which was computed without oreflow.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

import oreflow

DECLARATION = """
name: retail
description: Online retail transactions, from raw files to sales marts
lake: ./lake                             # where tables live; relative to the project
sources:
  transactions: {path: "./data/raw/*.csv", format: csv}
processors:                              # defaults of each stage; a table may override any key
  bronze: {engine: auto, quality_threshold: 0.95}
  silver: {engine: auto, enable_deduplication: true}
  gold:   {engine: auto}
tables:
  bronze.transactions: {source: transactions}
  silver.transactions:
    input: bronze.transactions
    columns:
      invoice_no:   {from: InvoiceNo, type: string}
      stock_code:   {from: StockCode, type: string}
      description:  {from: Description, type: string, clean: [trim]}
      quantity:     {from: Quantity, type: int64}
      invoice_date: {from: InvoiceDate, type: timestamp, format: "%Y-%m-%d %H:%M:%S"}
      unit_price:   {from: UnitPrice, type: "decimal(18,3)"}
      customer_id:  {from: CustomerID, type: int64}       # '17850.0' is the integer 17850; '17850.5' is a cast failure
      country:      {from: Country, type: string}
    deduplicate: exact                   # or {keys: [...], order_by: [...], keep: last}
    checks:
      - {name: customer known,     type: completeness, column: customer_id}
      - {name: sold something,     type: validity, expression: "quantity > 0"}
      - {name: has a price,        type: validity, expression: "unit_price > 0"}
      - {name: has a description,  type: completeness, column: description}
      - {name: invoice number,     type: validity, column: invoice_no, pattern: "^C?[0-9]{6}$"}
  gold.sales_by_day:
    input: silver.transactions
    group_by: {day: "cast(invoice_date as date)"}
    measures: {revenue: "sum(quantity * unit_price)", customers: "count(distinct customer_id)"}
  gold.sales_by_country:
    input: silver.transactions
    group_by: [country]
    measures: {revenue: "sum(quantity * unit_price)", invoices: "count(distinct invoice_no)"}
  gold.customer_rfm:
    inputs: [silver.transactions]
    sql: |
      select customer_id, max(invoice_date) as last_purchase, count(distinct invoice_no) as frequency,
             sum(quantity * unit_price) as monetary
      from silver.transactions group by customer_id
"""
RULES = {
    "customer known": "customer_id_null",
    "sold something": "quantity_le_0",
    "has a price": "unit_price_le_0",
    "has a description": "description_null",
    "invoice number": "invoice_no_pattern",
}
TABLES = ("silver.transactions", "gold.sales_by_day", "gold.sales_by_country", "gold.customer_rfm")
CHUNK = 8


@pytest.fixture(scope="module")
def days(require, shared_data) -> list[Path]:
    folder = shared_data / "online_retail" / "by-day"
    require(folder, f"the data set {folder} is missing")
    found = sorted(folder.glob("*.csv"))
    assert len(found) == 95
    return found


@pytest.fixture(scope="module")
def reference(days) -> SimpleNamespace:
    return SimpleNamespace(**json.loads((days[0].parent.parent / "reference.json").read_text()))


def _arrive(project, files) -> None:
    for file in files:
        shutil.copy(file, project.root / "data" / "raw" / file.name)


def _add_up(total: dict[str, Counter[str]], results) -> None:
    for name, result in results.items():
        for kind in ("read", "published", "quarantined", "superseded"):
            total[name][kind] += getattr(result, f"rows_{kind}")


def _contents(project):
    without = ("_batch_id",)
    return {name: project.rows(name, *without) for name in TABLES} | {
        "quarantine": project.rows("silver.transactions", *without, quarantine=True)
    }


@pytest.fixture
def empty(tmp_path, project_in):
    project = project_in(tmp_path, "retail")
    project.declare(DECLARATION)
    (project.root / "data" / "raw").mkdir(parents=True)
    return project


@pytest.fixture(scope="module")
def compared(days, tmp_path_factory, project_in, spark):
    """All days on both engines, and what the comparison says; with a project around the lake that Spark made."""
    project = project_in(tmp_path_factory.mktemp("compared"), "retail")
    project.declare(DECLARATION)
    (project.root / "data" / "raw").mkdir(parents=True)
    _arrive(project, days)
    found = oreflow.parity(project.root, "retail", keep=project.root / "both")
    (project.root / "both" / "spark").rename(project.root / "lake")
    return found, project


@pytest.fixture(scope="module")
def on_polars(days, tmp_path_factory, project_in):
    """All days in one run on Polars: the project, what the run says, and what is in the tables."""
    project = project_in(tmp_path_factory.mktemp("retail"), "retail")
    project.declare(DECLARATION)
    (project.root / "data" / "raw").mkdir(parents=True)
    _arrive(project, days)
    results = project.run_well(engine="polars")
    return project, results, _contents(project)


@pytest.fixture(scope="module", params=["polars", "spark"])
def in_one_run(request):
    if request.param == "polars":
        return request.getfixturevalue("on_polars")
    _, project = request.getfixturevalue("compared")
    (report,) = oreflow.runs(project.root, pipeline="retail")
    return project, {result.table: result for result in report.tables}, _contents(project)


def test_both_engines_make_the_same_tables(compared, reference):
    found, _ = compared
    assert found.equal, [table.differences for table in found.tables if not table.equal]
    rows = {(table.table, table.quarantine): table.rows["spark"] for table in found.tables}
    assert rows["silver.transactions", True] == reference.deduplicated["quarantined_rows_any_rule"]
    assert len(rows) == 6


def test_every_row_of_95_days_is_published_quarantined_or_superseded(in_one_run, reference):
    _, results, _ = in_one_run
    bronze, silver = results["bronze.transactions"], results["silver.transactions"]
    wanted = reference.deduplicated
    assert (bronze.rows_read, bronze.rows_published) == (reference.rows, reference.rows)
    assert (bronze.rows_quarantined, bronze.rows_superseded) == (0, 0)
    assert silver.rows_read == reference.rows
    assert silver.rows_superseded == reference.exact_duplicate_rows
    assert silver.rows_published == wanted["clean_rows"]
    assert silver.rows_quarantined == wanted["quarantined_rows_any_rule"]
    assert silver.quality_score == pytest.approx(wanted["clean_rows"] / wanted["rows"])


def test_bronze_has_every_row_of_every_file_at_its_line(in_one_run, reference):
    project, _, _ = in_one_run
    rows = project.dicts("bronze.transactions")
    lines = defaultdict(list)
    for row in rows:
        lines[row["_source_file"].removeprefix("data/raw/")].append(row["_source_row"])
    assert {name: len(found) for name, found in lines.items()} == reference.rows_per_file
    assert all(sorted(found) == list(range(2, len(found) + 2)) for found in lines.values())
    nulls = {column: sum(row[column] is None for row in rows) for column in reference.nulls}
    assert nulls == reference.nulls
    assert {type(row[column]) for row in rows for column in reference.nulls} <= {str, type(None)}


def test_the_quarantine_has_as_many_rows_of_each_rule_as_the_reference(in_one_run, reference):
    project, results, _ = in_one_run
    rows = project.dicts("silver.transactions", quarantine=True)
    found = Counter(rule for row in rows for rule in row["_rules"])
    wanted = {rule: reference.deduplicated["violations"][name] for rule, name in RULES.items()}
    assert {rule: found[rule] for rule in RULES} == wanted
    assert set(found) <= set(RULES)
    assert results["silver.transactions"].rules == {rule: count for rule, count in wanted.items() if count}
    assert len(rows) == reference.deduplicated["quarantined_rows_any_rule"]


def test_revenue_is_exact_to_the_penny_by_month_and_by_country(in_one_run, reference):
    project, _, _ = in_one_run
    wanted = reference.deduplicated
    by_day = project.dicts("gold.sales_by_day")
    by_month: dict[str, Decimal] = defaultdict(Decimal)
    for row in by_day:
        by_month[f"{row['day']:%Y-%m}"] += row["revenue"]
    assert by_month == {month: Decimal(revenue) for month, revenue in wanted["clean_revenue_by_month"].items()}
    assert sum(by_month.values()) == Decimal(wanted["clean_revenue"]) == Decimal("2178690.72")
    countries = {row["country"]: row["revenue"] for row in project.dicts("gold.sales_by_country")}
    top = sorted(countries.items(), key=lambda item: -item[1])[:10]
    assert top == [(country, Decimal(revenue)) for country, revenue in wanted["clean_top10_countries"]]
    assert sum(countries.values()) == Decimal(wanted["clean_revenue"])


def test_revenue_is_exact_row_by_row_against_plain_python(in_one_run):
    project, _, _ = in_one_run
    rows = project.dicts("silver.transactions")
    revenue: dict[str, Decimal] = defaultdict(Decimal)
    invoices = defaultdict(set)
    for row in rows:
        revenue[row["country"]] += row["quantity"] * row["unit_price"]
        invoices[row["country"]].add(row["invoice_no"])
    assert {row["country"]: (row["revenue"], row["invoices"]) for row in project.dicts("gold.sales_by_country")} == {
        country: (total, len(invoices[country])) for country, total in revenue.items()
    }


def test_customers_and_invoices_are_counted_once_each(in_one_run, reference):
    project, _, _ = in_one_run
    wanted = reference.deduplicated
    rfm = project.dicts("gold.customer_rfm")
    assert len(rfm) == len({row["customer_id"] for row in rfm}) == wanted["clean_distinct_customers"]
    silver = project.dicts("silver.transactions")
    assert len({row["invoice_no"] for row in silver}) == wanted["clean_distinct_invoices"]
    assert sum(row["monetary"] for row in rfm) == Decimal(wanted["clean_revenue"])
    assert sum(row["frequency"] for row in rfm) == wanted["clean_distinct_invoices"]


def test_a_second_run_changes_nothing(in_one_run):
    project, _, _ = in_one_run
    before = project.files()
    results = project.run_well()
    assert {result.status for result in results.values()} == {"unchanged"}
    assert project.files() == before


@pytest.fixture
def wanted(on_polars):
    """The tables that the days make in one run."""
    return on_polars[2]


def test_95_runs_of_a_day_each_give_the_tables_of_one_run(empty, days, wanted, reference):
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for day in days:
        _arrive(empty, [day])
        _add_up(total, empty.run_well(engine="polars"))
    _same(empty, total, wanted, reference)


def test_days_that_arrive_in_reverse_give_the_tables_of_one_run(empty, days, wanted, reference):
    total: dict[str, Counter[str]] = defaultdict(Counter)
    late = days[::-1]
    for start in range(0, len(late), CHUNK):
        _arrive(empty, late[start : start + CHUNK])
        _add_up(total, empty.run_well(engine="polars"))
    _same(empty, total, wanted, reference)


@pytest.mark.parametrize("engines", [("spark",), ("polars", "spark")], ids="-".join)
def test_ten_runs_of_a_day_each_on_these_engines_in_turn_give_the_tables_of_one_run(
    engines, empty, days, tmp_path_factory, project_in, spark
):
    ten = days[:10]
    whole = project_in(tmp_path_factory.mktemp("ten"), "retail")
    whole.declare(DECLARATION)
    (whole.root / "data" / "raw").mkdir(parents=True)
    _arrive(whole, ten)
    wanted = whole.run_well(engine="polars")
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for number, day in enumerate(ten):
        _arrive(empty, [day])
        results = empty.run_well(engine=engines[number % len(engines)])
        assert {result.engine for result in results.values()} == {engines[number % len(engines)]}
        _add_up(total, results)
    assert _contents(empty) == _contents(whole)
    for name in ("bronze.transactions", "silver.transactions"):
        for kind in ("read", "published", "quarantined", "superseded"):
            assert total[name][kind] == getattr(wanted[name], f"rows_{kind}")


CHAOS = """
seed: 11
faults:
  - {fault: exception, rate: 0.05, error: connection_reset}
  - {fault: exception, rate: 0.05, error: timeout, when: after}
  - {fault: latency, rate: 0.1, delay: 0.001}
  - {fault: corrupt_file, resource: "*.*", rate: 0.1}
"""
PATIENT = """
resilience:
  defaults: {retry: {max_attempts: 8, base: 1ms, cap: 10ms}, breaker: false}
"""


@pytest.mark.parametrize("engine", ["polars", "spark"])
def test_a_tenth_of_all_calls_failing_changes_no_row(engine, empty, days, wanted, reference, request):
    """Before and after the work was done, and files that are cut off; each day's batches are published once."""
    if engine == "spark":
        request.getfixturevalue("spark")
    empty.declare(DECLARATION + PATIENT)
    empty.put("config/chaos.yaml", CHAOS)
    chunk = 5 if engine == "polars" else 48
    total: dict[str, Counter[str]] = defaultdict(Counter)
    failed: Counter[str] = Counter()
    for start in range(0, len(days), chunk):
        _arrive(empty, days[start : start + chunk])
        report = empty.run(engine=engine, chaos=empty.root / "config/chaos.yaml")
        assert report.succeeded, {table.table: table.reason for table in report.tables}
        _add_up(total, {table.table: table for table in report.tables})
        failed.update({use["kind"]: use["retries"] for use in report.resources})
    _same(empty, total, wanted, reference)
    assert set(failed) == {"source", "table", "lake"}
    assert all(failed.values()) if engine == "polars" else sum(failed.values()) > 10
    made = {batch for row in empty.dicts("bronze.transactions") for batch in [row["_batch_id"]]}
    assert made == set(range(1, -(-len(days) // chunk) + 1))


def _same(project, total, wanted, reference) -> None:
    found = _contents(project)
    for name, rows in wanted.items():
        assert found[name] == rows, f"{name} differs"
    assert total["bronze.transactions"]["published"] == reference.rows
    assert total["silver.transactions"] == {
        "read": reference.rows,
        "published": reference.deduplicated["clean_rows"],
        "quarantined": reference.deduplicated["quarantined_rows_any_rule"],
        "superseded": reference.exact_duplicate_rows,
    }
