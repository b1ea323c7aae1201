"""The house stands as docs/architecture.md draws it: who may import whom, what is loaded when, what is typed.

What a process has loaded is looked at in a process of its own, since this one has loaded everything.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FRAMES = {"polars", "narwhals", "deltalake", "pyarrow", "pyspark"}
HEAVY = FRAMES | {"jsonschema", "jsonschema_rs", "rich", "click", "sqlalchemy", "alembic", "jinja2", "vl_convert"}
ENGINES = {
    "polars",
    "narwhals",
    "deltalake",
    "pyarrow",
    "pyspark",
    "oreflow_polars.engine",
    "oreflow_spark.engine",
    "oreflow_delta.format",
}
OURS = (
    "alerts",
    "bronze",
    "chaos",
    "delta",
    "gold",
    "influxdb",
    "ledger",
    "metrics",
    "openlineage",
    "opentelemetry",
    "polars",
    "prometheus",
    "redis",
    "report",
    "silver",
    "spark",
)


def _loaded(code: str) -> set[str]:
    """What a new process has loaded at the end of some code."""
    script = f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    return set(json.loads(done.stderr.splitlines()[-1]))


def _loaded_by_command(*arguments: str) -> set[str]:
    """What a command loads until its process ends, by the interpreter's own record; with a module, its package.

    The record has no module that is loaded by `importlib.import_module`, but what that one imports in its turn.
    """
    command = [sys.executable, "-X", "importtime", "-m", "oreflow", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    record = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in record}
    return names | {name.partition(".")[0] for name in names}


def test_who_may_import_whom(require):
    require(importlib.util.find_spec("importlinter") is not None, "import-linter is not installed")
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_library_costs_next_to_nothing_until_it_is_used():
    loaded = _loaded("import oreflow")
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("oreflow.")}


def test_the_contract_needs_no_frame_library_to_be_read():
    assert not _loaded("import oreflow.contract, oreflow.hookspecs") & HEAVY


def test_every_plugin_of_ours_is_found():
    assert set(OURS) <= {point.name for point in entry_points(group="oreflow.plugins")}


@pytest.mark.parametrize("name", OURS)
def test_a_plugin_says_what_it_brings_without_loading_it(name):
    (point,) = [p for p in entry_points(group="oreflow.plugins", name=name) if p.module.startswith("oreflow_")]
    assert not _loaded(f"import {point.module}") & HEAVY


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["plugins"], ["plugins", "--json"]], ids=" ".join
)
def test_a_command_that_makes_no_table_loads_no_engine(arguments):
    assert not _loaded_by_command(*arguments) & ENGINES


def test_the_record_of_what_is_loaded_can_be_trusted():
    assert {"oreflow.cli.commands", "click"} <= _loaded_by_command("--help")
    assert {"oreflow.factory.registry", "oreflow_silver"} <= _loaded_by_command("plugins")


def test_help_draws_no_tables_and_checks_no_declaration():
    assert not _loaded_by_command("--help") & {"rich", "jsonschema", "jsonschema_rs", "yaml"}


def test_a_package_says_that_it_is_typed():
    for package in ("oreflow", *(f"oreflow_{name}" for name in OURS)):
        (folder,) = importlib.util.find_spec(package).submodule_search_locations
        assert (Path(folder) / "py.typed").is_file(), package


def test_the_public_face_has_the_types_that_its_users_rely_on(require):
    require(importlib.util.find_spec("mypy") is not None, "mypy is not installed")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "tests/typing/api.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
