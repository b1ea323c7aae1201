"""A new project: a commented pipeline, the schema that an editor completes it by, and a few dirty sample files."""

from __future__ import annotations

import json
import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from oreflow.contract import DeclarationError, Problem
from oreflow.factory import ProcessorFactory, home_of
from oreflow.factory.homes import HOMES
from oreflow.pipeline.schema import declaration_schema

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_LONGEST = 64
_TAKEN = {
    *sys.stdlib_module_names,
    *(distribution.replace("-", "_") for distribution in HOMES.values()),
    "narwhals",
    "oreflow",
    "oreflow_testkit",
}
_SUMMARIES = {
    "bronze": "Records as they came, with the time of their arrival",
    "silver": "Rows with one column tidied up; a row without it is set aside",
    "gold": "How many rows there are of each value of a column",
}
"""What the processor of a new package does, by its stage."""


def write_project(folder: Path, factory: ProcessorFactory) -> list[Path]:
    """Write the project's files; gives their paths relative to the folder.

    Raises:
        DeclarationError: the folder has something in it, or cannot be written.
    """
    refuse_what_is_there(folder, "name a new or an empty folder; nothing was written")
    templates = files("oreflow") / "templates"
    contents = {
        Path("config/pipeline.yaml"): (templates / "pipeline.yaml").read_bytes(),
        Path("config/schemas/pipeline.schema.json"): schema_text(factory).encode(),
        Path(".gitignore"): (templates / "gitignore").read_bytes(),
    }
    for sample in sorted((templates / "raw").iterdir(), key=lambda file: file.name):
        if sample.name.endswith(".csv"):
            contents[Path("data/raw") / sample.name] = sample.read_bytes()
    return _write(folder, contents)


def schema_text(factory: ProcessorFactory) -> str:
    """The JSON Schema of a declaration, for what is installed, as the text of a file."""
    return json.dumps(declaration_schema(factory), indent=2) + "\n"


def write_plugin(folder: Path, name: str, stage: str) -> list[Path]:
    """Write the package `name`, with a processor for a stage, into a new folder of its name; gives its files.

    Their paths are relative to `folder`, in which the package's folder lies.

    Raises:
        DeclarationError: the name or the stage will not do, or the package's folder has something in it, or
            cannot be written.
    """
    if problems := [*_faults_of_name(name), *_faults_of_stage(stage)]:
        raise DeclarationError(problems)
    home = folder / name
    refuse_what_is_there(home, "choose another name, or take it away; nothing was written")
    package, short = _package(name), _processor(name)
    words = {
        "distribution": name,
        "package": package,
        "name": short,
        "class_name": "".join(part.capitalize() for part in short.split("_")),
        "summary": _SUMMARIES[stage],
        "oreflow": ".".join(version("oreflow").split(".")[:2]),
    }
    words["tables"] = _filled(f"{stage}/tables.yaml", words).rstrip("\n")
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        f"src/{package}/__init__.py": "init.py",
        f"src/{package}/plugin.py": f"{stage}/plugin.py",
        f"src/{package}/processor.py": f"{stage}/processor.py",
        f"src/{package}/py.typed": "py.typed",
        f"tests/test_{short}.py": f"{stage}/test.py",
    }
    contents = {Path(name, path): _filled(template, words).encode() for path, template in templates.items()}
    return _write(folder, contents)


def refuse_what_is_there(folder: Path, mend: str) -> None:
    """Find that a folder is new or empty.

    Raises:
        DeclarationError: it is not.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DeclarationError([Problem(f"{folder} is there already and is not an empty folder", mend=mend)])


def _write(folder: Path, contents: Mapping[Path, bytes]) -> list[Path]:
    try:
        for path, content in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    except OSError as error:
        raise DeclarationError([Problem(f"{error.filename} cannot be written: {error.strerror}")]) from error
    return list(contents)


def _filled(template: str, words: Mapping[str, str]) -> str:
    # The suffix keeps linters from taking a template for what will become of it.
    file = files("oreflow") / "templates" / "plugin" / f"{template}.template"
    return Template(file.read_text(encoding="utf-8")).substitute(words)


def _package(name: str) -> str:
    """The name by which a distribution is imported."""
    return re.sub(r"[-_.]+", "_", name).lower()


def _processor(name: str) -> str:
    """The name of a distribution's processor."""
    return _package(name).removeprefix("oreflow_")


def _faults_of_name(name: str) -> Iterator[Problem]:
    mend = "choose another name, such as oreflow-geocode"
    package, short = _package(name), _processor(name)
    if not _DISTRIBUTION.fullmatch(name):
        yield Problem(f"'{name}' is no name for a package", mend="use letters, digits, - and _, as in oreflow-geocode")
    elif len(name) > _LONGEST:
        yield Problem(f"'{name}' has {len(name)} characters", mend=f"use at most {_LONGEST}")
    elif not package[0].isalpha() or not short[0].isalpha():
        yield Problem(f"'{name}' makes a processor '{short}', and no name begins with a digit", mend=mend)
    elif keyword.iskeyword(short):
        yield Problem(f"'{name}' makes a processor '{short}', which is a keyword of Python", mend=mend)
    elif home := home_of("processor", short):
        yield Problem(f"'{name}' makes a processor '{short}', which is the name of one of {home}", mend=mend)
    elif package in _TAKEN:
        yield Problem(f"'{name}' makes a module '{package}', and there is one already", mend=mend)


def _faults_of_stage(stage: str) -> Iterator[Problem]:
    if stage not in _SUMMARIES:
        yield Problem(f"there is no stage '{stage}'", mend=f"choose {', '.join(_SUMMARIES)}")
