"""What resilience tells of itself while it works: an event for each decision, none for a call that went well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What has happened.

    `RETRY`: an attempt has failed, and there is another one after `seconds`. `GAVE_UP`: it has failed for good, and
    `detail` says why. `SUPPRESSED`: it could be retried, and the budget or the deadline does not allow it. `RECOVERED`:
    a later attempt went well. `REJECTED`: the call was not made. `STATE`: a breaker became what `detail` says.
    `FALLBACK`: the fallback gave the result. `DELAYED`: the call waits `seconds` for its place in the rate limit.
    """

    RETRY = "retry"
    GAVE_UP = "gave_up"
    SUPPRESSED = "suppressed"
    RECOVERED = "recovered"
    REJECTED = "rejected"
    STATE = "state"
    FALLBACK = "fallback"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class Event:
    """One of them: `attempt` counts from 1, `seconds` are those of a wait."""

    kind: EventKind
    resource: str
    attempt: int = 0
    seconds: float = 0.0
    error: BaseException | None = None
    detail: str = ""


Listener = Callable[[Event], None]
