"""From a syntax tree to a value: every node is judged, typed and written for all engines in one walk.

What a node may be depends on its place: a row, a group, inside an aggregate, in a branch of a CASE.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlglot import exp

from oreflow.contract import DataType, StepError
from oreflow.semantics.sql import patterns, values
from oreflow.semantics.sql.dialect import shown
from oreflow.semantics.sql.functions import FUNCTIONS, Function
from oreflow.semantics.sql.values import BOOLEAN, DATE, NULL, STRING, TIMESTAMP, Texts, Value, coerced, fill, made

_READERS = ("read_", "scan_")
_CHANGING = {
    *("now", "today", "random", "rand", "uuid", "gen_random_uuid", "getdate", "current_date", "current_time"),
    *("current_timestamp", "localtime", "localtimestamp"),
}
_LISTED = "the functions are listed in the reference, in 'SQL' of semantics"
_TYPES = {
    "BIGINT": "int64",
    "INT": "int64",
    "DOUBLE": "float64",
    "FLOAT": "float64",
    "FLOAT64": "float64",
    "TEXT": "string",
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "DATETIME": "timestamp",
    "TIMESTAMPNTZ": "timestamp",
}
_UNITS = ("year", "month", "week", "day", "hour", "minute", "second")
_INSTANTS = {"date", "timestamp", "timestamp_utc"}


class Scope(Protocol):
    """Where names stand for columns."""

    def column(self, node: exp.Column) -> Value:
        """What a name stands for."""

    def subquery(self, node: exp.Expr) -> Value:
        """The one value that a query in parentheses gives."""

    def hoisted(self, value: Value) -> Value:
        """A computed value as a column of its own, for places where an engine takes no other."""


@dataclass(frozen=True)
class Place:
    """Where an expression stands. `rows` is `row`, `group`, or the name of the aggregate that it is inside of.

    `keys`: the parts that a group is made by, as what they are in it. `guard`: what must be true for a branch of a
    CASE to be taken; engines that compute all branches must not fail in those that are not.
    """

    scope: Scope
    rows: str = "row"
    windows: bool = False
    keys: Mapping[exp.Expr, Value] = field(default_factory=dict)
    guard: Texts | None = None
    calls: set[str] = field(default_factory=set)


def quoted(name: str) -> Texts:
    """A name as engines write it."""
    return '"' + name.replace('"', '""') + '"', "`" + name.replace("`", "``") + "`"


def aggregates(node: exp.Expr) -> bool:
    """Whether a group is needed to compute it."""
    if isinstance(node, (exp.Window, exp.Query)):
        return False
    if isinstance(node, exp.Anonymous) and not _is_choice(node) and _function(node).kind == "aggregate":
        return True
    return any(aggregates(child) for child in node.iter_expressions())


def lower(node: exp.Expr, at: Place) -> Value:
    """The value that a node is.

    Raises:
        StepError: there is no such column or function, types do not go together, or not every engine can do it.
    """
    if at.rows == "group" and node in at.keys:
        return at.keys[node]
    made_by = _NODES.get(type(node))
    if made_by is None:
        raise StepError(_not_known(node))
    odd = [name for name, value in node.args.items() if value and name not in made_by.parts]
    if odd:
        raise StepError(f"'{shown(node)}' says '{odd[0].rstrip('_')}', which not every engine has")
    return made_by.build(node, at)


def condition(node: exp.Expr, at: Place, what: str) -> Value:
    """A value that is true, false or NULL."""
    value = lower(node, at)
    if value.kind.name not in {"boolean", "null"}:
        raise StepError(f"{what} '{shown(node)}' is {value.kind}, not true or false; compare it")
    return coerced(value, BOOLEAN)


def _not_known(node: exp.Expr) -> str:
    if isinstance(node, exp.Star):
        return "'*' is not one value; name a column or write an expression"
    if isinstance(node, exp.Alias):
        return f"'{shown(node)}' is more than one value: 'as' gives it a name, or something is missing before it"
    if isinstance(node, (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.CurrentDatetime)):
        return _changing(shown(node))
    if isinstance(node, exp.Query):
        return f"'{shown(node)}' is a query, not one value; write an expression"
    if isinstance(node, (exp.DDL, exp.DML, exp.Command, exp.Drop, exp.Set, exp.Use, exp.Alter)):
        return f"'{shown(node)}' is a statement, not one value; write an expression"
    return f"'{shown(node)}' is not SQL that every engine has; {_LISTED}"


def _changing(what: str) -> str:
    return f"'{what}' gives another value in each run, and a step must be repeatable; take it from the data"


# ------------------------------------------------------------------------------------------------ names and literals


def _column(node: exp.Column, at: Place) -> Value:
    if isinstance(node.this, exp.Star):
        raise StepError("'*' is not one value; name a column or write an expression")
    if at.rows == "group":
        at.scope.column(node)
        raise StepError(f"'{shown(node)}' is not aggregated, nor is it grouped by; use sum, avg, min, max, count, ...")
    return at.scope.column(node)


def _literal(node: exp.Literal, _: Place) -> Value:
    said = str(node.this)
    if node.is_string:
        return values.text(said)
    if said.isdigit():
        return values.whole(int(said))
    if "e" in said.lower():
        number = float(said)
        if number == float("inf"):
            raise StepError(f"{said} does not fit a float64")
        return Value(values.FLOAT64, (said, f"{said}D"), constant=number)
    return values.fraction(Decimal(said))


def _truth(node: exp.Boolean, _: Place) -> Value:
    said = "true" if node.this else "false"
    return Value(BOOLEAN, (said, said), constant=bool(node.this))


def _inside(node: exp.Paren, at: Place) -> Value:
    value = lower(node.this, at)
    return replace(value, texts=fill("({0})", value))


def _subquery(node: exp.Expr, at: Place) -> Value:
    return at.scope.subquery(node)


# ---------------------------------------------------------------------------------------------------------- operators


def _masked(value: Value, at: Place) -> Value:
    """An operand of what may fail: NULL where its branch is not taken. Only Polars computes such branches."""
    if at.guard is None:
        return value
    return replace(value, texts=(f"case when {at.guard[0]} then {value.texts[0]} end", value.texts[1]), constant=None)


def _arithmetic(sign: str) -> Callable[[Any, Place], Value]:
    def build(node: exp.Binary, at: Place) -> Value:
        if isinstance(node.expression, exp.Interval):
            return _moved(node, sign, at)
        left, right = lower(node.this, at), lower(node.expression, at)
        if sign == "-" and left.kind == right.kind == DATE:
            days = ("cast({0} as int)", "datediff({0}, date'1970-01-01')")
            sides = [Value(values.INT32, fill(days, side)) for side in (left, right)]
            return values.narrowed("({0} - {1})", *sides)
        for side, other, part in ((left, right, node.this), (right, left, node.expression)):
            if side.kind != NULL and not values.is_number(side.kind):
                raise StepError(_no_arithmetic(shown(node), side.kind, other.kind, shown(part)))
        left, right = _typed(left, right)
        if sign == "/":
            return values.quotient(left, right)
        left = _masked(left, at)
        return values.whole_quotient(left, right) if sign == "//" else values.arithmetic(sign, left, right)

    return build


def _no_arithmetic(whole: str, kind: DataType, other: DataType, part: str) -> str:
    if kind.name in _INSTANTS and values.is_int(other):
        return f"'{whole}' adds a number to a {kind}; say what of: interval '1' day"
    if kind.name == other.name == "timestamp":
        return f"'{whole}': there is no type for a span of time; take dates, cast(... as date), for days"
    return f"'{whole}' computes with {kind}; cast '{part}' to a number"


def _typed(left: Value, right: Value) -> tuple[Value, Value]:
    """Two operands, of which a bare NULL takes the other's type."""
    if left.kind == right.kind == NULL:
        return coerced(left, values.INT64), coerced(right, values.INT64)
    if left.kind == NULL:
        return coerced(left, right.kind), right
    return left, coerced(right, left.kind) if right.kind == NULL else right


