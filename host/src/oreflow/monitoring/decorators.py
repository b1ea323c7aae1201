"""`@timed` and `@counted`: metrics around functions, sync and async."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from oreflow.monitoring.collector import MetricsCollector, get_metrics_collector

P = ParamSpec("P")
T = TypeVar("T")


def _check(decorator: Callable[..., Any], name: object) -> None:
    if callable(name):
        raise TypeError(f"@{decorator.__name__} is missing its name: @{decorator.__name__}('processing_duration')")


def timed(
    name: str, tags: Mapping[str, Any] | None = None, *, collector: MetricsCollector | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Observe how long each call takes, in the histogram `NAME_seconds`; of an async function, until it has a result.

    `collector` is that of the process where not said.

    Raises:
        TypeError: it is a generator, whose call takes no time; or no name is said.
    """
    _check(timed, name)

    def around(function: Callable[P, T]) -> Callable[P, T]:
        inner = inspect.unwrap(function)
        if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
            what = function.__qualname__
            raise TypeError(f"{what} is a generator, whose call takes no time: use time_operation in it")
        there = collector or get_metrics_collector()
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def timed_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with there.time_operation(name, tags):
                    return await function(*args, **kwargs)

            return cast("Callable[P, T]", timed_async)

        @functools.wraps(function)
        def timed_sync(*args: P.args, **kwargs: P.kwargs) -> T:
            with there.time_operation(name, tags):
                return function(*args, **kwargs)

        return timed_sync

    return around


def counted(
    name: str, tags: Mapping[str, Any] | None = None, *, collector: MetricsCollector | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Count the calls, also those that fail, in the counter `NAME_total`.

    Raises:
        TypeError: no name is said.
    """
    _check(counted, name)

    def around(function: Callable[P, T]) -> Callable[P, T]:
        calls = (collector or get_metrics_collector()).counter(name, tags)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def counted_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                calls.inc()
                return await function(*args, **kwargs)

            return cast("Callable[P, T]", counted_async)

        @functools.wraps(function)
        def counted_sync(*args: P.args, **kwargs: P.kwargs) -> T:
            calls.inc()
            return function(*args, **kwargs)

        return counted_sync

    return around
