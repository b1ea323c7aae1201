"""Calls made by a policy. The way of a call that goes well is short; whatever is decided is decided after a failure.

The order, from the outside: fallback, retry (with its deadline and budget), breaker, rate limit, bulkhead, hedge,
timeout, call. So each attempt asks the breaker, waits for its turn, and has its own time; a full bulkhead and an open
breaker end the call, since to try them again would be to wait in the wrong place.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from oreflow.resilience.breaker import CircuitBreaker
from oreflow.resilience.classification import Classifier, ErrorClass
from oreflow.resilience.clock import Clock
from oreflow.resilience.errors import (
    ENDED,
    CircuitOpenError,
    InterruptedWaitError,
    RateLimitedError,
    RejectedError,
)
from oreflow.resilience.events import Event, EventKind, Listener
from oreflow.resilience.limits import AdaptiveRateLimit, Bulkhead, RateLimit, RetryBudget
from oreflow.resilience.policy import Policy
from oreflow.resilience.rounds import Round
from oreflow.resilience.threads import beside
from oreflow.resilience.waits import Jitter, RetryStrategy

if TYPE_CHECKING:
    import asyncio

    from oreflow.resilience.bulk import BulkReport

P = ParamSpec("P")
T = TypeVar("T")
Fallback = Callable[[BaseException], Any]

_OF_THE_CALLER = (ErrorClass.CONFIGURATION, ErrorClass.DATA, ErrorClass.PERMANENT)
"""Errors that say nothing of the resource."""


class _NoBreaker:
    """In the place of a breaker where there is none."""

    name, admits, streak, needs_time, reopens_at = "", 1, 0, False, float("-inf")
    rejected, rejections = 0, staticmethod(int)

    def acquire(self) -> int:
        return 1

    def succeeded(self, permit: int, seconds: float = 0.0) -> None:
        pass

    failed = succeeded

    def ignored(self, permit: int) -> None:
        pass


_NO_BREAKER = _NoBreaker()


class ResilientExecutor:
    """Calls functions by a policy; for all threads and tasks, sync and async.

    It is made by `create_resilient_executor`, or by a `Resilience` for one of its resources.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        *,
        breaker: CircuitBreaker | None,
        rate_limit: RateLimit | AdaptiveRateLimit | None,
        bulkhead: Bulkhead | None,
        budget: RetryBudget | None,
        clock: Clock,
        classifier: Classifier,
        tell: Listener | None,
    ) -> None:
        self.name, self.policy = name, policy
        self.breaker, self.bulkhead, self.budget, self.rate_limit = breaker, bulkhead, budget, rate_limit
        self._breaker: CircuitBreaker | _NoBreaker = breaker or _NO_BREAKER
        self.clock, self.classify, self.tell = clock, classifier.classify, tell
        self._stop: threading.Event | None = None
        self._stop_async: asyncio.Event | None = None
        self._dislikes = policy.retry.retry_result
        by_count = breaker is None or not (breaker.needs_time or breaker.counts_successes)
        others = (rate_limit, bulkhead, policy.hedge, policy.timeout, policy.retry.deadline, policy.retry.retry_result)
        self._plain = by_count and all(other is None for other in others)
        retry = policy.retry
        self.picky = bool(retry.retry_on or retry.never_on or not retry.idempotent)
        constant = retry.strategy is RetryStrategy.FIXED_INTERVAL and retry.jitter is Jitter.NONE
        simple = constant and budget is None and retry.deadline is None and tell is None
        self.simple_wait = retry.base if simple else None
        self._deadline = policy.retry.deadline
        self._silent = tell is None and policy.fallback is None
        self._judges = breaker is not None or rate_limit is not None
        self._adaptive = rate_limit if isinstance(rate_limit, AdaptiveRateLimit) else None

    def execute(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function.

        Raises:
            RejectedError: the call was not made.
            TypeError: the function is async.
            Exception: whatever the function raised at last; `attempts_of` tells what was before it.
        """
        breaker = self._breaker
        if not (self._plain and (permit := breaker.admits)):
            result = self._fully(function, args, kwargs)
            return self._refused(result) if result.__class__ is CoroutineType else result
        since = ENDED[0]
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            failure = error
        else:
            if breaker.streak:
                breaker.succeeded(permit)
            if (budget := self.budget) is not None and budget.tokens < budget.MOST:
                budget.succeeded()
            return self._refused(result) if result.__class__ is CoroutineType else result
        self._judge(permit, failure, 0.0)
        try:
            return self._after_error(Round(self, 0.0, since), failure, function, args, kwargs)
        finally:
            del failure  # an error whose frames have it is garbage only for the collector

    def wrapped(self, function: Callable[P, T]) -> Callable[P, T]:  # noqa: C901  in one piece, for the sake of speed
        """The function, called by the policy each time: what `execute` does, without a call between."""
        if not self._plain:
            fully = self._fully

            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> T:
                return fully(function, args, kwargs)

            return call
        breaker, budget, after_error, ended = self._breaker, self.budget, self._after_error, ENDED
        silent, judge = self._silent, self._judge if self._judges else None
        rejections, monotonic, name = breaker.rejections, self.clock.monotonic, breaker.name

        @functools.wraps(function)
        def plain_call(*args: P.args, **kwargs: P.kwargs) -> T:
            if permit := breaker.admits:
                since = ended[0]
                try:
                    result = function(*args, **kwargs)
                except Exception as error:
                    failure = error
                else:
                    if breaker.streak:
                        breaker.succeeded(permit)
                    if budget is not None and budget.tokens < budget.MOST:
                        budget.succeeded()
                    return result
                if judge:
                    judge(permit, failure, 0.0)
                try:
                    return after_error(Round(self, 0.0, since), failure, function, args, kwargs)
                finally:
                    del failure
            if silent:  # the shortest way to what `acquire` does: what is down is called by the thousand
                if (wait := breaker.reopens_at - monotonic()) > 0.0:  # with a whole number it takes longer
                    breaker.rejected = rejections()
                    raise CircuitOpenError(name, "open", wait)
                return self._probe(breaker.acquire(), function, args, kwargs)
            return self.execute(function, *args, **kwargs)

        return plain_call

    async def execute_async(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an async function; the same for a task.

        Raises:
            RejectedError: the call was not made.
            Exception: whatever the function raised at last; `attempts_of` tells what was before it.
        """
        breaker = self._breaker
        if not (self._plain and (permit := breaker.admits)):
            return await self._fully_async(function, args, kwargs)
        since = ENDED[0]
        try:
            result = await function(*args, **kwargs)
        except Exception as error:
            failure = error
        else:
            if breaker.streak:
                breaker.succeeded(permit)
            if (budget := self.budget) is not None and budget.tokens < budget.MOST:
                budget.succeeded()
            return result
        self._judge(permit, failure, 0.0)
        try:
            return await self._after_error_async(Round(self, 0.0, since), failure, function, args, kwargs)
        finally:
            del failure  # an error whose frames have it is garbage only for the collector

    def execute_bulk(
        self,
        function: Callable[[Any], T],
        items: Iterable[Any],
        *,
        max_failure_ratio: float = 1.0,
        concurrency: int = 1,
    ) -> BulkReport[T]:
        """Call a function for each item; one that fails does not keep the others from being tried.

        It ends early when more than `max_failure_ratio` of all items have failed, and when the breaker opens: what runs
        is waited for, what waits for its next attempt is not. What was not tried is `report.left`, with which it can be
        called again. `report.outcomes` are in the order of the items. At most `concurrency` are under way at the same
        time, each in a thread; one that a bulkhead or a rate limit turns away waits for its turn.

        Raises:
            ValueError: the ratio is not from 0 to 1, or the concurrency below 1.
        """
        from oreflow.resilience.bulk import run_bulk

        return run_bulk(self.until, function, items, max_failure_ratio, concurrency)

    async def execute_bulk_async(
        self,
        function: Callable[[Any], Awaitable[T]],
        items: Iterable[Any],
        *,
        max_failure_ratio: float = 1.0,
        concurrency: int = 1,
    ) -> BulkReport[T]:
        """The same for an async function, each item in a task.

        Raises:
            ValueError: the ratio is not from 0 to 1, or the concurrency below 1.
        """
        from oreflow.resilience.bulk import run_bulk_async

        return await run_bulk_async(self.until, function, items, max_failure_ratio, concurrency)

    def _refused(self, coroutine: Any) -> NoReturn:
        """Refuse a call that has only begun: its work would be done, and fail, outside.

        Raises:
            TypeError: always.
        """
        coroutine.close()
        raise TypeError(f"{self.name} is async: call it by execute_async")

    def until(self, stop: threading.Event | asyncio.Event) -> ResilientExecutor:
        """The same executor, whose waits end when `stop` is set."""
        made = object.__new__(ResilientExecutor)
        made.__dict__.update(self.__dict__)
        if isinstance(stop, threading.Event):
            made._stop = stop
        else:
            made._stop_async = stop
        return made

    # One attempt after the other

    def _fully(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> T:
        """Whatever is not plain, from the first attempt on."""
        since, began = ENDED[0], 0.0 if self._deadline is None else self.clock.monotonic()
        try:
            liked, result = self._attempt(function, args, kwargs, began)
        except InterruptedWaitError:
            raise
        except RejectedError as error:
            if self._silent:
                raise
            failure: Exception = error
        except Exception as error:
            failure = error
        else:
            if not liked:
                return self._after_result(Round(self, began, since), result, function, args, kwargs)
            if (budget := self.budget) is not None and budget.tokens < budget.MOST:
                budget.succeeded()
            return result
        try:
            return self._after_error(Round(self, began, since), failure, function, args, kwargs)
        finally:
            del failure

    async def _fully_async(
        self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> T:
        """Whatever is not plain, from the first attempt on."""
        since, began = ENDED[0], 0.0 if self._deadline is None else self.clock.monotonic()
        try:
            liked, result = await self._attempt_async(function, args, kwargs, began)
        except InterruptedWaitError:
            raise
        except RejectedError as error:
            if self._silent:
                raise
            failure: Exception = error
        except Exception as error:
            failure = error
        else:
            if not liked:
                return await self._after_result_async(Round(self, began, since), result, function, args, kwargs)
            if (budget := self.budget) is not None and budget.tokens < budget.MOST:
                budget.succeeded()
            return result
        try:
            return await self._after_error_async(Round(self, began, since), failure, function, args, kwargs)
        finally:
            del failure

    def _after_error(  # noqa: C901, PLR0912  in one piece, for the sake of speed
        self,
        round_: Round,
        failure: Exception,
        function: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> T:
        plain, breaker, judges, permit = self._plain, self._breaker, self._judges, 0
        while (wait := round_.failed(failure)) is not None:
            permit = 0
            try:
                if wait > 0:
                    self.clock.sleep(wait, self._stop)
                if plain:  # the same as `_attempt`, without what an outage need not pay for
                    permit = breaker.admits or breaker.acquire()
                    liked, result = True, function(*args, **kwargs)
                else:
                    liked, result = self._attempt(function, args, kwargs, round_.began)
            except InterruptedWaitError:
                round_.interrupted()
                break
            except Exception as error:
                failure = error
                if permit and judges:
                    self._judge(permit, error, 0.0)
            except BaseException:
                if permit:
                    breaker.ignored(permit)
                raise
            else:
                if plain:
                    breaker.succeeded(permit)
                if liked:
                    round_.recovered()
                    return result
                return self._after_result(round_, result, function, args, kwargs)
        final = round_.ended()
        try:
            if self.policy.fallback is None:
                raise final
            fallen_back: T = self._fallen_back(self.policy.fallback, final, round_.attempt)
            return fallen_back
        finally:
            del final, failure, round_

    def _after_result(
        self,
        round_: Round,
        result: T,
        function: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> T:
        """A result that is not liked is what the caller gets when no attempt is left."""
        while (wait := round_.disliked()) is not None:
            try:
                if wait > 0:
                    self.clock.sleep(wait, self._stop)
                liked, result = self._attempt(function, args, kwargs, round_.began)
            except (RejectedError, InterruptedWaitError) as error:
                round_.turned_away(error)
                return result
            except Exception as error:
                failure = error
            else:
                if not liked:
                    continue
                round_.recovered()
                return result
            try:
                return self._after_error(round_, failure, function, args, kwargs)
            finally:
                del failure
        return result

    async def _after_error_async(
        self,
        round_: Round,
        failure: Exception,
        function: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> T:
        while (wait := round_.failed(failure)) is not None:
            try:
                if wait > 0:
                    await self.clock.sleep_async(wait, self._stop_async)
                liked, result = await self._attempt_async(function, args, kwargs, round_.began)
            except InterruptedWaitError:
                round_.interrupted()
                break
            except Exception as error:
                failure = error
            else:
                if liked:
                    round_.recovered()
                    return result
                return await self._after_result_async(round_, result, function, args, kwargs)
        final = round_.ended()
        try:
            if self.policy.fallback is None:
                raise final
            fallen_back: T = await self._fallen_back_async(self.policy.fallback, final, round_.attempt)
            return fallen_back
        finally:
            del final, failure, round_

    async def _after_result_async(
        self,
        round_: Round,
        result: T,
        function: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> T:
        """A result that is not liked is what the caller gets when no attempt is left."""
        while (wait := round_.disliked()) is not None:
            try:
                if wait > 0:
                    await self.clock.sleep_async(wait, self._stop_async)
                liked, result = await self._attempt_async(function, args, kwargs, round_.began)
            except (RejectedError, InterruptedWaitError) as error:
                round_.turned_away(error)
                return result
            except Exception as error:
                failure = error
            else:
                if not liked:
                    continue
                round_.recovered()
                return result
            try:
                return await self._after_error_async(round_, failure, function, args, kwargs)
            finally:
                del failure
        return result

    def _probe(self, permit: int, function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> T:
        """A first attempt of a plain call that has its permit."""
        since = ENDED[0]
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            self._judge(permit, error, 0.0)
            if not isinstance(error, Exception):
                raise
            failure = error
        else:
            self._breaker.succeeded(permit)
            if self.budget is not None:
                self.budget.succeeded()
            return result
        try:
            return self._after_error(Round(self, 0.0, since), failure, function, args, kwargs)
        finally:
            del failure

    def _fallen_back(self, fallback: Fallback, error: BaseException, attempt: int) -> Any:
        """What the fallback makes of an error.

        Raises:
            TypeError: it is async, and the call is not.
        """
        if self.tell:
            self.tell(Event(EventKind.FALLBACK, self.name, attempt, error=error))
        try:
            result = fallback(error)
        except Exception as another:
            another.__context__ = another.__context__ or error  # what it was called for is not lost
            raise
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError(f"the fallback of {self.name} is async, and the call is not") from error
        return result

    async def _fallen_back_async(self, fallback: Fallback, error: BaseException, attempt: int) -> Any:
        if self.tell:
            self.tell(Event(EventKind.FALLBACK, self.name, attempt, error=error))
        try:
            result = fallback(error)
            return await result if inspect.isawaitable(result) else result
        except Exception as another:
            another.__context__ = another.__context__ or error
            raise

    # One attempt

    def _attempt(
        self, function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any], since: float
    ) -> tuple[bool, T]:
        """One attempt of a call that began then: whether its result is liked, and the result."""
        breaker, bulkhead = self._breaker, self.bulkhead
        permit = breaker.admits or breaker.acquire()
        try:
            if self.rate_limit is not None and (wait := self._reserved(since)) > 0:
                try:
                    self.clock.sleep(wait, self._stop)
                except BaseException:
                    self.rate_limit.give_back()
                    raise
            if bulkhead is not None:
                bulkhead.acquire(self._stop, None if self._deadline is None else self._left(since))
        except BaseException:
            breaker.ignored(permit)
            raise
        began = self.clock.monotonic() if breaker.needs_time else 0.0
        try:
            if self.policy.timeout is None and self.policy.hedge is None:
                try:
                    result = function(*args, **kwargs)
                finally:
                    if bulkhead is not None:
                        bulkhead.release()
            else:
                result = beside(
                    self.name,
                    lambda: function(*args, **kwargs),
                    timeout=self.policy.timeout,
                    hedge=self.policy.hedge,
                    ended=_nothing if bulkhead is None else bulkhead.release,
                )
            liked = self._dislikes is None or not self._dislikes(result)
        except BaseException as error:
            self._judge(permit, error, self.clock.monotonic() - began if breaker.needs_time else 0.0)
            raise
        self._went(permit, liked=liked, began=began)
        return liked, result

    async def _attempt_async(
        self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: Mapping[str, Any], since: float
    ) -> tuple[bool, T]:
        """The same for a task."""
        breaker, bulkhead = self._breaker, self.bulkhead
        permit = breaker.admits or breaker.acquire()
        try:
            if self.rate_limit is not None and (wait := self._reserved(since)) > 0:
                try:
                    await self.clock.sleep_async(wait, self._stop_async)
                except BaseException:
                    self.rate_limit.give_back()
                    raise
            if bulkhead is not None:
                await bulkhead.acquire_async(None if self._deadline is None else self._left(since))
        except BaseException:
            breaker.ignored(permit)
            raise
        began = self.clock.monotonic() if breaker.needs_time else 0.0
        try:
            try:
                if self.policy.timeout is None and self.policy.hedge is None:
                    result = await function(*args, **kwargs)
                else:
                    from oreflow.resilience.tasks import beside_async

                    policy = self.policy
                    result = await beside_async(
                        self.name, lambda: function(*args, **kwargs), seconds=policy.timeout, hedge=policy.hedge
                    )
            finally:
                if bulkhead is not None:
                    bulkhead.release()
            liked = self._dislikes is None or not self._dislikes(result)
        except BaseException as error:
            self._judge(permit, error, self.clock.monotonic() - began if breaker.needs_time else 0.0)
            raise
        self._went(permit, liked=liked, began=began)
        return liked, result

    def _left(self, since: float) -> float:
        """Seconds until the deadline of a call that began then."""
        return max(since + (self._deadline or 0.0) - self.clock.monotonic(), 0.0)

    def _reserved(self, since: float) -> float:
        limit, policy = self.rate_limit, self.policy.rate_limit
        assert limit is not None  # noqa: S101  for the type checker
        assert policy is not None  # noqa: S101  for the type checker
        most = policy.wait if self._deadline is None else min(policy.wait, self._left(since))
        wait = limit.reserve(self.clock.monotonic(), most)
        if wait > most:
            raise RateLimitedError(self.name, wait)
        if wait > 0 and self.tell:
            self.tell(Event(EventKind.DELAYED, self.name, seconds=wait))
        return wait

    def _went(self, permit: int, *, liked: bool, began: float) -> None:
        """An attempt has a result."""
        breaker = self._breaker
        seconds = self.clock.monotonic() - began if breaker.needs_time else 0.0
        (breaker.succeeded if liked else breaker.failed)(permit, seconds)
        if liked and self._adaptive is not None:
            self._adaptive.succeeded(self.clock.monotonic())

    def _judge(self, permit: int, error: BaseException, seconds: float) -> None:
        """What an error says of the resource."""
        if not self._judges:
            return
        breaker, policy = self._breaker, self.policy.breaker
        if not isinstance(error, Exception) or isinstance(error, (RejectedError, InterruptedWaitError)):
            breaker.ignored(permit)
            return
        if policy is not None:
            try:
                counts = isinstance(error, policy.record) or not (
                    isinstance(error, policy.ignore) or self.classify(error).error_class in _OF_THE_CALLER
                )
            except BaseException:
                breaker.ignored(permit)
                raise
            (breaker.failed if counts else breaker.ignored)(permit, *((seconds,) if counts else ()))
        if self._adaptive is not None and self.classify(error).error_class is ErrorClass.RATE_LIMITED:
            self._adaptive.throttled(self.clock.monotonic())


def _nothing() -> None:
    """What is done at the end of a thread that holds nothing."""
