"""Somebody else's package is installed, found, chosen, explained, run and taken away again, with pip and nothing more.

All of it happens in an environment that has wheels only, as a user has them: ours, built from this tree, and those of
the package index. What was said and done on the way is kept; each test looks at one part of it.
"""

from __future__ import annotations

import email
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.xdist_group("third_party")  # all look at the one story

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "docs" / "examples" / "oreflow-postcodes"
OURS = (ROOT / "host", *(ROOT / "plugins" / name for name in ("bronze", "silver", "gold", "delta", "polars")))
PIPELINE = """\
name: addresses
sources:
  addresses: {path: "./data/raw/*.csv", format: csv}
tables:
  bronze.addresses: {source: addresses}
  silver.addresses:
    input: bronze.addresses
    required_capabilities: [geocode.postcodes]
    postcode: Postcode
"""
ADDRESSES = """\
id,Postcode
1,sw1a2aa
2, M3  4EN
3,75001
4,
"""


@dataclass(frozen=True)
class Said:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Environment:
    """A virtual environment, its packages put in and taken out by this one's pip."""

    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, *command: object, cwd: Path) -> Said:
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COLUMNS")}
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def python(self, code: str) -> str:
        return self.run(self.scripts / "python", "-c", code, cwd=self.folder).out.strip()

    def oreflow(self, project: Path, *arguments: str) -> Said:
        return self.run(self.scripts / "oreflow", *arguments, cwd=project)

    def try_pip(self, *arguments: object) -> Said:
        pip = (sys.executable, "-m", "pip", "--python", self.scripts / "python", "--disable-pip-version-check")
        return self.run(*pip, *arguments, cwd=self.folder)

    def pip(self, *arguments: object) -> None:
        done = self.try_pip(*arguments)
        assert done.code == 0, done.out + done.err


@dataclass(frozen=True)
class Story:
    """What was said on the way."""

    without: Said
    plugins: Said
    shown: Said
    why: Said
    plan: Said
    run: Said
    rows: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    after: Said
    files_before: dict[str, int]
    files_after: dict[str, int]
    mended: Said


