"""`oreflow config` as its user meets it: what holds and why, what is wrong everywhere, what was in use."""

from __future__ import annotations

import json
import re

import pytest
import yaml

import oreflow

BASE = """\
name: retail
lake: ./lake
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
processors:
  bronze: {quality_threshold: 0.1}
  silver:
    quality_threshold: 0.95
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}}
"""


@pytest.fixture
def retail(project):
    made = project(BASE, {"a.csv": "id,country\n1,de\n2,fr\n"}, name="retail")
    made.put("config/retail.production.yaml", "processors: {silver: {quality_threshold: 0.97}}\n")
    return made


def config(project, *args, code=0, **env):
    done = project.cli("config", *args, env=env)
    assert done.code == code, done.out + done.err
    assert "Traceback" not in done.err
    return done


def test_explain_shows_each_layer_s_word_the_one_that_wins_first(retail):
    key = "retail.processors.silver.quality_threshold"
    assert config(retail, "explain", key, "--env", "production").out == (
        "    0.97  config/retail.production.yaml:1  (environment layer)\n"
        "    0.95  config/retail.yaml:7             overridden\n"
    )
    said = config(
        retail,
        *("explain", key, "--json", "--env", "production", "--set", "processors.silver.quality_threshold=0.5"),
        RETAIL_PROCESSORS__SILVER__QUALITY_THRESHOLD="0.6",
    ).json[0]["said"]
    assert [(each["value"], each["place"], each["layer"], each["status"]) for each in said] == [
        (0.5, "--set processors.silver.quality_threshold", "option", "effective"),
        (0.6, "RETAIL_PROCESSORS__SILVER__QUALITY_THRESHOLD", "variable", "overridden"),
        (0.97, "config/retail.production.yaml:1", "environment", "overridden"),
        (0.95, "config/retail.yaml:7", "base", "overridden"),
    ]


def test_explain_of_a_section_shows_its_keys_and_of_no_key_says_so(retail):
    out = config(retail, "explain", "retail.processors").out
    assert "retail.processors.bronze.quality_threshold\n    0.1  config/retail.yaml:5  (base layer)" in out
    err = config(retail, "explain", "retail.processors.silvr", code=2).err
    assert err == "error: 'processors' has no key 'silvr' - did you mean 'silver'?\n"
    assert "there is no configuration 'retial'" in config(retail, "explain", "retial.lake", code=2).err


def test_explain_tells_of_what_was_removed_and_appended(retail):
    retail.put("config/app.yaml", "tags: [a]\nold: 1\n")
    retail.put("config/app.local.yaml", "tags@append: [b]\nold@remove: true\n")
    out = config(retail, "explain", "app").out
    assert '["b"]  config/app.local.yaml:1  appended' in out
    assert '["a"]  config/app.yaml:1        (base layer)' in out
    assert "null  config/app.local.yaml:2  removed" in out
    assert config(retail, "show", "app", "--json").json["data"] == {"tags": ["a", "b"]}


def test_show_prints_what_holds_in_three_forms(retail):
    shown = config(retail, "show", "retail", "--json", "--env", "production").json
    as_json = shown["data"]
    place = {"place": "config/retail.production.yaml:1", "layer": "environment"}
    assert {"key": "processors.silver.quality_threshold", "value": 0.97, **place} in shown["values"]
    assert (shown["name"], shown["environment"], len(shown["values"])) == ("retail", "production", 9)
    assert as_json["processors"]["silver"] == {"quality_threshold": 0.97}
    as_yaml = config(retail, "show", "retail", "--yaml", "--env", "production").out
    assert yaml.safe_load(as_yaml) == as_json
    table = config(retail, "show", "retail", "--env", "production").out
    (line,) = [line for line in table.splitlines() if "silver.quality_threshold" in line]
    assert line.split() == [
        "processors.silver.quality_threshold",
        "config/retail.production.yaml:1",
        "environment",
        "0.97",
    ]


