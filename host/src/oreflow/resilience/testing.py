"""Waits without waiting, for the tests of whoever uses resilience."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from oreflow.resilience.clock import CLOCK, Clock
from oreflow.resilience.errors import InterruptedWaitError


class VirtualClock(Clock):
    """A clock that only waits move, and that throws the same dice each time. `waits` are those that there were."""

    def __init__(self, seed: int = 0, now: float = 0.0) -> None:
        self.now = now
        self.waits: list[float] = []
        self._lock = threading.Lock()
        super().__init__(lambda: self.now, Random(seed).random)  # noqa: S311  chance, no secret

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self.now += seconds

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Let it pass at once."""
        if stop is not None and stop.is_set():
            raise InterruptedWaitError("the next attempt")
        self.waits.append(seconds)
        self.advance(seconds)

    async def sleep_async(self, seconds: float, stop: asyncio.Event | None = None) -> None:
        """Let it pass at once, and others have their turn."""
        if stop is not None and stop.is_set():
            raise InterruptedWaitError("the next attempt")
        self.waits.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


_REPLACED = ("monotonic", "random", "sleep", "sleep_async")
_entered: list[VirtualClock] = []


@contextmanager
def instant_waits(seed: int = 0) -> Iterator[VirtualClock]:
    """Within it, nothing that has no clock of its own waits.

    Retries come at once, and breakers recover when time is advanced. Timeouts, hedges and the queue of a bulkhead
    are about what really goes on, and are as they are. The time that has passed has passed: afterwards the clock
    goes on from there, so that an executor that was used within it and is used again sees no time that runs
    backwards.
    """
    virtual = VirtualClock(seed, CLOCK.monotonic())
    before = {name: CLOCK.__dict__.get(name) for name in _REPLACED}
    _entered.append(virtual)
    _replace({name: getattr(virtual, name) for name in _REPLACED})
    try:
        yield virtual
    finally:
        if _entered[-1] is not virtual:
            _entered.remove(virtual)
            raise RuntimeError("instant_waits within each other end in the order in which they began")
        _entered.pop()
        _replace(before)
        ahead = virtual.now - CLOCK.monotonic()
        if ahead > 0 and not _entered:
            real = CLOCK.monotonic
            CLOCK.monotonic = lambda: real() + ahead
        elif _entered:
            _entered[-1].now = max(_entered[-1].now, virtual.now)


def _replace(by: dict[str, Any]) -> None:
    for name, value in by.items():
        if value is None:
            CLOCK.__dict__.pop(name, None)
        else:
            setattr(CLOCK, name, value)
