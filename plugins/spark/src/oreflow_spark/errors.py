"""Spark's exceptions in the user's words.

Spark answers with a condition, its parameters and, often, a Java stack trace and the query plan. A user can do
something with the cause: which column is missing and what it may have meant, which value is no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import ParseException, PySparkException

from oreflow.contract import StepError
from oreflow.semantics.words import missing_column

_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_.]+)\]\s*")
_SUGGESTION = re.compile(r"\s*(?:If necessary|To return|Use `try_|Did you mean|SQLSTATE|== SQL|;?\n'|\n).*", re.DOTALL)
_COMPLAINT = re.compile(r"^'(.* is no [a-z0-9(),]+)'$", re.DOTALL)
"""What `semantics.sql` lets a cast fail on."""
_ESCAPED = re.compile(r"\\(?=['\\])")
_UNREACHED = re.compile(r"^.*last error: \w+: \S+: |^.*address lookup failed for |\]+$", re.DOTALL)
_LOST_TASK = re.compile(r"most recent failure: Lost task [^()]*\([^)]*\)(?: \([^)]*\))?: (?:[\w.$]+: )*(.*)", re.DOTALL)
_RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception): (.*)$", re.MULTILINE)


def _bare(name: str) -> str:
    """A name as Spark quotes it, without the quotes."""
    return re.sub(r"`((?:[^`]|``)*)`", lambda quoted: quoted[1].replace("``", "`"), name)


def _cause(error: PySparkException, columns: Iterable[str]) -> str:
    condition, told = error.getCondition() or "", error.getMessageParameters() or {}
    if condition.startswith("UNRESOLVED_COLUMN") and "objectName" in told:
        parts = re.findall(r"`((?:[^`]|``)*)`", told["objectName"])
        return missing_column(parts[-1].replace("``", "`"), columns)
    if condition == "TABLE_OR_VIEW_NOT_FOUND" and "relationName" in told:
        return f"there is no table '{_bare(told['relationName'])}'"
    if condition.startswith(("UNRESOLVED_ROUTINE", "UNRESOLVABLE_TABLE_VALUED")):
        return f"there is no function '{_bare(told.get('routineName', told.get('name', '')))}'"
    if condition.startswith("CAST_INVALID_INPUT"):
        return _no_such_value(told)
    if condition.startswith(("ARITHMETIC_OVERFLOW", "CAST_OVERFLOW", "NUMERIC_VALUE_OUT_OF_RANGE")):
        return "a whole number does not fit 64 bits, or a decimal its 38 digits - cast it to decimal(38,0)"
    return in_words(error)


def _no_such_value(told: Mapping[str, str]) -> str:
    value = told.get("expression", "")
    if complaint := _COMPLAINT.search(value):
        return f"{re.sub(_ESCAPED, '', complaint[1])}; try_cast(...) makes it NULL"
    return f"the value {value} is no {told.get('targetType', 'number').strip(chr(34)).lower()}"


def of_server(error: BaseException) -> str:
    """What there is to say of a Connect server that cannot be reached or has no such session; empty elsewhere."""
    details = re.search(r'StatusCode\.UNAVAILABLE\s+details = "(.*?)"$', str(error), re.DOTALL | re.MULTILINE)
    if details:
        return f"does not answer: {_UNREACHED.sub('', details[1])}"
    return "has ended the session, or was started anew: run again" if "[INVALID_HANDLE.SESSION" in str(error) else ""


def in_words(error: BaseException) -> str:
    """The error in one line."""
    if gone := of_server(error):
        return f"the Spark server {gone}"
    words = _plain_line(str(error))
    if missing := re.search(r"No module named '(pyarrow|pyspark)\b", str(error)):
        return (
            f"the Python of Spark's workers has no {missing[1]}: install it there, or say in the variable"
            " PYSPARK_PYTHON which Python they are to run"
        )
    return f"this SQL cannot be parsed: {words}" if isinstance(error, ParseException) else words


def _plain_line(text: str) -> str:
    """The first sentence of a message, without its condition, its place in Spark and its trace."""
    if details := re.search(r'of RPC that terminated with:.*?details = "(.*?)"$', text, re.DOTALL | re.MULTILINE):
        text = details[1]
    if lost := _LOST_TASK.search(text):
        text = lost[1]
    raised = _RAISED.findall(text)
    if "Traceback" in text and raised:
        text = raised[-1]
    text = _CONDITION.sub("", text.strip())
    text = _SUGGESTION.sub("", text).strip()
    return _bare(text).rstrip(":;") or "Spark gave no reason"


def plain(error: BaseException, where: str, columns: Iterable[str] = ()) -> StepError:
    """The error to raise instead; `where` says what was being done, `columns` what there was to name."""
    if isinstance(error, PySparkException):
        return StepError(f"{where}: {_cause(error, columns)}")
    text = str(error)
    if isinstance(error, Py4JError):
        # The message is that of py4j; the one of Spark is in its second line.
        text = re.sub(r"^An error occurred while calling .*?\n:?\s*(?:[\w.$]+: )?", "", text, count=1)
    return StepError(f"{where}: {_plain_line(text)}")


@contextmanager
def told(where: str, columns: Iterable[str] | Mapping[str, object] = ()) -> Iterator[None]:
    """Turn whatever Spark raises inside into a `StepError`."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise plain(error, where, columns) from error