def test_validate_finds_everything_in_every_file_and_environment(retail):
    noted = config(retail, "validate", RETAIL_HOME="/opt/retail").out
    assert noted == "note: the variable RETAIL_HOME names no key, and is taken to be somebody else's\nall is well\n"
    retail.put(
        "config/retail.staging.yaml", "\nprocessors: {silvr: {}}\ntables: {silver.sales: {checks: [{type: x}]}}\n"
    )
    retail.put("config/retail.prodution.yaml", "lake: x\n")
    retail.put("config/retal.local.yaml", "lake: x\n")
    retail.put("config/app.yaml", "a: 1\na: 2\n")
    lines = config(retail, "validate", code=2).err.splitlines()
    assert len(lines) == len(set(lines))
    for wanted in (
        "config/retail.staging.yaml:2 processors.silvr: unknown key 'silvr' - did you mean 'silver'? (staging)",
        "config/retail.prodution.yaml: is no layer: there is no environment 'prodution' - did you mean 'production'?",
        "config/retal.local.yaml: lies over nothing: there is no config/retal.yaml - did you mean 'retail'?",
        "config/app.yaml:2 a: the key is said twice - it is already said in line 1; keep one of the two",
    ):
        assert f"error: {wanted}" in lines
    found = config(retail, "validate", "app", "--json", code=2).json
    assert [(each["file"], each["line"], each["key"]) for each in found] == [("config/app.yaml", 2, "a")]


def test_a_mistake_in_the_project_s_own_settings_is_told_once(retail):
    retail.put("config/oreflow.yaml", "config: {sotre: redis://x}\n")
    assert config(retail, "validate", code=2).err == (
        "error: config/oreflow.yaml:1 config.sotre: unknown key 'sotre' - did you mean 'store'?\n"
    )


def test_a_plugin_s_options_are_judged_at_their_place_in_the_file(retail):
    retail.put("config/retail.local.yaml", "tables:\n  silver.sales:\n    columns:\n      id: {type: int65}\n")
    (line,) = config(retail, "validate", code=2).err.splitlines()
    assert line.startswith("error: config/retail.local.yaml:4 tables.silver.sales.columns.id")


def test_history_diff_and_rollback_of_what_runs_have_used(retail):
    none = config(retail, "history", "retail").out
    assert none == "no run of 'retail' has used any configuration so far in the lake ./lake\n"
    first = retail.cli("run", "retail", "--json").json
    retail.put("config/retail.local.yaml", "processors: {silver: {quality_threshold: 0.5}}\n")
    second = retail.cli("run", "retail", "--json").json
    retail.cli("run", "retail")
    assert [run["configuration"]["version"] for run in (first, second)] == [1, 2]
    history = config(retail, "history", "retail", "--json").json
    assert [each["version"] for each in history] == [2, 1]
    assert history[0]["layers"] == ["config/retail.yaml", "config/retail.local.yaml"]
    assert history[0]["hash"] == second["configuration"]["hash"]
    shown = config(retail, "diff", "1", "2", "--name", "retail").out
    assert "processors.silver.quality_threshold  0.95    0.5" in shown

    base = (retail.root / "config/retail.yaml").read_text()
    retail.declare(base.replace("lake: ./lake\n", "lake: ./lake\ndescription: new\n").replace("0.1", "0.2"))
    done = config(retail, "rollback", "1", "--name", "retail").out
    assert "wrote config/retail.local.yaml: version 1 holds" in done
    assert "the local layer before it is retail.local.yaml.1.bak" in done
    assert "0.5" in (retail.root / "config/retail.local.yaml.1.bak").read_text()
    now = config(retail, "show", "retail", "--json").json["data"]
    assert now == yaml.safe_load(BASE)
    third = retail.cli("run", "retail", "--json").json
    assert third["configuration"] == {"version": 3, "hash": first["configuration"]["hash"]}
    err = config(retail, "diff", "1", "9", "--name", "retail", code=2).err
    assert err == "error: 'retail' has no version 9 - there are 1, 2, 3\n"


def test_rollback_says_what_lies_above_the_local_layer(retail):
    retail.cli("run", "retail")
    retail.put("config/retail.local.yaml", "lake: ./lake\nprocessors: {silver: {quality_threshold: 0.5}}\n")
    env = {"RETAIL_PROCESSORS__SILVER__QUALITY_THRESHOLD": "0.1"}
    out = config(retail, "rollback", "1", "--name", "retail", **env).out
    assert "version 1 holds, but for keys that lie above the local layer or are secrets\n" in out
    done = config(retail, "rollback", "1", "--name", "retail", "--json", **env).json
    key = {"key": "processors.silver.quality_threshold", "before": 0.1, "after": 0.95}
    assert done["differences"] == [key]
    assert done["kept"].endswith("config/retail.local.yaml.2.bak")
    assert "processors.silver.quality_threshold  0.1     0.95" in out


