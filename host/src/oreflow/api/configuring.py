"""The verbs about configurations: what holds, who said it, what was in use, and what a store has."""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oreflow.api.project import DEFAULT_NAME
from oreflow.config.binding import schema_of
from oreflow.config.documents import Layer
from oreflow.config.files import PYTHON, read_file
from oreflow.config.layers import (
    WRITE_SCHEMA,
    check_name,
    choose_environment,
    layer_files,
    names_in,
    read_layers,
    strangers,
)
from oreflow.config.manager import ConfigManager
from oreflow.config.schemas import schema_for
from oreflow.config.settings import NAME as SETTINGS
from oreflow.config.settings import read_settings
from oreflow.config.shapes import settle
from oreflow.config.snapshot import Difference, Snapshot, Spoken, differences, shown_schema
from oreflow.config.stored import opened
from oreflow.contract import ConfigStore, DeclarationError, Problem, StoredConfig
from oreflow.contract.errors import told
from oreflow.factory import get_processor_factory
from oreflow.pipeline.declaration import load_pipeline, read_pipeline
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.schema import declaration_schema
from oreflow.pipeline.versions import ConfigVersion, Versions, overlay, user
from oreflow.validation import did_you_mean

_log = logging.getLogger("oreflow.config")
_PIPELINE_KEYS = {"tables", "sources", "processors"}
"""A configuration with one of these is a pipeline."""


