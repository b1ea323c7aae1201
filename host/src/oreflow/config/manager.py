"""Typed configurations for any program: loaded once, read at the cost of an attribute, reloaded when a file changes."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from oreflow.config.binding import bind, schema_of
from oreflow.config.documents import Document
from oreflow.config.files import is_there, unreadable
from oreflow.config.layers import (
    Environment,
    LayerFile,
    apply_options,
    apply_variables,
    choose_environment,
    layer_files,
    names_in,
    read_layers,
)
from oreflow.config.schemas import schema_file, schema_for, schema_label
from oreflow.config.settings import read_settings, settings_files
from oreflow.config.shapes import Schema, restore_exact, settle
from oreflow.config.snapshot import Snapshot, changes, discreet, secrets_of
from oreflow.config.stored import stored_layer
from oreflow.config.watching import Callback, ConfigChange, ConfigWatch
from oreflow.contract import DeclarationError, OreflowError, Problem
from oreflow.contract.errors import told
from oreflow.factory import get_processor_factory
from oreflow.secrets import redacted
from oreflow.validation import validate

T = TypeVar("T")

_log = logging.getLogger("oreflow.config")
_UNSURE = 0.05
"""Seconds in which a file can change and keep its time stamp: the tick of a file system's clock, and then some."""


@dataclass(frozen=True)
class _Stamp:
    """What tells that files have changed: the place, size and time of each and of its folder, and their content."""

    paths: tuple[str, ...]
    stats: tuple[tuple[int, int, int], ...]
    checksum: str
    taken: float

    @classmethod
    def of(cls, folders: Sequence[Path], files: Sequence[Path]) -> _Stamp:
        """Raises OSError where one of them is not there."""
        taken = time.time()
        paths = (*map(str, folders), *map(str, files))
        stats = cls.look(paths)
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
        return cls(paths, stats, digest.hexdigest(), taken)

    @staticmethod
    def look(paths: Sequence[str], stat: Callable[[str], os.stat_result] = os.stat) -> tuple[tuple[int, int, int], ...]:
        return tuple([(about.st_ino, about.st_size, about.st_mtime_ns) for about in map(stat, paths)])

    @property
    def is_sure(self) -> bool:
        """Whether a change since then must show in a time stamp."""
        return all(self.taken - mtime / 1e9 > _UNSURE for _, _, mtime in self.stats)


@dataclass
class _Loaded:
    """A configuration in the cache; replaced as a whole."""

    snapshot: Snapshot
    value: Any
    stamp: _Stamp
    sure: bool = field(init=False)

    def __post_init__(self) -> None:
        self.sure = self.stamp.is_sure