def test_a_word_of_the_command_line_wins_over_all_layers(retail):
    env = {"RETAIL_LAKE": "./pond"}
    done = retail.cli("run", "retail", "--set", "lake=./puddle", "--json", env=env)
    assert done.code == 0, done.err
    assert (retail.root / "puddle/silver/sales").is_dir()
    assert not (retail.root / "pond").exists()
    tables = retail.cli("tables", "--pipeline", "retail", "--set", "lake=./puddle", "--json").json
    assert [table["rows"] for table in tables] == [2, 2]
    assert "did you mean 'lake'?" in retail.cli("run", "retail", "--set", "lak=x").err


def test_a_section_said_outside_of_files_merges_and_is_told(retail):
    for env, args, place in (
        ({"RETAIL_PROCESSORS": "{silver: {quality_threshold: 0.6}}"}, (), "RETAIL_PROCESSORS"),
        ({}, ("--set", "processors={silver: {quality_threshold: 0.6}}"), "--set processors"),
    ):
        shown = config(retail, "show", "retail", "--json", *args, **env).json["data"]
        assert shown["processors"] == {"bronze": {"quality_threshold": 0.1}, "silver": {"quality_threshold": 0.6}}
        table = config(retail, "show", "retail", *args, **env).out
        (line,) = [line for line in table.splitlines() if "silver.quality_threshold" in line]
        assert place in line
        assert line.split()[-1] == "0.6"


def test_a_damaged_history_stops_no_run_and_nothing_that_is_there_is_written_over(retail):
    for threshold in ("0.5", "0.6"):
        retail.run(options=[f"processors.silver.quality_threshold={threshold}"])
    folder = retail.root / "lake/_oreflow/config/retail"
    (folder / "000002.json").write_text("")
    done = retail.run(options=["processors.silver.quality_threshold=0.7"])
    assert done.configuration["version"] == 3
    shown = config(retail, "history", "retail", "--json")
    assert [each["version"] for each in shown.json] == [3, 1]
    damaged = f"{folder / '000002.json'} is damaged"
    assert shown.err == f"warning: version 2 of 'retail' is not told of: {damaged}\n"
    (folder / "contents" / f"{done.configuration['hash']}.json").unlink()
    for version, told in ((2, damaged), (3, "is gone"), (4, "'retail' has no version 4 - there are 1, 2, 3")):
        with pytest.raises(oreflow.DeclarationError, match=re.escape(told)):
            oreflow.config_difference(1, version, retail.root, "retail")


def test_a_history_that_can_be_neither_kept_nor_read_is_told(retail):
    history = retail.root / "lake/_oreflow/config/retail"
    history.parent.mkdir(parents=True)
    history.write_text("")  # no folder can be made or looked into here, whoever asks
    retail.run()
    nothing_new = retail.cli("run", "retail")
    assert "nothing was changed" in nothing_new.out
    assert "the configuration of this run could not be kept: Not a directory" in nothing_new.out
    assert f"{history}: Not a directory" in config(retail, "history", "retail", code=1).err


def test_what_the_local_layer_broke_a_rollback_mends(retail):
    retail.cli("run", "retail")
    for broken in ("lake: [\n", "lake: ./elsewhere\n", "tables@remove: true\n"):
        retail.put("config/retail.local.yaml", broken)
        assert "wrote config/retail.local.yaml" in config(retail, "rollback", "1", "--name", "retail").out
        assert config(retail, "show", "retail", "--json").json["data"] == yaml.safe_load(BASE)
    base = (retail.root / "config/retail.yaml").read_text()
    retail.declare(f"description: new\n{base}")
    config(retail, "rollback", "1", "--name", "retail")
    retail.declare(base)  # what the local layer takes away is not there any more
    assert config(retail, "validate").out == "all is well\n"


