"""Where columns come from: as expected by hand, and as an engine shows where a column of an input is made another one.

An engine is the judge of what is left out: nothing that is said to be of no influence changes a result.
"""

from __future__ import annotations

from collections import Counter

import narwhals as nw
import polars as pl
import pytest

import oreflow
from oreflow_openlineage.columns import origins
from oreflow_openlineage.sql import Untold, of_expression, of_query, stacked, table

ROWS = {
    "silver.sales": {
        "id": [1, 2, 3, 4, 5, 6],
        "customer": ["a", "b", "a", "c", "b", None],
        "amount": [10, 20, 30, 40, 50, 60],
        "cost": [1, 5, 2, 4, 3, 6],
        "open": [True, False, True, True, False, True],
    },
    "silver.customers": {"customer": ["a", "b", "d"], "country": ["no", "se", "dk"], "rank": [3, 1, 2]},
}
OTHERS = {
    "id": [7, 6, 5, 4, 3, 2],
    "amount": [61, 7, 53, 5, 31, 2],
    "cost": [9, 1, 8, 2, 7, 3],
    "open": [False, True, True, False, True, False],
    "country": ["is", "fi", "no"],
    "rank": [1, 2, 4],
}
S, C = "silver.sales", "silver.customers"
QUERIES = {
    "select id, amount as a, amount - cost as gain from silver.sales": (
        "id =id; a =amount; gain ~amount ~cost",
        "",
    ),
    "select id, customer from silver.sales where open and cost > 2": (
        "id =id; customer =customer",
        "open FILTER; cost FILTER",
    ),
    "select customer, sum(amount) as s, count(*) as n, max(amount) + 1 as m from silver.sales group by customer": (
        "customer =customer; s +amount; n; m +amount",
        "customer GROUP_BY",
    ),
    "select upper(customer) as c, sum(amount) as s from silver.sales group by c having s > 30": (
        "c ~customer; s +amount",
        "customer GROUP_BY; amount FILTER",
    ),
    "select customer as c, sum(cost) as s from silver.sales group by 1": ("c =customer; s +cost", "customer GROUP_BY"),
    "select sum(amount) filter (where cost > 2) as s from silver.sales": ("s +amount cost:FILTER", ""),
    "select id, case when open then amount when cost > 4 then 0 else id end as x from silver.sales": (
        "id =id; x ~amount ~id open:CONDITIONAL cost:CONDITIONAL",
        "",
    ),
    "select id, row_number() over (partition by customer order by amount desc) as r from silver.sales": (
        "id =id; r customer:WINDOW amount:WINDOW",
        "",
    ),
    "select id, sum(cost) over (partition by open) as r from silver.sales": ("id =id; r +cost open:WINDOW", ""),
    "select id from silver.sales qualify row_number() over (partition by customer order by cost) = 1": (
        "id =id",
        "customer WINDOW; cost WINDOW",
    ),
    "select id from silver.sales order by cost limit 3": ("id =id", "cost SORT"),
    "select amount as cost, cost as x from silver.sales order by cost limit 2": (
        "cost =amount; x =cost",
        "amount SORT",
    ),
    "select distinct customer, open from silver.sales": (
        "customer =customer; open =open",
        "customer GROUP_BY; open GROUP_BY",
    ),
    "select s.id, c.country from silver.sales s join silver.customers c on s.customer = c.customer": (
        "id =id; country =country",
        "customer JOIN; c.customer JOIN",
    ),
    "select id, country from silver.sales left join silver.customers using (customer) where rank > 1": (
        "id =id; country =country",
        "customer JOIN; c.customer JOIN; rank FILTER",
    ),
    "select * from silver.sales full join silver.customers using (customer)": (
        "id =id; customer ~customer ~c.customer; amount =amount; cost =cost; open =open; country =country; rank =rank",
        "customer JOIN; c.customer JOIN",
    ),
    "select s.*, rank from silver.sales s, silver.customers c where s.customer = c.customer and cost > 1": (
        "id =id; customer =customer; amount =amount; cost =cost; open =open; rank =rank",
        "customer JOIN; c.customer JOIN; cost FILTER",
    ),
    "with big as (select customer as who, amount * 2 as x from silver.sales where cost > 1) "
    "select who, sum(x) as s from big group by who": ("who =customer; s +amount", "cost FILTER; customer GROUP_BY"),
    "select who, n + 1 as m from (select customer as who, count(id) as n from silver.sales group by customer) t": (
        "who =customer; m +id",
        "customer GROUP_BY",
    ),
    "select id from silver.sales union all select rank from silver.customers": ("id =id =rank", ""),
    "select id from silver.sales except select rank from silver.customers": ("id =id", "id GROUP_BY; rank FILTER"),
    "select id from silver.sales where customer in (select customer from silver.customers where rank > 1)": (
        "id =id",
        "customer FILTER; c.customer FILTER; rank FILTER",
    ),
    "select id from silver.sales s where exists "
    "(select * from silver.customers c where c.customer = s.customer and c.rank > 1)": (
        "id =id",
        "customer JOIN; c.customer JOIN; rank FILTER",
    ),
    "select id, (select max(rank) as m from silver.customers where country <> 'dk') as m from silver.sales": (
        "id =id; m +rank country:FILTER",
        "",
    ),
    "select id, cast(amount as string) || '/' || customer as t from silver.sales": ("id =id; t ~amount ~customer", ""),
    "select id, coalesce(customer, 'none') as c, cost between 1 and amount as b from silver.sales": (
        "id =id; c ~customer; b ~cost ~amount",
        "",
    ),
}
"""Queries, with their columns and rows: `=` identity, `~` transformation, `+` aggregation; `c.` is of customers."""
WORDS = {"=": "IDENTITY", "~": "TRANSFORMATION", "+": "AGGREGATION"}


