"""What a call does to the world outside of its process: files, sockets, processes.

Two ways of looking, because neither sees everything: Python's audit hooks tell of what Python itself opens, and
know nothing of files that a library opens in compiled code. So the calls by which the well-known
libraries read and write are looked at by their names as well.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

_Value = TypeVar("_Value")

_EVENTS = frozenset(
    {
        "glob.glob",
        "open",
        "os.chdir",
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
        "pty.spawn",
        "sqlite3.connect",
        "subprocess.Popen",
        "tempfile.mkdtemp",
        "tempfile.mkstemp",
        "urllib.Request",
    }
)
_FAMILIES = ("ftplib.", "http.client.", "shutil.", "smtplib.", "socket.")
_LIBRARIES = frozenset({"deltalake", "duckdb", "narwhals", "pandas", "polars", "pyarrow", "pyspark", "thread"})
_DOORS = re.compile(r"(read|scan|sink|write)_\w+|DeltaTable|start_\w*thread")
# Imports read files, and so does Python where it shows a line of source in a warning.
_IMPORTS = ("importlib", "linecache", "zipimport")
# By way of these a lazy frame asks the engine for its columns.
_FRAMES = ("narwhals._", "narwhals.dataframe", "py4j")

_watching: list[_Watch] = []
_installed: list[bool] = []


def deeds(work: Callable[[], _Value], engine: object) -> tuple[_Value, list[str]]:
    """The result of a call, and what it did outside, with the place in the code; what the engine does is its affair."""
    if not _installed:
        sys.addaudithook(_audit)  # a hook can never be taken away again: one for the life of the process
        _installed.append(True)
    watch = _Watch(sys._getframe(), type(engine).__module__.partition(".")[0])  # noqa: SLF001  the documented way
    profile = sys.getprofile()
    _watching.append(watch)
    sys.setprofile(watch.profile)
    try:
        value = work()
    finally:
        sys.setprofile(profile)
        _watching.remove(watch)
    return value, watch.found


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and (event in _EVENTS or event.startswith(_FAMILIES)):
        _watching[-1].audit(event, arguments)


class _Watch:
    """What was found in one call; of what other threads do meanwhile it knows nothing."""

    def __init__(self, base: FrameType, engine: str) -> None:
        self.found: list[str] = []
        self._thread = threading.get_ident()
        self._base = base
        self._engine = engine

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event, unless an import, a frame or the engine brought it about."""
        if threading.get_ident() != self._thread:
            return
        frames = list(self._frames(sys._getframe()))  # noqa: SLF001  the documented way
        names = [_module(frame) for frame in frames]
        excused = (*_IMPORTS, *_FRAMES, f"{self._engine}.")
        if not any(name.startswith(excused) for name in names):
            about = next((f" {value}" for value in arguments if isinstance(value, str)), "")
            self._note(f"{event}{about}", frames)

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """Note a call by which a library reads or writes, unless the engine made it."""
        if event == "call":
            name, module = frame.f_code.co_name, _module(frame)
            if name == "__init__":
                name = type(frame.f_locals.get("self")).__name__
        elif event == "c_call":
            name, module = argument.__name__, getattr(argument, "__module__", None) or ""
        else:
            return
        library = module.partition(".")[0].lstrip("_")
        if library not in _LIBRARIES or not _DOORS.fullmatch(name):
            return
        frames = list(self._frames(frame))
        if not any(_module(f).startswith((f"{self._engine}.", "py4j")) for f in frames):
            self._note(f"{library}.{name}", frames)

    def _frames(self, frame: FrameType | None) -> Iterator[FrameType]:
        """The frames between the call and the watch, the innermost first."""
        while frame is not None and frame is not self._base:
            if _module(frame) != __name__:
                yield frame
            frame = frame.f_back

    def _note(self, what: str, frames: list[FrameType]) -> None:
        # The code of the processor is what is nearest to the call; libraries lie further in.
        own = [frame for frame in frames if not _module(frame).startswith("oreflow_testkit")]
        place = own[-1] if own else frames[-1]
        top = _module(place).partition(".")[0]
        for frame in reversed(own):  # go further in, as long as it is the same package
            if _module(frame).partition(".")[0] != top:
                break
            place = frame
        note = f"{what} (in {place.f_code.co_name}, {place.f_code.co_filename}:{place.f_lineno})"
        if note not in self.found:
            self.found.append(note)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
