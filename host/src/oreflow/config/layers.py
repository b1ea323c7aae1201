"""The layers of a configuration, later wins: base, environment and local file, shared store, variables, options."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from oreflow.config.documents import IF_THERE, Document, KeyPath, Layer, Mark, Origin, split_mark
from oreflow.config.files import DATA_FORMATS, PYTHON, is_text, is_there, read_file
from oreflow.config.shapes import Schema, cast, keys_at, parts_at, path_of
from oreflow.config.snapshot import discreet
from oreflow.contract import DeclarationError, Problem
from oreflow.validation import did_you_mean, shown

ENVIRONMENT_VARIABLE = "OREFLOW_ENV"
_LONGEST_NAME = 200
"""Characters; file systems have 255 for a whole file name."""
WRITE_SCHEMA = "`oreflow config schema MODULE:Class > config/schemas/NAME.schema.json`"
"""How the command line gets to know what a program knows."""
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


def check_name(name: str) -> None:
    """Refuse what can be no configuration's name: `config/NAME.yaml` is one, and nothing elsewhere.

    Raises:
        DeclarationError: it is empty, a path, or a file's name.
    """
    if not name or len(name) > _LONGEST_NAME or any(sign in name for sign in "/\\.\0"):
        mend = "say NAME where the file is config/NAME.yaml"
        raise DeclarationError([Problem(f"{shown(name)} is no name of a configuration", mend=mend)])


def layer_files(project: Path, name: str, environment: Environment) -> list[LayerFile]:
    """The files that there are of a configuration, in the order of their layers.

    A layer is one data file, and a Python file over it.

    Raises:
        DeclarationError: the name can be none, the base file is missing, a layer is no file, or has two data files.
    """
    check_name(name)
    folder, found, problems = project / "config", [], []
    stems = {Layer.BASE: name, Layer.ENVIRONMENT: f"{name}.{environment.value}", Layer.LOCAL: f"{name}.local"}
    for layer, stem in stems.items():
        there = [path for suffix in DATA_FORMATS if is_there(path := folder / f"{stem}{suffix}", f"config/{path.name}")]
        if layer is Layer.BASE and not there:
            raise DeclarationError([_missing(folder, name)])
        if len(there) > 1:
            mend = "keep one of the two"
            problems.append(Problem(f"there is {there[1].name} too", mend=mend, file=f"config/{there[0].name}"))
        python = folder / f"{stem}{PYTHON}"
        paths = [*there, *([python] if is_there(python, f"config/{python.name}") else [])]
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


def apply_variables(
    document: Document, name: str, variables: Mapping[str, str], schema: Schema, names: Collection[str] = ()
) -> None:
    """Lay the environment variables `NAME_KEY` over a document; the schema decides what a variable's text becomes.

    `names` are the configurations of the project: `APP_DB_HOST` is `host` of `app_db`, where there is one.

    Raises:
        DeclarationError: a variable fits no key, or more than one, or is not such as the value that it replaces.
    """
    problems = []
    for variable, segments, owners in _ours(name, variables, names):
        path, unknown, keys = _resolve(segments, document.data, schema)
        if owners != [name]:
            whose = " and ".join(f"'{owner}'" for owner in owners)
            mend = "unset it and say the value in a file, or rename one of the two"
            if name in owners:  # in the same words for each, that it be told once
                problems.append(Problem(f"could be a variable of each of {whose}", (), mend, variable))
            elif not unknown:
                meant = ".".join(map(str, path))
                message = f"could mean '{meant}' of '{name}', and is a variable of {whose}"
                problems.append(Problem(message, (), mend, variable))
        elif len(keys) > 1:
            mend = "say it in a file, or by --set"
            problems.append(Problem(f"could mean each of {', '.join(keys)}", path, mend, variable))
        elif not unknown:
            problems += _put(document, path, variables[variable], Origin(variable, 0, Layer.VARIABLE), schema)
        elif _is_meant(segments, document.data, schema):
            problems.append(_unknown_variable(variable, path, unknown, document.data, schema))
    if problems:
        raise DeclarationError([discreet(problem, schema) for problem in problems])


def strangers(
    document: Document, name: str, variables: Mapping[str, str], schema: Schema, names: Collection[str] = ()
) -> list[str]:
    """The variables that begin as ours do and are somebody else's, by all that can be told: `PIPELINE_ID`."""
    return [
        variable
        for variable, segments, owners in _ours(name, variables, names)
        if owners == [name]
        and _resolve(segments, document.data, schema)[1]
        and not _is_meant(segments, document.data, schema)
    ]


