"""What a call does to the world outside of its process: files, sockets, processes, variables of the environment.

Three ways of looking, because none sees everything: Python's audit hooks tell of what Python itself opens, and
know nothing of files that a library opens in compiled code, of clocks, and of who asks whether a file is there. So
these, and the calls by which the well-known libraries read and write, are looked at by their names. Neither
tells who reads a variable of the environment: the mapping that Python keeps of them notes it.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import threading
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from types import FrameType
from typing import Any, TypeVar

_Value = TypeVar("_Value")

_EVENTS = frozenset(
    {
        "glob.glob",
        "open",
        "os.chdir",
        "os.chmod",
        "os.chown",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.link",
        "os.listdir",
        "os.mkdir",
        "os.posix_spawn",
        "os.putenv",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.spawn",
        "os.startfile",
        "os.symlink",
        "os.system",
        "os.truncate",
        "os.unsetenv",
        "os.utime",
        "os.walk",
        "pty.spawn",
        "sqlite3.connect",
        "subprocess.Popen",
        "tempfile.mkdtemp",
        "tempfile.mkstemp",
        "urllib.Request",
    }
)
_FAMILIES = (
    "ftplib.",
    "http.client.",
    "imaplib.",
    "poplib.",
    "shutil.",
    "smtplib.",
    "socket.",
    "webbrowser.",
    "winreg.",
)
_LIBRARIES = frozenset({"deltalake", "duckdb", "narwhals", "pandas", "polars", "pyarrow", "pyspark", "thread"})
_DOORS = re.compile(r"(read|scan|sink|write)_\w+|DeltaTable|start_\w*thread")
_CLOCKS = frozenset({"ctime", "gmtime", "localtime", "now", "time", "time_ns", "today", "utcnow"})
_LOOKS = frozenset({"access", "getcwd", "lstat", "readlink", "stat"})
# Imports read files, and so does Python where it shows a line of source in a warning, or looks up a time zone.
_IMPORTS = ("importlib", "linecache", "zipimport", "zoneinfo")
# By way of these a lazy frame asks the engine for its columns.
_WIRES = ("py4j", "pyspark.sql.connect.client")
_FRAMES = ("narwhals._", "narwhals.dataframe", *_WIRES)
_NOBODYS = _LIBRARIES | {"grpc", "oreflow", "oreflow_testkit", "pluggy", "py4j"} | sys.stdlib_module_names
"""Packages whose code does nothing of its own accord."""

_watching: list[Watch] = []
_installed: list[bool] = []


class Watch:
    """Calls work, and notes in `found` what it did outside, with the place in the code.

    What the engine does is its affair, but for what it calls in turn: a function that a processor gave it for
    values or columns is the processor's, also on a thread of the engine's. Threads of Python that were there before are
    not looked at.
    """

    def __init__(self, engine: object) -> None:
        self.found: list[str] = []
        self._engine = type(engine).__module__.partition(".")[0]
        self._base: FrameType | None = None
        self._others: set[int | None] = set()

    def of(self, work: Callable[[], _Value]) -> _Value:
        """The result of a call."""
        if not _installed:
            sys.addaudithook(_audit)  # a hook can never be taken away again: one for the life of the process
            _installed.append(True)
        self._base = inspect.currentframe()
        # A thread that Python did not start is one of the engine's, which has called Python before.
        foreign = threading._DummyThread  # noqa: SLF001  there is no other name for it
        others = [thread for thread in threading.enumerate() if not isinstance(thread, foreign)]
        self._others = {thread.ident for thread in others if thread is not threading.current_thread()}
        profile = sys.getprofile()
        _watching.append(self)
        sys.setprofile(self._profile)
        try:
            with _recorded_environment():
                return work()
        finally:
            sys.setprofile(profile)
            _watching.remove(self)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event, unless an import, a frame or the engine brought it about."""
        about = next((value for value in arguments if isinstance(value, str)), "")
        if not about.startswith(zoneinfo.TZPATH):  # which compiled code opens, so that no frame tells
            self._note(f"{event} {about}".strip(), _FRAMES)

    def read_variable(self, name: str) -> None:
        """Note that a variable of the environment was read, unless a library wanted to know how it is set up."""
        self._note_if_asked(f"the environment, {name}")

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """Note a call by which a library reads or writes, unless the engine made it."""
        if event == "call":
            name, module = frame.f_code.co_name, _module(frame)
            if name == "__init__":
                name = type(frame.f_locals.get("self")).__name__
        elif event == "c_call":
            name, module = argument.__name__, getattr(argument, "__module__", None) or ""
            if name in _LOOKS and module in ("posix", "nt"):
                self._note_if_asked(f"os.{name}")
            if name in _CLOCKS and _is_clock(argument, module) and self._is_own(frame):  # a log has its own use for it
                self._note(f"the clock, {name}", _FRAMES)
        else:
            return
        library = module.partition(".")[0].lstrip("_")
        if library in _LIBRARIES and _DOORS.fullmatch(name):
            self._note(f"{library}.{name}", _WIRES)

    def _note_if_asked(self, what: str) -> None:
        """Note what was asked by the processor itself, or by Python for it: a library may ask how it is set up."""
        askers = (frame for frame in self._frames() if _package(frame) not in sys.stdlib_module_names)
        if self._is_own(next(askers, None)):
            self._note(what, _FRAMES)

    def _note(self, what: str, excused: tuple[str, ...]) -> None:
        """Note what somebody did, if it was the processor; `excused` are modules that may, besides the engine."""
        frames = list(self._frames())
        if threading.get_ident() in self._others or any(_module(frame).startswith(_IMPORTS) for frame in frames):
            return
        own = []
        for frame in frames:
            if _module(frame).startswith((*excused, f"{self._engine}.")):
                break  # what lies further out asked for something else, which is done in this way
            if self._is_own(frame):
                own.append(frame)
        if not own:
            return
        place = own[-1]
        for frame in reversed(own):  # go further in, as long as it is the same package
            if _package(frame) != _package(own[-1]):
                break
            place = frame
        note = f"{what} (in {place.f_code.co_name}, {place.f_code.co_filename}:{place.f_lineno})"
        if note not in self.found:
            self.found.append(note)

    def _frames(self) -> Iterator[FrameType]:
        """The frames between here and the watch, or the beginning of the thread, the innermost first."""
        frame = inspect.currentframe()
        while frame is not None and frame is not self._base:
            if _module(frame) != __name__:
                yield frame
            frame = frame.f_back

    def _is_own(self, frame: FrameType | None) -> bool:
        """Whether it is code of the processor, or of something that it brings along."""
        return frame is not None and _package(frame) not in {*_NOBODYS, self._engine}


