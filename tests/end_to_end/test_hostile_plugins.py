"""No installed package can break oreflow: real distributions that break in every way, in a real environment.

tests/hostile has them. All are installed at once; OREFLOW_PLUGINS picks the one that a test is about, and one test
leaves them all in.
"""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

pytestmark = pytest.mark.xdist_group("hostile")

ROOT = Path(__file__).parents[2]
OWN = ("oreflow-bronze", "oreflow-delta", "oreflow-gold", "oreflow-polars", "oreflow-silver")
DECLARATION = """
name: shop
sources:
  sales: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    columns: {id: {type: int64}, country: {type: string}}
    checks: [{name: a country, type: completeness, column: country}]
  gold.sales: {input: silver.sales, group_by: [country], measures: {sales: "count(*)"}}
"""
COLUMNS = "    columns: {id: {type: int64}, country: {type: string}}\n"
FILES = {"a.csv": "id,country\n1,de\n2,fr\n3,\n"}


@dataclass(frozen=True)
class Environment:
    """An environment of its own, with the hostile distributions installed and what this one has besides."""

    python: Path

    def cli(self, *args, cwd, code=0, **variables):
        env = {**os.environ, "OREFLOW_PLUGIN_TIMEOUT": "2", **variables}
        env.pop("COLUMNS", None)
        command = [str(self.python), "-m", "oreflow", *args]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout + done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory, layered_environment):
    folder = tmp_path_factory.mktemp("hostile")
    wheels = [
        next(WheelBuilder(str(source)).build(directory=str(folder / "wheels"), versions=["standard"]))
        for source in sorted((ROOT / "tests/hostile").iterdir())
        if source.is_dir()
    ]
    return Environment(layered_environment(folder / "venv", *wheels))


@pytest.fixture
def shop(project):
    return project(DECLARATION, FILES)


def only(*names):
    return {"OREFLOW_PLUGINS": ",".join((*OWN, *(f"oreflow-hostile-{name}" for name in names)))}


