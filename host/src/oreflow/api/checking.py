"""The verb that checks configurations: every one of a project, in every environment, and all that is wrong at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oreflow.api.configuring import effective_config, is_pipeline
from oreflow.config.files import DATA_FORMATS, PYTHON
from oreflow.config.layers import Environment, choose_environment, names_in, strangers
from oreflow.config.manager import ConfigManager
from oreflow.config.settings import NAME as SETTINGS
from oreflow.config.settings import read_settings
from oreflow.config.stored import asked_once
from oreflow.contract import DeclarationError, OreflowError, Problem
from oreflow.pipeline.declaration import load_pipeline
from oreflow.probing import refused
from oreflow.validation import did_you_mean


@dataclass(frozen=True)
class Finding:
    """What is wrong in a configuration, and in which environments."""

    configuration: str
    environments: tuple[str, ...]
    problem: Problem

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        about = {"configuration": self.configuration, "environments": list(self.environments)}
        found = self.problem
        return about | {
            "file": found.file,
            "line": found.line or None,
            "key": found.key,
            "problem": found.message,
            "mend": found.mend,
        }


@asked_once()
def check_config(project: str | Path = ".", names: Sequence[str] = (), environment: str | None = None) -> list[Finding]:
    """Everything that is wrong in the configurations of a project, in every environment."""
    folder = Path(project).resolve()
    known = names_in(folder / "config")
    if not known:
        raise DeclarationError(
            [Problem(f"there are no configurations in {folder / 'config'}", mend="go to a project's folder")]
        )
    for name in names:
        if name not in known:
            raise DeclarationError([Problem(f"there is no configuration '{name}'", mend=did_you_mean(name, known))])
    wanted = [choose_environment(environment, {})] if environment else list(Environment)
    found: dict[Problem, tuple[str, list[str]]] = {}
    for name in sorted(names or known, key=lambda name: name != SETTINGS):  # what all have in common comes first
        for each in wanted:
            for problem in _problems_of(folder, name, each):
                where = found.setdefault(problem, (name, []))[1]
                where += [each.value] if each.value not in where else []
    findings = [Finding(name, tuple(where), problem) for problem, (name, where) in found.items()]
    return findings + ([] if names else [Finding("", (), problem) for problem in _strays(folder, known)])


def foreign_variables(project: str | Path = ".", names: Sequence[str] = ()) -> list[str]:
    """The environment variables that begin as those of the configurations do, and name no key of any."""
    folder = Path(project).resolve()
    foreign: dict[str, None] = {}
    known = names_in(folder / "config")
    for name in names or known:
        if name != SETTINGS:
            with contextlib.suppress(OreflowError):  # one that is broken is told of elsewhere
                found = effective_config(folder, name)
                if found.schema:  # else it has been warned of
                    foreign |= dict.fromkeys(strangers(found.document, name, os.environ, found.schema, known))
    return list(foreign)


def _problems_of(folder: Path, name: str, environment: Environment) -> tuple[Problem, ...]:
    try:
        if name == SETTINGS:
            read_settings(folder, environment, os.environ)
        elif is_pipeline(folder, name, environment):
            pipeline, factory = load_pipeline(folder, name, environment)
            return tuple(pipeline.config.document.locate(each) for each in refused(pipeline, factory))
        else:
            ConfigManager(folder, environment=environment).snapshot(name)
    except DeclarationError as error:
        return error.problems
    except OreflowError as error:
        return (Problem(str(error)),)
    return ()


def _strays(folder: Path, names: Sequence[str]) -> Iterator[Problem]:
    """Files that look like layers and are none."""
    layers = [*(each.value for each in Environment), "local"]
    for file in sorted((folder / "config").iterdir()):
        name, point, layer = file.stem.partition(".")
        if file.suffix not in (*DATA_FORMATS, PYTHON) or not point or file.name.endswith(".lock.json"):
            continue
        label = f"config/{file.name}"
        if layer not in layers:
            yield Problem(f"is no layer: there is no environment '{layer}'", (), did_you_mean(layer, layers), label)
        elif name not in names:
            yield Problem(f"lies over nothing: there is no config/{name}.yaml", (), did_you_mean(name, names), label)
