"""What crosses the boundary between the host and a plugin that brings alerts to people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Alert:
    """A rule that holds of something, or holds no more.

    `rule` is its name in the declaration, `subject` what it holds of: a table, a resource, nothing for the run itself;
    `key` is the same for as long as it goes on, and tells it from all others. `summary` says what was found, in one
    line, `value` and `threshold` are its figures where it has any, `since` is when it began (ISO 8601, UTC). `details`
    are lines that help to see what is wrong, such as rows that broke a check, and `commands` what shows more of it.
    None of it has a secret.
    """

    rule: str
    status: Literal["firing", "resolved"]
    severity: Literal["info", "warning", "critical"]
    pipeline: str
    environment: str
    run_id: str
    key: str
    summary: str
    since: str
    subject: Mapping[str, str] = field(default_factory=dict)
    value: float | None = None
    threshold: float | None = None
    description: str = ""
    details: Sequence[str] = ()
    commands: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Notice:
    """Alerts that are told together: those that one table has brought about, or the end of a run."""

    alerts: Sequence[Alert]

    @property
    def title(self) -> str:
        """All of it in one line."""
        first = self.alerts[0]
        status = "resolved" if all(each.status == "resolved" for each in self.alerts) else first.severity
        more = f", and {len(self.alerts) - 1} more" if self.alerts[1:] else ""
        return f"[{status}] {first.pipeline} ({first.environment}): {first.summary}{more}"

    @property
    def text(self) -> str:
        """All of it, in lines for people."""
        return "\n\n".join("\n".join(_lines(each)) for each in self.alerts)


def _lines(alert: Alert) -> list[str]:
    status = "resolved" if alert.status == "resolved" else alert.severity
    lines = [f"[{status}] {alert.rule}: {alert.summary}"]
    lines += [alert.description] if alert.description else []
    lines += [f"  {each}" for each in alert.details]
    lines += [f"since {alert.since}, pipeline {alert.pipeline} ({alert.environment}), run {alert.run_id or 'none'}"]
    return lines + [f"$ {each}" for each in alert.commands]


class AlertChannel(ABC):
    """A way to tell people. The host calls it from a thread of its own, and again where it raises."""

    @abstractmethod
    def send(self, notice: Notice, seconds: float) -> None:
        """Tell it, in so many seconds at the most.

        Raises:
            Exception: it was not told; the message says why, without secrets.
        """