def _whole_division(node: exp.IntDiv, at: Place) -> Value:
    for side in (node.this, node.expression):
        if (kind := lower(side, at).kind) not in {values.INT32, values.INT64, NULL}:
            raise StepError(
                f"'{shown(node)}' divides whole numbers, '{shown(side)}' is {kind}; use / or floor(... / ...)"
            )
    return _arithmetic("//")(node, at)


def _moved(node: exp.Binary, sign: str, at: Place) -> Value:
    moment = lower(node.this, at)
    if moment.kind.name not in _INSTANTS or sign not in "+-":
        raise StepError(f"'{shown(node)}': an interval is added to or taken from a date or a timestamp")
    interval = node.expression
    unit, number = str(interval.args.get("unit") or "").lower().removesuffix("s"), interval.this
    written = str(number.this) if isinstance(number, exp.Literal) else ""
    if unit not in _UNITS or not written.removeprefix("-").isdigit():
        raise StepError(
            f"'{shown(interval)}': an interval is a whole number of {', '.join(_UNITS)}: interval '3' month"
        )
    if moment.kind == DATE and unit in {"hour", "minute", "second"}:
        raise StepError(f"'{shown(node)}': a date has no {unit}s; cast it to a timestamp")
    count = int(written) * (-1 if sign == "-" else 1)
    way = "-" if count < 0 else "+"
    return made(moment.kind, f"({{0}} {way} interval '{abs(count)}' {unit})", _masked(moment, at))


