"""The circuit breaker: a state machine that a call passes in some 50 ns while it is closed.

Each state has a generation. A call takes the number of the one in which it began, and what it has to say when it ends
counts only in that generation: a late success does not close a breaker that has opened meanwhile. The states and rates
are those of resilience4j.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from oreflow.resilience.clock import CLOCK, Clock
from oreflow.resilience.errors import CircuitOpenError
from oreflow.resilience.policy import BreakerPolicy

FAILED, SLOW = 1, 2
_NEVER = float("-inf")
_BUCKETS = 20
"""Parts of a window of seconds, which are dropped as a whole."""


class BreakerState(StrEnum):
    """What a breaker does with a call.

    `CLOSED` lets it through and counts, `OPEN` rejects it, `HALF_OPEN` lets a few through. Set by hand: `FORCED_OPEN`
    rejects all, `DISABLED` lets all through and counts nothing, `METRICS_ONLY` counts and never opens.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


_BY_ITSELF = (BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN)


@dataclass(frozen=True)
class BreakerFigures:
    """A breaker as it stands: shares are of the calls in the window (None: there is no window, or nothing in it)."""

    state: BreakerState
    calls: int
    failure_rate: float | None
    slow_call_rate: float | None
    consecutive_failures: int
    rejected: int
    opened: int


class _CallWindow:
    """The outcomes of the last so many calls. To add one is a single operation of the interpreter and needs no lock."""

    def __init__(self, size: int) -> None:
        self._outcomes: deque[int] = deque(maxlen=size)
        self.add: Callable[[int], None] = self._outcomes.append

    def figures(self) -> tuple[int, int, int]:
        """How many calls there are in it, how many of them failed, and how many were slow."""
        count, both = self._outcomes.count, self._outcomes.count(FAILED | SLOW)
        return len(self._outcomes), count(FAILED) + both, count(SLOW) + both


