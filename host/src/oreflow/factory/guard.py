"""Calling what a plugin brings so that nothing it does there harms the host: it may raise anything, print, or hang.

In a thread of its own, because only that bounds a call that never returns, and tells a plugin's own
KeyboardInterrupt from the user's. The thread of a call that hangs is left behind; it is a daemon.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

TIMEOUT_VARIABLE = "OREFLOW_PLUGIN_TIMEOUT"
_TIMEOUT = 10.0

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Outcome(Generic[_Value]):
    """What became of a call: its value or its error, what it printed, and how long it took (s)."""

    value: _Value | None
    error: BaseException | None
    printed: str
    seconds: float


def call(work: Callable[[], _Value]) -> Outcome[_Value]:
    """Call, and wait for the end for as long as OREFLOW_PLUGIN_TIMEOUT says (10 s)."""
    values: list[_Value] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            values.append(work())
        except BaseException as error:
            errors.append(error)

    printed = io.StringIO()
    start = time.perf_counter()
    limit = _timeout()
    thread = threading.Thread(target=run, name="oreflow-plugin", daemon=True)
    with contextlib.redirect_stdout(printed):
        thread.start()
        thread.join(limit)
    seconds = time.perf_counter() - start
    if thread.is_alive():
        return Outcome(None, TimeoutError(f"it did not end within {limit:g} s"), printed.getvalue(), seconds)
    if errors:
        return Outcome(None, errors[0], printed.getvalue(), seconds)
    return Outcome(values[0], None, printed.getvalue(), seconds)


def _timeout() -> float:
    said = os.environ.get(TIMEOUT_VARIABLE, "")
    try:
        seconds = float(said) if said else _TIMEOUT
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        print(f"{TIMEOUT_VARIABLE} is '{said}', not a number of seconds; {_TIMEOUT:g} is taken", file=sys.stderr)  # noqa: T201
        return _TIMEOUT
    return seconds


def told(error: BaseException) -> str:
    """An error in one line, whatever its class makes of being asked."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
