"""A part of an SQL text with its type, written for every engine; and what is done with numbers.

Whatever an engine would type, round or overflow in its own way is written here with casts, so that a type and a value
never depend on the engine. Types are those of the contract, and `null` for a bare NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from oreflow.contract import DataType, StepError

ENGINES = ("polars", "spark")
Texts = tuple[str, str]
"""What is written for each of `ENGINES`."""

STRING, BOOLEAN, DATE = DataType("string"), DataType("boolean"), DataType("date")
TIMESTAMP, UTC = DataType("timestamp"), DataType("timestamp_utc")
INT32, INT64 = DataType("int32"), DataType("int64")
FLOAT32, FLOAT64 = DataType("float32"), DataType("float64")
NULL = DataType("null")
DIGITS = 38

_NAMES: dict[str, Texts] = {
    "string": ("varchar", "string"),
    "int32": ("int", "int"),
    "int64": ("bigint", "bigint"),
    "float32": ("real", "float"),
    "float64": ("double", "double"),
    "boolean": ("boolean", "boolean"),
    "date": ("date", "date"),
    "timestamp": ("timestamp", "timestamp_ntz"),
}
_GREATEST = 2**63 - 1
_WHOLE_FLOATS = "4503599627370496e0"
"""From 2^52 on, every float64 is a whole number."""
_DIGITS_OF_A_FLOAT = 15
"""So many digits after the point are taken from a float64, which has no more than 15 to 17 digits at all."""
_PER_ROW = "({0} + 0e0 * cast(({1} is null) as double))"
"""A divisor for Polars, which by one that is the same for all rows would multiply with its inexact reciprocal."""


@dataclass(frozen=True)
class Value:
    """A part of an expression. `loose` is one whose type an engine may see otherwise; `constant` a literal's value."""

    kind: DataType
    texts: Texts
    loose: bool = False
    constant: str | int | Decimal | float | bool | None = None


def decimal(scale: int) -> DataType:
    """The type of every computed decimal: all the digits there are."""
    if scale > DIGITS:
        raise StepError(f"this has {scale} digits after the point, a decimal has no more than 38; round or cast before")
    return DataType("decimal", DIGITS, scale)


def is_int(kind: DataType) -> bool:
    """Whether it is a type of whole numbers."""
    return kind.name in {"int32", "int64"}


def is_float(kind: DataType) -> bool:
    """Whether it is a type of binary fractions."""
    return kind.name in {"float32", "float64"}


def is_number(kind: DataType) -> bool:
    """Whether one can compute with it."""
    return is_int(kind) or is_float(kind) or kind.name == "decimal"


def type_name(kind: DataType, engine: int) -> str:
    """A type as an engine's SQL names it."""
    return str(kind) if kind.name == "decimal" else _NAMES[kind.name][engine]


def fill(template: str | Texts, *values: Value | Texts, **names: str | Texts) -> Texts:
    """A template, or one for each engine, with the texts of values in the places {0}, {1}, ..."""

    def text(engine: int) -> str:
        pattern = template if isinstance(template, str) else template[engine]
        places = [(value.texts if isinstance(value, Value) else value)[engine] for value in values]
        return pattern.format(
            *places, **{name: said if isinstance(said, str) else said[engine] for name, said in names.items()}
        )

    return text(0), text(1)


def made(kind: DataType, template: str | Texts, *values: Value | Texts, loose: bool = False) -> Value:
    """A value out of others."""
    return Value(kind, fill(template, *values), loose)


def _cast(value: Value, kind: DataType, word: str = "cast") -> Value:
    texts = tuple(f"{word}({value.texts[engine]} as {type_name(kind, engine)})" for engine in range(len(ENGINES)))
    return Value(kind, (texts[0], texts[1]))


# ---------------------------------------------------------------------------------------------------------- literals


def whole(number: int) -> Value:
    """A whole number as it is written."""
    if abs(number) > _GREATEST:
        raise StepError(f"{number} does not fit 64 bits; write it as a decimal: {number}.0")
    return Value(INT64, (str(number), f"{number}L"), loose=True, constant=number)


def fraction(number: Decimal) -> Value:
    """A number with a point: a decimal of just the digits that it is written with."""
    _, digits, exponent = number.as_tuple()
    scale = -int(exponent)
    kind = DataType("decimal", max(len(digits), scale, 1), scale)
    if kind.precision > DIGITS:
        raise StepError(f"{number} has more than 38 digits")
    plain = f"{number:f}"
    return Value(kind, (plain, f"{plain}BD"), loose=True, constant=number)


