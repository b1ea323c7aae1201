"""What engines say in the same words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from oreflow.contract import INTERNAL

_SHOWN = 30


def missing_column(name: str, columns: Iterable[str]) -> str:
    """Say that a column is not there, what may have been meant, and which columns there are."""
    known = sorted(column for column in columns if not column.startswith(INTERNAL))
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    shown = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
    return f"there is no column '{name}'{hint} (columns: {shown or 'none'})"
