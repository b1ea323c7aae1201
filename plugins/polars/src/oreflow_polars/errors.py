"""Polars' exceptions in the user's words.

Polars answers with a cause and, often, the whole query plan. A user can do something with the cause:
which column is missing and what it may have meant, which two types do not go together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import polars as pl
import polars.exceptions as px

from oreflow.contract import StepError
from oreflow.semantics.words import missing_column

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_MISSING = re.compile(r"""(?:unable to find column |not found: |^)["'`](?P<name>[^"'`]+)["'`]""")
_VALID = re.compile(r"valid columns: \[(?P<names>[^\]]*)\]")
_NO_SUCH_TEXT = re.compile(r"conversion from `str` .*?\[\"(?P<said>.*? is no [a-z0-9(),]+)\"", re.DOTALL)
_OVERFLOW = re.compile(r"`i128` to `i64` failed in column '(?P<column>[^']*)'.*?\[(?P<value>[^\],]*)", re.DOTALL)


def _first_line(error: BaseException) -> str:
    text = _ANSI.sub("", str(error)).strip()
    text = re.split(r"\n|Resolved plan until failure|This error occurred", text, maxsplit=1)[0]
    return text.strip().rstrip(":;").strip() or type(error).__name__


def _column_not_found(error: BaseException, columns: Sequence[str]) -> str:
    text = _first_line(error)
    if valid := _VALID.search(str(error)):
        columns = [part.strip().strip("\"'") for part in valid["names"].split(",") if part.strip()]
    found = _MISSING.search(text)
    name = found["name"] if found else text
    return missing_column(name, columns) if columns else f"there is no column '{name}'"


def plain(error: BaseException, where: str, columns: Sequence[str] = ()) -> StepError:
    """The error to raise instead; `where` says what was being done, `columns` what there was to name."""
    if isinstance(error, px.ColumnNotFoundError):
        cause = _column_not_found(error, columns)
    elif isinstance(error, px.SQLSyntaxError):
        cause = f"this SQL cannot be parsed: {_first_line(error)}"
    elif isinstance(error, px.SQLInterfaceError):
        cause = f"this SQL is not understood: {_first_line(error)}"
    elif found := _NO_SUCH_TEXT.search(str(error)):
        cause = f"{found['said']}; try_cast(...) makes it NULL"
    elif overflow := _OVERFLOW.search(str(error)):
        cause = f"a whole number of '{overflow['column']}' does not fit 64 bits: {overflow['value']}"
        cause += " - cast it to decimal(38,0)"
    else:
        cause = _first_line(error)
    return StepError(f"{where}: {cause}")


@contextmanager
def told(where: str, columns: Sequence[str] = ()) -> Iterator[None]:
    """Turn whatever Polars raises inside into a `StepError`; its panics are no `Exception` and would end the run."""
    try:
        yield
    except (px.PolarsError, px.PanicException) as error:
        raise plain(error, where, columns) from error


def schema_of(frame: pl.LazyFrame, where: str) -> pl.Schema:
    """The columns of a frame; resolving them is where Polars first finds fault with an expression."""
    with told(where):
        return frame.collect_schema()
