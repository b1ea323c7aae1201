"""Every kind of mistake in a declaration is one plain message with file, line and a mend; all at once; nothing runs."""

from __future__ import annotations

import pytest

GOOD = """\
name: shop
lake: ./lake
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
processors:
  bronze: {engine: auto}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns:
      id: {type: int64}
      at: {type: date, format: "%Y-%m-%d"}
    checks:
      - {name: has id, type: completeness, column: id}
  gold.sales:
    input: silver.sales
    measures: {sales: "count(*)"}
"""

# what is replaced, by what, the line of the message, and parts of the message
MISTAKES = {
    "unknown key": ("lake: ./lake", "lakes: ./lake", 2, ["unknown key 'lakes'", "did you mean 'lake'?"]),
    "unknown key of a source": ("format: csv}", "fromat: csv}", 4, ["unknown key 'fromat'", "did you mean 'format'?"]),
    "missing key of a source": (", format: csv}", "}", 4, ["'format' is missing"]),
    "unknown format": ("format: csv", "format: cvs", 4, ["'cvs'", "did you mean 'csv'?"]),
    "unknown key of a table": (
        "    input: bronze.sales",
        "    imput: bronze.sales",
        10,
        ["unknown key 'imput'", "'input'"],
    ),
    "unknown key of a column": (
        "id: {type: int64}",
        "id: {typ: int64}",
        12,
        ["unknown key 'typ'", "did you mean 'type'"],
    ),
    "name of a check that is taken": (
        "name: has id",
        "name: readable",
        15,
        ["a check cannot be called 'readable'", "choose another name"],
    ),
    "unknown key of a check": ("column: id}", "colum: id}", 15, ["unknown key 'colum'"]),
    "unknown stage of a default": ("  bronze: {engine", "  bronce: {engine", 6, ["bronce", "did you mean 'bronze'"]),
    "wrong type": ("lake: ./lake", "lake: [1, 2]", 2, ["expected a text, got a list"]),
    "wrong type of a threshold": ("{engine: auto}", "{quality_threshold: much}", 6, ["expected a number", "'much'"]),
    "threshold out of range": ("{engine: auto}", "{quality_threshold: 95}", 6, ["95", "from 0 to 1"]),
    "table name of no stage": (
        "  gold.sales:",
        "  golden.sales:",
        16,
        ["golden.sales", "its stage, a point and a word"],
    ),
    "unknown source": ("source: sales", "source: sale", 8, ["there is no source 'sale'", "did you mean 'sales'?"]),
    "unknown input": (
        "input: bronze.sales",
        "input: bronze.sale",
        10,
        ["no table makes 'bronze.sale'", "'bronze.sales'"],
    ),
    "bronze without a source": ("{source: sales}", "{}", 8, ["needs a source", "add `source:`"]),
    "silver without an input": ("    input: bronze.sales\n", "", 9, ["needs an input"]),
    "input of a later stage": ("input: bronze.sales", "input: gold.sales", 10, ["later stage", "gold.sales"]),
    "cycle": (
        "    input: silver.sales",
        "    inputs: [silver.sales, gold.sales]",
        16,
        ["wait for each other", "gold.sales"],
    ),
    "key said twice": ("lake: ./lake", "lake: ./lake\nlake: ./pond", 3, ["said twice", "line 2"]),
    "bad YAML": ("tables:\n", "tables: [\n", 9, ["not valid YAML"]),
    "bad type name": ("type: int64", "type: integer", 12, ["'integer' is no type", "int64"]),
    "bad decimal": ("type: int64", "type: 'decimal(50,2)'", 12, ["38 digits"]),
    "unknown kind of check": (
        "type: completeness",
        "type: complete",
        15,
        ["'complete'", "did you mean 'completeness'?"],
    ),
    "check of a column that is not there": (
        "column: id}",
        "column: idd}",
        15,
        ["no column 'idd'", "did you mean 'id'?"],
    ),
    "check with a bad pattern": (
        "type: completeness, column: id",
        "type: validity, column: id, pattern: '['",
        15,
        ["the pattern '[' cannot be understood"],
    ),
    "check that judges by two things": (
        "type: completeness, column: id",
        "type: validity, column: id, pattern: a, values: [b]",
        15,
        ["judges by one thing"],
    ),
    "action that a check does not have": (
        "type: completeness, column: id",
        "type: row_count, min: 1, action: quarantine",
        15,
        ["'quarantine' is not one of the choices"],
    ),
    "key to deduplicate by that is no column": (
        "    columns:\n",
        "    deduplicate: {keys: [idd]}\n    columns:\n",
        11,
        ["'idd' is no column of this table"],
    ),
    "unknown way to deduplicate": (
        "    columns:\n",
        "    deduplicate: fuzzy\n    columns:\n",
        11,
        ["'fuzzy'", "exact"],
    ),
    "column whose name stands for others": (
        "id: {type: int64}",
        "'^i.*$': {type: int64}",
        12,
        ["no column can be called '^i.*$'"],
    ),
    "column made from all others": ("id: {type: int64}", "id: {from: '*', type: int64}", 12, ["called '*'"]),
    "check of all columns": (
        "{source: sales}",
        "{source: sales, checks: [{type: completeness, column: '*'}]}",
        8,
        ["no column can be called '*'"],
    ),
    "measure whose name stands for others": ('{sales: "count(*)"}', '{"^s$": "count(*)"}', 18, ["called '^s$'"]),
    "format with an unknown directive": ('"%Y-%m-%d"', '"%Y-%Q"', 13, ["'%Q' is no directive", "there are %Y, %y"]),
    "format with half a directive": ('"%Y-%m-%d"', '"%Y-%m-%"', 13, ["'%' is no directive"]),
    "format with a fraction after no dot": ('"%Y-%m-%d"', '"%S,%f"', 13, ["'%f' is no directive", ".%f after a dot"]),
    "format that reads an offset": ('date, format: "%Y-%m-%d"', 'timestamp, format: "%Y%z"', 13, ["timestamp_utc"]),
    "format of a number": ("id: {type: int64}", "id: {type: int64, format: '%d'}", 12, ["no meaning for int64"]),
    "two ways of a mart": (
        "    measures:",
        "    sql: select 1\n    measures:",
        19,
        ["'sql' and 'measures' are both said"],
    ),
    "unknown engine": ("engine: auto", "engine: sparc", 6, ["sparc"]),
    "engine that nobody knows": ("engine: auto", "engine: polas", 6, ["no processor", "did you mean 'polars'?"]),
    "unknown processor": ("{source: sales}", "{source: sales, processor: bronse}", 8, ["bronse"]),
    "lake elsewhere": ("lake: ./lake", "lake: 's3://bucket/lake'", 2, ["folder of this machine"]),
    "empty declaration": (GOOD, "", 1, ["'name' is missing"]),
    "no mapping": (GOOD, "- a\n- b\n", 1, ["expected keys and values"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_plain_message_with_its_place_and_a_mend(project, mistake):
    before, after, line, parts = MISTAKES[mistake]
    assert before in GOOD
    shop = project(GOOD.replace(before, after, 1), {"a.csv": "id,at\n1,2026-01-01\n"})
    done = shop.cli("run")
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.out + done.err
    messages = [text for text in done.err.splitlines() if text.startswith(f"error: config/pipeline.yaml:{line}")]
    fitting = [text for text in messages if all(part in text for part in parts)]
    assert fitting, f"no message at line {line} with {parts}:\n{done.err}"
    assert not (shop.root / "lake").exists(), "nothing is written"


def test_inputs_that_are_no_list_are_one_mistake(project):
    done = project(GOOD.replace("input: silver.sales", "inputs: silver.sales")).cli("run")
    (line,) = done.err.splitlines()
    assert "config/pipeline.yaml:17" in line
    assert "expected a list, got 'silver.sales'" in line


def test_an_engine_that_is_not_there_is_told_once(project, polars_only):
    done = project(GOOD).cli("run", "--engine", "spark", python=polars_only)
    assert done.err.splitlines() == [
        "error: there is no engine 'spark' - install the engine (pip install oreflow-spark) or choose polars"
    ]


def test_all_mistakes_are_told_at_once(project):
    text = GOOD
    for mistake in ("unknown key of a table", "unknown source", "unknown kind of check", "wrong type of a threshold"):
        before, after, _, _ = MISTAKES[mistake]
        text = text.replace(before, after, 1)
    done = project(text).cli("run")
    assert done.code == 2
    for mistake in ("unknown key of a table", "unknown source", "unknown kind of check", "wrong type of a threshold"):
        for part in MISTAKES[mistake][3]:
            assert part in done.err, mistake
    assert len(done.err.splitlines()) == len(set(done.err.splitlines()))


def test_mistakes_in_the_options_of_several_tables_are_told_at_once(project):
    text = GOOD.replace("type: int64", "type: integer").replace("    measures:", "    sql: select 1\n    measures:")
    done = project(text).cli("run")
    assert done.code == 2
    assert "'integer' is no type" in done.err
    assert "'sql' and 'measures' are both said" in done.err


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (("run", "pipelin"), ["no configuration 'pipelin'", "did you mean 'pipeline'?"]),
        (("run", "config/pipeline.yaml"), ["is a path", "config/NAME.yaml"]),
        (("run", "--env", "prod"), ["no environment 'prod'", "production"]),
        (("run", "--table", "silver.sale"), ["no table 'silver.sale'", "did you mean 'silver.sales'?"]),
        (("run", "--full-refresh", "nothing"), ["no table 'nothing'"]),
        (("run", "--engine", "spark"), ["spark"]),
        (("tables", "show", "silver.sale"), ["no table 'silver.sale'"]),
        (("run", "--engine", "duckdb"), ["no engine 'duckdb' - there are auto, polars\n"]),
        (("run", "--engine", "polar"), ["error: there is no engine 'polar' - did you mean 'polars'?"]),
        (("quarantine", "show", "silver.sale"), ["no table 'silver.sale'"]),
        (("quarantine", "show", "silver.sales", "--rule", "has idd"), ["no rule 'has idd'", "did you mean 'has id'?"]),
        (("runn",), ["Did you mean 'run'?"]),
        (("run", "--jsn"), ["--json"]),
    ],
)
def test_a_mistake_in_a_command_is_one_plain_message(project, args, parts, polars_only):
    shop = project(GOOD, {"a.csv": "id,at\n1,2026-01-01\n"})
    done = shop.cli(*args, python=polars_only)
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.out + done.err
    for part in parts:
        assert part in done.err
    assert not (shop.root / "lake").exists()


def test_a_folder_that_is_no_project_is_told_what_to_do(run_cli, tmp_path):
    done = run_cli("run", cwd=tmp_path)
    assert done.code == 2
    assert "oreflow init" in done.err
    assert list(tmp_path.iterdir()) == []


def test_init_refuses_a_folder_that_has_something_in_it(run_cli, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("mine")
    done = run_cli("init", "shop", cwd=tmp_path)
    assert done.code == 2
    assert "nothing was written" in done.err
    assert [file.name for file in (tmp_path / "shop").iterdir()] == ["mine.txt"]


def test_a_declaration_that_is_not_utf8_is_told_plainly(project):
    shop = project(GOOD)
    shop.put("config/pipeline.yaml", b"name: caf\xe9\n")
    done = shop.cli("run")
    assert done.code == 2
    assert "config/pipeline.yaml" in done.err
    assert "UTF-8" in done.err


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ("id: {from: idd, type: int64}", ["no column 'idd'", "did you mean 'id'?"]),
        ("nothing: {type: string}", ["no column 'nothing'", "it has id, at"]),
    ],
)
def test_a_column_that_the_files_do_not_have_fails_the_step_and_names_those_there_are(project, columns, parts):
    text = GOOD.replace("id: {type: int64}", columns).replace("column: id}", "column: at}")
    done = project(text, {"a.csv": "id,at\n1,2026-01-01\n"}).cli("run")
    assert done.code == 1
    assert "Traceback" not in done.out + done.err
    for part in parts:
        assert part in done.out


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ('"count(*)"', '"count(nothing)"', "nothing"),
        ('"count(*)"', '"id + 1"', "is no aggregate"),
        ("type: completeness, column: id", "type: validity, expression: 'idd > 0'", "idd"),
    ],
)
def test_an_expression_that_cannot_be_computed_fails_the_step_in_one_line(project, before, after, part):
    done = project(GOOD.replace(before, after), {"a.csv": "id,at\n1,2026-01-01\n"}).cli("run")
    assert done.code == 1
    assert "Traceback" not in done.out + done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("! ")]
    assert part in line