class ConfigManager:
    """The configurations of a project: the files in its folder `config/` with their layers.

    Environment variables are read when a configuration is loaded, not each time that it is asked for.
    """

    def __init__(
        self,
        project: str | Path = ".",
        *,
        environment: Environment | str | None = None,
        variables: Mapping[str, str] = os.environ,
        options: Sequence[str] = (),
        layer: Document | None = None,
    ) -> None:
        """`options` are `KEY=VALUE`, the last layer; `environment` is that of `OREFLOW_ENV` where not said.

        `layer` takes the place of what the shared store says.

        Raises:
            DeclarationError: there is no such environment.
        """
        self.project = Path(project).resolve()
        self.environment = choose_environment(environment, variables)
        self._variables, self._options, self._layer = variables, tuple(options), layer
        self._cache: dict[tuple[str, Any], _Loaded] = {}
        self._building = threading.RLock()
        self._rejected: dict[tuple[str, Any], tuple[Problem, ...]] = {}
        self._kinds: dict[str, Any] = {}

    def load_config(self, name: str, kind: type[T]) -> T:
        """The configuration as an instance of a dataclass, the same one until a file changes.

        Its schema is that of the dataclass, and `config/schemas/NAME.schema.json` where there is one. Of a file that
        was changed for the worse, the last good one stays, and the logger `oreflow.config` tells.

        Raises:
            DeclarationError: all that is wrong in it, each with key, file and line; only where there is no good one.
            TypeError: the dataclass has a field that no configuration can hold.
        """
        if self._kinds.get(name) is not kind:
            schema_of(kind)  # one that has none is not to be kept
            with self._building:
                self._kinds[name] = kind
                self._cache.pop((name, None), None)  # a snapshot is judged by the latest form that there is
        return cast("T", self._fresh(name, kind).value)

    def snapshot(self, name: str) -> Snapshot:
        """The configuration as plain values that never change, with where each came from.

        Raises:
            DeclarationError: as `load_config`.
        """
        return self._fresh(name, None).snapshot

    def read(self, name: str) -> Snapshot:
        """The configuration as it stands in its layers now, whether it keeps its schema or not; for people who look.

        Raises:
            DeclarationError: a layer cannot be read, or a variable or option names no key.
        """
        document, schema, problems = self._layers(name, None, layer_files(self.project, name, self.environment))
        problems += validate(document.data, schema)
        restore_exact(document, schema)
        return Snapshot.of(name, document, schema, self.environment.value, problems)

    def reload(self, name: str | None = None) -> tuple[ConfigChange, ...]:
        """Read a configuration anew (all that were loaded, where not said); gives what has changed."""
        changes = []
        with self._building:
            for known, kind in list(self._cache):
                if name in (None, known):
                    changes.append(self._again(known, kind))
        seen: dict[str, ConfigChange] = {}
        for change in changes:
            if change is not None and (change.name not in seen or change.problems):
                seen[change.name] = change
        return tuple(seen.values())

    def problems(self, name: str) -> tuple[Problem, ...]:
        """Why the last good version of a configuration stays; nothing where its files are good."""
        return tuple(
            dict.fromkeys(each for (known, _), found in self._rejected.items() if known == name for each in found)
        )

    def watch(self, name: str, callback: Callback, *, debounce: float = 0.2) -> ConfigWatch:
        """Call back with each change of a configuration, in a thread of its own, until the watch is stopped.

        Changes within `debounce` seconds count as one. A broken file is a change with `problems`.

        Raises:
            DeclarationError: as `load_config`.
        """
        self.snapshot(name)
        return ConfigWatch(self, name, callback, debounce)

    def look(self, name: str, *, anew: bool = False) -> tuple[Snapshot, tuple[Problem, ...]]:
        """The snapshot by now, and why it is not a newer one; `anew`: read again though no file has changed."""
        if anew:
            self.reload(name)
        else:
            for known, kind in list(self._cache):
                if known == name:
                    self._fresh(name, kind)
        return self.snapshot(name), self.problems(name)

    def store_address(self) -> str:
        """The address of the project's shared store; '' where it has none."""
        return read_settings(self.project, self.environment, self._variables).store

    def _fresh(self, name: str, kind: Any) -> _Loaded:
        loaded = self._cache.get((name, kind))
        if loaded is None:
            with self._building:
                if (name, kind) not in self._cache:
                    self._cache[name, kind] = self._build(name, kind)
                return self._cache[name, kind]
        try:
            same = _Stamp.look(loaded.stamp.paths) == loaded.stamp.stats
        except OSError:  # a file has gone
            same = False
        if not same or not loaded.sure:
            with self._building:
                self._look_closer(name, kind)
            loaded = self._cache[name, kind]
        return loaded

    def _look_closer(self, name: str, kind: Any) -> None:
        """Whether the content has changed, where a time stamp has or cannot be relied on."""
        loaded = self._cache[name, kind]
        try:
            stamp = self._stamp(name, layer_files(self.project, name, self.environment))
        except (DeclarationError, OSError):
            self._again(name, kind)
            return
        if stamp.checksum == loaded.stamp.checksum:
            self._rejected.pop((name, kind), None)  # what was broken is as it was before
            self._cache[name, kind] = _Loaded(loaded.snapshot, loaded.value, stamp)
        else:
            self._again(name, kind)

    def _again(self, name: str, kind: Any) -> ConfigChange | None:
        loaded = self._cache[name, kind]
        try:
            built = self._build(name, kind)
        except Exception as error:
            if name not in names_in(self.project / "config"):
                file = loaded.snapshot.document.nearest(()).file
                problems: tuple[Problem, ...] = (Problem("is gone", mend="bring it back", file=file),)
            elif isinstance(error, DeclarationError):
                problems = error.problems
            else:
                problems = (Problem(redacted(str(error) if isinstance(error, OreflowError) else told(error))),)
            # Once for each fault, not at each look, nor for each form in which the configuration is had.
            told_of = [found for (known, _), found in self._rejected.items() if known == name]
            self._rejected[name, kind] = problems
            if problems not in told_of:
                text = "; ".join(str(problem) for problem in problems)
                _log.error("the configuration '%s' is broken, its last good version stays: %s", name, text)
            return ConfigChange(name, loaded.snapshot, loaded.snapshot, problems=problems)
        self._rejected.pop((name, kind), None)
        self._cache[name, kind] = built
        found = changes(loaded.snapshot, built.snapshot)
        return ConfigChange(name, loaded.snapshot, built.snapshot, found) if found else None

    def _build(self, name: str, kind: Any) -> _Loaded:
        files = layer_files(self.project, name, self.environment)
        try:
            stamp = self._stamp(name, files)  # before they are read: a change after it will be noticed
        except OSError as error:
            raise DeclarationError([unreadable(error, str(error.filename or name))]) from error
        form = kind if kind is not None else self._kinds.get(name)
        document, schema, problems = self._layers(name, form, files)
        problems += validate(document.data, schema)
        restore_exact(document, schema)
        value = None
        try:
            value = bind(document.data, form) if form is not None else None
        except DeclarationError as error:
            # What the schema has told of already, and what follows from it, is not told again.
            wrong = [each.path for each in problems]
            problems += [each for each in error.problems if not any(_within(path, each.path) for path in wrong)]
        if problems:
            secrets = secrets_of(document.data, schema)  # what a dataclass says of its values may have them
            raise DeclarationError([document.locate(discreet(each, schema, secrets)) for each in problems]) from None
        snapshot = Snapshot.of(name, document, schema, self.environment.value)
        return _Loaded(snapshot, value, stamp)

    def _stamp(self, name: str, files: Sequence[LayerFile]) -> _Stamp:
        """The stamp of all that a configuration is made of: its layers, its schema and the project's settings."""
        schema = schema_file(self.project, name)
        folders = [self.project / "config", *([schema.parent] if schema.parent.is_dir() else [])]
        settings = settings_files(self.project, self.environment)
        paths = [
            *(file.path for file in (*files, *settings)),
            *([schema] if is_there(schema, schema_label(schema)) else []),
        ]
        return _Stamp.of(folders, paths)

    def _layers(self, name: str, kind: Any, files: Sequence[LayerFile]) -> tuple[Document, Schema, list[Problem]]:
        """All layers of a configuration, its schema, and what of its values cannot be settled by that."""
        settings = read_settings(self.project, self.environment, self._variables)
        document = read_layers(files, allow_python=settings.allow_python)
        layer = self._layer
        if settings.store and layer is None:
            layer = stored_layer(settings.store, name, get_processor_factory(self.project))
        if layer:
            document.merge(layer)
        schema = schema_for(self.project, name, kind)
        apply_variables(document, name, self._variables, schema, names_in(self.project / "config"))
        apply_options(document, self._options, schema)
        return document, schema, settle(document, schema)


def _within(path: tuple[str | int, ...], section: tuple[str | int, ...]) -> bool:
    return path[: len(section)] == section


_managers: dict[tuple[Path, str], ConfigManager] = {}
_making = threading.Lock()


def get_config_manager(project: str | Path = ".", environment: Environment | str | None = None) -> ConfigManager:
    """The manager of a project in this process; made on first use.

    Raises:
        DeclarationError: there is no such environment.
    """
    key = Path(project).resolve(), choose_environment(environment, os.environ).value
    with _making:
        if key not in _managers:
            _managers[key] = ConfigManager(key[0], environment=key[1])
        return _managers[key]
