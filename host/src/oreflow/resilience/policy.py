"""What is done about failures, as values: each policy says one thing, and `Policy` has them all.

Times are seconds, shares and rates of failure are from 0 to 1. The words are those of resilience4j and Polly.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from oreflow.resilience.waits import Jitter, RetryStrategy

Errors = tuple[type[BaseException], ...]

_WITHOUT_CHANCE = {RetryStrategy.FIXED_INTERVAL, RetryStrategy.LINEAR, RetryStrategy.FIBONACCI}


LONGEST = 1e8
"""Seconds, some three years: what the system's own waits can still take."""


_MOST = 1_000_000
"""Places that are kept in memory."""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_time(value: object, name: str, *, or_zero: bool = False) -> None:
    wanted = f"a number of seconds, {'0' if or_zero else 'above 0,'} to 1e8"
    fits = _is_number(value) and (0 < value <= LONGEST or (or_zero and value == 0))
    _check(holds=value is None or fits, field_name=name, wanted=wanted, found=value)


def _check_share(value: object, name: str) -> None:
    fits = _is_number(value) and 0 < value <= 1
    _check(holds=value is None or fits, field_name=name, wanted="a share, above 0, to 1", found=value)


def _check_count(value: object, name: str, least: int = 1) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
    _check(holds=value is None or fits, field_name=name, wanted=f"a whole number, {least} or more", found=value)


def _errors(policy: Any, *names: str) -> None:
    """Let lists of errors be tuples.

    Raises:
        ValueError: there is something else among them.
    """
    for name in names:
        given = getattr(policy, name)
        kinds = (given,) if isinstance(given, type) else tuple(given)
        wrong = [kind for kind in kinds if not (isinstance(kind, type) and issubclass(kind, BaseException))]
        _check(holds=not wrong, field_name=name, wanted="classes of errors", found=given)
        object.__setattr__(policy, name, kinds)


