"""The reference is whole and true: what it lists is what there is, no more and no less.

A key, an option, a hook or a name that nobody documented is found here, and so is one that is documented and gone.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import oreflow
from oreflow.cli.commands import oreflow as command_line
from oreflow.config.layers import Environment
from oreflow.contract import DataType, Engine, Output, ProcessingStage, Step, TableFormat
from oreflow.pipeline.schema import declaration_schema
from oreflow.scaffold import schema_text

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def factory() -> oreflow.ProcessorFactory:
    return oreflow.get_processor_factory()


# Hooks


def _hooks() -> dict[str, ast.FunctionDef]:
    tree = ast.parse((ROOT / "host/src/oreflow/hookspecs.py").read_text(encoding="utf-8"))
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(decorator).startswith("hookspec") for decorator in node.decorator_list)
    }


def _signature(node: ast.FunctionDef) -> tuple[str, str, str]:
    return node.name, ast.unparse(node.args), ast.unparse(node.returns) if node.returns else ""


def test_every_hook_has_a_section_and_every_section_a_hook(page):
    assert list(page("docs/reference/hooks.md").sections()) == list(_hooks())


@pytest.mark.parametrize("name", sorted(_hooks()))
def test_a_hook_is_documented_with_its_signature_and_meaning(name, page):
    hook, section = _hooks()[name], page("docs/reference/hooks.md").sections()[name]
    shown = ast.parse(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]).body[0]
    assert _signature(shown) == _signature(hook)
    assert " ".join(ast.get_docstring(hook).split()) in " ".join(section.split())


# Declaration


def _keys(schema: Any) -> Iterator[str]:
    """Every key that a declaration may have, but those that its author makes up (names of tables, columns, sources)."""
    if isinstance(schema, dict):
        for name, inner in schema.items():
            if name == "properties":
                yield from inner
            yield from _keys(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _keys(inner)


def test_every_key_of_a_declaration_is_documented(page, factory):
    here = page("docs/reference/declaration.md")
    missing = [key for key in sorted(set(_keys(declaration_schema(factory)))) if not here.says(key)]
    assert not missing, f"docs/reference/declaration.md does not say {', '.join(missing)}"


def test_every_key_that_is_documented_is_one(page, factory):
    tables = re.findall(
        r"^\| key \|.*?(?=\n\n|\Z)", page("docs/reference/declaration.md").text, re.DOTALL | re.MULTILINE
    )
    documented = {key for table in tables for key in re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)}
    assert documented
    assert documented <= set(_keys(declaration_schema(factory)))


def test_every_column_type_is_documented(page):
    (row,) = re.findall(r"^\| `type` \|.*`int64`.*$", page("docs/reference/declaration.md").text, re.MULTILINE)
    for name in re.findall(r"`([a-z_0-9]+)`", row)[1:]:
        assert str(DataType.parse(name)) == name
    types = set(re.search(r"there are (.*) and decimal", _said_of("nonsense"))[1].split(", ")) - {
        "binary"
    }  # no text is binary
    assert types <= set(re.findall(r"`([a-z_0-9]+)`", row))


def _said_of(text: str) -> str:
    with pytest.raises(ValueError, match="is no type") as said:
        DataType.parse(text)
    return str(said.value)


def test_every_kind_of_check_has_a_section(page, factory):
    assert set(factory.check_types) <= set(page("docs/reference/declaration.md").sections(3))


# Command line


def _commands(group: click.Group, ctx: click.Context, path: str = "oreflow") -> Iterator[tuple[str, click.Command]]:
    """All commands by their names, those of our plugins too."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from _commands(command, click.Context(command, ctx, name), f"{path} {name}")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f"{path} {name}", command


COMMANDS = dict(_commands(command_line, click.Context(command_line)))
COMMAND_PAGES = ["docs/reference/cli.md", "docs/reference/ledger.md"]  # a plugin's page may have what it adds


