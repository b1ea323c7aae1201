"""What is tried again, how often, after which waits, and with which error it ends; for functions and async ones."""

from __future__ import annotations

import asyncio
import functools
import gc
import pickle
import re
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oreflow.resilience
from oreflow.resilience import (
    BreakerPolicy,
    BulkheadFullError,
    CircuitOpenError,
    Clock,
    EventKind,
    Jitter,
    Policy,
    Resilience,
    RetryPolicy,
    RetryStrategy,
    attempts_of,
    backoff,
    create_resilient_executor,
    get_resilience,
    resilient,
    set_resilience,
)
from oreflow.resilience.testing import VirtualClock, instant_waits


class Flaky:
    """A function that fails as it is told, and then gives its argument back."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self, value: object = "done") -> object:
        self.calls += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return value


@pytest.fixture
def clock():
    with instant_waits() as virtual:
        yield virtual


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Execute a function, by either way."""
    if request.param == "sync":
        return lambda executor, function, *args: executor.execute(function, *args)

    def called(executor, function, *args):
        async def function_async(*args):
            return function(*args)

        return asyncio.run(executor.execute_async(function_async, *args))

    return called


# Waits


@pytest.mark.parametrize(
    ("strategy", "jitter", "waits"),
    [
        ("fixed_interval", "none", [2, 2, 2, 2, 2]),
        ("linear", "none", [2, 4, 6, 8, 9]),
        ("exponential_backoff", "none", [2, 4, 8, 9, 9]),
        ("fibonacci", "none", [2, 2, 4, 6, 9]),
        ("exponential_backoff", "full", [1, 2, 4, 4.5, 4.5]),
        ("exponential_backoff", "equal", [1.5, 3, 6, 6.75, 6.75]),
        ("random_jitter", "decorrelated", [2, 4, 7, 9, 9]),
    ],
)
def test_each_strategy_waits_as_it_says(strategy, jitter, waits):
    found, previous = [], 0.0
    for attempt in range(1, 6):
        previous = backoff(RetryStrategy(strategy), Jitter(jitter), attempt, previous, 2.0, 9.0, 0.5)
        found.append(previous)
    assert found == waits


