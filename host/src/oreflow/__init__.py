"""oreflow: medallion data pipelines, declared once in YAML, run on the engine that fits.

Everything that the command line does can be done from here. Names are loaded when they are first
used, so that `import oreflow` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "oreflow.api": (
        "check_plugin",
        "doctor",
        "init",
        "lock",
        "lock_changes",
        "new_plugin",
        "plan",
        "plugin",
        "plugins",
        "project_factory",
        "quarantine",
        "run",
        "runs",
        "tables",
    ),
    "oreflow.factory": ("ProcessorFactory", "get_processor_factory"),
    "oreflow.hookspecs": ("hookimpl", "hookspec"),
    "oreflow.pipeline.report": ("RunReport", "TableResult"),
    "oreflow.contract": (
        "Append",
        "Check",
        "CheckType",
        "DataType",
        "DeclarationError",
        "Engine",
        "Merge",
        "OreflowError",
        "Output",
        "Overwrite",
        "Problem",
        "ProcessingConfig",
        "ProcessingEngine",
        "ProcessingStage",
        "Processor",
        "ProcessorCapability",
        "ProcessorMetadata",
        "Rule",
        "Step",
        "StepError",
        "TableFormat",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "__version__",
    "check_plugin",
    "doctor",
    "init",
    "lock",
    "lock_changes",
    "new_plugin",
    "plan",
    "plugin",
    "plugins",
    "project_factory",
    "quarantine",
    "run",
    "runs",
    "tables",
    "ProcessorFactory",
    "get_processor_factory",
    "hookimpl",
    "hookspec",
    "RunReport",
    "TableResult",
    "Append",
    "Check",
    "CheckType",
    "DataType",
    "DeclarationError",
    "Engine",
    "Merge",
    "OreflowError",
    "Output",
    "Overwrite",
    "Problem",
    "ProcessingConfig",
    "ProcessingEngine",
    "ProcessingStage",
    "Processor",
    "ProcessorCapability",
    "ProcessorMetadata",
    "Rule",
    "Step",
    "StepError",
    "TableFormat",
]

if TYPE_CHECKING:
    from oreflow.api import (
        check_plugin,
        doctor,
        init,
        lock,
        lock_changes,
        new_plugin,
        plan,
        plugin,
        plugins,
        project_factory,
        quarantine,
        run,
        runs,
        tables,
    )
    from oreflow.contract import (
        Append,
        Check,
        CheckType,
        DataType,
        DeclarationError,
        Engine,
        Merge,
        OreflowError,
        Output,
        Overwrite,
        Problem,
        ProcessingConfig,
        ProcessingEngine,
        ProcessingStage,
        Processor,
        ProcessorCapability,
        ProcessorMetadata,
        Rule,
        Step,
        StepError,
        TableFormat,
    )
    from oreflow.factory import ProcessorFactory, get_processor_factory
    from oreflow.hookspecs import hookimpl, hookspec
    from oreflow.pipeline.report import RunReport, TableResult


def __getattr__(name: str) -> Any:
    if home := _HOME_OF.get(name):
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'oreflow' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
