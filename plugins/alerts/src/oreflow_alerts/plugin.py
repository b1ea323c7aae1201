"""The entry point of oreflow-alerts: says which channels it brings, and loads one only when a run asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oreflow.contract import AlertChannel, AlertChannelMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1

_VERSION = "0.1.0"
_TEXT = {"type": "string", "minLength": 1}
_SECRET = {**_TEXT, "writeOnly": True}
LOG = AlertChannelMetadata("log", _VERSION, "log lines of the logger oreflow.alerts")
WEBHOOK = AlertChannelMetadata(
    "webhook",
    _VERSION,
    "a POST to an address, in the form of Slack, Teams, PagerDuty, or as JSON",
    option_schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "url": {**_SECRET, "description": "the address; of PagerDuty, its own where not said"},
            "format": {
                "enum": ["json", "slack", "teams", "pagerduty"],
                "description": "the form of what is sent; json where not said",
            },
            "headers": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "headers besides, such as Authorization",
            },
            "routing_key": {**_TEXT, "description": "the integration key of a service of PagerDuty"},
        },
    },
)
EMAIL = AlertChannelMetadata(
    "email",
    _VERSION,
    "a mail by an SMTP server",
    option_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["host", "from", "to"],
        "properties": {
            "host": {**_TEXT, "description": "the SMTP server"},
            "port": {
                "type": "integer",
                "minimum": 1,
                "maximum": 65535,
                "description": "its port; 587 where not said, with `security: tls` 465, with `none` 25",
            },
            "security": {
                "enum": ["starttls", "tls", "none"],
                "description": "how the connection is kept secret; starttls where not said",
            },
            "username": {**_TEXT, "description": "the user to log in as"},
            "password": {**_TEXT, "description": "the user's password"},
            "from": {**_TEXT, "description": "the sender's address"},
            "to": {"type": "array", "minItems": 1, "items": _TEXT, "description": "who gets the mail"},
        },
    },
)
APPRISE = AlertChannelMetadata(
    "apprise",
    _VERSION,
    "any of the services that apprise reaches; needs oreflow-alerts[apprise]",
    option_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["url"],
        "properties": {"url": {**_SECRET, "description": "an address of apprise, such as ntfy://topic"}},
    },
)


@hookimpl
def alert_channels() -> list[AlertChannelMetadata]:
    """Log lines, webhooks, mails, and what apprise reaches."""
    return [LOG, WEBHOOK, EMAIL, APPRISE]


@hookimpl
def create_alert_channel(name: str, options: Mapping[str, Any]) -> AlertChannel | None:
    """Create one of them."""
    if name == LOG.name:
        from oreflow_alerts.log import LogChannel

        return LogChannel()
    if name == WEBHOOK.name:
        from oreflow_alerts.webhook import Webhook

        return Webhook(options)
    if name == EMAIL.name:
        from oreflow_alerts.email import Email

        return Email(options)
    if name == APPRISE.name:
        from oreflow_alerts.by_apprise import Apprise

        return Apprise(options)
    return None