def _negative(node: exp.Neg, at: Place) -> Value:
    value = lower(node.this, at)
    if not values.is_number(value.kind):
        raise StepError(f"'{shown(node)}' computes with {value.kind}; cast it to a number")
    return values.negated(value if value.constant is not None else _masked(value, at))


def _joined_text(node: exp.DPipe, at: Place) -> Value:
    return _called(FUNCTIONS["concat"], [lower(node.this, at), lower(node.expression, at)], at)


def _comparison(sign: str) -> Callable[[Any, Place], Value]:
    def build(node: exp.Binary, at: Place) -> Value:
        return compared(sign, lower(node.this, at), lower(node.expression, at))

    return build


def compared(sign: str, left: Value, right: Value, *, alike: bool = False) -> Value:
    """Two values side by side; `alike` for keys of a join, which engines want to be of one type."""
    left, right = _typed(left, right)
    try:
        kind = values.common([left.kind, right.kind], "")
    except StepError:
        raise StepError(_no_comparison(left, right)) from None
    if alike or (values.is_float(kind) and left.kind != right.kind):
        left, right = coerced(left, kind), coerced(right, kind)
    return made(BOOLEAN, f"({{0}} {sign} {{1}})", left, right)


def _no_comparison(left: Value, right: Value) -> str:
    said = f"cannot compare {left.kind} with {right.kind}"
    for side, other in ((left, right), (right, left)):
        if side.kind.name in {"date", "timestamp"} and isinstance(other.constant, str):
            return f"{said}; write {side.kind} '{other.constant}'"
    return f"{said}; cast one to the other's type"


def _logical(word: str) -> Callable[[Any, Place], Value]:
    def build(node: exp.Connector, at: Place) -> Value:
        sides = [condition(side, at, f"the operand of '{word}',") for side in node.flatten()]
        places = f" {word} ".join(f"{{{number}}}" for number in range(len(sides)))
        return made(BOOLEAN, f"({places})", *sides)

    return build


def _not(node: exp.Not, at: Place) -> Value:
    inner = node.this
    if isinstance(inner, exp.Is):
        return _is(inner, at, negated=True)
    return made(BOOLEAN, "(not {0})", condition(inner, at, "the operand of 'not',"))


def _is(node: exp.Is, at: Place, *, negated: bool = False) -> Value:
    word = "not " if negated else ""
    if isinstance(node.expression, exp.Boolean):
        value = condition(node.this, at, "the operand of 'is',")
        said = "coalesce({0}, false)" if node.expression.this else "coalesce(not {0}, false)"
        return made(BOOLEAN, f"({word}{said})", value)
    if not isinstance(node.expression, exp.Null):
        raise StepError(f"'{shown(node)}': 'is' takes null, true or false; use = for others")
    return made(BOOLEAN, f"({{0}} is {word}null)", lower(node.this, at))


