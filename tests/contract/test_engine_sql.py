"""oreflow's SQL gives the same values, of the same types, on every engine, and the same refusals."""

from __future__ import annotations

import functools
import math
from datetime import date, datetime
from decimal import Decimal

import narwhals as nw
import pytest

from oreflow.contract import DataType, SourceFile, Staging, StepError
from oreflow.semantics import sql

D = Decimal
NAN = float("nan")
COLUMNS = {
    "n": "int64", "i": "int64", "j": "int32", "d": "decimal(18,3)", "e": "decimal(12,2)", "f": "float64",
    "s": "string", "u": "string", "b": "boolean", "dt": "date", "ts": "timestamp",
}  # fmt: skip
TYPES = {name: DataType.parse(kind) for name, kind in COLUMNS.items()}
CSV = """n,i,j,d,e,f,s,u,b,dt,ts
1,7,2,1.005,0.05,2.5,Straße x,12,true,2020-02-29,2020-02-29 23:59:59.999999
2,-7,2,-2.500,0.10,-2.5, a_b% ,-3.5,false,1969-12-31,1969-12-31 01:02:03
3,0,0,0,0,nan,"",ab,,2021-01-03,2021-01-03 00:00:00
4,,3,,1,,,,true,,
"""


def at(*parts):
    """A reading of a clock, without a time zone as all timestamps of SQL."""
    return datetime(*parts)  # noqa: DTZ001


ROWS = [
    (1, 7, 2, D("1.005"), D("0.05"), 2.5, "Straße x", "12", True, date(2020, 2, 29),
     at(2020, 2, 29, 23, 59, 59, 999999)),
    (2, -7, 2, D("-2.500"), D("0.10"), -2.5, " a_b% ", "-3.5", False, date(1969, 12, 31),
     at(1969, 12, 31, 1, 2, 3)),
    (3, 0, 0, D(0), D(0), NAN, "", "ab", None, date(2021, 1, 3), at(2021, 1, 3)),
    (4, None, 3, None, D(1), None, None, None, True, None, None),
]  # fmt: skip


class OnEngine:
    """SQL by way of the contract. What is known before is computed in one pass: on Spark each one costs a second."""

    def __init__(self, engine, rows, folder):
        self.engine, self.rows, self.folder = engine, rows, folder
        (folder / "t.csv").write_text(CSV, encoding="utf-8")
        texts = engine.scan_source([SourceFile(folder / "t.csv", "t.csv")], {"format": "csv"}).rows
        self.t = engine.cast_columns(texts, {name: (name, kind, "") for name, kind in TYPES.items()}).select(*TYPES)

    def _with_types(self, frame):
        staged = self.engine.execute({"t": Staging(frame, self.folder, "p", (1, 1))}, {"rows": frame})
        kinds = [str(kind) for kind in staged.staged["t"].columns.values()]
        return [tuple(row.values()) for row in staged.collected["rows"]], kinds

    @functools.cached_property
    def _scalars(self):
        return self._selected(SCALARS)

    @functools.cached_property
    def _measures(self):
        return self._aggregated(MEASURES)

    def _selected(self, texts):
        names = {text: f"x{number}" for number, text in enumerate(texts)}
        frame = self.engine.with_sql(self.t, {name: text for text, name in names.items()}).select("n", *names.values())
        found, (_, *kinds) = self._with_types(frame)
        _, *values = zip(*sorted(found, key=lambda row: row[0]), strict=True)
        return dict(zip(names, zip(kinds, map(list, values), strict=True), strict=True))

    def _aggregated(self, texts):
        names = {text: f"x{number}" for number, text in enumerate(texts)}
        (values,), kinds = self._with_types(
            self.engine.aggregate(self.t, {}, {name: text for text, name in names.items()})
        )
        return dict(zip(names, zip(kinds, values, strict=True), strict=True))

    def scalar(self, text):
        return self._scalars[text] if text in SCALARS else self._selected([text])[text]

    def measure(self, text):
        return self._measures[text] if text in MEASURES else self._aggregated([text])[text]

    def query(self, text):
        found, kinds = self._with_types(self.engine.sql(text, {"silver.t": self.t}))
        return kinds, found


