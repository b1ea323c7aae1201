"""A package that `oreflow plugins new` makes is whole: it builds, lints, types and passes its tests at once.

So does the example in docs/examples, which began as one. They are installed as wheels in environments of their own,
which see what this one has; nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import oreflow

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "docs" / "examples" / "oreflow-postcodes"
STAGES = ("bronze", "silver", "gold")
CACHES = shutil.ignore_patterns("__pycache__", ".*_cache", "build", "dist")
PEOPLE = "id,name,city\n1,Ada Lovelace,London\n2, grace HOPPER,New York\n3,,London\n"
HOOKS = ["create_processor", "processors", "validate_config"]
slow = pytest.mark.xdist_group("scaffold")  # its tests share what they install


@dataclass(frozen=True)
class Package:
    """A package's folder with the names that it goes by."""

    folder: Path
    distribution: str = "oreflow-geocode"
    module: str = "oreflow_geocode"
    processor: str = "geocode"


@dataclass(frozen=True)
class Installed:
    """A package in an environment of its own."""

    package: Package
    wheel: Path
    python: Path


def _run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COLUMNS"))}
    env["OREFLOW_PLUGINS"] = (
        "-oreflow-spark"  # the kit's judgement of a package is made on each engine; one will do here
    )
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False
    )


def _well(*command: object, cwd: Path) -> str:
    done = _run(*command, cwd=cwd)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=[*STAGES, "example"])
def package(request, tmp_path_factory, run_cli):
    where = tmp_path_factory.mktemp(request.param)
    if request.param == "example":
        folder = shutil.copytree(EXAMPLE, where / EXAMPLE.name, ignore=CACHES)
        return Package(folder, "oreflow-postcodes", "oreflow_postcodes", "postcodes")
    made = run_cli("plugins", "new", "oreflow-geocode", "--stage", request.param, cwd=where)
    assert made.code == 0, made.err
    listed = {where / line.strip() for line in made.out.splitlines() if line.startswith("  oreflow-geocode")}
    assert listed == {file for file in where.rglob("*") if file.is_file()}
    return Package(where / "oreflow-geocode")


@pytest.fixture(scope="module")
def installed(package, tmp_path_factory, require, layered_environment):
    for tool in ("pip", "hatchling", "oreflow_testkit"):
        require(importlib.util.find_spec(tool) is not None, f"{tool} is not installed")
    where = tmp_path_factory.mktemp("installed")
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", where / "wheels", ".")
    _well(sys.executable, *build, cwd=package.folder)
    (wheel,) = (where / "wheels").glob("*.whl")
    return Installed(package, wheel, layered_environment(where / "venv", wheel))


# What its author sees


@slow
def test_it_is_linted_and_formatted(package, require):
    require(importlib.util.find_spec("ruff") is not None, "ruff is not installed")
    _well(sys.executable, "-m", "ruff", "check", "--no-cache", cwd=package.folder)
    _well(sys.executable, "-m", "ruff", "format", "--check", "--no-cache", cwd=package.folder)


@slow
def test_its_types_are_strict(package, require, tmp_path_factory):
    for tool in ("mypy", "oreflow_testkit"):
        require(importlib.util.find_spec(tool) is not None, f"{tool} is not installed")
    cache = tmp_path_factory.getbasetemp() / "mypy"
    said = _well(sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, cwd=package.folder)
    assert "no issues found in 4 source files" in said


@slow
def test_its_own_tests_pass(installed):
    said = _well(installed.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=installed.package.folder)
    passed = re.search(r"^(\d+) passed in", said, re.MULTILINE)
    assert passed, said  # and none was skipped
    assert int(passed[1]) > len(importlib.import_module("oreflow_testkit").CHECKS)


@slow
def test_its_wheel_has_what_it_needs_and_no_tests(installed):
    module, wheel = installed.package.module, zipfile.ZipFile(installed.wheel)
    modules = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert modules == {f"{module}/{name}" for name in ("__init__.py", "plugin.py", "processor.py", "py.typed")}
    (about,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    points = wheel.read(about).decode()
    assert points.split() == ["[oreflow.plugins]", installed.package.processor, "=", f"{module}.plugin"]


# What its user sees


@slow
def test_it_is_found(installed, tmp_path):
    package = installed.package
    plugins = json.loads(_well(installed.python, "-m", "oreflow", "plugins", "--json", cwd=tmp_path))
    (found,) = [plugin for plugin in plugins if plugin["distribution"] == package.distribution]
    assert (found["name"], found["status"], found["hooks"]) == (package.processor, "ok", HOOKS)
    assert not found["notes"]


@slow
def test_it_wins_no_table_that_does_not_ask_for_it(installed, tmp_path):
    _well(installed.python, "-m", "oreflow", "init", "shop", cwd=tmp_path)
    plan = json.loads(_well(installed.python, "-m", "oreflow", "plan", "--json", cwd=tmp_path / "shop"))
    assert {table["processor"] for table in plan["tables"]} == {"polars_bronze", "polars_silver", "polars_gold"}


@slow
def test_the_project_of_its_readme_runs(installed, project_in, tmp_path):
    readme = (installed.package.folder / "README.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(yaml|text)\n(.*?)^```", readme, re.DOTALL | re.MULTILINE))
    project = project_in(tmp_path)
    project.declare(blocks["yaml"])
    project.put("all.csv", blocks.get("text", PEOPLE))
    report = json.loads(_well(installed.python, "-m", "oreflow", "run", "--json", cwd=tmp_path))
    made = {result["processor"]: result for result in report["tables"]}[f"polars_{installed.package.processor}"]
    assert made["distribution"] == installed.package.distribution
    assert made["rows_published"] > 0


