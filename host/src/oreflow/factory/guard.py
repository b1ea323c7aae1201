"""Calling what a plugin brings so that nothing it does there harms the host: it may raise anything, print, or hang.

In a thread of its own, because only that bounds a call that never returns, and tells a plugin's own
KeyboardInterrupt from the user's. The thread of a call that hangs is left behind; it is a daemon.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from oreflow.contract import DeclarationError, Problem

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

    def result(self) -> _Value:
        """The value; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return cast(_Value, self.value)


def call(work: Callable[[], _Value]) -> Outcome[_Value]:
    """Call, and wait for the end for as long as OREFLOW_PLUGIN_TIMEOUT says (10 s).

    Raises:
        DeclarationError: the variable is no number of seconds.
    """
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
        problem = Problem(
            f"{TIMEOUT_VARIABLE} is '{said}', not a number of seconds", mend=f"{_TIMEOUT:g} is the usual one"
        )
        raise DeclarationError([problem])
    return seconds
