"""Calling what may hang: in a thread that is left behind where it takes longer than somebody waits for it."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

from oreflow.contract import DeclarationError
from oreflow.monitoring import workers

_TO_BEGIN = 1.0
"""Seconds that a thread has to begin, which takes none but where a machine stands still, or the thread has died."""


def within(function: Callable[[], Any], seconds: float) -> Any:
    """What a function gives or raises in so many seconds; None where it takes longer, and goes on by itself.

    It has begun in any case: one that answers at once is heard where no time is left, too.
    """
    outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def call() -> None:
        outcomes.put(None)  # it has begun
        try:
            outcome = function()
        except BaseException as error:
            outcome = error
        outcomes.put(outcome)
        del outcome  # an error whose frames have it is garbage only for the collector

    try:
        workers.begin(call, "oreflow-monitoring")
    except RuntimeError as error:  # there are no more threads to be had
        return error
    deadline = time.monotonic() + seconds
    try:
        outcomes.get(timeout=max(seconds, _TO_BEGIN))
        return outcomes.get(timeout=max(deadline - time.monotonic(), 0.0))
    except queue.Empty:
        return None


def created(create: Callable[[], Any], seconds: float, place: Callable[[DeclarationError], DeclarationError]) -> Any:
    """What a plugin creates in so many seconds; None where it takes longer.

    Raises:
        DeclarationError: it has something against its options, at the `place` where they are declared.
        Exception: whatever else it raises.
    """
    found = within(create, seconds)
    if isinstance(found, DeclarationError):
        raise place(found) from found
    if isinstance(found, BaseException):
        raise found
    return found
