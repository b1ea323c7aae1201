"""One function for many items, where the failure of some is not the failure of all."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from oreflow.resilience.errors import CircuitOpenError, InterruptedWaitError, RejectedError

if TYPE_CHECKING:
    from oreflow.resilience.executor import ResilientExecutor

T = TypeVar("T")

_LOOK, _LONGEST_LOOK = 0.01, 5.0
"""Seconds after which an item that was turned away is tried: where nobody can say when, and at most."""


class ItemStatus(StrEnum):
    """What became of an item."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_TRIED = "not_tried"


@dataclass(slots=True)
class ItemOutcome(Generic[T]):
    """An item with its result, or with the error that it ended with; `attempts` is 0 where it was not tried."""

    item: Any
    status: ItemStatus = ItemStatus.NOT_TRIED
    result: T | None = None
    error: BaseException | None = None
    attempts: int = 0


@dataclass
class BulkReport(Generic[T]):
    """What became of each item, in their order. `ended_early` says why not all were tried; '' where they were."""

    outcomes: list[ItemOutcome[T]] = field(default_factory=list)
    ended_early: str = ""

    @property
    def results(self) -> list[T]:
        """Of the items that went well, in their order."""
        return [each.result for each in self.outcomes if each.status is ItemStatus.SUCCEEDED]  # type: ignore[misc]  # then it has one

    @property
    def failed(self) -> list[ItemOutcome[T]]:
        """The items that failed."""
        return [each for each in self.outcomes if each.status is ItemStatus.FAILED]

    @property
    def left(self) -> list[Any]:
        """The items that were not tried: what to go on with."""
        return [each.item for each in self.outcomes if each.status is ItemStatus.NOT_TRIED]


class _Bulk(Generic[T]):
    """The items that are to be tried, and whether there is a next one."""

    def __init__(self, items: Iterable[Any], max_failure_ratio: float, concurrency: int) -> None:
        if not 0 <= max_failure_ratio <= 1:
            raise ValueError(f"max_failure_ratio is from 0 to 1, not {max_failure_ratio!r}")
        if concurrency < 1:
            raise ValueError(f"concurrency is 1 or more, not {concurrency!r}")
        self.report: BulkReport[T] = BulkReport([ItemOutcome(item) for item in items])
        self.concurrency = min(concurrency, max(len(self.report.outcomes), 1))
        self._bearable = max_failure_ratio * len(self.report.outcomes) + 1e-9  # 29 of 100 are not more than 0.29
        self._failed = 0

    def next_items(self) -> Iterator[ItemOutcome[T]]:
        """One after the other, until the end or an early one."""
        for outcome in self.report.outcomes:
            if self.report.ended_early:
                return
            yield outcome

    def ended(self, outcome: ItemOutcome[T], result: T | None, error: BaseException | None, attempts: int) -> None:
        """An item went well, or has an error, which may be that it was not tried."""
        outcome.result, outcome.error, outcome.attempts = result, error, attempts
        if error is None:
            outcome.status = ItemStatus.SUCCEEDED
        elif attempts:
            outcome.status = ItemStatus.FAILED
            self._failed += 1
            if self._failed > self._bearable:
                self._end(f"{self._failed} of {len(self.report.outcomes)} items have failed")
        elif isinstance(error, RejectedError):
            self._end(str(error))

    def _end(self, why: str) -> None:
        self.report.ended_early = self.report.ended_early or why


def _pause(error: RejectedError) -> float | None:
    """Seconds after which a call that was not made may be made; None where its resource is to be left alone."""
    if isinstance(error, CircuitOpenError) and error.state != "half_open":
        return None
    return min(error.retry_after or _LOOK, _LONGEST_LOOK)


Answer = tuple[T | None, BaseException | None, int]
"""What an item gave, with what it ended, and how often it was tried."""


def _call(executor: ResilientExecutor, function: Callable[[Any], T], item: Any, stop: threading.Event) -> Answer[T]:
    attempts = 0

    def once(item: Any) -> T:
        nonlocal attempts
        attempts += 1
        return function(item)

    while True:
        try:
            return executor.execute(once, item), None, attempts
        except Exception as error:
            wait = _pause(error) if isinstance(error, RejectedError) and not attempts else None
            if wait is None:
                return None, error, attempts
        try:
            executor.clock.sleep(wait, stop)
        except InterruptedWaitError as error:
            return None, error, attempts


async def _call_async(
    executor: ResilientExecutor, function: Callable[[Any], Awaitable[T]], item: Any, stop: asyncio.Event
) -> Answer[T]:
    attempts = 0

    async def once(item: Any) -> T:
        nonlocal attempts
        attempts += 1
        return await function(item)

    while True:
        try:
            return await executor.execute_async(once, item), None, attempts
        except Exception as error:
            wait = _pause(error) if isinstance(error, RejectedError) and not attempts else None
            if wait is None:
                return None, error, attempts
        try:
            await executor.clock.sleep_async(wait, stop)
        except InterruptedWaitError as error:
            return None, error, attempts


def run_bulk(
    scoped: Callable[[threading.Event], ResilientExecutor],
    function: Callable[[Any], T],
    items: Iterable[Any],
    max_failure_ratio: float,
    concurrency: int,
) -> BulkReport[T]:
    """See `ResilientExecutor.execute_bulk`."""
    bulk: _Bulk[T] = _Bulk(items, max_failure_ratio, concurrency)
    stop = threading.Event()
    executor = scoped(stop)
    pool = ThreadPoolExecutor(bulk.concurrency, thread_name_prefix=f"oreflow-{executor.name}")
    running: dict[Future[Answer[T]], ItemOutcome[T]] = {}
    left = bulk.next_items()
    try:
        while True:
            while len(running) < bulk.concurrency and (outcome := next(left, None)) is not None:
                context = contextvars.copy_context()
                running[pool.submit(context.run, _call, executor, function, outcome.item, stop)] = outcome
            if not running:
                return bulk.report
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                bulk.ended(running.pop(future), *future.result())  # an interrupt is nobody's outcome: it comes out
            if bulk.report.ended_early:
                stop.set()  # what waits for its next attempt is not waited for
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


async def run_bulk_async(
    scoped: Callable[[asyncio.Event], ResilientExecutor],
    function: Callable[[Any], Awaitable[T]],
    items: Iterable[Any],
    max_failure_ratio: float,
    concurrency: int,
) -> BulkReport[T]:
    """See `ResilientExecutor.execute_bulk_async`."""
    bulk: _Bulk[T] = _Bulk(items, max_failure_ratio, concurrency)
    stop = asyncio.Event()
    executor = scoped(stop)
    left = bulk.next_items()

    async def work() -> None:
        for outcome in left:
            bulk.ended(outcome, *await _call_async(executor, function, outcome.item, stop))
            if bulk.report.ended_early:
                stop.set()

    tasks = [asyncio.ensure_future(work()) for _ in range(bulk.concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return bulk.report
