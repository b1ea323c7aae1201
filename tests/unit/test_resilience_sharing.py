"""Breakers that are shared by a board: what one process finds is taken over by the others, and none depends on it.

The board is one in memory, on the clock of the test; each `Resilience` stands for a process.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest

from oreflow.contract import BreakerBoard, StoreAway
from oreflow.resilience import (
    BreakerPolicy,
    BreakerState,
    CircuitBreaker,
    CircuitOpenError,
    Policy,
    Resilience,
    RetryPolicy,
)
from oreflow.resilience.testing import VirtualClock

ONCE = Policy(retry=RetryPolicy(max_attempts=1), breaker=BreakerPolicy(consecutive_failures=2, recovery=60.0))


class MemoryBoard(BreakerBoard):
    """A board as the contract has it; `fault` is what it fails with, `gate` what it waits for while it is shut."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.until = clock, {}
        self.fault: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.is_closed, self.looks, self.lock = False, 0, threading.Lock()

    def ask(self) -> None:
        self.gate.wait(20)
        if self.fault:
            raise self.fault

    def opened(self, name: str, seconds: float) -> None:
        self.ask()
        with self.lock:
            self.until[name] = max(self.until.get(name, 0.0), self.clock.now + seconds)

    def closed(self, name: str) -> None:
        self.ask()
        with self.lock:
            self.until.pop(name, None)

    def open_for(self, names):
        self.looks += 1
        self.ask()
        with self.lock:
            now = self.clock.now
            return {name: self.until[name] - now for name in names if self.until.get(name, now) > now}

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def board(clock):
    made = MemoryBoard(clock)
    yield made
    made.gate.set()


@pytest.fixture
def process(board, clock):
    """What a process has: process(**more)."""
    made = []

    def make(**more):
        made.append(Resilience(default=ONCE, board=board, clock=clock, **{"look_every": 0.02, **more}))
        return made[-1]

    yield make
    for each in made:
        each.share(None)


def until(holds, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def down():
    raise ConnectionResetError("down")


def fails(executor, times: int = 2) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionResetError):
            executor.execute(down)


def is_open(executor) -> bool:
    return executor.breaker.state is BreakerState.OPEN


# What a breaker does with the word of others


@pytest.fixture
def breaker(clock):
    told = []
    made = CircuitBreaker("store", ONCE.breaker, clock, lambda _name, state: told.append(state.value))
    made.told = told
    return made


def test_an_outside_opening_rejects_drops_what_is_under_way_and_is_told(breaker, clock):
    permit = breaker.acquire()
    breaker.open_for(30.0)
    breaker.failed(permit)
    breaker.succeeded(permit)
    with pytest.raises(CircuitOpenError, match=r"is open, next attempt in 30\.0 s"):
        breaker.acquire()
    clock.advance(30.0)
    breaker.succeeded(breaker.acquire())
    assert breaker.told == ["open", "half_open", "closed"]
    assert breaker.figures.opened == 1


@pytest.mark.parametrize("state", ["forced_open", "disabled", "metrics_only"])
def test_what_was_set_by_hand_stays_whatever_others_say(breaker, state):
    breaker.force(BreakerState(state))
    breaker.open_for(30.0)
    breaker.recover()
    assert breaker.state.value == state


def test_an_opening_that_it_has_been_through_is_no_news_however_often_it_is_told(breaker, clock):
    breaker.open_for(30.0)
    clock.advance(30.0)
    permit = breaker.acquire()
    breaker.open_for(0.4)  # the same, by way of others
    breaker.succeeded(permit)
    breaker.open_for(0.4)
    assert breaker.state is BreakerState.CLOSED
    breaker.open_for(20.0)
    assert breaker.state is BreakerState.OPEN


def test_a_longer_opening_prolongs_one_and_a_shorter_one_does_not_end_it(breaker):
    breaker.open_for(30.0)
    breaker.open_for(50.0)
    breaker.open_for(10.0)
    with pytest.raises(CircuitOpenError, match=r"50\.0 s"):
        breaker.acquire()
    assert breaker.told == ["open"]


