"""What processes tell each other of open breakers, by a board: on a thread of its own, so that no call waits for it.

A breaker goes by what this process has seen. What others have found is laid over it when its thread next looks; what
this process finds is told at once, from that thread too. So the way of a call is the same with a board and without.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from contextlib import suppress

from oreflow.contract import BreakerBoard, StoreError
from oreflow.contract.errors import told
from oreflow.resilience.breaker import CircuitBreaker
from oreflow.resilience.clock import Clock

LOOK_EVERY = 1.0
"""Seconds between two looks at the board."""
PATIENCE = 1.0
"""Seconds that the first look at the board, and the last word to it, are waited for."""
_AGAIN = 5.0
"""Seconds after which a board that was away is asked again."""
_log = logging.getLogger("oreflow.resilience")


class Sharing:
    """The breakers of one `Resilience` on a board, under names that begin with `scope`.

    It looks every `look_every` seconds while there is any breaker. The board is closed when nobody has the object any
    more, or by `stop`.
    """

    def __init__(self, board: BreakerBoard, scope: str, look_every: float, clock: Clock) -> None:
        if not 0 < look_every <= 1e6:  # noqa: PLR2004  an interval; what threads can wait for
            raise ValueError(f"look_every is a number of seconds above 0, not {look_every!r}")
        self._board, self._scope, self._every, self._clock = board, scope, look_every, clock
        self._breakers: dict[str, CircuitBreaker] = {}
        self._seen: dict[str, float] = {}  # what the board has of them: until when, by the clock
        self._untold: dict[str, float | None] = {}  # until when one is open; None: it has closed
        self._is_away = self._is_turning = False
        self._turns = 0
        self._begin_anew()
        _all.add(self)

    def _begin_anew(self) -> None:
        """Have locks of its own, and a thread as soon as there is something to do."""
        self._lock = threading.Lock()
        self._turned = threading.Condition(self._lock)
        self._signal = _Signal()
        weakref.finalize(self, self._signal.end).atexit = False
        self._thread: threading.Thread | None = None

    def add(self, *breakers: CircuitBreaker) -> None:
        """Have breakers shared from now on; what the board has of them is taken over, if it says so in `PATIENCE`."""
        if not breakers:
            return
        with self._lock:
            self._breakers.update({self._qualified(each.name): each for each in breakers})
            turns = self._turns + (2 if self._is_turning else 1)  # a look that is under way does not know of them
            self._wake()
            if self._is_away or self._thread is threading.current_thread():  # it is a listener of what a look has found
                return
            late = not self._turned.wait_for(lambda: self._turns >= turns or self._is_away, PATIENCE)
            is_news = late and self._goes_away()
        if is_news:
            _warn(f"the board has not answered in {PATIENCE:g} s")

    def found(self, name: str, seconds: float | None) -> None:
        """This process has found that a breaker opens for so long, or (None) that it closes."""
        with self._lock:
            self._untold[self._qualified(name)] = None if seconds is None else self._clock.monotonic() + seconds
            self._wake()

    def tell(self, deadline: float) -> None:
        """Wait until all is told, until a time of `time.monotonic()`; not for a board that is away."""
        with self._lock:
            if self._untold and not self._is_away:
                self._wake()
            left = max(deadline - time.monotonic(), 0.0)
            self._turned.wait_for(lambda: not (self._untold or self._is_turning) or self._is_away, left)

    def stop(self) -> None:
        """Tell what is untold, and share no more."""
        self.tell(time.monotonic() + PATIENCE)
        _all.discard(self)
        self._signal.end()
        if self._thread is None:
            with suppress(Exception):
                self._board.close()

    def go_on_in_a_child(self) -> None:
        """After a fork, which has no thread of this; what the parent has found is for the parent to tell."""
        self._untold, self._is_turning = {}, False
        self._begin_anew()
        with self._lock:
            if self._breakers:
                self._wake()

    def _qualified(self, name: str) -> str:
        return f"{self._scope}/{name}" if self._scope else name

    # The thread's part

    def _wake(self) -> None:
        """Have the thread take its turn now. Under the lock."""
        self._signal.wake()
        if self._thread is None or not self._thread.is_alive():
            work = (weakref.ref(self), self._board, self._signal, self._every)
            thread = threading.Thread(target=_work, args=work, name="oreflow-breakers", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread is to be had, or the process ends: it goes by itself
                return
            self._thread = thread

    def turn(self) -> bool:
        """Tell and look once; gives whether the board has answered."""
        with self._lock:
            self._is_turning = True
            untold, self._untold = self._untold, {}
            breakers = dict(self._breakers)
        fault, is_news = "it has ended", False
        try:
            self._tell(untold)
            left = dict(self._board.open_for(list(breakers)))
            now = self._clock.monotonic()
            for name, breaker in breakers.items():
                self._take_over(name, breaker, left.get(name, 0.0), now)
            fault = ""
        except StoreError as error:
            fault = str(error)
        except Exception as error:
            fault = told(error)
        finally:
            with self._lock:
                self._is_turning = False
                self._turns += 1
                if fault:
                    self._untold = {**untold, **self._untold}
                    is_news = self._goes_away()
                else:
                    is_news, self._is_away = self._is_away, False
                self._turned.notify_all()
        if is_news and fault:
            _warn(fault)
        elif is_news:
            _log.info("breakers are shared again")
        return not fault

    def _tell(self, untold: dict[str, float | None]) -> None:
        """Tell the board; what it has heard is taken out."""
        for name, until in list(untold.items()):
            if until is None:
                self._board.closed(name)
            elif (seconds := until - self._clock.monotonic()) > 0:
                self._board.opened(name, seconds)
            del untold[name]

    def _take_over(self, name: str, breaker: CircuitBreaker, seconds: float, now: float) -> None:
        if seconds > 0:
            self._seen[name] = now + seconds
            breaker.open_for(seconds)
        elif self._seen.pop(name, now) > now + CircuitBreaker.SAME:  # somebody has closed it before its time
            breaker.recover()

    def _goes_away(self) -> bool:
        """Go on without the board; gives whether it was there until now. Under the lock."""
        was_there, self._is_away = not self._is_away, True
        self._seen.clear()  # a board that comes back may have lost what it had: that is no word of closed breakers
        return was_there


def _warn(fault: str) -> None:
    _log.warning("breakers are not shared for now, each process goes by what it finds itself: %s", fault)


class _Signal:
    """How a thread is woken, and told to end, that keeps nothing of what it works for alive."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.has_ended = False

    def wake(self) -> None:
        self._event.set()

    def end(self) -> None:
        self.has_ended = True
        self._event.set()

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)
        self._event.clear()


def _work(sharing: weakref.ref[Sharing], board: BreakerBoard, signal: _Signal, every: float) -> None:
    not_before = 0.0
    while not signal.has_ended:
        wait = not_before - time.monotonic()
        if wait > 0:
            signal.wait(wait)
            continue
        here = sharing()
        if here is None:
            break
        if not here.turn():
            not_before = time.monotonic() + _AGAIN
        del here
        signal.wait(every)
    with suppress(Exception):
        board.close()


_all: weakref.WeakSet[Sharing] = weakref.WeakSet()


@atexit.register
def _tell_at_the_end() -> None:
    """A process that ends because something is down is the one whose word is needed."""
    deadline = time.monotonic() + PATIENCE
    for each in list(_all):
        each.tell(deadline)


def _in_a_child() -> None:
    for each in list(_all):
        each.go_on_in_a_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_child)
