"""Async calls with a time, and a second one beside a late one: for tasks what `threads` is for functions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from oreflow.resilience.errors import AttemptTimeoutError
from oreflow.resilience.policy import HedgePolicy

T = TypeVar("T")


async def beside_async(
    resource: str, call: Callable[[], Awaitable[T]], *, seconds: float | None, hedge: HedgePolicy | None
) -> T:
    """The answer of a call or, hedged, the first one of several; the others are cancelled.

    Raises:
        AttemptTimeoutError: there was none in time.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await (call() if hedge is None else _hedged(call, hedge))
    except TimeoutError:
        if seconds is not None and limit.expired():
            raise AttemptTimeoutError(resource, seconds) from None
        raise


async def _hedged(call: Callable[[], Awaitable[T]], hedge: HedgePolicy) -> T:
    async def called() -> T:
        return await call()

    tasks = [asyncio.ensure_future(called())]
    pending = set(tasks)
    try:
        while True:
            late = hedge.delay if len(tasks) <= hedge.most else None
            done, pending = await asyncio.wait(pending, timeout=late, return_when=asyncio.FIRST_COMPLETED)
            well = [task for task in done if task.exception() is None]
            if well:
                return well[0].result()
            if done and not pending:  # what fails before the next is the retry's business, not the hedge's
                return done.pop().result()
            if not done:
                tasks.append(asyncio.ensure_future(called()))
                pending.add(tasks[-1])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
