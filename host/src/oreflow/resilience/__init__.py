"""Resilience: calls that are retried, bounded, and left alone when what they call is down.

    @resilient(max_attempts=3, strategy=RetryStrategy.EXPONENTIAL_BACKOFF, use_circuit_breaker=True)
    def fetch(): ...

    executor = create_resilient_executor(max_attempts=5)
    executor.execute(fetch)
    await executor.execute_async(fetch_async)
    executor.execute_bulk(load, files, max_failure_ratio=0.1)

See docs/how-to/resilience.md.

Names are loaded when they are first used: whoever only asks what kind of fault an error is does not pay for asyncio.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oreflow.resilience.api import create_resilient_executor, get_resilience, resilient, set_resilience
    from oreflow.resilience.breaker import BreakerFigures, BreakerState, CircuitBreaker
    from oreflow.resilience.bulk import BulkReport, ItemOutcome, ItemStatus
    from oreflow.resilience.classification import Classification, Classifier, ErrorClass, Severity, classify
    from oreflow.resilience.clock import Clock
    from oreflow.resilience.errors import (
        Attempts,
        AttemptTimeoutError,
        BulkheadFullError,
        CircuitOpenError,
        RateLimitedError,
        RejectedError,
        ResilienceError,
        attempts_of,
    )
    from oreflow.resilience.events import Event, EventKind
    from oreflow.resilience.executor import ResilientExecutor
    from oreflow.resilience.policy import (
        BreakerPolicy,
        BulkheadPolicy,
        HedgePolicy,
        Policy,
        RateLimitPolicy,
        RetryPolicy,
    )
    from oreflow.resilience.resources import Resilience
    from oreflow.resilience.waits import Jitter, RetryStrategy, backoff

_HOMES = {
    "api": ("create_resilient_executor", "get_resilience", "resilient", "set_resilience"),
    "waits": ("Jitter", "RetryStrategy", "backoff"),
    "breaker": ("BreakerFigures", "BreakerState", "CircuitBreaker"),
    "bulk": ("BulkReport", "ItemOutcome", "ItemStatus"),
    "classification": ("Classification", "Classifier", "ErrorClass", "Severity", "classify"),
    "clock": ("Clock",),
    "errors": (
        "AttemptTimeoutError",
        "Attempts",
        "BulkheadFullError",
        "CircuitOpenError",
        "RateLimitedError",
        "RejectedError",
        "ResilienceError",
        "attempts_of",
    ),
    "events": ("Event", "EventKind"),
    "executor": ("ResilientExecutor",),
    "policy": ("BreakerPolicy", "BulkheadPolicy", "HedgePolicy", "Policy", "RateLimitPolicy", "RetryPolicy"),
    "resources": ("Resilience",),
}
__all__ = [
    "AttemptTimeoutError",
    "Attempts",
    "BreakerFigures",
    "BreakerPolicy",
    "BreakerState",
    "BulkReport",
    "BulkheadFullError",
    "BulkheadPolicy",
    "CircuitBreaker",
    "CircuitOpenError",
    "Classification",
    "Classifier",
    "Clock",
    "ErrorClass",
    "Event",
    "EventKind",
    "HedgePolicy",
    "ItemOutcome",
    "ItemStatus",
    "Jitter",
    "Policy",
    "RateLimitPolicy",
    "RateLimitedError",
    "RejectedError",
    "Resilience",
    "ResilienceError",
    "ResilientExecutor",
    "RetryPolicy",
    "RetryStrategy",
    "Severity",
    "attempts_of",
    "backoff",
    "classify",
    "create_resilient_executor",
    "get_resilience",
    "resilient",
    "set_resilience",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
