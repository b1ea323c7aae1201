"""How long to wait before the next attempt: pure functions of the attempt and of the wait before.

The jitters are those of "Exponential Backoff And Jitter" (AWS Architecture Blog, M. Brooker, 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class RetryStrategy(StrEnum):
    """How waits grow."""

    FIXED_INTERVAL = "fixed_interval"
    EXPONENTIAL_BACKOFF = "exponential_backoff"
    LINEAR = "linear"
    FIBONACCI = "fibonacci"
    RANDOM_JITTER = "random_jitter"


class Jitter(StrEnum):
    """What chance makes of a wait.

    Nothing; anything up to it; half of it to all of it; `DECORRELATED`: from `base` to three times the wait before.
    """

    NONE = "none"
    FULL = "full"
    EQUAL = "equal"
    DECORRELATED = "decorrelated"


_GREATEST_EXPONENT = 64  # beyond it every cap that a person means is reached


def _fibonacci(attempt: int) -> int:
    one, other = 0, 1
    for _ in range(min(attempt, _GREATEST_EXPONENT)):
        one, other = other, one + other
    return one


GROWTH: dict[RetryStrategy, Callable[[int], int]] = {
    RetryStrategy.FIXED_INTERVAL: lambda attempt: 1,  # noqa: ARG005  all of them take the attempt
    RetryStrategy.LINEAR: lambda attempt: attempt,
    RetryStrategy.EXPONENTIAL_BACKOFF: lambda attempt: 1 << min(attempt - 1, _GREATEST_EXPONENT),
    RetryStrategy.FIBONACCI: _fibonacci,
    RetryStrategy.RANDOM_JITTER: lambda attempt: 1 << min(attempt - 1, _GREATEST_EXPONENT),
}
"""For each strategy, how many times `base` the wait after the nth attempt is, before cap and jitter."""


def backoff(
    strategy: RetryStrategy, jitter: Jitter, attempt: int, previous: float, base: float, cap: float, chance: float
) -> float:
    """Seconds to wait after an attempt that failed (the first is 1), never more than `cap`.

    `previous` is the wait before (0 where there was none), `chance` a number of [0, 1).
    """
    if jitter is Jitter.DECORRELATED:
        return min(cap, base + chance * (max(3 * previous, base) - base))
    wait = base if strategy is RetryStrategy.FIXED_INTERVAL else base * GROWTH[strategy](attempt)
    wait = min(wait, cap)
    if jitter is Jitter.FULL:
        return wait * chance
    return wait / 2 + wait / 2 * chance if jitter is Jitter.EQUAL else wait
