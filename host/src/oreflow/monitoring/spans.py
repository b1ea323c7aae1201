"""Whether spans are kept, for whoever would begin one: where nobody keeps them, nothing of OpenTelemetry is loaded.

`nodes` begins and ends them where somebody does.
"""

from __future__ import annotations

from oreflow.monitoring.forking import Lock

is_kept = False
"""Whether spans are kept: a look at it is all that they cost where they are not."""
_keeping = 0
_changing = Lock()


def keep(change: int) -> None:
    """Have spans kept by one more (1), or by one fewer (-1)."""
    global is_kept, _keeping  # noqa: PLW0603  one guard for the process
    with _changing:
        _keeping += change
        is_kept = _keeping > 0
