"""Typed configurations for any program: loaded once, read at the cost of an attribute, reloaded when a file changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from oreflow.config.binding import bind, schema_of
from oreflow.config.documents import Document
from oreflow.config.layers import (
    Environment,
    LayerFile,
    apply_options,
    apply_variables,
    choose_environment,
    layer_files,
    read_layers,
)
from oreflow.config.settings import read_settings
from oreflow.config.shapes import Schema, settle
from oreflow.config.snapshot import Difference, Snapshot, differences
from oreflow.config.stored import opened, stored_layer
from oreflow.contract import DeclarationError, OreflowError, Problem
from oreflow.factory import get_processor_factory
from oreflow.validation import validate

T = TypeVar("T")
Callback = Callable[["ConfigChange"], object]

_log = logging.getLogger("oreflow.config")
_UNSURE = 0.05
"""Seconds in which a file can change and keep its time stamp: the tick of a file system's clock, and then some."""
_STORE_WAIT = 1.0
"""Seconds that a watch waits for a store before it looks whether it is to stop."""
_STORE_AWAY = 5.0
"""Seconds until a watch asks a store again that could not be reached."""


@dataclass(frozen=True)
class ConfigChange:
    """What a reload has brought: the keys that differ, or the `problems` for which the last good version stays."""

    name: str
    before: Snapshot
    after: Snapshot
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Stamp:
    """What tells that files have changed: the folder's and each file's place, size and time, and their content."""

    stats: tuple[tuple[int, int, int], ...]
    checksum: str
    taken: float

    @classmethod
    def of(cls, folder: Path, files: Sequence[LayerFile]) -> _Stamp:
        taken = time.time()
        stats = cls.look(str(folder), [str(file.path) for file in files])
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.path.name}\0".encode() + file.path.read_bytes() + b"\0")
        return cls(stats, digest.hexdigest(), taken)

    @staticmethod
    def look(folder: str, files: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
        found = []
        for path in (folder, *files):
            about = os.stat(path)  # noqa: PTH116  a Path costs as much again
            found.append((about.st_ino, about.st_size, about.st_mtime_ns))
        return tuple(found)

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
    paths: tuple[str, ...]
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
    ) -> None:
        """`options` are `KEY=VALUE`, the last layer; `environment` is that of `OREFLOW_ENV` where not said.

        Raises:
            DeclarationError: there is no such environment.
        """
        self.project = Path(project).resolve()
        self.environment = choose_environment(environment, variables)
        self._variables, self._options = variables, tuple(options)
        self._folder = str(self.project / "config")
        self._cache: dict[tuple[str, Any], _Loaded] = {}
        self._building = threading.RLock()
        self._rejected: dict[tuple[str, Any], str] = {}

    def load_config(self, name: str, kind: type[T]) -> T:
        """The configuration as an instance of a dataclass, the same one until a file changes.

        Its schema is that of the dataclass, and `config/schemas/NAME.schema.json` where there is one. Of a file that
        was changed for the worse, the last good one stays, and the logger `oreflow.config` tells.

        Raises:
            DeclarationError: all that is wrong in it, each with key, file and line; only where there is no good one.
            TypeError: the dataclass has a field that no configuration can hold.
        """
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
        document, schema, _ = self._layers(name, None, layer_files(self.project, name, self.environment))
        return Snapshot.of(name, document, schema, self.environment.value)

    def reload(self, name: str | None = None) -> tuple[ConfigChange, ...]:
        """Read a configuration anew (all that were loaded, where not said); gives what has changed."""
        changes = []
        with self._building:
            for known, kind in list(self._cache):
                if name in (None, known):
                    changes.append(self._again(known, kind))
        seen = {change.name: change for change in changes if change is not None}
        return tuple(seen.values())

    def watch(self, name: str, callback: Callback, *, debounce: float = 0.2) -> ConfigWatch:
        """Call back with each change of a configuration, in a thread of its own, until the watch is stopped.

        Changes within `debounce` seconds count as one. A broken file is a change with `problems`.

        Raises:
            DeclarationError: as `load_config`.
        """
        self.snapshot(name)
        return ConfigWatch(self, name, callback, debounce)

    def _fresh(self, name: str, kind: Any) -> _Loaded:
        loaded = self._cache.get((name, kind))
        if loaded is None:
            with self._building:
                if (name, kind) not in self._cache:
                    self._cache[name, kind] = self._build(name, kind)
                return self._cache[name, kind]
        try:
            same = _Stamp.look(self._folder, loaded.paths) == loaded.stamp.stats
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
            files = layer_files(self.project, name, self.environment)
            stamp = _Stamp.of(Path(self._folder), files)
        except (DeclarationError, OSError):
            self._again(name, kind)
            return
        if stamp.checksum == loaded.stamp.checksum:
            paths = tuple(str(file.path) for file in files)
            self._cache[name, kind] = _Loaded(loaded.snapshot, loaded.value, stamp, paths)
        else:
            self._again(name, kind)

    def _again(self, name: str, kind: Any) -> ConfigChange | None:
        loaded = self._cache[name, kind]
        try:
            built = self._build(name, kind)
        except OreflowError as error:
            problems = error.problems if isinstance(error, DeclarationError) else (Problem(str(error)),)
            text = "; ".join(str(problem) for problem in problems)
            if self._rejected.get((name, kind)) != text:  # once for each fault, not at each look
                self._rejected[name, kind] = text
                _log.error("the configuration '%s' is broken, its last good version stays: %s", name, text)
            return ConfigChange(name, loaded.snapshot, loaded.snapshot, problems=tuple(problems))
        self._rejected.pop((name, kind), None)
        self._cache[name, kind] = built
        found = differences(loaded.snapshot.masked, built.snapshot.masked)
        return ConfigChange(name, loaded.snapshot, built.snapshot, found) if found else None

    def _build(self, name: str, kind: Any) -> _Loaded:
        files = layer_files(self.project, name, self.environment)
        try:
            stamp = _Stamp.of(Path(self._folder), files)  # before they are read: a change after it will be noticed
        except OSError as error:
            problem = Problem(f"cannot be read: {error.strerror}", file=str(error.filename or name))
            raise DeclarationError([problem]) from error
        document, schema, problems = self._layers(name, kind, files)
        problems += [document.locate(problem) for problem in validate(document.data, schema)]
        if problems:
            raise DeclarationError(problems)
        try:
            value = None if kind is None else bind(document.data, kind)
        except DeclarationError as error:
            raise DeclarationError([document.locate(problem) for problem in error.problems]) from error
        snapshot = Snapshot.of(name, document, schema, self.environment.value)
        return _Loaded(snapshot, value, stamp, tuple(str(file.path) for file in files))

    def _layers(self, name: str, kind: Any, files: Sequence[LayerFile]) -> tuple[Document, Schema, list[Problem]]:
        """All layers of a configuration, its schema, and what of its values cannot be settled by that."""
        settings = read_settings(self.project, self.environment, self._variables)
        document = read_layers(files, allow_python=settings.allow_python)
        if settings.store:
            layer = stored_layer(settings.store, name, get_processor_factory(self.project))
            if layer:
                document.merge(layer)
        schema = schema_for(self.project, name, kind)
        apply_variables(document, name, self._variables, schema)
        apply_options(document, self._options, schema)
        return document, schema, settle(document, schema)