@given(
    strategy=st.sampled_from(RetryStrategy),
    jitter=st.sampled_from(Jitter),
    attempt=st.integers(1, 10**9),
    previous=st.floats(0, 1e6),
    base=st.floats(0, 1e3),
    more=st.floats(0, 1e6),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_wait_is_below_zero_or_above_the_cap(strategy, jitter, attempt, previous, base, more, chance):
    assert 0 <= backoff(strategy, jitter, attempt, previous, base, base + more, chance) <= base + more


def test_waits_between_attempts_are_those_of_the_strategy(clock, call):
    executor = create_resilient_executor(max_attempts=4, strategy="fibonacci", base=1.0)
    flaky = Flaky(*[ConnectionError("x")] * 3)
    assert call(executor, flaky) == "done"
    assert clock.waits == [1, 1, 2]


def test_full_jitter_is_spread_over_all_of_the_wait(clock):
    executor = create_resilient_executor(max_attempts=400, base=1.0, cap=1.0, retry_on=(OSError,))
    executor.execute(Flaky(*[ConnectionError("x")] * 399))
    assert 0.45 < mean(clock.waits) < 0.55
    assert (min(clock.waits) < 0.05, max(clock.waits) > 0.95) == (True, True)


def test_what_the_other_side_asks_for_is_waited_for(clock, call):
    slow_down = ConnectionError("slow down")
    slow_down.retry_after = 7.0
    executor = create_resilient_executor(max_attempts=2, base=0.1)
    call(executor, Flaky(slow_down))
    assert clock.waits == [7.0]


def test_no_attempt_begins_after_the_deadline(clock, call):
    executor = create_resilient_executor(max_attempts=99, strategy="fixed_interval", base=10.0, deadline=35.0)
    flaky = Flaky(*[ConnectionError("x")] * 99)
    with pytest.raises(ConnectionError) as raised:
        call(executor, flaky)
    assert (flaky.calls, attempts_of(raised.value).ended_by) == (4, "deadline")


# What is tried again


@pytest.mark.parametrize(
    ("kind", "options", "calls", "ended_by"),
    [
        (ConnectionResetError, {}, 3, "attempts"),
        (PermissionError, {}, 1, "not_retryable"),
        (ValueError, {}, 1, "not_retryable"),
        (ValueError, {"retry_on": (ValueError,)}, 3, "attempts"),
        (ConnectionResetError, {"never_on": (OSError,)}, 1, "not_retryable"),
        (RuntimeError, {}, 2, "unknown"),
        (ConnectionResetError, {"idempotent": False}, 1, "not_idempotent"),
        (ConnectionRefusedError, {"idempotent": False}, 3, "attempts"),
    ],
)
def test_the_class_of_an_error_decides_whether_it_is_tried_again(clock, call, kind, options, calls, ended_by):
    error = kind("who knows")
    flaky = Flaky(*[error] * 9)
    with pytest.raises(kind) as raised:
        call(create_resilient_executor(**options), flaky)
    assert raised.value is error
    assert (flaky.calls, attempts_of(error).ended_by, attempts_of(error).number) == (calls, ended_by, calls)


def test_a_result_can_be_a_failure(clock, call):
    results = [None, None, 5]
    executor = create_resilient_executor(max_attempts=3, retry_result=lambda result: result is None)
    assert call(executor, lambda: results.pop(0)) == 5
    results[:] = [None, None, None, 5]
    assert call(executor, lambda: results.pop(0)) is None


def test_an_error_after_a_result_that_is_a_failure_counts_on(clock, call):
    executor = create_resilient_executor(max_attempts=3, retry_result=lambda result: result is None)
    steps = [None, ConnectionError("x"), None, 5]

    def step():
        found = steps.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    assert call(executor, step) is None
    assert steps == [5]


def test_layers_within_each_other_do_not_multiply_attempts(clock, call):
    flaky = Flaky(*[ConnectionError("x")] * 99)
    inner, middle, outer = (create_resilient_executor(max_attempts=3) for _ in range(3))
    with pytest.raises(ConnectionError) as raised:
        call(outer, lambda: middle.execute(lambda: inner.execute(flaky)))
    assert flaky.calls == 3
    assert attempts_of(raised.value).number == 3


def test_layers_that_share_an_executor_do_not_multiply_attempts(clock):
    executor, calls = create_resilient_executor(max_attempts=3), []

    def walk(depth: int) -> None:
        calls.append(depth)
        if not depth:
            raise ConnectionError("x")
        executor.execute(walk, depth - 1)

    with pytest.raises(ConnectionError):
        executor.execute(walk, 3)
    assert calls == [3, 2, 1, 0, 0, 0]


@pytest.mark.parametrize("how", ["from None", "from", "in a group"])
def test_a_layer_that_wraps_the_error_does_not_multiply_attempts_either(clock, how):
    flaky = Flaky(*[ConnectionError(f"{number}") for number in range(99)])
    inner, outer = create_resilient_executor(max_attempts=3), create_resilient_executor(max_attempts=3)

    def middle() -> None:
        try:
            inner.execute(flaky)
        except ConnectionError as error:
            if how == "in a group":
                raise ExceptionGroup("some", [error]) from None
            raise ConnectionError("of the middle") from (error if how == "from" else None)

    with pytest.raises((ConnectionError, ExceptionGroup)):
        outer.execute(middle)
    assert flaky.calls == 3


def test_what_is_called_because_another_has_failed_has_its_attempts(clock):
    primary, secondary = Flaky(*[ConnectionError("p")] * 9), Flaky(ConnectionError("s"), ConnectionError("s"))
    one, other = create_resilient_executor(max_attempts=3), create_resilient_executor(max_attempts=3)
    try:
        one.execute(primary)
    except ConnectionError:
        assert other.execute(secondary) == "done"
    assert (primary.calls, secondary.calls) == (3, 3)


def test_the_same_error_object_again_is_tried_again(clock):
    error = ConnectionError("always the same")
    executor = create_resilient_executor(max_attempts=3)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            executor.execute(Flaky(error, error, error))
    for _ in range(2):
        assert executor.execute(Flaky(error, error, None)) == "done"


def test_a_budget_keeps_an_outage_from_multiplying_the_load(clock):
    events = []
    policy = Policy(retry=RetryPolicy(max_attempts=4, budget=0.1))
    executor = Resilience(on_event=events.append).executor("store", policy)
    flaky = Flaky(*[ConnectionError("x")] * 1000)
    for _ in range(100):
        with pytest.raises(ConnectionError):
            executor.execute(flaky)
    assert flaky.calls < 110
    assert sum(event.kind is EventKind.SUPPRESSED for event in events) > 90
    flaky.errors.clear()
    for _ in range(70):
        executor.execute(flaky)
    flaky.errors[:] = [ConnectionError("x")]
    before = flaky.calls
    executor.execute(flaky)
    assert flaky.calls == before + 2  # earned back


# How it ends


def test_the_users_own_error_comes_out_with_what_was_before_it(clock, call):
    first, second, third = ConnectionError("one"), TimeoutError("two"), ConnectionError("three")
    executor = create_resilient_executor(max_attempts=3, name="store of this test")
    with pytest.raises(ConnectionError, match="three") as raised:
        call(executor, Flaky(first, second, third))
    assert raised.value is third
    attempts = attempts_of(third)
    assert (attempts.number, attempts.causes, attempts.resource) == (3, (first, second), "store of this test")
    assert "store of this test: 3 attempts" in third.__notes__[0]
    wrapped = RuntimeError("the step failed")
    wrapped.__cause__ = third
    assert attempts_of(wrapped) is attempts
    assert third.__context__ is None
    assert attempts_of(pickle.loads(pickle.dumps(third))) == attempts._replace(causes=())


def test_users_errors_come_out_under_threads():
    """tenacity 9.2 raised KeyError in 2 of 24,000."""
    failures: list[BaseException] = []
    executor = create_resilient_executor(max_attempts=3, strategy="fixed_interval", base=0.0)

    def work(thread: int) -> None:
        for number in range(500):
            error = ConnectionError(f"{thread} {number}")
            try:
                executor.execute(Flaky(error, error, error))
            except BaseException as raised:
                if raised is not error:
                    failures.append(raised)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("options", [{}, {"timeout": 5.0}, {"use_circuit_breaker": True}, {"bulkhead": 1}])
def test_an_error_is_let_go_of_without_the_collector(clock, options):
    class Marked(ConnectionError):
        pass

    errors = [Marked("a"), Marked("b"), Marked("c")]
    seen = [weakref.ref(error) for error in errors]

    @resilient(max_attempts=3, **options)
    def fails() -> None:
        raise errors.pop()

    gc.disable()
    try:
        try:
            fails()
        except Marked as error:
            assert len(attempts_of(error).causes) == 2
        assert [each() for each in seen] == [None, None, None]
    finally:
        gc.enable()


def test_an_interrupt_is_never_tried_again(clock, call):
    flaky = Flaky(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        call(create_resilient_executor(use_circuit_breaker=True), flaky)
    assert flaky.calls == 1


def test_an_error_that_takes_no_marks_comes_out_as_it_is(clock):
    @dataclass(frozen=True)
    class Frozen(ConnectionError):
        code: int

    with pytest.raises(Frozen):
        create_resilient_executor(max_attempts=2).execute(Flaky(Frozen(1), Frozen(2)))


def test_a_result_that_was_not_liked_is_not_lost_when_the_next_attempt_is_turned_away(clock, call):
    executor = create_resilient_executor(
        retry_result=lambda result: result is None, breaker=BreakerPolicy(consecutive_failures=1)
    )
    assert call(executor, lambda: None) is None
    with pytest.raises(CircuitOpenError):
        call(executor, lambda: None)


def test_who_says_a_name_alone_has_the_policy_that_is_there():
    before = set_resilience(Resilience())
    try:
        one = create_resilient_executor(name="store", max_attempts=7)
        assert create_resilient_executor(name="store") is one
        assert resilient(name="store")(print).executor is one
        with pytest.raises(ValueError, match=r"another policy already \(retry, timeout\) - say the same for both"):
            create_resilient_executor(name="store", timeout=3.0)
    finally:
        set_resilience(before)


def test_what_makes_no_sense_is_told_when_it_is_said():
    with pytest.raises(TypeError, match=r"resilient is written with parentheses: @resilient\(\)"):
        resilient(print)
    with pytest.raises(ValueError, match="fallback is a function of the error, not 3"):
        create_resilient_executor(fallback=3)
    assert {"resilient", "attempts_of"} <= set(dir(oreflow.resilience))


def test_an_async_fallback_is_awaited_where_the_call_is():
    async def instead(error: BaseException) -> str:
        return f"instead of {error}"

    async def fails() -> None:
        raise ValueError("x")

    executor = create_resilient_executor(fallback=instead)
    assert asyncio.run(executor.execute_async(fails)) == "instead of x"
    with pytest.raises(TypeError, match="the fallback of this call is async"):
        executor.execute(Flaky(ValueError("x")))


def test_a_fallback_that_fails_tells_what_it_was_called_for(clock):
    error = ValueError("first")
    executor = create_resilient_executor(fallback=lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError) as raised:
        executor.execute(Flaky(error))
    assert raised.value.__context__ is error


def test_a_listener_that_fails_is_in_the_log_and_nowhere_else(clock, caplog):
    def listener(event: object) -> None:
        raise ConnectionResetError("of the listener")

    policy = Policy(retry=RetryPolicy(max_attempts=3), breaker=BreakerPolicy(consecutive_failures=1, recovery=1.0))
    executor = Resilience(on_event=listener).executor("store", policy)
    with pytest.raises(ConnectionError, match="down"):
        executor.execute(Flaky(ConnectionError("down")))
    clock.advance(2.0)
    flaky = Flaky()
    assert executor.execute(flaky) == "done"
    assert (flaky.calls, executor.breaker.state.value) == (1, "closed")
    assert "a listener has failed" in caplog.text


def test_a_fallback_gives_the_result_of_what_failed_for_good(clock, call):
    executor = create_resilient_executor(max_attempts=2, fallback=lambda error: f"instead of {error}")
    assert call(executor, Flaky(ConnectionError("a"), ConnectionError("b"))) == "instead of b"
    executor = create_resilient_executor(bulkhead=1, fallback=lambda error: type(error).__name__)
    executor.bulkhead.acquire()
    assert call(executor, Flaky()) == BulkheadFullError.__name__


def test_retry_around_an_open_breaker_ends_at_once(clock, call):
    flaky = Flaky(*[ConnectionError("down")] * 99)
    executor = create_resilient_executor(max_attempts=9, breaker=BreakerPolicy(consecutive_failures=2))
    with pytest.raises(ConnectionError) as raised:
        call(executor, flaky)
    assert (flaky.calls, attempts_of(raised.value).ended_by) == (2, "rejected")
    with pytest.raises(CircuitOpenError, match=r"is open, next attempt in \d+\.\d s"):
        call(executor, flaky)
    assert flaky.calls == 2
    around = create_resilient_executor(max_attempts=9, use_circuit_breaker=True)
    with pytest.raises(CircuitOpenError):
        around.execute(lambda: executor.execute(flaky))
    assert (flaky.calls, around.breaker.figures.consecutive_failures) == (2, 0)


def test_everything_that_is_decided_is_told(clock, call):
    events = []
    policy = Policy(retry=RetryPolicy(max_attempts=3), breaker=BreakerPolicy(consecutive_failures=3), fallback=repr)
    executor = Resilience(on_event=events.append).executor("store", policy)
    call(executor, Flaky(ConnectionError("a")))
    call(executor, Flaky(*[ConnectionError("b")] * 3))
    call(executor, Flaky())
    kinds = ["retry", "recovered", "retry", "retry", "state", "gave_up", "fallback", "rejected", "fallback"]
    assert [event.kind.value for event in events] == kinds
    assert {event.resource for event in events} == {"store"}
    assert events[4].detail == "open"


# Use


def test_a_decorator_keeps_what_the_function_is():
    @resilient(max_attempts=2, use_circuit_breaker=True)
    def fetch(path: str, *, size: int = 1) -> tuple[str, int]:
        """Fetch it."""
        return path, size

    @resilient(max_attempts=2, use_circuit_breaker=True)
    async def fetch_async(path: str) -> str:
        return path

    assert fetch("a", size=2) == ("a", 2)
    assert (fetch.__name__, fetch.__doc__, fetch.executor.breaker.state.value) == ("fetch", "Fetch it.", "closed")
    assert asyncio.run(fetch_async("b")) == "b"
    assert asyncio.iscoroutinefunction(fetch_async)


def test_a_decorated_method_is_retried_for_each_object(clock):
    class Source:
        def __init__(self) -> None:
            self.flaky = Flaky(ConnectionError("x"))

        @resilient(max_attempts=2)
        def read(self) -> object:
            return self.flaky(self)

    source = Source()
    assert source.read() is source


def test_what_does_its_work_later_is_refused():
    def generator() -> Iterator[int]:
        yield 1

    for wrong, told in (
        (generator, "a generator does its work"),
        (staticmethod(int), "resilient stands below @static"),
    ):
        with pytest.raises(TypeError, match=told):
            resilient()(wrong)
    assert resilient()(functools.partial(int, "7"))() == 7


def test_a_name_is_one_resource_with_one_policy():
    before = set_resilience(Resilience())
    try:
        one = create_resilient_executor(name="store", use_circuit_breaker=True)
        assert create_resilient_executor(name="store", use_circuit_breaker=True) is one
        assert get_resilience().breakers == {"store": one.breaker}
        with pytest.raises(ValueError, match="'store' has another policy already"):
            create_resilient_executor(name="store", max_attempts=9)
    finally:
        set_resilience(before)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_attempts": 0}, "max_attempts is a whole number, 1 or more, not 0"),
        ({"max_attempts": 2.5}, "max_attempts is a whole number, 1 or more, not 2.5"),
        ({"base": 3.0, "cap": 1.0}, "cap is at least base, not 1.0"),
        ({"strategy": "random_jitter", "jitter": "none"}, "jitter is full, equal or decorrelated"),
        ({"strategy": "often"}, "'often' is not a valid RetryStrategy"),
        ({"budget": 0}, "budget is a share, above 0, to 1, not 0"),
        ({"timeout": 0}, "timeout is a number of seconds, above 0, to 1e8, not 0"),
        ({"timeout": float("inf")}, "timeout is a number of seconds, above 0, to 1e8, not inf"),
        ({"retry_on": ["OSError"]}, "retry_on is classes of errors"),
        ({"timeout": "2m"}, "timeout is a number of seconds, above 0, to 1e8, not '2m'"),
        ({"bulkhead": 0}, "limit is a whole number, 1 or more, not 0"),
        ({"bulkhead": True}, "bulkhead is a BulkheadPolicy, not True"),
        ({"breaker": {}}, "breaker is a BreakerPolicy, not {}"),
        ({"max_atempts": 3}, "there is no option 'max_atempts' - did you mean 'max_attempts'"),
        ({"retries": 3}, "there is no option 'retries'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options, told):
    with pytest.raises((ValueError, TypeError), match=told):
        create_resilient_executor(**options)


def test_the_wall_clock_does_not_matter():
    """Nobody can set the clock that everything goes by; whoever looks at another one is found by this."""
    assert Clock().monotonic is time.monotonic
    assert not time.get_clock_info("monotonic").adjustable
    here = Path(oreflow.resilience.__file__).parent
    wall = re.compile(r"\btime\.time\b|perf_counter|datetime\.now|localtime|gmtime")
    found = {path.name for path in here.glob("*.py") if wall.search(path.read_text(encoding="utf-8"))}
    assert found == {"classification.py"}  # where a header may have a date


def test_time_does_not_run_backwards_after_instant_waits():
    executor = create_resilient_executor(max_attempts=1, breaker=BreakerPolicy(consecutive_failures=1, recovery=0.02))
    for seconds in (0.0, 1e6):
        with instant_waits() as virtual:
            virtual.advance(seconds)
            with pytest.raises(ConnectionError):
                executor.execute(Flaky(ConnectionError("x")))
        time.sleep(0.04)
        assert executor.execute(Flaky()) == "done"
    with instant_waits() as outer, instant_waits() as inner:
        inner.advance(5.0)
    assert outer.now >= inner.now


def test_instant_waits_give_everything_back():
    clock = VirtualClock()
    with instant_waits() as virtual:
        create_resilient_executor(base=100.0, cap=100.0).execute(Flaky(ConnectionError("x")))
        assert len(virtual.waits) == 1
    began = time.monotonic()
    executor = create_resilient_executor(strategy="fixed_interval", base=0.02)
    executor.execute(Flaky(ConnectionError("x")))
    assert time.monotonic() - began >= 0.02
    assert clock.waits == []