@pytest.mark.parametrize("stage", STAGES)
def test_its_own_test_says_why_a_run_failed(stage, tmp_path, monkeypatch):
    oreflow.new_plugin("oreflow-geocode", stage, tmp_path)
    folder = tmp_path / "oreflow-geocode"
    step = folder / "src" / "oreflow_geocode" / "processor.py"
    taken = "(rows,) = inputs.values()\n"
    broken = step.read_text(encoding="utf-8").replace(taken, f'{taken}        raise StepError("not today")\n')
    step.write_text(broken, encoding="utf-8")
    info = folder / "src" / "oreflow_geocode-0.1.0.dist-info"  # as good as installed
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oreflow-geocode\nVersion: 0.1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[oreflow.plugins]\ngeocode = oreflow_geocode.plugin\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder / "src"))
    own = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not TestGeocode")
    done = _run(sys.executable, *own, cwd=folder)
    assert done.returncode == 1
    (said,) = re.findall(r"^E +AssertionError: (.*)$", done.stdout, re.MULTILINE)
    assert "not today" in said


# Names


@pytest.mark.parametrize(
    ("name", "module", "processor"),
    [
        ("oreflow-geocode", "oreflow_geocode", "geocode"),
        ("oreflow-geocode-uk", "oreflow_geocode_uk", "geocode_uk"),
        ("Oreflow_Geo.Code", "oreflow_geo_code", "geo_code"),
        ("acme-geocode", "acme_geocode", "acme_geocode"),
        ("x", "x", "x"),
    ],
)
def test_the_names_follow_from_the_distribution_s(name, module, processor, tmp_path):
    files = oreflow.new_plugin(name, "silver", tmp_path)
    assert Path(name, "src", module, "plugin.py") in files
    assert Path(name, "tests", f"test_{processor}.py") in files
    assert f'name="{processor}"' in (tmp_path / name / "src" / module / "plugin.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["x", "acme-" + "long-" * 11 + "name"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_short_and_a_long_name_make_a_tidy_package(name, stage, tmp_path, require):
    require(importlib.util.find_spec("ruff") is not None, "ruff is not installed")
    oreflow.new_plugin(name, stage, tmp_path)
    _well(sys.executable, "-m", "ruff", "check", "--no-cache", cwd=tmp_path / name)
    _well(sys.executable, "-m", "ruff", "format", "--check", "--no-cache", cwd=tmp_path / name)


# what is refused, and what is said of it
REFUSED = {
    "": "is no name for a package - use letters, digits, - and _",
    "../oreflow-geocode": "is no name for a package",
    "oreflow geocode": "is no name for a package",
    "oreflow-géocode": "is no name for a package",
    "-geocode": "is no name for a package",
    "oreflow-": "is no name for a package",
    "123": "no name begins with a digit",
    "oreflow-3d": "no name begins with a digit",
    "oreflow-class": "makes a processor 'class', which is a keyword of Python",
    "oreflow-silver": "makes a processor 'silver', which is the name of one of oreflow-silver",
    "gold": "makes a processor 'gold', which is the name of one of oreflow-gold",
    "Oreflow_Bronze": "makes a processor 'bronze', which is the name of one of oreflow-bronze",
    "oreflow-polars-silver": "makes a processor 'polars_silver', which is the name of one of oreflow-silver",
    "oreflow": "makes a module 'oreflow', and there is one already",
    "oreflow-delta": "makes a module 'oreflow_delta', and there is one already",
    "json": "makes a module 'json', and there is one already",
    "x" * 65: "has 65 characters - use at most 64",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_will_not_do_is_refused(name, tmp_path):
    with pytest.raises(oreflow.DeclarationError) as caught:
        oreflow.new_plugin(name, "silver", tmp_path)
    assert REFUSED[name] in str(caught.value)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].mend
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_is_none_is_refused(tmp_path):
    with pytest.raises(oreflow.DeclarationError, match="there is no stage 'platinum' - choose bronze, silver, gold"):
        oreflow.new_plugin("oreflow-geocode", "platinum", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, run_cli):
    mine = tmp_path / "oreflow-geocode" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    done = run_cli("plugins", "new", "oreflow-geocode", "--stage", "silver", cwd=tmp_path)
    assert done.code == 2
    assert done.err == (
        "error: oreflow-geocode is there already and is not an empty folder"
        " - choose another name, or take it away; nothing was written\n"
    )
    assert list(mine.parent.iterdir()) == [mine]


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path):
    (tmp_path / "oreflow-geocode").write_text("mine", encoding="utf-8")
    with pytest.raises(oreflow.DeclarationError, match="is not an empty folder"):
        oreflow.new_plugin("oreflow-geocode", "silver", tmp_path)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "oreflow-geocode").mkdir()
    files = oreflow.new_plugin("oreflow-geocode", "silver", tmp_path)
    assert all((tmp_path / file).is_file() for file in files)


def test_a_place_that_cannot_be_written_is_one_plain_message(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(oreflow.DeclarationError, match="cannot be written: "):
        oreflow.new_plugin("oreflow-geocode", "silver", tmp_path / "file")
