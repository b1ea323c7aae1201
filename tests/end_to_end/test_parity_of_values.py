"""Typed values that are read again: as another type, as text, in a reason, against bounds."""

from __future__ import annotations

import re

import oreflow

DECLARATION = """
name: values
sources: {odd: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.odd: {source: odd}
  silver.typed:
    input: bronze.odd
    checks:
      - {type: validity, column: day, range: {min: "0021-02-04", max: "9999-12-30"}, nulls: pass, action: warn, name: a}
      - {type: validity, column: day, values: ["0021-02-03", "2021-02-03"], action: warn, name: b}
      - {type: validity, column: at, range: {min: "0001-01-01 00:00:00.000001"}, nulls: pass, action: warn, name: c}
      - {type: validity, column: instant, range: {min: "0001-01-01T00:00:00.2Z"}, nulls: pass, name: d}
      - {type: validity, column: day, range: {min: "0021-02-03"}, nulls: pass, name: e}
      - {type: validity, column: f32, range: {max: 0.1}, action: warn, name: g}
      - {type: validity, column: f32, values: [0.1, 1.5, 1.0e-7], action: warn, name: h}
    columns:
      n: {type: int64}
      f: {type: float64}
      f32: {type: float32, from: g}
      d: {type: "decimal(20,6)", from: d}
      b: {type: boolean}
      day: {type: date, from: day}
      at: {type: timestamp}
      instant: {type: timestamp_utc}
  silver.again:
    input: silver.typed
    deduplicate: exact
    columns:
      n: {type: int64}
      f: {type: float64}
      wider: {type: float64, from: f32}
      narrower: {type: float32, from: f}
      d: {type: string}
      whole: {type: int64, from: d}
      b: {type: string}
      day: {type: string}
      at: {type: string, clean: [trim]}
      instant: {type: string}
      moment: {type: timestamp_utc, from: instant}
      clock: {type: timestamp, from: at}
    checks:
      - {type: validity, column: f, range: {min: 0}, name: positive}
      - {type: validity, column: moment, range: {min: "2021-02-03T09:00:00+01:00"}, name: late, nulls: pass}
      - {type: validity, column: clock, values: ["2021-02-03 10:00:00.5", "2021-02-03 10:00:00"], nulls: pass}
      - {type: uniqueness, columns: [moment, clock], nulls: pass}
  gold.odd:
    input: silver.typed
    group_by: {b: b}
    measures: {greatest: max(f32), least: min(f32), at: max(instant)}
"""
BROKEN = {"a": 2, "b": 4, "c": 2, "g": 5, "h": 5}
"""How many of the ten rows break which warning; NULL and NaN among them."""
ROWS = [
    "1,1.5,1.5,7,true,2021-02-03,2021-02-03 10:00:00.5,2021-02-03T10:00:00+02:00",
    "2,1e-7,1e-7,7.000001,false,0021-02-03,2021-02-03 10:00:00,2021-02-03T10:00:00.000001Z",
    "3,-1e22,-1e22,0.000001,true,2021-02-03,2021-02-03 10:00:01,2021-02-03T07:00:00Z",
    "4,3.5e38,0.1,-12345678901234.5,false,9999-12-31,9999-12-31 23:59:59.999999,9999-12-31T23:59:59.999999Z",
    "8,1,1,1,true,1900-01-01,1900-01-01 00:00:00.1,1969-12-31T23:59:59.999999Z",
    "9,1,1,1,true,1582-10-10,1582-10-10 01:02:03.000001,0001-01-01T00:00:00.123456Z",
    "5,nan,nan,,,,,",
    "6,inf,inf,1,true,2021-02-03,2021-02-03 10:00:00.5,2021-02-03T10:00:00+02:00",
    "7,0.1,0.1,1,true,2021-02-03,0001-01-01 00:00:00,",
    "7,0.1,0.1,1,true,2021-02-03,0001-01-01 00:00:00,",
]


def test_they_are_the_same_on_both(project, spark):
    made = project(DECLARATION, {})
    made.put("odd.csv", ("n,f,g,d,b,day,at,instant\n" + "\n".join(ROWS) + "\n").encode())
    found = oreflow.parity(made.root)
    assert found.equal, [(table.table, table.quarantine, table.differences) for table in found.tables]

    broken = made.run_well()["silver.typed"].remarks
    counts = {remark.split("'")[1]: int(remark.split("warns: ")[1].split()[0]) for remark in broken}
    assert counts == BROKEN
    reasons = {row["n"]: row["_reason"] for row in made.dicts("silver.again", quarantine=True)}
    assert reasons["3"] == (
        "whole: '0.000001' is no int64; f is not at least 0; moment: '2021-02-03 07:00:00.000000+00:00' is not at"
        " least 2021-02-03T09:00:00+01:00; clock: '2021-02-03 10:00:01.000000' is not one of 2021-02-03 10:00:00.5,"
        " 2021-02-03 10:00:00"
    )
    assert "narrower is too great for a float32" in reasons["4"]
    assert "moment, clock: '2021-02-03 08:00:00.000000+00:00, 2021-02-03 10:00:00.500000' is not unique" in reasons["6"]


def test_a_float_is_no_text(project):
    columns = "{f: {type: string}}"
    made = project(
        DECLARATION.partition("  silver.again:")[0] + f"  silver.again: {{input: silver.typed, columns: {columns}}}", {}
    )
    made.put("odd.csv", f"n,f,g,d,b,day,at,instant\n{ROWS[0]}\n".encode())
    done = made.cli("run")
    assert done.code == 1
    assert (
        "column 'f' of its input is a float, which has no one text: read it as float64 or float32"
        in done.err + done.out
    )


def test_a_bound_that_no_float32_can_have_is_refused_before_a_run(project):
    check = "checks: [{type: validity, column: f, range: {max: 1.0e+39}}]"
    typed = f"  silver.typed: {{input: bronze.odd, columns: {{f: {{type: float32}}}}, {check}}}\n"
    done = project(DECLARATION.partition("  silver.typed:")[0] + typed, {}).cli("plan")
    assert done.code == 2
    assert "tables.silver.typed.checks.0.range.max: 1e+39 is no float32 - the column is float32" in done.err


def test_typed_rows_that_were_seen_before_are_known_again_by_the_other_engine(project, spark):
    """NULL, NaN and both zeros among them; also rows that were quarantined when they came first."""
    header, odd = "n,f,g,d,b,day,at,instant\n", ["10,-0.0,0.0,,,,,", "10,0.0,-0.0,,,,,", "5,nan,nan,,,,,", "11,,,,,,,"]
    rows, states = [*ROWS[:4], *odd], []
    for engines in (("polars", "spark"), ("spark", "polars")):
        made = project(DECLARATION, {}, folder="-".join(engines))
        for day, engine in enumerate(engines):
            made.put(f"{day}.csv", (header + "\n".join(rows[day:]) + "\n").encode())
            again = made.run_well(engine=engine)["silver.again"]
        assert (again.rows_superseded, again.rows_read) == (7, 7)
        states.append(re.sub(r"-0\.0\b", "0.0", repr(made.state("_rules", "_reason"))))
    assert states[0] == states[1]