class _TimeWindow:
    """The outcomes of the calls of the last seconds, in buckets."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._width, self._clock = seconds / _BUCKETS, clock
        self._buckets: deque[list[int]] = deque()  # each: its number, calls, failed, slow

    def add(self, outcome: int) -> None:
        """One more call."""
        number = int(self._clock.monotonic() / self._width)
        if not self._buckets or self._buckets[-1][0] != number:
            self._forget(number)
            self._buckets.append([number, 0, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += 1
        bucket[2] += outcome & FAILED
        bucket[3] += outcome >> 1

    def figures(self) -> tuple[int, int, int]:
        """How many calls there are in it, how many of them failed, and how many were slow."""
        self._forget(int(self._clock.monotonic() / self._width))
        _, calls, failed, slow = (sum(column) for column in zip([0] * 4, *self._buckets, strict=True))
        return calls, failed, slow

    def _forget(self, number: int) -> None:
        while self._buckets and self._buckets[0][0] <= number - _BUCKETS:
            self._buckets.popleft()


class CircuitBreaker:
    """One resource's breaker, for all threads and tasks.

    A call is framed by `acquire` and one of `succeeded`, `failed` and `ignored`, with what `acquire` gave. `admits`
    is that number while every call is let through, and 0 otherwise; `streak` how many failures there were in a row:
    who looks at both first saves two calls. `reopens_at` is when an open one recovers, by the clock. `needs_time`:
    whether `succeeded` and `failed` want the seconds that a call took; `counts_successes`: whether they want to
    hear of a success that ends no streak. `found` is told what the calls through this breaker have shown: that it
    opens, for so many seconds, or (None) that it closes.
    """

    SAME = 0.5
    """Seconds by which the end of an opening may differ where it is told by way of others."""

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy,
        clock: Clock = CLOCK,
        told: Callable[[str, BreakerState], None] | None = None,
        found: Callable[[str, float | None], None] | None = None,
    ) -> None:
        self.name, self.policy = name, policy
        self.admits = self._generation = 0
        self.streak = 0
        self.needs_time = policy.slow_call is not None
        self.counts_successes = policy.window_calls is not None or policy.window_seconds is not None
        self._slow_call = policy.slow_call or float("inf")
        self._clock, self._told, self.found = clock, told, found
        self._lock = threading.Lock()
        self._minimum = min(policy.minimum_calls, policy.window_calls or policy.minimum_calls)
        self._recovery = policy.recovery  # grows until it is closed
        self._patience = policy.recovery  # with calls that were let through half open
        self.rejections = itertools.count(1).__next__  # counts without a lock
        self.rejected = self._opened = 0
        self._known_until = _NEVER  # when the last opening ends of which it knows, also one that is over by now
        self._become(BreakerState.CLOSED)

    def acquire(self) -> int:
        """Let a call through.

        Raises:
            CircuitOpenError: it is not.
        """
        if self.admits:
            return self.admits
        if (wait := self.reopens_at - self._clock.monotonic()) > 0:
            raise self.rejection(wait)
        return self._acquire()

    def rejection(self, wait: float | None, state: str = "open") -> CircuitOpenError:
        """Count a call that is rejected; the error to raise."""
        self.rejected = self.rejections()
        return CircuitOpenError(self.name, state, wait)

    def succeeded(self, permit: int, seconds: float = 0.0) -> None:
        """The call that had this permit has succeeded."""
        note = self._note  # before the look at the state: where this changes now, what is noted is of no state any more
        if permit == self.admits and seconds < self._slow_call and note is not None:
            if self.streak:
                self.streak = 0
            note(0)
        else:
            self._record(permit, 0, seconds)

    def failed(self, permit: int, seconds: float = 0.0) -> None:
        """The call that had this permit has failed."""
        self._record(permit, FAILED, seconds)

    def ignored(self, permit: int) -> None:
        """The call that had this permit has told nothing of the resource, or was not made."""
        with self._lock:
            if permit == self._generation and self._state is BreakerState.HALF_OPEN:
                self._probes -= 1
                self._permits += 1

    @property
    def state(self) -> BreakerState:
        """As it is; an open breaker becomes half open with the first call after its recovery."""
        return self._state

    @property
    def figures(self) -> BreakerFigures:
        """What it has counted."""
        with self._lock:
            calls, failed, slow = self._window.figures() if self._window else (0, 0, 0)
            failure_rate, slow_rate = (failed / calls, slow / calls) if calls else (None, None)
            streak, opened = self.streak, self._opened
            return BreakerFigures(self._state, calls, failure_rate, slow_rate, streak, self.rejected, opened)

    def force(self, state: BreakerState) -> None:
        """Set it by hand, and anew: what was counted is forgotten, and so are the calls that are under way.

        Raises:
            ValueError: to `OPEN` or `HALF_OPEN`, which it becomes by itself.
        """
        if state in (BreakerState.OPEN, BreakerState.HALF_OPEN):
            raise ValueError(f"a breaker becomes {state} by itself; force it to {BreakerState.FORCED_OPEN}")
        with self._lock:
            self._recovery = self.policy.recovery
            self._become(state)
        self._tell(state)

    def open_for(self, seconds: float) -> None:
        """Others have found that the resource is down: be open for so long, and forget the calls that are under way.

        What has been set by hand stays, and so does what it knows already: an opening that ends no later, give or take
        half a second, than one that it has been through.

        Raises:
            ValueError: it is no number of seconds above 0.
        """
        if not 0 < seconds < float("inf"):
            raise ValueError(f"a breaker is open for a number of seconds above 0, not {seconds!r}")
        with self._lock:
            until = self._clock.monotonic() + seconds
            if until <= self._known_until + self.SAME or self._state not in _BY_ITSELF:
                return
            self._known_until = until
            was = self._state
            if was is not BreakerState.OPEN:
                self._opened += 1
                self._become(BreakerState.OPEN)
            self.reopens_at = until
        if was is not BreakerState.OPEN:
            self._tell(BreakerState.OPEN)

    def recover(self) -> None:
        """Others have found that the resource is back: an open breaker becomes half open with the next call."""
        with self._lock:
            self._known_until = self._clock.monotonic()
            if self._state is BreakerState.OPEN:
                self.reopens_at = self._known_until

    def _acquire(self) -> int:
        became = None
        with self._lock:
            if self.admits:
                return self.admits
            wait: float | None = None
            if self._state is BreakerState.OPEN:
                wait = self.reopens_at - self._clock.monotonic()
                if wait <= 0:
                    self._become(became := BreakerState.HALF_OPEN)
                    wait = None
            if self._state is BreakerState.HALF_OPEN and self._clock.monotonic() >= self._half_open_until:
                self._become(BreakerState.HALF_OPEN)  # what was let through has not come back: others may try
            most = self.policy.half_open_concurrency or self.policy.half_open_permits
            free = self._state is BreakerState.HALF_OPEN and self._permits > 0 and self._probes < most
            if free:
                self._permits -= 1
                self._probes += 1
            permit, state = self._generation, self._state
        if became:
            try:
                self._tell(became)
            except BaseException:
                if free:
                    self.ignored(permit)
                raise
        if free:
            return permit
        raise self.rejection(wait, state.value)

    def _record(self, permit: int, outcome: int, seconds: float) -> None:
        became = None
        with self._lock:
            recovery = self._recovery  # grows where it opens
            if permit != self._generation or self._state is BreakerState.DISABLED:
                return  # an outcome of an earlier state
            if seconds >= self._slow_call:
                outcome |= SLOW
            if self._state is BreakerState.HALF_OPEN:
                became = self._probed(outcome)
            else:
                self.streak = self.streak + 1 if outcome & FAILED else 0
                if self._window:
                    self._window.add(outcome)
                if outcome and self._state is BreakerState.CLOSED and self._too_bad():
                    became = self._open()
        if became:
            if self.found:
                self.found(self.name, recovery if became is BreakerState.OPEN else None)
            self._tell(became)

    def _too_bad(self) -> bool:
        policy = self.policy
        if policy.consecutive_failures is not None and self.streak >= policy.consecutive_failures:
            return True
        if not self._window:
            return False
        calls, failed, slow = self._window.figures()
        if calls < self._minimum:
            return False
        return _reaches(failed, policy.failure_rate, calls) or (
            self.needs_time and _reaches(slow, policy.slow_call_rate, calls)
        )

    def _probed(self, outcome: int) -> BreakerState | None:
        """A probe has ended. They decide together, but as soon as it is clear."""
        policy = self.policy
        self._probes -= 1
        self._probes_done += 1
        self._probes_failed += outcome & FAILED
        self._probes_slow += outcome >> 1
        of = policy.half_open_permits
        by_count = policy.consecutive_failures is not None and self._probes_failed
        slow_ones = self.needs_time and _reaches(self._probes_slow, policy.slow_call_rate, of)
        if by_count or _reaches(self._probes_failed, policy.failure_rate, of) or slow_ones:
            return self._open()
        if self._probes_done == of:
            self._recovery = policy.recovery
            self._become(BreakerState.CLOSED)
            return BreakerState.CLOSED
        return None

    def _open(self) -> BreakerState:
        reopens_at = self._clock.monotonic() + self._recovery
        self._recovery = min(self._recovery * self.policy.recovery_growth, self.policy.max_recovery)
        self._opened += 1
        self._become(BreakerState.OPEN)
        self.reopens_at = reopens_at
        self._known_until = max(self._known_until, reopens_at)
        return BreakerState.OPEN

    def _become(self, state: BreakerState) -> None:
        """Begin a state, with nothing counted in it. Under the lock."""
        self._state = state
        self._generation = self._generation + 1
        self.reopens_at = _NEVER
        self.streak = 0
        self._window: _CallWindow | _TimeWindow | None = None
        self._note: Callable[[int], None] | None = None
        """What a success is noted by without a lock, where that is possible."""
        if state is BreakerState.DISABLED or not self.counts_successes:
            self._note = _not_noted
        elif self.policy.window_calls is not None:
            self._window = window = _CallWindow(self.policy.window_calls)
            self._note = window.add
        elif self.policy.window_seconds is not None:
            self._window = _TimeWindow(self.policy.window_seconds, self._clock)
        self._half_open_until = (
            _NEVER if state is not BreakerState.HALF_OPEN else self._clock.monotonic() + self._patience
        )
        self._permits = self.policy.half_open_permits
        self._probes = self._probes_failed = self._probes_slow = self._probes_done = 0
        shut = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.FORCED_OPEN)
        self.admits = 0 if state in shut else self._generation

    def _tell(self, state: BreakerState) -> None:
        if self._told:
            self._told(self.name, state)


def _reaches(some: int, share: float, of: int) -> bool:
    """Whether some are such a share of all: 7 of 100 are 0.07, which as a float is a little more than it says."""
    return some >= share * of - 1e-9


def _not_noted(outcome: int) -> None:
    """Where successes are not counted."""
