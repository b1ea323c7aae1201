"""Threads that wait for the next call: nothing of one call is seen by another, and one that hangs holds up nobody."""

from __future__ import annotations

import os
import queue
import threading
import time
from contextvars import ContextVar, copy_context

import pytest

from oreflow import workers

PATIENCE = 10
_place: ContextVar[str] = ContextVar("place", default="nowhere")


def asked(question, **how):
    """What a question comes to in another thread."""
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()
    workers.begin(lambda: answers.put(question()), "asked", **how)
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
    wait_for_rest()
    assert asked(_place.get, context=copy_context()) == "here"
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
    heard = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: heard.append(str(arguments.exc_value)))

    def fail():
        raise ValueError("of a call that should raise nothing")

    workers.begin(fail, "asked")
    wait_for_rest()
    assert asked(lambda: 1) == 1
    assert heard == ["of a call that should raise nothing"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_copy_of_the_process_has_threads_of_its_own():
    asked(lambda: 1)
    wait_for_rest()
    child = os.fork()
    if not child:
        os._exit(0 if asked(lambda: 1) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
