"""oreflow: medallion data pipelines, declared once in YAML, run on the engine that fits.

Everything that the command line does can be done from here, and everything that a plugin needs is here. Names are
loaded when they are first used, so that `import oreflow` costs next to nothing.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = ("oreflow.contract", "oreflow.hookspecs", "oreflow.api")
"""The modules whose `__all__` is offered here, those that cost least first."""

if TYPE_CHECKING:
    from oreflow.api import *
    from oreflow.contract import *
    from oreflow.hookspecs import *


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return ["__version__", *(offered for home in _HOMES for offered in importlib.import_module(home).__all__)]
    # `from oreflow import hookspecs` asks here before it looks for a module; no other module is to be asked for that.
    if not name.startswith("_") and find_spec(f"{__name__}.{name}") is None:
        for home in map(importlib.import_module, _HOMES):
            if name in home.__all__:
                return getattr(home, name)
    raise AttributeError(f"module 'oreflow' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__getattr__("__all__"))
