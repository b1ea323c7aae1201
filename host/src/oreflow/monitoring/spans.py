"""Spans of OpenTelemetry, as far as oreflow begins and ends them itself: whether any are kept, and where one is.

Where nobody keeps them, nothing of OpenTelemetry is loaded; see `nodes` for what is done where somebody does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from oreflow.monitoring.forking import Lock

if TYPE_CHECKING:
    from oreflow.monitoring.nodes import Node

is_kept = False
"""Whether spans are kept: a look at it is all that they cost where they are not."""
HERE: ContextVar[Node | None] = ContextVar("oreflow_span", default=None)
"""The span of ours that a thread is in."""
_keeping = 0
_changing = Lock()


def begin(name: str, attributes: Mapping[str, Any] | None) -> Node:
    """Begin a span, in which all is that begins in this thread before its `end(error, attributes)`."""
    about = {f"oreflow.{key}": value for key, value in (attributes or {}).items()}
    if above := HERE.get():
        return above.below(name, about)
    from oreflow.monitoring.nodes import of_the_process

    return of_the_process(name, about)


def keep(change: int) -> None:
    """Have spans kept by one more (1), or by one fewer (-1)."""
    global is_kept, _keeping  # noqa: PLW0603  one guard for the process
    with _changing:
        _keeping += change
        is_kept = _keeping > 0


def trace_ids() -> tuple[str, str]:
    """The ids of the current trace and span in hexadecimal; '' where there is none."""
    if not is_kept:
        return "", ""
    from oreflow.monitoring.nodes import ids

    return ids()
