"""Write, audit, publish: a batch that does not pass its gate is not published, is kept, and is explained."""

from __future__ import annotations

import polars as pl
import pytest

import oreflow

DECLARATION = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, country: {type: string}, amount: {type: "decimal(10,2)"}}
    deduplicate: exact
    GATE
  gold.sales: {input: silver.sales, group_by: [country], measures: {amount: "sum(amount)"}}
"""
HEADER = "id,country,amount\n"
GOOD = HEADER + "".join(f"{number},de,1.00\n" for number in range(1, 9))
POOR = HEADER + "11,de,1.00\n12,fr,-1.00\n13,fr,-2.00\n14,fr,-3.00\n15,fr,-4.00\n16,de,2.00\n"
GATES = {
    "quality_threshold": ("quality_threshold: 0.9\n    checks: [{name: paid, type: validity, expression: amount > 0}]"),
    "threshold": "checks: [{name: paid, type: validity, expression: amount > 0, threshold: 0.9}]",
    "threshold that warns": (
        "checks: [{name: paid, type: validity, expression: amount > 0, action: warn, threshold: 0.9}]"
    ),
    "action fail": "checks: [{name: paid, type: validity, expression: amount > 0, action: fail}]",
    "row_count": "checks: [{name: enough, type: row_count, min: 7}]",
}
SAID = {
    "quality_threshold": ["quality score 33.33 %", "quality_threshold 90 %"],
    "threshold": ["check 'paid'", "4 of 6 rows fail", "33.33 % pass", "threshold 90 %"],
    "threshold that warns": ["check 'paid'", "4 of 6 rows fail", "threshold 90 %"],
    "action fail": ["check 'paid'", "4 of 6 rows fail", "none may fail"],
    "row_count": ["check 'enough'", "6 rows to publish", "at least 7"],
}


def _declared(gate: str) -> str:
    return DECLARATION.replace("GATE", gate)


@pytest.mark.parametrize("gate", GATES)
def test_a_batch_that_fails_its_gate_is_not_published_and_readers_keep_the_good_version(project, gate):
    shop = project(_declared(GATES[gate]), {"a.csv": GOOD})
    shop.run_well()
    before = {name: (shop.rows(name), shop.version(name)) for name in ("silver.sales", "gold.sales")}
    shop.put("b.csv", POOR)
    results = {result.table: result for result in shop.run().tables}
    assert [result.status for result in results.values()] == ["published", "failed", "skipped"]
    assert {name: (shop.rows(name), shop.version(name)) for name in before} == before
    assert shop.rows("silver.sales", quarantine=True) == []
    reason = results["silver.sales"].reason
    for part in SAID[gate]:
        assert part in reason
    assert results["gold.sales"].reason == "silver.sales was not made"


@pytest.mark.parametrize("gate", GATES)
def test_a_failed_gate_reports_the_figures_of_the_candidate(project, gate):
    shop = project(_declared(GATES[gate]), {"b.csv": POOR + "11,de,1.00\n"})
    (result,) = [table for table in shop.cli("run", "--json").json["tables"] if table["table"] == "silver.sales"]
    aside = gate in ("quality_threshold", "threshold")
    figures = [result[f"rows_{kind}"] for kind in ("read", "published", "quarantined", "superseded")]
    assert figures == [7, 0, 4 if aside else 0, 1]
    assert result["rules"] == ({} if gate == "row_count" else {"paid": 4})
    assert result["quality_score"] == pytest.approx(2 / 6 if aside else 1)


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate != "row_count"])
def test_a_failed_gate_shows_three_sample_rows_with_their_place(project, gate):
    shop = project(_declared(GATES[gate]), {"b.csv": POOR})
    results = {result.table: result for result in shop.run().tables}
    reason = results["silver.sales"].reason
    assert reason.count("data/raw/b.csv:") == 3
    assert sum(f"data/raw/b.csv:{line} " in reason for line in (3, 4, 5, 6)) == 3


@pytest.mark.parametrize("gate", GATES)
def test_the_candidate_of_a_failed_batch_is_kept_for_inspection(project, gate):
    shop = project(_declared(GATES[gate]), {"b.csv": POOR})
    reason = {result.table: result for result in shop.run().tables}["silver.sales"].reason
    kept = shop.root / "lake" / "_oreflow" / "failed" / "silver.sales" / "batch-000001"
    assert str(kept) in reason
    rows = [pl.read_parquet(file).height for part in ("published", "quarantined") for file in kept.glob(f"{part}/*")]
    assert sum(rows) == 6
    assert shop.version("silver.sales") is None
    assert not list((shop.root / "lake" / "silver").rglob("*.parquet"))


def test_what_a_refused_batch_would_have_set_aside_is_asked_for_by_its_number(project):
    shop = project(_declared(GATES["quality_threshold"].replace("0.9", "0.8")), {"a.csv": GOOD + "9,de,0.00\n"})
    shop.run_well()
    shop.put("b.csv", POOR.replace("13,fr,-2.00", "x,fr,-2.00"))
    assert not shop.run().succeeded
    refused = oreflow.quarantine(shop.root, "silver.sales", refused=2, worst=True)
    assert [(row["_source_row"], row["_rules"], row["_batch_id"]) for row in refused] == [
        (4, ["id is int64", "paid"], 2),
        (3, ["paid"], 2),
        (5, ["paid"], 2),
        (6, ["paid"], 2),
    ]
    assert oreflow.quarantine(shop.root, "silver.sales", refused=2, worst=True, limit=1) == refused[:1]
    assert oreflow.quarantine(shop.root, "silver.sales", refused=1) == []
    out = shop.cli("quarantine", "show", "silver.sales", "--refused", "2").out
    assert f"\n{len(refused)} rows shown of those that batch 2 of silver.sales would have set aside\n" in out
    assert shop.cli("quarantine", "show", "silver.sales", "--refused", "2", "--json").json[0]["_rules"]
    none = "no row of a refused batch 1 of silver.sales is kept\n"
    assert shop.cli("quarantine", "show", "silver.sales", "--refused", "1").out == none
    assert [row["_source_row"] for row in oreflow.quarantine(shop.root, "silver.sales", batches=[1])] == [10]
    assert oreflow.quarantine(shop.root, "silver.sales", batches=[2]) == []


def test_a_failed_gate_makes_the_command_fail_and_names_the_check(project):
    shop = project(_declared(GATES["action fail"]), {"b.csv": POOR})
    done = shop.cli("run")
    assert done.code == 1
    assert "check 'paid'" in done.out
    assert "Traceback" not in done.out + done.err
    report = shop.cli("run", "--json")
    assert report.code == 1
    assert [table["status"] for table in report.json["tables"]] == ["unchanged", "failed", "skipped"]
    assert report.json["status"] == "failed"


@pytest.mark.parametrize("gate", GATES)
def test_once_the_declaration_is_mended_the_next_run_publishes(project, gate):
    shop = project(_declared(GATES[gate]), {"b.csv": POOR})
    assert not shop.run().succeeded
    shop.declare(_declared("checks: [{name: paid, type: validity, expression: amount > 0}]"))
    results = shop.run_well()
    assert (results["silver.sales"].rows_published, results["silver.sales"].rows_quarantined) == (2, 4)
    assert results["gold.sales"].status == "published"


def test_once_better_data_arrives_the_next_run_publishes_all_of_it(project):
    shop = project(_declared(GATES["row_count"]), {"b.csv": POOR})
    assert not shop.run().succeeded
    shop.put("c.csv", GOOD)
    assert shop.run_well()["silver.sales"].rows_published == 14
    assert len(shop.rows("silver.sales")) == 14


def test_a_bronze_gate_counts_the_lines_that_cannot_be_read(project):
    declaration = DECLARATION.replace("{source: sales}", "{source: sales, quality_threshold: 0.9}").replace("GATE", "")
    shop = project(declaration, {"a.csv": HEADER + "1,de,1.00\n2,de\n"})
    results = {result.table: result for result in shop.run().tables}
    assert [result.status for result in results.values()] == ["failed", "skipped", "skipped"]
    assert "50 %" in results["bronze.sales"].reason
    assert shop.tables() == []
    shop.put("a.csv", HEADER + "1,de,1.00\n2,de,1.00\n")
    assert shop.run_well()["silver.sales"].rows_published == 2


def test_a_failed_table_stops_only_what_depends_on_it(project):
    declaration = _declared(GATES["action fail"]) + (
        "  silver.other: {input: bronze.sales, columns: {id: {type: int64}}}\n"
        '  gold.other: {input: silver.other, measures: {n: "count(*)"}}\n'
        "  gold.third: {input: gold.sales, measures: {n: count(country)}}\n"
    )
    shop = project(declaration, {"b.csv": POOR})
    statuses = {result.table: result.status for result in shop.run().tables}
    assert statuses == {
        "bronze.sales": "published",
        "silver.sales": "failed",
        "silver.other": "published",
        "gold.sales": "skipped",
        "gold.other": "published",
        "gold.third": "skipped",
    }


def test_a_check_that_warns_publishes_its_rows_and_says_so(project):
    shop = project(_declared("checks: [{name: paid, type: validity, expression: amount > 0, action: warn}]"))
    shop.put("b.csv", POOR)
    result = shop.run_well()["silver.sales"]
    assert (result.rows_published, result.rows_quarantined) == (6, 0)
    (remark,) = result.remarks
    assert "check 'paid' warns: 4 of 6 rows fail" in remark


# The kinds of check, row by row

CHECKED = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, country: {type: string}, amount: {type: float64}}
    enable_deduplication: false
    checks: [CHECK]
"""
LINES = HEADER + "1,de,5\n2,fr,50\n3,,500\n4,xx,\n1,de,\n"


