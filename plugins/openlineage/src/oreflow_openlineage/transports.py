"""The ways of sending that the client of OpenLineage has not, or has in a way that does not serve here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport

from oreflow_openlineage.delivery import Fault


class LineFile(Transport):
    """Adds each event as a line of JSON to a file, which other processes may be writing to at the same time.

    The client's own writes a long event in pieces, among which those of other processes may come.
    """

    kind = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def emit(self, event: RunEvent) -> None:  # type: ignore[override]  # the client's other kinds of event never come
        """Add one, whole or not at all. Raises `Fault`."""
        line = f"{Serde.to_json(event)}\n".encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file, _alone(file.fileno()):
                before = os.fstat(file.fileno()).st_size
                if file.write(line) != len(line):  # the disk is full
                    os.ftruncate(file.fileno(), before)
                    raise Fault("the disk is full", may_pass=True)
        except OSError as error:
            raise Fault(error.strerror or str(error), may_pass=True) from None


class Console(Transport):
    """Prints each event as a line of JSON, where messages go: what a run itself prints may be read by a program."""

    kind = "console"

    def emit(self, event: RunEvent) -> None:  # type: ignore[override]  # the client's other kinds of event never come
        """Print one. Raises `Fault`."""
        try:
            sys.stderr.write(f"{Serde.to_json(event)}\n")
            sys.stderr.flush()
        except (OSError, ValueError) as error:  # it is closed
            raise Fault(str(error)) from None


@contextmanager
def _alone(file: int) -> Iterator[None]:
    """Within it, no other process of this kind writes to a file; on Windows two may, and then one is refused."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)  # it goes with the file that is closed
    yield
