"""What resilience itself has to say: calls that were not made, and attempts that took too long.

An operation that was made and failed ends with its own error, never with one of these; what was tried before is
attached to it and told by `attempts_of`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

_MARK = "_oreflow_attempts"
_DEEPEST = 32


class ResilienceError(Exception):
    """Whatever resilience raises itself: the name of what was called, and what is told of it.

    The words are put together when somebody reads them: a resource that is down rejects calls by the thousand.
    """

    __slots__ = ()

    @property
    def resource(self) -> str:
        """The name of what was called."""
        return str(self.args[0])

    def __str__(self) -> str:
        try:
            return self._words()
        except (IndexError, TypeError, ValueError, AttributeError):  # somebody has made it with words of their own
            return super().__str__()

    def _words(self) -> str:
        return str(self.args[1])


class RejectedError(ResilienceError):
    """The call was not made. It is never retried by whoever rejected it, and never counted as a failure."""

    __slots__ = ()

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a call may be let through; None where nobody can know."""
        return None


class CircuitOpenError(RejectedError):
    """The breaker of the resource is open: its name, the state, and the seconds until a call may be let through."""

    __slots__ = ()

    @property
    def state(self) -> str:
        """The state of the breaker."""
        return str(self.args[1])

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a call may be let through; None where nobody can know."""
        wait: float | None = self.args[2]
        return wait

    def _words(self) -> str:
        when = "" if self.retry_after is None else f", next attempt in {self.retry_after:.1f} s"
        return f"the circuit breaker of {self.resource} is {self.state.replace('_', ' ')}{when}"


class BulkheadFullError(RejectedError):
    """As many calls as the bulkhead lets through are under way, and its queue is full or the wait was too long."""

    def _words(self) -> str:
        return f"the bulkhead of {self.resource} is full: {self.args[1]}"


class RateLimitedError(RejectedError):
    """The call would have to wait longer for the rate limit than it may: the resource, and the seconds."""

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a call may be let through."""
        wait: float = self.args[1]
        return wait

    def _words(self) -> str:
        return f"the rate limit of {self.resource} is reached, next call in {self.args[1]:.3g} s"


class AttemptTimeoutError(ResilienceError, TimeoutError):
    """An attempt took longer than its seconds. What it does in a thread may go on; its result is dropped."""

    def __init__(self, resource: str, seconds: float) -> None:
        super().__init__(resource, seconds)
        self.errno = self.strerror = None  # what an OSError makes of two arguments

    def _words(self) -> str:
        return f"{self.args[0]} did not answer within {self.args[1]:g} s"


class InterruptedWaitError(ResilienceError):
    """A wait was ended, since the work that it belonged to is not wanted any more."""

    def _words(self) -> str:
        return f"the wait for {self.resource} was ended"


class Attempts(NamedTuple):
    """What was tried before an operation failed for good.

    `number` is how many attempts there were, `waited` the seconds between them, `causes` the errors of the earlier
    ones, `ended_by` why there was no further one: `attempts`, `not_retryable`, `unknown`, `not_idempotent`, `budget`,
    `deadline`, `rejected`, `retried_below`, `interrupted`; `at` tells later ones from earlier ones.
    """

    resource: str
    number: int
    waited: float
    causes: tuple[BaseException, ...]
    ended_by: str
    at: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the causes, of which one may not be picklable: an error crosses to another process by itself."""
        return Attempts, (self.resource, self.number, self.waited, (), self.ended_by, self.at)

    def __str__(self) -> str:
        return f"{self.resource}: {self.number} attempts, {self.waited:.3g} s between them"


ENDED = [0]
"""How many operations have failed for good in this process, more or less: it only has to grow."""


def attach(
    error: BaseException, resource: str, number: int, waited: float, causes: tuple[BaseException, ...], ended_by: str
) -> None:
    """Put on an error what was tried before it; an error that takes no attributes stays as it is."""
    ENDED[0] += 1
    try:
        before = error.__dict__.get(_MARK)
        error.__dict__[_MARK] = Attempts(resource, number, waited, causes, ended_by, ENDED[0])
        if number > 1:
            note = f"{resource}: {number} attempts"
            if before is None or note not in error.__notes__:
                error.add_note(note)
    except Exception:  # noqa: S110  the error matters, not what is written on it
        pass


def attempts_of(error: BaseException) -> Attempts | None:
    """What was tried before an error, or before the one that it was raised from; None where nothing is known."""
    each: BaseException | None = error
    for _ in range(_DEEPEST):
        if each is None:
            break
        found: Attempts | None = getattr(each, "__dict__", {}).get(_MARK)
        if found is not None:
            return found
        each = each.__cause__
    return None


def retried_since(error: BaseException, at: int) -> bool:
    """Whether an error, or anything that it came from, was tried more than once since `ENDED` was that number."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left and len(seen) < _DEEPEST:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        found: Attempts | None = getattr(each, "__dict__", {}).get(_MARK)
        if found is not None and found.number > 1 and found.at > at:
            return True
        left += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
    return False