@pytest.fixture(scope="session")
def by(engine, rows, tmp_path_factory):
    return OnEngine(engine, rows, tmp_path_factory.mktemp("sql"))


def same(found, wanted):
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(found, float) and math.isnan(found)
    if isinstance(wanted, (list, tuple)):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return type(found) is type(wanted) and found == wanted


def four(value):
    return [value] * 4


SCALARS = {
    # numbers
    "i / j": ("float64", [3.5, -3.5, None, None]),
    "i / 10": ("float64", [0.7, -0.7, 0.0, None]),
    "d / e": ("float64", [20.099999999999998, -25.0, None, None]),
    "i // j": ("int64", [3, -3, None, None]),
    "i % j": ("int64", [1, -1, None, None]),
    "d % e": ("decimal(38,3)", [D("0.005"), D("0.000"), None, None]),
    "f % 2": ("float64", [0.5, -0.5, NAN, None]),
    "i + j": ("int64", [9, -5, 0, None]),
    "j * j": ("int64", [4, 4, 0, 9]),
    "-j": ("int64", [-2, -2, 0, -3]),
    "d * e": ("decimal(38,5)", [D("0.05025"), D("-0.25000"), D("0.00000"), None]),
    "d * (1 - e) * (1 + e)": ("decimal(38,7)", [D("1.0024875"), D("-2.4750000"), D("0E-7"), None]),
    "d + e": ("decimal(38,3)", [D("1.055"), D("-2.400"), D("0.000"), None]),
    "i * d": ("decimal(38,3)", [D("7.035"), D("17.500"), D("0.000"), None]),
    "0.05": ("decimal(2,2)", four(D("0.05"))),
    "1e3": ("float64", four(1000.0)),
    "d + f": ("float64", [3.505, -5.0, NAN, None]),
    "round(d, 2)": ("decimal(38,2)", [D("1.01"), D("-2.50"), D("0.00"), None]),
    "round(d)": ("decimal(38,0)", [D(1), D(-3), D(0), None]),
    "round(f)": ("float64", [3.0, -3.0, NAN, None]),
    "round(2.675e0, 2)": ("float64", four(2.68)),
    "floor(d)": ("decimal(38,0)", [D(1), D(-3), D(0), None]),
    "ceil(f)": ("float64", [3.0, -2.0, NAN, None]),
    "abs(i)": ("int64", [7, 7, 0, None]),
    "sign(d)": ("int64", [1, -1, 0, None]),
    "ln(i) is null": ("boolean", [False, True, True, True]),
    # a branch that is not taken does not fail
    "case when i > 100 then i * 9223372036854775807 else 1 end": ("int64", four(1)),
    "case when u = '12' then cast(u as int) end": ("int64", [12, None, None, None]),
    "coalesce(n, i * 9223372036854775807)": ("int64", [1, 2, 3, 4]),
    # NULL and choosing
    "i in (7, null)": ("boolean", [True, None, None, None]),
    "i not in (7, 8)": ("boolean", [False, True, True, None]),
    "i is distinct from j": ("boolean", [True, True, False, True]),
    "i is not distinct from null": ("boolean", [False, False, False, True]),
    "b is not true": ("boolean", [False, True, True, False]),
    "b and null": ("boolean", [None, False, None, None]),
    "i between 0 and 7": ("boolean", [True, False, True, None]),
    "nullif(i, 0)": ("int64", [7, -7, None, None]),
    "coalesce(i, d)": ("decimal(38,3)", [D("7.000"), D("-7.000"), D("0.000"), None]),
    "greatest(i, j)": ("int64", [7, 2, 0, 3]),
    "greatest(f, 0)": ("float64", [2.5, 0.0, NAN, 0.0]),
    "least(f, 0)": ("float64", [0.0, -2.5, 0.0, 0.0]),
    "case when i > 0 then 1 when i < 0 then 2.5 else 3 end": (
        "decimal(38,1)", [D("1.0"), D("2.5"), D("3.0"), D("3.0")]),
    "case i when 7 then 'a' when 0 then 'b' else 'c' end": ("string", ["a", "c", "b", "c"]),
    "f > 1e10": ("boolean", [False, False, True, None]),
    "f = f": ("boolean", [True, True, True, None]),
    "-0.0e0 = 0.0e0": ("boolean", four(True)),
    "d = 1.005": ("boolean", [True, False, False, None]),
    # text
    "s || 'x'": ("string", ["Straße xx", " a_b% x", "x", None]),
    "concat(s, null)": ("string", four(None)),
    "concat_ws('-', s, u)": ("string", ["Straße x-12", " a_b% --3.5", "-ab", ""]),
    "s = ''": ("boolean", [False, False, True, None]),
    "'a' = 'a '": ("boolean", four(False)),
    "'z' < 'é' and 'ﬀ' < '😀' and 'é' <> 'e\u0301'": ("boolean", four(True)),
    "s like '_a%'": ("boolean", [False, True, False, None]),
    "s like '%a!_b!%%' escape '!'": ("boolean", [False, True, False, None]),
    r"'a\b' like '%\%'": ("boolean", four(True)),
    "s ilike 'STRA%'": ("boolean", [True, False, False, None]),
    "lower('STRASSE Ä İ ΑΣ')": ("string", four("strasse ä i̇ ας")),
    "upper('straße ŉ')": ("string", four("STRASSE \u02bcN")),
    "trim(s)": ("string", ["Straße x", "a_b%", "", None]),
    "trim('\t x')": ("string", four("\t x")),
    "trim(leading 'xy' from 'xyaxy')": ("string", four("axy")),
    "length('日本😀')": ("int64", four(3)),
    "length(s) - 10": ("int64", [-2, -4, -10, None]),
    "substr(s, 2, 3)": ("string", ["tra", "a_b", "", None]),
    "substr(s, 0, 2)": ("string", ["S", " ", "", None]),
    "substr(s, i)": ("string", [" x", " a_b% ", "", None]),
    "left(s, 2) || right(s, 1)": ("string", ["Stx", " a ", "", None]),
    "replace(s, 'a', u)": ("string", ["Str12ße x", " -3.5_b% ", "", None]),
    "lpad(s, 3, '0')": ("string", ["Str", " a_", "000", None]),
    "starts_with(s, 'S') or ends_with(s, ' ')": ("boolean", [True, True, False, None]),
    "strpos('日本a', 'a')": ("int64", four(3)),
    "position('b' in s)": ("int64", [0, 4, 0, None]),
    "split_part('a-b', '-', 2) || split_part('a-b', '-', 9)": ("string", four("b")),
    r"regexp_like(s, '^S\w+')": ("boolean", [True, False, False, None]),
    r"regexp_like('é', '\w')": ("boolean", four(False)),
    r"regexp_like('٣', '\d')": ("boolean", four(False)),
    "regexp_like('a\n', '^a$')": ("boolean", four(False)),
    "regexp_like('\r', '^.$')": ("boolean", four(True)),
    r"regexp_replace('a1b22', '\d+', '-')": ("string", four("a-b-")),
    "'it''s \\ ${x} {y}'": ("string", four("it's \\ ${x} {y}")),
    "substr(u, 1, 9223372036854775807)": ("string", ["12", "-3.5", "ab", None]),
    "substr(u, 3000000000 * n)": ("string", ["", "", "", None]),
    "cast(j as float64)": ("float64", [2.0, 2.0, 0.0, 3.0]),
    "substr('abc', 1, i)": ("string", ["abc", "", "", None]),
    "lower(upper(s))": ("string", ["strasse x", " a_b% ", "", None]),
    # casts
    "cast(d as string)": ("string", ["1.005", "-2.500", "0.000", None]),
    "cast(b as text)": ("string", ["true", "false", None, "true"]),
    "cast(ts as string)": ("string", ["2020-02-29 23:59:59.999999", "1969-12-31 01:02:03.000000",
                                      "2021-01-03 00:00:00.000000", None]),
    "try_cast(u as int)": ("int64", [12, None, None, None]),
    "try_cast(u as decimal(4,1))": ("decimal(4,1)", [D("12.0"), D("-3.5"), None, None]),
    "try_cast(u as double)": ("float64", [12.0, -3.5, None, None]),
    "try_cast(' 7.0 ' as int)": ("int64", four(7)),
    "try_cast('12.345' as decimal(10,2))": ("decimal(10,2)", four(None)),
    "try_cast('1e999' as double)": ("float64", four(None)),
    "try_cast('2021-2-3' as date)": ("date", four(None)),
    "try_cast('2021-02-03T10:11' as timestamp)": ("timestamp", four(at(2021, 2, 3, 10, 11))),
    "try_cast('2021-02-03 10:11:12.5' as timestamp)": ("timestamp", four(at(2021, 2, 3, 10, 11, 12, 500000))),
    "try_cast('Yes' as boolean)": ("boolean", four(True)),
    "cast(d as int)": ("int64", [1, -2, 0, None]),
    "cast(d as decimal(10,2))": ("decimal(10,2)", [D("1.01"), D("-2.50"), D("0.00"), None]),
    "try_cast(d as decimal(3,3))": ("decimal(3,3)", [None, None, D("0.000"), None]),
    "try_cast(f as decimal(10,0))": ("decimal(10,0)", [D(3), D(-3), None, None]),
    "try_cast(f / 3 as decimal(38,20))":
        ("decimal(38,20)", [D(f"{sign}0.833333333333333") for sign in ("", "-")] + [None, None]),
    "try_cast(e * 1e22 as decimal(38,2))": ("decimal(38,2)", [None, None, D(0), None]),
    "try_cast((e + 72057594037927936) * 1e0 as decimal(38,4))": ("decimal(38,4)", four(D(2**56))),
    "cast(b as int)": ("int64", [1, 0, None, 1]),
    "cast(dt as timestamp)": ("timestamp", [at(2020, 2, 29), at(1969, 12, 31), at(2021, 1, 3), None]),
    # dates
    "extract(year from dt) * 100 + month(dt)": ("int64", [202002, 196912, 202101, None]),
    "extract(dow from dt)": ("int64", [6, 3, 0, None]),
    "extract(week from dt)": ("int64", [9, 1, 53, None]),
    "extract(isoyear from dt)": ("int64", [2020, 1970, 2020, None]),
    "extract(second from ts)": ("int64", [59, 3, 0, None]),
    "date_trunc('quarter', dt)": ("date", [date(2020, 1, 1), date(1969, 10, 1), date(2021, 1, 1), None]),
    "date_trunc('week', dt)": ("date", [date(2020, 2, 24), date(1969, 12, 29), date(2020, 12, 28), None]),
    "date_trunc('hour', ts)": ("timestamp", [at(2020, 2, 29, 23), at(1969, 12, 31, 1),
                                             at(2021, 1, 3), None]),
    "dt + interval '1' month": ("date", [date(2020, 3, 29), date(1970, 1, 31), date(2021, 2, 3), None]),
    "ts - interval '90' minute": ("timestamp", [at(2020, 2, 29, 22, 29, 59, 999999),
                                                at(1969, 12, 30, 23, 32, 3), at(2021, 1, 2, 22, 30), None]),
    "dt - date '2020-01-01'": ("int64", [59, -18263, 368, None]),
    "dt = ts": ("boolean", [False, False, True, None]),
    "strftime(dt, '%d.%m.%Y it''s')": ("string", ["29.02.2020 it's", "31.12.1969 it's", "03.01.2021 it's", None]),
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_an_expression(text, by):
    kind, found = by.scalar(text)
    wanted = SCALARS[text]
    assert kind == wanted[0]
    assert same(found, wanted[1]), found


MEASURES = {
    "count(*)": ("int64", 4),
    "count(i)": ("int64", 3),
    "count(distinct s)": ("int64", 3),
    "sum(j)": ("int64", 7),
    "sum(d * (1 - e))": ("decimal(38,5)", D("-1.29525")),
    "sum(d) filter (where d > 100)": ("decimal(38,3)", None),
    "sum(i) filter (where j > 0)": ("int64", 0),
    "sum(f)": ("float64", NAN),
    "avg(n)": ("float64", 2.5),
    "avg(d)": ("float64", -0.49833333333333335),
    "min(s)": ("string", ""),
    "max(f)": ("float64", NAN),
    "min(f)": ("float64", -2.5),
    "stddev(i)": ("float64", 7.0),
    "variance(i)": ("float64", 49.0),
    "stddev(case when n = 1 then i end)": ("float64", None),
    "median(n)": ("float64", 2.5),
    "bool_and(b)": ("boolean", False),
    "bool_or(b)": ("boolean", True),
    "sum(case when i > 0 then 1 else 0 end) * 1.0 / count(*)": ("float64", 0.25),
    "round(sum(d * e), 2)": ("decimal(38,2)", D("-0.20")),
    "case when count(*) > 100 then sum(n) * 9223372036854775807 else 0 end": ("int64", 0),
}


@pytest.mark.parametrize("text", MEASURES)
def test_a_measure(text, by):
    kind, found = by.measure(text)
    wanted = MEASURES[text]
    assert kind == wanted[0]
    assert same(found, wanted[1]), found


QUERIES = {
    "select n, i from silver.t where i > 0": [(1, 7)],
    "select n, if(i > 0, 'more', 'less') as s from silver.t where n < 3": [(1, "more"), (2, "less")],
    "select if(sum(n) > 9, 'many', 'few') as s from silver.t": [("many",)],
    "select silver.t.n from silver.t where silver.t.s = ''": [(3,)],
    "select * from (select n as k, j from silver.t) x where j = 3": [(4, 3)],
    "select a.i, b.j from silver.t a join silver.t b on a.i = b.j": [(0, 0)],
    "select a.n, b.n as m from silver.t a left join silver.t b on a.j = b.j and b.i > 0": [
        (1, 1), (2, 1), (3, None), (4, None)],
    "select a.n, b.n as m from silver.t a right join silver.t b on a.i = b.j": [
        (3, 3), (None, 1), (None, 2), (None, 4)],
    "select a.n, b.n as m from silver.t a full join silver.t b on a.i = b.j": [
        (1, None), (2, None), (3, 3), (4, None), (None, 1), (None, 2), (None, 4)],
    "select a.n, b.n as m from silver.t a join silver.t b on a.d = b.e": [(3, 3)],
    "select a.n, b.n as m from silver.t a, silver.t b where a.f = b.f and a.n > 1": [(2, 2), (3, 3)],
    "select j, n, m from silver.t join (select j, i as m from silver.t) x using (j) where n < 2": [
        (2, 1, 7), (2, 1, -7)],
    "select n from silver.t where i in (select j from silver.t)": [(3,)],
    "select n from silver.t a where exists (select 1 from silver.t b where b.j = a.i)": [(3,)],
    "select n from silver.t a where not exists (select 1 from silver.t b where b.j = a.i)": [(1,), (2,), (4,)],
    "select n from silver.t where n > (select avg(n) from silver.t)": [(3,), (4,)],
    "select j + 1 as k, sum(d) as s from silver.t group by j + 1": [
        (1, D("0.000")), (3, D("-1.495")), (4, None)],
    "select b, count(*) as c from silver.t group by b": [(True, 2), (False, 1), (None, 1)],
    "select z, count(*) as c from (select case when n > 2 then -0.0e0 else 0e0 end as z from silver.t) x group by z": [
        (0.0, 4)],
    "select date_trunc('month', dt) as m, count(*) as c from silver.t group by m having c > 0 and m is not null": [
        (date(1969, 12, 1), 1), (date(2020, 2, 1), 1), (date(2021, 1, 1), 1)],
    "select count(*) as c, sum(i) as s, 1 as one from silver.t where i > 1000": [(0, None, 1)],
    "select j, count(*) as c from silver.t where i > 1000 group by j": [],
    "select distinct j from silver.t": [(0,), (2,), (3,)],
    "select j from silver.t union select 5": "needs a name",
    "select j as x from silver.t union select n from silver.t where n > 3": [(0,), (2,), (3,), (4,)],
    "select d from silver.t where n = 1 union all select e from silver.t where n = 1": [(D("1.005"),), (D("0.050"),)],
    "select j from silver.t except select n from silver.t": [(0,)],
    "select j from silver.t intersect select n from silver.t": [(2,), (3,)],
    "with x as (select n, i from silver.t), y as (select n from x where i > 0) select * from y": [(1,)],
    "select n, row_number() over (partition by j order by i desc) as r from silver.t": [(1, 1), (2, 2), (3, 1), (4, 1)],
    "select n, rank() over (order by j) as r, dense_rank() over (order by j) as q from silver.t": [
        (1, 2, 2), (2, 2, 2), (3, 1, 1), (4, 4, 3)],
    "select n, lag(i) over (order by n) as a, lead(i, 2) over (order by n) as c from silver.t": [
        (1, None, 0), (2, 7, None), (3, -7, None), (4, 0, None)],
    "select n, sum(n) over (order by j desc, n) / sum(n) over () as share from silver.t": [
        (1, 0.5), (2, 0.7), (3, 1.0), (4, 0.4)],
    "select n from silver.t qualify row_number() over (partition by j order by n) = 1": [(1,), (3,), (4,)],
}  # fmt: skip


@pytest.mark.parametrize("text", QUERIES)
def test_a_query(text, by):
    wanted = QUERIES[text]
    if isinstance(wanted, str):
        with pytest.raises(StepError, match=wanted):
            by.query(text)
        return
    found = by.query(text)[1]
    assert sorted(map(repr, found)) == sorted(map(repr, wanted))


ORDERED = {
    "order by i": [4, 2, 3, 1],
    "order by i desc": [1, 3, 2, 4],
    "order by i nulls last": [2, 3, 1, 4],
    "order by s, n": [4, 3, 2, 1],
    "order by f desc": [3, 1, 2, 4],
    "order by -n limit 2 offset 1": [3, 2],
}


@pytest.mark.parametrize("order", ORDERED)
def test_an_order(order, by):
    assert [n for (n,) in by.query(f"select n from silver.t {order}")[1]] == ORDERED[order]


FAILING = {
    "i * 9223372036854775807": "does not fit 64 bits",
    "cast(u as int)": "(: 'ab'|: '-3.5') is no int64; try_cast",
    "cast(u as date)": "is no date; try_cast",
    "cast(f as decimal(10,0))": "not finite, or too great, is no decimal.10,0.; try_cast",
    "cast(d as decimal(3,3))": "cannot (compute the rows|add columns): ",
    "cast(99999 as decimal(3,0)) + n": "cannot (compute the rows|add columns): ",
    "cast(i as decimal(38,0)) * 9999999999999999999999999999999999999.0": "cannot (compute the rows|add columns): ",
}


@pytest.mark.parametrize("text", FAILING)
def test_what_cannot_be_computed_fails(text, by):
    with pytest.raises(StepError, match=FAILING[text]) as error:
        by.scalar(text)
    assert "\n" not in str(error.value)


def test_sums_do_not_wrap(by):
    with pytest.raises(StepError):
        by.measure("sum(n + 4611686018427387900)")


REFUSED = {
    "lowr(s)": "did you mean 'lower'",
    "read_csv('x')": "reads a file",
    "sum(i)": "one row only",
    "row_number() over (order by i)": "looks at other rows",
    "i > (select 1)": "is a query",
    "*": "not one value",
    "random() > 1": "repeatable",
    "dt > current_date": "repeatable",
    "dt > '2020-01-01'": "write date '2020-01-01'",
    "s > 1": "cannot compare string",
    "I > 1": "no column 'I'",
    "dt + 1": "interval '1' day",
    "dt + interval '1' hour": "a date has no hour",
    "cast(f as string)": "no cast from float64",
    "cast(i as smallint)": "no type to cast to",
    "regexp_like(s, '(?=x)')": "not every engine|on every engine",
    r"regexp_like(s, '\bx')": "not every engine",
    "regexp_like(s, s)": "written out",
    "regexp_replace(s, 'x*', '-')": "where there is nothing",
    "9223372036854775808": "does not fit 64 bits",
    "case when i > 0 then 'a' else 1 end": "mixes",
    "i; i": "several statements",
    "i >": "cannot be parsed",
    "i in (select n from silver.t)": "stands in WHERE",
    "substr(s, -1)": "right",
    "strftime(ts, '%p')": "no directive",
    "d * d * d * d * d * d * d * d * d * d * d * d * d": "more than 38",
    "i | 1": "not SQL that every engine has",
}


@pytest.mark.parametrize("text", REFUSED)
def test_expressions_that_are_refused(text, by):
    with pytest.raises(StepError, match=REFUSED[text]) as error:
        by.scalar(text)
    assert "\n" not in str(error.value)


REFUSED_QUERIES = {
    "delete from silver.t": "must be a SELECT",
    "select n from silver.t; select 1 as x": "several statements",
    "select n from read_csv('x')": "no table",
    "select n from csv.`x`": "cannot be parsed",
    "select n from silver.x": "no table 'silver.x'; did you mean 'silver.t'",
    "select nn from silver.t": "no column 'nn'",
    "select count(*) from silver.t": "needs a name",
    "select n, n from silver.t": "two columns",
    "select n from silver.t limit 1": "LIMIT without ORDER BY",
    "select n, i from silver.t group by n": "nor is it grouped by",
    "select n from silver.t where sum(i) > 1": "HAVING",
    "select n from silver.t where i not in (select i from silver.t)": "NOT EXISTS",
    "select n from silver.t a join silver.t b on a.n = b.n": "say which",
    "select a.n from silver.t a join silver.t b on a.n > b.n": "equal",
    "with recursive x as (select 1 as a) select a from x": "recursive",
}


@pytest.mark.parametrize("text", REFUSED_QUERIES)
def test_queries_that_are_refused(text, by):
    with pytest.raises(StepError, match=REFUSED_QUERIES[text]) as error:
        by.query(text)
    assert "\n" not in str(error.value)


def test_groups_by_expressions(engine, rows, by):
    t = by.t
    found = rows(engine.aggregate(t, {"half": "date_trunc('year', dt)", "odd": "n % 2 = 1"}, {"c": "count(*)"}))
    assert sorted(str(row["half"]) for row in found) == ["1969-01-01", "2020-01-01", "2021-01-01", "None"]
    assert {row["c"] for row in found} == {1}


def test_counts_of_another_step_are_whole_numbers(engine, rows, by):
    t = by.t
    counted = t.group_by("j").agg(nw.len().alias("c"))
    found = rows(engine.with_sql(counted, {"less": "c - 10"}))
    assert sorted(row["less"] for row in found) == [-9, -9, -8]


def test_what_is_used_is_told():
    parsed = sql.measure("sum(d) / count(*)", TYPES)
    assert (str(parsed.kind), parsed.columns, parsed.calls) == ("float64", ("d",), ("count", "sum"))
    query = sql.query("select upper(s) as x from silver.t", {"silver.t": TYPES, "other": {}})
    assert (query.tables, query.calls, list(query.columns)) == (("silver.t",), ("upper",), ["x"])