def _check(*, holds: bool, field_name: str, wanted: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{field_name} is {wanted}, not {found!r}")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When and how often a failed call is made again.

    `max_attempts` counts the first one. `base` and `cap` bound the waits, of which `strategy` and `jitter` (None: full
    for exponential backoff, none for fixed, linear and Fibonacci) make each. `deadline` is how long all attempts and
    waits may take together: no attempt begins after it. `retry_on` are errors that are retried whatever they are
    classified as, `never_on` such that never are. `retry_result` tells a result that is a failure; when no attempt is
    left it is what the caller gets. `idempotent=False`: only what has proved not to have happened is made again.
    `budget` is the share of calls that may be retries on the whole: the throttling of gRPC A6, with this ratio.
    """

    max_attempts: int = 3
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL_BACKOFF
    base: float = 0.2
    cap: float = 30.0
    jitter: Jitter | None = None
    deadline: float | None = None
    retry_on: Errors = ()
    never_on: Errors = ()
    retry_result: Callable[[Any], bool] | None = None
    idempotent: bool = True
    budget: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategy", RetryStrategy(self.strategy))
        _errors(self, "retry_on", "never_on")
        asynchronous = inspect.iscoroutinefunction(self.retry_result)
        _check(holds=not asynchronous, field_name="retry_result", wanted="a plain function", found="an async one")
        if self.jitter is None:
            chosen = Jitter.NONE if self.strategy in _WITHOUT_CHANCE else Jitter.FULL
        else:
            chosen = Jitter(self.jitter)
        object.__setattr__(self, "jitter", chosen)
        _check_count(self.max_attempts, "max_attempts")
        _check_time(self.base, "base", or_zero=True)
        _check_time(self.cap, "cap", or_zero=True)
        _check(holds=self.cap >= self.base, field_name="cap", wanted="at least base", found=self.cap)
        _check_time(self.deadline, "deadline")
        _check_share(self.budget, "budget")
        random = self.strategy is RetryStrategy.RANDOM_JITTER
        _check(
            holds=not (random and chosen is Jitter.NONE),
            field_name="jitter",
            wanted="full, equal or decorrelated with the strategy random_jitter",
            found=str(chosen),
        )


@dataclass(frozen=True, kw_only=True)
class BreakerPolicy:
    """When a resource is left alone, and how it is tried again.

    `consecutive_failures` in a row open the breaker (None: they do not). With a window, so does a share of failures
    of `failure_rate`, or a share of `slow_call_rate` of calls that took `slow_call` seconds or longer, once
    `minimum_calls` are in it: the last `window_calls` calls, or those of the last `window_seconds`. It is judged
    when a call fails or is slow. It stays open for `recovery` seconds, each time it opens anew without having
    closed `recovery_growth` times longer, at most `max_recovery`. Then, half open, `half_open_permits` calls are
    let through, at most `half_open_concurrency` at the same time, and decide. `ignore` are errors that are neither
    success nor failure, `record` such that are failures whatever they are classified as; configuration, data and
    permanent errors are ignored unless `record` has them, since they tell nothing of the resource.
    """

    consecutive_failures: int | None = None
    window_calls: int | None = None
    window_seconds: float | None = None
    failure_rate: float = 0.5
    minimum_calls: int = 10
    slow_call: float | None = None
    slow_call_rate: float = 1.0
    recovery: float = 60.0
    recovery_growth: float = 2.0
    max_recovery: float = 600.0
    half_open_permits: int = 1
    half_open_concurrency: int | None = None
    ignore: Errors = ()
    record: Errors = ()

    def __post_init__(self) -> None:
        both = self.window_calls is not None and self.window_seconds is not None
        _errors(self, "ignore", "record")
        windows = self.window_calls is not None or self.window_seconds is not None
        if not windows and self.consecutive_failures is None:
            object.__setattr__(self, "consecutive_failures", 5)
        _check(holds=not both, field_name="a window", wanted="one of calls or of seconds", found="both")
        for name in (
            "consecutive_failures",
            "window_calls",
            "minimum_calls",
            "half_open_permits",
            "half_open_concurrency",
        ):
            _check_count(getattr(self, name), name)
        small = self.window_calls is None or self.window_calls <= _MOST
        _check(holds=small, field_name="window_calls", wanted="at most 1000000", found=self.window_calls)
        for name in ("window_seconds", "slow_call", "recovery", "max_recovery"):
            _check_time(getattr(self, name), name)
        for name in ("failure_rate", "slow_call_rate"):
            _check_share(getattr(self, name), name)
        _check(
            holds=_is_number(self.recovery_growth) and self.recovery_growth >= 1,
            field_name="recovery_growth",
            wanted="1 or more",
            found=self.recovery_growth,
        )
        if self.max_recovery < self.recovery:
            object.__setattr__(self, "max_recovery", self.recovery)
        _check(
            holds=self.slow_call is None or windows,
            field_name="slow_call",
            wanted="only with a window",
            found=self.slow_call,
        )


@dataclass(frozen=True, kw_only=True)
class BulkheadPolicy:
    """How many calls may be under way at the same time.

    Further ones wait in a `queue` of so many, for `wait` seconds at most (None: until it is their turn).
    """

    limit: int
    queue: int = 0
    wait: float | None = None

    def __post_init__(self) -> None:
        _check_count(self.limit, "limit")
        _check(holds=self.limit <= _MOST, field_name="limit", wanted="at most 1000000", found=self.limit)
        _check_count(self.queue, "queue", least=0)
        _check_time(self.wait, "wait", or_zero=True)


@dataclass(frozen=True, kw_only=True)
class RateLimitPolicy:
    """How many calls may begin: `calls` in `seconds` (a token bucket of that size), waiting at most `wait` for it.

    `adaptive`: there is no limit until the resource says for the first time that it is asked too often; then the rate
    follows what it takes, as the adaptive retry mode of the AWS SDKs does it (CUBIC, RFC 8312).
    """

    calls: float | None = None
    seconds: float = 1.0
    wait: float = 60.0
    adaptive: bool = False

    def __post_init__(self) -> None:
        _check(
            holds=self.adaptive == (self.calls is None),
            field_name="calls",
            wanted="a number, or adaptive is true",
            found=self.calls,
        )
        is_rate = _is_number(self.calls) and (self.calls or 0) > 0
        _check(holds=self.calls is None or is_rate, field_name="calls", wanted="above 0", found=self.calls)
        _check_time(self.seconds, "seconds")
        _check_time(self.wait, "wait", or_zero=True)


@dataclass(frozen=True, kw_only=True)
class HedgePolicy:
    """A second call beside one that is late.

    A call that has not answered after `delay` seconds is made once more beside it, up to `most` times; the first answer
    counts. Only for reads: the others go on.
    """

    delay: float
    most: int = 1

    def __post_init__(self) -> None:
        _check_time(self.delay, "delay", or_zero=True)
        _check_count(self.most, "most")


_PARTS = {
    "retry": RetryPolicy,
    "breaker": BreakerPolicy,
    "rate_limit": RateLimitPolicy,
    "bulkhead": BulkheadPolicy,
    "hedge": HedgePolicy,
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All that is done around a call, from the outside to the inside.

    `fallback`, `retry`, `breaker`, `rate_limit`, `bulkhead`, `hedge`, `timeout` (seconds of one attempt): each attempt
    of the retry goes through all that stands behind it in this order. `fallback` makes a result of the error with which
    the call has failed for good.
    """

    fallback: Callable[[BaseException], Any] | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy | None = None
    rate_limit: RateLimitPolicy | None = None
    bulkhead: BulkheadPolicy | None = None
    hedge: HedgePolicy | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        _check_time(self.timeout, "timeout")
        callable_or_none = self.fallback is None or callable(self.fallback)
        _check(holds=callable_or_none, field_name="fallback", wanted="a function of the error", found=self.fallback)
        for name, kind in _PARTS.items():
            value = getattr(self, name)
            fits = value is None or isinstance(value, kind)
            _check(holds=fits, field_name=name, wanted=f"a {kind.__name__}", found=value)