def relations():
    return {name: table(name, columns) for name, columns in ROWS.items()}


def place(said):
    if said.startswith("c."):
        return C, said[2:]
    return (C if said in ("country", "rank") else S), said


def use(said):
    if said[0] in WORDS:
        return (*place(said[1:]), "DIRECT", WORDS[said[0]])
    name, _, how = said.replace(":", " ").partition(" ")
    return (*place(name), "INDIRECT", how)


@pytest.mark.parametrize("text", QUERIES)
def test_columns_and_rows_of_a_query_are_as_expected(text):
    columns, rows = QUERIES[text]
    found = of_query(text, relations())
    expected = {part.split()[0]: {use(each) for each in part.split()[1:]} for part in columns.split("; ")}
    assert {name: set(uses) for name, uses in found.columns.items()} == expected
    assert set(found.rows) == {use(part) for part in rows.split("; ") if part}


@pytest.fixture(scope="module")
def result():
    engine = oreflow.get_processor_factory().create_engine("polars")

    def compute(text, data):
        frames = {name: nw.from_native(pl.LazyFrame(columns)) for name, columns in data.items()}
        return engine.execute({}, {"rows": engine.sql(text, frames)}).collected["rows"]

    return compute


@pytest.mark.parametrize("text", QUERIES)
def test_what_is_not_named_has_no_influence(text, result):
    found, before = of_query(text, relations()), result(text, ROWS)
    for name, columns in ROWS.items():
        for column in columns:
            changed = OTHERS.get(column, ["b", *columns[column][:-1]])
            after = result(text, {**ROWS, name: {**columns, column: changed}})
            if any((each.table, each.column) == (name, column) for each in found.rows):
                continue
            same = [
                out for out, uses in found.columns.items()
                if all((each.table, each.column) != (name, column) for each in uses)
            ]  # fmt: skip
            kept = [Counter(repr([row[out] for out in same]) for row in rows) for rows in (before, after)]
            assert kept[0] == kept[1], f"{name}.{column} changes {same}"


@pytest.mark.parametrize(
    "text",
    [
        "select id from nowhere",
        "select nothing from silver.sales",
        "select customer from silver.sales, silver.customers",  # of which?
        "select x.id from silver.sales s",
        "select strange(id) as x from silver.sales",
        "select id from",
        "insert into silver.sales select 1",
        "select id from read_csv('x.csv')",
        "select id from silver.sales group by 7",
    ],
)
def test_what_is_not_sure_is_not_told(text):
    with pytest.raises(Untold):
        of_query(text, relations())


def test_of_a_table_whose_columns_nobody_knows_a_name_is_told_only_where_there_is_no_other():
    alone = {S: table(S, None)}
    assert of_query("select x from silver.sales", alone).columns["x"] == {(S, "x", "DIRECT", "IDENTITY")}
    both = {**alone, C: relations()[C]}
    told = of_query("select s.x, c.rank from silver.sales s join silver.customers c on s.y = c.customer", both)
    assert told.columns["x"] == {(S, "x", "DIRECT", "IDENTITY")}
    for text in ("select x from silver.sales, silver.customers", "select * from silver.sales"):
        with pytest.raises(Untold):
            of_query(text, both)