def test_a_new_opening_after_a_recovery_is_news_though_it_ends_sooner(breaker):
    breaker.open_for(60.0)
    breaker.recover()
    breaker.succeeded(breaker.acquire())
    breaker.open_for(20.0)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(breaker, seconds):
    with pytest.raises(ValueError, match="a number of seconds above 0"):
        breaker.open_for(seconds)


# What processes tell each other


def test_what_one_finds_rejects_the_calls_of_all_others_and_its_success_lets_them_try(process, board, clock):
    a, b = process().executor("store"), process().executor("store")
    fails(a)
    until(lambda: is_open(b))
    with pytest.raises(CircuitOpenError):
        b.execute(pytest.fail, "it was called")
    clock.advance(30.0)
    board.closed("store")  # as by a process that has probed it earlier
    until(lambda: b.breaker.reopens_at <= clock.now)
    assert b.execute(lambda: "back") == "back"
    assert b.breaker.state is BreakerState.CLOSED


def test_a_probe_that_goes_well_clears_the_board_and_one_that_fails_tells_it_anew(process, board, clock):
    a = process().executor("store")
    fails(a)
    until(lambda: board.until == {"store": 60.0})
    clock.advance(60.0)
    fails(a, 1)
    until(lambda: board.until == {"store": 180.0})
    clock.advance(120.0)
    a.execute(int)
    until(lambda: not board.until)


def test_who_asks_for_a_resource_for_the_first_time_knows_at_once(process, board):
    board.opened("store", 60.0)
    with pytest.raises(CircuitOpenError):
        process(look_every=1000.0).executor("store").execute(pytest.fail, "it was called")


def test_breakers_that_are_there_are_shared_too_and_share_none_ends_it(process, board, clock):
    made = Resilience(default=ONCE, clock=clock)
    executor = made.executor("store")
    fails(executor, 1)
    board.opened("shop/store", 60.0)
    made.share(lambda: board, "key", scope="shop", look_every=0.02)
    assert is_open(executor)
    made.share(lambda: pytest.fail("it has that board"), "key", scope="shop", look_every=0.02)
    made.share(None)
    until(lambda: board.is_closed)
    clock.advance(60.0)
    fails(executor, 1)
    assert board.until == {"shop/store": 60.0}


def test_names_of_different_scopes_are_different_breakers(process, board):
    a, b = process(scope="shop").executor("store"), process(scope="bank").executor("store")
    fails(a)
    until(lambda: "shop/store" in board.until)
    looks = board.looks
    until(lambda: board.looks > looks + 4)
    assert not is_open(b)


def test_setting_a_breaker_by_hand_is_no_word_to_others(process, board):
    a, b = process().executor("store"), process().executor("store")
    fails(a)
    until(lambda: is_open(b))
    b.breaker.force(BreakerState.CLOSED)
    looks = board.looks
    until(lambda: board.looks > looks + 4)
    assert (b.breaker.state, is_open(a), list(board.until)) == (BreakerState.CLOSED, True, ["store"])


def test_calls_without_a_name_share_nothing(process, board):
    made = process()
    fails(made.made("this call", ONCE))
    assert (board.until, board.looks) == ({}, 0)


def test_a_listener_is_told_and_may_ask_for_another_resource(process):
    events = []

    def hear(event):
        events.append((event.resource, event.detail))
        listening.executor("other")

    listening = process(on_event=hear)
    executor = listening.executor("store")
    fails(process().executor("store"))
    until(lambda: events == [("store", "open")])
    began = time.monotonic()
    listening.executor("third")
    assert time.monotonic() - began < 0.5
    assert is_open(executor)


# A board that is away


@pytest.mark.parametrize("fault", [StoreAway("the board is away"), TypeError("a plugin's own")])
def test_without_the_board_each_goes_by_itself_warned_once(process, board, caplog, monkeypatch, fault):
    monkeypatch.setattr("oreflow.resilience.sharing._AGAIN", 0.02)
    a, b = process().executor("store"), process().executor("store")
    board.fault = fault
    until(lambda: len(caplog.records) == 2)
    fails(a)
    looks = board.looks
    until(lambda: board.looks > looks + 6)
    assert is_open(a)
    assert not is_open(b)
    assert [str(fault) in record.getMessage() for record in caplog.records] == [True, True]
    board.fault = None
    until(lambda: is_open(b))  # what could not be told is told then


