"""What is kept of alerts from run to run: a file beside the tables, changed by one process at a time."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from oreflow.alerting.judging import Silence, State, text_of

_VERSION = 1
_PATIENCE, _PAUSE = 2.0, 0.01  # seconds to wait for another process, which needs some milliseconds; between two looks
_log = logging.getLogger("oreflow.alerts")


@dataclass
class Page:
    """The alerts that are under way, by their keys, and what is silenced."""

    states: dict[str, State] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)

    def text(self) -> str:
        """It as the file has it."""
        states = {key: state.to_dict() for key, state in sorted(self.states.items())}
        return json.dumps({"version": _VERSION, "alerts": states, "silences": [asdict(each) for each in self.silences]})


class Book:
    """The file. `hold` holds the lock of a path for one process, or raises BlockingIOError."""

    def __init__(self, folder: Path, hold: Callable[[Path], AbstractContextManager[None]]) -> None:
        self._file, self._lock, self._hold = folder / "alerts.json", folder / "alerts.lock", hold

    def read(self) -> Page:
        """What it has now; a damaged one is set aside."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return Page()
        try:
            found = json.loads(content.decode())
            _check_version(found["version"])
            states = {key: State.from_dict(value) for key, value in found["alerts"].items()}
            silences = [Silence(**each) for each in found["silences"]]
            for each in silences:
                each.until = text_of(datetime.fromisoformat(each.until))
            return Page(states, silences)
        except Exception as error:  # somebody may have written anything into it
            aside = self._file.with_suffix(".damaged")
            self._file.replace(aside)
            _log.warning("alerts begin anew: %s is damaged (%s), and now %s", self._file, error, aside)
            return Page()

    @contextmanager
    def changing(self) -> Iterator[Page]:
        """What it has, to be changed; written at the end.

        Raises:
            OSError: it cannot be written, or another process has held it for too long.
        """
        with ExitStack() as held:
            deadline = time.monotonic() + _PATIENCE
            while True:
                try:
                    held.enter_context(self._hold(self._lock))
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{self._lock} is held by another process") from None
                    time.sleep(_PAUSE)
            page = self.read()
            before = page.text()
            now = datetime.now(UTC)
            page.silences = [each for each in page.silences if datetime.fromisoformat(each.until) > now]
            yield page
            if (text := page.text()) != before:
                self._write(text)

    def _write(self, text: str) -> None:
        new = self._file.with_name(f".{self._file.name}.new")  # one who was killed over it has left what is replaced
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(self._file)
        except OSError as error:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(self._file)) from error


def _check_version(version: int) -> None:
    if version != _VERSION:
        raise ValueError(f"it has the version {version}, not {_VERSION}")
