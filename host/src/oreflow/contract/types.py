"""The column types of a declaration, and what they mean on every engine.

The names are the ones that a user writes in YAML. A table format and an engine each translate them
to their own; nothing else in oreflow speaks an engine's types.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_SIMPLE = (
    "string",
    "int32",
    "int64",
    "float32",
    "float64",
    "boolean",
    "date",
    "timestamp",
    "timestamp_utc",
    "binary",
)
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_ARRAY = re.compile(r"array<(.+)>")
_MAX_DECIMAL_PRECISION = 38

DIRECTIVES = (
    *("%Y", "%y", "%m", "%d", "%j", "%H", "%I", "%M", "%S", ".%f"),
    *("%p", "%b", "%B", "%a", "%A", "%z", "%%"),
)
"""What a strptime pattern may have on every engine; a fraction of a second only after its dot."""
_DIRECTIVE = re.compile(r"\.%f|%.?", re.DOTALL)


@dataclass(frozen=True)
class DataType:
    """A column type.

    `timestamp` is a wall clock reading in microseconds without a time zone; `timestamp_utc` is an
    instant. `precision` and `scale` belong to `decimal`, `element` to `array`.
    """

    name: str
    precision: int = 0
    scale: int = 0
    element: str = ""

    @classmethod
    def parse(cls, text: str) -> DataType:
        """Read `int64`, `decimal(18,3)` or `array<string>`.

        Raises:
            ValueError: the text names no type; the message lists those there are.
        """
        name = text.strip().lower()
        if name in _SIMPLE:
            return cls(name)
        if decimal := _DECIMAL.fullmatch(name):
            precision, scale = int(decimal[1]), int(decimal[2])
            if 1 <= precision <= _MAX_DECIMAL_PRECISION and scale <= precision:
                return cls("decimal", precision, scale)
            raise ValueError(f"'{text}': a decimal has 1 to 38 digits, and no more of them after the point")
        if array := _ARRAY.fullmatch(name):
            return cls("array", element=str(cls.parse(array[1])))
        kinds = ", ".join(kind for kind in _SIMPLE if kind != "binary")
        raise ValueError(f"'{text}' is no type; there are {kinds} and decimal(precision,scale)")

    def __str__(self) -> str:
        if self.name == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return f"array<{self.element}>" if self.name == "array" else self.name


Columns = dict[str, DataType]
"""Column names with their types, in the order of the table."""


def format_fault(pattern: str, of_type: DataType) -> str:
    """What is wrong with a strptime pattern for values of a type; '' where nothing is, or where there is no pattern."""
    if not pattern:
        return ""
    parts = set(_DIRECTIVE.findall(pattern))
    unknown = [part for part in _DIRECTIVE.findall(pattern) if part not in DIRECTIVES]
    if unknown:
        known = ", ".join(name.removeprefix(".") for name in DIRECTIVES)
        return f"'{pattern}': '{unknown[0]}' is no directive; there are {known} (.%f after a dot)"
    if "%z" in parts and of_type.name != "timestamp_utc":
        return f"'{pattern}' reads an offset, which a {of_type} has no place for; use timestamp_utc"
    missing = next((needed for needed, holds in _NEEDED if not holds(parts)), "")
    return f"'{pattern}' does not say what a {of_type} needs: {missing}" if missing else ""


_NEEDED: tuple[tuple[str, Callable[[set[str]], bool]], ...] = (
    ("one year, %Y or %y", lambda parts: len(parts & {"%Y", "%y"}) == 1),
    (
        "a day, %d with %m, %b or %B, or %j",
        lambda parts: "%j" in parts or ("%d" in parts and bool(parts & {"%m", "%b", "%B"})),
    ),
    ("%I and %p together", lambda parts: ("%I" in parts) == ("%p" in parts)),
    ("a minute for its hour, %M", lambda parts: "%M" in parts or not parts & {"%H", "%I", "%S"}),
    ("an hour for its minute, %H or %I with %p", lambda parts: bool(parts & {"%H", "%I"}) or "%M" not in parts),
    ("a second for its fraction, %S", lambda parts: "%S" in parts or ".%f" not in parts),
)
"""What a pattern must have, so that its texts say one day or moment."""


def is_wildcard(name: str) -> bool:
    """Whether an engine may take a column's name for a pattern of names: `*`, and whatever stands between ^ and $.

    Polars does, wherever it takes a name. A column that is called so would be lost among others, or bring them all.
    """
    return name == "*" or (name.startswith("^") and name.endswith("$"))
