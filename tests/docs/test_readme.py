"""What README, tutorial and how-to pages tell a reader to type does what they say it does.

Each page is played in one bash session, command by command, and files are saved where the page says so. A command must
end as the page shows it, and every line of output that the page shows must come, but for times, run ids and paths.
"""

from __future__ import annotations

import ast
import functools
import json
import operator
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/tutorial.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "how-to").glob("*.md")),
]

# What is not typed, and why. Everything else is.
NOT_TYPED = {
    "pip install": "a test installs nothing; `nox -s dist` installs the wheels, and masking is laid on the path below",
    "nox": "a session makes an environment of its own; that there is such a session is tested",
}

NEW_SHOP = "oreflow init shop && cd shop"
RUN_SHOP = f"{NEW_SHOP} && oreflow run"
DATES = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
600024,90001,ENAMEL MUG BLUE,6,{}:15{s},2.55,17001.0,United Kingdom
600024,90005,TEAPOT,1,{}:15{s},9.95,17001.0,United Kingdom
600025,90004,BEESWAX CANDLE,12,{}:40{s},1.25,17004.0,Norway
"""
OTHER_DATES = DATES.format("08/01/2026 09", "08/01/2026 09", "08/01/2026 10", s="")
GOOD_DATES = DATES.format("2026-01-08 09", "2026-01-08 09", "2026-01-08 10", s=":00")


def _save(path: str, text: str) -> str:
    return f"cat > {path} <<'END'\n{text}END"


# What a page takes for granted ("this project has ...", "if a file was corrected"), before the command of that number.
TAKEN_FOR_GRANTED = {
    "docs/how-to/configure.md": {0: RUN_SHOP},
    "docs/how-to/failed-gate.md": {
        0: f"{RUN_SHOP} && sed -i 's/silver: {{engine: auto,/& quality_threshold: 0.6,/' config/pipeline.yaml\n"
        + _save("data/raw/2026-01-08.csv", OTHER_DATES),
        4: _save("data/raw/2026-01-08.csv", GOOD_DATES),
    },
    "docs/how-to/quarantine.md": {
        0: RUN_SHOP,
        4: "sed -i 's/column: customer_id}/column: customer_id, action: warn}/' config/pipeline.yaml",
    },
    "docs/how-to/run-on-spark.md": {0: RUN_SHOP},
    "docs/how-to/write-a-processor.md": {
        4: "sed -i 's/hide: .*/hide: [id]/' config/pipeline.yaml",
    },
}


def _is_not_typed(line: str) -> bool:
    return any(part.strip().startswith(tuple(NOT_TYPED)) for part in line.split("&&"))


def _installed_without_pip(page, folder: Path) -> str:
    """Lay the package of a page where Python finds it, with what pip would say of it; gives the folder."""
    files = {block.file: block.text for block in page.blocks if block.file}
    if "pyproject.toml" not in files:
        return ""
    project = tomllib.loads(files["pyproject.toml"])["project"]
    for path, text in files.items():
        if path.startswith("src/"):
            target = folder / path.removeprefix("src/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in found.items())
        for group, found in project["entry-points"].items()
    )
    (about / "entry_points.txt").write_text(points)
    return str(folder)


@pytest.mark.parametrize(
    "path", [path for path in PAGES if path != "CONTRIBUTING.md" and not path.endswith("index.md")]
)
def test_a_reader_who_types_along_sees_what_the_page_shows(path, page, type_along, stable, tmp_path, polars_only):
    here = page(path)
    folder, packages = tmp_path / "ada", tmp_path / "packages"
    folder.mkdir()
    packages.mkdir()
    found = type_along(
        here,
        folder,
        skip=_is_not_typed,
        python=polars_only,
        before=TAKEN_FOR_GRANTED.get(path),
        pythonpath=_installed_without_pip(here, packages),
    )
    assert found
    for command, code, output in found:
        assert code == command.code, f"{path}: $ {command.line}\n{output}"
        project = str(folder / "shop")
        shown = Counter(stable("\n".join(command.shown), project))
        real = stable(output, project)
        if missing := shown - Counter(real):
            listed = "\n".join(missing.elements())
            pytest.fail(f"{path}: $ {command.line}\n\nshows what does not come:\n{listed}\n\nwhat comes:\n{output}")


def test_every_command_that_is_not_typed_is_one_of_those_with_a_reason(page):
    lines = [command.line for path in PAGES for command in page(path).commands]
    used = {start for start in NOT_TYPED for line in lines if start in line}
    assert used == set(NOT_TYPED), "the list of what is not typed has more than the pages need"


def _nox_sessions() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(decorator).startswith("nox.session") for decorator in node.decorator_list)
    }


@pytest.mark.parametrize("path", PAGES)
def test_a_nox_session_that_a_page_names_is_there(path, page):
    named = set(re.findall(r"nox -s (\w+)", page(path).text))
    assert named <= _nox_sessions()


def test_the_readme_names_the_commands_that_need_nothing_but_python(page):
    lines = [command.line for command in page("README.md").commands]
    assert "pip install nox && nox -s demo" in lines
    assert "pip install nox && nox -s tests" in lines


def test_ci_calls_the_test_command_of_the_readme():
    assert re.search(r"nox\b.* -s tests|nox -s tests", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES)
def test_an_extra_that_a_page_installs_is_declared(path, page):
    host = tomllib.loads((ROOT / "host" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for found in re.findall(r"oreflow\[([\w,]+)\]", page(path).text) for extra in found.split(",")}
    assert named <= set(host.get("optional-dependencies", {}))


def test_the_declaration_of_the_readme_is_the_one_that_init_writes(page, tmp_path):
    shown, *more = [yaml.safe_load(block.text) for block in page("README.md").blocks if block.language == "yaml"]
    subprocess.run([sys.executable, "-m", "oreflow", "init", "shop"], cwd=tmp_path, check=True, capture_output=True)
    written = yaml.safe_load((tmp_path / "shop" / "config" / "pipeline.yaml").read_text(encoding="utf-8"))
    assert len(shown["tables"]) == len(written["tables"]) - 1  # two of its three gold tables, says the README
    assert {**written, "tables": None} | {"tables": None} == {**written, **shown, "tables": None}
    assert shown["tables"].items() <= written["tables"].items()

    (tmp_path / "shop/config/pipeline.yaml").write_text(
        yaml.safe_dump(functools.reduce(operator.or_, more, written)), encoding="utf-8"
    )
    plan = [sys.executable, "-m", "oreflow", "plan", "--json", "--project", "shop"]
    planned = json.loads(subprocess.run(plan, cwd=tmp_path, check=True, capture_output=True).stdout)
    (found,) = [each for each in planned["resources"] if each["resource"] == "transactions"]
    assert (found["retry"]["max_attempts"], found["breaker"]["window"], found["timeout"]) == (4, 20, "2m")


@pytest.mark.parametrize("path", ["README.md", "docs/reference/hooks.md", "docs/reference/python.md"])
def test_python_examples_are_python(path, page):
    for block in page(path).blocks:
        if block.language == "python" and "->" not in block.text.partition("def ")[0]:
            compile(block.text, path, "exec")