def schema_for(project: Path, name: str, kind: type | None = None) -> Schema:
    """What a configuration has to keep: the schema of a dataclass, and the hand-written one of the project.

    Raises:
        DeclarationError: the hand-written one cannot be read, or is no JSON Schema.
    """
    path = project / "config" / "schemas" / f"{name}.schema.json"
    label = f"config/schemas/{path.name}"
    parts: list[Schema] = [schema_of(kind)] if kind is not None else []
    if path.is_file():
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
            validate({}, written)
        except json.JSONDecodeError as error:
            raise DeclarationError(
                [Problem(f"is not valid JSON: {error.msg}", file=label, line=error.lineno)]
            ) from error
        except Exception as error:
            raise DeclarationError([Problem(f"is no JSON Schema: {error}", file=label)]) from error
        parts.append(written)
    return parts[0] if len(parts) == 1 else {"allOf": parts} if parts else {}


class ConfigWatch:
    """A watch over a configuration; a context manager, which stops it."""

    def __init__(self, manager: ConfigManager, name: str, callback: Callback, debounce: float) -> None:
        self._manager, self._name, self._callback = manager, name, callback
        self._stop = threading.Event()
        self._last = manager.snapshot(name)
        self._failed = ""
        self._telling = threading.Lock()
        threads = [threading.Thread(target=self._files, args=(debounce,), name=f"watch-{name}", daemon=True)]
        if address := read_settings(manager.project, manager.environment, manager._variables).store:  # noqa: SLF001
            threads.append(threading.Thread(target=self._store, args=(address,), daemon=True))
        self._threads = threads
        for thread in threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; no callback is called after this returns, unless it is this callback that stops it."""
        self._stop.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _files(self, debounce: float) -> None:
        import watchfiles

        folder = self._manager.project / "config"
        milliseconds = max(1, round(debounce * 1000))
        for _ in watchfiles.watch(
            folder,
            stop_event=self._stop,
            debounce=milliseconds,
            step=milliseconds,
            recursive=True,
            raise_interrupt=False,
        ):
            self._look()

    def _store(self, address: str) -> None:
        version = 0
        while not self._stop.is_set():
            try:
                with opened(address, get_processor_factory(self._manager.project)) as store:
                    if not version and (first := store.fetch(self._name)):
                        version = first.version
                    while not self._stop.is_set():
                        if newer := store.wait(self._name, version, _STORE_WAIT):
                            version = newer.version
                            self._look()
            except OreflowError as error:
                _log.warning("%s", error)
                self._stop.wait(_STORE_AWAY)

    def _look(self) -> None:
        with self._telling:
            problems: tuple[Problem, ...] = ()
            for change in self._manager.reload(self._name):
                problems = problems or change.problems
            now = self._manager._cache[self._name, None].snapshot  # noqa: SLF001  as it stands, good or not
            found = differences(self._last.masked, now.masked)
            failed = "; ".join(map(str, problems))
            if self._stop.is_set() or (not found and failed == self._failed):
                return
            change = ConfigChange(self._name, self._last, now, found, problems)
            self._last, self._failed = now, failed
            if not found and not problems:
                return  # what was broken is as it was before
            try:
                self._callback(change)
            except Exception:
                _log.exception("the callback of a watch over '%s' failed", self._name)


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