def _build(folder: Path, wheels: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    packages = [*map(str, OURS), str(EXAMPLE)]
    done = subprocess.run(
        [*command, "--wheel-dir", str(wheels), *packages], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _others(wheels: Path) -> list[str]:
    """What the wheels require that is not among them."""
    found = set()
    for wheel in wheels.glob("*.whl"):
        archive = zipfile.ZipFile(wheel)
        (about,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        required = email.message_from_bytes(archive.read(about)).get_all("Requires-Dist") or []
        wanted = [Requirement(text) for text in required]
        found |= {str(one) for one in wanted if not one.name.startswith("oreflow") and not one.marker}
    return sorted(found)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory, require) -> Path:
    for tool in ("pip", "hatchling"):
        require(importlib.util.find_spec(tool) is not None, f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("wheels")
    _build(folder, folder)
    return folder


@pytest.fixture(scope="module")
def environment(wheels, tmp_path_factory, require) -> Environment:
    """Our wheels and what they need; not the example."""
    made = Environment(tmp_path_factory.mktemp("environment") / "venv")
    done = made.run(sys.executable, "-m", "venv", "--without-pip", made.folder, cwd=wheels)
    assert done.code == 0, done.err
    limits = ("--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt")
    fetched = made.try_pip("install", *limits, *_others(wheels))
    last = (fetched.err.strip().splitlines() or [""])[-1]
    require(fetched.code == 0, f"the packages that oreflow needs cannot be had from the package index: {last}")
    made.pip("install", "--no-index", "--find-links", wheels, "oreflow[polars]")
    return made


@pytest.fixture(scope="module")
def story(environment, wheels, tmp_path_factory, project_in) -> Story:
    project = project_in(tmp_path_factory.mktemp("addresses"))
    project.declare(PIPELINE)
    project.put("2026-01-05.csv", ADDRESSES)
    (wheel,) = wheels.glob("oreflow_postcodes-*.whl")

    def say(*arguments: str) -> Said:
        return environment.oreflow(project.root, *arguments)

    without = say("plan")
    environment.pip("install", "--no-index", wheel)
    plugins, shown = say("plugins", "--json"), say("plugins", "show", "oreflow-postcodes", "--json")
    why, plan = say("plan", "--why", "silver.addresses"), say("plan", "--why", "silver.addresses", "--json")
    run = say("run", "--json")
    rows = project.dicts("silver.addresses", "_batch_id", "_source_file")
    quarantine = project.dicts("silver.addresses", "_batch_id", quarantine=True)

    project.put("2026-01-06.csv", "id,Postcode\n5,eh11re\n")
    environment.pip("uninstall", "--yes", "oreflow-postcodes")
    files_before = project.files()
    after = say("run")
    files_after = project.files()

    environment.pip("install", "--no-index", "--find-links", wheels, "oreflow-postcodes==1.0.0")
    mended = say("run", "--json")
    return Story(without, plugins, shown, why, plan, run, rows, quarantine, after, files_before, files_after, mended)


def test_the_environment_has_wheels_only(environment):
    home = environment.python("import oreflow; print(oreflow.__file__)")
    assert Path(home).is_relative_to(environment.folder)
    assert environment.python("import importlib.util; print(importlib.util.find_spec('oreflow_testkit'))") == "None"


def test_the_wheel_of_the_host_can_make_a_plugin(environment, tmp_path):
    done = environment.oreflow(tmp_path, "plugins", "new", "oreflow-geocode", "--stage", "silver")
    assert done.code == 0, done.err
    assert (tmp_path / "oreflow-geocode" / "src" / "oreflow_geocode" / "processor.py").is_file()


def test_a_capability_that_nobody_has_is_one_plain_message(story):
    assert story.without.code == 2
    assert "nothing that is installed can do 'geocode.postcodes'" in story.without.err
    assert len(story.without.err.splitlines()) == 1


def test_it_is_found(story):
    (found,) = [plugin for plugin in story.plugins.json if plugin["distribution"] == "oreflow-postcodes"]
    assert (found["name"], found["version"], found["status"]) == ("postcodes", "1.0.0", "ok")
    assert story.shown.code == 0
    assert "geocode.postcodes" in story.shown.out


def test_it_is_chosen_for_what_it_can_do_over_a_built_in_one(story):
    (table,) = story.plan.json["tables"]
    assert table["processor"] == "polars_postcodes"
    assert table["reason"] == "the only one that fits and can do geocode.postcodes"
    assert (table["distribution"], table["version"]) == ("oreflow-postcodes", "1.0.0")


def test_the_choice_is_explained(story):
    (table,) = story.plan.json["tables"]
    judged = {candidate["processor"]: candidate for candidate in table["candidates"]}
    assert set(judged) == {"polars_postcodes", "polars_bronze", "polars_silver", "polars_gold"}
    assert all(candidate["reason"] for candidate in judged.values())
    assert judged["polars_postcodes"]["score"] is not None
    assert judged["polars_silver"]["score"] is None
    assert judged["polars_silver"]["reason"] == "is not able to do: geocode.postcodes"
    assert story.why.code == 0
    for candidate in judged.values():
        assert candidate["processor"] in story.why.out
        assert candidate["reason"] in story.why.out


def test_it_is_run(story):
    assert story.run.code == 0, story.run.err
    assert story.rows == [
        {"Postcode": "M3 4EN", "_source_row": 3, "area": "M", "id": "2"},
        {"Postcode": "SW1A 2AA", "_source_row": 2, "area": "SW", "id": "1"},
    ]


def test_what_it_sets_aside_is_in_quarantine(story):
    assert [(row["id"], row["Postcode"], row["_rules"], row["_reason"]) for row in story.quarantine] == [
        ("3", "75001", ("Postcode is a postcode",), "Postcode: '75001' is no UK postcode"),
        ("4", None, ("Postcode is a postcode",), "Postcode is NULL"),
    ]


def test_the_report_names_it(story):
    report = story.run.json
    (result,) = [result for result in report["tables"] if result["table"] == "silver.addresses"]
    assert (result["distribution"], result["version"]) == ("oreflow-postcodes", "1.0.0")
    assert (result["rows_read"], result["rows_published"], result["rows_quarantined"]) == (4, 2, 2)
    (part,) = [plugin for plugin in report["plugins"] if plugin["distribution"] == "oreflow-postcodes"]
    assert part["version"] == "1.0.0"


def test_where_it_was_taken_away_a_run_says_what_to_install(story):
    assert story.after.code == 2
    (message,) = story.after.err.splitlines()
    assert message.startswith("error: config/pipeline.yaml:")
    assert "tables.silver.addresses" in message
    assert message.endswith(
        ": silver.addresses was last made by polars_postcodes of oreflow-postcodes 1.0.0, which is not installed"
        " - pip install oreflow-postcodes==1.0.0"
    )


def test_where_it_was_taken_away_nothing_is_touched(story):
    assert story.files_after == story.files_before


def test_what_the_message_says_mends_it(story):
    assert story.mended.code == 0, story.mended.err
    made = {result["table"]: result for result in story.mended.json["tables"]}["silver.addresses"]
    assert (made["status"], made["rows_published"]) == ("published", 1)
