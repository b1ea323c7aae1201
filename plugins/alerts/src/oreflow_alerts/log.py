"""The channel `log`: an alert as lines of the logger `oreflow.alerts`, which go wherever the run's lines go."""

from __future__ import annotations

import logging

from oreflow.contract import AlertChannel, Notice

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_WORDS = {"firing": "fires", "resolved": "is over"}
_log = logging.getLogger("oreflow.alerts")


class LogChannel(AlertChannel):
    """A line for each alert, with the command that shows more."""

    def send(self, notice: Notice, seconds: float) -> None:
        """See `AlertChannel.send`."""
        for alert in notice.alerts:
            level = logging.INFO if alert.status == "resolved" else _LEVELS[alert.severity]
            look = f" - {alert.commands[0]}" if alert.commands and alert.status == "firing" else ""
            _log.log(level, "alert '%s' %s: %s%s", alert.rule, _WORDS[alert.status], alert.summary, look)