def test_an_expression_over_stacked_tables_is_of_each_that_has_its_columns():
    rows = stacked(list(relations().values()))
    assert of_expression("max(customer)", rows) == {(S, "customer", *_AGG), (C, "customer", *_AGG)}
    assert of_expression("sum(amount)", rows) == {(S, "amount", *_AGG)}
    with pytest.raises(Untold):
        stacked([table(S, None), table(C, None)])


_AGG = ("DIRECT", "AGGREGATION")


def test_the_condition_of_if_is_only_an_influence():
    found = of_expression("if(open, amount, cost)", relations()[S])
    assert found == {use("~amount"), use("~cost"), use("open:CONDITIONAL")}


def planned(distribution, stage, inputs, options, checks=()):
    named = {"table": f"{stage}.made", "source": None, "files": None, "inputs": inputs}
    return {**named, "distribution": distribution, "options": options, "checks": list(checks)}


def test_nothing_is_said_of_the_processors_of_others():
    plan = planned("oreflow-postcodes", "silver", ["bronze.x"], {"columns": {"a": {"type": "int64"}}})
    assert origins(plan, {}).columns == {}


SILVER = {
    "columns": {
        "id": {"type": "int64"},
        "name": {"type": "string", "from": "Name", "clean": ["trim"]},
        "town": {"type": "string"},
        "day": {"type": "date", "format": "%d.%m.%Y"},
    }
}


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ({}, {"id": {"FILTER"}, "day": {"FILTER"}}),
        (
            {"deduplicate": {"keys": ["id"], "order_by": ["day"]}},
            {"id": {"FILTER", "WINDOW"}, "day": {"FILTER", "WINDOW"}},
        ),
        ({"deduplicate": "exact", "enable_deduplication": False}, {"id": {"FILTER"}, "day": {"FILTER"}}),
        (
            {"enable_deduplication": True},
            {"id": {"FILTER", "GROUP_BY"}, "day": {"FILTER", "GROUP_BY"}, "Name": {"GROUP_BY"}, "town": {"GROUP_BY"}},
        ),
    ],
)
def test_the_duplicates_of_silver_decide_about_its_rows(more, rows):
    told = origins(planned("oreflow-silver", "silver", ["bronze.x"], {**SILVER, **more}), {})
    found = {}
    for each in told.rows:
        found.setdefault(each.column, set()).add(each.subtype)
    assert found == rows
    assert {name: next(iter(uses))[1:] for name, uses in told.columns.items()} == {
        "id": ("id", "DIRECT", "TRANSFORMATION"),
        "name": ("Name", "DIRECT", "TRANSFORMATION"),
        "town": ("town", "DIRECT", "IDENTITY"),
        "day": ("day", "DIRECT", "TRANSFORMATION"),
    }


def test_only_a_check_that_sets_rows_aside_decides_about_rows():
    check = {"name": "c", "type": "completeness", "column": "town", "action": "quarantine"}
    for action, found in (("quarantine", True), ("warn", False), ("fail", False)):
        plan = planned("oreflow-silver", "silver", ["bronze.x"], SILVER, [{**check, "action": action}])
        assert any(each.column == "town" for each in origins(plan, {}).rows) is found


def test_a_typed_column_that_keeps_its_type_is_the_same():
    plan = planned("oreflow-silver", "silver", ["silver.x"], SILVER)
    known = {"silver.x": {"id": "int64", "Name": "string", "town": "int64", "day": "date"}}
    subtypes = {name: next(iter(uses)).subtype for name, uses in origins(plan, known).columns.items()}
    assert subtypes == {"id": "IDENTITY", "name": "TRANSFORMATION", "town": "TRANSFORMATION", "day": "IDENTITY"}


def test_gold_over_several_tables_needs_to_know_their_columns():
    plan = planned("oreflow-gold", "gold", [S, C], {"group_by": ["customer"], "measures": {"s": "sum(amount)"}})
    assert origins(plan, {}).columns == {}
    known = {name: dict.fromkeys(columns, "string") for name, columns in ROWS.items()}
    told = origins(plan, known)
    assert {each.table for each in told.columns["customer"]} == {S, C}
    assert {each.table for each in told.columns["s"]} == {S}
