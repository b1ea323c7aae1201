"""A shared store of configurations: what a plugin has to give for a layer that many machines have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oreflow.contract.errors import OreflowError


@dataclass(frozen=True)
class StoredConfig:
    """One version of what a store has of a configuration.

    `version` counts from 1; `data` are plain values (those of JSON), as a layer says them; `author` and `at` (ISO 8601,
    UTC) say who published it and when.
    """

    name: str
    version: int
    data: Mapping[str, Any]
    author: str = ""
    at: str = ""


class StoreError(OreflowError):
    """A store that cannot be reached, or does not do what it is asked for."""


class StoreAway(StoreError):
    """A store that does not answer: asking again within the same command would only be to wait again."""


class StoreDenied(StoreAway):
    """A store that does not let us in; to ask again is of no use before somebody has given us another password."""


class StoreConflict(StoreError):
    """Somebody else has published since; `current` is the version that the store has (0: none)."""

    def __init__(self, name: str, expected: int, current: int) -> None:
        self.current = current
        super().__init__(f"the store has version {current} of '{name}' by now, and this is made on version {expected}")


class ConfigStore(ABC):
    """A store at one address. It may be asked by several threads; every method raises `StoreError`."""

    @abstractmethod
    def fetch(self, name: str, version: int | None = None) -> StoredConfig | None:
        """The latest version of a configuration, or the one asked for; None where there is none."""

    @abstractmethod
    def publish(self, name: str, data: Mapping[str, Any], *, expected: int, author: str) -> StoredConfig:
        """Publish a whole version after version `expected` (0: the first); others see all of it or nothing.

        Raises:
            StoreConflict: the latest version is another one; nothing was changed.
        """

    @abstractmethod
    def wait(self, name: str, version: int, seconds: float) -> StoredConfig | None:
        """Wait until there is another version than `version`, at most so long; None where there is none by then."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""