def _is_clock(function: Any, module: str) -> bool:
    of = getattr(function, "__self__", None)
    return module == "time" or (isinstance(of, type) and issubclass(of, date))


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and (event in _EVENTS or event.startswith(_FAMILIES)):
        _watching[-1].audit(event, arguments)


def _read_one(environment: Any, name: Any) -> Any:
    if _watching:
        _watching[-1].read_variable(os.fsdecode(name))
    return _Environment.__getitem__(environment, name)


def _read_all(environment: Any) -> Any:
    if _watching:
        _watching[-1].read_variable("all of it")
    return _Environment.__iter__(environment)


_Environment: Any = type(os.environ)
_Recording: Any = type("_Recording", (_Environment,), {"__getitem__": _read_one, "__iter__": _read_all})


@contextmanager
def _recorded_environment() -> Iterator[None]:
    """Let the mapping that is there tell of each read: whoever has it by another name reads the same one."""
    mappings = [os.environ, *filter(None, [getattr(os, "environb", None)])]  # Windows has no bytes
    for mapping in mappings:
        object.__setattr__(mapping, "__class__", _Recording)
    try:
        yield
    finally:
        for mapping in mappings:
            object.__setattr__(mapping, "__class__", _Environment)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _package(frame: FrameType) -> str:
    return _module(frame).partition(".")[0]
