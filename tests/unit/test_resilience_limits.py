"""Bulkheads, rate limits, timeouts, hedges and many items at once."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from oreflow.resilience import (
    AttemptTimeoutError,
    BreakerPolicy,
    BulkheadFullError,
    BulkheadPolicy,
    ItemStatus,
    RateLimitedError,
    RateLimitPolicy,
    attempts_of,
    create_resilient_executor,
)
from oreflow.resilience.limits import AdaptiveRateLimit
from oreflow.resilience.testing import instant_waits

PATIENCE = 10.0
"""Seconds after which a test that hangs is given up."""


def beside(*works) -> list[object]:
    """What works give that run beside each other, or the names of the errors that they raise."""
    found: list[object] = [None] * len(works)

    def called(number: int, work) -> None:
        try:
            found[number] = work()
        except Exception as error:
            found[number] = type(error).__name__

    threads = [threading.Thread(target=called, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return found


class Gate:
    """Work that waits until it is let go; `inside` is how many are there, `most` how many there ever were."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self._condition = threading.Condition()
        self._open = False

    def work(self) -> str:
        with self._condition:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self._condition.notify_all()
            assert self._condition.wait_for(lambda: self._open, PATIENCE)
            self.inside -= 1
        return "done"

    def wait_for(self, inside: int) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self.inside == inside, PATIENCE)

    def open(self) -> None:
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def open_for(self, inside: int) -> None:
        """Let go once so many are there."""
        self.wait_for(inside)
        self.open()


# Bulkhead


def test_a_bulkhead_rejects_what_is_too_much_and_neither_retries_nor_counts_it():
    gate = Gate()
    executor = create_resilient_executor(max_attempts=5, bulkhead=2, use_circuit_breaker=True)
    running = [threading.Thread(target=executor.execute, args=(gate.work,)) for _ in range(2)]
    for thread in running:
        thread.start()
    gate.wait_for(2)
    with pytest.raises(BulkheadFullError, match="is full: 2 calls are under way"):
        executor.execute(gate.work)
    assert executor.breaker.figures.consecutive_failures == 0
    gate.open()
    for thread in running:
        thread.join(PATIENCE)
    assert executor.execute(gate.work) == "done"
    assert executor.bulkhead.under_way == 0


def test_those_who_wait_have_their_turn():
    gate = Gate()
    executor = create_resilient_executor(bulkhead=BulkheadPolicy(limit=2, queue=20))
    assert beside(lambda: gate.open_for(2), *[lambda: executor.execute(gate.work)] * 20) == [None] + ["done"] * 20
    assert (gate.most, executor.bulkhead.under_way) == (2, 0)


def test_a_wait_that_is_too_long_ends_and_leaves_the_queue():
    gate = Gate()
    executor = create_resilient_executor(bulkhead=BulkheadPolicy(limit=1, queue=1, wait=0.05))
    holder = threading.Thread(target=executor.execute, args=(gate.work,))
    holder.start()
    gate.wait_for(1)
    for _ in range(2):
        with pytest.raises(BulkheadFullError, match=r"no call ended within 0\.05 s"):
            executor.execute(gate.work)
    gate.open()
    holder.join(PATIENCE)
    assert executor.execute(gate.work) == "done"


def test_threads_and_tasks_share_a_bulkhead():
    executor = create_resilient_executor(bulkhead=BulkheadPolicy(limit=3, queue=100))
    inside, most, lock = 0, 0, threading.Lock()

    def enter(by: int) -> None:
        nonlocal inside, most
        with lock:
            inside += by
            most = max(most, inside)

    def work() -> None:
        enter(1)
        time.sleep(0.002)
        enter(-1)

    async def work_async() -> None:
        enter(1)
        await asyncio.sleep(0.002)
        enter(-1)

    async def tasks() -> None:
        await asyncio.gather(*(executor.execute_async(work_async) for _ in range(30)))

    failures = beside(lambda: asyncio.run(tasks()), *[lambda: executor.execute(work)] * 30)
    assert (failures, most, executor.bulkhead.under_way) == ([None] * 31, 3, 0)


def test_a_task_that_is_cancelled_in_the_queue_leaves_it():
    async def work() -> int:
        executor = create_resilient_executor(bulkhead=BulkheadPolicy(limit=1, queue=1))
        first = asyncio.ensure_future(executor.execute_async(asyncio.sleep, 60))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(executor.execute_async(asyncio.sleep, 60))
        await asyncio.sleep(0.01)
        second.cancel()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await executor.execute_async(asyncio.sleep, 0)
        return executor.bulkhead.under_way

    assert asyncio.run(work()) == 0


