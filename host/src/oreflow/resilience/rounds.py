"""One call that did not go well at once: what was tried, whether it is tried again, and with which error it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oreflow.resilience.classification import Classification, ErrorClass
from oreflow.resilience.errors import RejectedError, ResilienceError, attach, retried_since
from oreflow.resilience.events import Event, EventKind
from oreflow.resilience.policy import LONGEST, RetryPolicy
from oreflow.resilience.waits import Jitter, backoff

if TYPE_CHECKING:
    from oreflow.resilience.executor import ResilientExecutor

_UNTRIED = ResilienceError("nobody", "nothing was tried")


class Round:
    """The attempts of a call.

    `failed` and `disliked` give the seconds until the next one; None where there is none, and then `ended` gives the
    error to end with.
    """

    __slots__ = ("_causes", "_executor", "_final", "_previous", "_since", "_waited", "attempt", "began")

    def __init__(self, executor: ResilientExecutor, began: float, since: int) -> None:
        self._executor = executor
        self.attempt = 0
        self._previous = self._waited = 0.0
        self._causes: tuple[BaseException, ...] = ()
        self.began, self._since = began, since
        self._final: BaseException = _UNTRIED

    def failed(self, error: Exception) -> float | None:
        """An attempt has failed."""
        executor = self._executor
        policy = executor.policy.retry
        if isinstance(error, RejectedError):
            self._rejected(error)
            return None
        self.attempt = attempt = self.attempt + 1
        self._final = error
        if attempt >= policy.max_attempts:
            if executor.budget is not None:
                executor.budget.failed()
            self._give_up("attempts", error)
            return None
        verdict = executor.classify(error)
        usual = verdict.retryable and verdict.error_class is not ErrorClass.UNKNOWN and not executor.picky
        alone = usual and not (error.__dict__ or error.__cause__ or error.__context__)
        if not alone and (reason := self._against(error, verdict, policy)):
            self._give_up(reason, error)
            return None
        if (wait := executor.simple_wait) is None or verdict.retry_after is not None:
            return self._next(verdict.retry_after, error)
        self._waited += wait
        self._causes = (*self._causes, error)
        return wait

    def ended(self) -> BaseException:
        """The error to end with, of which nothing is kept here: its frames have this."""
        final, self._final = self._final, _UNTRIED
        return final

    def interrupted(self) -> None:
        """The wait for the next attempt was ended."""
        *before, last = self._causes or (self._final,)
        self._causes, self._final = tuple(before), last
        self._give_up("interrupted", last)

    def turned_away(self, error: BaseException) -> None:
        """There is no further attempt after a result that was not liked."""
        if self._executor.tell:
            self._executor.tell(Event(EventKind.REJECTED, self._executor.name, self.attempt + 1, error=error))

    def disliked(self) -> float | None:
        """An attempt has a result that is a failure."""
        executor = self._executor
        self.attempt += 1
        if self.attempt < executor.policy.retry.max_attempts:
            return self._next(None, None)
        if executor.tell:
            executor.tell(Event(EventKind.GAVE_UP, executor.name, self.attempt, self._waited, detail="attempts"))
        return None

    def recovered(self) -> None:
        """An attempt after the first has gone well."""
        executor = self._executor
        if executor.budget is not None:
            executor.budget.succeeded()
        if executor.tell:
            executor.tell(Event(EventKind.RECOVERED, executor.name, self.attempt + 1, self._waited))

    def _against(self, error: Exception, verdict: Classification, policy: RetryPolicy) -> str:
        """Why there is no further attempt; '' where nothing speaks against it."""
        if retried_since(error, self._since):
            return "retried_below"
        if policy.never_on and isinstance(error, policy.never_on):
            return "not_retryable"
        if not (policy.retry_on and isinstance(error, policy.retry_on)):
            if not verdict.retryable:
                return "not_retryable"
            if self.attempt > 1 and verdict.error_class is ErrorClass.UNKNOWN:
                return "unknown"
        return "" if policy.idempotent or verdict.not_done else "not_idempotent"

    def _next(self, retry_after: float | None, error: Exception | None) -> float | None:
        executor, policy = self._executor, self._executor.policy.retry
        if executor.budget is not None and not executor.budget.failed():
            self._suppressed("budget", error)
            return None
        jitter = policy.jitter or Jitter.NONE
        chance = 0.0 if jitter is Jitter.NONE else executor.clock.random()
        wait = backoff(policy.strategy, jitter, self.attempt, self._previous, policy.base, policy.cap, chance)
        self._previous = wait
        if retry_after is not None and retry_after > wait:
            wait = min(retry_after, LONGEST)
        if policy.deadline is not None and executor.clock.monotonic() + wait > self.began + policy.deadline:
            self._suppressed("deadline", error)
            return None
        self._waited += wait
        if error is not None:
            self._causes = (*self._causes, error)
        if executor.tell:
            executor.tell(Event(EventKind.RETRY, executor.name, self.attempt, wait, error))
        return wait

    def _suppressed(self, reason: str, error: Exception | None) -> None:
        executor = self._executor
        if executor.tell:
            executor.tell(Event(EventKind.SUPPRESSED, executor.name, self.attempt, error=error, detail=reason))
        if error is not None:
            self._give_up(reason, error)

    def _rejected(self, error: RejectedError) -> None:
        """The call was not made; the error of the attempt before, if there was one, is what its caller should see."""
        executor = self._executor
        if executor.tell:
            executor.tell(Event(EventKind.REJECTED, executor.name, self.attempt + 1, error=error))
        self._final = error
        if self._causes:
            *before, self._final = self._causes
            self._causes = tuple(before)
            self._give_up("rejected", self._final)

    def _give_up(self, reason: str, error: BaseException) -> None:
        executor = self._executor
        if reason != "retried_below":  # the record of the layer that has tried it says more
            causes = self._causes
            if error in causes:  # the same object each time
                causes = tuple(cause for cause in causes if cause is not error)
            attach(error, executor.name, self.attempt, self._waited, causes, reason)
            self._causes = ()
        if executor.tell:
            executor.tell(Event(EventKind.GAVE_UP, executor.name, self.attempt, self._waited, error, reason))