def test_no_message_shows_a_secret_that_does_not_fit(retail):
    schema = {
        "properties": {
            "password": {"minLength": 12},
            "port": {"type": "integer"},
            "code": {"writeOnly": True, "pattern": "^x"},
        }
    }
    retail.put("config/schemas/db.schema.json", json.dumps(schema))
    retail.put("config/db.yaml", "password: hunter2\ncode: hunter2\nport: redis://u:hunter2@h\ntokens: [hunter2]\n")
    done = config(retail, "validate", "db", code=2)
    assert "hunter2" not in done.err
    assert "config/db.yaml:1 password: the value does not fit; it is a secret, and not shown" in done.err
    assert "hunter2" not in config(retail, "show", "db").out


def test_secrets_have_their_place_and_no_other(retail):
    retail.put("config/retail.local.yaml", "lake: ${env:LAKE}\n")
    err = config(retail, "validate", code=2).err
    assert err.startswith(
        "error: config/retail.local.yaml:1 lake: a secret has no place here - only settings of engines"
    )
    retail.put("config/retail.local.yaml", "engines: {spark: {conf: {spark.x: '${evn:LAKE}'}}}\n")
    assert "${evn:LAKE} is no reference - write ${env:NAME} or" in config(retail, "validate", code=2).err
    retail.put("config/db.yaml", "password: hunter22\nurl: db://me:hunter22@host/x?token=hunter22\nname: x\n")
    shown = config(retail, "show", "db", "--json")
    assert "hunter22" not in shown.out
    assert shown.json["data"] == {"password": "***", "url": "db://me:***@host/x?token=***", "name": "x"}
    assert "hunter22" not in config(retail, "explain", "db.password").out


def test_schemas_of_a_pipeline_a_file_and_a_class(retail):
    schema = json.loads(config(retail, "schema", "retail").out)
    assert "quality_threshold" in schema["properties"]["processors"]["properties"]["silver"]["properties"]
    forms = "from dataclasses import dataclass\n@dataclass\nclass App:\n    port: int = 1\n"
    forms += "@dataclass\nclass Db:\n    password: str = 'hunter22'\n    url: str = 'db://me:hunter22@host'\n"
    forms += "@dataclass\nclass Odd:\n    x: bytes = b''\n"
    retail.put("./forms.py", forms)
    hidden = config(retail, "schema", "forms:Db").out
    assert "hunter22" not in hidden
    assert json.loads(hidden)["properties"]["url"]["default"] == "db://me:***@host"
    schema = json.loads(config(retail, "schema", "forms:App").out)
    assert schema["properties"] == {"port": {"type": "integer", "default": 1}}
    retail.put("config/app.yaml", "port: x\n")
    retail.put("config/schemas/app.schema.json", json.dumps(schema))
    assert json.loads(config(retail, "schema", "app").out) == schema
    wrong = "config/app.yaml:1 port: expected a whole number, got 'x'"
    assert wrong in config(retail, "validate", "app", code=2).err
    assert f"warning: {wrong}" in config(retail, "show", "app").err
    assert "say one of them" in config(retail, "show", "app", "--json", "--yaml", code=2).err
    assert "forms:Ap has no schema" in config(retail, "schema", "forms:Ap", code=2).err
    retail.put("./exits.py", "raise SystemExit(3)\n")
    assert (
        "exits:App has no schema: SystemExit: 3 - name a dataclass" in config(retail, "schema", "exits:App", code=2).err
    )
    odd = config(retail, "schema", "forms:Odd", code=2).err
    assert "Odd.x cannot be read from a configuration" in odd
    assert "give the field a type that a file can say" in odd
    retail.put("config/bare.yaml", "port: x\n")
    assert "the configuration 'bare' has no schema" in config(retail, "schema", "bare", code=2).err


def test_the_project_s_own_settings_are_no_pipeline(retail):
    retail.put("config/oreflow.yaml", "config: {allow_python: true}\n")
    retail.put("config/retail.py", "description = 'by ' + 'code'\n")
    assert config(retail, "show", "retail", "--json").json["data"]["description"] == "by code"
    assert "holds the project's settings, no pipeline" in retail.cli("run", "oreflow").err
    retail.put("config/oreflow.yaml", "config: {allow_python: false}\n")
    assert "config/retail.py: is code" in retail.cli("run", "retail").err