@pytest.mark.parametrize(
    ("check", "set_aside"),
    [
        ("{type: completeness, column: country}", {4}),
        ("{type: completeness, columns: [country, amount]}", {4, 5, 6}),
        ("{type: validity, expression: amount < 100}", {4, 5, 6}),
        ("{type: validity, expression: amount < 100, nulls: pass}", {4}),
        ("{type: validity, column: country, values: [de, fr]}", {4, 5}),
        ("{type: validity, column: country, values: [de, fr], nulls: pass}", {5}),
        ("{type: validity, column: country, pattern: '^[df]'}", {4, 5}),
        ("{type: validity, column: country, pattern: '^[df]', nulls: pass}", {5}),
        ("{type: validity, column: amount, range: {min: 10}}", {2, 5, 6}),
        ("{type: validity, column: amount, range: {min: 5, max: 50}}", {4, 5, 6}),
        ("{type: validity, column: amount, range: {min: 5, max: 50}, nulls: pass}", {4}),
        ("{type: uniqueness, column: id}", {6}),
        ("{type: uniqueness, columns: [id, country]}", {4, 6}),
        ("{type: uniqueness, columns: [id, country], nulls: pass}", {6}),
    ],
)
def test_each_row_lands_in_exactly_one_place(project, check, set_aside):
    shop = project(CHECKED.replace("CHECK", check), {"a.csv": LINES})
    result = shop.run_well()["silver.sales"]
    published = {row["_source_row"] for row in shop.dicts("silver.sales")}
    quarantined = {row["_source_row"]: row for row in shop.dicts("silver.sales", quarantine=True)}
    assert set(quarantined) == set_aside
    assert published == {2, 3, 4, 5, 6} - set_aside
    assert result.rows_quarantined == len(set_aside)
    assert all(row["_rules"] and row["_reason"] and row["_source_file"] for row in quarantined.values())


