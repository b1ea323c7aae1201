"""What keeps a resource from being asked too much: at once (bulkhead), too fast (rate limit), in vain (budget)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from oreflow.resilience.errors import BulkheadFullError, InterruptedWaitError
from oreflow.resilience.policy import BulkheadPolicy

_LOOK = 0.05
"""Seconds after which a thread that waits for its turn looks whether it is still wanted."""


class Bulkhead:
    """A semaphore with a queue, in the order of arrival, for threads and tasks alike.

    Taking a permit and giving it back are single operations of the interpreter on a list, without a lock, as long as
    nobody waits.
    """

    def __init__(self, name: str, policy: BulkheadPolicy) -> None:
        self.name, self.policy = name, policy
        self._lock = threading.Lock()
        self._free = [None] * policy.limit
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def under_way(self) -> int:
        """How many calls have a permit."""
        return self.policy.limit - len(self._free)

    def acquire(self, stop: threading.Event | None = None, most: float | None = None) -> None:
        """Take a permit; `most` bounds the wait beside the policy's own.

        Raises:
            BulkheadFullError: there is none, and no place in the queue, or none came free in time.
            InterruptedWaitError: `stop` was set meanwhile.
        """
        if not self._waiting:
            try:
                self._free.pop()
            except IndexError:
                pass
            else:
                return
        turn = threading.Event()
        if self._taken_or_queued(turn.set):
            return
        try:
            patience = _least(self.policy.wait, most)
            came = turn.wait(patience) if stop is None else self._waited(turn, stop, patience)
        except BaseException:
            self._leave(turn.set, granted=turn.is_set)
            raise
        if not came and self._leave(turn.set, granted=turn.is_set, keep=True):
            raise self._full(f"no call ended within {patience:g} s")

    async def acquire_async(self, most: float | None = None) -> None:
        """The same for a task.

        Raises:
            BulkheadFullError: there is none, and no place in the queue, or none came free in time.
        """
        import asyncio  # who is sync need not load it

        loop = asyncio.get_running_loop()
        turn = asyncio.Event()
        granted = threading.Event()

        def grant() -> None:
            granted.set()
            loop.call_soon_threadsafe(turn.set)

        if self._taken_or_queued(grant):
            return
        try:
            patience = _least(self.policy.wait, most)
            async with asyncio.timeout(patience):
                await turn.wait()
        except TimeoutError:
            if self._leave(grant, granted=granted.is_set, keep=True):
                raise self._full(f"no call ended within {patience:g} s") from None
        except BaseException:
            self._leave(grant, granted=granted.is_set)
            raise

    def release(self) -> None:
        """Give a permit back; whoever waits longest has it next."""
        self._free.append(None)
        if self._waiting:  # whoever comes to wait after this looks for a free permit once more
            self._serve()

    def _serve(self) -> None:
        with self._lock:
            while self._waiting:
                try:
                    self._free.pop()
                except IndexError:
                    return
                try:
                    self._waiting.popleft()()
                except RuntimeError:  # the event loop of that one is closed: it waits no more
                    self._free.append(None)

    def _taken_or_queued(self, grant: Callable[[], None]) -> bool:
        """Whether a permit was taken. If not, `grant` will be called when it is its turn, or was."""
        with self._lock:
            if not self._waiting and self._free:
                try:
                    self._free.pop()
                except IndexError:  # somebody without a lock was quicker
                    pass
                else:
                    return True
            if len(self._waiting) >= self.policy.queue or self.policy.wait == 0:
                queue = f" and {len(self._waiting)} wait" if self._waiting else ""
                raise self._full(f"{self.policy.limit} calls are under way{queue}")
            self._waiting.append(grant)
        self._serve()
        return False

    def _waited(self, turn: threading.Event, stop: threading.Event, left: float | None) -> bool:
        while not turn.wait(_LOOK if left is None else min(left, _LOOK)):
            if stop.is_set():
                raise InterruptedWaitError(self.name)
            if left is not None and (left := left - _LOOK) <= 0:
                return False
        return True

    def _leave(self, grant: Callable[[], None], *, granted: Callable[[], bool], keep: bool = False) -> bool:
        """Leave the queue; whether there is no permit. One that was granted in this moment is kept, or given back."""
        with self._lock:
            if not granted():
                self._waiting.remove(grant)
                return True
        if not keep:
            self.release()
        return False

    def _full(self, why: str) -> BulkheadFullError:
        return BulkheadFullError(self.name, why)


def _least(one: float | None, other: float | None) -> float | None:
    """The shorter of two times, of which None is none."""
    return one if other is None else other if one is None else min(one, other)


class RateLimit:
    """A token bucket: `calls` in `seconds`, all at once at first."""

    def __init__(self, calls: float, seconds: float) -> None:
        self._rate = calls / seconds
        self._most = max(calls, 1.0)
        self._tokens = self._most
        self._at = float("-inf")
        self._lock = threading.Lock()

    def reserve(self, now: float, most: float) -> float:
        """Take the next place: the seconds until it. Where these are more than `most`, it is not taken."""
        with self._lock:
            if now > self._at:
                tokens = self._tokens + (now - self._at) * self._rate
                self._tokens = min(self._most, tokens)
                self._at = now
            if self._tokens >= 1.0:
                self._tokens -= 1.0
                return 0.0
            wait = (1.0 - self._tokens) / self._rate
            if wait <= most:
                self._tokens -= 1.0
            return wait

    def give_back(self) -> None:
        """A call that had its place was not made, since its wait was ended: the next may come so much earlier."""
        with self._lock:
            self._tokens = min(self._most, self._tokens + 1.0)


class AdaptiveRateLimit:
    """No limit at first; from the first throttling on, the rate that the resource takes.

    The client side rate limiting of the AWS SDKs' adaptive retry mode: the rate at which calls are made is measured in
    half seconds; a throttling brings it down to 0.7 of that, and it grows by the cubic function of RFC 8312 (CUBIC), to
    no more than twice what is measured.
    """

    _BETA, _SCALE, _SMOOTH, _LEAST, _STEP = 0.7, 0.4, 0.8, 0.5, 0.5

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits = False
        self._measured, self._count, self._bucket = 0.0, 0, float("-inf")
        self._rate = self._before = 0.0
        self._window = self._throttled_at = 0.0
        self._tokens, self._at = 0.0, 0.0

    @property
    def rate(self) -> float | None:
        """Calls in a second; None while there is no limit."""
        return self._rate if self._limits else None

    def reserve(self, now: float, most: float) -> float:
        """Take the next place: the seconds until it. Where these are more than `most`, it is not taken."""
        with self._lock:
            if not self._limits:
                return 0.0
            self._refill(now)
            wait = max((1.0 - self._tokens) / self._rate, 0.0)
            if wait <= most:
                self._tokens -= 1.0
            return wait

    def give_back(self) -> None:
        """A call that had its place was not made, since its wait was ended: the next may come so much earlier."""
        with self._lock:
            self._tokens += 1.0

    def throttled(self, now: float) -> None:
        """The resource says that it is asked too often."""
        with self._lock:
            self._measure(now)
            at = min(self._measured, self._rate) if self._limits else self._measured
            self._before = max(at, self._LEAST)
            self._window = (self._before * (1 - self._BETA) / self._SCALE) ** (1 / 3)
            self._throttled_at = now
            if not self._limits:
                self._limits, self._at = True, now
            self._set(now, self._before * self._BETA)

    def succeeded(self, now: float) -> None:
        """A call went well."""
        with self._lock:
            self._measure(now)
            if self._limits:
                since = now - self._throttled_at
                grown = self._SCALE * (since - self._window) ** 3 + self._before
                self._set(now, min(grown, 2 * self._measured))

    def _set(self, now: float, rate: float) -> None:
        self._refill(now)
        self._rate = max(rate, self._LEAST)
        self._tokens = min(self._tokens, max(self._rate, 1.0))

    def _refill(self, now: float) -> None:
        self._tokens = min(max(self._rate, 1.0), self._tokens + max(now - self._at, 0.0) * self._rate)
        self._at = max(self._at, now)

    def _measure(self, now: float) -> None:
        bucket = now // self._STEP * self._STEP
        self._count += 1
        if self._bucket == float("-inf"):
            self._bucket = bucket
        elif bucket > self._bucket:
            rate = self._count / (bucket - self._bucket)
            self._measured = rate * self._SMOOTH + self._measured * (1 - self._SMOOTH)
            self._count, self._bucket = 0, bucket


class RetryBudget:
    """The retry throttling of gRPC A6.

    A failure costs a token, a success gives `ratio` of one, and there are no retries unless more than half of the
    tokens are left. So retries are a share of the calls when a resource is down.
    """

    MOST = 10.0

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.tokens = self.MOST
        self._lock = threading.Lock()

    def succeeded(self) -> None:
        """A call went well; a full budget need not be told."""
        with self._lock:
            self.tokens = min(self.MOST, self.tokens + self.ratio)

    def failed(self) -> bool:
        """A call has failed in a way that could be retried; whether it may be."""
        with self._lock:
            self.tokens = max(0.0, self.tokens - 1.0)
            return self.tokens > self.MOST / 2