def _ours(
    name: str, variables: Mapping[str, str], names: Collection[str]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """The variables that begin as ours do, their segments, and the configurations that they belong to."""
    prefix = prefix_of(name)
    for variable in sorted(variables):
        if variable.startswith(prefix) and variable != prefix:
            yield variable, variable.removeprefix(prefix).split("__"), _owners(variable, {name, *names})


def _owners(variable: str, names: Collection[str]) -> list[str]:
    """The configurations with the longest name that a variable begins with, but not with half of a `__`."""
    lengths = {name: len(prefix_of(name)) for name in names if variable.startswith(prefix_of(name))}
    whole = {name: length for name, length in lengths.items() if variable[length : length + 1] not in ("", "_")}
    fitting = whole or lengths
    return sorted(name for name, length in fitting.items() if length == max(fitting.values()))


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
    return Problem(f"the variable names no key: {segment}", mend=mend + _without(schema), file=variable)


def _without(schema: Schema) -> str:
    """What to do for a key that only a program knows."""
    return "" if schema else f" (if a program has such a key, say its form: {WRITE_SCHEMA})"


def _spell(key: str) -> str:
    return re.sub(r"\W", "_", key).upper()


def _spellings(data: Any, parts: Sequence[Schema]) -> dict[str, list[str]]:
    """The keys by how variables spell them."""
    found: dict[str, list[str]] = {}
    for key in dict.fromkeys([*keys_at(parts), *(data if isinstance(data, dict) else ())]):
        found.setdefault(_spell(key), []).append(key)
    return found


def _resolve(segments: Sequence[str], data: Any, schema: Schema) -> tuple[KeyPath, str, list[str]]:
    """The path that a variable names, the segment that leads nowhere, and the keys where there are several."""
    path: KeyPath = ()
    for segment in segments:
        keys = _spellings(data, parts_at(schema, path)).get(segment.upper(), [])
        if len(keys) != 1:
            return path, "" if keys else segment or "__", keys
        path = (*path, keys[0])
        data = data.get(keys[0], {}) if isinstance(data, dict) else {}
    return path, "", []


# Options


def apply_options(document: Document, options: Sequence[str], schema: Schema) -> None:
    """Lay options `KEY=VALUE` over a document, as `--set` gives them; a key may end in a mark, as in files.

    Raises:
        DeclarationError: one is not of that form, or its key leads nowhere.
    """
    problems = []
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or not key:
            # What was said instead is not shown: it may be a secret.
            problems.append(Problem("expected KEY=VALUE", mend="such as --set lake=./pond", file="--set"))
            continue
        name, mark = split_mark(key.strip())
        path, unknown = path_of(name, document.data, schema)
        if unknown and mark is Mark.REMOVE and text.strip() == IF_THERE:
            continue
        if unknown:
            data = document.at(path) if _is_there(document, path) else {}
            within = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
            known = [*keys_at(parts_at(schema, path)), *within]
            mend = did_you_mean(unknown, known) + _without(schema)
            problems.append(Problem(f"there is no key '{unknown}'", path, mend, f"--set {key}"))
        elif others := [other for other in document.origins if other != path and _dotted(other) == name]:
            places = " and ".join(str(document.origins[each]) for each in (path, *others) if each in document.origins)
            mend = "say it in a file"
            problems.append(Problem(f"could mean each of two keys: {places}", (), mend, f"--set {key}"))
        else:
            problems += _put(document, path, text, Origin(f"--set {key}", 0, Layer.OPTION), schema, mark)
    if problems:
        raise DeclarationError([discreet(problem, schema) for problem in problems])


def _is_there(document: Document, path: KeyPath) -> bool:
    try:
        document.at(path)
    except KeyError:
        return False
    return True


def _put(
    document: Document, path: KeyPath, text: str, origin: Origin, schema: Schema, mark: Mark | None = None
) -> list[Problem]:
    """Lay a text over a document; gives what is wrong with it."""
    current = document.at(path) if _is_there(document, path) else None
    if not is_text(text):
        return [Problem("is not UTF-8 text", path, "", origin.file)]
    try:
        if mark is Mark.REMOVE:
            value, texts = cast(text, (), _REMOVAL)
        else:
            value, texts = cast(text, path, schema, current)
        document.put(path, value, origin, texts, mark)
    except ValueError as error:
        mend = f"if a program expects something else, say its form: {WRITE_SCHEMA}"
        message = f"expected {error} as in {document.nearest(path)}, got {shown(text)}"
        return [Problem(message, path, mend, origin.file)]
    except DeclarationError as error:
        return list(error.problems)
    return []


_REMOVAL = {"type": ["boolean", "string"]}
"""What a key that ends in `@remove` may be: true, or `if_there`."""


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
