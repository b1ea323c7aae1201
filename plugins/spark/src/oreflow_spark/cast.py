"""Text as typed values, NULL where the text is not one, by the rules that all engines share.

Spark's own casts take more than the rules allow (17850.7 for an integer, a date alone for a timestamp) and differ by
settings. So the shape of the text is checked first, by a regular expression, and what is handed to a cast has a
form that each Spark reads alike. All of it is computed by the JVM.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that it has in all of Spark's own pages
from pyspark.sql import types as t

from oreflow.contract import DataType, StepError, format_fault
from oreflow.semantics import texts
from oreflow.semantics.patterns import CENTURY_BEGINS, MONTHS, SHAPES, WEEKDAYS, Pattern, read_pattern
from oreflow.semantics.words import missing_column
from oreflow_spark.dtypes import column, refuse_odd, to_spark
from oreflow_spark.errors import told

_HALF_DAY = 12


def columns(frame: DataFrame, casts: Mapping[str, tuple[str, DataType, str]]) -> DataFrame:
    """Add or replace columns by others read as a type, all from the frame as it was given."""
    refuse_odd(casts)
    with told("cannot cast columns"):
        schema = {field.name: field.dataType for field in frame.schema.fields}
    results = {}
    for name, (source, to, pattern) in casts.items():
        if source not in schema:
            raise StepError(f"cannot cast '{name}': {missing_column(source, schema)}")
        if not isinstance(schema[source], (t.StringType, t.NullType)):
            raise StepError(f"cannot cast '{name}': column '{source}' is {schema[source].simpleString()}, not text")
        results[name] = _value(column(source).cast("string"), to, pattern).cast(to_spark(to))
    kept = [results.pop(name).alias(name) if name in results else column(name) for name in schema]
    return frame.select(*kept, *[value.alias(name) for name, value in results.items()])


def _value(text: Column, to: DataType, pattern: str) -> Column:
    if to.name in ("string", "binary"):
        return text
    trimmed = F.btrim(text, F.lit(texts.BLANKS))
    if pattern and to.name in ("date", "timestamp", "timestamp_utc"):
        if fault := format_fault(pattern, to):
            raise StepError(fault)
        value = _strptime(trimmed, read_pattern(pattern), to)
        if pattern == pattern.strip(texts.BLANKS):
            return value
        return F.coalesce(_strptime(text, read_pattern(pattern), to), value)
    readers: Mapping[str, Callable[[Column], Column]] = {
        "int32": _integer,
        "int64": _integer,
        "float32": lambda text: _float(text, to),
        "float64": lambda text: _float(text, to),
        "decimal": lambda text: _shaped(text, texts.decimal(to.scale), text),
        "boolean": _boolean,
        "date": lambda text: _in_range(_try(_shaped(text, texts.DAY, text), to)),
        "timestamp": lambda text: _in_range(_try(_shaped(text, texts.TIMESTAMP, text), to)),
        "timestamp_utc": lambda text: _in_range(_try(_instant(text), to)),
    }
    if to.name not in readers:
        raise StepError(f"text cannot be cast to {to}")
    return _try(readers[to.name](trimmed), to)


def _try(value: Column, to: DataType) -> Column:
    """The value as a type; NULL where it is none, whatever the settings of the session."""
    return value.try_cast(to_spark(to))


def _shaped(text: Column, shape: str, value: Column) -> Column:
    """The value where the text is of a shape from end to end, NULL elsewhere."""
    return F.when(text.rlike(rf"\A(?:{shape})\z"), value)


def _integer(text: Column) -> Column:
    return _shaped(text, texts.INTEGER, F.substring_index(text, ".", 1))


def _float(text: Column, to: DataType) -> Column:
    value = _try(text, to)
    infinite = F.abs(value) == F.lit(float("inf"))
    value = F.when(~infinite | ~text.rlike("[0-9]"), value)  # '1e999' overflows, 'inf' is meant
    value = F.when(F.lower(text).endswith("nan"), F.lit(float("nan"))).otherwise(value)  # Spark knows it without a sign
    return _shaped(text, texts.FLOAT, value)


def _instant(text: Column) -> Column:
    with_seconds = F.regexp_replace(
        text, rf"\A(.{{16}})({texts.OFFSET})\z", "$1:00$2"
    )  # without, Spark takes no offset
    return _shaped(text, f"{texts.TIMESTAMP}{texts.OFFSET}?", with_seconds)


def _boolean(text: Column) -> Column:
    words = {word: [text for text, value in texts.BOOLEANS.items() if value is word] for word in (True, False)}
    lower = F.lower(text)
    return F.when(lower.isin(words[True]), F.lit(True)).when(lower.isin(words[False]), F.lit(False))  # noqa: FBT003  values


def _in_range(value: Column) -> Column:
    """A day or a moment of the years 1 to 9999."""
    return F.when(F.year(value).between(1, 9999), value)


# Patterns


def _strptime(text: Column, pattern: Pattern, to: DataType) -> Column:
    """A text of a pattern: its fields, written as ISO 8601, are read by Spark."""
    fields = _Fields(text, pattern)
    iso = fields.numbers(to)
    right = text.rlike(fields.regex)
    if iso is None:
        iso, right = fields.iso(to), right & fields.agree
    if to.name != "timestamp_utc":  # a date with a time is read whole, since 25:00 is none
        to = DataType("timestamp") if pattern.has_time else to
    return _in_range(_try(F.when(right, iso), to))


class _Fields:
    """The fields of a text by the directives of its pattern.

    Each takes as many characters as it can and gives none back, as a reader that goes from left to right does.
    """

    def __init__(self, text: Column, pattern: Pattern) -> None:
        self._text, self._pattern = text, pattern
        self._places: dict[str, list[int]] = {}
        regex = ""
        for part in pattern.parts:
            if part in SHAPES and part != "%%":
                self._places.setdefault(part, []).append(sum(map(len, self._places.values())) + 1)
                regex += rf"\.((?>{SHAPES[part][2:]}))" if part == ".%f" else f"((?>{SHAPES[part]}))"
            else:
                regex += re.escape(part.replace("%%", "%"))
        self.regex = rf"\A{regex}\z"

    def numbers(self, to: DataType) -> Column | None:
        """The text as ISO 8601, in one pass, where it has just the fields of this, each once and as a number.

        Whether a number is in its range, the cast will see.
        """
        places = self._places
        if (
            set(places) - _NUMBERS
            or not set(places) >= {"%Y", "%m", "%d"}
            or any(len(each) > 1 for each in places.values())
        ):
            return None
        if "".join(self._pattern.parts) in _ISO:
            return self._text
        time = [":".join(d for d in ("%H", "%M", "%S") if self._has(d))] if self._has("%H") else []
        if not time and to.name != "date":
            time = ["00:00"]
        template = " ".join(["%Y-%m-%d", *time]) + "".join(d for d in (".%f", "%z") if self._has(d))
        for directive, (place,) in places.items():
            template = template.replace(directive, f".${place}" if directive == ".%f" else f"${place}")
        return F.regexp_replace(self._text, self.regex, template)

    def iso(self, to: DataType) -> Column:
        """The text as ISO 8601."""
        parts = [self._day]
        if self._has("%M"):
            parts += [F.lit(" "), self._hour, F.lit(":"), self._field("%M"), F.lit(":")]
            parts += [self._field("%S")] if self._has("%S") else [F.lit("00")]
            parts += [F.lit("."), self._field(".%f")] if self._has(".%f") else []
        elif to.name != "date":
            parts.append(F.lit(" 00:00:00"))
        if self._has("%z"):
            parts.append(self._field("%z"))
        return F.concat(*parts)

    @property
    def agree(self) -> Column:
        """Whether the fields are in their ranges, and those that say the same thing twice say the same."""
        return reduce(and_, [*self._in_range(), *self._hours_agree(), *self._days_agree()], F.lit(True))  # noqa: FBT003

    def _in_range(self) -> Iterator[Column]:
        for directive, places in self._places.items():
            for place in places[1:]:
                yield F.lower(self._group(place)) == F.lower(self._group(places[0]))
            if directive in _RANGES:
                yield self._number(directive).between(*_RANGES[directive])

    def _hours_agree(self) -> Iterator[Column]:
        if self._has("%H") and self._has("%I"):
            yield self._number("%H") % _HALF_DAY == self._number("%I") % _HALF_DAY
        if self._has("%H") and self._has("%p"):
            yield (self._number("%H") >= _HALF_DAY) == self._afternoon

    def _days_agree(self) -> Iterator[Column]:
        months = [self._month(directive) for directive in ("%m", "%b", "%B") if self._has(directive)]
        for month in months[1:]:
            yield month == months[0]
        date = self._day.try_cast("date")
        for directive in ("%a", "%A"):
            if self._has(directive):
                yield F.weekday(date) == self._named(directive, WEEKDAYS)
        if self._has("%j"):
            yield F.dayofyear(date) == self._number("%j")
            yield F.year(date) == self._year

    def _has(self, directive: str) -> bool:
        return directive in self._places

    def _group(self, place: int) -> Column:
        return F.regexp_extract(self._text, self.regex, place)

    def _field(self, directive: str) -> Column:
        return self._group(self._places[directive][0])

    def _number(self, directive: str) -> Column:
        return self._field(directive).try_cast("int")

    def _named(self, directive: str, names: tuple[str, ...]) -> Column:
        """The number of a name in a list, by its first three letters."""
        begins = F.lower(F.substring(self._field(directive), 1, 3))
        return F.array_position(F.array(*map(F.lit, names)), begins).cast("int") - 1

    def _month(self, directive: str) -> Column:
        return self._number("%m") if directive == "%m" else self._named(directive, MONTHS) + 1

    @property
    def _afternoon(self) -> Column:
        return F.lower(self._field("%p")) == "pm"

    @property
    def _year(self) -> Column:
        if self._has("%Y"):
            return self._number("%Y")
        year = self._number("%y")
        return year + F.when(year >= CENTURY_BEGINS, 1900).otherwise(2000)

    @property
    def _day(self) -> Column:
        """The date as text; a day of the year is counted from its first one."""
        year = self._field("%Y") if self._has("%Y") else self._year.cast("string")
        month = next((d for d in ("%m", "%b", "%B") if self._has(d)), None)
        if month and self._has("%d"):
            text = self._field("%m") if month == "%m" else self._month(month).cast("string")
            return F.concat(year, F.lit("-"), text, F.lit("-"), self._field("%d"))
        first = F.concat(year, F.lit("-1-1")).try_cast("date")
        return F.date_add(first, self._number("%j") - 1).cast("string")

    @property
    def _hour(self) -> Column:
        if self._has("%H"):
            return self._field("%H")
        hour = self._number("%I") % _HALF_DAY + F.when(self._afternoon, _HALF_DAY).otherwise(0)
        return hour.cast("string")


_NUMBERS = {"%Y", "%m", "%d", "%H", "%M", "%S", ".%f", "%z"}
_ISO = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f"}
"""Patterns of texts that Spark reads as they are."""
_RANGES = {"%I": (1, _HALF_DAY), "%H": (0, 23), "%M": (0, 59)}
"""Of fields whose range no cast sees, or not in each pattern."""
