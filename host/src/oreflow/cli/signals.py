"""SIGTERM, by which systemd or Kubernetes asks a run to end: it does, after the batch that it is making."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a run that SIGTERM has ended, as that of whatever a signal ends."""
_TOLD = b"asked to end: the run ends after the batch that it is making; once more ends it at once\n"


@contextmanager
def ending_by_signal() -> Iterator[threading.Event]:
    """Set the event at SIGTERM; at another one, end what is done as Ctrl-C does."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # no other may say what becomes of signals
        yield stop
        return

    def asked(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        with suppress(OSError):
            os.write(2, _TOLD)  # past the stream of Python's, in which this may have come

    before = signal.signal(signal.SIGTERM, asked)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
