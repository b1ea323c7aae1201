"""What a project says of its configurations as such (`config/oreflow.yaml`): a shared store, whether code runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oreflow.config.documents import Document
from oreflow.config.files import DATA_FORMATS
from oreflow.config.layers import Environment, apply_variables, layer_files, prefix_of, read_layers
from oreflow.config.shapes import settle
from oreflow.contract import DeclarationError
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
                    "pattern": "^[a-z][a-z0-9+.-]*:",
                    "description": "the address of a shared store, such as redis://host:6379/0",
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
    document = Document()
    if any((project / "config" / f"{NAME}{suffix}").is_file() for suffix in DATA_FORMATS):
        document = read_layers(layer_files(project, NAME, environment))
    prefix = f"{prefix_of(NAME)}CONFIG__"
    own = {key: value for key, value in variables.items() if key.startswith(prefix)}
    apply_variables(document, NAME, own, SCHEMA)
    problems = settle(document, SCHEMA) + [document.locate(each) for each in validate(document.data, SCHEMA)]
    if problems:
        raise DeclarationError(problems)
    return Settings(**document.data.get("config", {}))
