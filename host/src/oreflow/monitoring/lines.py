"""A record of the standard library's logging as a line, for people or for machines, and of which run and table it is.

structlog writes down those for people, and is not loaded for others: a process would take 0.1 s longer.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from oreflow.monitoring import spans
from oreflow.monitoring.records import EVENT, FIELDS, text_of
from oreflow.secrets import discreet, redacted

_DEEPEST = 6
_OF_EACH = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""The attributes of a record that are not said by `extra`."""
_context: ContextVar[Mapping[str, Any]] = ContextVar("oreflow_logs", default={})  # noqa: B039  never changed in place
_runs: dict[str, Mapping[str, Any]] = {}


def formatter(form: str, *, is_terminal: bool) -> logging.Formatter:
    """What makes a line of a record: `json`, `console`, or `auto`, which is for people on a terminal alone."""
    if form == "console" or (form == "auto" and is_terminal):
        from structlog import dev

        colours = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        renderer = dev.ConsoleRenderer(
            colors=colours, exception_formatter=dev.plain_traceback, sort_keys=False, pad_event_to=0
        )
        return _Form(lambda line: str(renderer(None, str(line.get("level", "")), line)))
    return _Form(json.JSONEncoder().encode)  # `json.dumps` makes an encoder for each line where it is handed any option


class _Form(logging.Formatter):
    """A record as a line, whoever has made it."""

    def __init__(self, render: Callable[[MutableMapping[str, Any]], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = _described(record)
        if error := _error_of(line.pop("exc_info", None)):
            line["exception"] = self.formatException(error)
        return self._render(_discreet(line))


def _error_of(said: Any) -> Any:
    """An `exc_info` as `logging.Formatter` wants it, of records that anybody may have made; None where it is none."""
    if not isinstance(said, (tuple, BaseException)) and said:
        said = sys.exc_info()
    match said:
        case BaseException():
            return type(said), said, said.__traceback__
        case (_, BaseException(), _):
            return said
    return None


def _described(record: logging.LogRecord) -> dict[str, Any]:
    """All that is known of a line, in the order in which it is read."""
    event, fields = _said(record)
    line = {
        "timestamp": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event,
        **of_this_run(),
    }
    if spans.is_kept:
        from oreflow.monitoring.nodes import ids

        trace, span = ids()
        line |= {"trace_id": trace, "span_id": span} if trace else {}
    # What somebody logs by a name of ours takes no place of what is so, and is kept where it says otherwise.
    taken = {key for key in fields if key in line and text_of(line[key]) != text_of(fields[key])}
    line |= {f"{key}_" if key in taken else key: value for key, value in fields.items()}
    for key in ("exc_info", "stack_info"):
        if getattr(record, key, None):
            line[key] = getattr(record, key)
    return line


def _said(record: logging.LogRecord) -> tuple[Any, Mapping[str, Any]]:
    """What a record says, and what is in it besides."""
    about: Mapping[str, Any] = vars(record)
    if EVENT in about:
        return about[EVENT], about.get(FIELDS, {})
    if "_logger" in about and isinstance(record.msg, Mapping):  # a program's structlog leaves the rest to a formatter
        fields = dict(record.msg)
        return fields.pop("event", ""), fields
    return record.getMessage(), {key: value for key, value in about.items() if key not in _OF_EACH}


def within(run_id: str, place: Mapping[str, Any]) -> None:
    """Let lines be of a run and of a place in it, such as a table."""
    _context.set(place)
    _runs[run_id] = place


def here() -> Mapping[str, Any]:
    """Of what lines are in this thread."""
    return _context.get()


def leave(run_id: str, before: Mapping[str, Any]) -> None:
    """Let lines be of a run no more, but of what they were of before."""
    _runs.pop(run_id, None)
    _context.set(before)


def of_this_run() -> Mapping[str, Any]:
    """The run, and the table and batch, in whose making a line comes; on a thread of others that of the only run."""
    here = _context.get()
    return here or (next(iter(_runs.values())) if len(_runs) == 1 else {})


def _discreet(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as it can be written in any form: no secret, and nothing that JSON has not."""
    return {str(redacted(text_of(key))): _plain(value) for key, value in line.items()}


def _plain(value: Any, depth: int = 0) -> Any:
    if type(value) is str:
        return redacted(text_of(value))
    if value is None or isinstance(value, (bool, int)):
        return discreet(value) if not isinstance(value, int) or -(2**63) <= value < 2**64 else redacted(str(value))
    if isinstance(value, float):
        return discreet(value) if math.isfinite(value) else repr(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(redacted(text_of(key))): _plain(each, depth + 1) for key, each in value.items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, depth + 1) for each in value]
    return redacted(text_of(value))
