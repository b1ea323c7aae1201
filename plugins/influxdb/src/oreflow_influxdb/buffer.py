"""Points on disk, until they are delivered: by this process, or by the next one of the same pipeline.

Each batch is a file, which is written before it is first sent: a process that is killed while it sends leaves nothing
behind that is only in its memory, and there is one way that points go, whether the server is there or not. Files are
whole, since they get their name when they are; names are in the order of time. Who delivers holds a lock, so that no
two processes send the same.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from oreflow.quantities import size_text

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[Any]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _let_go(file: IO[Any]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _let_go(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)  # to close it is not enough where a process was forked off meanwhile


_WAITING, _REFUSED, _UNFINISHED = ".lines", ".refused", ".new"
_PATIENCE = 0.02  # seconds between two looks at the lock
_ABANDONED = 60.0  # seconds after which a file that has no name yet is one of a process that was killed


class Buffer:
    """The batches of lines in a folder, at most `limit` bytes of them."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self._limit = folder, limit

    def put(self, at: int, batches: Sequence[bytes]) -> int:
        """Keep the lines of a moment; gives how many points had to go for them, the oldest.

        Raises:
            OSError: they cannot be kept, as where they are more than the limit.
        """
        need = sum(map(len, batches))
        if need > self._limit:
            raise OSError(errno.EFBIG, f"{size_text(need)} are more than the buffer of {size_text(self._limit)}")
        self.folder.mkdir(parents=True, exist_ok=True)
        lost = self._make_room(need)
        for number, lines in enumerate(batches):
            path = self.folder / f"{at:020}-{number:04}-{secrets.token_hex(4)}{_WAITING}"
            new = path.with_suffix(_UNFINISHED)
            try:
                new.write_bytes(lines)
                new.replace(path)
            except OSError:
                new.unlink(missing_ok=True)
                raise
        return lost

    def waiting(self) -> int:
        """How many bytes of lines wait to be delivered."""
        return sum(size for _, size in self._files(_WAITING))

    def oldest(self, most: int) -> list[tuple[Path, bytes]]:
        """The oldest batches with their lines: as many as have `most` lines together, and one at least."""
        found: list[tuple[Path, bytes]] = []
        for path, _ in self._files(_WAITING):
            try:
                lines = path.read_bytes()
            except FileNotFoundError:
                continue  # it had to go, by another process
            most -= lines.count(b"\n")
            if found and most < 0:
                break
            found.append((path, lines))
        return found

    def set_aside(self, path: Path) -> Path:
        """Keep a batch that nobody takes, for whoever wants to see it; gives where it is."""
        aside = path.with_suffix(_REFUSED)
        with suppress(FileNotFoundError):
            path.replace(aside)
        return aside

    @contextmanager
    def held(self, deadline: float) -> Iterator[None]:
        """Be the only one who delivers.

        Raises:
            TimeoutError: another one still is at `deadline`, a moment of the monotonic clock.
        """
        with (self.folder / "lock").open("a") as file:
            while True:
                try:
                    _take(file)
                    break
                except OSError:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise TimeoutError from None
                    time.sleep(min(_PATIENCE, left))
            try:
                self._tidy()
                yield
            finally:
                _let_go(file)

    def losses(self) -> int:
        """A number that is another one after each time that points had to go, in whichever process."""
        try:
            return self._mark.stat().st_mtime_ns
        except OSError:  # there were none; or nobody can look, as who writes there is told
            return 0

    @property
    def _mark(self) -> Path:
        return self.folder / "lost"

    def _make_room(self, need: int) -> int:
        """Let the oldest go until there is room; first of those that were refused, of which their user has heard."""
        files = [*self._files(_REFUSED), *self._files(_WAITING)]
        total, lost = sum(size for _, size in files), 0
        for path, size in files:
            if total + need <= self._limit:
                break
            total -= size
            with suppress(FileNotFoundError):  # another process let it go, and counts it
                points = path.read_bytes().count(b"\n") if path.suffix == _WAITING else 0
                path.unlink()
                lost += points
        if lost:
            self._mark.touch()
        return lost

    def _tidy(self) -> None:
        for path, _ in self._files(_UNFINISHED):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()

    def _files(self, suffix: str) -> list[tuple[Path, int]]:
        """The files of a kind with their sizes, the oldest first."""
        found = []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(suffix):
                    with suppress(FileNotFoundError):
                        found.append((Path(entry.path), entry.stat().st_size))
        return sorted(found)
