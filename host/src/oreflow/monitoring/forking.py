"""Locks that a copy of the process has free, whoever held them in its parent when it was forked off."""

from __future__ import annotations

import os
import threading
from types import TracebackType


class Lock:
    """A lock for as long as the process lives: of a module, or of the only object of a class.

    The same thread may take it again, as a handler of signals does.
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.RLock()