def text(said: str) -> Value:
    """A text between quotes; nothing in it is special."""
    doubled = said.replace("'", "''")
    # Spark reads backslashes, and puts variables in the place of ${...} before it parses anything.
    escaped = said.replace("\\", "\\\\").replace("'", "\\'").replace("${", "$\\u007b")
    return Value(STRING, (f"'{doubled}'", f"'{escaped}'"), constant=said)


# ------------------------------------------------------------------------------------------------------------- types


def common(kinds: Sequence[DataType], what: str) -> DataType:
    """The type that holds the values of all; NULLs take any.

    Raises:
        StepError: there is none.
    """
    found = [kind for kind in dict.fromkeys(kinds) if kind != NULL]
    if not found:
        return STRING
    if len(found) == 1:
        return found[0]
    if all(is_number(kind) for kind in found):
        if any(is_float(kind) for kind in found):
            return FLOAT64
        if all(is_int(kind) for kind in found):
            return INT64
        return decimal(max(kind.scale for kind in found))
    if {kind.name for kind in found} == {"date", "timestamp"}:
        return TIMESTAMP
    raise StepError(f"{what} mixes {' and '.join(str(kind) for kind in found)}; cast one to the other's type")


def coerced(value: Value, kind: DataType) -> Value:
    """The value as one of a wider type, on every engine."""
    if value.kind == kind and not value.loose:
        return value
    if kind.name not in _NAMES and kind.name != "decimal":
        return value
    return _cast(value, kind)


def computed(value: Value, *, with_decimals: bool = False) -> Value:
    """A number as one computes with it: whole numbers as int64 or, among decimals, as decimals; floats as float64."""
    if is_int(value.kind) and with_decimals:  # the longer way is the quicker one on Polars
        return made(decimal(0), ("cast(cast({0} as hugeint) as decimal(38,0))", "cast({0} as decimal(19,0))"), value)
    if value.kind in {INT32, FLOAT32}:
        return coerced(value, INT64 if value.kind == INT32 else FLOAT64)
    return value


def as_float(value: Value) -> Value:
    """A number as a float64."""
    return value if value.kind == FLOAT64 else _cast(value, FLOAT64)


# -------------------------------------------------------------------------------------------------------- arithmetic


def narrowed(template: str | Texts, *values: Value) -> Value:
    """Arithmetic of whole numbers: Polars' own would wrap around, so it has 128 bits and is cut to 64 strictly."""
    plain = template if isinstance(template, str) else template[1]
    wide = plain if isinstance(template, str) else template[0]
    sides = [(f"cast({v.texts[0]} as hugeint)", computed(v).texts[1]) for v in values]
    return Value(INT64, fill((f"cast({wide} as bigint)", plain), *sides))


def arithmetic(sign: str, left: Value, right: Value) -> Value:
    """A sum, a difference, a product or a remainder (which has the sign of the left side; by zero it is NULL)."""
    template = "({0} " + sign.replace("%", "% nullif({1}, 0)") + ("" if sign == "%" else " {1}") + ")"
    kinds = (left.kind, right.kind)
    if any(is_float(kind) for kind in kinds):
        return made(FLOAT64, template.replace(", 0)", ", 0e0)"), as_float(left), as_float(right))
    if all(is_int(kind) for kind in kinds):
        return narrowed(template, left, right)
    scales = [kind.scale for kind in kinds]
    kind = decimal(sum(scales) if sign == "*" else max(scales))
    sides = [computed(side, with_decimals=True) for side in (left, right)]
    return made(kind, template, *sides, loose=True)


def quotient(left: Value, right: Value) -> Value:
    """Always a float64; by zero it is NULL."""
    divisor = as_float(right)
    if not isinstance(right.constant, (int, float, Decimal)) or not right.constant:
        divisor = made(FLOAT64, "nullif({0}, 0e0)", divisor)
    return made(FLOAT64, ("({0} / " + _PER_ROW.format("{1}", "{0}") + ")", "({0} / {1})"), as_float(left), divisor)


def whole_quotient(left: Value, right: Value) -> Value:
    """Of whole numbers, cut off towards zero; by zero it is NULL."""
    return narrowed(("({0} // nullif({1}, 0))", "({0} div nullif({1}, 0L))"), left, right)