def _between(node: exp.Between, at: Place) -> Value:
    value = lower(node.this, at)
    low = compared(">=", value, lower(node.args["low"], at))
    return made(BOOLEAN, "({0} and {1})", low, compared("<=", value, lower(node.args["high"], at)))


def _in(node: exp.In, at: Place) -> Value:
    if node.args.get("query"):
        raise StepError(f"'{shown(node)}': a query behind IN stands in WHERE, on its own or between ANDs")
    value = lower(node.this, at)
    items = [lower(item, at) for item in node.expressions]
    if not items:
        raise StepError(f"'{shown(node)}' has an empty list")
    whole = values.is_int(value.kind) and all(values.is_int(item.kind) for item in items)
    if all(item.constant is not None for item in items) and (
        whole or all(item.kind == value.kind == STRING for item in items)
    ):
        places = ", ".join(f"{{{number + 1}}}" for number in range(len(items)))
        return made(BOOLEAN, f"({{0}} in ({places}))", value, *items)
    sides = [compared("=", value, item) for item in items]
    return made(BOOLEAN, "(" + " or ".join(f"{{{number}}}" for number in range(len(sides))) + ")", *sides)


def _like(node: exp.Expr, at: Place) -> Value:
    escape = ""
    if isinstance(node, exp.Escape):
        escape = str(node.expression.this)
        node = node.this
        if len(escape) != 1 or not isinstance(node, (exp.Like, exp.ILike)):
            raise StepError(f"'{shown(node)}': ESCAPE is one character behind LIKE")
    value, pattern = lower(node.this, at), lower(node.expression, at)
    if not isinstance(pattern.constant, str) or value.kind not in {STRING, NULL}:
        raise StepError(f"'{shown(node)}': LIKE takes a string and, as its pattern, a literal")
    value = coerced(value, STRING)
    said, regular = patterns.like(pattern.constant, escape)
    shape = values.text(said)
    if isinstance(node, exp.ILike):
        value, shape = made(STRING, "lower({0})", value), values.text(said.lower() if not regular else said)
        if regular:
            raise StepError(f"'{shown(node)}': ILIKE takes no escaped characters; use lower(...) LIKE")
    template = "regexp_like({0}, {1})" if regular else "({0} like {1})"
    result = made(BOOLEAN, template, value, shape)
    return made(BOOLEAN, "(not {0})", result) if node.args.get("negate") else result


# ------------------------------------------------------------------------------------------------------------ choices


def _case(node: exp.Case, at: Place) -> Value:
    subject = lower(node.this, at) if node.this else None
    pairs = [(branch.this, branch.args["true"]) for branch in node.args["ifs"]]
    return _chosen(subject, pairs, node.args.get("default"), at)


def _chosen(
    subject: Value | None, pairs: list[tuple[exp.Expr, exp.Expr]], default: exp.Expr | None, at: Place
) -> Value:
    tests: list[Value] = []
    results: list[Value] = []
    for test, result in pairs:
        here = replace(at, guard=_guard(at, tests))
        if subject is None:
            tests.append(condition(test, here, "the condition"))
        else:
            tests.append(compared("=", subject, lower(test, here)))
        results.append(lower(result, replace(at, guard=_guard(at, tests[:-1], tests[-1]))))
    if default is not None:
        results.append(lower(default, replace(at, guard=_guard(at, tests))))
    kind = values.common([result.kind for result in results], "CASE")
    results = [coerced(result, kind) for result in results]
    count = len(tests)
    branches = " ".join(f"when {{{number}}} then {{{count + number}}}" for number in range(count))
    rest = f" else {{{2 * count}}}" if default is not None else ""
    return made(kind, f"(case {branches}{rest} end)", *tests, *results)


def _guard(at: Place, refused: list[Value], taken: Value | None = None) -> Texts | None:
    parts = [fill("not coalesce({0}, false)", test) for test in refused]
    parts += [taken.texts] if taken else []
    parts += [at.guard] if at.guard else []
    if not parts:
        return None
    return " and ".join(part[0] for part in parts), " and ".join(part[1] for part in parts)


