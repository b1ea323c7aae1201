"""Everything that the command line does, for use from Python, under the same names.

Each function takes the project's folder. What is wrong in a declaration or a request is raised as
`DeclarationError`; a run that fails is not an error here, its report says so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oreflow.api.alerting import alerts, check_alerts, silence_alert, try_alert_channel
    from oreflow.api.checking import check_config, foreign_variables
    from oreflow.api.configuring import (
        config_difference,
        config_history,
        config_schema,
        effective_config,
        explain_config,
        pull_config,
        push_config,
        rollback_config,
    )
    from oreflow.api.ecosystem import check_plugin, doctor, new_plugin, plugin, plugins
    from oreflow.api.looking import batches, compare_runs, health, quarantine, runs, show_run, surroundings, tables
    from oreflow.api.making import init, lock, lock_changes, parity, plan, resources, run
    from oreflow.api.project import project_factory
    from oreflow.factory import ProcessorFactory, get_processor_factory
    from oreflow.pipeline.report import RunReport, TableResult


__all__ = [
    "ProcessorFactory",
    "RunReport",
    "TableResult",
    "alerts",
    "check_alerts",
    "batches",
    "check_config",
    "config_difference",
    "config_history",
    "config_schema",
    "check_plugin",
    "compare_runs",
    "doctor",
    "effective_config",
    "explain_config",
    "foreign_variables",
    "get_processor_factory",
    "health",
    "init",
    "lock",
    "lock_changes",
    "new_plugin",
    "parity",
    "plan",
    "plugin",
    "plugins",
    "project_factory",
    "pull_config",
    "push_config",
    "quarantine",
    "resources",
    "rollback_config",
    "run",
    "runs",
    "show_run",
    "silence_alert",
    "surroundings",
    "tables",
    "try_alert_channel",
]

_HOMES = {
    "oreflow.api.alerting": ("alerts", "check_alerts", "silence_alert", "try_alert_channel"),
    "oreflow.api.checking": ("check_config", "foreign_variables"),
    "oreflow.api.configuring": (
        "config_difference",
        "config_history",
        "config_schema",
        "effective_config",
        "explain_config",
        "pull_config",
        "push_config",
        "rollback_config",
    ),
    "oreflow.api.ecosystem": ("check_plugin", "doctor", "new_plugin", "plugin", "plugins"),
    "oreflow.api.looking": (
        "batches",
        "compare_runs",
        "health",
        "quarantine",
        "runs",
        "show_run",
        "surroundings",
        "tables",
    ),
    "oreflow.api.making": ("init", "lock", "lock_changes", "parity", "plan", "resources", "run"),
    "oreflow.api.project": ("project_factory",),
    "oreflow.factory": ("ProcessorFactory", "get_processor_factory"),
    "oreflow.pipeline.report": ("RunReport", "TableResult"),
}


def __getattr__(name: str) -> Any:
    # A verb loads what it needs when it is used: `--help` has no need of what reads configurations.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'oreflow.api' has no attribute '{name}'")
