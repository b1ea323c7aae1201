"""Staging, scanning back and SQL: what is written is what was counted, and errors are in the user's words."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal

import narwhals as nw
import pytest

from oreflow.contract import DataFile, DataType, Staging, StepError, Table

D = Decimal
PLAIN_WORDS = ("Traceback", "\x1b", "plan", "FAILED HERE", "\n")


def assert_plain(error):
    assert not [word for word in PLAIN_WORDS if word in str(error)], str(error)


@pytest.fixture
def sales(engine, scan_texts):
    content = b"id,shop,amount,quantity\n1,north,1.005,2\n2,north,2.000,3\n3,south,,4\n4,,10.500,\n"
    casts = {"id": "int64", "amount": "decimal(18,3)", "quantity": "int32"}
    frame = scan_texts({"sales.csv": content}).rows
    return engine.cast_columns(frame, {name: (name, DataType.parse(kind), "") for name, kind in casts.items()})


@pytest.fixture
def shops(scan_texts):
    return scan_texts({"shops.csv": b"shop,city\nnorth,Oslo\nsouth,Rome\nwest,Lima\n"}).rows


def version(folder, staged, files):
    return Table(folder, 1, 1, staged.columns, tuple(files))


def test_staged_files_are_a_table(engine, rows, sales, tmp_path):
    folder = tmp_path / "a [b] *" / "table"
    done = engine.execute({"t": Staging(sales, folder, "part", (3, 4))}, {"n": sales.select(nw.len())})
    staged = done.staged["t"]
    (file,) = staged.files
    assert file.path.startswith("part-")
    assert file.path.endswith(".parquet")
    assert (file.rows, file.first_batch, file.last_batch, staged.rows) == (4, 3, 4, 4)
    assert file.bytes == (folder / file.path).stat().st_size
    assert [path.name for path in folder.iterdir()] == [file.path]
    assert done.collected == {"n": [{"len": 4}]}
    assert {name: str(kind) for name, kind in staged.columns.items()} == {
        "id": "int64",
        "shop": "string",
        "amount": "decimal(18,3)",
        "quantity": "int32",
        "_source_file": "string",
        "_source_row": "int64",
    }
    assert rows(engine.scan_table(version(folder, staged, staged.files)).sort("id")) == rows(sales.sort("id"))


def test_no_rows_no_file(engine, rows, sales, tmp_path):
    staged = engine.execute({"t": Staging(sales.filter(nw.col("id") > 99), tmp_path, "part", (1, 1))}).staged["t"]
    assert staged.files == ()
    assert staged.rows == 0
    assert list(staged.columns)[:2] == ["id", "shop"]
    assert not list(tmp_path.glob("*.parquet"))
    empty = engine.scan_table(version(tmp_path, staged, []), file_column="file")
    assert rows(empty) == []
    assert empty.collect_schema().names() == [*staged.columns, "file"]


def test_several_outputs_in_one_pass(engine, sales, tmp_path):
    orders = {
        "good": Staging(sales.filter(nw.col("id") < 3), tmp_path / "good", "g", (1, 1)),
        "bad": Staging(sales.filter(nw.col("id") >= 3), tmp_path / "bad", "b", (1, 1)),
    }
    done = engine.execute(
        orders, {"count": sales.select(nw.len()), "first": sales.filter(nw.col("id") == 1).select("shop")}
    )
    assert {name: staged.rows for name, staged in done.staged.items()} == {"good": 2, "bad": 2}
    assert done.collected == {"count": [{"len": 4}], "first": [{"shop": "north"}]}
    assert engine.execute({}).staged == {}


def test_an_older_file_lacks_a_column(engine, rows, sales, tmp_path):
    old = engine.execute({"t": Staging(sales.select("id"), tmp_path, "old", (1, 1))}).staged["t"]
    new = engine.execute({"t": Staging(sales.select("shop", "id"), tmp_path, "new", (2, 2))}).staged["t"]
    columns = {"id": DataType("int64"), "shop": DataType("string"), "later": DataType.parse("decimal(9,2)")}
    table = Table(tmp_path, 2, 2, columns, (*old.files, *new.files))
    found = rows(engine.scan_table(table, file_column="file").sort("file", "id"))
    assert [row["file"] for row in found] == [new.files[0].path] * 4 + [old.files[0].path] * 4
    assert [row["shop"] for row in found] == ["north", "north", "south", None] + [None] * 4
    assert {row["later"] for row in found} == {None}
    assert len(rows(engine.scan_table(table, new.files))) == 4
    assert rows(engine.scan_table(table, [])) == []


def test_files_in_folders_keep_their_path(engine, rows, sales, tmp_path):
    staged = engine.execute({"t": Staging(sales, tmp_path / "year=2021", "p", (1, 1))}).staged["t"]
    inner = staged.files[0]
    file = DataFile(f"year=2021/{inner.path}", inner.rows, inner.bytes, 1, 1)
    found = rows(engine.scan_table(version(tmp_path, staged, [file]), file_column="file"))
    assert {row["file"] for row in found} == {file.path}
    assert "year" not in found[0]


def test_counts_are_of_a_type_that_tables_keep(engine, rows, sales, tmp_path):
    frame = sales.group_by("shop").agg(nw.len().alias("n"), nw.col("quantity").sum().alias("q"))
    staged = engine.execute({"t": Staging(frame, tmp_path, "p", (1, 1))}).staged["t"]
    assert str(staged.columns["n"]) == "int64"
    found = rows(engine.scan_table(version(tmp_path, staged, staged.files)))
    assert sum(row["n"] for row in found) == 4


def test_with_sql(engine, rows, sales):
    expressions = {
        "twice": "quantity * 2",
        "label": "upper(coalesce(shop, 'none'))",
        "big": "amount > 1.5 and shop in ('north', 'south')",
        "size": "case when quantity between 1 and 2 then 'small' when quantity is null then '?' else 'large' end",
        "id": "id + 100",
        "old_id": "id",
    }
    found = rows(engine.with_sql(sales, expressions).sort("old_id"))
    assert [row["twice"] for row in found] == [4, 6, 8, None]
    assert [row["label"] for row in found] == ["NORTH", "NORTH", "SOUTH", "NONE"]
    assert [row["size"] for row in found] == ["small", "large", "large", "?"]
    assert [row["big"] for row in found][:2] == [False, True]
    assert [(row["id"], row["old_id"]) for row in found] == [(101, 1), (102, 2), (103, 3), (104, 4)]


MEASURES = {
    "n": "count(*)",
    "sold": "count(amount)",
    "total": "sum(amount)",
    "pieces": "sum(quantity)",
    "revenue": "sum(quantity * amount)",
    "mean": "avg(quantity)",
    "shops": "count(distinct shop)",
    "largest": "max(amount)",
    "share": "sum(case when quantity > 2 then 1 else 0 end) * 1.0 / count(*)",
}


def test_aggregate(engine, rows, sales):
    found = {row["place"]: row for row in rows(engine.aggregate(sales, {"place": "lower(shop)"}, MEASURES))}
    assert list(found["north"]) == ["place", *MEASURES]
    north = {name: found["north"][name] for name in MEASURES}
    assert north == {
        "n": 2, "sold": 2, "total": D("3.005"), "pieces": 5, "revenue": D("8.010"), "mean": 2.5, "shops": 1,
        "largest": D("2.000"), "share": 0.5,
    }  # fmt: skip
    assert (found["south"]["n"], found["south"]["sold"], found["south"]["total"]) == (1, 0, None)
    assert found[None]["total"] == D("10.500")


def test_aggregate_of_no_rows_without_keys_is_one_row(engine, rows, sales):
    (row,) = rows(engine.aggregate(sales.filter(nw.col("id") > 99), {}, {"n": "count(*)", "s": "sum(amount)"}))
    assert row == {"n": 0, "s": None}
    assert rows(engine.aggregate(sales.filter(nw.col("id") > 99), {"shop": "shop"}, {"n": "count(*)"})) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("amout * 2", "no column 'amout'; did you mean 'amount'"),
        ("amount >", "'x': "),
        ("amount, shop", "'x': "),
        ("*", "'x': "),
        ("select 1", "'x': "),
        ("shop > 1", "cannot compare string"),
        ("no_such_function(amount)", "no_such_function"),
    ],
)
def test_sql_expressions_that_cannot_be(text, words, engine, sales):
    for call in (
        lambda: engine.with_sql(sales, {"x": text}),
        lambda: engine.aggregate(sales, {"x": text}, {"n": "count(*)"}),
    ):
        with pytest.raises(StepError) as error:
            call()
        assert words in str(error.value)
        assert_plain(error.value)


def test_a_measure_must_aggregate(engine, sales):
    for keys in ({}, {"shop": "shop"}):
        with pytest.raises(StepError, match="no aggregate"):
            engine.aggregate(sales, keys, {"x": "amount"})


QUERIES = {
    "select count(*) as n from silver.sales": [{"n": 4}],
    "SELECT silver.sales.id FROM silver.sales WHERE silver.sales.id = 2": [{"id": 2}],
    "-- a remark\nselect s.id, c.city from silver.sales s join shops as c on s.shop = c.shop order by s.id": [
        {"id": 1, "city": "Oslo"}, {"id": 2, "city": "Oslo"}, {"id": 3, "city": "Rome"}],
    "select c.city, sum(s.amount) as total, count(s.id) as n from shops c left join silver.sales s on s.shop = c.shop "
    "group by c.city order by c.city": [
        {"city": "Lima", "total": None, "n": 0}, {"city": "Oslo", "total": D("3.005"), "n": 2},
        {"city": "Rome", "total": None, "n": 1}],
    "with big as (select * from silver.sales where quantity > 2) select sum(id) as s from big": [{"s": 5}],
    "select city from shops where shop in (select shop from silver.sales where id = 3)": [{"city": "Rome"}],
    "select x.n from (select count(distinct shop) as n from silver.sales) x": [{"n": 2}],
    "select avg(quantity) as m, coalesce(max(amount), 0) as a from silver.sales": [{"m": 3.0, "a": D("10.500")}],
    "select sum(quantity * amount) as r from silver.sales": [{"r": D("8.010")}],
    "select extract(year from date '2020-02-03') as y, date '2020-02-03' as d": [{"y": 2020, "d": date(2020, 2, 3)}],
    "(select id from silver.sales order by id limit 1)": [{"id": 1}],
}  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_sql(query, engine, rows, sales, shops):
    assert rows(engine.sql(query, {"silver.sales": sales, "shops": shops})) == QUERIES[query]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select amout from silver.sales", "no column 'amout'; did you mean 'amount'"),
        ("select * from silver.orders", "silver.orders"),
        ("select from where", ""),
        ("selec * from silver.sales", "must be a SELECT"),
        ("drop table shops", "must be a SELECT"),
        ("delete from shops", "must be a SELECT"),
        ("select 1; select 2", ""),
        ("select id from silver.sales where shop > 1", "cannot compare string"),
    ],
)
def test_queries_that_cannot_be(query, words, engine, sales, shops):
    with pytest.raises(StepError) as error:
        engine.sql(query, {"silver.sales": sales, "shops": shops})
    assert words in str(error.value)
    assert_plain(error.value)


def test_what_is_shared_is_the_same_rows_until_it_is_released_and_after(engine, rows, sales, tmp_path):
    shared = engine.share(sales)
    orders = {name: Staging(shared, tmp_path / name, name, (1, 1)) for name in ("a", "b")}
    assert [staged.rows for staged in engine.execute(orders, {"n": shared.select(nw.len())}).staged.values()] == [4, 4]
    assert rows(shared) == rows(sales)
    engine.release()
    engine.release()
    assert rows(sales.select("id", "_source_row")) == [{"id": n, "_source_row": n + 1} for n in (1, 2, 3, 4)]


def test_what_a_killed_attempt_left_is_swept_and_a_failed_one_leaves_nothing(engine, sales, tmp_path):
    (tmp_path / ".part-dead").mkdir()
    (tmp_path / ".part-dead" / "part-0.parquet").write_bytes(b"half")
    bad = engine.with_sql(sales, {"x": "cast(shop as bigint)"}).select("x")
    with pytest.raises(StepError):
        engine.execute({"t": Staging(bad, tmp_path, "part", (1, 1))})
    staged = engine.execute({"t": Staging(sales, tmp_path, "part", (1, 1))}).staged["t"]
    assert staged.rows == 4
    hidden = [path.name for path in tmp_path.iterdir() if path.name.startswith(".") and path.name != ".part-dead"]
    assert not hidden


def test_frames_that_cannot_be_computed(engine, sales, tmp_path):
    """On some engines narwhals itself finds a missing column, when the frame is made."""
    for make in (
        lambda: sales.select(nw.col("nope")),
        lambda: sales.filter(nw.col("shop") > 1),
        lambda: sales.select(nw.col("shop").cast(nw.Int64)),
    ):
        with pytest.raises((StepError, nw.exceptions.ColumnNotFoundError)) as error:
            engine.execute({"t": Staging(make(), tmp_path, "p", (1, 1))})
        if isinstance(error.value, StepError):
            assert_plain(error.value)


def test_describing_the_engine_imports_no_engine():
    code = "import sys, oreflow_polars.plugin as p; p.engines(); exit(bool({'polars', 'narwhals'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