@pytest.fixture(scope="module")
def command_sections(page) -> dict[str, str]:
    return {name: text for path in COMMAND_PAGES for name, text in page(path).sections().items()}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_documented_with_its_options(name, command_sections):
    sections = command_sections
    usage = re.search(rf"^`({name}(?: .*)?)`$", sections[name], re.MULTILINE)[1]
    options = {opt for p in COMMANDS[name].params if isinstance(p, click.Option) for opt in p.opts if opt != "--help"}
    arguments = [p.human_readable_name for p in COMMANDS[name].params if isinstance(p, click.Argument)]
    assert set(re.findall(r"--[\w-]+", usage)) == options
    assert all(argument in usage for argument in arguments)
    for option in options:
        assert any(option in sections[place] for place in ("Common options", name)), option


def test_no_command_and_no_option_is_documented_that_is_not_there(page, command_sections):
    here = page("docs/reference/cli.md")
    assert {name for name in command_sections if name.startswith("oreflow ")} == set(COMMANDS)
    options = {opt for command in COMMANDS.values() for p in command.params for opt in p.opts} | {"--version", "--help"}
    assert set(re.findall(r"--[a-z][\w-]*", here.text)) <= options


@pytest.mark.parametrize(
    "path", ["README.md", "docs/tutorial.md", "docs/how-to/failed-gate.md", "docs/how-to/quarantine.md"]
)
def test_a_page_names_only_options_that_there_are(path, page):
    options = {opt for command in COMMANDS.values() for p in command.params for opt in p.opts}
    others = {"--find-links"}  # pip's
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page(path).text)) <= options | others


# Python


def test_every_public_name_is_documented(page):
    here = page("docs/reference/python.md")
    everything = here.text  # signatures stand in blocks
    missing = [n for n in oreflow.__all__ if not here.says(n) and not re.search(rf"\boreflow\.{n}\b", everything)]
    assert not missing, f"docs/reference/python.md does not say {', '.join(missing)}"


def test_the_functions_are_documented_with_their_parameters(page):
    (block,) = [b.text for b in page("docs/reference/python.md").blocks if b.text.startswith("oreflow.init(")]
    shown = {}
    for line in block.splitlines():
        call, _, _ = line.partition(" -> ")
        node = ast.parse(f"def {call.removeprefix('oreflow.')}: pass").body[0]
        shown[node.name] = _parameters(node)
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "host/src/oreflow/api").glob("*.py")]
    real = {n.name: _parameters(n) for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef)}
    assert shown == {
        name: real[name] for name in oreflow.api.__all__ if name in real and name != "get_processor_factory"
    }


def _parameters(node: ast.FunctionDef) -> list[tuple[str, bool]]:
    return [(a.arg, False) for a in node.args.args] + [(a.arg, True) for a in node.args.kwonlyargs]


@pytest.mark.parametrize("kind", [Engine, TableFormat])
def test_what_an_engine_and_a_format_must_do_is_documented(kind, page):
    (row,) = re.findall(rf"^\| `{kind.__name__}` \| (.*) \|$", page("docs/reference/python.md").text, re.MULTILINE)
    has = {name for name, member in vars(kind).items() if callable(member) and not name.startswith("_")}
    assert set(re.findall(r"`(\w+)`", row)) == has


@pytest.mark.parametrize("kind", [Step, Output])
def test_what_a_step_gets_and_gives_is_documented(kind, page):
    (row,) = re.findall(rf"^\| `{kind.__name__}` \| (.*) \|$", page("docs/reference/python.md").text, re.MULTILINE)
    assert set(re.findall(r"`(\w+)(?:\(\w*\))?`", row)) == set(kind.__dataclass_fields__)


# What is kept in the repository


def test_the_schema_that_is_kept_is_the_one_of_this_code(factory):
    kept = (ROOT / "config/schemas/pipeline.schema.json").read_text(encoding="utf-8")
    make = (
        "python -c 'from oreflow import get_processor_factory; from oreflow.scaffold import schema_text;"
        ' print(schema_text(get_processor_factory()), end="")\' > config/schemas/pipeline.schema.json'
    )
    assert json.loads(kept) == json.loads(schema_text(factory)), f"make it anew: {make}"
    assert kept == schema_text(factory), f"make it anew: {make}"


