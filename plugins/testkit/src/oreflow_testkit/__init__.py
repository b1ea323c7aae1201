"""oreflow-testkit: proves that a processor keeps the contract, as a pytest class or by one call.

Names are loaded when they are first used: pytest loads this package in every session, because of its fixtures.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME_OF = {
    "ProcessorConformance": "oreflow_testkit.conformance",
    "judge": "oreflow_testkit.judgement",
    "Judgement": "oreflow_testkit.judgement",
    "CHECKS": "oreflow_testkit.checks",
    "ConformanceCheck": "oreflow_testkit.checks",
    "NotApplicable": "oreflow_testkit.errors",
    "ContractBroken": "oreflow_testkit.errors",
    "Subject": "oreflow_testkit.subject",
    "TinyLake": "oreflow_testkit.lake",
    "DEFAULT_ROWS": "oreflow_testkit.sample",
}

__all__ = [
    "ProcessorConformance",
    "judge",
    "Judgement",
    "CHECKS",
    "ConformanceCheck",
    "ContractBroken",
    "NotApplicable",
    "Subject",
    "TinyLake",
    "DEFAULT_ROWS",
]

if TYPE_CHECKING:
    from oreflow_testkit.checks import CHECKS, ConformanceCheck
    from oreflow_testkit.conformance import ProcessorConformance
    from oreflow_testkit.judgement import Judgement, judge
    from oreflow_testkit.lake import TinyLake
    from oreflow_testkit.sample import DEFAULT_ROWS
    from oreflow_testkit.subject import Subject


def __getattr__(name: str) -> Any:
    if home := _HOME_OF.get(name):
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'oreflow_testkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
