"""A lock on a table, held by at most one process, and let go by the system when that process dies however it dies.

By the standard library, whose calls are all that is needed; the usual library loads an event loop for its other half.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from oreflow.resilience.errors import InterruptedWaitError

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[Any]) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None

else:
    import fcntl

    def _take(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_PAUSE = 0.05  # seconds between two looks at the lock, by whom somebody may ask to end


@contextmanager
def held(path: Path, waiting: Callable[[], object], stop: threading.Event) -> Iterator[None]:
    """Hold the lock of a file; `waiting` is called where another process has it.

    Raises:
        InterruptedWaitError: `stop` was set before that one let it go.
        OSError: there can be no such lock, as on a file system that knows none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not _is_taken(file):
            waiting()
            while not _is_taken(file):
                if stop.wait(_PAUSE):
                    raise InterruptedWaitError("another run")
        yield  # closing the file lets the lock go


@contextmanager
def taken(path: Path) -> Iterator[None]:
    """Hold the lock of a file.

    Raises:
        BlockingIOError: another process has it.
        OSError: there can be no such lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        _take(file)
        yield


def _is_taken(file: IO[Any]) -> bool:
    try:
        _take(file)
    except BlockingIOError:
        return False
    return True