def test_a_waiter_whose_event_loop_is_closed_does_not_keep_a_permit():
    executor = create_resilient_executor(bulkhead=BulkheadPolicy(limit=1, queue=5))
    gate = Gate()
    holder = threading.Thread(target=executor.execute, args=(gate.work,))
    holder.start()
    gate.wait_for(1)
    loop = asyncio.new_event_loop()
    waits = loop.create_task(executor.execute_async(asyncio.sleep, 0))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    gate.open()
    holder.join(PATIENCE)
    assert executor.execute(gate.work) == "done"
    assert executor.bulkhead.under_way == 0
    del waits


def test_a_thread_that_cannot_be_started_holds_no_permit(monkeypatch):
    executor = create_resilient_executor(max_attempts=1, bulkhead=1, timeout=5.0)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no more threads")))
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no more threads"):
                executor.execute(int)
    assert executor.execute(int) == 0


# Rate limit


def test_a_rate_limit_spreads_calls_and_rejects_what_would_wait_too_long():
    with instant_waits() as clock:
        executor = create_resilient_executor(rate_limit=RateLimitPolicy(calls=4, seconds=2.0, wait=1.0))
        for _ in range(6):
            executor.execute(int)
        assert clock.waits == [0.5, 0.5]
        executor = create_resilient_executor(
            rate_limit=RateLimitPolicy(calls=1, seconds=10.0, wait=1.0), max_attempts=5
        )
        executor.execute(int)
        with pytest.raises(RateLimitedError, match="next call in 10 s") as raised:
            executor.execute(int)
        assert raised.value.retry_after == 10.0
        clock.advance(9.5)
        executor.execute(int)


