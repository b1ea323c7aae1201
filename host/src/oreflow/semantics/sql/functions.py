"""The functions of oreflow's SQL: what each takes, what it gives, what it means, and how engines write it.

The table is the whole of it. A function that is not here is refused, however many engines have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oreflow.contract import DataType, StepError
from oreflow.semantics.sql import patterns, values
from oreflow.semantics.sql.values import (
    BOOLEAN,
    DATE,
    FLOAT64,
    INT64,
    STRING,
    TIMESTAMP,
    Texts,
    Value,
    coerced,
    computed,
    fill,
    is_float,
    is_int,
    is_number,
    made,
)

Build = Callable[..., Value]
_LONGEST = 1_000_000
_FARTHEST = 1_000_000_000
_NAN = "cast('nan' as double)"
_MOMENTS = {"date", "timestamp", "timestamp_utc"}


@dataclass(frozen=True)
class Function:
    """A function by its name.

    `takes`: what each argument must be (`text`, `number`, `int`, `float`, `boolean`, `moment`, `any`); with `!` a
    literal, `?` one that may be left out, a last one with `...` any number of them. `kind` says where it may
    stand: it looks at one `row`, at a group as an `aggregate`, or at a `window`.
    """

    name: str
    takes: tuple[str, ...]
    gives: str
    meaning: str
    build: Build
    kind: str = "row"

    def arguments(self, given: Sequence[Value]) -> list[Value]:
        """The arguments as the function takes them.

        Raises:
            StepError: there are too few or too many, or one is of the wrong type.
        """
        least = sum(not taken.endswith(("?", "...")) for taken in self.takes)
        endless = bool(self.takes) and self.takes[-1].endswith("...")
        if len(given) < least or (len(given) > len(self.takes) and not endless):
            raise StepError(f"{self.name}(...) takes {self._count(least, endless=endless)}, not {len(given)}")
        taken = [*self.takes, *self.takes[-1:] * len(given)]
        return [self._fitted(value, wanted.rstrip(".?")) for value, wanted in zip(given, taken, strict=False)]

    def _count(self, least: int, *, endless: bool) -> str:
        most = "or more" if endless else f"to {len(self.takes)}" if len(self.takes) > least else ""
        return f"{f'{least} {most}'.strip()} argument{'' if (least, most) == (1, '') else 's'}"

    def _fitted(self, value: Value, wanted: str) -> Value:
        plain = wanted.rstrip("!")
        if wanted.endswith("!") and value.constant is None:
            raise StepError(f"{self.name}(...) takes {_TOLD[plain]} there that is written out, no expression")
        if value.kind == values.NULL:
            return coerced(value, _OF_NULL.get(plain, STRING)) if plain != "any" else value
        if plain != "any" and not _IS[plain](value.kind):
            raise StepError(f"{self.name}(...) takes {_TOLD[plain]}, not {value.kind}")
        return value


_IS: dict[str, Callable[[DataType], bool]] = {
    "text": lambda kind: kind == STRING,
    "number": is_number,
    "int": is_int,
    "boolean": lambda kind: kind == BOOLEAN,
    "moment": lambda kind: kind.name in _MOMENTS,
}
_OF_NULL = {"text": STRING, "number": INT64, "int": INT64, "boolean": BOOLEAN, "moment": TIMESTAMP}
_TOLD = {
    "text": "a string",
    "number": "a number",
    "int": "a whole number",
    "boolean": "true or false",
    "moment": "a date or a timestamp",
}

FUNCTIONS: dict[str, Function] = {}
"""Every function, by each of its names."""


def _add(names: str, takes: str, gives: str, meaning: str, build: Build | str | Texts, kind: str = "row") -> None:
    first, *others = names.split()
    if not callable(build):
        template, result = build, DataType.parse(gives)
        build = lambda *arguments: made(result, template, *arguments)  # noqa: E731  a row of the table
    for name in (first, *others):
        FUNCTIONS[name] = Function(name, tuple(takes.split()), gives, meaning, build, kind)


# ----------------------------------------------------------------------------------------------------------- numbers


def _absolute(value: Value) -> Value:
    if is_int(value.kind):
        return values.narrowed("abs({0})", value)
    return made(value.kind, "abs({0})", value, loose=value.loose)


def _sign(value: Value) -> Value:
    if is_float(value.kind):
        return made(FLOAT64, "sign({0})", values.as_float(value))
    return made(INT64, "cast(sign({0}) as bigint)", value)


def _round(value: Value, digits: Value | None = None) -> Value:
    places = 0 if digits is None else digits.constant
    if not isinstance(places, int) or not 0 <= places <= values.DIGITS:
        raise StepError("round(...) takes a number of digits after the point, 0 to 38")
    return values.rounded(value, places)


def _of_floats(template: str | Texts) -> Build:
    return lambda *arguments: made(FLOAT64, template, *[values.as_float(value) for value in arguments])


_add("abs", "number", "its type", "without its sign", _absolute)
_add("sign", "number", "int64", "-1, 0 or 1; of a float a float", _sign)
_add("round", "number int!?", "see Numbers", "to so many digits after the point (0); half away from zero", _round)
_add("floor", "number", "see Numbers", "the whole number below", values.floor)
_add("ceil ceiling", "number", "see Numbers", "the whole number above", lambda v: values.floor(v, up=True))
_add("mod", "number number", "as `%`", "as `%`", lambda left, right: values.arithmetic("%", left, right))
_add("power pow", "number number", "float64", "the first to the power of the second", _of_floats("power({0}, {1})"))
_add("sqrt", "number", "float64", "the square root; NaN below zero", _of_floats("sqrt({0})"))
_add("exp", "number", "float64", "e to the power of it", _of_floats("exp({0})"))
_add("ln", "number", "float64", "the natural logarithm; NULL where it is not above zero",
     _of_floats("ln(case when {0} > 0e0 then {0} end)"))  # fmt: skip
_add("log10", "number", "float64", "the decimal logarithm; NULL where it is not above zero",
     _of_floats("log10(case when {0} > 0e0 then {0} end)"))  # fmt: skip


# ------------------------------------------------------------------------------------------------- NULL and choosing


def _alike(name: str, given: Sequence[Value]) -> tuple[DataType, list[Value]]:
    kind = values.common([value.kind for value in given], f"{name}(...)")
    return kind, [coerced(value, kind) for value in given]


def _chosen(name: str) -> Build:
    def build(*given: Value) -> Value:
        kind, sides = _alike(name, given)
        places = ", ".join(f"{{{number}}}" for number in range(len(sides)))
        plain = f"{name}({places})"
        if name == "greatest" and is_float(kind):
            odd = " or ".join(f"{{{number}}} = {_NAN}" for number in range(len(sides)))
            return coerced(
                made(kind, (f"case when {odd} then {_NAN} else {plain} end", plain), *sides, loose=True), kind
            )
        return made(kind, plain, *sides)

    return build


def _nullif(value: Value, other: Value) -> Value:
    values.common([value.kind, other.kind], "nullif(...)")
    return made(value.kind, "nullif({0}, {1})", coerced(value, value.kind), other)


_add("coalesce ifnull nvl", "any any...", "the common type", "the first that is not NULL", _chosen("coalesce"))
_add("nullif", "any any", "type of the first", "NULL where both are equal, else the first", _nullif)
_add("greatest", "any any...", "the common type", "the greatest; NULLs are left out", _chosen("greatest"))
_add("least", "any any...", "the common type", "the least; NULLs are left out", _chosen("least"))


# -------------------------------------------------------------------------------------------------------------- text


def _from_one(name: str, value: Value) -> Texts:
    """A place in a text, as engines want it; it may not be below zero."""
    if isinstance(value.constant, int) and value.constant < 0:
        raise StepError(f"{name}(...) counts from the first character on, not from the end; use right(...)")
    # Engines take 32 bits: so far away there is no character, and the sum of two of these fits.
    far = f"case when {{0}} > {_FARTHEST} then {_FARTHEST} when {{0}} < -{_FARTHEST} then -{_FARTHEST} else {{0}} end"
    return fill(f"cast({far} as int)", value)


def _substring(value: Value, start: Value, length: Value | None = None) -> Value:
    first = _from_one("substr", start)
    count = None if length is None else _from_one("substr", length)
    if not (isinstance(start.constant, int) and start.constant >= 1):
        # As the standard has it: there are places before the first character, and nothing is in them.
        if count is not None:
            count = fill("case when {0} < 1 then {1} + {0} - cast(1 as int) else {1} end", first, count)
        first = fill("case when {0} < 1 then cast(1 as int) else {0} end", first)
    if count is None:
        return made(STRING, "substr({0}, {1})", value, first)
    # To Polars a length that is NULL is none.
    template = "case when {2} < 0 then substr({0}, 1, 0) when {2} is not null then substr({0}, {1}, {2}) end"
    return made(STRING, template, value, first, count)


def _right(value: Value, length: Value) -> Value:
    return made(STRING, "right({0}, {1})", value, _literal_count("right", length, least=1))


def _left(value: Value, length: Value) -> Value:
    return made(STRING, "substr({0}, 1, {1})", value, _literal_count("left", length))


def _literal_count(name: str, value: Value, least: int = 0) -> Texts:
    if not isinstance(value.constant, int) or not least <= value.constant <= _LONGEST:
        raise StepError(f"{name}(...) takes a number of characters, {least} to {_LONGEST}")
    return str(value.constant), str(value.constant)


def _not_empty(name: str, value: Value) -> Value:
    if not value.constant:
        raise StepError(f"{name}(...) of an empty text has no meaning")
    return value


def _position(value: Value, part: Value) -> Value:
    part = _not_empty("strpos", part)
    # Polars counts bytes; what stands before the part is counted in characters instead.
    found = "case when strpos({0}, {1}) > 0 then length(split_part({0}, {1}, 1)) + 1 else 0 end"
    polars = f"cast(case when {{0}} is not null then {found} end as bigint)"
    return made(INT64, (polars, "cast(instr({0}, {1}) as bigint)"), value, part)


def _split_part(value: Value, separator: Value, number: Value) -> Value:
    if not isinstance(number.constant, int) or number.constant < 1:
        raise StepError("split_part(...) counts parts from 1")
    place = (str(number.constant), str(number.constant))
    return made(STRING, "split_part({0}, {1}, {2})", value, _not_empty("split_part", separator), place)


def _replace(value: Value, part: Value, by: Value) -> Value:
    return made(STRING, "replace({0}, {1}, {2})", value, _not_empty("replace", part), by)


def _concat(*given: Value) -> Value:
    return made(STRING, "(" + " || ".join(f"{{{n}}}" for n in range(len(given))) + ")", *given)


def _concat_ws(separator: Value, *given: Value) -> Value:
    places = ", ".join(f"{{{number + 1}}}" for number in range(len(given)))
    return made(STRING, f"concat_ws({{0}}, {places})", separator, *given)


def trim(side: str) -> Build:
    """Take characters off the ends of a text: blanks, or those of a literal."""

    def build(value: Value, characters: Value | None = None) -> Value:
        taken = values.text(" ") if characters is None else _not_empty("trim", characters)
        if side == "both":
            return made(STRING, "trim(both {1} from {0})", value, taken)
        name = "ltrim" if side == "leading" else "rtrim"
        return made(STRING, (f"{name}({{0}}, {{1}})", f"{name}({{1}}, {{0}})"), value, taken)

    return build


def _regexp_like(value: Value, pattern: Value) -> Value:
    return made(BOOLEAN, "regexp_like({0}, {1})", value, values.text(patterns.regex(str(pattern.constant))))


def _regexp_replace(value: Value, pattern: Value, by: Value) -> Value:
    if set(str(by.constant)) & set("$\\"):
        raise StepError("regexp_replace(...) puts plain text in; '$' and '\\' mean different things to engines")
    shape = values.text(patterns.regex(str(pattern.constant)))
    if re.search(str(pattern.constant), ""):
        raise StepError(f"regexp_replace(...): the pattern '{pattern.constant}' matches where there is nothing")
    template = ("regexp_replace({0}, {1}, {2}, 'g')", "regexp_replace({0}, {1}, {2})")
    return made(STRING, template, value, shape, by)


def _pad(name: str) -> Build:
    def build(value: Value, length: Value, by: Value) -> Value:
        if len(str(by.constant)) != 1:
            raise StepError(f"{name}(...) fills up with one character")
        return made(STRING, f"{name}({{0}}, {{1}}, {{2}})", value, _literal_count(name, length), by)

    return build


_add("lower", "text", "string", "in lower case, by Unicode", "lower({0})")
_add("upper", "text", "string", "in upper case, by Unicode", "upper({0})")
_add("length char_length character_length", "text", "int64", "how many characters (code points)",
     "cast(length({0}) as bigint)")  # fmt: skip
_add(
    "trim btrim", "text text!?", "string", "without blanks, or the characters of a literal, at both ends", trim("both")
)
_add("ltrim", "text text!?", "string", "the same, at the beginning", trim("leading"))
_add("rtrim", "text text!?", "string", "the same, at the end", trim("trailing"))
_add("substr substring", "text int int?", "string",
     "from the place of a character on (the first is 1), so many of them; beyond 10^9 both count as 10^9",
     _substring)  # fmt: skip
_add("left", "text int!", "string", "the first so many characters", _left)
_add("right", "text int!", "string", "the last so many characters", _right)
_add("replace", "text text! text", "string", "with every occurrence of the second replaced by the third", _replace)
_add("lpad", "text int! text!", "string", "filled up or cut to so many characters, at the beginning", _pad("lpad"))
_add("rpad", "text int! text!", "string", "the same, at the end", _pad("rpad"))
_add("starts_with", "text text", "boolean", "whether it begins with the second",
     ("starts_with({0}, {1})", "startswith({0}, {1})"))  # fmt: skip
_add("ends_with", "text text", "boolean", "whether it ends with the second",
     ("ends_with({0}, {1})", "endswith({0}, {1})"))  # fmt: skip
_add("strpos", "text text!", "int64", "the place where the second begins, 0 where it is not; also `position(b in a)`",
     _position)  # fmt: skip
_add("split_part", "text text! int!", "string", "the part of that number between separators; '' where there is none",
     _split_part)  # fmt: skip
_add("concat", "text text...", "string", "one after the other, as `||`: NULL where one is NULL", _concat)
_add("concat_ws", "text! text text...", "string", "with the first between the others; NULLs are left out", _concat_ws)
_add("regexp_like", "text text!", "boolean", "whether the pattern is found in it", _regexp_like)
_add("regexp_replace", "text text! text!", "string", "with every match replaced by a plain text", _regexp_replace)


# ---------------------------------------------------------------------------------------------------- dates and times

_PARTS: dict[str, Texts] = {
    "year": ("year", "year"),
    "quarter": ("quarter", "quarter"),
    "month": ("month", "month"),
    "week": ("week", "week"),
    "day": ("day", "day"),
    "dow": ("dow", "dow"),
    "isodow": ("isodow", "dayofweek_iso"),
    "doy": ("doy", "doy"),
    "isoyear": ("isoyear", "yearofweek"),
    "hour": ("hour", "hour"),
    "minute": ("minute", "minute"),
    "second": ("second", "second"),
}
_OF_DAY = {"hour", "minute", "second"}
_TRUNCATED = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_DIRECTIVES = {"%Y": "yyyy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss", "%j": "DDD", "%%": "%"}


def _part(name: str, known: Sequence[str], kind: DataType) -> str:
    part = name.lower()
    if part not in known:
        raise StepError(f"there is no part '{part}' of a date; there are {', '.join(known)}")
    if part in _OF_DAY and kind == DATE:
        raise StepError(f"a date has no {part}")
    return part


def extract(name: Value, moment: Value) -> Value:
    """A part of a date or a timestamp, as a whole number."""
    part = _part(str(name.constant), tuple(_PARTS), moment.kind)
    polars, spark = (f"extract({said} from {{0}})" for said in _PARTS[part])
    if part == "dow":
        spark += " - 1"
    return made(INT64, (f"cast({polars} as bigint)", f"cast({spark} as bigint)"), moment)


def _truncated(name: Value, moment: Value) -> Value:
    part = _part(str(name.constant), _TRUNCATED, moment.kind)
    if moment.kind == DATE:
        if part == "day":
            return moment
        return made(DATE, (f"cast(date_trunc('{part}', {{0}}) as date)", f"trunc({{0}}, '{part}')"), moment)
    polars, spark = f"date_trunc('{part}', {{0}})", f"date_trunc('{part}', {{0}})"
    return made(moment.kind, (polars, f"cast({spark} as timestamp_ntz)" if moment.kind == TIMESTAMP else spark), moment)


def _written(moment: Value, pattern: Value) -> Value:
    parts = re.findall(r"%.?|[^%]+", str(pattern.constant), re.DOTALL)
    spark = plain = ""
    for part in [*parts, ""]:
        directive = _DIRECTIVES.get(part, "")
        if part.startswith("%") and not directive:
            raise StepError(f"'{part}' is no directive of strftime(...); there are {', '.join(_DIRECTIVES)}")
        if part in {"%H", "%M", "%S"} and moment.kind == DATE:
            raise StepError(f"a date has no {part}")
        if part and (part == "%%" or not directive):
            plain += "%" if directive else part.replace("'", "''")
            continue
        spark += (f"'{plain}'" if plain else "") + directive
        plain = ""
    shape = (values.text(str(pattern.constant)).texts[0], values.text(spark).texts[1])
    return made(STRING, ("strftime({0}, {1})", "date_format({0}, {1})"), moment, shape)


def _shortcut(part: str) -> Build:
    return lambda moment: extract(values.text(part), moment)


_add("date_part", "text! moment", "int64", f"as `extract`: {', '.join(_PARTS)}", extract)
for _name in ("year", "quarter", "month", "day", "hour", "minute", "second"):
    _add(_name, "moment", "int64", f"as `extract({_name} from ...)`", _shortcut(_name))
_add("date_trunc", "text! moment", "its type",
     f"the beginning of its {', '.join(_TRUNCATED)} (a week begins on Monday)", _truncated)  # fmt: skip
_add("strftime", "moment text!", "string", f"as text: {', '.join(_DIRECTIVES)}", _written)


# -------------------------------------------------------------------------------------------------------- aggregates
# Templates have NUL where FILTER or OVER goes, which each call of an engine's aggregate has to have.


def _sum(value: Value) -> Value:
    if is_int(value.kind):
        wide = (f"cast({value.texts[0]} as hugeint)", computed(value).texts[1])
        return made(INT64, ("cast(sum({0})\0 as bigint)", "sum({0})\0"), wide)
    if is_float(value.kind):
        return made(FLOAT64, "sum({0})\0", values.as_float(value))
    return made(values.decimal(value.kind.scale), "sum({0})\0", value, loose=True)


def _average(value: Value) -> Value:
    if is_float(value.kind):
        return made(FLOAT64, "avg({0})\0", values.as_float(value))
    total = values.as_float(_sum(value))
    return values.quotient(total, made(INT64, "count({0})\0", value))


def _extreme(name: str) -> Build:
    def build(value: Value) -> Value:
        plain = f"{name}({{0}})\0"
        if name == "max" and is_float(value.kind):
            odd = f"max(case when {{0}} = {_NAN} then 1 else 0 end)\0 = 1"
            found = made(value.kind, (f"case when {odd} then {_NAN} else {plain} end", plain), value, loose=True)
            return coerced(found, value.kind)
        return made(value.kind, plain, value, loose=value.loose)

    return build


_add("count", "any", "int64", "how many are not NULL; `count(*)` how many rows, `count(distinct x)` how many values",
     "count({0})\0", "aggregate")  # fmt: skip
_add("sum", "number", "see Numbers", "the sum; NULL of nothing", _sum, "aggregate")
_add("avg mean", "number", "float64", "the sum as a float64, divided by the count; NULL of nothing", _average,
     "aggregate")  # fmt: skip
_add("min", "any", "its type", "the least; NaN is the greatest float", _extreme("min"), "aggregate")
_add("max", "any", "its type", "the greatest; NaN is the greatest float", _extreme("max"), "aggregate")
_add("stddev stddev_samp", "number", "float64", "the standard deviation of a sample; NULL of less than two",
     _of_floats("stddev({0})\0"), "aggregate")  # fmt: skip
_add("variance var_samp", "number", "float64", "the variance of a sample; NULL of less than two",
     _of_floats("var_samp({0})\0"), "aggregate")  # fmt: skip
_add("median", "number", "float64", "the middle one, of two the mean", _of_floats("median({0})\0"), "aggregate")
_add("bool_and every", "boolean", "boolean", "whether all are true", "min({0})\0", "aggregate")
_add("bool_or", "boolean", "boolean", "whether one is true", "max({0})\0", "aggregate")


# ----------------------------------------------------------------------------------------------------------- windows


def _moved(name: str) -> Build:
    def build(value: Value, by: Value | None = None) -> Value:
        places = 1 if by is None else by.constant
        if not isinstance(places, int) or places < 0:
            raise StepError(f"{name}(...) takes a number of rows, 0 or more")
        return made(value.kind, f"{name}({{0}}, {places})\0", coerced(value, value.kind))

    return build


_add("row_number", "", "int64", "the number of the row, from 1", "cast(row_number()\0 as bigint)", "window")
_add("rank", "", "int64", "the number of the first row that is equal", "cast(rank()\0 as bigint)", "window")
_add("dense_rank", "", "int64", "the number of the value", "cast(dense_rank()\0 as bigint)", "window")
_add(
    "lag",
    "any int!?",
    "its type",
    "the value so many rows (1) before, NULL where there is none",
    _moved("lag"),
    "window",
)
_add(
    "lead",
    "any int!?",
    "its type",
    "the value so many rows (1) behind, NULL where there is none",
    _moved("lead"),
    "window",
)
_add("first_value", "any", "its type", "the value of the first row", _extreme("first_value"), "window")
