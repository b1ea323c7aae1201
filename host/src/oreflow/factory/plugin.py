"""An installed plugin as the host knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry point's name, its distribution, and why it is not there, if it is not.

    `status` is ok, broken or disabled; `reason` says why and `mend` what helps. `notes` are what is
    wrong but harms nothing; `seconds` is how long it took to import, `brings` what it describes.
    """

    name: str
    distribution: str
    version: str
    status: str = "ok"
    reason: str = ""
    mend: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    brings: Mapping[str, Sequence[Any]] | None = None
    hooks: tuple[str, ...] = ()
    module: str = ""

    @property
    def key(self) -> str:
        """Its name among all plugins of all distributions."""
        return f"{self.distribution}:{self.name}"

    @property
    def origin(self) -> str:
        """The distribution with its version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"the plugin {self.name} of {self.origin}"


def plain(text: str) -> str:
    """A text that does nothing to a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
