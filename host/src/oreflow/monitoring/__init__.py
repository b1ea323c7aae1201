"""Monitoring as a library: metrics, timers and logs, for pipelines, for plugins and for any program.

A run writes to the same collector as the program around it, so that one endpoint shows both. Names are loaded when they
are first used; a run without a section `monitoring` in its declaration loads nothing from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oreflow.monitoring.collector import MetricsCollector, Operation, get_metrics_collector
    from oreflow.monitoring.decorators import counted, timed
    from oreflow.monitoring.loggers import get_logger
    from oreflow.monitoring.places import query
    from oreflow.monitoring.propagation import continued_trace, trace_headers

_HOMES = {
    "oreflow.monitoring.collector": ("MetricsCollector", "Operation", "get_metrics_collector"),
    "oreflow.monitoring.decorators": ("counted", "timed"),
    "oreflow.monitoring.places": ("query",),
    "oreflow.monitoring.loggers": ("get_logger",),
    "oreflow.monitoring.propagation": ("continued_trace", "trace_headers"),
}

__all__ = [
    "MetricsCollector",
    "Operation",
    "continued_trace",
    "counted",
    "get_logger",
    "get_metrics_collector",
    "query",
    "timed",
    "trace_headers",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'oreflow.monitoring' has no attribute '{name}'")
