"""The short ways: a decorator, and an executor of a few words."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Never, ParamSpec, TypedDict, TypeVar, Unpack

from oreflow.resilience.executor import ResilientExecutor
from oreflow.resilience.policy import (
    BreakerPolicy,
    BulkheadPolicy,
    Errors,
    HedgePolicy,
    Policy,
    RateLimitPolicy,
    RetryPolicy,
)
from oreflow.resilience.resources import Resilience
from oreflow.resilience.waits import Jitter, RetryStrategy

P = ParamSpec("P")
T = TypeVar("T")


class Options(TypedDict, total=False):
    """What `resilient` and `create_resilient_executor` take: the fields of `RetryPolicy`, and the other policies.

    `use_circuit_breaker=True` is `breaker=BreakerPolicy()`; `bulkhead` may be a number, `hedge` its delay. With `name`
    it is a resource of the process, with one breaker for all who name it; without, it is one of its own.
    """

    name: str
    max_attempts: int
    strategy: RetryStrategy
    base: float
    cap: float
    jitter: Jitter | None
    deadline: float | None
    retry_on: Errors
    never_on: Errors
    retry_result: Callable[[Any], bool] | None
    idempotent: bool
    budget: float | None
    use_circuit_breaker: bool
    breaker: BreakerPolicy | None
    rate_limit: RateLimitPolicy | None
    bulkhead: BulkheadPolicy | int | None
    hedge: HedgePolicy | float | None
    timeout: float | None
    fallback: Callable[[BaseException], Any] | None


_RETRY = {each.name for each in fields(RetryPolicy)}
_OTHERS = {each.name for each in fields(Policy)} - {"retry"}

_resilience = [Resilience()]


def get_resilience() -> Resilience:
    """The resources of this process."""
    return _resilience[0]


def set_resilience(resilience: Resilience) -> Resilience:
    """Have other resources from now on, such as none in each test; gives those that were there.

    What has an executor already keeps it.
    """
    before, _resilience[0] = _resilience[0], resilience
    return before


def _policy(options: Options) -> Policy:
    given: dict[str, Any] = dict(options)
    if given.pop("use_circuit_breaker", False) and given.get("breaker") is None:
        given["breaker"] = BreakerPolicy()
    if isinstance(given.get("bulkhead"), int) and not isinstance(given["bulkhead"], bool):
        given["bulkhead"] = BulkheadPolicy(limit=given["bulkhead"])
    if isinstance(given.get("hedge"), (int, float)):
        given["hedge"] = HedgePolicy(delay=given["hedge"])
    retry = {key: value for key, value in given.items() if key in _RETRY}
    others = {key: value for key, value in given.items() if key in _OTHERS}
    if unknown := given.keys() - _RETRY - _OTHERS:
        first = min(unknown)
        close = difflib.get_close_matches(first, [*_RETRY, *_OTHERS, "name", "use_circuit_breaker"], 1)
        raise TypeError(f"there is no option '{first}'" + (f" - did you mean '{close[0]}'?" if close else ""))
    return Policy(retry=RetryPolicy(**retry), **others)


def _refuse(function: object) -> None:
    """Refuse what only begins when it is called: its work would be done, and fail, outside.

    Raises:
        TypeError: it is a generator function, or a class method or static method that is not bound yet.
    """
    if isinstance(function, (classmethod, staticmethod)):
        kind = type(function).__name__
        raise TypeError(f"resilient stands below @{kind}: decorate the function, and then make it a {kind}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("a generator does its work while it is iterated over: decorate what it calls")


def create_resilient_executor(**options: Unpack[Options]) -> ResilientExecutor:
    """An executor with the policy that the options say; with a name alone, the one that the name has already.

    Raises:
        TypeError: an option is unknown.
        ValueError: a value makes no sense, or the name has another policy already.
    """
    name = options.pop("name", "")
    policy = _policy(options) if options or not name else None
    return get_resilience().executor(name, policy) if name else get_resilience().made("this call", policy or Policy())


def resilient(*function: Never, **options: Unpack[Options]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Call the decorated function, sync or async, by the policy that the options say; its `executor` is an attribute.

    Raises:
        TypeError: an option is unknown, or what is decorated is no function whose call does its work.
        ValueError: a value makes no sense, or the name has another policy already.
    """
    if function:
        raise TypeError("resilient is written with parentheses: @resilient()")
    name = options.pop("name", "")
    policy = _policy(options) if options or not name else None

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        _refuse(function)
        resources = get_resilience()
        own = getattr(function, "__qualname__", type(function).__qualname__)
        executor = resources.executor(name, policy) if name else resources.made(own, policy or Policy())
        call: Any
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            execute: Any = executor.execute_async

            @functools.wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                return await execute(function, *args, **kwargs)
        else:
            call = executor.wrapped(function)
        call.executor = executor
        made: Callable[P, T] = call
        return made

    return decorate
