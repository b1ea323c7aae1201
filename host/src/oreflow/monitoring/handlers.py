"""Logging as a section `logs` says: a handler and levels for the time of a run, taken away when it is over.

Everything goes through the standard library's logging, so that lines of py4j, deltalake or a program's own look the
same as oreflow's.
"""

from __future__ import annotations

import errno
import logging
import logging.handlers
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from oreflow.contract.errors import told
from oreflow.monitoring.declared import LEVELS
from oreflow.monitoring.forking import Lock
from oreflow.monitoring.lines import formatter, of_this_run
from oreflow.secrets import redacted

_LEVELS = {name: getattr(logging, name.upper()) for name in LEVELS}


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
        self._handler.setFormatter(formatter(self._form, is_terminal=self._handler.is_terminal()))
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
        self.fault = self._why(error) if error else "unknown"

    def _why(self, error: BaseException) -> str:
        return told(error)


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
            self.fault = self.fault or self._why(error)

    def _why(self, error: BaseException) -> str:
        if isinstance(error, OSError) and error.strerror:
            return f"{error.filename or self.baseFilename}: {error.strerror} - say another file in monitoring.logs"
        return super()._why(error)

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
        return not self._run_id or of_this_run().get("run_id", self._run_id) == self._run_id
