"""Plugins that are handed over in place of what is installed, as entry points that discovery can read."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

GROUP = "oreflow.plugins"
GIVEN = "given-to-the-test"
"""The distribution of what is no package's."""


class _Here(Distribution):
    """The distribution that plugins which are no package's seem to come from."""

    def read_text(self, filename: str) -> str | None:
        """Its metadata, and no other file."""
        return f"Metadata-Version: 2.1\nName: {GIVEN}\nVersion: 0\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Path:
        """Where a file of it would lie."""
        return Path(path)


class _Given(EntryPoint):
    """An entry point that leads to an object which is there already."""

    dist = _Here()

    def __init__(self, name: str, plugin: object) -> None:
        home = plugin if isinstance(plugin, type) else type(plugin)
        value = plugin.__name__ if isinstance(plugin, ModuleType) else f"{home.__module__}:{home.__qualname__}"
        super().__init__(name, value, GROUP)
        vars(self)["_plugin"] = plugin

    def load(self) -> Any:
        """The object."""
        return vars(self)["_plugin"]


def entry_points_of(plugins: Iterable[object], installed: Iterable[EntryPoint]) -> list[EntryPoint]:
    """An entry point for each plugin: an object, an entry point, or the name of an installed one."""
    there = list(installed)
    found: list[EntryPoint] = []
    for number, plugin in enumerate(plugins):
        if isinstance(plugin, EntryPoint):
            found.append(plugin)
        elif isinstance(plugin, str):
            named = [p for p in there if plugin in (p.name, p.dist.name if p.dist else "")]
            if not named:
                names = ", ".join(sorted(p.name for p in there))
                raise LookupError(f"no plugin '{plugin}' is installed; there are {names or 'none'}")
            found += named
        elif isinstance(plugin, ModuleType) and (own := [p for p in there if p.value == plugin.__name__]):
            found += own
        else:
            found.append(_Given(f"given_{number}", plugin))
    return found