def negated(value: Value) -> Value:
    """The number with the other sign."""
    if isinstance(value.constant, (int, float, Decimal)) and not isinstance(value.constant, bool):
        texts = tuple(f"(-{text})" for text in value.texts)
        return replace(value, texts=(texts[0], texts[1]), constant=-value.constant)
    if is_int(value.kind):
        return narrowed("(-{0})", value)
    return (
        made(decimal(value.kind.scale), "(-{0})", value, loose=True)
        if value.kind.name == "decimal"
        else (made(FLOAT64, "(-{0})", as_float(value)))
    )


# ---------------------------------------------------------------------------------------------------------- rounding


def rounded(value: Value, digits: int) -> Value:
    """To some digits after the point, half away from zero."""
    if is_int(value.kind):
        return computed(value)
    if is_float(value.kind):
        return _rounded_float(as_float(value), digits)
    if digits >= value.kind.scale:
        return value
    return _rounded_decimal(value, DataType("decimal", DIGITS, digits), "cast")


def _rounded_float(value: Value, digits: int) -> Value:
    # Both engines have the whole number that is nearest, and of two the even one; a tie is told by what is left.
    scaled = f"(abs({{0}}) * 1e{digits})"
    nearest = (f"round({scaled})", f"rint({scaled})")
    parts = (_PER_ROW.format(f"1e{digits}", "{0}"), f"1e{digits}")
    half = tuple(
        f"({near} + case when {scaled} - {near} = 0.5e0 then 1e0 else 0e0 end) / {part}"
        for near, part in zip(nearest, parts, strict=True)
    )
    already = f"when abs({{0}}) >= {_WHOLE_FLOATS} then {{0}}"
    polars, spark = (f"(case {already} when {{0}} < 0e0 then -({part}) else {part} end)" for part in half)
    return made(FLOAT64, (polars, spark), value)


def _rounded_decimal(value: Value, kind: DataType, word: str) -> Value:
    """Spark rounds half away from zero by itself; Polars to the even neighbour, which is mended."""
    near = f"{word}({{0}} as decimal({DIGITS},{kind.scale}))"
    half = f"{Decimal(5).scaleb(-kind.scale - 1):f}"
    step = f"{Decimal(1).scaleb(-kind.scale):f}"
    none = f"{Decimal(0).scaleb(-kind.scale):f}"
    mended = (
        f"{near} + case when {{0}} > 0 and {{0}} - {near} = {half} then {step}"
        f" when {{0}} < 0 and {{0}} - {near} = -{half} then -{step} else {none} end"
    )
    return made(kind, (f"{word}({mended} as {kind})", f"{word}({{0}} as {kind})"), value)


def floor(value: Value, *, up: bool = False) -> Value:
    """The whole number below, or above."""
    if is_int(value.kind):
        return computed(value)
    name = "ceil" if up else "floor"
    if value.kind.name == "decimal":
        return made(decimal(0), f"cast({name}({{0}}) as decimal({DIGITS},0))", value)
    beyond, step = ("<", "+") if up else (">", "-")
    spark = f"(case when rint({{0}}) {beyond} {{0}} then rint({{0}}) {step} 1e0 else rint({{0}}) end)"
    return made(FLOAT64, (f"{name}({{0}})", spark), as_float(value))


# ------------------------------------------------------------------------------------------------------------- casts

DATE_SHAPE = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-[0-9]{2}-[0-9]{2}"
TIMESTAMP_SHAPE = DATE_SHAPE + "[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,6})?)?"
_TRUE, _FALSE = "'true', 't', 'yes', 'y', '1'", "'false', 'f', 'no', 'n', '0'"


def cast(value: Value, kind: DataType, *, tried: bool = False) -> Value:
    """The value as one of another type; what cannot be is NULL where it is only tried, and else fails the step.

    Raises:
        StepError: there is no such cast.
    """
    word, source = ("try_cast" if tried else "cast"), value.kind
    if source in {kind, NULL} or (is_int(source) and kind == INT64):
        return coerced(value, kind)
    if source == STRING:
        return _from_text(value, kind, tried=tried)
    if kind == STRING and (is_int(source) or source.name in {"decimal", "boolean", "date", "timestamp"}):
        exact = coerced(value, source)
        moment = ("cast({0} as varchar)", "date_format({0}, 'yyyy-MM-dd HH:mm:ss.SSSSSS')")
        return made(STRING, moment, exact) if source == TIMESTAMP else _cast(exact, STRING)
    if source.name == "decimal" and kind.name == "decimal" and kind.scale < source.scale:
        return _rounded_decimal(value, kind, word)
    if is_float(source) and kind.name == "decimal":
        return _float_to_decimal(value, kind, tried=tried)
    numbers = is_number(source) and is_number(kind)
    others = {("date", "timestamp"), ("timestamp", "date"), ("timestamp_utc", "date")}
    truths = (is_int(source) and kind == BOOLEAN) or (source == BOOLEAN and kind == INT64)
    if numbers or truths or (source.name, kind.name) in others:
        return _cast(value, kind, word)
    way = "; round it, or cast it to a decimal first" if is_float(source) and kind == STRING else ""
    raise StepError(f"there is no cast from {source} to {kind}{way}")


