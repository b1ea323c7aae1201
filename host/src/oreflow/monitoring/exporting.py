"""Handing metrics to one place that they go to, on a thread of its own, for which nobody waits longer than said.

A backend that fails, hangs or is away is a remark of the run and a warning; the run is as it would be without it. What
it missed is in what it is handed next, since counters only grow.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from oreflow.contract import MetricBackend, MetricFamily, OreflowError, Snapshot
from oreflow.contract.errors import told
from oreflow.monitoring.instruments import Counter
from oreflow.secrets import redacted

_log = logging.getLogger("oreflow.monitoring")


class Export:
    """One backend with its thread; `every` is how many seconds lie between two writings.

    `read` gives the figures that it is handed, and `failed` counts the writings that came to nothing.
    """

    def __init__(
        self, name: str, backend: MetricBackend, every: float, read: Callable[[], Snapshot], failed: Counter
    ) -> None:
        self.name, self.backend = name, backend
        self._every, self._read, self._failed = every, read, failed
        self._changed = threading.Condition()
        self._asked = self._done = 0  # how many writings somebody waits for, and how many of them are over
        self._wanted: Snapshot | None = None  # what the newest of them is to write
        self._newest = 0  # the number of what was written last
        self._written: Sequence[MetricFamily] | None = None  # what the backend has, where that went well
        self._is_closing = self._was_opened = self._is_given_up = False
        self._fault = ""
        self._thread = threading.Thread(target=self._work, name=f"oreflow-metrics-{name}", daemon=True)
        self._thread.start()

    def wait_until_open(self, deadline: float) -> None:
        """Wait until it has begun, or failed to, until a time of `time.monotonic()`.

        What is counted after that is new to it; what was counted before, one that keeps figures takes for old.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._was_opened, max(deadline - time.monotonic(), 0.0))

    def ask(self, snapshot: Snapshot) -> int:
        """Have it write the figures of a moment; gives what to wait for."""
        with self._changed:
            self._asked += 1
            self._wanted = snapshot
            self._changed.notify_all()
            return self._asked

    def fault(self, asked: int, deadline: float) -> str:
        """Why what was asked for is not written by a time of `time.monotonic()`; '' where it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= asked, max(deadline - time.monotonic(), 0.0))
            self._is_given_up = self._done < asked
            return "it has not answered in time" if self._is_given_up else self._fault

    @property
    def has_failed(self) -> bool:
        """Whether the last writing came to nothing, or has not come to an end in time."""
        return bool(self._fault) or self._is_given_up

    def close(self) -> None:
        """Let it write what it has not yet, and end."""
        with self._changed:
            self._is_closing = True
            self._asked += 1
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for its end until a time of `time.monotonic()`; not for one whose answer a run has waited for."""
        if not self._is_given_up:
            self._thread.join(max(deadline - time.monotonic(), 0.0))

    def _work(self) -> None:
        fault = self._call(lambda: self.backend.open(self._read))
        is_open = not fault
        with self._changed:
            self._was_opened = True
        self._note(0, fault)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._done, self._every)
                asked, is_closing = self._asked, self._is_closing
                wanted, self._wanted = self._wanted, None
            if not is_open:  # a port that was taken may be free by now
                fault = self._call(lambda: self.backend.open(self._read))
                is_open = not fault
            # One that nobody can ask, since its port is taken, may keep figures for those that others ask.
            unwritten = self._call(partial(self._write, wanted))
            self._note(asked, unwritten if is_open else fault)
            if is_closing:
                self._call(self.backend.close)
                return

    def _write(self, wanted: Snapshot | None) -> None:
        if wanted is None or wanted.number < self._newest:  # what was written meanwhile is not taken back
            wanted = self._read()
        self._newest = wanted.number
        if self._is_closing and wanted.families == self._written:
            return  # the end of the last run has seen to it
        self._written = None
        self.backend.write(wanted)
        self._written = wanted.families

    def _note(self, done: int, fault: str) -> None:
        """Remember what became of a writing; that it fails, and that it goes well again, is said once."""
        if fault:
            self._failed.inc()
        with contextlib.suppress(Exception):  # of a handler that the program has given to logging
            if fault and not self._fault:
                _log.warning("metrics do not get to %s: %s", self.name, fault)
            elif self._fault and not fault:
                _log.info("metrics get to %s again", self.name)
        with self._changed:  # who waits for it may take the lines of the run away after that
            self._fault, self._done = fault, done
            self._is_given_up = False
            self._changed.notify_all()

    def _call(self, function: Callable[[], None]) -> str:
        """Why a function of the backend failed, in one line; '' where it went well."""
        try:
            function()
        except BaseException as error:  # on a thread of its own nothing else would hear of it
            text = told(error)
            if isinstance(error, OSError) and error.filename and error.strerror:
                text = f"{error.filename}: {error.strerror}"
            return str(redacted(text.partition(": ")[2] or text if isinstance(error, OreflowError) else text))
        return ""
