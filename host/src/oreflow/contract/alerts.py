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
    """Alerts that are told together: those that one table has brought about, or the end of a run; the worst first."""

    alerts: Sequence[Alert]

    def __post_init__(self) -> None:
        object.__setattr__(self, "alerts", sorted(self.alerts, key=_goodness))

    @property
    def title(self) -> str:
        """All of it in one line: the worst of what fires, and how much there is besides."""
        first, *others = self.alerts
        over = sum(each.status == "resolved" for each in others) if first.status == "firing" else 0
        more = [f"{len(others) - over} more"] if len(others) > over else []
        more += [f"{over} over"] if over else []
        return f"[{_tag(first)}] {first.pipeline} ({first.environment}): {', and '.join([first.summary, *more])}"

    @property
    def text(self) -> str:
        """All of it, in lines for people."""
        return "\n\n".join("\n".join(_lines(each)) for each in self.alerts)


def _goodness(alert: Alert) -> int:
    return len(_SEVERITIES) if alert.status == "resolved" else _SEVERITIES.index(alert.severity)


_SEVERITIES = ("critical", "warning", "info")


def _tag(alert: Alert) -> str:
    return "resolved" if alert.status == "resolved" else alert.severity


def _lines(alert: Alert) -> list[str]:
    lines = [f"[{_tag(alert)}] {alert.rule}: {alert.summary}"]
    lines += [alert.description] if alert.description else []
    lines += [f"  {each}" for each in alert.details]
    lines += [f"since {alert.since}, pipeline {alert.pipeline} ({alert.environment}), run {alert.run_id or 'none'}"]
    return lines + [f"$ {each}" for each in alert.commands]


class AlertChannel(ABC):
    """A way to tell people. The host calls it from a thread of its own, and again where it raises.

    Not after an error that another attempt cannot mend, by what says what errors are: one of a known type, or one that
    has the `response` or the `status_code` of an HTTP answer, whose `Retry-After` is heeded then.
    """

    @abstractmethod
    def send(self, notice: Notice, seconds: float) -> None:
        """Tell it, in so many seconds at the most.

        Raises:
            Exception: it was not told; the message says why, without secrets.
        """
