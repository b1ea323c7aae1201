"""The configurations that runs have used: each content once, by its address, and the order in which they were in use.

They lie in the lake, beside what they made, so that whoever has the tables can tell how they came to be.
"""

from __future__ import annotations

import getpass
import itertools
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from oreflow.config.documents import IF_THERE, Mark
from oreflow.config.snapshot import Snapshot
from oreflow.contract import DeclarationError, Problem
from oreflow.pipeline.lake import Lake, json_files, read_json, write_json
from oreflow.secrets import MASK

_log = logging.getLogger("oreflow.config")

_DIGITS = 6


@dataclass(frozen=True)
class ConfigVersion:
    """A configuration from when a run first used it until one used another.

    `hash` is the address of its content; `at` (ISO 8601, UTC) and `user` are of its first run; `layers` say where its
    values came from, in the order of their weight.
    """

    version: int
    hash: str
    at: str
    user: str
    environment: str
    layers: tuple[str, ...]


class Versions:
    """The history of one configuration in a lake."""

    def __init__(self, lake: Lake, name: str) -> None:
        self._name = name
        self._folder = lake.state / "config" / name

    def record(self, config: Snapshot) -> ConfigVersion:
        """Note that a run uses a configuration; gives its version, a new one where the last was of another content."""
        last = next(iter(self.newest_first()), None)
        content = self._content(config.version)
        if read_json(content) is None:
            write_json(content, config.masked)
        if last and last.hash == config.version:
            return last
        numbers = [int(file.stem) for file in self._entries()]  # those of damaged entries too
        for number in itertools.count(max(numbers, default=0) + 1):
            entry = ConfigVersion(
                version=number,
                hash=config.version,
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                user=user(),
                environment=config.environment,
                layers=tuple(config.layers),
            )
            part = self._folder / f".{uuid4().hex}.part"
            write_json(part, asdict(entry))
            try:
                os.link(part, self._entry(number))
            except FileExistsError:  # another run was quicker
                continue
            else:
                return entry
            finally:
                part.unlink()
        raise AssertionError("numbers do not end")

    def _entries(self) -> list[Path]:
        return [file for file in json_files(self._folder) if file.stem.isdecimal()]

    def newest_first(self) -> Iterator[ConfigVersion]:
        """All versions, the latest first; those that somebody has damaged are left out, and warned of.

        Raises:
            OSError: the folder cannot be looked into.
        """
        for file in self._entries():
            try:
                yield _read(file)
            except _DamagedError as error:
                _log.warning("version %d of '%s' is not told of: %s", int(file.stem), self._name, error)

    def content(self, version: int) -> dict[str, Any]:
        """What a version says, its secrets masked.

        Raises:
            DeclarationError: there is no such version, or somebody has damaged it.
            OSError: the folder cannot be looked into.
        """
        known = [str(int(file.stem)) for file in reversed(self._entries())]
        if str(version) not in known:
            mend = f"there are {', '.join(known)}" if known else "no run has used any so far"
            raise DeclarationError([Problem(f"'{self._name}' has no version {version}", mend=mend)])
        try:
            return _value(self._content(_read(self._entry(version)).hash))
        except _DamagedError as error:
            mend = "bring the file back from a copy"
            raise DeclarationError([Problem(f"version {version} of '{self._name}': {error}", mend=mend)]) from error

    def _entry(self, version: int) -> Path:
        return self._folder / f"{version:0{_DIGITS}d}.json"

    def _content(self, address: str) -> Path:
        return self._folder / "contents" / f"{address}.json"


class _DamagedError(Exception):
    """A file cannot be read, or is not as it was written; the message names it."""


def _value(file: Path) -> dict[str, Any]:
    try:
        value = read_json(file)
    except OSError as error:
        raise _DamagedError(f"{file} cannot be read: {error.strerror}") from error
    if value is None:
        raise _DamagedError(f"{file} is {'damaged' if file.exists() else 'gone'}")
    return value


def _read(file: Path) -> ConfigVersion:
    value = _value(file)
    try:
        return ConfigVersion(**{**value, "layers": tuple(value["layers"])})
    except (TypeError, KeyError) as error:
        raise _DamagedError(f"{file} is damaged") from error


def user() -> str:
    """Who runs this process, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def overlay(below: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The layer that makes one configuration of another, in the marks of layers; secrets are left as they are."""
    layer: dict[str, Any] = {}
    for key, value in wanted.items():
        there = below.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            if inner := overlay(there, value):
                layer[key] = inner
        elif (key not in below or value != there) and not _has_mask(value):
            layer[key] = value
    layer |= {f"{key}@{Mark.REMOVE}": IF_THERE for key in below if key not in wanted}
    return layer


def _has_mask(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_mask, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_mask, value))
    return isinstance(value, str) and MASK in value
