"""A board of open breakers: what a plugin has to give for processes to tell each other which resource is down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping


class BreakerBoard(ABC):
    """A board at one address: the names of breakers that are open, each until a time of its own.

    The time is the board's, not that of a machine: clocks differ, so that all that is said is how many seconds are
    left. Every method may be called by several threads at the same time, raises `StoreError`, and answers within a
    second or two: whoever makes a call to a resource never waits for it, but all others that look do.
    """

    @abstractmethod
    def opened(self, name: str, seconds: float) -> None:
        """A breaker has opened, and stays so for this time, above 0; where it is open for longer, that holds."""

    @abstractmethod
    def closed(self, name: str) -> None:
        """A breaker has closed; nothing is done where it is not open."""

    @abstractmethod
    def open_for(self, names: Collection[str]) -> Mapping[str, float]:
        """Of these breakers those that are open, with the seconds that are left."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""