def _float_to_decimal(value: Value, kind: DataType, *, tried: bool) -> Value:
    """By way of whole numbers: engines have ideas of their own of a float's digits from the 16th on."""
    digits = min(kind.scale, _DIGITS_OF_A_FLOAT)
    near = _rounded_float(as_float(value), digits)
    bound = min(2**63, 10 ** (kind.precision - kind.scale))
    fitting = made(FLOAT64, f"(case when abs({{0}}) < {bound}e0 then {{0}} end)", near)
    whole_part = made(INT64, "cast({0} as bigint)", fitting)
    rest = f"(({{0}} - cast({{1}} as double)) * 1e{digits})"
    behind = made(INT64, (f"cast(round({rest}) as bigint)", f"cast(rint({rest}) as bigint)"), fitting, whole_part)
    if digits:
        behind = arithmetic("*", behind, fraction(Decimal(1).scaleb(-digits)))
    found = _cast(arithmetic("+", computed(whole_part, with_decimals=True), behind), kind)
    if tried:
        return found
    template = "(case when {0} is null and {1} is not null then {2} end)"
    complaint = made(STRING, template, found, value, text(f"a float that is not finite, or too great, is no {kind}"))
    return made(kind, "coalesce({0}, {1})", found, _cast(complaint, kind))


def _from_text(value: Value, kind: DataType, *, tried: bool) -> Value:
    """By the rules of a declaration's own casts: what is not of a type's shape is not of the type."""
    trimmed = made(STRING, ("trim(both ' \t' from {0})", "trim(both ' \t' from {0})"), value)
    if kind == BOOLEAN:
        made_so = made(
            BOOLEAN,
            f"case when lower({{0}}) in ({_TRUE}) then true when lower({{0}}) in ({_FALSE}) then false end",
            trimmed,
        )
    else:
        made_so = _shaped(trimmed, kind)
    if tried:
        return made_so
    words = (text("'"), value, text(f"' is no {kind}"))
    complaint = made(STRING, "(case when {0} is null then {1} || {2} || {3} end)", made_so, *words)
    # What is no number fails in the same words for every type.
    failing = _cast(_cast(complaint, INT64), BOOLEAN) if kind == BOOLEAN else _cast(complaint, kind)
    if kind in {DATE, TIMESTAMP}:
        failing = Value(kind, (_cast(_cast(complaint, INT64), kind).texts[0], failing.texts[1]))
    return made(kind, "coalesce({0}, {1})", made_so, failing)


def _shaped(trimmed: Value, kind: DataType) -> Value:
    template = "{0}"
    if is_int(kind):
        shape, template = "[+-]?[0-9]+(\\.0*)?", "split_part({0}, '.', 1)"
    elif kind.name == "decimal":
        behind = f"[0-9]{{1,{kind.scale}}}0*" if kind.scale else "0+"
        shape = f"[+-]?([0-9]+|[0-9]*\\.{behind})"
    elif is_float(kind):
        shape = "[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?"
    elif kind == DATE:
        shape = DATE_SHAPE
    elif kind == TIMESTAMP:
        shape = TIMESTAMP_SHAPE
        whole_text = "concat({0}, substr('0000-00-00 00:00:00.000000', cast(length({0}) as int) + 1))"
        template = whole_text.replace("{0}", "replace({0}, 'T', ' ')")
    else:
        raise StepError(f"there is no cast from string to {kind}")
    fits = made(BOOLEAN, "regexp_like({0}, {1})", trimmed, text(f"\\A{shape}\\z"))
    found = _cast(made(STRING, template, trimmed), kind, "try_cast")
    if is_float(kind):
        infinite = "cast('Infinity' as double)"
        found = made(kind, f"nullif(nullif({{0}}, {infinite}), -{infinite})", found)
    return made(kind, "case when {0} then {1} end", fits, found)
