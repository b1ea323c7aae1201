"""Threads for calls that may hang: who has ended one waits for the next, since to begin a thread takes longer.

They are daemons: what is late keeps no process alive.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from contextvars import Context

_MOST_IDLE = 8
_idle: list[_Worker] = []  # the last is the next, of which most is in the processor's caches


def begin(call: Callable[[], object], name: str, context: Context | None = None) -> None:
    """Have a call made in a thread that has this name meanwhile; in an empty context where none is given.

    The call raises nothing: nobody would hear of it but whoever reads standard error.

    Raises:
        RuntimeError: there is no thread to be had.
    """
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.calls.put((call, name, context or Context()))


class _Worker:
    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[tuple[Callable[[], object], str, Context]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=_AT_REST, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            call, self._thread.name, context = self.calls.get()
            context.run(call)
            del call, context  # they hold what somebody may wait for the end of
            self._thread.name = _AT_REST
            if len(_idle) >= _MOST_IDLE:
                return
            _idle.append(self)


_AT_REST = "oreflow-idle"

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # their threads are the parent's alone
