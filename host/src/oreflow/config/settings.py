"""What a project says of its configurations as such (`config/oreflow.yaml`): a shared store, whether code runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oreflow.config.documents import Document
from oreflow.config.files import DATA_FORMATS, is_there
from oreflow.config.layers import Environment, LayerFile, apply_variables, layer_files, names_in, prefix_of, read_layers
from oreflow.config.shapes import settle
from oreflow.contract import DeclarationError, Problem
from oreflow.validation import validate

NAME = "oreflow"
"""The configuration that is the project's own; no pipeline can be called so."""

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "config": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "store": {
                    "type": "string",
                    "pattern": "^$|^[a-z][a-z0-9+.-]*:",
                    "description": "the address of a shared store, such as redis://host:6379/0; empty: none",
                },
                "allow_python": {"type": "boolean", "description": "whether config/NAME.py is run as a layer"},
            },
        }
    },
}


@dataclass(frozen=True)
class Settings:
    """`store` is the address of the shared store ('': there is none)."""

    store: str = ""
    allow_python: bool = False


def read_settings(project: Path, environment: Environment, variables: Mapping[str, str]) -> Settings:
    """The project's settings by its files and the variables `OREFLOW_CONFIG__...`; the defaults where there are none.

    Raises:
        DeclarationError: something is wrong in them.
    """
    files = settings_files(project, environment)
    document = read_layers(files) if files else Document()
    prefix = prefix_of(NAME)
    own = {key: value for key, value in variables.items() if key.startswith(prefix) and _is_own(key, prefix)}
    if almost := [key for key in own if "__" not in key]:
        mend = f"did you mean {almost[0].replace('CONFIG_', 'CONFIG__', 1)}?"
        raise DeclarationError([Problem("the variable names no setting", mend=mend, file=almost[0])])
    if not document.data and not own:
        return Settings()
    apply_variables(document, NAME, own, SCHEMA, names_in(project / "config") if own else ())
    problems = settle(document, SCHEMA) + [document.locate(each) for each in validate(document.data, SCHEMA)]
    if problems:
        raise DeclarationError(problems)
    return Settings(**document.data.get("config", {}))


def _is_own(variable: str, prefix: str) -> bool:
    """Whether a variable was meant for these settings: they alone are nested; `OREFLOW_ENV` is another matter."""
    return "__" in variable.removeprefix(prefix) or variable.startswith(f"{prefix}CONFIG_")


def settings_files(project: Path, environment: Environment) -> list[LayerFile]:
    """The files of the settings in the order of their layers; none where the project has none.

    Raises:
        DeclarationError: a layer has two files, or is none.
    """
    folder = project / "config"
    there = any(is_there(folder / f"{NAME}{suffix}", f"config/{NAME}{suffix}") for suffix in DATA_FORMATS)
    return layer_files(project, NAME, environment) if there else []
