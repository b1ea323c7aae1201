"""Threads that wait for the next call: nothing of one call is seen by another, and one that hangs holds up nobody."""

from __future__ import annotations

import ctypes
import os
import queue
import subprocess
import sys
import threading
import time
from contextvars import ContextVar

import pytest

from oreflow.monitoring import workers
from oreflow.monitoring.patience import within

PATIENCE = 10
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process of Windows makes no copies of itself")
_place: ContextVar[str] = ContextVar("place", default="nowhere")


def asked(question):
    """What a question comes to in another thread."""
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()
    workers.begin(lambda: answers.put(question()), "asked")
    return answers.get(timeout=PATIENCE)


def at_rest():
    """Those that wait for a call."""
    return [each for each in threading.enumerate() if each.name == "oreflow-idle"]


def wait_for_rest():
    """Wait until nobody works for `asked` any more."""
    deadline = time.monotonic() + PATIENCE
    while any(each.name == "asked" for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_one_thread_makes_call_after_call():
    found = set()
    for _ in range(5):
        found.add(asked(threading.get_ident))
        wait_for_rest()
    assert len(found) == 1
    assert found.isdisjoint({threading.get_ident()})


def test_nothing_of_the_context_of_a_call_is_seen_by_the_next_one():
    _place.set("here")
    assert asked(lambda: _place.set("there") and _place.get()) == "there"
    wait_for_rest()
    assert asked(_place.get) == "nowhere"
    assert _place.get() == "here"


def test_a_thread_has_the_name_of_its_call():
    assert asked(lambda: threading.current_thread().name) == "asked"
    wait_for_rest()
    assert at_rest()


def test_one_that_hangs_holds_up_nobody():
    gate, entered = threading.Event(), threading.Event()

    def hang():
        entered.set()
        gate.wait(PATIENCE)

    try:
        workers.begin(hang, "hangs")
        assert entered.wait(PATIENCE)
        assert asked(lambda: 1) == 1
    finally:
        gate.set()


def test_few_wait_however_many_were_busy_at_once():
    gate, entered = threading.Event(), threading.Semaphore(0)

    def hold():
        entered.release()
        gate.wait(PATIENCE)

    for _ in range(30):
        workers.begin(hold, "asked")
    for _ in range(30):
        assert entered.acquire(timeout=PATIENCE)
    gate.set()
    wait_for_rest()
    deadline = time.monotonic() + PATIENCE
    while len(at_rest()) > 8:
        assert time.monotonic() < deadline, at_rest()
        time.sleep(0.001)


def test_after_one_that_raises_the_next_is_made(monkeypatch):
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda arguments: heard.put(str(arguments.exc_value)))

    def fail():
        raise ValueError("of a call that should raise nothing")

    workers.begin(fail, "asked")
    assert heard.get(timeout=PATIENCE) == "of a call that should raise nothing"
    assert asked(lambda: 1) == 1


def test_after_one_that_dies_at_rest_the_next_is_made(monkeypatch):
    heard = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: heard.set())
    ident = asked(threading.get_ident)
    wait_for_rest()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(ValueError))
    workers.begin(lambda: None, "asked")  # it dies once it is called
    assert heard.wait(PATIENCE)
    assert ident not in {each.ident for each in at_rest()}
    assert asked(lambda: 1) == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_what_is_begun_without_any_time_has_begun(seconds):
    gate, begun = threading.Event(), []
    try:
        for number in range(50):
            assert within(lambda number=number: begun.append(number) or gate.wait(PATIENCE), seconds) is None
            assert number in begun
    finally:
        gate.set()


def test_two_that_a_hung_backend_leaves_no_time_to_are_heard_both():
    hangs, deadline = threading.Event(), time.monotonic()
    try:
        assert within(lambda: hangs.wait(PATIENCE), deadline - time.monotonic()) is None
        assert [within(lambda: 5, deadline - time.monotonic()) for _ in range(5)] == [5] * 5
    finally:
        hangs.set()


@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_copy_of_the_process_has_threads_of_its_own():
    asked(lambda: 1)
    wait_for_rest()
    child = os.fork()
    if not child:
        os._exit(0 if asked(lambda: 1) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@FORKS
def test_a_copy_that_a_call_has_made_ends_with_it():
    script = """
import os
from oreflow.monitoring.patience import within
child = within(os.fork, 10)  # in the copy, too, the call ends here, and with it the only thread
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0\n"