def _cast(node: exp.Cast, at: Place) -> Value:
    value = lower(node.this, at)
    kind = type_of(node.to)
    if isinstance(value.constant, str) and kind in {DATE, TIMESTAMP} and not isinstance(node, exp.TryCast):
        return _moment(value.constant, kind)
    return values.cast(_masked(value, at), kind, tried=isinstance(node, exp.TryCast))


def _moment(said: str, kind: DataType) -> Value:
    shape, parse = {DATE: (values.DATE_SHAPE, date), TIMESTAMP: (values.TIMESTAMP_SHAPE, datetime)}[kind]
    try:
        found = parse.fromisoformat(said) if re.fullmatch(shape, said) else None
    except ValueError:
        found = None
    if found is None:
        raise StepError(f"'{said}' is no {kind}")
    if not isinstance(found, datetime):
        return Value(DATE, fill(f"date '{found.isoformat()}'"))
    clock = found.isoformat(sep=" ", timespec="microseconds")
    return Value(TIMESTAMP, (f"cast('{clock}' as timestamp)", f"timestamp_ntz '{clock}'"))


def type_of(node: exp.DataType) -> DataType:
    """The type that a cast names.

    Raises:
        StepError: there is none of that name.
    """
    name = str(getattr(node.this, "value", node.this)).upper()
    if name == "USER-DEFINED":  # one that the parser does not know
        name = str(node.args.get("kind", "")).upper()
    sizes = [str(size.this) for size in node.expressions]
    if name == "DECIMAL":
        if not sizes:
            raise StepError("decimal needs its digits: decimal(18,2)")
        try:
            return DataType.parse(f"decimal({sizes[0]},{sizes[1] if len(sizes) > 1 else 0})")
        except ValueError as error:
            raise StepError(str(error)) from None
    if name not in _TYPES or sizes:
        kinds = ", ".join(dict.fromkeys(_TYPES.values()))
        raise StepError(f"'{shown(node).lower()}' is no type to cast to; there are {kinds} and decimal(p,s)")
    return DataType.parse(_TYPES[name])


# --------------------------------------------------------------------------------------------------------------- calls


