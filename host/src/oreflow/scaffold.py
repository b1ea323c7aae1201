"""A new project: a commented pipeline, the schema that an editor completes it by, and a few dirty sample files."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from oreflow.contract import DeclarationError, Problem
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.schema import declaration_schema


def write_project(folder: Path, factory: ProcessorFactory) -> list[Path]:
    """Write the project's files; gives their paths relative to the folder.

    Raises:
        DeclarationError: the folder has something in it, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        mend = "name a new or an empty folder; nothing was written"
        raise DeclarationError([Problem(f"{folder} is there already and is not an empty folder", mend=mend)])
    templates = files("oreflow") / "templates"
    contents = {
        Path("config/pipeline.yaml"): (templates / "pipeline.yaml").read_bytes(),
        Path("config/schemas/pipeline.schema.json"): schema_text(factory).encode(),
        Path(".gitignore"): (templates / "gitignore").read_bytes(),
    }
    for sample in sorted((templates / "raw").iterdir(), key=lambda file: file.name):
        if sample.name.endswith(".csv"):
            contents[Path("data/raw") / sample.name] = sample.read_bytes()
    try:
        for path, content in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    except OSError as error:
        raise DeclarationError([Problem(f"{error.filename} cannot be written: {error.strerror}")]) from error
    return list(contents)


def schema_text(factory: ProcessorFactory) -> str:
    """The JSON Schema of a declaration, for what is installed, as the text of a file."""
    return json.dumps(declaration_schema(factory), indent=2) + "\n"
