"""Values in a declaration, as values of a column's type; and the regular expressions that every engine understands."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import narwhals as nw

# Rust's and Java's regular expressions have in common what can be matched in linear time.
_NOT_COMMON = re.compile(r"\(\?<?[=!]|\(\?P=|(?<!\\)(?:\\\\)*\\[1-9]")


def pattern_fault(pattern: str) -> str:
    """What is wrong with a regular expression; '' where nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"the pattern cannot be understood: {error}"
    if found := _NOT_COMMON.search(pattern):
        return f"the pattern has '{found[0]}': looking around and back references are not for large data"
    return ""


def type_of(dtype: nw.dtypes.DType) -> str:
    """The name of a column's type, as `literal` takes it."""
    import narwhals as nw

    if dtype.is_integer():
        return "int64"
    if dtype.is_float():
        return "float64"
    names = {nw.String: "string", nw.Boolean: "boolean", nw.Date: "date", nw.Datetime: "timestamp"}
    return "decimal" if dtype.is_decimal() else next((n for kind, n in names.items() if dtype == kind), "")


def literal(value: Any, of_type: str) -> Any:
    """A value of the declaration as one of a column of type `of_type` (an unknown type: as it is).

    Raises:
        ValueError: no column of that type can have it.
    """
    accepted = {
        "string": (str,),
        "boolean": (bool,),
        "int32": (int,),
        "int64": (int,),
        "float32": (int, float),
        "float64": (int, float),
        "decimal": (int, float, str),
        "date": (str,),
        "timestamp": (str,),
        "timestamp_utc": (str,),
    }.get(of_type)
    if accepted is None:
        return value
    if not isinstance(value, accepted) or (isinstance(value, bool) and of_type != "boolean"):
        raise ValueError(f"{value!r} is no {of_type}")
    text = str(value)
    try:
        if of_type == "decimal":
            return Decimal(text)
        if of_type == "date":
            return date.fromisoformat(text)
        return datetime.fromisoformat(text) if of_type.startswith("timestamp") else value
    except (ValueError, InvalidOperation):
        raise ValueError(f"{value!r} is no {of_type}") from None