def _function(node: exp.Anonymous) -> Function:
    name = str(node.this).lower()
    found = FUNCTIONS.get(name)
    if found:
        return found
    if name in _CHANGING:
        raise StepError(_changing(f"{name}()"))
    if name.startswith(_READERS):
        raise StepError(f"'{name}(...)' reads a file; declare it as a source")
    close = difflib.get_close_matches(name, FUNCTIONS, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise StepError(f"there is no function '{name}'; {hint}{_LISTED}")


def _called(function: Function, given: list[Value], at: Place) -> Value:
    at.calls.add(function.name)
    return function.build(*function.arguments(given))


def _is_choice(node: exp.Anonymous) -> bool:
    """Whether it is `if(...)`, which is no function: it computes only what it chooses."""
    return str(node.this).lower() == "if"


def _call(node: exp.Anonymous, at: Place) -> Value:
    if _is_choice(node):
        if len(node.expressions) != 3:  # noqa: PLR2004  the condition, and a value for each case
            raise StepError("if(...) takes a condition and two values")
        test, value, other = node.expressions
        return _chosen(None, [(test, value)], other, at)
    function = _function(node)
    if function.kind == "row":
        return _scalar_call(function, node.expressions, at)
    if function.kind == "window":
        raise StepError(f"'{shown(node)}' looks at other rows; it needs OVER (...), in a query")
    return _aggregate(function, node, at, "")


def _scalar_call(function: Function, arguments: list[exp.Expr], at: Place) -> Value:
    given: list[Value] = []
    inner = at
    for argument in arguments:
        given.append(lower(argument, inner))
        if function.build is FUNCTIONS["coalesce"].build:
            # Where an argument has a value, those behind it are not computed, and must not fail.
            inner = replace(at, guard=_guard(inner, [], made(BOOLEAN, "({0} is null)", given[-1])))
    if function.name in {"mod", "abs"}:
        given = [_masked(given[0], at), *given[1:]]
    return _called(function, given, at)


def _aggregate(function: Function, node: exp.Anonymous, at: Place, suffix: str | Texts) -> Value:
    if at.rows == "row" and not suffix:
        raise StepError(f"'{shown(node)}' looks at other rows; use the columns of one row only")
    if at.rows not in {"row", "group"}:
        raise StepError(f"'{shown(node)}' stands inside of {at.rows}(...); an aggregate takes the columns of rows")
    inside = replace(at, rows=function.name, keys={}, guard=None, windows=False)
    arguments = node.expressions
    if function.name == "count" and len(arguments) == 1:
        at.calls.add("count")
        if isinstance(arguments[0], exp.Star):
            return Value(values.INT64, fill("count(*){0}", _pair(suffix)))
        if isinstance(arguments[0], exp.Distinct):
            if len(arguments[0].expressions) != 1 or at.rows == "row":
                raise StepError(f"'{shown(node)}': DISTINCT counts one column, over a group")
            value = lower(arguments[0].expressions[0], inside)
            return Value(values.INT64, fill("count(distinct {0}){1}", value, _pair(suffix)))
    if any(isinstance(argument, exp.Distinct) for argument in arguments):
        raise StepError(f"'{shown(node)}': DISTINCT is for count only")
    value = _called(function, [lower(argument, inside) for argument in arguments], at)
    said = _pair(suffix)
    return replace(value, texts=(value.texts[0].replace("\0", said[0]), value.texts[1].replace("\0", said[1])))


def _pair(said: str | Texts) -> Texts:
    return (said, said) if isinstance(said, str) else said


def _filtered(node: exp.Filter, at: Place) -> Value:
    if not isinstance(node.this, exp.Anonymous) or _function(node.this).kind != "aggregate":
        raise StepError(f"'{shown(node)}': FILTER stands behind an aggregate")
    if at.rows != "group":
        return _call(node.this, at)
    inside = replace(at, rows="filter", keys={}, guard=None, windows=False)
    only = condition(node.expression.this, inside, "the condition")
    return _aggregate(_function(node.this), node.this, at, fill(" filter (where {0})", only))


def _window(node: exp.Window, at: Place) -> Value:
    call = node.this
    if not isinstance(call, exp.Anonymous) or _function(call).kind == "row":
        raise StepError(f"'{shown(node)}': OVER stands behind an aggregate or a window function")
    if not at.windows or at.rows != "row":
        raise StepError(
            f"'{shown(node)}' looks at other rows; a window stands in the columns of a query without groups"
        )
    function, row = _function(call), replace(at, windows=False, guard=None)
    order = ordered(node.args.get("order"), row)
    if function.kind == "window" and not order:
        raise StepError(f"'{shown(node)}' needs an order: over (order by ...)")
    parts = [at.scope.hoisted(lower(part, row)) for part in node.args.get("partition_by") or ()]
    words = [_listed("partition by", [part.texts for part in parts])] if parts else []
    if order:
        words.append(_listed("order by", [fill(f"{{0}}{way}", at.scope.hoisted(value)) for value, way in order]))
    if frame := _frame(node, ranked=function.kind == "window"):
        words.append(frame)
    over = fill(" over (" + " ".join(f"{{{number}}}" for number in range(len(words))) + ")", *words)
    if function.kind == "aggregate":
        return _aggregate(function, call, at, over)
    value = _called(function, [lower(argument, row) for argument in call.expressions], at)
    return replace(value, texts=(value.texts[0].replace("\0", over[0]), value.texts[1].replace("\0", over[1])))


def _frame(node: exp.Window, *, ranked: bool) -> Texts | None:
    spec = node.args.get("spec")
    if spec is None:
        return None
    said = [str(spec.args.get(name) or "").lower() for name in ("kind", "start", "start_side", "end")]
    if ranked or said != ["rows", "unbounded", "preceding", "current row"] or not node.args.get("order"):
        raise StepError(f"'{shown(node)}': of frames there is 'rows between unbounded preceding and current row'")
    return _pair("rows between unbounded preceding and current row")


def _listed(word: str, parts: list[Texts]) -> Texts:
    return f"{word} " + ", ".join(part[0] for part in parts), f"{word} " + ", ".join(part[1] for part in parts)


def ordered(node: exp.Order | None, at: Place) -> list[tuple[Value, str]]:
    """What an ORDER BY names, each with its direction; NULL is lower than every value unless it says otherwise."""
    return [(lower(part.this, at), direction(part)) for part in (node.expressions if node else ())]


def direction(part: exp.Ordered) -> str:
    """The direction of a part of ORDER BY, in full."""
    return f"{' desc' if part.args.get('desc') else ''} nulls {'first' if part.args.get('nulls_first') else 'last'}"


def _extract(node: exp.Extract, at: Place) -> Value:
    return _called(FUNCTIONS["date_part"], [values.text(str(node.this)), lower(node.expression, at)], at)


def _trim(node: exp.Trim, at: Place) -> Value:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or "").upper(), "trim")
    parts = [node.this, *([node.expression] if node.expression else [])]
    return _called(FUNCTIONS[name], [lower(part, at) for part in parts], at)


