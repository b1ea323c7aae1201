"""Everything that is done to this project, one session each: `nox -s tests`, `nox -s demo`; `nox -l` lists them.

Each session makes its own environment and installs what it needs, so that a machine with Python, pip and git is
enough. The versions are those of constraints.txt: a new release of somebody else's tool breaks nobody's morning.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]
nox.options.reuse_venv = "yes"  # the second time is quick; `nox -R` skips the installing altogether

ROOT = Path(__file__).parent
PLUGINS = (
    "delta",
    "polars",
    "spark",
    "bronze",
    "silver",
    "gold",
    "redis",
    "chaos",
    "metrics",
    "prometheus",
    "influxdb",
    "ledger",
    "openlineage",
    "opentelemetry",
    "alerts",
    "report",
)
RUNTIME = ("host", *(f"plugins/{name}" for name in PLUGINS))
PACKAGES = (*RUNTIME, "plugins/testkit")

EXTRAS = {"plugins/spark": "[connect]", "plugins/alerts": "[apprise]", "plugins/ledger": "[postgresql]"}

BUILD_TOOLS = ("hatchling", "editables")
# ruff and mypy judge what `plugins new` makes, tpchgen-cli makes the data of an example, playwright drives a browser.
TEST_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "ruff", "mypy", "tpchgen-cli", "aiosmtpd", "playwright")
LINT_TOOLS = ("ruff", "import-linter")
TYPE_TOOLS = ("mypy", "types-PyYAML")
DOCS_TOOLS = ("mkdocs", "mkdocs-material")


def install(
    session: nox.Session, *tools: str, packages: bool = True, editable: bool = True, extras: bool = False
) -> None:
    """Install tools, and oreflow with its plugins as they stand in this tree; `extras`: with all that these can do."""
    if packages:
        tools = (*tools, *BUILD_TOOLS)
    session.install("-c", "constraints.txt", *tools)
    if packages:
        # All at once, because they need each other. Their build tool is there already: no download for each.
        wanted = PACKAGES if editable else RUNTIME
        if extras:
            wanted = [f"{package}{EXTRAS.get(package, '')}" for package in wanted]
        folders = [argument for package in wanted for argument in (["-e", package] if editable else [f"./{package}"])]
        session.install("-c", "constraints.txt", "--no-build-isolation", *folders)


def check_lint(session: nox.Session) -> None:
    """Style, format, and which package may import which."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


def check_types(session: nox.Session) -> None:
    """Types of the host and of every plugin."""
    session.run("mypy", *(f"{package}/src" for package in PACKAGES))


def check_docs(session: nox.Session) -> None:
    """The documentation builds, and no link in it leads nowhere."""
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def tests(session: nox.Session) -> None:
    """All tests and checks; with arguments, only pytest with these: `nox -s tests -- tests/unit -k retry`."""
    if session.posargs:
        install(session, *TEST_TOOLS, extras=True)
        session.run("pytest", *session.posargs)
        return
    install(session, *TEST_TOOLS, *LINT_TOOLS, *TYPE_TOOLS, *DOCS_TOOLS, extras=True)
    check_lint(session)
    check_types(session)
    check_docs(session)
    # Hundreds of processes are started: without its bytecode each would compile oreflow anew, for half a second.
    session.run("pytest", "-n", "2", "--dist", "loadgroup", env={"PYTHONDONTWRITEBYTECODE": None})


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, import rules."""
    install(session, *LINT_TOOLS)
    check_lint(session)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict."""
    install(session, *TYPE_TOOLS)
    check_types(session)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; `nox -s docs -- serve` shows it while it is written."""
    install(session, *DOCS_TOOLS, packages=False)
    if session.posargs:
        session.run("mkdocs", *session.posargs)
    else:
        check_docs(session)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure oreflow against the hand-written script; arguments go to tests/bench/bench.py."""
    # Installed as a user has it: pip compiles what it installs, of a tree in place it depends on the environment.
    # Others that load configurations, or make calls resilient, are measured side by side.
    others = ["dynaconf", "hydra-core", "pydantic-settings", "tenacity", "stamina", "pybreaker", "backoff"]
    others += ["circuitbreaker", "pyresilience", "purgatory", "hyx", "redress"]
    install(session, "tpchgen-cli", *others, editable=False)
    session.run("python", "tests/bench/bench.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Sixty days of dirty retail files become trusted tables, in the folder demo/."""
    install(session)
    project = ROOT / "demo"
    shutil.rmtree(project, ignore_errors=True)
    (project / "config").mkdir(parents=True)
    declaration = (ROOT / "config" / "retail.yaml").read_text(encoding="utf-8")
    # Without its first lines, whose commands and variables are for the name and the folder that it has here.
    own = declaration[declaration.index("\nname:") + 1 :]
    (project / "config" / "pipeline.yaml").write_text(own, encoding="utf-8")
    make_files = ("python", "../config/make_retail_files.py", "data/raw")
    shown = (
        ("Sixty days of sales, one of them late, some of them damaged", *make_files),
        ("What would be done, by which processor, and why", "oreflow", "plan"),
        ("Do it", "oreflow", "run"),
        ("The late day arrives", *make_files, "--late-day"),
        ("Run again: what is new is read, and nothing else", "oreflow", "run"),
        ("The tables", "oreflow", "tables"),
        ("Rows that were set aside, and why", "oreflow", "quarantine", "show", "silver.transactions", "--limit", "5"),
        ("The history", "oreflow", "runs"),
    )
    with session.chdir(project):
        for heading, *command in shown:
            say(f"\n# {heading}\n$ {' '.join(command)}")
            session.run(*command, log=False)
    say(
        "\nThe project is in demo/, and yours to break. In that folder:\n"
        "  config/pipeline.yaml                          is the whole declaration of what you saw\n"
        "  oreflow tables show gold.sales_by_day         shows a table\n"
        "  oreflow quarantine show bronze.transactions   shows the damaged lines\n"
        f"oreflow itself is {os.path.relpath(Path(session.bin, 'oreflow'), project)}. "
        "The tutorial goes on from here: docs/tutorial.md\n"
    )


def say(text: str) -> None:
    """Speak to whoever watches, in step with what the commands print."""
    print(text, flush=True)  # noqa: T201


@nox.session
def dist(session: nox.Session) -> None:
    """Build the wheels into dist/, install them as a stranger would, and run a new project with them."""
    session.install("-c", "constraints.txt", "build", *BUILD_TOOLS)
    wheels = ROOT / "dist"
    shutil.rmtree(wheels, ignore_errors=True)
    for package in PACKAGES:
        session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), package)

    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "venv", f"{folder}/venv")
        scripts = Path(folder, "venv", "Scripts" if os.name == "nt" else "bin")
        python, oreflow = str(scripts / "python"), str(scripts / "oreflow")
        limits = ("--find-links", str(wheels), "-c", str(ROOT / "constraints.txt"))
        session.run(python, "-m", "pip", "install", "--quiet", *limits, "oreflow[polars]", external=True)
        with session.chdir(folder):
            session.run(oreflow, "init", "shop", external=True)
        with session.chdir(Path(folder, "shop")):
            session.run(oreflow, "run", external=True)
