"""Everything that the command line does can be done from Python, under the same names; importing it costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import oreflow
from oreflow import (
    DeclarationError,
    Output,
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    Processor,
    ProcessorCapability,
    ProcessorMetadata,
    get_processor_factory,
)

HEAVY = ("polars", "deltalake", "pyspark", "pandas", "pyarrow", "fastapi", "duckdb")


@pytest.fixture
def shop(tmp_path, project_in):
    project = project_in(tmp_path / "shop")
    oreflow.init(project.root)
    return project


# The same names


def test_run_returns_the_report_that_json_prints(shop):
    report = oreflow.run(shop.root)
    assert report.succeeded
    printed = shop.cli("runs", "--json").json
    assert printed == [report.to_dict()]
    again = shop.cli("run", "--json").json
    assert set(again) == set(report.to_dict())
    assert set(again["tables"][0]) == set(report.to_dict()["tables"][0])


def test_what_the_commands_print_is_what_the_functions_return(shop):
    assert [table.to_dict() for table in oreflow.plan(shop.root)] == shop.cli("plan", "--json").json["tables"]
    oreflow.run(shop.root)
    assert oreflow.tables(shop.root) == shop.cli("tables", "--json").json
    name = "silver.transactions"
    assert oreflow.quarantine(shop.root, name) == shop.cli("quarantine", "show", name, "--json").json
    assert oreflow.plugins() == shop.cli("plugins", "--json").json
    assert [run.to_dict() for run in oreflow.runs(shop.root)] == shop.cli("runs", "--json").json


def test_a_run_can_be_limited_to_some_tables(shop):
    report = oreflow.run(shop.root, tables=["bronze.transactions"])
    assert [result.table for result in report.tables] == ["bronze.transactions"]
    assert [name for name, aside in shop.tables() if not aside] == ["bronze.transactions"]


def test_a_mistake_is_raised_with_its_problems(shop):
    shop.declare("name: shop\ntables: {bronze.a: {source: b}, silver.c: {input: d}}\n")
    with pytest.raises(DeclarationError) as raised:
        oreflow.run(shop.root)
    places = {(problem.file, problem.line) for problem in raised.value.problems}
    assert places == {("config/pipeline.yaml", 2)}
    assert len(raised.value.problems) >= 2


# The factory, as design.md has it


def test_the_factory_says_why_spark_cannot_be_had(without_spark):
    factory = get_processor_factory()
    config = ProcessingConfig(
        engine=ProcessingEngine.SPARK,
        stage=ProcessingStage.BRONZE,
        input_path="data/raw",
        output_path="data/bronze",
    )
    required = [ProcessorCapability.DISTRIBUTED, ProcessorCapability.VALIDATION]
    with pytest.raises(DeclarationError, match="spark") as raised:
        factory.create_best_processor(config, required_capabilities=required)
    assert "oreflow-spark" in str(raised.value)
    with pytest.raises(DeclarationError, match="spark_bronze"):
        factory.create_processor("spark_bronze", config)


def test_the_factory_creates_the_best_processor_and_the_one_asked_for():
    factory = get_processor_factory()
    config = ProcessingConfig(
        engine=ProcessingEngine.POLARS,
        stage=ProcessingStage.BRONZE,
        input_path="data/raw",
        output_path="data/bronze",
    )
    required = [ProcessorCapability.OUT_OF_CORE, ProcessorCapability.VALIDATION]
    best = factory.create_best_processor(config, required_capabilities=required)
    asked = factory.create_processor("polars_bronze", config)
    assert type(best) is type(asked)
    assert best.metadata.name == "bronze"
    assert best.config == config


def test_the_factory_names_each_candidate_and_what_it_lacks(without_spark):
    config = ProcessingConfig(stage=ProcessingStage.BRONZE)
    with pytest.raises(DeclarationError) as raised:
        get_processor_factory().create_best_processor(config, [ProcessorCapability.DISTRIBUTED])
    assert "polars_bronze is not able to do: distributed" in str(raised.value)
    assert "polars_silver is for silver, not bronze" in str(raised.value)


def test_a_processor_registered_by_hand_with_its_plugin_makes_a_table(fresh_factory, project):
    class Custom(Processor):
        def process(self, inputs, step):
            (rows,) = inputs.values()
            return Output(rows.drop("_ingested_at"))

    class Plugin:
        metadata = ProcessorMetadata("seed", "1.0", "Passes rows on", "any", ["silver"], ["incremental"])

        def create_processor(self, config):
            return Custom(config)

        def validate_config(self, config):
            return True

    plugin = Plugin()
    fresh_factory.register_processor("custom", Custom, plugin.metadata, plugin)
    config = ProcessingConfig(stage=ProcessingStage.SILVER)
    assert isinstance(fresh_factory.create_processor("custom", config), Custom)
    assert isinstance(fresh_factory.create_processor("polars_custom", config), Custom)
    made = project(
        'name: p\nsources: {s: {path: "data/raw/*.csv", format: csv}}\n'
        "tables: {bronze.s: {source: s}, silver.s: {input: bronze.s, processor: custom}}\n",
        {"a.csv": "id\n1\n"},
    )
    assert made.run_well()["silver.s"].processor == "polars_custom"
    assert [row["id"] for row in made.dicts("silver.s")] == ["1"]
    with pytest.raises(DeclarationError, match="already"):
        fresh_factory.register_processor("custom", Custom, plugin.metadata, plugin)


def test_a_plugin_that_refuses_a_configuration_stops_the_run_before_it_starts(fresh_factory, project):
    class Custom(Processor):
        metadata = ProcessorMetadata("picky", "1.0", "Refuses", "any", ["silver"], [])

        def process(self, inputs, step):
            raise AssertionError

    class Plugin:
        def create_processor(self, config):
            return Custom(config)

        def validate_config(self, config):
            return ["it is a Monday"]

    fresh_factory.register_processor("picky", Custom, plugin=Plugin())
    made = project(
        'name: p\nsources: {s: {path: "data/raw/*.csv", format: csv}}\n'
        "tables: {bronze.s: {source: s}, silver.s: {input: bronze.s, processor: picky}}\n",
        {"a.csv": "id\n1\n"},
    )
    with pytest.raises(DeclarationError, match="it is a Monday"):
        made.run()
    assert not (made.root / "lake").exists()


# What it costs to load


def _modules_after(project, *args: str) -> set[str]:
    code = (
        "import os, sys\n"
        "os._exit = sys.exit  # the command line ends its process without a last word\n"
        "from oreflow.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\nloaded: ' + ' '.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=project.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("loaded: ")
    assert "oreflow.cli.commands" in last
    return set(last.split())


@pytest.mark.parametrize("args", [("--help",), ("plugins",), ("run", "--help"), ("--version",)])
def test_a_command_that_needs_no_engine_loads_none(shop, args):
    assert not {name.partition(".")[0] for name in _modules_after(shop, *args)} & set(HEAVY)


@pytest.mark.parametrize("args", [("plugins",), ("plugins", "show", "silver"), ("plan",), ("plan", "--why")])
def test_what_is_described_and_chosen_is_not_imported(shop, args):
    """The module behind an entry point, yes; a step of it, no."""
    assert not {name for name in _modules_after(shop, *args) if name.endswith((".processor", ".engine"))} - {
        "oreflow.contract.processor",
        "oreflow.contract.engine",
    }


def test_a_run_with_nothing_new_loads_no_engine(shop):
    shop.run_well()
    loaded = {name.partition(".")[0] for name in _modules_after(shop, "run")}
    assert "polars" not in loaded
    assert "narwhals" not in loaded


def test_import_oreflow_loads_nothing_but_itself(shop):
    code = "import sys; before = set(sys.modules); import oreflow; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in eval(done.stdout)}
    assert loaded - set(sys.stdlib_module_names) == {"oreflow"}


@pytest.mark.parametrize(("args", "limit"), [(("--help",), 4), (("plugins",), 4), (("run",), 8)])
def test_a_command_is_quick(shop, args, limit):
    """So many times what it costs to begin with the two libraries that any command of this kind needs."""
    shop.run_well()
    ours, yardstick = ("-m", "oreflow", *args), ("-c", "import click, pluggy, importlib.metadata")
    used = [min(_cpu_seconds(shop, *command) for _ in range(3)) for command in (ours, yardstick)]
    assert used[0] <= limit * used[1], used


def _cpu_seconds(project, *args: str) -> float:
    """With compiled modules, as pip leaves them for a user, whatever this environment says of them."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(project.root / "compiled")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, *args]
    before = os.times()
    done = subprocess.run(command, cwd=project.root, capture_output=True, check=False, env=env)
    after = os.times()
    assert done.returncode == 0
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_runs_at_the_same_time_leave_standard_output_to_the_program(tmp_path):
    """While plugins are loaded, what they print is caught; by one thread at a time."""
    oreflow.init(tmp_path / "shop")
    program = f"""
import sys, threading
import oreflow

out, projects = sys.stdout, [{str(tmp_path / "shop")!r}] * 4
threads = [threading.Thread(target=oreflow.run, args=(project,)) for project in projects]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sys.stdout is out
print([run.status for run in oreflow.runs(projects[0])])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "['success', 'success', 'success', 'success']\n"), done.stderr


FORKS = """
import multiprocessing, sys, oreflow

def run(folder, answers):
    try:
        answers.put(oreflow.run(folder, full_refresh=["bronze.transactions"]).status)
    except oreflow.OreflowError as error:
        answers.put(str(error))

if __name__ == "__main__":
    oreflow.init("empty")
    for way, folder in zip(sys.argv[1::2], sys.argv[2::2]):
        context = multiprocessing.get_context(way)
        answers = context.Queue()
        process = context.Process(target=run, args=(folder, answers))
        process.start()
        print(way, answers.get(timeout=60))
        process.join()
        oreflow.run(".")
"""


def test_a_copy_of_a_process_that_has_worked_with_tables_says_that_it_cannot(shop):
    """Libraries' threads are not copied: deltalake would panic, and Polars hang."""
    (shop.root / "forks.py").write_text(FORKS)
    command = [sys.executable, "forks.py", "fork", ".", "fork", ".", "fork", "empty", "spawn", "empty"]
    done = subprocess.run(command, cwd=shop.root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    first, *refused, last = done.stdout.splitlines()
    assert (first, last) == ("fork success", "spawn success")
    for says in refused:
        assert says.startswith("fork this process was forked off process ")
        assert "start it by multiprocessing.get_context('spawn')" in says
    assert len(refused) == 2
