"""Three sources become two marts: the classic jaffle shop, cell by cell against its published results.

Amounts come in cents and are wanted as decimals; customers without orders keep their NULLs.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal

import pytest

import oreflow

DECLARATION = """
name: jaffle_shop
lake: ./lake
sources:
  customers: {path: "SEEDS/raw_customers.csv", format: csv}
  orders:    {path: "SEEDS/raw_orders.csv", format: csv}
  payments:  {path: "SEEDS/raw_payments.csv", format: csv}
tables:
  bronze.customers: {source: customers}
  bronze.orders:    {source: orders}
  bronze.payments:  {source: payments}
  silver.customers:
    input: bronze.customers
    columns:
      customer_id: {from: id, type: int64}
      first_name:  {type: string}
      last_name:   {type: string}
    deduplicate: {keys: [customer_id]}
  silver.orders:
    input: bronze.orders
    columns:
      order_id:    {from: id, type: int64}
      customer_id: {from: user_id, type: int64}
      order_date:  {type: date}
      status:      {type: string}
    checks:
      - {name: order known,  type: uniqueness, column: order_id}
      - {name: status known, type: validity, column: status, action: fail,
         values: [placed, shipped, completed, return_pending, returned]}
  silver.payments:
    input: bronze.payments
    columns:
      payment_id:     {from: id, type: int64}
      order_id:       {type: int64}
      payment_method: {type: string}
      cents:          {from: amount, type: "decimal(18,2)"}
    checks:
      - {name: method known, type: validity, column: payment_method, action: fail,
         values: [credit_card, coupon, bank_transfer, gift_card]}
  gold.orders:
    inputs: [silver.orders, silver.payments]
    sql: |
      select o.order_id, o.customer_id, o.order_date, o.status,
             sum(case when p.payment_method = 'credit_card' then p.cents else 0 end) * 0.01 as credit_card_amount,
             sum(case when p.payment_method = 'coupon' then p.cents else 0 end) * 0.01 as coupon_amount,
             sum(case when p.payment_method = 'bank_transfer' then p.cents else 0 end) * 0.01 as bank_transfer_amount,
             sum(case when p.payment_method = 'gift_card' then p.cents else 0 end) * 0.01 as gift_card_amount,
             sum(p.cents) * 0.01 as amount
      from silver.orders o left join silver.payments p on o.order_id = p.order_id
      group by o.order_id, o.customer_id, o.order_date, o.status
  gold.customers:
    inputs: [silver.customers, silver.orders, gold.orders]
    sql: |
      select c.customer_id, c.first_name, c.last_name, o.first_order, o.most_recent_order, o.number_of_orders,
             o.customer_lifetime_value
      from silver.customers c left join (
        select customer_id, min(order_date) as first_order, max(order_date) as most_recent_order,
               count(order_id) as number_of_orders, sum(amount) as customer_lifetime_value
        from gold.orders group by customer_id
      ) o on c.customer_id = o.customer_id
"""


@pytest.fixture
def shop(project, shared_data, require):
    data = shared_data / "jaffle_shop"
    require(data, f"the data set {data} is missing")
    return data, project(DECLARATION.replace("SEEDS", str(data / "seeds")))


def _expected(path, **types):
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            {name: types.get(name, str)(text) if text else None for name, text in row.items()}
            for row in csv.DictReader(file)
        ]
    return sorted(rows, key=repr)


@pytest.fixture(params=["polars", "spark"])
def made(shop, request):
    """The shop's data, and the project with its tables made on an engine; on Spark they were compared with Polars'."""
    data, project = shop
    if request.param == "polars":
        project.run_well(engine="polars")
    else:
        request.getfixturevalue("spark")
        found = oreflow.parity(project.root, keep=project.root / "both")
        assert found.equal, [table.differences for table in found.tables if not table.equal]
        assert len(found.tables) == 8
        (project.root / "both" / "spark").rename(project.root / "lake")
    return data, project


def test_the_marts_are_the_published_ones(made):
    data, project = made
    _check_orders(data, project)
    _check_customers(data, project)


def _check_orders(data, project):
    amounts = ("credit_card_amount", "coupon_amount", "bank_transfer_amount", "gift_card_amount", "amount")
    wanted = _expected(
        data / "expected" / "expected_orders.csv",
        order_id=int,
        customer_id=int,
        order_date=dt.date.fromisoformat,
        **dict.fromkeys(amounts, Decimal),
    )
    found = project.dicts("gold.orders")
    assert len(found) == 99
    assert _by(found, "order_id") == _by(wanted, "order_id")
    assert {type(row[name]) for row in found for name in amounts} == {Decimal}


def _check_customers(data, project):
    wanted = _expected(
        data / "expected" / "expected_customers.csv",
        customer_id=int,
        first_order=dt.date.fromisoformat,
        most_recent_order=dt.date.fromisoformat,
        number_of_orders=int,
        customer_lifetime_value=Decimal,
    )
    found = project.dicts("gold.customers")
    assert _by(found, "customer_id") == _by(wanted, "customer_id")
    assert sum(row["number_of_orders"] is None for row in found) == 38


def test_every_seed_row_is_accounted_for(shop):
    data, project = shop
    reference = json.loads((data / "expected" / "reference.json").read_text())
    results = project.run_well()
    for name in ("customers", "orders", "payments"):
        for stage in ("bronze", "silver"):
            result = results[f"{stage}.{name}"]
            assert (result.rows_read, result.rows_published) == (reference[name], reference[name])
    paid = sum(row["amount"] for row in project.dicts("gold.orders"))
    assert paid == Decimal(reference["total_paid_dollars"])


def test_a_second_run_with_the_same_seeds_changes_nothing(shop):
    _, project = shop
    project.run_well()
    before = project.files()
    assert {result.status for result in project.run_well().values()} == {"unchanged"}
    assert project.files() == before


def _by(rows, key):
    return {row[key]: row for row in rows}
