"""Configuration: layered files whose every value knows where it came from, typed, validated, reloaded, shared."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oreflow.config.binding import Size, bind, schema_of
    from oreflow.config.layers import Environment
    from oreflow.config.manager import ConfigManager, get_config_manager
    from oreflow.config.snapshot import Difference, Snapshot, Spoken, differences
    from oreflow.config.watching import ConfigChange, ConfigWatch
    from oreflow.secrets import Secret

__all__ = [
    "ConfigChange",
    "ConfigManager",
    "ConfigWatch",
    "Difference",
    "Environment",
    "Secret",
    "Size",
    "Snapshot",
    "Spoken",
    "bind",
    "differences",
    "get_config_manager",
    "schema_of",
]

_HOMES = {
    "binding": ("Size", "bind", "schema_of"),
    "layers": ("Environment",),
    "manager": ("ConfigManager", "get_config_manager"),
    "snapshot": ("Difference", "Snapshot", "Spoken", "differences"),
    "watching": ("ConfigChange", "ConfigWatch"),
}


def __getattr__(name: str) -> Any:
    # Loaded when first used: a run has no need of the manager.
    if name == "Secret":
        return importlib.import_module("oreflow.secrets").Secret
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"oreflow.config.{home}"), name)
    raise AttributeError(f"module 'oreflow.config' has no attribute '{name}'")
