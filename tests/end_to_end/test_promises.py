"""The five promises where no process dies: the row account, publishing whole or not at all, and nothing silent."""

from __future__ import annotations

import narwhals as nw
import pytest

from oreflow import Output, Processor, ProcessorMetadata

DECLARATION = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, country: {type: string}, amount: {type: "decimal(10,2)"}}
    deduplicate: exact
  gold.sales: {input: silver.sales, group_by: [country], measures: {amount: "sum(amount)"}}
"""
HEADER = "id,country,amount\n"


# A processor that does not keep the account


class _Custom(Processor):
    metadata = ProcessorMetadata("custom", "1.0", "Changes the number of rows", "any", ["silver"], ["incremental"])

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(self.change(rows.select("id", "country", "_batch_id", "_source_file", "_source_row")))


class LosesRow(_Custom):
    def change(self, rows):
        return rows.filter(nw.col("id") != "2")


class GainsRow(_Custom):
    def change(self, rows):
        return nw.concat([rows, rows.filter(nw.col("id") == "2")], how="vertical")


class KeepsRows(_Custom):
    def change(self, rows):
        return rows


CUSTOM = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.sales: {source: sales}
  silver.sales: {input: bronze.sales, processor: NAME}
  gold.sales: {input: silver.sales, group_by: [country], measures: {sales: "count(*)"}}
"""


@pytest.mark.parametrize(("processor", "what"), [(LosesRow, "loses 1 row"), (GainsRow, "gains 1 row")])
def test_a_processor_that_does_not_keep_the_number_of_rows_is_caught(project, fresh_factory, processor, what):
    fresh_factory.register_processor("careless", processor)
    shop = project(CUSTOM.replace("NAME", "careless"), {"a.csv": HEADER + "1,de,1.00\n2,fr,2.00\n3,de,3.00\n"})
    report = shop.run()
    results = {result.table: result for result in report.tables}
    assert not report.succeeded
    failed = results["silver.sales"]
    assert failed.status == "failed"
    assert "row account does not balance" in failed.reason
    assert what in failed.reason
    assert "careless" in failed.reason
    assert "3 read" in failed.reason
    assert results["gold.sales"].status == "skipped"
    assert shop.version("silver.sales") is None
    assert not list((shop.root / "lake").glob("silver/**/*.parquet")), "what was staged is swept away"


def test_a_processor_that_does_not_keep_the_account_leaves_the_good_version_to_readers(project, fresh_factory):
    fresh_factory.register_processor("careful", KeepsRows)
    fresh_factory.register_processor("careless", LosesRow)
    shop = project(CUSTOM.replace("NAME", "careful"), {"a.csv": HEADER + "1,de,1.00\n2,fr,2.00\n"})
    shop.run_well()
    before = shop.rows("silver.sales"), shop.rows("gold.sales")
    shop.declare(CUSTOM.replace("NAME", "careless"))
    shop.put("b.csv", HEADER + "2,de,1.00\n4,fr,2.00\n")
    assert not shop.run().succeeded
    assert (shop.rows("silver.sales"), shop.rows("gold.sales")) == before
    shop.declare(CUSTOM.replace("NAME", "careful"))
    assert shop.run_well()["silver.sales"].rows_published == 2
    assert len(shop.rows("silver.sales")) == 4


def test_an_installed_plugin_that_loses_a_row_makes_the_command_fail(project, tmp_path):
    site = tmp_path / "site"
    (site / "loser-1.0.dist-info").mkdir(parents=True)
    (site / "loser-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: loser\nVersion: 1.0\n")
    (site / "loser-1.0.dist-info" / "entry_points.txt").write_text("[oreflow.plugins]\nloser = loser:Loser\n")
    (site / "loser.py").write_text(
        "from oreflow import Output, Processor, ProcessorMetadata\n"
        "class _Processor(Processor):\n"
        "    def process(self, inputs, step):\n"
        "        (rows,) = inputs.values()\n"
        "        return Output(rows.head(1))\n"
        "class Loser:\n"
        "    oreflow_api = 1\n"
        "    metadata = ProcessorMetadata('loser', '1.0', 'Loses rows', 'any', ['silver'], ['incremental'])\n"
        "    def create_processor(self, config):\n"
        "        return _Processor(config)\n"
    )
    shop = project(CUSTOM.replace("NAME", "loser"), {"a.csv": HEADER + "1,de,1.00\n2,fr,2.00\n3,de,3.00\n"})
    done = shop.cli("run", env={"PYTHONPATH": str(site)})
    assert done.code == 1
    assert "loser of loser 1.0 loses 2 rows" in done.out
    assert "Traceback" not in done.out + done.err
    assert shop.version("silver.sales") is None