DAMAGES = {
    "is not there": lambda path: path.unlink(),
    "has 8 bytes where the table's log says": lambda path: path.write_bytes(b"garbage\n"),
    "has 0 bytes where the table's log says": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("told", DAMAGES)
def test_a_damaged_data_file_is_named_with_what_mends_it(told, project):
    shop = project(
        "name: shop\nsources:\n  sales: {path: './data/raw/*.csv', format: csv}\ntables:\n"
        "  bronze.sales: {source: sales}\n"
        "  silver.sales: {input: bronze.sales, columns: {id: {type: int64}}}\n",
        {"a.csv": "id,name\n1,ada\n"},
    )
    shop.run_well()
    (path,) = shop.path("bronze.sales").glob("*.parquet")
    DAMAGES[told](path)
    for arguments, code in ((["run", "--full-refresh", "silver.sales"], 1), (["tables", "show", "bronze.sales"], 1)):
        done = shop.cli(*arguments)
        assert done.code == code
        text = done.out + done.err
        assert f"the table bronze.sales is damaged: {path} {told}" in text
        assert "make the table anew: oreflow run --full-refresh bronze.sales" in text
        assert "Traceback" not in text
    assert shop.cli("run", "--full-refresh", "bronze.sales", "--full-refresh", "silver.sales").code == 0
    assert shop.rows("silver.sales")
