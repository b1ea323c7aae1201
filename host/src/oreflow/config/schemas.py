"""What a configuration has to keep: the schema of its dataclass, and the hand-written one of the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oreflow.config.binding import schema_of
from oreflow.config.files import is_there, unreadable
from oreflow.config.layers import check_name
from oreflow.config.shapes import Schema
from oreflow.contract import DeclarationError, Problem
from oreflow.validation import validate


def schema_for(project: Path, name: str, kind: type | None = None) -> Schema:
    """What a configuration has to keep: the schema of a dataclass, and the hand-written one of the project.

    Raises:
        DeclarationError: the hand-written one cannot be read, or is no JSON Schema.
    """
    path = schema_file(project, name)
    parts: list[Schema] = [schema_of(kind)] if kind is not None else []
    if is_there(path, schema_label(path)):
        written = _written_schema(path)
        parts.append(_moved(written, "#/allOf/1/") if parts else written)
    return parts[0] if len(parts) == 1 else {"allOf": parts} if parts else {}


def schema_file(project: Path, name: str) -> Path:
    """Where the hand-written schema of a configuration is, if there is one.

    Raises:
        DeclarationError: nothing can be called so.
    """
    check_name(name)
    return project / "config" / "schemas" / f"{name}.schema.json"


def schema_label(schema: Path) -> str:
    """How messages name a hand-written schema."""
    return f"config/schemas/{schema.name}"


def _written_schema(path: Path) -> Schema:
    label = schema_label(path)
    try:
        written = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise DeclarationError([Problem(f"is not valid JSON: {error.msg}", file=label, line=error.lineno)]) from error
    except OSError as error:
        raise DeclarationError([unreadable(error, label)]) from error
    except (ValueError, RecursionError) as error:
        raise DeclarationError([Problem(f"cannot be read: {error}", file=label)]) from error
    if not isinstance(written, dict):
        raise DeclarationError([Problem("is no JSON Schema: expected keys and values", file=label)])
    try:
        validate({}, written)
    except Exception as error:
        reason = " ".join(str(getattr(error, "message", "") or error).split())
        keys = tuple(getattr(error, "instance_path", ()))
        raise DeclarationError([Problem(f"is no JSON Schema: {reason}", keys, file=label)]) from error
    return written


def _moved(schema: Any, root: str) -> Any:
    """A schema that has become a part of another one, in which its own references begin elsewhere."""
    if isinstance(schema, dict):
        return {
            key: root + value.removeprefix("#/")
            if key == "$ref" and str(value).startswith("#/")
            else _moved(value, root)
            for key, value in schema.items()
        }
    return [_moved(each, root) for each in schema] if isinstance(schema, list) else schema
