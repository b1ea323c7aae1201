"""Text as typed values, NULL where the text is not one, by the rules that all engines share.

Polars' own casts are the fast part. Where they take more than the rules allow (an exponent in a decimal,
a second blank in a timestamp, a second 60), the shape of the text is checked by one regular expression.
Where they take less (outer blanks, '17850.0' for an integer, another form of a timestamp), the values
that failed, and only those, are tried again: a clean column pays for one attempt. That is why
these are functions over a batch of values and not expressions, which would be computed for every value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product

import polars as pl

from oreflow.contract import DataType, StepError, format_fault
from oreflow.semantics import texts
from oreflow.semantics.patterns import CENTURY_BEGINS, Pattern, read_pattern
from oreflow.semantics.words import missing_column
from oreflow_polars.dtypes import to_polars
from oreflow_polars.errors import schema_of

Reader = Callable[[pl.Series], pl.Series]

_SAMPLE = 256
"""Rows that tell whether the rows of a column repeat each other."""
_POLARS = {".%f": "%.f"}
_FAST = re.compile(r"%Y-%m-%d.%H:%M(?::%S)?")
"""Patterns that Polars parses about as fast as it could look a text up in a cache."""


def columns(frame: pl.LazyFrame, casts: Mapping[str, tuple[str, DataType, str]]) -> pl.LazyFrame:
    """Add or replace columns by others read as a type, all from the frame as it was given."""
    schema = schema_of(frame, "cannot cast columns")
    results = []
    for name, (source, to, pattern) in casts.items():
        if source not in schema:
            raise StepError(f"cannot cast '{name}': {missing_column(source, schema)}")
        if schema[source] not in (pl.String, pl.Null):
            raise StepError(f"cannot cast '{name}': column '{source}' is {schema[source]}, not text")
        results.append(_expression(source, to, pattern).alias(name))
    return frame.with_columns(results)


def _expression(source: str, to: DataType, pattern: str) -> pl.Expr:
    text = pl.col(source).cast(pl.String)
    if to.name in ("string", "binary"):
        return text.cast(to_polars(to))
    target = to_polars(to)
    return text.map_batches(partial(_read, _attempts(to, pattern), target), return_dtype=target, is_elementwise=True)


def _attempts(to: DataType, pattern: str) -> tuple[Reader, ...]:
    target = to_polars(to)
    if pattern and to.name in ("date", "timestamp", "timestamp_utc"):
        if fault := format_fault(pattern, to):
            raise StepError(fault)
        return (partial(_strptime, read_pattern(pattern), target),)
    readers: dict[str, Callable[[], tuple[Reader, ...]]] = {
        "int32": lambda: _integers(target),
        "int64": lambda: _integers(target),
        "float32": lambda: (partial(_float, target),),
        "float64": lambda: (partial(_float, target),),
        "decimal": lambda: (partial(_decimal, target),),
        "boolean": lambda: (_boolean,),
        "date": lambda: (partial(_strptime, read_pattern("%Y-%m-%d", padded=True), target),),
        "timestamp": lambda: _iso(target),
        "timestamp_utc": lambda: (*_iso(target), _instant),
    }
    if to.name not in readers:
        raise StepError(f"text cannot be cast to {to}")
    return readers[to.name]()


def _integers(target: pl.DataType) -> tuple[Reader, ...]:
    return partial(_integer, target), partial(_integer_dot_zero, target), partial(_integer_zeros, target)


def _read(attempts: Sequence[Reader], target: pl.DataType, text: pl.Series) -> pl.Series:
    """Read each text; one that stands in many rows that follow each other, as those of an order do, is read once."""
    if text.head(_SAMPLE).rle_id().n_unique() > min(len(text), _SAMPLE) // 2:
        return _read_each(attempts, target, text)
    once = text.rle().struct.field("value")
    return _read_each(attempts, target, once).gather(text.rle_id()).alias(text.name)


def _read_each(attempts: Sequence[Reader], target: pl.DataType, text: pl.Series) -> pl.Series:
    """Try each way of reading in turn, then all of them again without outer blanks."""
    value = _in_turn(attempts, target, text)
    return _retry(value, text, lambda rest: _in_turn(attempts, target, rest.str.strip_chars(texts.BLANKS)))


def _in_turn(attempts: Sequence[Reader], target: pl.DataType, text: pl.Series) -> pl.Series:
    value = pl.Series(text.name, [None], dtype=target).new_from_index(0, len(text))
    for attempt in attempts:
        value = _retry(value, text, attempt)
    return value


def _retry(value: pl.Series, text: pl.Series, read: Reader) -> pl.Series:
    """Read again what is not read yet; nothing is done where nothing is left."""
    left = value.null_count() - text.null_count()
    if not left:
        return value
    if left == len(text):
        return read(text)
    failed = value.is_null() & text.is_not_null()
    again = read(text.filter(failed))
    if again.null_count() == len(again):
        return value
    position = (failed.cast(pl.Int64).cum_sum() - 1).clip(0)
    return again.gather(position).zip_with(failed, value)


def _where(value: pl.Series, holds: pl.Series) -> pl.Series:
    """The value where a condition holds, NULL elsewhere."""
    if holds.all(ignore_nulls=True):
        return value
    return value.zip_with(holds.fill_null(value=False), value.clear(1).new_from_index(0, len(value)))


def _integer(target: pl.DataType, text: pl.Series) -> pl.Series:
    return text.cast(target, strict=False)


def _integer_dot_zero(target: pl.DataType, text: pl.Series) -> pl.Series:
    """What spreadsheets and pandas write for whole numbers in a column with gaps; much cheaper than an expression."""
    return text.str.strip_suffix(".0").cast(target, strict=False)


def _integer_zeros(target: pl.DataType, text: pl.Series) -> pl.Series:
    return text.str.extract(r"^([+-]?[0-9]+)\.0*$", 1).cast(target, strict=False)


def _float(target: pl.DataType, text: pl.Series) -> pl.Series:
    value = text.cast(target, strict=False)
    infinite = value.is_infinite()
    if not infinite.any():
        return value
    return _where(value, ~infinite | ~text.str.contains("[0-9]"))  # '1e999' overflows, 'inf' is meant


def _decimal(target: pl.DataType, text: pl.Series) -> pl.Series:
    scale = target.scale if isinstance(target, pl.Decimal) else 0
    return _where(text.cast(target, strict=False), text.str.contains(f"^{texts.decimal(scale)}$"))


def _boolean(text: pl.Series) -> pl.Series:
    return text.str.to_lowercase().replace_strict(texts.BOOLEANS, default=None, return_dtype=pl.Boolean)


def _strptime(pattern: Pattern, target: pl.DataType, text: pl.Series) -> pl.Series:
    shaped = text.str.contains(f"^{pattern.shape}$")
    if not shaped.any():
        return pl.Series(text.name, [None], dtype=target).new_from_index(0, len(text))
    words = "".join(_POLARS.get(part, part) for part in pattern.parts)
    if target == pl.Date:
        value = text.str.to_date(words, strict=False)
    elif not pattern.has_time:
        value = text.str.to_date(words, strict=False).cast(pl.Datetime("us"))
    else:
        value = text.str.to_datetime(words, time_unit="us", strict=False, cache=_FAST.fullmatch(words) is None)
    value = _where(value, shaped)
    if pattern.short_year:  # to Polars the century begins a year later
        value = value.dt.offset_by("-100y").zip_with(value.dt.year() == 2000 + CENTURY_BEGINS, value)
    if isinstance(target, pl.Datetime) and value.dtype != target:
        value = value.dt.replace_time_zone(target.time_zone)
    return _where(value, value.dt.year().is_between(1, 9999))


def _iso(target: pl.DataType) -> tuple[Reader, ...]:
    """The forms of an ISO timestamp without an offset, the usual one first."""
    readers: list[Reader] = []
    for seconds, separator in product((":%S", "", ".f"), (" ", "T")):
        if seconds == ".f":
            readers.append(partial(_fraction, separator, target))
        else:
            pattern = read_pattern(f"%Y-%m-%d{separator}%H:%M{seconds}", padded=True)
            readers.append(partial(_strptime, pattern, target))
    return tuple(readers)


def _fraction(separator: str, target: pl.DataType, text: pl.Series) -> pl.Series:
    """Seconds with a fraction; Polars' own way of reading them is several times slower."""
    shaped = text.str.contains(rf"^{texts.DAY}{separator}{texts.MINUTE}{texts.SECOND}{texts.FRACTION}$")
    if not shaped.any():
        return pl.Series(text.name, [None], dtype=target).new_from_index(0, len(text))
    pattern = read_pattern(f"%Y-%m-%d{separator}%H:%M:%S", padded=True)
    seconds = _strptime(pattern, target, text.str.slice(0, 19))
    micros = text.str.slice(20).str.pad_end(6, "0").cast(pl.Int64, strict=False)
    return _where(seconds + micros.cast(pl.Duration("us")), shaped)


def _instant(text: pl.Series) -> pl.Series:
    """An ISO timestamp with an offset, in UTC."""
    parts = text.str.extract_groups(
        rf"^(?<reading>{texts.DAY}[ T]{texts.MINUTE}[0-9:.]*)(?<offset>{texts.OFFSET})$"
    ).struct.unnest()
    offset = parts["offset"].str.strip_chars("Z").str.replace(":", "", literal=True)
    hours = offset.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = offset.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    shift = (hours * 60 + minutes) * pl.select(pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    utc = pl.Datetime("us", "UTC")
    value = _in_turn(_iso(utc), utc, parts["reading"]) - (shift * 60_000_000).cast(pl.Duration("us"))
    return _where(value, value.dt.year().is_between(1, 9999)).alias(text.name)
