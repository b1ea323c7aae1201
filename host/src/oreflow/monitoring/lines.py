"""A record of the standard library's logging as a line, for people or for machines, and of which run and table it is.

structlog writes lines down. Nothing of it is loaded before a declaration says `logs:`, or somebody asks for a logger.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from oreflow.monitoring import spans
from oreflow.monitoring.loggers import EVENT, FIELDS, text_of
from oreflow.secrets import discreet, redacted

OWN = ("timestamp", "level", "logger", "event")
"""The keys that each line has; what is logged under one of them gets a `_` behind it."""
_DEEPEST = 6
_context: ContextVar[Mapping[str, Any]] = ContextVar("oreflow_logs", default={})  # noqa: B039  never changed in place
_runs: dict[str, Mapping[str, Any]] = {}


def formatter(form: str, *, is_terminal: bool) -> logging.Formatter:
    """What makes a line of a record: `json`, `console`, or `auto`, which is for people on a terminal alone."""
    import structlog

    encode = json.JSONEncoder().encode  # where `json.dumps` is handed anything it makes one for each line
    renderer: Any = structlog.processors.JSONRenderer(lambda line, **_: encode(line))
    if form == "console" or (form == "auto" and is_terminal):
        colours = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False, pad_event_to=0
        )
    return _Form([structlog.processors.format_exc_info, _discreet, renderer])


class _Form(logging.Formatter):
    """A record as a line, by processors of structlog.

    structlog's own formatter does this by a copy of the record and the standard library's formatter, which takes three
    times as long; it has the records that a program's structlog has prepared for it.
    """

    def __init__(self, processors: Sequence[Any]) -> None:
        import structlog

        super().__init__()
        self._processors = processors
        formatter = structlog.stdlib.ProcessorFormatter
        self._for_structlog = formatter(processors=[formatter.remove_processors_meta, *processors])

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        if hasattr(record, "_logger") and hasattr(record, "_name"):
            return self._for_structlog.format(record)
        line: Any = _described(record)
        for process in self._processors:
            line = process(None, line["level"], line)
        return str(line)


def _described(record: logging.LogRecord) -> dict[str, Any]:
    """All that is known of a line, in the order in which it is read."""
    about: Mapping[str, Any] = vars(record)
    line = {
        "timestamp": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": about[EVENT] if EVENT in about else record.getMessage(),
        **of_this_run(),
    }
    trace, span = spans.trace_ids()
    if trace:
        line |= {"trace_id": trace, "span_id": span}
    line |= {f"{key}_" if key in OWN else key: value for key, value in about.get(FIELDS, {}).items()}
    for key in ("exc_info", "stack_info"):
        if about.get(key):
            line[key] = about[key]
    return line


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


def _discreet(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
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
