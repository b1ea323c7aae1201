"""Whose a name is that several distributions bring: the rule, and nothing but names decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from oreflow.factory.homes import HOMES
from oreflow.factory.plugin import Plugin

BY_HAND = "registered by hand"
KINDS = {
    "processor": "processors",
    "engine": "engines",
    "table format": "table_formats",
    "check type": "check_types",
    "config store": "config_stores",
    "breaker board": "breaker_boards",
    "section": "sections",
    "metric backend": "metric_backends",
    "trace backend": "trace_backends",
    "alert channel": "alert_channels",
}
"""What a plugin can bring, with the hook that describes it."""


@dataclass(frozen=True)
class Brought:
    """Something that a plugin describes. `conflict` says which other plugin has the name; it is then no plain name."""

    item: Any
    plugin: Plugin
    conflict: str = ""

    @property
    def name(self) -> str:
        """The name to ask for it by."""
        return f"{self.plugin.distribution}:{self.item.name}" if self.conflict else self.item.name


def owned(what: str, plugins: Iterable[Plugin]) -> list[Brought]:
    """All that plugins bring of a kind, each under the name to ask for it by.

    A name that two distributions bring belongs to the one that the host knows it of, else to neither.
    """
    by_name: dict[str, list[Brought]] = {}
    for plugin in plugins:
        for item in (plugin.brings or {}).get(KINDS[what], ()):
            by_name.setdefault(item.name, []).append(Brought(item, plugin))
    return [brought for name, rivals in by_name.items() for brought in _settled(what, name, rivals)]


def _settled(what: str, name: str, rivals: list[Brought]) -> list[Brought]:
    owners = [b for b in rivals if b.plugin.distribution == HOMES.get((what, name))]
    by_hand = all(brought.plugin.distribution == BY_HAND for brought in rivals)
    free = len(rivals) == 1 and (by_hand or (what, name) not in HOMES)
    owner = rivals[0] if free else next(iter(owners), None)
    found = []
    for brought in rivals:
        others = " and ".join(str(b.plugin) for b in rivals if b is not brought) or HOMES.get((what, name), "")
        ask_for = f"; ask for it as {brought.plugin.distribution}:{name}" if what == "processor" else ""
        conflict = f"the {what} '{name}' is brought by {others} as well{ask_for}"
        found.append(brought if brought is owner else replace(brought, conflict=conflict))
    return found


def listed(found: Iterable[Brought]) -> Mapping[str, tuple[Any, str]]:
    """What is brought, with the key of its plugin, by the name to ask for it by."""
    return {brought.name: (brought.item, brought.plugin.key) for brought in found}
