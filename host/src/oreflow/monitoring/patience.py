"""Calling what may hang: in a thread that is left behind where it takes longer than somebody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from oreflow.contract import DeclarationError


def within(function: Callable[[], Any], seconds: float) -> Any:
    """What a function gives or raises in so many seconds; None where it takes longer, and goes on by itself."""
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=call, name="oreflow-monitoring", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # there are no more threads to be had
        return error
    thread.join(max(seconds, 0.0))
    return outcome[0] if outcome else None


def created(create: Callable[[], Any], seconds: float, place: Callable[[DeclarationError], DeclarationError]) -> Any:
    """What a plugin creates in so many seconds; None where it takes longer.

    Raises:
        DeclarationError: it has something against its options, at the `place` where they are declared.
        Exception: whatever else it raises.
    """
    found = within(create, seconds)
    if isinstance(found, DeclarationError):
        raise place(found) from found
    if isinstance(found, BaseException):
        raise found
    return found
