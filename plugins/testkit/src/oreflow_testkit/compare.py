"""Comparing rows where their order means nothing, and telling a person how they differ."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_DIGITS = 12
"""Of a float that count: the order in which floats are added shows in the digits after these."""
_SHOWN = 300

Rows = Counter[tuple[tuple[str, Any], ...]]
"""Rows without an order, each with how often it is there."""


def comparable(rows: Iterable[Mapping[str, Any]], without: Iterable[str] = ()) -> Rows:
    """Rows as values that can be counted, without some of their columns."""
    left_out = set(without)
    return Counter(
        tuple(sorted((name, _plain(value)) for name, value in row.items() if name not in left_out)) for row in rows
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else float(f"{value:.{_DIGITS}g}")
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), _plain(item)) for key, item in value.items()))
    return value


def difference(one: Rows, other: Rows, in_one: str, in_other: str) -> str:
    """How two sets of rows differ, with an example of each side; '' where they do not."""
    if one == other:
        return ""
    parts = [f"{one.total():,} rows {in_one}, {other.total():,} rows {in_other}"]
    for these, those, where in ((one, other, in_one), (other, one, in_other)):
        if only := these - those:
            row = min(only, key=repr)
            parts.append(f"only {where}: {shown(dict(row))}")
    return "; ".join(parts)


def shown(row: Mapping[str, Any]) -> str:
    """A row as a person reads it: `id=1, name="Ada", note=NULL`."""
    text = ", ".join(f"{name}={_value(value)}" for name, value in row.items())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"[{', '.join(_value(item) for item in value)}]" if isinstance(value, list | tuple) else str(value)
