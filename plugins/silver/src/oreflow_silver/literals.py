"""Values in a declaration, as values of a column's type; and what is wrong with a regular expression."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from oreflow.contract import portable_pattern

if TYPE_CHECKING:
    import narwhals as nw


def pattern_fault(pattern: str) -> str:
    """What is wrong with a regular expression; '' where nothing is."""
    try:
        portable_pattern(pattern)
    except ValueError as error:
        return str(error)
    return ""


def type_of(dtype: nw.dtypes.DType) -> str:
    """The name of a column's type, as `literal` takes it."""
    import narwhals as nw

    if dtype.is_integer():
        return "int64"
    if dtype.is_float():
        return "float32" if dtype == nw.Float32 else "float64"
    if isinstance(dtype, nw.Datetime) and dtype.time_zone:
        return "timestamp_utc"
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
        if of_type == "float32":
            struct.pack("<f", value)  # fails where it is too great for one
        if of_type == "date":
            return date.fromisoformat(text)
        return _moment(text, of_type) if of_type.startswith("timestamp") else value
    except (ValueError, InvalidOperation, OverflowError):
        raise ValueError(f"{value!r} is no {of_type}") from None


def _moment(text: str, of_type: str) -> datetime:
    """A reading of a clock, or an instant; one of these without an offset is in UTC, as in a cast."""
    moment = datetime.fromisoformat(text)
    if of_type == "timestamp_utc":
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    if moment.tzinfo:
        raise ValueError("a reading of a clock has no offset")
    return moment
