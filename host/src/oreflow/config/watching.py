"""A watch over a configuration: files and a shared store are looked at, and whoever asked is told what has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from oreflow.config.snapshot import Difference, Snapshot, changes
from oreflow.config.stored import opened
from oreflow.contract import Problem
from oreflow.factory import get_processor_factory

if TYPE_CHECKING:
    from oreflow.config.manager import ConfigManager

Callback = Callable[["ConfigChange"], object]

_log = logging.getLogger("oreflow.config")
_LOOK = 1000
"""Milliseconds until a watch looks by itself."""
_STORE_WAIT = 1.0
"""Seconds that a watch waits for a store before it looks whether it is to stop."""
_STORE_AWAY = 5.0
"""Seconds until a watch asks a store again that could not be reached."""


@dataclass(frozen=True)
class ConfigChange:
    """What a reload has brought: the keys that differ, or the `problems` for which the last good version stays."""

    name: str
    before: Snapshot
    after: Snapshot
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()


class ConfigWatch:
    """A watch over a configuration; a context manager, which stops it."""

    def __init__(self, manager: ConfigManager, name: str, callback: Callback, debounce: float) -> None:
        self._manager, self._name, self._callback = manager, name, callback
        self._stop = threading.Event()
        self._last = manager.snapshot(name)
        self._problems = manager.problems(name)
        self._telling = threading.Lock()
        self._teller: int | None = None
        threads = [threading.Thread(target=self._files, args=(debounce,), name=f"watch-{name}", daemon=True)]
        if address := manager.store_address():
            threads.append(threading.Thread(target=self._store, args=(address,), daemon=True))
        self._threads = threads
        for thread in threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; no callback is called after this returns, unless it is this callback that stops it."""
        self._stop.set()
        if threading.get_ident() != self._teller:  # else the others may wait for this callback to end
            for thread in self._threads:
                thread.join()

    def _files(self, debounce: float) -> None:
        import watchfiles

        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        folder = self._manager.project / "config"
        milliseconds = max(1, round(debounce * 1000))
        while not self._stop.is_set():
            try:
                # A look each second besides: nobody tells of a folder that is made anew, or of a link that has moved.
                for _ in watchfiles.watch(
                    folder,
                    stop_event=self._stop,
                    debounce=milliseconds,
                    step=milliseconds,
                    rust_timeout=_LOOK,
                    yield_on_timeout=True,
                    raise_interrupt=False,
                ):
                    self._look()
            except (OSError, RuntimeError) as error:  # the folder is not there for now
                _log.debug("%s", error)
                self._look()
                self._stop.wait(_LOOK / 1000)

    def _store(self, address: str) -> None:
        while not self._stop.is_set():
            try:
                with opened(address, get_processor_factory(self._manager.project)) as store:
                    there = store.fetch(self._name)
                    version = there.version if there else 0
                    self._look(anew=True)  # something may have been published while nobody was listening
                    while not self._stop.is_set():
                        if newer := store.wait(self._name, version, _STORE_WAIT):
                            version = newer.version
                            self._look(anew=True)
            except Exception as error:
                _log.warning("%s", error)
                self._stop.wait(_STORE_AWAY)

    def _look(self, *, anew: bool = False) -> None:
        """See whether something has changed; `anew`: though no file has."""
        with self._telling:
            now, problems = self._manager.look(self._name, anew=anew)
            found = changes(self._last, now)
            if self._stop.is_set() or (not found and problems == self._problems):
                return
            change = ConfigChange(self._name, self._last, now, found, problems)
            self._last, self._problems = now, problems
            self._teller = threading.get_ident()
            try:
                self._callback(change)
            except Exception:
                _log.exception("the callback of a watch over '%s' failed", self._name)
            finally:
                self._teller = None
