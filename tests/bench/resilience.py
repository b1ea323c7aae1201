"""What resilience costs a call, side by side with other libraries: CPU time, the best of several rounds.

Each does the nearest thing to the same that it can; what it lacks, it does not pay for. A bare call is part of every
figure. Libraries that are not installed are left out, with a line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

ROUNDS = 40
SUCCESS, WINDOW, EVERYTHING, OPEN, FAILING, ASYNC = (
    "success, retry and breaker",
    "success, window and slow calls",
    "success, everything on",
    "open, raised and caught",
    "three attempts that fail",
    "success, async",
)
BOUNDS = {SUCCESS: 0.3, WINDOW: 1.0, EVERYTHING: 2.0, OPEN: 0.6, FAILING: 6.0, ASYNC: 0.8}
"""Microseconds, where a bare call takes `BARE`; on a slower machine, or one that is busy, as much more."""
BARE = {SUCCESS: 0.033, OPEN: 0.31}
"""Microseconds of a bare call, and of one that raises and is caught."""
RAISING = (OPEN, FAILING)
Call = Callable[[], Any]


def work() -> int:
    """What is called: nothing to speak of."""
    return 1


async def work_async() -> int:
    """The same for a task."""
    return 1


def fails() -> int:
    """What is down."""
    raise ConnectionError("down")


def _opened(call: Call) -> Call:
    for _ in range(10):
        with suppress(Exception):
            call()
    return call


def by_oreflow() -> dict[str, Call]:
    """All of it."""
    from oreflow.resilience import BreakerPolicy, RateLimitPolicy, resilient

    window = BreakerPolicy(window_calls=20, slow_call=10.0)
    limits = {"bulkhead": 4, "rate_limit": RateLimitPolicy(calls=1e9)}
    return {
        SUCCESS: resilient(max_attempts=3, use_circuit_breaker=True)(work),
        WINDOW: resilient(max_attempts=3, breaker=window)(work),
        EVERYTHING: resilient(max_attempts=3, breaker=window, budget=0.2, **limits)(work),
        OPEN: _opened(resilient(max_attempts=1, use_circuit_breaker=True)(fails)),
        FAILING: resilient(max_attempts=3, strategy="fixed_interval", base=0.0)(fails),
        ASYNC: resilient(max_attempts=3, use_circuit_breaker=True)(work_async),
    }


def by_tenacity() -> dict[str, Call]:
    """Retries alone."""
    import tenacity

    retry = tenacity.retry(stop=tenacity.stop_after_attempt(3), reraise=True)
    return {SUCCESS: retry(work), FAILING: retry(fails), ASYNC: retry(work_async)}


def by_stamina() -> dict[str, Call]:
    """Retries alone."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # without its log
    retry = stamina.retry(on=ConnectionError, attempts=3, wait_initial=0, wait_max=0, wait_jitter=0)
    return {SUCCESS: retry(work), FAILING: retry(fails), ASYNC: retry(work_async)}


def by_tenacity_and_pybreaker() -> dict[str, Call]:
    """One around the other."""
    import pybreaker
    import tenacity

    retry = tenacity.retry(stop=tenacity.stop_after_attempt(3), reraise=True)
    down = pybreaker.CircuitBreaker(fail_max=5)(fails)
    return {SUCCESS: retry(pybreaker.CircuitBreaker(fail_max=5)(work)), OPEN: _opened(down)}


def by_backoff_and_circuitbreaker() -> dict[str, Call]:
    """One around the other."""
    import backoff
    from circuitbreaker import circuit

    retry = backoff.on_exception(backoff.constant, ConnectionError, max_tries=3, interval=0, jitter=None, logger=None)
    return {
        SUCCESS: retry(circuit(failure_threshold=5)(work)),
        OPEN: _opened(circuit(failure_threshold=5)(fails)),
        FAILING: retry(fails),
        ASYNC: circuit(failure_threshold=5)(work_async),
    }


def by_pyresilience() -> dict[str, Call]:
    """All in one decorator."""
    from pyresilience import CircuitBreakerConfig, RetryConfig, resilient

    breaker = CircuitBreakerConfig(failure_threshold=5)
    return {
        SUCCESS: resilient(retry=RetryConfig(max_attempts=3), circuit_breaker=breaker)(work),
        OPEN: _opened(resilient(circuit_breaker=breaker)(fails)),
    }


def by_purgatory() -> dict[str, Call]:
    """A breaker alone."""
    from purgatory import SyncCircuitBreakerFactory

    return {SUCCESS: SyncCircuitBreakerFactory(default_threshold=5)("bench")(work)}


def by_hyx() -> dict[str, Call]:
    """Async only."""
    from hyx.retry import retry

    return {ASYNC: retry(on=ConnectionError, attempts=3)(work_async)}


def by_redress() -> dict[str, Call]:
    """Retries with classes of errors."""
    from redress import RetryPolicy, default_classifier

    def at_once(attempt: int, kind: object, before: float | None) -> float:
        return 0.0

    policy = RetryPolicy(classifier=default_classifier, strategy=at_once, max_attempts=3)
    return {SUCCESS: lambda: policy.call(work), FAILING: lambda: policy.call(fails)}


LIBRARIES: dict[str, Callable[[], dict[str, Call]]] = {
    "oreflow": by_oreflow,
    "tenacity": by_tenacity,
    "stamina": by_stamina,
    "tenacity and pybreaker": by_tenacity_and_pybreaker,
    "backoff and circuitbreaker": by_backoff_and_circuitbreaker,
    "pyresilience": by_pyresilience,
    "purgatory": by_purgatory,
    "hyx": by_hyx,
    "redress": by_redress,
}


def microseconds(case: str, call: Call) -> tuple[float, float]:
    """CPU time of a call; and how many times as long as in `BARE` a bare call takes meanwhile."""
    like, bare, measured = (OPEN, fails, _caught) if case in RAISING else (SUCCESS, work, _called)
    took, without = [], []
    for _ in range(ROUNDS):
        without.append(measured(bare, 10_000))
        took.append(
            asyncio.run(_awaited(call)) if case == ASYNC else measured(call, 1_000 if case == FAILING else 10_000)
        )
    return min(took), min(without) / BARE[like]


def _called(call: Call, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times * 1e6


def _caught(call: Call, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        try:  # noqa: SIM105  that is what is measured
            call()
        except Exception:
            pass
    return (time.process_time() - start) / times * 1e6


async def _awaited(call: Callable[[], Awaitable[Any]], times: int = 5_000) -> float:
    start = time.process_time()
    for _ in range(times):
        await call()
    return (time.process_time() - start) / times * 1e6


def bench_resilience(verdict: Callable[[str, float, float | None], bool]) -> list[bool]:
    """Measure and print; whether the bounds hold."""
    print("\nresilience: microseconds of CPU for a call")
    kept = []
    found: dict[str, dict[str, Call]] = {"a bare call": {SUCCESS: work, OPEN: fails, ASYNC: work_async}}
    for name, calls in LIBRARIES.items():
        try:
            found[name] = calls()
        except ImportError as error:
            print(f"  {name}: not measured, {error}")
    for case, most in BOUNDS.items():
        for name, calls in found.items():
            if case in calls:
                took, slower = microseconds(case, calls[case])
                kept.append(verdict(f"{case}: {name}", took, round(most * slower, 2) if name == "oreflow" else None))
    return kept


if __name__ == "__main__":

    def line(what: str, took: float, bound: float | None) -> bool:
        """Print a figure."""
        print(f"  {what:60} {took:9.3f}" + ("" if bound is None else f"  bound {bound}"))
        return bound is None or took <= bound

    bench_resilience(line)
