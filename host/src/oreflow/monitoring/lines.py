"""Log lines: what anybody logs while a run is under way, in one form, for people or for machines.

Everything goes through the standard library's logging, so that lines of py4j, deltalake or a program's own look the
same; structlog writes them down. Nothing of it is loaded before a declaration says `logs:`, or somebody asks for a
logger.
"""

from __future__ import annotations

import errno
import json
import logging
import logging.handlers
import math
import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from oreflow.contract.errors import told
from oreflow.monitoring import spans
from oreflow.monitoring.declared import LEVELS
from oreflow.monitoring.forking import Lock
from oreflow.monitoring.loggers import EVENT, FIELDS, text_of
from oreflow.secrets import discreet, redacted

_LEVELS = {name: getattr(logging, name.upper()) for name in LEVELS}
OWN = ("timestamp", "level", "logger", "event")
"""The keys that each line has; what is logged under one of them gets a `_` behind it."""
_DEEPEST = 6
_context: ContextVar[Mapping[str, Any]] = ContextVar("oreflow_logs", default={})  # noqa: B039  never changed in place
_runs: dict[str, Mapping[str, Any]] = {}


class Logging:
    """Logging as a section `logs` says, for the time of a run: lines of oreflow from `level` on, of others warnings.

    A handler is added to the root logger, and taken away at the end; levels are as they were then. The handlers of a
    program that is around are told as before, and of the lines for which levels were lowered. Where several runs are
    under way, lines that are known to be of another run are left to that one. `fault` says why a line could not be
    written, '' where all could be.
    """

    def __init__(self, declared: Mapping[str, Any], project: Path, run_id: str = "") -> None:
        said = {"oreflow": declared.get("level", "info"), **declared.get("levels", {})}
        self.levels = {name: _LEVELS[level] for name, level in said.items()}
        self._form, self._run_id = declared.get("format", "auto"), run_id
        file = declared.get("file")
        self._handler: _ToFile | _ToStandardError = _ToFile(project / file) if file else _ToStandardError()
        self.is_on_standard_error = not file
        self._was_taken_away = False
        self._disabled = logging.NOTSET
        self._state: list[tuple[Any, str, Any]] = []  # of ours: whose, which attribute, its value

    @property
    def fault(self) -> str:
        """Why a line could not be written, or may be missing; '' where all could be."""
        if self._was_taken_away:
            return "code that the run has called has configured logging anew, so that some are missing"
        return self._handler.fault

    def insist(self) -> None:
        """Go on where somebody has configured logging anew meanwhile, by which lines get lost."""
        root = logging.getLogger()
        if self._handler not in root.handlers:
            root.addHandler(self._handler)
            self._was_taken_away = True
        for owner, name, value in self._state:
            if getattr(owner, name) != value:
                setattr(owner, name, list(value) if isinstance(value, list) else value)
                self._was_taken_away = True
        if root.manager.disable > self._disabled:
            logging.disable(self._disabled)
            self._was_taken_away = True
        self._was_taken_away |= _levels.insist()

    def __enter__(self) -> Self:
        self._handler.setFormatter(_formatter(self._form, is_terminal=self._handler.is_terminal()))
        self._handler.addFilter(_Wanted(self.levels, self._run_id))
        _levels.take(self)
        root = logging.getLogger()
        root.addHandler(self._handler)
        self._disabled = root.manager.disable
        owners: list[tuple[Any, tuple[str, ...]]] = [(self._handler, ("level", "formatter", "filters"))]
        owners += [(logging.getLogger(name), ("propagate", "disabled", "filters")) for name in _OURS]
        self._state = [(owner, name, _copied(getattr(owner, name))) for owner, names in owners for name in names]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self._handler)
        _levels.give_back(self)
        self._handler.close()


_OURS = ("oreflow", "oreflow.run", "oreflow.monitoring")


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


