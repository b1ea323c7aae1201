"""A lock on a file, held by one at a time: of all processes, and of all threads of one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[Any]) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None

    def _let_go(file: IO[Any]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _let_go(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)  # to close it is not enough where a process was forked off meanwhile


_PAUSE = 0.005  # seconds between two looks at the lock


@contextmanager
def held(path: Path, deadline: float) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing.

    Raises:
        TimeoutError: another one still has it at `deadline`, a moment of the monotonic clock.
        OSError: there can be no such file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while True:
            try:
                _take(file)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"another process has held {path} all the time") from None
                time.sleep(_PAUSE)
        try:
            yield
        finally:
            _let_go(file)