def test_a_wait_for_the_rate_limit_that_is_cancelled_gives_its_place_back():
    executor = create_resilient_executor(rate_limit=RateLimitPolicy(calls=1, seconds=0.4, wait=60.0))

    async def soon():
        return "done"

    async def both():
        await executor.execute_async(soon)
        waiting = [asyncio.ensure_future(executor.execute_async(soon)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        began = time.monotonic()
        assert await executor.execute_async(soon) == "done"
        return time.monotonic() - began

    assert asyncio.run(both()) < 2  # without it, some eight seconds


@pytest.mark.parametrize("more", [{}, {"timeout": 5.0}])
def test_an_async_function_is_not_called_as_if_it_were_none(more):
    async def fetch():
        raise AssertionError("never awaited")

    executor = create_resilient_executor(**more)
    with pytest.raises(TypeError, match=r"is async: call it by execute_async"):
        executor.execute(fetch)


def test_an_adaptive_limit_begins_with_the_first_throttling_and_grows_again():
    limit, now = AdaptiveRateLimit(), 100.0
    for _ in range(200):  # twenty in a second
        now += 0.05
        assert limit.reserve(now, 60.0) == 0.0
        limit.succeeded(now)
    assert limit.rate is None
    limit.throttled(now)
    throttled = limit.rate
    assert throttled == pytest.approx(14.0, rel=0.1)
    for _ in range(400):
        now += max(limit.reserve(now, 60.0), 0.02)
        limit.succeeded(now)
    grown = limit.rate
    assert grown > 20
    limit.throttled(now)
    limit.throttled(now)
    assert limit.rate < 0.6 * grown


def test_an_error_that_says_too_many_makes_an_adaptive_executor_slower():
    class TooMany(Exception):
        status_code = 429

    with instant_waits() as clock:
        executor = create_resilient_executor(rate_limit=RateLimitPolicy(adaptive=True), max_attempts=1)

        def work(error: Exception | None) -> None:
            clock.advance(0.1)
            if error:
                raise error

        for _ in range(30):
            executor.execute(work, None)
        assert clock.waits == []
        with pytest.raises(TooMany):
            executor.execute(work, TooMany())
        for _ in range(10):
            executor.execute(work, None)
        assert sum(clock.waits) > 0


def test_a_deadline_bounds_the_wait_for_a_rate_limit_too():
    with instant_waits() as clock:
        executor = create_resilient_executor(rate_limit=RateLimitPolicy(calls=1, seconds=10.0), deadline=1.0)
        executor.execute(int)
        with pytest.raises(RateLimitedError):
            executor.execute(int)
        assert clock.waits == []


# Time


def test_an_attempt_that_takes_too_long_is_tried_again_and_ends_with_a_timeout():
    released = threading.Event()
    calls = []
    executor = create_resilient_executor(max_attempts=2, timeout=0.05, strategy="fixed_interval", base=0.0)
    with pytest.raises(AttemptTimeoutError, match=r"did not answer within 0\.05 s") as raised:
        executor.execute(lambda: calls.append(1) or released.wait(PATIENCE))
    assert isinstance(raised.value, TimeoutError)
    assert len(calls) == 2
    released.set()
    assert executor.execute(lambda: "in time") == "in time"


def test_a_thread_that_is_late_keeps_its_permit_until_it_ends():
    released = threading.Event()
    executor = create_resilient_executor(max_attempts=1, timeout=0.05, bulkhead=1)
    with pytest.raises(AttemptTimeoutError):
        executor.execute(released.wait, PATIENCE)
    with pytest.raises(BulkheadFullError):
        executor.execute(int)
    released.set()
    deadline = time.monotonic() + PATIENCE
    while executor.bulkhead.under_way and time.monotonic() < deadline:
        time.sleep(0.005)
    assert executor.execute(int) == 0


def test_a_task_has_its_time_too_and_a_timeout_of_its_own_stays_its_own():
    executor = create_resilient_executor(max_attempts=1, timeout=0.02)

    async def own() -> None:
        raise TimeoutError("of the store")

    with pytest.raises(AttemptTimeoutError):
        asyncio.run(executor.execute_async(asyncio.sleep, PATIENCE))
    with pytest.raises(TimeoutError, match="of the store"):
        asyncio.run(executor.execute_async(own))


def test_a_late_read_is_made_once_more_beside_it():
    calls, released = [], threading.Event()

    def read() -> str:
        calls.append(1)
        if len(calls) == 1:
            released.wait(PATIENCE)
            return "late"
        return "quick"

    assert create_resilient_executor(hedge=0.02).execute(read) == "quick"
    released.set()
    assert create_resilient_executor(hedge=5.0).execute(lambda: "at once") == "at once"

    async def read_async() -> str:
        calls.append(1)
        if len(calls) % 2:
            await asyncio.sleep(PATIENCE)
        return "quick"

    assert asyncio.run(create_resilient_executor(hedge=0.02).execute_async(read_async)) == "quick"


def test_a_read_that_fails_at_once_is_not_hedged():
    calls = []

    def read() -> None:
        calls.append(1)
        raise ConnectionError("x")

    with pytest.raises(ConnectionError):
        create_resilient_executor(hedge=0.5, max_attempts=1).execute(read)
    assert len(calls) == 1


# Many items


def double(item: int) -> int:
    """Twice the item; of a negative one nothing."""
    if item < 0:
        raise ValueError(f"{item} is below zero")
    return 2 * item


@pytest.fixture(params=["sync", "async"])
def bulk(request):
    """Do it for many items, by either way."""
    if request.param == "sync":
        return lambda executor, function, items, **options: executor.execute_bulk(function, items, **options)

    def called(executor, function, items, **options):
        async def function_async(item):
            await asyncio.sleep(0)
            return function(item)

        return asyncio.run(executor.execute_bulk_async(function_async, items, **options))

    return called


@pytest.mark.parametrize("concurrency", [1, 4])
def test_each_item_has_its_outcome_in_order(bulk, concurrency):
    with instant_waits():
        flaky = [ConnectionError("x")]

        def work(item: int) -> int:
            if item == 2 and flaky:
                raise flaky.pop()
            return double(item)

        executor = create_resilient_executor(max_attempts=3)
        report = bulk(executor, work, [1, -1, 2, 3], concurrency=concurrency)
    assert [(each.item, each.status, each.attempts) for each in report.outcomes] == [
        (1, ItemStatus.SUCCEEDED, 1), (-1, ItemStatus.FAILED, 1), (2, ItemStatus.SUCCEEDED, 2),
        (3, ItemStatus.SUCCEEDED, 1),
    ]  # fmt: skip
    assert (report.results, report.left, report.ended_early) == ([2, 4, 6], [], "")
    assert str(report.failed[0].error) == "-1 is below zero"


def test_too_many_failures_end_it_and_what_is_left_can_be_gone_on_with(bulk):
    executor = create_resilient_executor()
    items = [1, -1, -2, -3, 4, 5, 6, 7, 8, 9]
    report = bulk(executor, double, items, max_failure_ratio=0.2)
    assert report.ended_early == "3 of 10 items have failed"
    assert (report.results, report.left) == ([2], [4, 5, 6, 7, 8, 9])
    again = bulk(executor, double, report.left, max_failure_ratio=0.2)
    assert (len(again.results), again.left) == (6, [])
    assert bulk(executor, double, [], max_failure_ratio=0.0).outcomes == []


def test_a_breaker_that_opens_ends_it(bulk):
    def refuse(item: int) -> None:
        raise ConnectionRefusedError(f"{item}")

    executor = create_resilient_executor(max_attempts=1, breaker=BreakerPolicy(consecutive_failures=3))
    report = bulk(executor, refuse, range(10))
    assert [each.status.value for each in report.outcomes] == ["failed"] * 3 + ["not_tried"] * 7
    assert report.ended_early.startswith("the circuit breaker of this call is open")
    assert report.left == list(range(3, 10))


def test_items_that_are_turned_away_wait_for_their_turn(bulk):
    executor = create_resilient_executor(bulkhead=1, rate_limit=RateLimitPolicy(calls=200, wait=0.0))
    report = bulk(executor, double, range(20), concurrency=5)
    assert (report.results, report.ended_early) == ([2 * item for item in range(20)], "")


def test_the_rejection_of_another_resource_is_a_failure_of_the_item(bulk):
    down = create_resilient_executor(max_attempts=1, breaker=BreakerPolicy(consecutive_failures=1))

    def refuse() -> None:
        raise ConnectionRefusedError

    def work(item: int) -> int:
        return item or down.execute(refuse)

    report = bulk(create_resilient_executor(max_attempts=1), work, [0, 0, 1, 2])
    assert [each.status.value for each in report.outcomes] == ["failed", "failed", "succeeded", "succeeded"]
    assert report.ended_early == ""


def test_what_runs_when_it_ends_early_is_waited_for_and_not_run_again():
    ran = []

    def work(item: int) -> int:
        ran.append(item)
        if item == 0:
            raise ValueError("bad")
        time.sleep(0.1)
        return item

    executor = create_resilient_executor(timeout=PATIENCE, base=0.0, fallback=None)
    report = executor.execute_bulk(work, [0, 1], max_failure_ratio=0.0, concurrency=2)
    assert [each.status.value for each in report.outcomes] == ["failed", "succeeded"]
    assert sorted(ran) == [0, 1]


def test_tasks_of_a_bulk_that_is_cancelled_do_not_run_on():
    ran = []

    async def work(item: int) -> None:
        ran.append(item)
        await asyncio.sleep(0.01)
        if item == 3:
            raise asyncio.CancelledError

    async def run() -> int:
        with pytest.raises(asyncio.CancelledError):
            await create_resilient_executor().execute_bulk_async(work, range(50), concurrency=2)
        before = len(ran)
        await asyncio.sleep(0.05)
        return len(ran) - before

    assert asyncio.run(run()) == 0


def test_no_more_than_so_many_are_under_way():
    gate = Gate()
    threading.Thread(target=gate.open_for, args=(3,)).start()
    report = create_resilient_executor().execute_bulk(lambda _: gate.work(), range(12), concurrency=3)
    assert (report.results, gate.most) == (["done"] * 12, 3)


def test_an_early_end_does_not_wait_for_waits_between_attempts():
    def work(item: int) -> None:
        raise ConnectionError("down") if item else ValueError("bad")

    executor = create_resilient_executor(max_attempts=2, strategy="fixed_interval", base=PATIENCE)
    began = time.monotonic()
    report = executor.execute_bulk(work, [1, 0], max_failure_ratio=0.0, concurrency=2)
    assert time.monotonic() - began < PATIENCE / 2
    assert report.ended_early == "1 of 2 items have failed"
    assert (report.left, [each.attempts for each in report.outcomes]) == ([], [1, 1])  # it was tried, and has failed
    assert attempts_of(report.outcomes[0].error).ended_by == "interrupted"


def test_an_interrupt_ends_it_and_what_waits():
    def work(item: int) -> None:
        raise ConnectionError("down") if item else KeyboardInterrupt

    executor = create_resilient_executor(max_attempts=2, strategy="fixed_interval", base=PATIENCE)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        executor.execute_bulk(work, [1, 0], concurrency=2)
    assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize(
    ("options", "told"), [({"max_failure_ratio": 2}, "from 0 to 1"), ({"concurrency": 0}, "1 or more")]
)
def test_options_that_make_no_sense_are_refused(bulk, options, told):
    with pytest.raises(ValueError, match=told):
        bulk(create_resilient_executor(), double, [1], **options)
