"""What a user and an operator do with plugins: one file in the project, trust, locks, pins, capabilities, profiles."""

from __future__ import annotations

import json
import sys

import pytest

import oreflow

DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    SILVER
"""
STANDARD = "columns: {id: {type: int64}, name: {type: string}}"
OWN = "oreflow-bronze, oreflow-delta, oreflow-gold, oreflow-polars, oreflow-silver"

UPPER = """
import narwhals as nw
from oreflow import Output, Processor, ProcessorMetadata


class Upper(Processor):
    metadata = ProcessorMetadata(
        name="upper", version="1.0", description="Capitals", engine="any", supported_stages=["silver"],
        capabilities=["incremental", "text.capitals"],
        option_schema={
            "required": ["capitals"],
            "properties": {
                "capitals": {"type": "string", "description": "the column"},
                "times": {"type": "integer", "default": 1, "description": "for show"},
            },
        },
        example={"options": {"capitals": "name"}},
    )

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows.with_columns(nw.col(step.options["capitals"]).str.to_uppercase()))
"""


@pytest.fixture
def shop(project):
    def make(silver=STANDARD, plugin=UPPER, more=""):
        made = project(DECLARATION.replace("SILVER", silver) + more, {"a.csv": "id,name\n1,ada\n2,grace\n"})
        if plugin:
            (made.root / "oreflow_plugins.py").write_text(plugin)
        return made

    return make


def _plan(shop, *args, table="silver.sales"):
    done = shop.cli("plan", "--json", *args)
    assert done.code == 0, done.err
    (found,) = [t for t in done.json["tables"] if t["table"] == table]
    return found


# One file in the project


def test_one_file_in_the_project_is_a_plugin(shop):
    made = shop("capitals: name")
    assert made.cli("run").code == 0
    assert sorted(row["name"] for row in made.dicts("silver.sales")) == ["ADA", "GRACE"]
    (about,) = [p for p in made.cli("plugins", "--json").json if p["distribution"] == "oreflow_plugins.py"]
    assert about["brings"] == ["processor upper"]
    assert not [p for p in oreflow.plugins(made.root.parent) if p["distribution"] == "oreflow_plugins.py"]


def test_a_file_that_cannot_be_imported_is_told_as_any_broken_plugin(shop):
    made = shop(plugin="import narwhals as nw\nraise RuntimeError('not today')\n")
    done = made.cli("run")
    assert done.code == 0
    assert "is broken and was left out: cannot be imported: RuntimeError: not today" in done.out
    doctor = made.cli("plugins", "doctor")
    assert doctor.code == 1
    assert "mend oreflow_plugins.py" in doctor.out


def test_what_is_edited_counts_at_once(shop, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    made = shop("capitals: name")
    made.run_well()
    (made.root / "oreflow_plugins.py").write_text(
        UPPER.replace("NAME", "lower").replace("to_uppercase", "to_lowercase")
    )
    made.put("b.csv", "id,name\n3,ALAN\n")
    made.run_well()
    assert sorted(row["name"] for row in made.dicts("silver.sales")) == ["ADA", "GRACE", "alan"]


# Trust


def test_a_file_of_the_project_that_is_not_allowed_is_not_imported(shop):
    poison = "open('imported', 'w').close()\n"
    made = shop(plugin=poison, more=f"plugins: {{allow: [{OWN}]}}\n")
    for command in (["--help"], ["plan"], ["run"], ["plugins"], ["plugins", "doctor"], ["tables"]):
        assert made.cli(*command).code == 0, command
    assert not (made.root / "imported").exists()
    shop(plugin=poison, more=f"plugins: {{allow: [{OWN}, oreflow_plugins.py]}}\n").cli("plan")
    assert (made.root / "imported").exists()


def test_a_declaration_that_allows_too_little_says_what_is_missing(shop):
    made = shop(plugin="", more="plugins: {allow: [oreflow-bronze, oreflow-delta, oreflow-polars]}\n")
    done = made.cli("plan")
    assert done.code == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize("wrong", ["oreflow-polars", "[1]", "{a: b}"])
def test_allow_that_is_no_list_of_names_stops_before_anything_is_imported(wrong, shop):
    made = shop(plugin="open('imported', 'w').close()\n", more=f"plugins: {{allow: {wrong}}}\n")
    done = made.cli("plan")
    assert done.code == 2
    assert "config/pipeline.yaml:" in done.err
    assert "plugins.allow" in done.err
    assert not (made.root / "imported").exists()


def test_allow_can_come_from_a_variable(shop):
    made = shop(plugin="open('imported', 'w').close()\n")
    assert made.cli("plan", env={"PIPELINE_PLUGINS__ALLOW": f"[{OWN}]"}).code == 0
    assert not (made.root / "imported").exists()


def test_the_report_records_who_touched_the_data(shop):
    report = shop("capitals: name").run().to_dict()
    parts = {(part["part"], part["distribution"]) for part in report["plugins"]}
    assert parts == {
        ("processor polars_bronze", "oreflow-bronze"),
        ("processor polars_upper", "oreflow_plugins.py"),
        ("engine polars", "oreflow-polars"),
        ("table format delta", "oreflow-delta"),
    }
    assert report["tables"][0]["distribution"] == "oreflow-bronze"
    assert report["tables"][0]["version"] == oreflow.__version__


# Leaving out


def test_a_variable_leaves_plugins_out_by_name_or_distribution(shop):
    made = shop()
    for said in ("-oreflow-gold", "-gold", "-Oreflow_Gold", "oreflow-bronze, silver,polars,delta"):
        found = {p["name"]: p["status"] for p in made.cli("plugins", "--json", env={"OREFLOW_PLUGINS": said}).json}
        assert found["gold"] == "disabled", said
        assert found["silver"] == "ok", said
    assert {p["status"] for p in made.cli("plugins", "--json", env={"OREFLOW_PLUGINS": "-*"}).json} == {"disabled"}


def test_a_name_in_the_variable_that_nobody_has_is_told(shop):
    done = shop(plugin="").cli("plugins", "doctor", env={"OREFLOW_PLUGINS": "-oreflow-gild"})
    assert done.code == 1
    assert "OREFLOW_PLUGINS: names 'oreflow-gild', which is not installed" in done.out


def test_what_is_left_out_and_asked_for_is_told_with_the_reason(shop):
    done = shop("processor: silver\n    " + STANDARD).cli("plan", env={"OREFLOW_PLUGINS": "-oreflow-silver"})
    assert done.code == 2
    assert "there is no processor 'silver': the plugin silver of oreflow-silver" in done.err
    assert "left out by OREFLOW_PLUGINS" in done.err


# Choosing


def test_a_required_capability_decides(shop):
    made = shop("capitals: name\n    required_capabilities: [text.capitals]")
    table = _plan(made)
    assert table["processor"] == "polars_upper"
    assert {c["processor"] for c in table["candidates"] if c["score"] is not None} <= {"polars_upper", "spark_upper"}
    reasons = {c["processor"]: c["reason"] for c in table["candidates"]}
    assert reasons["polars_silver"] == "is not able to do: text.capitals"


def test_a_preferred_capability_wins_over_the_standard(shop):
    anything = UPPER.replace('"required": ["capitals"],', "").replace(
        '"times"', '"columns": {"type": "object"}, "times"'
    )  # fmt: skip
    assert _plan(shop(STANDARD, anything))["processor"] == "polars_silver"
    table = _plan(shop(STANDARD + "\n    preferred_capabilities: [text.capitals]", anything))
    assert table["processor"] == "polars_upper"
    assert "can do text.capitals, as preferred" in table["reason"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("validtion", "'validtion' is no capability; did you mean 'validation'?"),
        ("geocode.postcodes", "nothing that is installed can do 'geocode.postcodes'"),
    ],
)
def test_a_capability_that_nobody_has_is_told_with_its_line(asked, told, shop):
    done = shop(STANDARD + f"\n    required_capabilities: [{asked}]").cli("plan")
    assert done.code == 2
    assert "config/pipeline.yaml:10 tables.silver.sales.required_capabilities.0: " in done.err
    assert told in done.err


def test_why_shows_every_candidate_of_one_table(shop):
    made = shop()
    done = made.cli("plan", "--why", "silver.sales")
    assert done.code == 0
    assert "polars_upper" in done.out
    assert "standard for silver" in done.out
    assert "bronze.sales " not in done.out.partition("candidate")[2]
    assert made.cli("plan", "--why", "nothing").code == 2


def test_a_processor_that_nobody_brings_is_named_with_its_package(shop):
    done = shop(f'processor: "oreflow-geo:places"\n    {STANDARD}').cli("plan")
    assert done.code == 2
    assert "pip install oreflow-geo" in done.err


def test_a_processor_that_made_the_table_and_is_gone_is_named(shop):
    made = shop("capitals: name")
    made.run_well()
    (made.root / "oreflow_plugins.py").unlink()
    done = made.cli("run")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "silver.sales was last made by polars_upper of oreflow_plugins.py" in line


def test_a_processor_that_a_lock_names_and_is_gone_is_named_though_there_was_no_run(shop):
    made = shop("capitals: name")
    assert made.cli("lock").code == 0
    (made.root / "oreflow_plugins.py").unlink()
    done = made.cli("run")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "silver.sales is locked to polars_upper of oreflow_plugins.py" in line
    assert line.endswith("put oreflow_plugins.py back")


# Locks


def test_a_lock_holds_choices_options_and_versions(shop):
    made = shop()
    done = made.cli("lock")
    assert done.code == 0
    path = made.root / "config/pipeline.lock.json"
    assert str(path) in str(path.parent / done.out.split("/")[-1].strip())
    locked = json.loads(path.read_text())
    silver = locked["tables"]["silver.sales"]
    assert silver["origin"] == f"oreflow-silver {oreflow.__version__}"
    assert silver["engine_origin"] == f"oreflow-polars {oreflow.__version__}"
    assert silver["options"]["columns"]["id"] == {"type": "int64"}
    made.run_well()
    assert made.cli("plan", "--json").json["lock"] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lock: lock["tables"]["silver.sales"].update(origin="oreflow-silver 9.9"), "oreflow-silver 9.9"),
        (lambda lock: lock["tables"]["silver.sales"].update(processor="spark_silver"), "spark_silver"),
        (
            lambda lock: lock["tables"]["silver.sales"].update(engine="spark", processor="spark_silver"),
            "engine of silver.sales was locked as spark and is now polars - say `--engine spark`, or `oreflow lock`",
        ),
        (lambda lock: lock["tables"]["silver.sales"]["options"].clear(), "options of silver.sales"),
        (lambda lock: lock["tables"].pop("bronze.sales"), "table bronze.sales was locked as nothing"),
        (lambda lock: lock.update(api=0), "the API was locked as 0 and is now 1"),
    ],
)
def test_a_run_that_no_longer_fits_its_lock_stops_and_shows_the_difference(change, told, shop):
    made = shop()
    path = oreflow.lock(made.root)
    lock = json.loads(path.read_text())
    change(lock)
    path.write_text(json.dumps(lock))
    done = made.cli("run")
    assert done.code == 2
    assert told in done.err
    assert "oreflow lock" in done.err
    assert not (made.root / "lake").exists()
    assert told in made.cli("plan").out
    assert [told in change for change in made.cli("plan", "--json").json["lock"]] == [True]
    assert made.cli("lock").code == 0
    assert made.cli("run").code == 0


def test_a_lock_that_is_damaged_is_told(shop):
    made = shop()
    oreflow.lock(made.root).write_text("{")
    done = made.cli("run")
    assert done.code == 2
    assert "the lock file cannot be read" in done.err


# Looking


def test_show_tells_options_example_hooks_and_the_profile_of_past_runs(shop):
    made = shop("capitals: name")
    made.run_well()
    about = made.cli("plugins", "show", "upper", "--json").json
    (processor,) = about["processors"]
    assert processor["options"] == [
        {"name": "capitals", "type": "string", "required": True, "default": None, "description": "the column"},
        {"name": "times", "type": "integer", "required": False, "default": 1, "description": "for show"},
    ]
    assert processor["example"] == {"capitals": "name"}
    assert about["hooks"] == ["create_processor", "processors", "validate_config"]
    profile = processor["profile"]["polars_upper"]
    assert (profile["created"], profile["runs"], profile["failures"], profile["rows"]) == (1, 1, 0, 2)
    assert profile["rows_per_second"] > 0
    text = made.cli("plugins", "show", "polars_upper").out
    for part in ("Capitals", "the column", "required", "capitals: name", "1 run", "rows/s"):
        assert part in text, part


def test_the_profile_keeps_the_last_error(shop):
    made = shop("capitals: nothing_there")
    assert not made.run().succeeded
    (processor,) = made.cli("plugins", "show", "upper", "--json").json["processors"]
    profile = processor["profile"]["polars_upper"]
    assert profile["failures"] == 1
    assert "nothing_there" in profile["last_error"]


def test_show_of_what_is_not_there_says_what_may_be_meant(shop):
    done = shop().cli("plugins", "show", "silvr")
    assert done.code == 2
    assert "did you mean 'silver'?" in done.err


def test_a_default_of_the_schema_is_what_the_processor_gets(shop):
    source = UPPER.replace(
        'step.options["capitals"]', 'step.options["capitals"] if step.options["times"] == 1 else "id"'
    )
    made = shop("capitals: name", source)
    made.run_well()
    assert sorted(row["name"] for row in made.dicts("silver.sales")) == ["ADA", "GRACE"]


def test_show_helps_while_the_declaration_is_wrong(shop):
    done = shop("colums: {}").cli("plugins", "show", "silver")
    assert done.code == 0
    assert "deduplicate" in done.out


def test_what_is_not_loaded_is_named_where_it_may_be_missed(shop):
    made = shop("capitals: name", more=f"plugins: {{allow: [{OWN}]}}\n")
    done = made.cli("plan")
    assert done.code == 2
    assert "unknown key 'capitals'" in done.err
    assert "is not loaded, and what it brings is missing: not in plugins.allow" in done.err


def test_an_error_that_comes_late_names_its_processor(shop):
    source = UPPER.replace("return Output(rows", "return Output(rows.filter(nw.col('id').cast(nw.Int64) * 10**18 > 0)")
    made = shop("capitals: name", source.replace("nw.col('id')", "nw.col('name')"))
    (_, silver) = made.run().tables
    assert silver.status == "failed"
    assert "polars_upper of oreflow_plugins.py" in silver.reason


def test_doctor_finds_nothing_where_all_is_well(shop):
    done = shop(plugin="").cli("plugins", "doctor")
    assert (done.code, done.out) == (0, "all is well: every plugin can be used\n")


def test_doctor_says_what_is_lacking(shop):
    left_out = {"OREFLOW_PLUGINS": "-oreflow-polars,-oreflow-spark,-oreflow-gold"}
    done = shop(plugin="").cli("plugins", "doctor", env=left_out)
    assert done.code == 1
    assert "there is no processor for gold, no engine, so that no pipeline can run" in done.out
    assert 'pip install "oreflow[polars]"' in done.out