def test_a_board_that_has_lost_what_it_had_while_it_was_away_does_not_let_calls_through(process, board, monkeypatch):
    monkeypatch.setattr("oreflow.resilience.sharing._AGAIN", 0.02)
    a = process().executor("store")
    board.opened("store", 60.0)
    until(lambda: is_open(a))
    board.fault = StoreAway("away")
    looks = board.looks
    until(lambda: board.looks > looks + 2)
    board.until, board.fault, looks = {}, None, board.looks
    until(lambda: board.looks > looks + 4)
    with pytest.raises(CircuitOpenError):
        a.execute(pytest.fail, "it was called")


def test_a_board_that_hangs_is_waited_for_once_and_holds_up_no_call(process, board, caplog):
    board.gate.clear()
    made = process()
    began = time.monotonic()
    executors = [made.executor(f"store {number}") for number in range(5)]
    assert time.monotonic() - began < 1.5
    began = time.monotonic()
    for executor in executors:
        fails(executor)
        executor.breaker.force(BreakerState.CLOSED)
        executor.execute(int)
    assert time.monotonic() - began < 0.9
    assert [record.getMessage() for record in caplog.records] == [
        "breakers are not shared for now, each process goes by what it finds itself: the board has not answered in 1 s"
    ]


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf")])
def test_an_interval_that_is_none_is_refused(board, every):
    with pytest.raises(ValueError, match="look_every is a number of seconds above 0"):
        Resilience(board=board, look_every=every)


# Threads and ends


def test_there_is_no_thread_without_a_breaker_and_none_is_left_when_nobody_has_it(board, clock):
    before = set(threading.enumerate())  # other tests may have left runs whose breakers are still shared

    def threads():
        return [each for each in threading.enumerate() if each.name == "oreflow-breakers" and each not in before]

    made = Resilience(default=ONCE, board=board, clock=clock, look_every=0.02)
    assert not threads()
    made.executor("store")
    assert len(threads()) == 1
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None
    until(lambda: not threads())
    assert board.is_closed


def test_a_process_that_ends_at_once_has_told_what_it_has_found(tmp_path):
    """The board is a file, so that its last word can be read."""
    program = f"""
import time
from oreflow.contract import BreakerBoard
from oreflow.resilience import BreakerPolicy, Policy, Resilience, RetryPolicy

class FileBoard(BreakerBoard):
    def opened(self, name, seconds):
        time.sleep(0.3)
        with open({str(tmp_path / "told")!r}, "a") as file:
            file.write(f"{{name}} {{seconds:.0f}}")
    def closed(self, name): pass
    def open_for(self, names): return {{}}
    def close(self): pass

def down(): raise ConnectionResetError("down")

policy = Policy(retry=RetryPolicy(max_attempts=1), breaker=BreakerPolicy(consecutive_failures=1))
executor = Resilience(default=policy, board=FileBoard()).executor("store")
executor.execute(down)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("ConnectionResetError: down\n")
    assert (tmp_path / "told").read_text() == "store 60"


def test_a_child_looks_and_tells_for_itself(require):
    require(hasattr(os, "fork"), "this system does not fork")
    program = """
import os, time, warnings
warnings.simplefilter("ignore")  # of forks with threads
from oreflow.contract import BreakerBoard
from oreflow.resilience import BreakerPolicy, Policy, Resilience

class Board(BreakerBoard):
    said = {}
    def opened(self, name, seconds): pass
    def closed(self, name): pass
    def open_for(self, names): return dict(self.said)
    def close(self): pass

made = Resilience(default=Policy(breaker=BreakerPolicy()), board=Board(), look_every=0.02)
breaker = made.executor("store").breaker
child = os.fork()
if not child:
    Board.said = {"store": 60.0}
    deadline = time.monotonic() + 10
    while breaker.state != "open" and time.monotonic() < deadline:
        time.sleep(0.01)
    os._exit(0 if breaker.state == "open" else 1)
assert os.waitpid(child, 0)[1] == 0
assert breaker.state == "closed"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