@pytest.mark.parametrize(
    ("check", "reasons"),
    [
        ("type: validity, column: country, pattern: d", ["country is NULL", "country is NULL", "country: 'fr' is not"]),
        ("type: validity, column: country, values: [de]", ["country is NULL", "country is NULL", "country: 'fr' is"]),
        ("type: uniqueness, column: country", ["country is NULL", "country is NULL"]),
        ("type: uniqueness, columns: [id, country]", ["country is NULL", "country is NULL"]),
        ("type: uniqueness, column: amount", ["amount: '1.00' is not unique", "amount: '1.00' is not unique"]),
    ],
)
def test_a_reason_says_of_null_that_it_is_null(project, check, reasons):
    shop = project(_declared(f"checks: [{{{check}}}]"), {"a.csv": HEADER + "1,,1.00\n2,fr,1.00\n3,,1.00\n"})
    shop.run_well()
    found = sorted(row["_reason"] for row in shop.dicts("silver.sales", quarantine=True))
    assert len(found) == len(reasons)
    assert all(reason.startswith(start) for reason, start in zip(found, sorted(reasons), strict=True)), found


def test_a_row_that_breaks_several_checks_names_them_all_and_counts_for_each(project):
    checks = (
        "{name: small, type: validity, expression: amount < 100}, {name: where, type: completeness, column: country}"
    )
    shop = project(CHECKED.replace("CHECK", checks), {"a.csv": LINES})
    result = shop.run_well()["silver.sales"]
    rows = {row["_source_row"]: row["_rules"] for row in shop.dicts("silver.sales", quarantine=True)}
    assert rows == {4: ("small", "where"), 5: ("small",), 6: ("small",)}
    assert result.rules == {"small": 3, "where": 1}
    assert result.rows_quarantined == 3


def test_uniqueness_holds_across_batches(project):
    shop = project(
        CHECKED.replace("CHECK", "{name: once, type: uniqueness, column: id}"), {"a.csv": HEADER + "1,de,5\n"}
    )
    shop.run_well()
    shop.put("b.csv", HEADER + "1,fr,7\n2,fr,7\n")
    result = shop.run_well()["silver.sales"]
    assert (result.rows_published, result.rows_quarantined) == (1, 1)
    assert [row["country"] for row in shop.dicts("silver.sales")] == ["de", "fr"]


def test_a_full_refresh_does_not_compare_with_the_version_that_it_replaces(project):
    shop = project(
        CHECKED.replace("CHECK", "{name: once, type: uniqueness, column: id}"), {"a.csv": HEADER + "1,de,5\n"}
    )
    shop.run_well()
    result = shop.run_well(full_refresh=["silver.sales"])["silver.sales"]
    assert (result.rows_published, result.rows_quarantined) == (1, 0)


def test_checks_of_a_mart_hold_its_gate_too(project):
    check = "{name: some, type: validity, expression: amount > 0, action: fail}"
    measures = 'measures: {amount: "sum(amount)"}'
    declaration = _declared("").replace(measures, f"{measures}, checks: [{check}]")
    shop = project(declaration, {"b.csv": POOR})
    results = {result.table: result for result in shop.run().tables}
    assert results["gold.sales"].status == "failed"
    assert "check 'some'" in results["gold.sales"].reason
    assert shop.version("gold.sales") is None