def test_a_processor_that_raises_is_told_in_one_line_and_publishes_nothing(project, fresh_factory):
    class Breaks(_Custom):
        def change(self, rows):
            raise ZeroDivisionError("by nothing")

    fresh_factory.register_processor("breaks", Breaks)
    shop = project(CUSTOM.replace("NAME", "breaks"), {"a.csv": HEADER + "1,de,1.00\n"})
    results = {result.table: result for result in shop.run().tables}
    assert results["silver.sales"].status == "failed"
    assert "ZeroDivisionError: by nothing" in results["silver.sales"].reason
    assert "\n" not in results["silver.sales"].reason
    assert shop.version("silver.sales") is None


# What arrives, and when


def test_each_file_is_loaded_exactly_once(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n2,de,1.00\n"})
    results = shop.run_well()
    assert (results["bronze.sales"].rows_read, results["bronze.sales"].batch) == (2, 1)
    shop.put("b.csv", HEADER + "3,de,1.00\n")
    results = shop.run_well()
    assert (results["bronze.sales"].rows_read, results["bronze.sales"].batch) == (1, 2)
    assert results["silver.sales"].rows_superseded == 0
    assert [row["id"] for row in shop.dicts("bronze.sales")] == ["1", "2", "3"]


def test_a_file_that_arrives_late_is_loaded(project):
    shop = project(DECLARATION, {"2026-01-05.csv": HEADER + "5,de,1.00\n", "2026-01-07.csv": HEADER + "7,de,1.00\n"})
    shop.run_well()
    shop.put("2026-01-06.csv", HEADER + "6,fr,2.50\n")
    results = shop.run_well()
    assert results["bronze.sales"].rows_published == 1
    assert {row["id"] for row in shop.dicts("silver.sales")} == {5, 6, 7}


def test_a_file_with_an_older_time_than_the_last_one_is_loaded(project):
    import os

    shop = project(DECLARATION, {"b.csv": HEADER + "1,de,1.00\n"})
    shop.run_well()
    os.utime(shop.put("a.csv", HEADER + "2,fr,2.50\n"), (0, 0))
    assert shop.run_well()["silver.sales"].rows_published == 1


def test_a_second_run_changes_nothing(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\nx,de,1.00\n1,de,1.00\n"})
    shop.run_well()
    before = shop.files()
    versions = {key: shop.version(key[0], quarantine=key[1]) for key in shop.tables()}
    for result in shop.run_well().values():
        assert (result.status, result.reason, result.rows_read) == ("unchanged", "nothing new", 0)
    assert shop.files() == before
    assert {key: shop.version(key[0], quarantine=key[1]) for key in shop.tables()} == versions


def test_a_file_that_changed_after_it_was_loaded_is_remarked_on_and_not_loaded_again(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n"})
    shop.run_well()
    shop.put("a.csv", HEADER + "1,de,1.00\n2,de,9.00\n")
    result = shop.run_well()["bronze.sales"]
    assert result.status == "unchanged"
    (remark,) = result.remarks
    assert "data/raw/a.csv has changed since it was loaded" in remark
    assert len(shop.rows("silver.sales")) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
        (b"\n1,de,1.00\n", "blank"),
        (b"id,id,amount\n1,de,1.00\n", "more than once"),
        (b"\xff\xfei\x00d\x00", "UTF-16"),
        (b'id,"country,amount\n1,de,1.00\n', "quote"),
    ],
)
def test_a_file_that_cannot_be_read_is_set_aside_whole_and_the_others_go_on(project, content, reason):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n", "b.csv": content, "c.csv": HEADER + "3,de,1.00\n"})
    results = shop.run_well()
    assert {row["id"] for row in shop.dicts("silver.sales")} == {1, 3}
    (remark,) = results["bronze.sales"].remarks
    assert remark.startswith("data/raw/b.csv was set aside whole")
    assert reason in remark
    again = shop.run_well()
    assert again["bronze.sales"].status == "unchanged"


def test_a_file_that_was_set_aside_is_loaded_once_it_is_mended_in_place(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n", "b.csv": ""})
    shop.run_well()
    shop.put("b.csv", HEADER + "2,fr,2.00\n")
    assert shop.run_well()["bronze.sales"].rows_published == 1
    assert {row["id"] for row in shop.dicts("silver.sales")} == {1, 2}
    assert shop.run_well()["bronze.sales"].status == "unchanged"


def test_a_lone_file_that_cannot_be_read_is_set_aside_and_mended_later(project):
    shop = project(DECLARATION, {"a.csv": ""})
    shop.run_well()
    shop.put("a.csv", HEADER + "2,fr,2.00\n")
    shop.run_well()
    assert {row["id"] for row in shop.dicts("silver.sales")} == {2}


def test_a_file_that_is_gone_is_remarked_on_and_its_rows_stay_until_a_full_refresh(project):
    shop = project(DECLARATION, {f"{name}.csv": f"{HEADER}{name},de,1.00\n" for name in (1, 2, 3)})
    shop.run_well()
    (shop.root / "data" / "raw" / "2.csv").unlink()
    gone = "data/raw/2.csv was loaded in batch 1 and is no longer there"
    result = shop.run_well()["bronze.sales"]
    assert (result.status, len(result.remarks), result.remarks[0].partition(";")[0]) == ("unchanged", 1, gone)
    shop.put("4.csv", f"{HEADER}4,de,1.00\n")
    assert gone in shop.cli("plan", "--json").json["tables"][0]["work"]
    result = shop.run_well()["bronze.sales"]
    assert (result.status, len(result.remarks), result.remarks[0].partition(";")[0]) == ("published", 1, gone)
    assert {row["id"] for row in shop.dicts("silver.sales")} == {1, 2, 3, 4}
    (shop.root / "data" / "raw" / "3.csv").unlink()
    (remark,) = shop.run_well(full_refresh=["bronze.sales"])["bronze.sales"].remarks
    assert remark == f"{gone}, like 1 more; what was in it is not in the table made anew"
    assert {row["id"] for row in shop.dicts("silver.sales")} == {1, 4}
    assert not shop.run_well()["bronze.sales"].remarks


def test_a_file_that_the_pattern_no_longer_matches_is_not_called_gone(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n", "b.csv": HEADER + "2,de,1.00\n"})
    shop.run_well()
    shop.declare(DECLARATION.replace("*.csv", "b*.csv"))
    remarks = shop.run_well()["bronze.sales"].remarks
    assert "data/raw/a.csv was loaded in batch 1 and is no longer matched by ./data/raw/b*.csv" in remarks[0]


def test_a_file_whose_name_is_not_utf8_is_set_aside_whole_and_the_others_go_on(project):
    import os

    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n", "é.csv": HEADER + "2,de,1.00\n"})
    odd = shop.put(os.fsdecode(b"caf\xe9.csv"), HEADER + "3,de,1.00\n")
    done = shop.cli("run", "--json")
    assert done.code == 0, done.out + done.err
    (remark,) = done.json["tables"][0]["remarks"]
    assert remark == "data/raw/caf\\xe9.csv was set aside whole: its path is not UTF-8"
    assert {row["id"] for row in shop.dicts("silver.sales")} == {1, 2}
    assert [row["_source_file"] for row in shop.dicts("bronze.sales", quarantine=True)] == ["data/raw/caf\\xe9.csv"]
    odd.write_text(HEADER + "4,de,1.00\n", encoding="utf-8")
    assert shop.run_well()["bronze.sales"].rows_quarantined == 1, "it changed, so it is tried again"
    assert shop.run_well()["bronze.sales"].status == "unchanged"
    odd.rename(odd.with_name("café.csv"))
    shop.run_well()
    assert {row["id"] for row in shop.dicts("silver.sales")} == {1, 2, 4}


# What is dirty


def test_a_line_that_is_no_record_goes_to_quarantine_with_its_place_and_text(project):
    lines = b"1,de,1.00\n2,de\n3,de,1.00,more\n4,\xff,1.00\n5,fr,2.00\n"
    shop = project(DECLARATION, {"a.csv": HEADER.encode() + lines})
    result = shop.run_well()["bronze.sales"]
    assert (result.rows_read, result.rows_published, result.rows_quarantined) == (5, 2, 3)
    rows = sorted(shop.dicts("bronze.sales", quarantine=True), key=lambda row: row["_source_row"])
    assert [row["_source_row"] for row in rows] == [3, 4, 5]
    assert {row["_source_file"] for row in rows} == {"data/raw/a.csv"}
    assert [row["_raw"] for row in rows[:2]] == ["2,de", "3,de,1.00,more"]
    assert [row["_rules"] for row in rows] == [("readable",)] * 3
    assert "2 fields where the header has 3" in rows[0]["_reason"]
    assert "UTF-8" in rows[2]["_reason"]
    assert {row["_batch_id"] for row in rows} == {1}
    good = {row["id"]: row["_source_row"] for row in shop.dicts("bronze.sales")}
    assert good == {"1": 2, "5": 6}, "the lines after a bad one keep their numbers"


def test_a_value_that_cannot_be_cast_sends_its_row_to_quarantine_with_rule_column_and_value(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\ntwo,de,2.00\n3,de,lots\n4.5,de,1.005\n"})
    result = shop.run_well()["silver.sales"]
    assert (result.rows_published, result.rows_quarantined) == (1, 3)
    rows = {row["_source_row"]: row for row in shop.dicts("silver.sales", quarantine=True)}
    assert rows[3]["_rules"] == ("id is int64",)
    assert "id: 'two' is no int64" in rows[3]["_reason"]
    assert rows[3]["id"] == "two", "raw values are kept"
    assert rows[4]["_rules"] == ("amount is decimal(10,2)",)
    assert "'lots'" in rows[4]["_reason"]
    assert rows[5]["_rules"] == ("id is int64", "amount is decimal(10,2)"), "all rules that were broken"


def test_a_column_that_a_later_file_adds_is_null_in_the_rows_before(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n"})
    shop.run_well()
    shop.put("b.csv", "note,amount,id,country\nhello,2.00,2,fr\n")
    shop.run_well()
    bronze = {row["id"]: row for row in shop.dicts("bronze.sales")}
    assert (bronze["1"]["note"], bronze["2"]["note"]) == (None, "hello")
    assert {row["id"]: row["country"] for row in shop.dicts("silver.sales")} == {1: "de", 2: "fr"}


def test_a_folder_that_matches_is_no_file(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n", "b.csv/c.txt": ""})
    (shop.root / "data" / "raw" / "d.csv").mkdir()
    result = shop.run_well()["bronze.sales"]
    assert (result.rows_read, result.remarks) == (1, [])


def test_an_empty_folder_is_no_error_and_is_said(project):
    shop = project(DECLARATION)
    results = shop.run_well()
    assert {result.status for result in results.values()} == {"unchanged"}
    assert results["bronze.sales"].reason == "no file matches ./data/raw/*.csv"
    assert shop.tables() == []
    shop.put("a.csv", HEADER + "1,de,1.00\n")
    assert {result.status for result in shop.run_well().values()} == {"published"}


def test_a_file_without_rows_makes_tables_without_rows(project):
    shop = project(DECLARATION, {"a.csv": HEADER})
    shop.run_well()
    assert shop.rows("silver.sales") == shop.rows("gold.sales") == []
    assert shop.version("silver.sales") == 0
    shop.put("b.csv", HEADER + "1,de,1.00\n")
    shop.run_well()
    assert [row["id"] for row in shop.dicts("silver.sales")] == [1]
    assert [row["country"] for row in shop.dicts("gold.sales")] == ["de"]


def test_a_batch_of_bad_rows_only_publishes_none_of_them(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "x,de,1.00\ny,de,1.00\n"})
    result = shop.run_well()["silver.sales"]
    assert (result.rows_published, result.rows_quarantined, result.quality_score) == (0, 2, 0)
    assert shop.rows("gold.sales") == []
    shop.put("b.csv", HEADER + "1,de,1.00\n")
    shop.run_well()
    assert len(shop.rows("silver.sales")) == 1


# Duplicates and versions


def test_a_row_that_came_before_is_superseded_within_and_across_batches(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n1,de,1.00\n2,,3.00\n2,,3.00\n"})
    assert shop.run_well()["silver.sales"].rows_superseded == 2
    shop.put("b.csv", HEADER + "1,de,1.00\n2,,3.00\n3,de,1.00\n")
    result = shop.run_well()["silver.sales"]
    assert (result.rows_read, result.rows_published, result.rows_superseded) == (3, 1, 2)
    assert sorted(row["id"] for row in shop.dicts("silver.sales")) == [1, 2, 3]


def test_a_bad_row_that_comes_again_is_not_quarantined_twice(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "x,de,1.00\n"})
    shop.run_well()
    shop.put("b.csv", HEADER + "x,de,1.00\n")
    assert shop.run_well()["silver.sales"].rows_superseded == 1
    assert len(shop.rows("silver.sales", quarantine=True)) == 1


VERSIONS = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, state: {type: string}, at: {type: date}}
    deduplicate: {keys: [id], order_by: [at], keep: KEEP}
  gold.states: {input: silver.sales, group_by: [state], measures: {sales: "count(*)"}}
"""
FILES = {
    "a.csv": "id,state,at\n1,ordered,2026-01-01\n2,ordered,2026-01-02\n",
    "b.csv": "id,state,at\n1,shipped,2026-01-03\n3,ordered,2026-01-03\n",
    "c.csv": "id,state,at\n1,returned,2026-01-05\n2,shipped,2026-01-04\n1,paid,2026-01-02\n",
}


@pytest.mark.parametrize("order", ["abc", "cba", "bca", "acb", "bac", "cab"])
@pytest.mark.parametrize(
    ("keep", "wanted"),
    [
        ("last", {1: "returned", 2: "shipped", 3: "ordered"}),
        ("first", {1: "ordered", 2: "ordered", 3: "ordered"}),
    ],
)
def test_the_version_that_was_asked_for_wins_in_whatever_order_they_arrive(project, order, keep, wanted):
    shop = project(VERSIONS.replace("KEEP", keep))
    read = published = superseded = 0
    for name in order:
        shop.put(f"{name}.csv", FILES[f"{name}.csv"])
        result = shop.run_well()["silver.sales"]
        read += result.rows_read
        published += result.rows_published
        superseded += result.rows_superseded
    assert {row["id"]: row["state"] for row in shop.dicts("silver.sales")} == wanted
    assert len(shop.rows("silver.sales")) == 3
    assert read == published + superseded == 7
    counts = {row["state"]: row["sales"] for row in shop.dicts("gold.states")}
    assert counts == {state: list(wanted.values()).count(state) for state in wanted.values()}


def test_a_version_that_breaks_a_rule_never_hides_a_good_one(project):
    shop = project(VERSIONS.replace("KEEP", "last"), {"a.csv": FILES["a.csv"]})
    shop.run_well()
    shop.put("d.csv", "id,state,at\n1,broken,2026-13-45\n")
    assert shop.run_well()["silver.sales"].rows_quarantined == 1
    assert {row["id"]: row["state"] for row in shop.dicts("silver.sales")} == {1: "ordered", 2: "ordered"}


def test_a_row_without_its_key_goes_to_quarantine(project):
    shop = project(VERSIONS.replace("KEEP", "last"), {"a.csv": "id,state,at\n,ordered,2026-01-01\n1,x,2026-01-01\n"})
    assert shop.run_well()["silver.sales"].rows_quarantined == 1
    (row,) = shop.dicts("silver.sales", quarantine=True)
    assert "NULL cannot be a key" in row["_reason"]


# Making a table anew


@pytest.mark.parametrize("table", ["bronze.sales", "silver.sales", "gold.sales"])
def test_a_full_refresh_doubles_nothing_anywhere_below(project, table):
    files = {"a.csv": HEADER + "1,de,1.00\nx,fr,1.00\n", "b.csv": HEADER + "2,fr,1.00\n2,fr,1.00\n"}
    shop = project(DECLARATION, files)
    shop.run_well()
    before = shop.state("_batch_id")
    shop.run_well(full_refresh=[table])
    assert shop.state("_batch_id") == before
    assert {result.status for result in shop.run_well().values()} == {"unchanged"}


def test_a_changed_declaration_of_a_mart_makes_it_anew(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n2,fr,1.00\n"})
    shop.run_well()
    shop.declare(DECLARATION.replace("group_by: [country]", "group_by: {land: upper(country)}"))
    results = shop.run_well()
    assert results["gold.sales"].status == "published"
    assert {row["land"] for row in shop.dicts("gold.sales")} == {"DE", "FR"}


def test_a_changed_declaration_of_silver_is_remarked_on_until_a_full_refresh(project):
    shop = project(DECLARATION, {"a.csv": HEADER + "1,de,1.00\n"})
    shop.run_well()
    shop.declare(DECLARATION.replace("country: {type: string}", "country: {type: string, clean: [upper]}"))
    (remark,) = shop.run_well()["silver.sales"].remarks
    assert "--full-refresh silver.sales" in remark
    shop.run_well(full_refresh=["silver.sales"])
    assert shop.dicts("silver.sales")[0]["country"] == "DE"
    assert shop.run_well()["silver.sales"].remarks == []


def test_a_uniqueness_check_on_rows_that_replace_each_other_is_refused_and_not_misjudged(project):
    declaration = VERSIONS.replace("KEEP", "last").replace(
        "  gold.states", "    checks: [{name: once, type: uniqueness, column: id}]\n  gold.states"
    )
    done = project(declaration, {"a.csv": FILES["a.csv"]}).cli("run")
    assert done.code == 2, done.out + done.err
    (message,) = done.err.splitlines()
    assert "config/pipeline.yaml:10" in message
    assert "uniqueness" in message
    assert "take it away" in message