def effective_config(
    project: str | Path = ".",
    name: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> Snapshot:
    """The effective configuration `config/NAME.yaml` with its layers, as far as they can be read; it need not be valid.

    Raises:
        DeclarationError: a layer cannot be read, or a variable or option names no key.
    """
    found = _effective(Path(project).resolve(), name, environment, options)
    for variable in _unknown(found, Path(project).resolve()):
        _log.warning(
            "the variable %s names no key of the files of '%s', which has no schema; if a program has such a key, "
            "say its form: %s",
            *(variable, name, WRITE_SCHEMA),
        )
    return found


def _effective(folder: Path, name: str, environment: str | None, options: Sequence[str] = ()) -> Snapshot:
    if is_pipeline(folder, name, environment):
        return read_pipeline(folder, name, environment, options)[0]
    return ConfigManager(folder, environment=environment, options=options).read(name)


def _unknown(found: Snapshot, folder: Path) -> list[str]:
    """The variables of which nobody here can tell whether they are keys, as a program's dataclass may have more."""
    if found.schema:
        return []
    return strangers(found.document, found.name, os.environ, found.schema, names_in(folder / "config"))


def explain_config(
    key: str, project: str | Path = ".", *, environment: str | None = None, options: Sequence[str] = ()
) -> list[tuple[str, list[Spoken]]]:
    """Who said what of `NAME.KEY`, the layer that wins first; of a section, of each key within.

    Raises:
        DeclarationError: there is no such key, or a layer cannot be read.
    """
    name, _, rest = key.partition(".")
    if "/" in key or "\\" in key:
        check_name(key)
    found = effective_config(project, name, environment=environment, options=options)
    return [(f"{name}.{each}", said) for each, said in found.explain(rest)]


def config_schema(name: str, project: str | Path = ".") -> dict[str, Any]:
    """The JSON Schema of a configuration: of a pipeline, of `config/schemas/NAME.schema.json`, or of `module:Class`.

    Raises:
        DeclarationError: there is none.
    """
    module, colon, kind = name.partition(":")
    if colon:
        return shown_schema(_schema_of_class(module, kind, Path(project).resolve()))
    folder = Path(project).resolve()
    written = schema_for(folder, name)
    if written and not (name in names_in(folder / "config") and is_pipeline(folder, name, None)):
        return shown_schema(written)
    known = names_in(folder / "config")
    if name not in known and name != DEFAULT_NAME:
        raise DeclarationError([Problem(f"there is no configuration '{name}'", mend=did_you_mean(name, known))])
    if name in known and not is_pipeline(folder, name, None):
        mend = f"write config/schemas/{name}.schema.json, or ask for module:Class"
        raise DeclarationError([Problem(f"the configuration '{name}' has no schema", mend=mend)])
    return declaration_schema(get_processor_factory(folder))


def config_history(
    project: str | Path = ".", name: str = DEFAULT_NAME, *, environment: str | None = None
) -> list[ConfigVersion]:
    """The configurations that runs have used, the latest first."""
    return list(_versions(project, name, environment).newest_first())


def config_difference(
    before: int, after: int, project: str | Path = ".", name: str = DEFAULT_NAME, *, environment: str | None = None
) -> tuple[Difference, ...]:
    """What differs between two versions that runs have used.

    Raises:
        DeclarationError: there is no such version.
    """
    versions = _versions(project, name, environment)
    return differences(versions.content(before), versions.content(after))


@dataclass(frozen=True)
class Rollback:
    """What became of it: the file that was written, where the one before it went, and the keys that still differ."""

    file: Path
    kept: Path | None
    differences: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        kept = None if self.kept is None else str(self.kept)
        return {"file": str(self.file), "kept": kept, "differences": [vars(each) for each in self.differences]}


def rollback_config(
    version: int, project: str | Path = ".", name: str = DEFAULT_NAME, *, environment: str | None = None
) -> Rollback:
    """Make a version that runs have used the effective one again, by the local layer; base files stay as they are.

    Raises:
        DeclarationError: there is no such version, or the local layer is no YAML file.
    """
    import yaml

    folder = Path(project).resolve()
    chosen = choose_environment(environment, os.environ)
    files = layer_files(folder, name, chosen)
    local = [file for file in files if file.layer is Layer.LOCAL]
    target = folder / "config" / f"{name}.local.yaml"
    if others := [file for file in local if file.path != target]:
        mend = f"move it away; {target.name} would be written"
        raise DeclarationError([Problem("is the local layer, and no YAML", mend=mend, file=others[0].label)])
    settings = read_settings(folder, chosen, os.environ)
    below = read_layers([file for file in files if file not in local], allow_python=settings.allow_python).data
    try:
        wanted = _versions(folder, name, environment).content(version)
    except DeclarationError:  # it may be the local layer that is broken, or leads to another lake
        wanted = Versions(_lake(folder, below), name).content(version)
    layer = overlay(below, wanted)
    text = (
        f"# Version {version} of what runs have used, over the files below; by `oreflow config rollback {version}`.\n"
    )
    kept = _set_aside(target) if target.exists() else None
    target.write_text(text + (yaml.safe_dump(layer, sort_keys=False, allow_unicode=True) if layer else ""), "utf-8")
    now = effective_config(folder, name, environment=environment)
    return Rollback(target, kept, differences(now.masked, wanted))


def _set_aside(path: Path) -> Path:
    numbers = (number for number in range(1, 1_000_000) if not path.with_name(f"{path.name}.{number}.bak").exists())
    return path.rename(path.with_name(f"{path.name}.{next(numbers)}.bak"))


def pull_config(project: str | Path = ".", name: str = DEFAULT_NAME, *, environment: str | None = None) -> StoredConfig:
    """What the shared store says of a configuration; version 0 and no keys where it says nothing.

    Raises:
        DeclarationError: the project names no store.
        StoreError: it cannot be reached.
    """
    check_name(name)
    with _store(project, environment) as (store, _):
        return store.fetch(name) or StoredConfig(name, 0, {})


@dataclass(frozen=True)
class Pushed(StoredConfig):
    """What was published; `overridden` are its keys that something says otherwise on this machine, with who does."""

    overridden: tuple[tuple[str, Spoken], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return vars(self) | {"overridden": [{"key": key, **said.to_dict()} for key, said in self.overridden]}


def push_config(
    file: str | Path,
    expected: int,
    project: str | Path = ".",
    name: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
) -> Pushed:
    """Publish a file as the store's layer of a configuration, where the store still has the version `expected`.

    Raises:
        DeclarationError: the file cannot be read, the configuration would not be valid with it, or there is no store.
        StoreConflict: somebody else has published since; nothing was changed.
        StoreError: the store cannot be reached.
    """
    folder = Path(project).resolve()
    if Path(file).suffix == PYTHON:
        raise DeclarationError([Problem("is code, and a store holds values", mend="give YAML", file=str(file))])
    if name == SETTINGS:
        raise DeclarationError([Problem(f"config/{name}.yaml says where the store is; no store can", file=str(file))])
    layer = read_file(Path(file), str(file), Layer.STORE)
    if problems := settle(layer, effective_config(folder, name, environment=environment).schema):
        raise DeclarationError(problems)
    data = json.loads(json.dumps(layer.data, default=str))
    if is_pipeline(folder, name, environment):
        found = load_pipeline(folder, name, environment, layer=layer)[0].config
    else:
        found = ConfigManager(folder, environment=environment, layer=layer).snapshot(name)
    with _store(folder, environment) as (store, _):
        stored = store.publish(name, data, expected=expected, author=user())
    return Pushed(**vars(stored), overridden=tuple(_over(Layer.STORE, found)))


def _over(layer: Layer, found: Snapshot) -> Iterator[tuple[str, Spoken]]:
    """The keys of a layer that a later one says otherwise, with its word."""
    for key, said in found.explain(""):
        if any(each.layer == layer and each.status == "overridden" for each in said):
            yield key, said[0]


@contextmanager
def _store(project: str | Path, environment: str | None) -> Iterator[tuple[ConfigStore, str]]:
    folder = Path(project).resolve()
    address = read_settings(folder, choose_environment(environment, os.environ), os.environ).store
    if not address:
        mend = f"say `config: {{store: redis://host:6379/0}}` in config/{SETTINGS}.yaml"
        raise DeclarationError([Problem("this project has no shared store", mend=mend)])
    with opened(address, get_processor_factory(folder)) as store:
        yield store, address


def _versions(project: str | Path, name: str, environment: str | None) -> Versions:
    folder = Path(project).resolve()
    if not is_pipeline(folder, name, environment):
        mend = "name a pipeline: it is runs that use versions"
        raise DeclarationError([Problem(f"the configuration '{name}' is no pipeline", mend=mend)])
    data: Mapping[str, Any] = effective_config(folder, name, environment=environment).data
    return Versions(_lake(folder, data), name)


def _lake(folder: Path, data: Mapping[str, Any]) -> Lake:
    return Lake((folder / str(data.get("lake", "./lake"))).resolve())


def is_pipeline(folder: Path, name: str, environment: str | None) -> bool:
    """Whether a configuration is a pipeline, and is judged as one."""
    chosen = choose_environment(environment, os.environ)
    settings = read_settings(folder, chosen, os.environ)
    data = read_layers(layer_files(folder, name, chosen), allow_python=settings.allow_python).data
    return bool(_PIPELINE_KEYS & set(data))


def _schema_of_class(module: str, kind: str, project: Path) -> dict[str, Any]:
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    mend = "name a dataclass that can be imported from here, as module:Class"
    try:
        found = getattr(importlib.import_module(module), kind)
        if dataclasses.is_dataclass(found):
            mend = "give the field a type that a file can say, or `field(init=False)`"
        return schema_of(found)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the module is somebody's code
        reason = str(error) if isinstance(error, (ImportError, AttributeError, TypeError)) else told(error)
        raise DeclarationError([Problem(f"{module}:{kind} has no schema: {reason}", mend=mend)]) from error
