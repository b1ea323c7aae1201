"""The circuit breaker: when it opens, whom it lets through, what it does not count; also under threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from oreflow.resilience import (
    BreakerPolicy,
    BreakerState,
    CircuitBreaker,
    CircuitOpenError,
    Classifier,
    Policy,
    Resilience,
    RetryPolicy,
    create_resilient_executor,
)
from oreflow.resilience.testing import VirtualClock, instant_waits


@pytest.fixture
def made():
    """A breaker by its policy, and its clock."""

    def make(**policy: object) -> tuple[CircuitBreaker, VirtualClock]:
        clock = VirtualClock()
        return CircuitBreaker("store", BreakerPolicy(**policy), clock), clock

    return make


def run(breaker, outcomes: str, seconds: float = 0.0) -> str:
    """Calls one after the other: `.` succeeds, `x` fails, `i` is ignored; what each did, `r` where it was rejected."""
    did = ""
    for outcome in outcomes:
        try:
            permit = breaker.acquire()
        except CircuitOpenError:
            did += "r"
            continue
        did += outcome
        if outcome == "i":
            breaker.ignored(permit)
        else:
            (breaker.failed if outcome == "x" else breaker.succeeded)(permit, seconds)
    return did


def at_once(work, count: int = 16) -> list[object]:
    """What `count` threads get that begin at the same time."""
    barrier, found = threading.Barrier(count), []

    def called() -> None:
        barrier.wait()
        try:
            found.append(work())
        except Exception as error:
            found.append(type(error).__name__)

    threads = [threading.Thread(target=called) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# When it opens


def test_failures_in_a_row_open_it(made):
    breaker, _ = made(consecutive_failures=3)
    assert run(breaker, "xx.xxxx.") == "xx.xxxrr"


def test_failures_and_successes_in_turn_open_one_with_a_window(made):
    """pybreaker, circuitbreaker and purgatory never open at 50 % failures in alternation."""
    for policy in ({"window_calls": 20}, {"window_seconds": 60.0}):
        breaker, _ = made(**policy, failure_rate=0.5)
        assert run(breaker, ".x" * 10) == ".x" * 5 + "r" * 10


def test_few_calls_do_not_open_it(made):
    breaker, _ = made(window_calls=20, failure_rate=0.5, minimum_calls=8)
    assert run(breaker, "x" * 9) == "x" * 8 + "r"


def test_what_left_the_window_does_not_count(made):
    breaker, _ = made(window_calls=4, minimum_calls=4, failure_rate=0.75)
    assert run(breaker, "xx..xx..xx..xx..xxx.") == "xx..xx..xx..xx..xxxr"
    breaker, clock = made(window_seconds=10.0, minimum_calls=4, failure_rate=0.75)
    for _ in range(5):
        assert run(breaker, "xxx") == "xxx"
        clock.advance(11.0)
    assert run(breaker, "xxxx.") == "xxxxr"


def test_slow_calls_open_it(made):
    breaker, _ = made(window_calls=10, slow_call=2.0, slow_call_rate=0.5, minimum_calls=4)
    assert run(breaker, "....", 1.9) == "...."
    assert run(breaker, "....", 2.0) == "...."
    assert breaker.state is BreakerState.OPEN
    figures = breaker.figures
    assert (figures.opened, figures.rejected) == (1, 0)


def test_a_slow_call_is_timed_by_the_executor():
    with instant_waits() as clock:
        policy = BreakerPolicy(window_calls=4, minimum_calls=2, slow_call=5.0)
        executor = create_resilient_executor(breaker=policy, max_attempts=1)
        for _ in range(2):
            executor.execute(lambda: clock.advance(5.0))
        assert executor.breaker.state is BreakerState.OPEN


# What it does not count


def test_an_ignored_error_is_neither_success_nor_failure(made):
    breaker, _ = made(consecutive_failures=3)
    assert run(breaker, "xixixr.") == "xixixrr"
    executor = create_resilient_executor(
        max_attempts=1, breaker=BreakerPolicy(consecutive_failures=2, ignore=(KeyError,), record=(ValueError,))
    )
    for error in (TimeoutError("x"), KeyError("x"), TypeError("the caller's"), ValueError("the resource's here")):

        def fail(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            executor.execute(fail)
    assert executor.breaker.state is BreakerState.OPEN


def test_a_late_success_does_not_close_an_open_breaker(made):
    breaker, clock = made(consecutive_failures=1, recovery=10.0)
    late, later = breaker.acquire(), breaker.acquire()
    run(breaker, "x")
    breaker.succeeded(late)
    assert breaker.state is BreakerState.OPEN
    clock.advance(10.0)
    probe = breaker.acquire()
    breaker.succeeded(later)
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.succeeded(probe)
    assert breaker.state is BreakerState.CLOSED


# Half open


def test_recovery_lets_one_through_which_decides(made):
    breaker, clock = made(consecutive_failures=1, recovery=10.0, recovery_growth=2.0, max_recovery=30.0)
    run(breaker, "x")
    for recovery in (10.0, 20.0, 30.0, 30.0):
        clock.advance(recovery - 0.1)
        assert run(breaker, ".") == "r"
        clock.advance(0.2)
        assert run(breaker, "x.") == "xr"
    clock.advance(30.1)
    assert run(breaker, ".x") == ".x"
    clock.advance(10.1)
    assert run(breaker, ".") == "."


def test_sixteen_calls_at_half_open_let_only_the_permits_through():
    """circuitbreaker, purgatory and pyresilience let all 16 through."""
    for permits, concurrency, through in ((1, None, 1), (4, None, 4), (4, 2, 2)):
        with instant_waits() as clock:
            policy = BreakerPolicy(
                consecutive_failures=1, half_open_permits=permits, half_open_concurrency=concurrency, recovery=5.0
            )
            executor = create_resilient_executor(max_attempts=1, breaker=policy)
            with pytest.raises(ConnectionError):
                executor.execute(_refuse)
            clock.advance(6.0)
            go = threading.Event()
            rejected = threading.Barrier(16 - through, action=go.set)

            def call(executor=executor, rejected=rejected, go=go) -> bool:
                try:
                    return executor.execute(go.wait, 10)
                except CircuitOpenError:
                    rejected.wait(10)  # the probes go on once all others have been rejected
                    raise

            found = at_once(call)
            assert sorted(map(str, found)) == ["CircuitOpenError"] * (16 - through) + ["True"] * through


def _refuse() -> None:
    raise ConnectionRefusedError("down")


def test_a_probe_that_is_ignored_or_interrupted_gives_its_permit_back(made):
    breaker, clock = made(consecutive_failures=1, recovery=1.0)
    run(breaker, "x")
    clock.advance(1.0)
    assert run(breaker, "i") == "i"
    assert breaker.state is BreakerState.HALF_OPEN
    assert run(breaker, ".") == "."
    with instant_waits() as virtual:
        executor = create_resilient_executor(
            max_attempts=1, breaker=BreakerPolicy(consecutive_failures=1, recovery=1.0)
        )
        for error in (ConnectionError, KeyboardInterrupt, None):

            def work(error: type[BaseException] | None = error) -> None:
                if error:
                    raise error

            if error:
                with pytest.raises(error):
                    executor.execute(work)
            else:
                executor.execute(work)
            virtual.advance(1.0)
        assert executor.breaker.state is BreakerState.CLOSED


def test_a_probe_that_never_comes_back_is_given_up(made):
    breaker, clock = made(consecutive_failures=1, recovery=10.0)
    run(breaker, "x")
    clock.advance(10.0)
    lost = breaker.acquire()
    assert run(breaker, ".") == "r"
    clock.advance(10.0)
    assert run(breaker, ".") == "."
    breaker.failed(lost)
    assert breaker.state is BreakerState.CLOSED


def test_a_probe_whose_judgement_fails_is_given_back():
    def rule(error: BaseException) -> None:
        if isinstance(error, LookupError):
            raise KeyboardInterrupt

    def judge(result: object) -> bool:
        if result == "odd":
            raise RuntimeError("cannot tell")
        return False

    for result, error in (("odd", None), ("", LookupError("x"))):
        with instant_waits() as clock:
            policy = BreakerPolicy(consecutive_failures=1, recovery=1.0, record=(RuntimeError,) if error else ())
            retry = RetryPolicy(max_attempts=1, retry_result=judge)
            executor = Resilience(classifier=Classifier([rule])).executor("store", Policy(retry=retry, breaker=policy))
            with pytest.raises(ConnectionError):
                executor.execute(_refuse)
            clock.advance(1.0)

            def work(result: str = result, error: Exception | None = error) -> str:
                if error:
                    raise error
                return result

            with pytest.raises((RuntimeError, KeyboardInterrupt)):
                executor.execute(work)
            clock.advance(2.5)
            assert executor.execute(int) == 0
            assert executor.breaker.state is BreakerState.CLOSED


def test_a_cancelled_probe_gives_its_permit_back():
    async def work() -> BreakerState:
        executor = create_resilient_executor(
            max_attempts=1, breaker=BreakerPolicy(consecutive_failures=1, recovery=0.001)
        )

        async def refuse() -> None:
            raise ConnectionRefusedError

        with pytest.raises(ConnectionRefusedError):
            await executor.execute_async(refuse)
        await asyncio.sleep(0.01)
        probe = asyncio.ensure_future(executor.execute_async(asyncio.sleep, 60))
        await asyncio.sleep(0.01)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        await executor.execute_async(asyncio.sleep, 0)
        return executor.breaker.state

    assert asyncio.run(work()) is BreakerState.CLOSED


# By hand


def test_it_can_be_set_by_hand(made):
    breaker, _ = made(consecutive_failures=2)
    breaker.force(BreakerState.FORCED_OPEN)
    assert run(breaker, "..") == "rr"
    with pytest.raises(CircuitOpenError, match=r"of store is forced open$"):
        breaker.acquire()
    breaker.force(BreakerState.DISABLED)
    assert run(breaker, "xxxxx") == "xxxxx"
    breaker.force(BreakerState.METRICS_ONLY)
    assert run(breaker, "xxxxx") == "xxxxx"
    assert breaker.figures.consecutive_failures == 5
    breaker.force(BreakerState.CLOSED)
    assert run(breaker, "xx.") == "xxr"
    with pytest.raises(ValueError, match="becomes open by itself"):
        breaker.force(BreakerState.OPEN)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"window_calls": 5, "window_seconds": 5.0}, "a window is one of calls or of seconds"),
        ({"failure_rate": 0}, "failure_rate is a share, above 0, to 1"),
        ({"slow_call": 5.0}, "slow_call is only with a window"),
        ({"recovery": 0}, "recovery is a number of seconds, above 0, to 1e8"),
        ({"half_open_permits": 0}, "half_open_permits is a whole number, 1 or more"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(policy, told):
    with pytest.raises(ValueError, match=told):
        BreakerPolicy(**policy)


# Under threads


def test_calls_through_a_closed_breaker_run_beside_each_other():
    """pybreaker serialises them: eight that wait for each other would never end."""
    executor = create_resilient_executor(use_circuit_breaker=True)
    meeting = threading.Barrier(8, timeout=10.0)
    assert sorted(at_once(lambda: executor.execute(meeting.wait), 8)) == list(range(8))


def test_no_outcome_is_lost_under_threads():
    breaker = CircuitBreaker("store", BreakerPolicy(window_calls=100_000, minimum_calls=100_000))

    def work() -> None:
        for _ in range(500):
            run(breaker, ".x.")

    at_once(work, 8)
    figures = breaker.figures
    assert (figures.calls, figures.failure_rate) == (12_000, pytest.approx(1 / 3))
