"""What an installed package must not be able to do to the others: take their names, their modules, their tables."""

from __future__ import annotations

import json

import pytest

import oreflow

HEAD = "from oreflow import *\nfrom oreflow.contract import *\noreflow_api = 1\n"
OWN = "oreflow-bronze, oreflow-delta, oreflow-gold, oreflow-polars, oreflow-silver"
DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, name: {type: string}}
    checks: [{name: a name, type: completeness, column: name}]
"""


@pytest.fixture
def shop(project):
    return project(DECLARATION, {"a.csv": "id,name\n1,ada\n2,grace\n3,\n"})


@pytest.fixture
def installed(tmp_path):
    """Put a distribution where an environment variable leads: installed(name, source, **entry points)."""
    site = tmp_path / "site"

    def install(name, source="", points=None, version="1.2.3"):
        about = site / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        module = name.replace("-", "_")
        points = points or f"{module} = {module}"
        (about / "entry_points.txt").write_text(f"[oreflow.plugins]\n{points}\n")
        if source is not None:
            (site / f"{module}.py").write_text(HEAD + source)
        return {"PYTHONPATH": str(site)}

    return install


def _plugins(shop, env):
    return {p["distribution"]: p for p in shop.cli("plugins", "--json", env=env).json}


def test_a_hook_without_its_mark_is_told(shop, installed):
    env = installed("forgetful", "def processors():\n    return []\n")
    (note,) = _plugins(shop, env)["forgetful"]["notes"]
    assert note == "its processors lacks @hookimpl, so that nobody asks it"
    assert note in shop.cli("plugins", "doctor", env=env).out.replace("\n", " ")


@pytest.mark.parametrize("said", ["soon", "-1", "nan"])
def test_a_bound_that_is_no_number_of_seconds_is_refused(said, shop):
    done = shop.cli("plugins", env={"OREFLOW_PLUGIN_TIMEOUT": said})
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: OREFLOW_PLUGIN_TIMEOUT is '{said}', not a number of seconds - 10 is the usual one\n"


# Trust


def test_no_command_imports_what_is_not_allowed_and_progress_is_shown_all_the_same(project, installed, tmp_path):
    env = installed("secret", f"open({str(tmp_path / 'imported')!r}, 'a').close()\n")
    shop = project(DECLARATION + f"plugins: {{allow: [{OWN}]}}\n", {"a.csv": "id,name\n1,ada\n"}, name="other")
    for command in (["plan", "other"], ["run", "other"], ["run", "other", "--json"], ["lock", "other"]):
        done = shop.cli(*command, env=env)
        assert done.code == 0, done.err
        assert done.out.count("\n+ ") + done.out.startswith("+ ") == (2 if command == ["run", "other"] else 0)
    assert not (tmp_path / "imported").exists()


def test_a_module_of_another_distribution_cannot_be_taken_over(shop, installed):
    env = installed("aaa-thief", None, "silver = oreflow_silver.plugin\nother = oreflow_silver.plugin")
    found = _plugins(shop, env)
    assert found["oreflow-silver"]["status"] == "ok"
    assert found["aaa-thief"]["status"] == "broken"
    assert "which is a plugin of oreflow-silver" in found["aaa-thief"]["reason"]
    report = shop.cli("run", "--json", env=env).json
    assert report["tables"][1]["distribution"] == "oreflow-silver"


def test_what_was_given_up_does_not_come_to_life_later(shop, installed, tmp_path):
    log = tmp_path / "log"
    env = installed(
        "late",
        "import time\ntime.sleep(1.5)\n@hookimpl(wrapper=True)\ndef run_step(step):\n"
        f"    open({str(log)!r}, 'a').close()\n    return (yield)\n",
    )
    shop.put("b.csv", "id,name\n" + "".join(f"{n},x\n" for n in range(400_000)))
    done = shop.cli("run", env={**env, "OREFLOW_PLUGIN_TIMEOUT": "0.2"})
    assert done.code == 0, done.out + done.err
    assert not log.exists()


# Names


@pytest.mark.parametrize("name", ["any", "auto", "custom"])
def test_an_engine_cannot_be_called_what_stands_for_a_choice(name, shop, installed):
    env = installed("joker", f"@hookimpl\ndef engines(): return [EngineMetadata('{name}', '1', 'd', [])]\n")
    assert "stands for something else than an engine" in _plugins(shop, env)["joker"]["reason"]


def test_an_own_name_is_not_had_by_a_stranger_though_its_home_is_not_there(shop, installed):
    env = installed(
        "pseudo",
        "@hookimpl\ndef processors(): return [ProcessorMetadata('silver', '1', 'd', 'any', ['silver'], ['batch'])]\n",
    )
    done = shop.cli("plan", env={**env, "OREFLOW_PLUGINS": "-oreflow-silver"})
    assert done.code == 2
    (note,) = _plugins(shop, env)["pseudo"]["notes"]
    assert "'silver' is brought by the plugin silver of oreflow-silver" in note


def test_an_engine_that_has_lost_its_name_reads_no_table(shop, installed):
    env = installed(
        "aeng",
        "@hookimpl\ndef engines(): return [EngineMetadata('polars', '1', 'd', ['in_process'])]\n"
        "@hookimpl\ndef create_engine(name): raise RuntimeError('mine')\n",
    )
    assert shop.cli("run", env=env).code == 0
    assert shop.cli("tables", "show", "silver.sales", env=env).code == 0


def test_one_name_for_two_plugins_of_a_distribution_harms_neither_other(shop, installed):
    env = installed("double", "", "p = double\np = double:oreflow_api")
    assert {p["status"] for p in _plugins(shop, env).values() if p["distribution"].startswith("oreflow-")} == {"ok"}
    assert shop.cli("run", env=env).code == 0


# Others' tables


def test_a_validation_changes_nothing_and_a_veto_names_its_plugin(shop, installed):
    env = installed(
        "meddler",
        "@hookimpl\ndef validate_config(name, config):\n    config.options.get('columns', {}).pop('name', None)\n"
        "    return ['I do not like it'] if name == 'silver' and 'VETO' in __import__('os').environ else []\n",
    )
    assert shop.cli("run", env=env).code == 0
    assert "name" in shop.dicts("silver.sales")[0]
    done = shop.cli("plan", env={**env, "VETO": "1"})
    assert done.code == 2
    assert "the plugin meddler of meddler 1.2.3: I do not like it" in done.err


def test_a_listener_cannot_change_the_report(shop, installed):
    env = installed(
        "liar",
        "@hookimpl\ndef step_finished(result):\n    result['rows_published'] = 10**6\n    result['status'] = 'failed'\n"
        "@hookimpl\ndef run_finished(report):\n    report.clear()\n",
    )
    done = shop.cli("run", "--json", env=env)
    assert done.code == 0
    assert [t["rows_published"] for t in done.json["tables"]] == [3, 2]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("@hookimpl\ndef validate_config(name, config): return 42\n", None),
        ("class E(Exception):\n    def __str__(self): return 1\nraise E\n", "cannot be imported: E"),
        ("raise ModuleNotFoundError('x', name=42)\n", "cannot be imported: ModuleNotFoundError: x"),
        (("class K(RowCheck):\n    def mark(self, *a): pass\n    def reason(self, c, t): pass\n"
         "@hookimpl\ndef check_types(): return [K()]\n"), "a kind of check is called None"),
        (("class K(RowCheck):\n    name = 'k'\n    def mark(self, *a): pass\n    def reason(self, c, t): pass\n"
         "@hookimpl\ndef check_types(): return [K()]\n"), "the check 'k' has no option_schema"),
        (("class K(RowCheck):\n    name = 'k'\n    option_schema = {'type': 'nonsense'}\n    def mark(self, *a): pass\n"
         "    def reason(self, c, t): pass\n@hookimpl\ndef check_types(): return [K()]\n"), "is no JSON Schema"),
        ("@hookimpl\ndef cli_commands():\n    import time\n    time.sleep(3600)\n", None),
        ("@hookimpl\ndef cli_commands():\n    import click\n    return [click.Command('zap', help=42)]\n", None),
        (("@hookimpl\ndef processors(): return [ProcessorMetadata('p', '1', 'd', 'any', ['silver'], [],"
         " {'properties': {'a': {'$ref': 'file:///etc/hostname'}}})]\n"), "is no JSON Schema"),
    ],
)  # fmt: skip
def test_an_odd_answer_breaks_its_own_plugin_at_most(source, told, shop, installed):
    env = {**installed("odd", source), "OREFLOW_PLUGIN_TIMEOUT": "1"}
    for command in (["--help"], ["plugins"], ["plan"], ["run"]):
        done = shop.cli(*command, env=env)
        assert done.code == 0, (command, done.out, done.err)
        assert "Traceback" not in done.err
    if told:
        assert told in _plugins(shop, env)["odd"]["reason"]


def test_a_schema_may_refer_to_its_own_definitions(shop, installed):
    schema = "{'required': ['mine'], 'properties': {'mine': {'$ref': '#/$defs/q'}}, '$defs': {'q': {'type': 'string'}}}"
    env = installed(
        "referrer",
        f"@hookimpl\ndef processors(): return [ProcessorMetadata('p', '1', 'd', 'any', ['silver'], [], {schema})]\n",
    )
    assert shop.cli("plan", env=env).code == 0
    shop.declare(DECLARATION.replace("    columns: {id: {type: int64}, name: {type: string}}\n", "    mine: 42\n"))
    done = shop.cli("plan", env=env)
    assert done.code == 2
    assert "tables.silver.sales.mine: expected a text, got 42" in done.err


# Locks


def test_a_lock_tells_of_what_lies_around_each_step(shop, installed):
    oreflow.lock(shop.root)
    env = installed("wrapper", "@hookimpl(wrapper=True)\ndef run_step(step): return (yield)\n")
    done = shop.cli("run", env=env)
    assert done.code == 2
    assert "around each step was locked as [] and is now" in done.err
    assert "wrapper 1.2.3" in done.err


def test_a_lock_tells_of_a_project_file_that_was_edited(shop):
    file = shop.root / "oreflow_plugins.py"
    source = HEAD + (
        "class Mine(Processor):\n"
        "    metadata = ProcessorMetadata('mine', '1', 'd', 'any', ['silver'], ['incremental'], OPTIONS)\n"
        "    def process(self, inputs, step): return Output(next(iter(inputs.values())))\n"
    )
    file.write_text(source.replace("OPTIONS", "{'properties': {'cap': {}}, 'required': ['cap']}"))
    columns = "    columns: {id: {type: int64}, name: {type: string}}\n"
    shop.declare(DECLARATION.replace(columns, "    cap: 2026-01-01\n"))  # a date in YAML
    assert shop.cli("lock").code == 0
    assert shop.cli("run").code == 0
    file.write_text(file.read_text() + "# edited\n")
    done = shop.cli("run")
    assert done.code == 2
    assert "origin of silver.sales was locked as oreflow_plugins.py" in done.err


def test_a_lock_that_is_nested_without_end_is_told(shop):
    oreflow.lock(shop.root).write_text("[" * 100_000)
    done = shop.cli("run")
    assert done.code == 2
    assert "the lock file cannot be read" in done.err
    assert json.loads(oreflow.lock(shop.root).read_text())
