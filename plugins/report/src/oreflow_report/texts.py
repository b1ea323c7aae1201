"""How data are shown to people: whatever is in them, they stay text, of a length that a page can bear."""

from __future__ import annotations

import unicodedata
from typing import Any

VALUE = 300
"""Characters of a value of a row that are shown."""
MESSAGE = 2000
"""Characters of a reason, an error or a remark that are shown."""
NAME = 120
"""Characters of a name (table, column, check, file) that are shown."""

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of Unicode that a screen shows as nothing, or that change how it shows what stands beside them."""


def shown(value: Any, limit: int = MESSAGE) -> str:
    """A value as text that a page can show, cut after `limit` characters; how long it is on the whole is said then.

    What cannot be seen, such as control characters, marks of direction or halves of surrogate pairs, is escaped as
    Python writes it: a text must not be able to look like another one.
    """
    text = "NULL" if value is None else str(value)
    rest = f"… ({len(text):,} characters)" if len(text) > limit else ""
    return "".join(map(_visible, text[:limit])) + rest


def short(text: str, limit: int) -> str:
    """The same for a place that is `limit` letters wide, as in a drawing; those of Chinese, say, count as two."""
    seen = "".join(map(_visible, text[: limit + 1])).replace("\n", " ")
    wide = [2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in seen]
    if sum(wide) <= limit:
        return seen
    while sum(wide) >= limit:
        wide.pop()
    return f"{seen[: len(wide)]}…"


def _visible(letter: str) -> str:
    if letter == "\n":
        return letter
    if letter == "\t":
        return " "
    if unicodedata.category(letter) in _UNSEEN:
        return ascii(letter)[1:-1]
    return letter


def counted(number: int, what: str) -> str:
    """`1 row`, `2 rows`, `2 batches`."""
    plural = "es" if what.endswith(("s", "ch")) else "s"
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}{plural}"


def percent(share: float | None) -> str:
    """`97.5 %`, rounded down: a share just below a threshold must not read as if it had reached it."""
    return "" if share is None else f"{int(share * 1000 + 1e-9) / 10:.1f} %"


def lasted(seconds: float) -> str:
    """`0.47 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if seconds < 100:  # noqa: PLR2004  below that, digits behind the point say something
        return f"{seconds:.2f} s"
    if whole < 3600:  # noqa: PLR2004  an hour
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
