"""Calls beside the thread that wants them: for the time that an attempt may take, and for a second one beside it."""

from __future__ import annotations

import contextvars
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from oreflow.resilience.errors import AttemptTimeoutError
from oreflow.resilience.policy import HedgePolicy


def beside(
    resource: str,
    call: Callable[[], Any],
    *,
    timeout: float | None,
    hedge: HedgePolicy | None,
    ended: Callable[[], None],
) -> Any:
    """The first answer of one call or, hedged, of several; `ended` is called when the last of them has ended.

    The threads are daemons: what is late keeps no process alive.

    Raises:
        AttemptTimeoutError: there was none in time.
    """
    calls = _Calls(resource, call, ended)
    began = time.monotonic()
    starts = [] if hedge is None else [began + hedge.delay * (number + 1) for number in range(hedge.most)]
    last = None if timeout is None else began + timeout
    try:
        calls.begin()
    except RuntimeError:
        if not sys.is_finalizing() and threading.main_thread().is_alive():
            raise
        return call()  # where the process ends, there is no thread to be had any more
    while True:
        until = min([*starts[:1], *([] if last is None else [last])], default=None)
        if calls.answered(until):
            return calls.answer
        if last is not None and time.monotonic() >= last:
            raise AttemptTimeoutError(resource, timeout or 0.0)
        if starts and time.monotonic() >= starts[0]:
            starts.pop(0)
            calls.begin()


class _Calls:
    """The same call several times, each in a thread."""

    def __init__(self, resource: str, call: Callable[[], Any], ended: Callable[[], None]) -> None:
        self.answer: Any = None
        self._resource, self._call, self._ended = resource, call, ended
        self._answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._begun = self._running = self._failed = 0

    def begin(self) -> None:
        """Begin one more, unless all have ended in this moment.

        Raises:
            RuntimeError: there is no thread to be had for the first one.
        """
        with self._lock:
            if self._begun and not self._running:
                return
            self._begun += 1
            self._running += 1
        context = contextvars.copy_context()
        name = f"oreflow-{self._resource}"
        thread = threading.Thread(target=context.run, args=(self._work,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._begun -= 1
            self._has_ended()
            if not self._begun:
                raise

    def answered(self, until: float | None) -> bool:
        """Wait for an answer until that time: whether there is one.

        Raises:
            BaseException: what the last of them has raised.
        """
        wait = None if until is None else max(until - time.monotonic(), 0.0)
        try:
            well, self.answer = self._answers.get(timeout=wait)
        except queue.Empty:
            return False
        if not well:
            self._failed += 1
            if self._failed == self._begun:  # one that fails before the next is the retry's business, not the hedge's
                error, self.answer = self.answer, None
                try:
                    raise error
                finally:
                    del error  # an error whose frames have it is garbage only for the collector
        return well

    def _work(self) -> None:
        try:
            answer = True, self._call()
        except BaseException as error:
            answer = False, error
        self._has_ended()  # before anybody hears of it: the next call may need what this one held
        self._answers.put(answer)
        del answer  # an error whose frames have it is garbage only for the collector

    def _has_ended(self) -> None:
        with self._lock:
            self._running -= 1
            last = not self._running
        if last:
            self._ended()
