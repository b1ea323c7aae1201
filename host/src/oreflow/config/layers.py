"""The layers of a configuration, later wins: base, environment and local file, shared store, variables, options."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from oreflow.config.documents import Document, KeyPath, Layer, Origin
from oreflow.config.files import DATA_FORMATS, PYTHON, read_file
from oreflow.config.shapes import Schema, cast, keys_at, parts_at, path_of
from oreflow.contract import DeclarationError, Problem
from oreflow.validation import did_you_mean

ENVIRONMENT_VARIABLE = "OREFLOW_ENV"
_SIMILAR = 0.7
"""How much a variable's first word must resemble a key to be a misspelt one (0 to 1)."""


class Environment(StrEnum):
    """The environments that a layer can be for."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"
    TEST = "test"


@dataclass(frozen=True)
class LayerFile:
    """A file of a layer; `label` is how messages name it."""

    path: Path
    label: str
    layer: Layer


def choose_environment(asked: str | None, variables: Mapping[str, str]) -> Environment:
    """The environment asked for, else that of `OREFLOW_ENV`, else development.

    Raises:
        DeclarationError: there is no such environment.
    """
    name = asked or variables.get(ENVIRONMENT_VARIABLE) or Environment.DEVELOPMENT.value
    try:
        return Environment(name)
    except ValueError:
        known = ", ".join(member.value for member in Environment)
        raise DeclarationError([Problem(f"there is no environment '{name}'", mend=f"use one of {known}")]) from None


def names_in(folder: Path) -> list[str]:
    """The names of the configurations that have a base file in a folder."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted({file.stem for file in files if file.suffix in DATA_FORMATS and "." not in file.stem})


def layer_files(project: Path, name: str, environment: Environment) -> list[LayerFile]:
    """The files that there are of a configuration, in the order of their layers.

    A layer is one data file, and a Python file over it.

    Raises:
        DeclarationError: the base file is missing, or a layer has two data files.
    """
    folder, found, problems = project / "config", [], []
    stems = {Layer.BASE: name, Layer.ENVIRONMENT: f"{name}.{environment.value}", Layer.LOCAL: f"{name}.local"}
    for layer, stem in stems.items():
        there = [path for suffix in DATA_FORMATS if (path := folder / f"{stem}{suffix}").is_file()]
        if layer is Layer.BASE and not there:
            raise DeclarationError([_missing(folder, name)])
        if len(there) > 1:
            mend = "keep one of the two"
            problems.append(Problem(f"there is {there[1].name} too", mend=mend, file=f"config/{there[0].name}"))
        python = folder / f"{stem}{PYTHON}"
        paths = [*there, *([python] if python.is_file() else [])]
        found += [LayerFile(path, f"config/{path.name}", layer) for path in paths]
    if problems:
        raise DeclarationError(problems)
    return found


def read_layers(files: Sequence[LayerFile], *, allow_python: bool = False) -> Document:
    """The files of a configuration, each laid over those before it.

    Raises:
        DeclarationError: everything that is wrong in the files, or a Python file that is not allowed.
    """
    document = Document()
    problems: list[Problem] = []
    for file in files:
        if file.path.suffix == PYTHON and not allow_python:
            mend = "say `config: {allow_python: true}` in config/oreflow.yaml if its code is to be run"
            problems.append(Problem("is code, and this project runs none for its configuration", (), mend, file.label))
            continue
        try:
            document.merge(read_file(file.path, file.label, file.layer))
        except DeclarationError as error:
            problems.extend(error.problems)
    if problems:
        raise DeclarationError(problems)
    return document


def _missing(folder: Path, name: str) -> Problem:
    others = names_in(folder)
    message = f"there is no configuration '{name}': {folder / f'{name}.yaml'} does not exist"
    if close := difflib.get_close_matches(name, others, 1):
        return Problem(message, mend=f"did you mean '{close[0]}'?")
    if others:
        return Problem(message, mend=f"this project has {', '.join(others)}; name one of them")
    return Problem(message, mend="go to a project's folder, or make one with `oreflow init NAME`")


# Variables


def prefix_of(name: str) -> str:
    """What the variables of a configuration begin with: `RETAIL_` for retail."""
    return f"{_spell(name)}_"


