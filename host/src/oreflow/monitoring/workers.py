"""Threads for calls of backends that may hang: who has ended one waits for the next.

To begin a thread takes longer than most of these calls. What a thread has of its own, such as an event loop of
asyncio, stays there from call to call; so they are for backends alone, and no code of a pipeline. They are daemons:
what is late keeps no process alive.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

_MOST_IDLE = 8
_AT_REST = "oreflow-idle"
_idle: list[_Worker] = []  # the last is the next, of which most is in the processor's caches


def begin(call: Callable[[], object], name: str) -> None:
    """Have a call made in an empty context, in a thread that has this name meanwhile.

    The call raises nothing: nobody would hear of it but whoever reads standard error.

    Raises:
        RuntimeError: there is no thread to be had, as where the interpreter ends.
    """
    if sys.is_finalizing():
        raise RuntimeError("the interpreter ends")
    (_at_rest() or _Worker()).calls.put((call, name))


def _at_rest() -> _Worker | None:
    """One that waits, if any does; those of the process that this one was forked off are not here."""
    with suppress(IndexError):
        while (worker := _idle.pop()).process != os.getpid():
            pass
        return worker
    return None


class _Worker:
    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[tuple[Callable[[], object], str]] = queue.SimpleQueue()
        self.process = os.getpid()
        self._thread = threading.Thread(target=self._work, name=_AT_REST, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            while True:
                call, self._thread.name = self.calls.get()
                Context().run(call)
                del call  # it holds what somebody may wait for the end of
                if self.process != os.getpid():
                    return  # a copy of the process that the call has made ends with its only thread
                _idle.append(self)
                if len(_idle) > _MOST_IDLE and self._leaves():
                    return
                self._thread.name = _AT_REST
        except BaseException:  # raised from outside: whoever comes next is to find another
            self._leaves()
            raise

    def _leaves(self) -> bool:
        """Wait no more; whether nobody has taken it for a call meanwhile."""
        with suppress(ValueError):
            _idle.remove(self)
            return True
        return False
