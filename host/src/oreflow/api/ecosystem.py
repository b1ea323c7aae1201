"""The verbs on plugins: what is installed, what is wrong with it, a new one, a judgement."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.api.project import DEFAULT_NAME, load, project_factory
from oreflow.contract import DeclarationError, Problem
from oreflow.factory import VARIABLE, ProcessorFactory
from oreflow.validation import did_you_mean

if TYPE_CHECKING:
    from oreflow.inspection import Finding, Judgement


def plugins(project: str | Path = ".") -> list[dict[str, Any]]:
    """What is installed: each plugin with its distribution, what it brings, and why it is broken, if it is."""
    from oreflow.inspection import describe

    factory = project_factory(project)
    factory.examine_schemas()
    return [describe(factory, plugin) for plugin in factory.plugins]


def plugin(name: str, project: str | Path = ".") -> dict[str, Any]:
    """One plugin, by its name or that of its distribution or processor: metadata, options, hooks, profile of past runs.

    Raises:
        DeclarationError: there is none.
    """
    from oreflow.inspection import show
    from oreflow.pipeline.history import profiles
    from oreflow.pipeline.lake import Lake

    lake = Lake(Path(project) / "lake")
    factory = project_factory(project)
    if (Path(project) / "config" / f"{DEFAULT_NAME}.yaml").is_file():
        with contextlib.suppress(DeclarationError):  # who looks an option up may just be mending the declaration
            lake = Lake(load(project, DEFAULT_NAME, None)[0].lake)
    return show(factory, name, profiles(lake))


def doctor(project: str | Path = ".") -> list[Finding]:
    """What is wrong with the plugins that are installed, each with what mends it."""
    from oreflow.inspection import examine

    factory = project_factory(project)
    factory.examine_schemas()
    return list(examine(factory))


def new_plugin(name: str, stage: str, folder: str | Path = ".") -> list[Path]:
    """Make a package with a processor for a stage, in a new folder of its name; gives the files that were written.

    Raises:
        DeclarationError: the name is no package's, or the folder is there already.
    """
    from oreflow.scaffold import write_plugin

    return write_plugin(Path(folder), name, stage)


def check_plugin(distribution: str, project: str | Path = ".") -> list[Judgement]:
    """The judgement of the conformance kit on each processor of a distribution, or of the project's own file.

    Raises:
        DeclarationError: it is not installed or brings no processor, or oreflow-testkit is not installed.
    """
    factory = project_factory(project)
    found = [p for p in factory.plugins if distribution in (p.distribution, p.name)]
    if not found:
        mend = did_you_mean(distribution, {p.distribution for p in factory.plugins})
        raise DeclarationError([Problem(f"no plugin '{distribution}' is installed", mend=mend)])
    if unusable := [p for p in found if p.status != "ok"]:
        raise DeclarationError([Problem(f"{p} is {p.status}: {p.reason}", mend=p.mend) for p in unusable])
    items = [(p, item) for p in found for item in (p.brings or {}).get("processors", ())]
    names = [f"{p.distribution}:{item.name}" for p, item in items]  # whoever else has the name
    if not names:
        raise DeclarationError([Problem(f"{distribution} brings no processor, and only processors are judged")])
    try:
        judge = importlib.import_module("oreflow_testkit").judge
    except ModuleNotFoundError:
        mend = "pip install oreflow-testkit"
        raise DeclarationError([Problem("the conformance kit is not installed", mend=mend)]) from None
    with _only(factory):  # the kit looks for plugins as any process does
        return [judgement for name in names for judgement in judge(name, project=project)]


@contextlib.contextmanager
def _only(factory: ProcessorFactory) -> Iterator[None]:
    """Let no plugin be loaded within that a factory has not."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join(p.distribution for p in factory.plugins if p.status == "ok")
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