REMOVE = "pip uninstall oreflow-hostile-{name}"
BROKEN = {
    # name: parts of the reason, and of what mends it
    "import-error": (["cannot be imported: ImportError", "no_such_name"], REMOVE),
    "syntax-error": (["cannot be imported: SyntaxError", "invalid syntax"], REMOVE),
    "system-exit": (["cannot be imported: SystemExit: 3"], REMOVE),
    "assertion-error": (["cannot be imported: AssertionError"], REMOVE),
    "keyboard-interrupt": (["cannot be imported: KeyboardInterrupt"], REMOVE),
    "base-exception": (["cannot be imported: "], REMOVE),
    "wrong-signature": (["its hook processors asks for 'surprise'", "it gives nothing"], "pip install --upgrade"),
    "misspelt-hook": (["'proccessors'", "did you mean 'processors'?"], "pip install --upgrade"),
    "invalid-metadata": (["its metadata is invalid", "supported_stages"], "its author"),
    "invalid-metadata-at-import": (["its metadata is invalid", "supported_stages"], "its author"),
    "metadata-raises": (["its metadata cannot be had: RuntimeError"], REMOVE),
    "wrong-answer": (["its processors answers 42 where a list is expected"], REMOVE),
    "api-past": (["API 0", "API 1", "the plugin is too old"], "pip install --upgrade oreflow-hostile-api-past"),
    "api-future": (["API 99", "API 1", "oreflow is too old"], "pip install --upgrade oreflow"),
    "api-missing": (["does not say for which API"], "oreflow_api = 1"),
    "missing-dependency": (["'no_such_package_oreflow'"], 'pip install "no-such-package-oreflow>=2"'),
    "hangs": (["its import hangs", "2 s"], "OREFLOW_PLUGINS=-oreflow-hostile-hangs"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_with_reason_and_mend_and_all_else_works(name, environment, shop):
    reason, mend = BROKEN[name]
    found = {
        p["distribution"]: p for p in json.loads(environment.cli("plugins", "--json", cwd=shop.root, **only(name)))
    }
    about = found.pop(f"oreflow-hostile-{name}")
    assert about["status"] == "broken"
    assert about["version"] == "1.2.3"
    assert all(part in about["reason"] for part in reason), about["reason"]
    assert mend.format(name=name) in about["mend"]
    assert not about["brings"]
    assert {found[own]["status"] for own in OWN} == {"ok"}

    report = json.loads(environment.cli("run", "--json", cwd=shop.root, **only(name)))
    assert [table["status"] for table in report["tables"]] == ["published"] * 3
    (remark,) = report["remarks"]
    assert f"oreflow-hostile-{name} 1.2.3" in remark
    assert about["reason"] in remark


def test_with_all_of_them_installed_every_command_still_works(environment, shop, tmp_path):
    def cli(*args, code=0):
        return environment.cli(*args, cwd=shop.root, code=code)

    def side_by_side(*commands):
        # Each waits its two seconds for the import that hangs; a few at a time, so that no other seems to hang too.
        with ThreadPoolExecutor(3) as threads:
            return list(threads.map(lambda args: cli(*args), commands))

    new = ["init", str(tmp_path / "new")]
    assert all(side_by_side(["--help"], ["plugins", "--help"], new, ["plan"], ["plan", "--why"]))
    assert cli("lock")
    account = json.loads(cli("run", "--json"))
    assert [(t["status"], t["rows_published"], t["processor"]) for t in account["tables"]] == [
        ("published", 3, "polars_bronze"),
        ("published", 2, "polars_silver"),
        ("published", 2, "polars_gold"),
    ]
    assert account["tables"][1]["distribution"] == "oreflow-silver"
    assert "nothing new" in cli("run")
    assert all(
        side_by_side(["tables"], ["tables", "show", "gold.sales"], ["quarantine", "show", "silver.sales"], ["runs"])
    )
    plugins, silver = side_by_side(["plugins"], ["plugins", "show", "silver"])
    assert "oreflow-hostile-hangs" in plugins
    assert "oreflow-silver" in silver
    told = cli("plugins", "doctor", code=1)
    assert all(f"x oreflow-hostile-{name} 1.2.3: " in told for name in BROKEN)
    json_commands = (["plan"], ["tables"], ["runs"], ["plugins"], ["plugins", "show", "prints"])
    for said in side_by_side(*([*command, "--json"] for command in json_commands)):
        json.loads(said)


def test_one_that_is_left_out_is_not_imported(environment, shop, tmp_path):
    """A hanging import would be seen by its bound; here it is not begun."""
    left_out = {"OREFLOW_PLUGINS": "-oreflow-hostile-hangs", "OREFLOW_PLUGIN_TIMEOUT": "60"}
    found = json.loads(environment.cli("plugins", "--json", cwd=shop.root, **left_out))
    (about,) = [p for p in found if p["distribution"] == "oreflow-hostile-hangs"]
    assert (about["status"], about["reason"]) == ("disabled", "left out by OREFLOW_PLUGINS")


def test_what_is_not_allowed_is_not_imported(environment, project):
    allow = f"\nplugins: {{allow: [{', '.join(OWN)}]}}\n"
    shop = project(DECLARATION + allow, FILES)
    patient = {"OREFLOW_PLUGIN_TIMEOUT": "60"}  # so that the import that hangs would be noticed
    report = json.loads(environment.cli("run", "--json", cwd=shop.root, **patient))
    assert report["remarks"] == []
    assert {part["distribution"] for part in report["plugins"]} == set(OWN)
    found = json.loads(environment.cli("plugins", "--json", cwd=shop.root, **patient))
    assert {p["reason"] for p in found if p["status"] != "ok"} == {"not in plugins.allow"}
    environment.cli("--help", cwd=shop.root, **patient)


def test_what_a_plugin_prints_does_not_get_into_json(environment, shop):
    found = json.loads(environment.cli("plugins", "--json", cwd=shop.root, **only("prints")))
    (about,) = [p for p in found if p["distribution"] == "oreflow-hostile-prints"]
    assert about["status"] == "ok"
    assert about["notes"] == ["prints while it is loaded: 'hello from a plugin'"]
    assert "hello" not in environment.cli("run", cwd=shop.root, **only("prints"))


def test_heavy_imports_are_reported_as_slow(environment, shop):
    told = environment.cli("plugins", "doctor", cwd=shop.root, code=1, **only("heavy-import"))
    (line,) = [line for line in told.splitlines() if line.startswith("- oreflow-hostile-heavy-import")]
    assert "slow: importing it takes" in line
    assert "polars" in line


def test_a_taken_name_stays_with_its_owner_and_the_other_has_to_be_asked_for(environment, shop):
    (table,) = [
        t
        for t in json.loads(environment.cli("plan", "--json", cwd=shop.root, **only("name-taken")))["tables"]
        if t["table"] == "silver.sales"
    ]
    assert (table["processor"], table["distribution"]) == ("polars_silver", "oreflow-silver")
    reasons = {c["processor"]: c["reason"] for c in table["candidates"]}
    assert "oreflow-silver" in reasons["oreflow-hostile-name-taken:polars_silver"]
    assert "oreflow-hostile-name-taken:silver" in reasons["oreflow-hostile-name-taken:polars_silver"]
    pinned = DECLARATION.replace(
        "    input: bronze.sales\n", '    input: bronze.sales\n    processor: "oreflow-silver:silver"\n'
    )
    shop.declare(pinned)
    environment.cli("run", cwd=shop.root, **only("name-taken"))


def test_a_name_that_two_bring_belongs_to_neither_until_one_is_pinned(environment, project):
    declaration = DECLARATION.replace(
        "    columns: {id: {type: int64}, country: {type: string}}\n", "    twice_column: id\n"
    )
    shop = project(
        declaration.replace("    input: bronze.sales\n", "    input: bronze.sales\n    processor: PROCESSOR\n"), FILES
    )
    declared = (shop.root / "config/pipeline.yaml").read_text()
    shop.declare(declared.replace("PROCESSOR", "twice"))
    both = only("name-twice-a", "name-twice-b")
    told = environment.cli("plan", cwd=shop.root, code=2, **both)
    assert "oreflow-hostile-name-twice-a:twice" in told
    assert "oreflow-hostile-name-twice-b:twice" in told
    shop.declare(declared.replace("PROCESSOR", '"oreflow-hostile-name-twice-b:twice"'))
    report = json.loads(environment.cli("run", "--json", cwd=shop.root, **both))
    assert report["tables"][1]["distribution"] == "oreflow-hostile-name-twice-b"
    environment.cli("plan", cwd=shop.root, code=2, **only("name-twice-a"))


def _with(processor, more=""):
    return DECLARATION.replace(COLUMNS, f"    processor: {processor}\n    {processor}_column: id\n{more}")


FAULTS = {
    "exits_in_processor": ("exits", "exits-in-processor", "", "failed: SystemExit: 5"),
    "none": ("returns_wrong", "returns-wrong", "    what: none\n", "returned None where an Output is expected"),
    "frame": ("returns_wrong", "returns-wrong", "    what: frame\n", "LazyFrame where an Output is expected"),
    "eager": (
        "returns_wrong",
        "returns-wrong",
        "    what: eager\n",
        "DataFrame as its rows where a narwhals LazyFrame",
    ),
    "columns": ("returns_wrong", "returns-wrong", "    what: columns\n", "no_such_column"),
    "rules": (
        "returns_wrong",
        "returns-wrong",
        "    what: rules\n",
        "with [42] as its rules where a list of Rule is",
    ),
    "mode": ("returns_wrong", "returns-wrong", "    what: mode\n", "with 'append' as its mode where Append()"),
    "loses_rows": ("loses_rows", "loses-rows", "", "loses 1 row;"),
    "mutates inputs": ("mutates", "mutates", "", "mappingproxy"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_processor_that_breaks_the_contract_fails_its_step_and_is_named(fault, environment, project):
    processor, name, more, told = FAULTS[fault]
    shop = project(_with(processor, more), FILES)
    report = json.loads(environment.cli("run", "--json", cwd=shop.root, code=1, **only(name)).partition("\n\n")[0])
    bronze, silver, gold = report["tables"]
    assert (bronze["status"], silver["status"], gold["status"]) == ("published", "failed", "skipped")
    assert told in silver["reason"], silver["reason"]
    assert f"oreflow-hostile-{name} 1.2.3" in silver["reason"]
    assert shop.version("silver.sales") is None


def test_options_that_a_processor_changes_are_nobody_elses(environment, project):
    shop = project(_with("mutates", "    what: options\n    nested: {a: 1}\n"), FILES)
    environment.cli("run", cwd=shop.root, **only("mutates"))
    assert "nothing new" in environment.cli("run", cwd=shop.root, **only("mutates"))


def test_a_listener_that_raises_is_remarked_on(environment, shop):
    report = json.loads(environment.cli("run", "--json", cwd=shop.root, **only("raises-in-listener")))
    assert report["status"] == "success"
    assert "oreflow-hostile-raises-in-listener 1.2.3 failed in run_started: RuntimeError" in report["remarks"][0]


def test_a_wrapper_that_raises_is_named_and_not_the_processor(environment, shop):
    args = {**only("raises-in-wrapper"), "HOSTILE_WRAPPER": "1"}
    told = environment.cli("run", cwd=shop.root, code=1, **args)
    assert "oreflow-hostile-raises-in-wrapper 1.2.3 failed around the step" in told
    environment.cli("run", cwd=shop.root, **only("raises-in-wrapper"))


def test_a_validation_that_raises_speaks_against_its_own_processor_only(environment, shop):
    environment.cli("plan", cwd=shop.root, **only("raises-in-validate"))
    shop.declare(_with("raises_in_validate"))
    told = environment.cli("plan", cwd=shop.root, code=2, **only("raises-in-validate"))
    assert "oreflow-hostile-raises-in-validate 1.2.3 cannot judge this: ValueError" in told


def test_what_is_no_command_is_left_out_of_the_help(environment, shop):
    told = environment.cli("--help", cwd=shop.root, **only("bad-command"))
    assert "plugins" in told