def _substring(node: exp.Substring, at: Place) -> Value:
    parts = [node.this, node.args["start"], node.args.get("length")]
    return _called(FUNCTIONS["substr"], [lower(part, at) for part in parts if part is not None], at)


def _position(node: exp.StrPosition, at: Place) -> Value:
    return _called(FUNCTIONS["strpos"], [lower(node.this, at), lower(node.args["substr"], at)], at)


@dataclass(frozen=True)
class _Node:
    build: Callable[[Any, Place], Value]
    parts: frozenset[str]


def _known(build: Callable[[Any, Place], Value], *parts: str) -> _Node:
    return _Node(build, frozenset({"this", "expression", "expressions", *parts}))


_NODES: dict[type[exp.Expr], _Node] = {
    exp.Column: _known(_column, "table", "db", "catalog"),
    exp.Literal: _known(_literal, "is_string"),
    exp.Boolean: _known(_truth),
    exp.Null: _known(lambda _node, _place: Value(NULL, ("null", "null"))),
    exp.Paren: _known(_inside),
    exp.Subquery: _known(_subquery),
    exp.Add: _known(_arithmetic("+")),
    exp.Sub: _known(_arithmetic("-")),
    exp.Mul: _known(_arithmetic("*")),
    exp.Mod: _known(_arithmetic("%")),
    exp.Div: _known(_arithmetic("/"), "typed", "safe"),
    exp.IntDiv: _known(_whole_division),
    exp.Neg: _known(_negative),
    exp.DPipe: _known(_joined_text, "safe"),
    exp.EQ: _known(_comparison("=")),
    exp.NEQ: _known(_comparison("<>")),
    exp.LT: _known(_comparison("<")),
    exp.LTE: _known(_comparison("<=")),
    exp.GT: _known(_comparison(">")),
    exp.GTE: _known(_comparison(">=")),
    exp.NullSafeEQ: _known(_comparison("is not distinct from")),
    exp.NullSafeNEQ: _known(_comparison("is distinct from")),
    exp.And: _known(_logical("and")),
    exp.Or: _known(_logical("or")),
    exp.Not: _known(_not),
    exp.Is: _known(_is),
    exp.Between: _known(_between, "low", "high"),
    exp.In: _known(_in, "query"),
    exp.Like: _known(_like, "negate"),
    exp.ILike: _known(_like, "negate"),
    exp.Escape: _known(_like),
    exp.Case: _known(_case, "ifs", "default"),
    exp.Cast: _known(_cast, "to", "_type"),
    exp.TryCast: _known(_cast, "to", "safe", "_type"),
    exp.Anonymous: _known(_call),
    exp.Filter: _known(_filtered),
    exp.Window: _known(_window, "partition_by", "order", "spec", "over"),
    exp.Extract: _known(_extract),
    exp.Trim: _known(_trim, "position"),
    exp.Substring: _known(_substring, "start", "length"),
    exp.StrPosition: _known(_position, "substr"),
}