@pytest.mark.parametrize("local", [False, True], ids=["as it is", "with a local layer"])
@pytest.mark.parametrize("environment", list(Environment))
def test_the_retail_example_can_be_planned_in_every_environment(environment, local, tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    if local:
        shutil.copy(tmp_path / "config/retail.local.yaml.example", tmp_path / "config/retail.local.yaml")
    (tmp_path / "data/raw").mkdir(parents=True)
    shutil.copy(ROOT / "host/src/oreflow/templates/raw/2026-01-05.csv", tmp_path / "data/raw")
    planned = oreflow.plan(tmp_path, "retail", environment=environment)
    assert [table.spec.name for table in planned][:2] == ["bronze.transactions", "silver.transactions"]
    assert {table.spec.stage for table in planned} == set(ProcessingStage)
    assert not (tmp_path / "lake").exists()


@pytest.fixture(scope="module")
def tracked(require) -> list[Path]:
    """What git tracks."""
    require(ROOT / ".git", "this is no clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def test_no_file_says_from_where_packages_are_fetched(tracked):
    # A registry is the choice of whoever installs. The names are put together here, so that this file has none.
    registries = {
        ("py", "pi.org"),
        ("python", "hosted.org"),
        ("npm", "js.org"),
        ("ana", "conda.org"),
        ("crates", ".io"),
    }
    registries |= {("--index", "-url"), ("--extra-index", "-url"), ("art", "ifactory")}
    forbidden = [re.compile(re.escape(f"{left}{right}").encode()) for left, right in registries]
    named = [
        f"{path.relative_to(ROOT)}: {found[0].decode()}"
        for path in tracked
        if path.is_file()
        for pattern in forbidden
        if (found := pattern.search(path.read_bytes()))
    ]
    assert not named


def test_no_lock_file_of_one_tool_is_kept(tracked):
    assert not [path for path in tracked if path.name == "uv.lock"]


# The house


def test_the_drawing_of_the_house_has_every_room(page):
    drawing = next(block.text for block in page("docs/architecture.md").blocks if block.text.startswith("cli "))
    host = ROOT / "host/src/oreflow"
    floors = {path.stem for path in host.iterdir() if path.is_dir() or path.suffix == ".py"}
    rooms = {path.stem for path in (host / "pipeline").glob("*.py")}
    unnamed = {"__init__", "__main__", "__pycache__", "templates", "py"}
    assert not {name for name in (floors | rooms) - unnamed if not re.search(rf"\b{name}\b", drawing)}
    assert {p.name for p in (ROOT / "plugins").iterdir()} == set(
        re.findall(r"plugins/(\w+)  ", page("docs/architecture.md").text)
    )


def test_the_way_of_a_row_names_functions_that_there_are(page):
    way = next(block.text for block in page("docs/architecture.md").blocks if block.text.startswith("declare "))
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("*/**/src/**/*.py"))
    for name in re.findall(r"\b[A-Z]\w+\.(\w+)\b", way):
        assert re.search(rf"def {name}\(", code), name
    for file in re.findall(r"\b(?:pipeline|factory)/\w+\.py", way):
        assert (ROOT / "host/src/oreflow" / file).is_file(), file


# SQL


def test_every_function_of_sql_is_in_the_reference() -> None:
    from oreflow.semantics.sql import FUNCTIONS

    text = (ROOT / "docs/reference/semantics.md").read_text(encoding="utf-8").partition("### Functions")[2]
    rows = re.findall(r"^\| (`[a-z].*?) \|", text.partition("### Queries")[0], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(FUNCTIONS)


# Resilience


def test_every_rule_for_errors_is_in_the_reference(page):
    from oreflow.resilience.classification import ErrorClass, table

    section = page("docs/reference/resilience.md").sections()["How errors are classified"]
    rows = []
    for row in table():
        values, found = ", ".join(f"`{value}`" for value in row.values), row.meaning
        again, not_done = ("yes" if said else "no" for said in (found.retryable, found.not_done))
        rows.append(f"| {row.kind} | {values} | {found.error_class} | {found.severity} | {again} | {not_done} |")
    assert "\n".join(rows) == section.partition("|---|---|---|---|---|---|\n")[2].rstrip()
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(ErrorClass)
