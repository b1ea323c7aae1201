"""What webhooks are sent, in the form that each service documents.

- Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
- Teams, by a workflow: https://learn.microsoft.com/en-us/connectors/teams, with an adaptive card
- PagerDuty: https://developer.pagerduty.com/docs/send-alert-event (Events API v2)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from oreflow.contract import Alert, Notice

_SLACK_SECTION = 3000  # characters of a section's text
_SLACK_SECTIONS = 45  # a message has 50 blocks at the most
_SLACK_HEADER = 150
_CARD = 20_000  # bytes with what is around each line; a message of Teams may have 28 KB
_AROUND = 50
_KEY = 255  # characters of the key of an incident
_SUMMARY = 1024  # characters of an event's summary at PagerDuty


def as_json(notice: Notice) -> Iterator[dict[str, Any]]:
    """All that is known, for programs."""
    yield {"title": notice.title, "text": notice.text, "alerts": [alert.to_dict() for alert in notice.alerts]}


def as_slack(notice: Notice) -> Iterator[dict[str, Any]]:
    """A message of Slack: what mentions people, or is a link, is text."""
    sections = [
        {"type": "section", "text": {"type": "mrkdwn", "text": _cut(_escaped(text), _SLACK_SECTION)}}
        for text in _some(notice.text.split("\n\n"), _SLACK_SECTIONS)
    ]
    header = {"type": "header", "text": {"type": "plain_text", "text": _cut(notice.title, _SLACK_HEADER)}}
    yield {"text": _escaped(notice.title), "blocks": [header, *sections]}


def as_teams(notice: Notice) -> Iterator[dict[str, Any]]:
    """A message of Teams with an adaptive card."""
    colour = {"info": "Accent", "warning": "Warning", "critical": "Attention"}[notice.alerts[0].severity]
    if all(each.status == "resolved" for each in notice.alerts):
        colour = "Good"
    title = {"type": "TextBlock", "text": notice.title, "weight": "Bolder", "wrap": True, "color": colour}
    lines = [{"type": "TextBlock", "text": line, "wrap": True} for line in _fitting(notice.text)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *lines],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    yield {"type": "message", "attachments": [attachment]}


def as_pagerduty(notice: Notice, routing_key: str) -> Iterator[dict[str, Any]]:
    """An event for each alert, by whose key PagerDuty knows which incident it is of."""
    for alert in notice.alerts:
        event = {
            "routing_key": routing_key,
            "dedup_key": alert.key if len(alert.key) <= _KEY else sha256(alert.key.encode()).hexdigest(),
            "event_action": "resolve" if alert.status == "resolved" else "trigger",
        }
        yield {**event, "payload": _payload(alert), "client": "oreflow"}


def _payload(alert: Alert) -> dict[str, Any]:
    return {
        "summary": _cut(f"{alert.pipeline}: {alert.summary}", _SUMMARY),
        "source": f"oreflow {alert.pipeline}",
        "severity": alert.severity,
        "component": next(iter(alert.subject.values()), alert.pipeline),
        "group": alert.pipeline,
        "class": alert.rule,
        "custom_details": alert.to_dict(),
    }


def _fitting(text: str) -> list[str]:
    """As many lines of a text as fit into a card, with a last one where that are not all."""
    found: list[str] = []
    left = _CARD
    lines = [line for line in text.splitlines() if line]
    for line in lines:
        shown = _cut(line, _SLACK_SECTION)
        left -= len(shown.encode(errors="replace")) + _AROUND
        if left < 0:
            return [*found, f"and {len(lines) - len(found):,} lines more: `oreflow alerts list` has all"]
        found.append(shown)
    return found


def _some(texts: Sequence[str], most: int) -> list[str]:
    """So many of some texts, with a last one that says how many there are besides."""
    left = len(texts) - most
    return [*texts[:most], f"and {left:,} more: `oreflow alerts list` has all"] if left > 0 else list(texts)


def _escaped(text: str) -> str:
    """A text in which Slack finds no markup of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
