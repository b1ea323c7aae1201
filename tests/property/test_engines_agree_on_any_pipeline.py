"""Tables and pipelines made at random: both engines publish the same rows, and set aside the same for the same reasons.

What is drawn is a whole declaration: columns with their types, checks, a deduplication, aggregates; and raw texts
that are nearly values of these types. `oreflow parity` compares, so that accounts, schemas and quarantines count too.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oreflow

# Each is two runs, one of them on Spark, which takes seconds whatever the number of rows.
FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
NAMES = ("a", "Größe", "last name", "x-y", "select", "_e")
INTEGERS = ["0", "1", "-1", "7", "7.0", " 7 ", "+5", "1e3", "9223372036854775807", "9223372036854775808", "1.5", "0x1"]
NUMBERS = ["0", "-0.0", "0.005", "0.015", "2.675", "1.10", ".5", "5.", "-12.345", "99999999.99", "1e2", "1,5"]
TEXTS = [
    "a",
    "A",
    "b",
    "a ",
    " a",
    "ä",
    "a\u0308",
    "ß",
    "İ",
    "\u00a0",
    "a\nb",
    'say "a"',
    "😀",
    "a,b",
    "''",
    "\\",
    "NULL",
]
DAYS = ["2020-02-29", "2021-02-29", "1999-12-31", "0001-01-01", "9999-12-31", "2020-1-1", "20200101", "2020-01-01x"]
MOMENTS = ["2020-02-29 23:59:59", "2020-02-29T23:59:59.999999", "2020-02-29 24:00:00", "1969-12-31 23:59:59.5",
           "2021-03-28 02:30:00", "2020-02-29 10:00", "2020-02-29", "2020-02-29 10:00:00+02:00"]  # fmt: skip
KINDS: dict[str, tuple[list[str], list[str]]] = {  # type: nearly its values; what may be asked of a column c
    "int64": (INTEGERS, ["c > 0", "c % 3 = 1", "abs(c / 2) < 100", "c in (1, 7)", "c between -1 and 7", "c <> 7"]),
    "int32": (INTEGERS, ["c // 2 = 3", "-c <= 0", "c is not distinct from 1", "c is null"]),
    "decimal(10,2)": (NUMBERS, ["c > 0.01", "round(c, 1) = c", "c * c < 100", "c - 0.005 >= 0", "ceil(c) = 1"]),
    "decimal(38,3)": (NUMBERS, ["c + 1 > 1.005", "c / 3 > 0.1", "coalesce(c, 1.0) > 0"]),
    "float64": ([*NUMBERS, "nan", "inf", "-Infinity"], ["c >= 0", "c = c", "c < 0.1", "c * 2 > 1e0", "c is not null"]),
    "boolean": (["true", "F", "yes", "0", "1", "maybe", "TRUE "], ["c", "not c", "c is not true", "c = false"]),
    "string": (TEXTS, ["length(c) > 1", "c like 'a%'", "upper(c) <> c", "c < 'b'", "trim(c) = c", "c || 'x' > 'ax'",
                       "regexp_like(c, '^[a-z]')", "c = 'a'", "substr(c, 2) <> ''"]),
    "date": (DAYS, ["extract(year from c) > 1999", "c > date '2000-01-01'", "extract(dow from c) < 4"]),
    "timestamp": (MOMENTS, ["extract(hour from c) < 12", "cast(c as date) > date '2000-01-01'",
                            "date_trunc('month', c) < timestamp '2020-02-29 00:00:00'"]),
    "timestamp_utc": (MOMENTS, ["c is not null"]),
}  # fmt: skip
SUMMED = ("int64", "int32", "decimal(10,2)", "float64")


@st.composite
def pipelines(draw) -> tuple[dict[str, Any], list[list[str | None]]]:
    """The tables of a declaration, and rows of texts for the columns of its source."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    kinds = {name: draw(st.sampled_from(sorted(KINDS))) for name in names}
    columns = {f"c{place}": {"from": name, "type": kinds[name]} for place, name in enumerate(names)}
    for column in columns.values():
        if column["type"] == "string" and draw(st.booleans()):
            column["clean"] = draw(st.lists(st.sampled_from(["trim", "lower", "empty_to_null"]), unique=True))
    checks: list[dict[str, Any]] = []
    for column, about in columns.items():
        for asked in draw(st.lists(st.sampled_from(KINDS[about["type"]][1]), max_size=2, unique=True)):
            expression = re.sub(r"\bc\b", column, asked)
            action = draw(st.sampled_from(["quarantine", "quarantine", "warn"]))
            nulls = draw(st.sampled_from(["pass", "fail"]))
            checks.append({"type": "validity", "expression": expression, "action": action, "nulls": nulls})
    for number, check in enumerate(checks):
        check["name"] = f"check {number}"
    silver: dict[str, Any] = {"input": "bronze.rows", "columns": columns, "checks": checks}
    keys = [column for column, about in columns.items() if about["type"] in ("int64", "string", "date", "boolean")]
    rule = draw(st.sampled_from(["exact", "none", *(["keys"] if keys else [])]))
    silver["enable_deduplication"] = rule != "none"
    if rule == "keys":
        silver["deduplicate"] = {"keys": keys[:1], "order_by": [column for column in columns if column not in keys[:1]]}
    elif rule == "exact":
        silver["deduplicate"] = "exact"
    last = list(columns)[-1]
    measures = {"n": "count(*)", "some": f"count({last})", "different": f"count(distinct {last})"}
    if columns[last]["type"] != "boolean":
        measures |= {"least": f"min({last})", "most": f"max({last})"}
    if (
        columns[last]["type"] in SUMMED and columns[last]["type"] != "int64"
    ):  # a sum of int64 may not fit, and then fails
        measures |= {"total": f"sum({last})", "mean": f"avg({last})"}
    gold = {"input": "silver.rows", "group_by": ["c0"], "measures": measures}
    cells = [st.one_of(st.none(), st.just(""), st.sampled_from(KINDS[kinds[name]][0])) for name in names]
    rows = draw(st.lists(st.tuples(*cells), max_size=14))
    return {"header": names, "tables": {"bronze.rows": {"source": "s"}, "silver.rows": silver, "gold.rows": gold}}, rows


def _line(cells) -> str:
    return ",".join("" if cell is None else '"' + cell.replace('"', '""') + '"' for cell in cells)


@FEW
@given(drawn=pipelines(), split=st.integers(0, 14))
def test_both_engines_publish_and_quarantine_the_same_rows(project_in, spark, drawn, split):
    made, rows = drawn
    project = project_in(Path(tempfile.mkdtemp(prefix="oreflow-")))
    source = {"s": {"path": "./data/raw/*.csv", "format": "csv"}}
    text = {"name": "drawn", "sources": source, "tables": made["tables"]}
    project.declare(yaml.safe_dump(text, sort_keys=False, allow_unicode=True))
    for number, some in enumerate((rows[:split], rows[split:])):
        project.put(f"{number}.csv", "\n".join(map(_line, [made["header"], *some])) + "\n")
    found = oreflow.parity(project.root)
    assert found.equal, [(each.table, each.quarantine, each.differences) for each in found.tables if not each.equal]
    assert not [each for each in found.tables if each.rows["polars"] == 0 and each.table == "bronze.rows" and rows]
    shutil.rmtree(project.root)