class _Levels:
    """The levels of loggers while anybody wants other ones: the least that is wanted; then, those of before."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted: list[Logging] = []
        self._before: dict[str, int] = {}
        self._least: dict[str, int] = {}
        self._silenced: list[logging.Handler] = []

    def take(self, wanted: Logging) -> None:
        """Have levels that are low enough."""
        with self._lock:
            if wanted.is_on_standard_error:  # else who looks at the terminal would hear of no warning
                ours = logging.getLogger("oreflow")
                silenced = [each for each in ours.handlers if getattr(each, "gives_way", False)]
                for each in silenced:
                    ours.removeHandler(each)
                self._silenced += silenced
            self._wanted.append(wanted)
            self._settle()

    def insist(self) -> bool:
        """Have them again, where somebody has changed them meanwhile; gives whether somebody had."""
        with self._lock:
            changed = [name for name, level in self._least.items() if logging.getLogger(name).level != level]
            for name in _OURS[1:]:
                if name not in self._least and logging.getLogger(name).level > logging.getLogger(_OURS[0]).level:
                    logging.getLogger(name).setLevel(logging.NOTSET)
                    changed.append(name)
            if changed:  # to set a level, even the same one, has each logger find anew what is enabled
                self._settle()
            return bool(changed)

    def give_back(self, wanted: Logging) -> None:
        """Have them as before, as far as nobody else wants others."""
        with self._lock:
            self._wanted.remove(wanted)
            self._settle()
            if not any(each.is_on_standard_error for each in self._wanted):
                while self._silenced:
                    logging.getLogger("oreflow").addHandler(self._silenced.pop())

    def _settle(self) -> None:
        least: dict[str, int] = {}
        for each in self._wanted:
            for name, level in each.levels.items():
                least[name] = min(level, least.get(name, level))
        self._least = least
        for name, level in least.items():
            self._before.setdefault(name, logging.getLogger(name).level)
            logging.getLogger(name).setLevel(level)
        for name in set(self._before) - set(least):
            logging.getLogger(name).setLevel(self._before.pop(name))


_levels = _Levels()


class _Noted(logging.Handler):
    """A handler whose faults are noted: no run fails since lines cannot be written, and nothing is printed of it."""

    fault = ""

    def format(self, record: logging.LogRecord) -> str:
        """A line without secrets, whoever has given it its form."""
        return str(redacted(super().format(record)))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the standard library's name
        """Remember why."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and error.strerror and error.filename:
            self.fault = f"{error.filename}: {error.strerror} - say another file in monitoring.logs"
        else:
            self.fault = told(error) if error else "unknown"


class _ToStandardError(_Noted, logging.StreamHandler[TextIO]):
    """Writes to standard error as it is at the time: the command line puts a stream that hides secrets in its place."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """Whoever makes the handler sets a stream."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if hasattr(sys.stderr, "write"):
            super().emit(record)
        else:
            self.fault = "this process has no standard error"

    def format(self, record: logging.LogRecord) -> str:
        """A line; on a terminal in the place of the progress that may stand there."""
        text = super().format(record)
        return f"\r\x1b[2K{text}" if _is_terminal(sys.stderr) and _is_terminal(sys.stdout) else text

    def is_terminal(self) -> bool:
        """Whether people read it."""
        return _is_terminal(sys.stderr)


def _is_terminal(stream: Any) -> bool:
    """Whether a stream is one, which may have been closed, or be anything."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


class _ToFile(_Noted, logging.handlers.WatchedFileHandler):
    """Adds to a file, and to the one that takes its place when it is rotated; made when the first line comes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_fifo():  # whoever opens one waits for its reader
            raise OSError(errno.EINVAL, "is a pipe, and no file", str(path))
        return super()._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, also where the folder has become a file meanwhile, which the standard library raises."""
        try:
            super().emit(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Let go of the file, also of one that takes nothing any more."""
        try:
            super().close()
        except OSError as error:
            self.fault = self.fault or told(error)

    def is_terminal(self) -> bool:
        """Nobody reads it meanwhile."""
        return False


class _Wanted(logging.Filter):
    """Lets through what is declared, whatever levels a program around has set, and no lines of another run."""

    def __init__(self, levels: Mapping[str, int], run_id: str) -> None:
        super().__init__()
        self._levels, self._run_id = dict(levels), run_id

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line of a record is wanted."""
        name = record.name
        while name and name not in self._levels:
            name = name.rpartition(".")[0]
        if record.levelno < self._levels.get(name or "root", logging.WARNING):
            return False
        return not self._run_id or _of_this_run().get("run_id", self._run_id) == self._run_id


def _formatter(form: str, *, is_terminal: bool) -> logging.Formatter:
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
        **_of_this_run(),
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


def _of_this_run() -> Mapping[str, Any]:
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
