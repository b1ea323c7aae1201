"""The layers of a declaration: base file, environment file, local file, environment variables; later wins."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from oreflow.config.documents import Document, KeyPath, Origin, read_yaml
from oreflow.contract import DeclarationError, Problem

ENVIRONMENT_VARIABLE = "OREFLOW_ENV"


class Environment(StrEnum):
    """The environments that a layer can be for."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"
    TEST = "test"


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


def read_layers(project: Path, name: str, environment: Environment) -> Document:
    """Read `config/NAME.yaml` and the files that lie over it.

    Raises:
        DeclarationError: the base file is missing, or a file is wrong.
    """
    folder = project / "config"
    base = folder / f"{name}.yaml"
    if not base.is_file():
        raise DeclarationError([_missing(folder, name)])
    document = Document()
    problems: list[Problem] = []
    for file in (base, folder / f"{name}.{environment.value}.yaml", folder / f"{name}.local.yaml"):
        if file.is_file():
            try:
                document.merge(read_yaml(file, str(file.relative_to(project))))
            except DeclarationError as error:
                problems.extend(error.problems)
    if problems:
        raise DeclarationError(problems)
    return document


def _missing(folder: Path, name: str) -> Problem:
    others = sorted({file.name.split(".")[0] for file in folder.glob("*.yaml")}) if folder.is_dir() else []
    message = f"there is no pipeline '{name}': {folder / f'{name}.yaml'} does not exist"
    if close := difflib.get_close_matches(name, others, 1):
        return Problem(message, mend=f"did you mean `oreflow run {close[0]}`?")
    if others:
        return Problem(message, mend=f"this project has {', '.join(others)}; name one of them")
    return Problem(message, mend="go to a project's folder, or make one with `oreflow init NAME`")


def apply_variables(document: Document, name: str, variables: Mapping[str, str], schema: Mapping[str, Any]) -> None:
    """Lay the environment variables `NAME_KEY` over a document. `schema` decides what a variable's text becomes.

    Raises:
        DeclarationError: a variable fits no key.
    """
    prefix = re.sub(r"\W", "_", name).upper() + "_"
    problems = []
    for variable in sorted(variables):
        if not variable.startswith(prefix) or variable == prefix:
            continue
        segments = variable.removeprefix(prefix).split("__")
        path, unknown = _resolve(segments, document.data, schema)
        if not unknown:
            document.put(path, _cast(variables[variable], _schema_at(schema, path)), Origin(variable, 0))
        elif path or difflib.get_close_matches(segments[0], _spellings(document.data, schema), 1, 0.7):
            # A first segment that resembles none of ours belongs to somebody else's variable, like PIPELINE_ID.
            problems.append(_unknown_variable(variable, path, unknown, document.data, schema))
    if problems:
        raise DeclarationError(problems)


def _unknown_variable(variable: str, path: KeyPath, segment: str, data: Any, schema: Mapping[str, Any]) -> Problem:
    for key in path:
        data = data.get(key, {}) if isinstance(data, dict) else {}
    spellings = _spellings(data, _schema_at(schema, path))
    close = difflib.get_close_matches(segment, spellings, 1)
    mend = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(spellings)) or 'no keys below'}"
    return Problem(f"the variable names no key: {segment}", mend=mend, file=variable)


def _spell(key: str) -> str:
    return re.sub(r"\W", "_", key).upper()


def _spellings(data: Any, schema: Mapping[str, Any]) -> dict[str, str]:
    keys = list(schema.get("properties", {})) + (list(data) if isinstance(data, dict) else [])
    return {_spell(key): key for key in keys}


def _resolve(segments: list[str], data: Any, schema: Mapping[str, Any]) -> tuple[KeyPath, str]:
    path: KeyPath = ()
    for segment in segments:
        key = _spellings(data, schema).get(segment.upper())
        if key is None:
            return path, segment
        path = (*path, key)
        data = data.get(key, {}) if isinstance(data, dict) else {}
        schema = _schema_at(schema, (key,))
    return path, ""


def _schema_at(schema: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any]:
    for key in path:
        below = schema.get("properties", {}).get(key)
        if below is None:
            patterns = schema.get("patternProperties", {})
            below = next((patterns[p] for p in patterns if re.search(p, str(key))), schema.get("additionalProperties"))
        schema = below if isinstance(below, Mapping) else {}
    return schema


def _cast(text: str, schema: Mapping[str, Any]) -> Any:
    import yaml

    if schema.get("type") == "string":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
