"""Which installed plugins may be loaded: decided by names alone, before anything of them is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

VARIABLE = "OREFLOW_PLUGINS"
PROJECT_FILE = "oreflow_plugins.py"
"""The plugin of a project that needs no package; `plugins.allow` knows it by this name."""


@dataclass(frozen=True)
class Policy:
    """`allow` is the configuration's list of distributions (None: all); `said` is the value of OREFLOW_PLUGINS.

    In the variable, names are separated by commas: `-NAME` leaves a plugin out; where a name stands without a
    minus, only those that stand so are loaded. A name is a distribution's or a plugin's; `-*` leaves all out.
    """

    allow: tuple[str, ...] | None = None
    said: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str], allow: Iterable[str] | None = None) -> Policy:
        """The policy of a process and a configuration."""
        return cls(None if allow is None else tuple(allow), environ.get(VARIABLE, ""))

    def refusal(self, distribution: str, name: str) -> str:
        """Why a plugin is not loaded; '' where it may be."""
        names = {normal(distribution), normal(name)}
        if self.allow is not None and normal(distribution) not in map(normal, self.allow):
            return "not in plugins.allow"
        if names & self._left_out or "*" in self._left_out:
            return f"left out by {VARIABLE}"
        if self._only and not names & self._only:
            return f"not among those that {VARIABLE} names"
        return ""

    def unknown(self, known: Iterable[str]) -> list[str]:
        """The names in the variable that no installed plugin or distribution has."""
        there = {normal(name) for name in known}
        return sorted((self._only | self._left_out) - there - {"*"})

    @property
    def _left_out(self) -> set[str]:
        return {normal(part[1:]) for part in self._parts if part.startswith("-")}

    @property
    def _only(self) -> set[str]:
        return {normal(part) for part in self._parts if not part.startswith("-")}

    @property
    def _parts(self) -> list[str]:
        return [part.strip() for part in self.said.split(",") if part.strip()]


def normal(name: str) -> str:
    """A name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
