"""Time, waiting and chance, in one object that tests replace."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from oreflow.resilience.errors import InterruptedWaitError

if TYPE_CHECKING:
    import asyncio


class Clock:
    """The monotonic clock of this process: changes of the wall clock do not matter to it.

    `monotonic` gives seconds, `random` a number of [0, 1).
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, random: Callable[[], float] = random.random
    ) -> None:
        self.monotonic = monotonic
        self.random = random

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait. A signal such as Ctrl-C ends it at once, and so does `stop`.

        Raises:
            InterruptedWaitError: `stop` was set.
        """
        if stop is None:
            time.sleep(seconds)
        elif stop.wait(seconds):
            raise InterruptedWaitError("the next attempt")

    async def sleep_async(self, seconds: float, stop: asyncio.Event | None = None) -> None:
        """Wait, without keeping others from their work. A cancelled task ends it, and so does `stop`.

        Raises:
            InterruptedWaitError: `stop` was set.
        """
        import asyncio  # who is sync need not load it

        if stop is None:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()
            raise InterruptedWaitError("the next attempt")


CLOCK = Clock()
"""The clock of whatever says no other; `oreflow.resilience.testing` sets it to virtual time for a while."""
