"""Bringing notices to channels: each on a thread of its own, tried again, and waited for no longer than is said."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from oreflow.contract import AlertChannel, Notice, OreflowError
from oreflow.contract.errors import told
from oreflow.contract.faults import Classification, ErrorClass
from oreflow.secrets import redacted

LONGEST = 500
"""Characters of a reason that are told."""
_ATTEMPTS = 3
_PAUSE = 0.5  # seconds before the second attempt; twice that before the third
_LEAST = 0.1  # seconds that an attempt has at the least
_log = logging.getLogger("oreflow.alerts")


class Outbox:
    """The notices of a run on their way to one channel; `sent` is called with each that was told.

    `classify` says what an error of the channel is: after one that another attempt cannot mend, such as a refusal,
    there is none. `deadline` is up to when something is tried, of `time.monotonic()`; it is put off until the run is
    over.
    """

    def __init__(
        self,
        name: str,
        channel: AlertChannel,
        patience: float,
        sent: Callable[[str, Notice], None],
        classify: Callable[[BaseException], Classification],
    ) -> None:
        self.name = name
        self._channel, self._patience, self._sent, self._classify = channel, patience, sent, classify
        self._waiting: deque[Notice] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None
        self._pending = 0
        self.faults: list[tuple[Notice, str]] = []
        """What was not told, and why."""

    def put(self, notice: Notice) -> None:
        """Have a notice told."""
        with self._changed:
            self._waiting.append(notice)
            self._pending += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"oreflow-alerts-{self.name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def finish(self, deadline: float) -> list[tuple[Notice, str]]:
        """Wait until all is told, or a time of `time.monotonic()`; gives what was not, and why."""
        with self._changed:
            self._deadline = deadline
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._pending, max(deadline - time.monotonic(), 0.0))
            late = [(each, "it has not answered in time") for each in self._under_way()]
            self._waiting.clear()
            return [*self.faults, *late]

    def _under_way(self) -> list[Notice]:
        return [*([self._current] if self._current else []), *self._waiting]

    _current: Notice | None = None

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._deadline is not None)
                if not self._waiting:
                    return
                notice = self._current = self._waiting.popleft()
            fault = self._told(notice)
            with self._changed:
                if fault:
                    self.faults.append((notice, fault))
            if not fault:
                self._sent(self.name, notice)
            with self._changed:
                self._current = None
                self._pending -= 1
                self._changed.notify_all()

    def _told(self, notice: Notice) -> str:
        """Why a notice was not told, in one line; '' where it was."""
        fault, pause = "", 0.0
        for attempt in range(_ATTEMPTS):
            if attempt and self._ends_within(pause):
                break
            left = self._patience if self._deadline is None else self._deadline - time.monotonic()
            try:
                self._channel.send(notice, max(min(left, self._patience), _LEAST))
            except BaseException as error:  # on a thread of its own nothing else would hear of it
                text = told(error)
                plain = text.partition(": ")[2] if isinstance(error, OreflowError) else ""
                fault = str(redacted(plain or text))
                fault = fault if len(fault) <= LONGEST else f"{fault[:LONGEST]}..."
                _log.info("an alert did not get to %s: %s", self.name, fault)
                kind = self._classify(error)
                if not kind.retryable and kind.error_class is not ErrorClass.UNKNOWN:
                    break
                pause = max(_PAUSE * 2**attempt, min(kind.retry_after or 0.0, self._patience))
            else:
                return ""
        return fault

    def _ends_within(self, seconds: float) -> bool:
        """Wait; gives whether there is no time for another attempt after it."""
        with self._changed:
            over = time.monotonic() + seconds
            self._changed.wait_for(
                lambda: self._deadline is not None and self._deadline < over, max(over - time.monotonic(), 0.0)
            )
            return self._deadline is not None and self._deadline <= time.monotonic() + _LEAST