def apply_variables(document: Document, name: str, variables: Mapping[str, str], schema: Schema) -> None:
    """Lay the environment variables `NAME_KEY` over a document; the schema decides what a variable's text becomes.

    Raises:
        DeclarationError: a variable fits no key.
    """
    problems = []
    for variable, segments in _ours(name, variables):
        path, unknown = _resolve(segments, document.data, schema)
        if not unknown:
            _put(document, path, variables[variable], Origin(variable, 0, Layer.VARIABLE), schema)
        elif _is_meant(segments, document.data, schema):
            problems.append(_unknown_variable(variable, path, unknown, document.data, schema))
    if problems:
        raise DeclarationError(problems)


def strangers(document: Document, name: str, variables: Mapping[str, str], schema: Schema) -> list[str]:
    """The variables that begin as ours do and are somebody else's, by all that can be told: `PIPELINE_ID`."""
    found = _ours(name, variables)
    return [
        variable
        for variable, segments in found
        if _resolve(segments, document.data, schema)[1] and not _is_meant(segments, document.data, schema)
    ]


def _ours(name: str, variables: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    prefix = prefix_of(name)
    for variable in sorted(variables):
        if variable.startswith(prefix) and variable != prefix:
            yield variable, variable.removeprefix(prefix).split("__")


def _is_meant(segments: Sequence[str], data: Any, schema: Schema) -> bool:
    """Whether a variable that names no key was meant to: it is nested as ours are, or resembles a key."""
    known = _spellings(data, parts_at(schema, ()))
    return len(segments) > 1 or bool(difflib.get_close_matches(segments[0].upper(), known, 1, _SIMILAR))


def _unknown_variable(variable: str, path: KeyPath, segment: str, data: Any, schema: Schema) -> Problem:
    for key in path:
        data = data.get(key, {}) if isinstance(data, dict) else {}
    spellings = _spellings(data, parts_at(schema, path))
    close = difflib.get_close_matches(segment.upper(), spellings, 1)
    mend = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(spellings)) or 'no keys below'}"
    return Problem(f"the variable names no key: {segment}", mend=mend, file=variable)


def _spell(key: str) -> str:
    return re.sub(r"\W", "_", key).upper()


def _spellings(data: Any, parts: Sequence[Schema]) -> dict[str, str]:
    keys = [*keys_at(parts), *(data if isinstance(data, dict) else ())]
    return {_spell(key): key for key in keys}


def _resolve(segments: Sequence[str], data: Any, schema: Schema) -> tuple[KeyPath, str]:
    path: KeyPath = ()
    for segment in segments:
        key = _spellings(data, parts_at(schema, path)).get(segment.upper())
        if key is None:
            return path, segment
        path = (*path, key)
        data = data.get(key, {}) if isinstance(data, dict) else {}
    return path, ""


# Options


def apply_options(document: Document, options: Sequence[str], schema: Schema) -> None:
    """Lay options `KEY=VALUE` over a document, as `--set` gives them.

    Raises:
        DeclarationError: one is not of that form, or its key leads nowhere.
    """
    problems = []
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or not key:
            problems.append(Problem(f"--set {option}: expected KEY=VALUE", mend="such as --set lake=./pond"))
            continue
        path, unknown = path_of(key.strip(), document.data, schema)
        if unknown:
            data = document.at(path) if _is_there(document, path) else {}
            known = [*keys_at(parts_at(schema, path)), *(data if isinstance(data, dict) else ())]
            problems.append(Problem(f"there is no key '{unknown}'", path, did_you_mean(unknown, known), f"--set {key}"))
        else:
            _put(document, path, text, Origin(f"--set {key}", 0, Layer.OPTION), schema)
    if problems:
        raise DeclarationError(problems)


def _is_there(document: Document, path: KeyPath) -> bool:
    try:
        document.at(path)
    except KeyError:
        return False
    return True


def _put(document: Document, path: KeyPath, text: str, origin: Origin, schema: Schema) -> None:
    current = document.at(path) if _is_there(document, path) else None
    value, texts = cast(text, path, schema, current)
    document.put(path, value, origin, texts)
