"""Sending events on a thread of its own, for which a run waits no longer than said, and of which none is lost unseen.

The hooks of a run only put down what happened. The thread makes events of it, in the order of what happened, and sends
each before the next, so that a backend never hears of an end before its beginning.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from openlineage.client.event_v2 import RunEvent

from oreflow.contract import OreflowError
from oreflow.contract.errors import told
from oreflow.secrets import redacted

MOST_WAITING = 10_000
"""What may wait to be sent; what happens besides is lost, and counted."""
_PAUSES = (0.1, 0.5)
"""Seconds before the second attempt for an event, and before the third."""
_WITHOUT_EVENT = "batch_started"


class LineageFault(OreflowError):
    """Events that have not been sent: how many, and why; or what is wrong in all of them."""


class Fault(Exception):
    """Why an event was not sent, in words; `may_pass` says that it may go well a moment later."""

    def __init__(self, what: str, *, may_pass: bool = False) -> None:
        super().__init__(what)
        self.may_pass = may_pass


class Way(Protocol):
    """What sends events; `place` is where they go, in words."""

    place: str

    def send(self, event: RunEvent) -> None:
        """Send one. Raises `Fault`."""

    def close(self, seconds: float) -> None:
        """Let go, after what it has still to do. Raises `Fault`."""

    def abandon(self) -> None:
        """Have done with what is under way, from another thread."""


Story = Callable[..., list[RunEvent]]
"""Makes events of what has happened: `what`, the moment, and what the hook of this name was told."""


class Delivery:
    """The events of one run; `wait` is how many seconds its end waits for them.

    `remark` is what there is to say of all of them, '' where there is nothing.
    """

    def __init__(self, story: Story, way: Way, wait: float, remark: str = "") -> None:
        self._story, self._way, self._wait, self._remark = story, way, wait, remark
        self._changed = threading.Condition()
        self._waiting: deque[tuple[str, datetime, dict[str, Any]]] = deque()
        self._expected = self._sent = 0
        self._is_down = self._is_over = self._is_given_up = False
        self._fault = self._latest = ""  # why events are lost, and why the one that is being sent has not got there yet
        self._thread: threading.Thread | None = None

    def tell(self, what: str, **about: Any) -> None:
        """Put down what happened; it takes no longer than that."""
        with self._changed:
            self._expected += what != _WITHOUT_EVENT
            if len(self._waiting) >= MOST_WAITING and what != "run_finished":
                self._fault = self._fault or f"more than {MOST_WAITING:,} waited to be sent"
                return
            self._waiting.append((what, datetime.now(UTC), about))
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="oreflow-lineage", daemon=True)
                self._thread.start()

    def finish(self, report: dict[str, Any]) -> None:
        """Tell of the end, and wait until all is sent.

        Raises:
            LineageFault: it is not, or there is a remark.
        """
        self.tell("run_finished", report=report)
        with self._changed:
            self._changed.wait_for(lambda: self._is_over, self._wait)
            self._is_given_up = not self._is_over
            lost, expected, fault = self._expected - self._sent, self._expected, self._fault
            if self._is_given_up and not fault:
                fault = ": ".join(filter(None, [f"they were not sent within {self._wait:g} s", self._latest]))
            self._changed.notify_all()
        if self._is_given_up:
            self._way.abandon()
        faults = [self._remark] if self._remark else []
        if lost or fault:
            count = f"{lost:,} of {expected:,} lineage events" if lost else "lineage events"
            faults.append(redacted(f"{count} did not get to {self._way.place}: {fault}"))
        if faults:
            raise LineageFault("; ".join(faults))

    def _work(self) -> None:
        what = ""
        while what != "run_finished" and not self._is_given_up:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                what, at, about = self._waiting.popleft()
            try:
                events = self._story(what, at, **about)
            except Exception as error:  # of a fault in here the run must not hear but by the remark
                self._note(f"an event could not be made: {told(error)}")
                continue
            with self._changed:
                self._expected += max(len(events) - 1, 0)  # the end of a run may be that of tables too
            for event in events:
                self._send(event)
        try:
            self._way.close(self._wait)
        except Fault as error:
            self._note(str(error))
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _send(self, event: RunEvent) -> None:
        """Send one, up to three times; where the one before did not get there, once."""
        pauses, fault = [] if self._is_down else list(_PAUSES), None
        while fault is None or (fault.may_pass and pauses):
            with self._changed:
                if self._changed.wait_for(lambda: self._is_given_up, pauses.pop(0) if fault else 0.0):
                    break
            try:
                self._way.send(event)
            except Fault as error:
                fault, self._latest = error, str(error)
            else:
                self._is_down, self._latest = False, ""
                with self._changed:
                    self._sent += 1
                return
        if fault:
            self._is_down = fault.may_pass
            self._note(str(fault))

    def _note(self, fault: str) -> None:
        with self._changed:
            self._fault = self._fault or fault  # those that follow often only follow from it
