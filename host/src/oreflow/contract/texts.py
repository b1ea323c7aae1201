"""A value as the one text that it has on every engine, for reasons and for whatever reads a column as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import narwhals as nw

_MICROSECONDS = 6


def text_of(column: nw.Expr, kind: nw.dtypes.DType) -> nw.Expr:
    """A column of a type as text, as SQL's `cast(... as string)` has it; an instant with `+00:00` behind it.

    Raises:
        ValueError: values of the type have no text that is the same on every engine.
    """
    import narwhals as nw

    if kind == nw.String:
        return column
    if kind.is_integer() or kind.is_decimal() or kind in {nw.Boolean, nw.Date}:
        return column.cast(nw.String)
    if isinstance(kind, nw.Datetime):
        micros = column.dt.microsecond()
        # Before 1970 Spark counts them back from the second above.
        micros = nw.when(micros < 0).then(micros + 10**_MICROSECONDS).otherwise(micros)
        fraction = micros.cast(nw.String).str.zfill(_MICROSECONDS)
        zone = nw.lit("+00:00" if kind.time_zone else "")
        return nw.concat_str(column.dt.to_string("%Y-%m-%d %H:%M:%S"), nw.lit("."), fraction, zone)
    raise ValueError(f"a {str(kind).lower()} has no one text")
