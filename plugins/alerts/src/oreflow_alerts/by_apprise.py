"""The channel `apprise`: any of the services that the library of this name reaches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from oreflow.contract import AlertChannel, DeclarationError, Notice, OreflowError, Problem


class Apprise(AlertChannel):
    """Raises DeclarationError where the library is not there, or does not know the address."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        try:
            import apprise
        except ImportError as error:
            mend = 'pip install "oreflow-alerts[apprise]"'
            raise DeclarationError([Problem("apprise is not installed", ("type",), mend)]) from error
        self._types = apprise.NotifyType
        logging.getLogger("apprise").addFilter(_Unheard())  # its lines have addresses, which are secrets
        self._services = apprise.Apprise()
        if not self._services.add(options["url"]):
            mend = "look it up at https://appriseit.com/services"
            raise DeclarationError([Problem("it is no address that apprise knows", ("url",), mend)])

    def send(self, notice: Notice, seconds: float) -> None:
        """See `AlertChannel.send`; apprise has time limits of its own."""
        first = notice.alerts[0]
        kinds = {"info": self._types.INFO, "warning": self._types.WARNING, "critical": self._types.FAILURE}
        kind = self._types.SUCCESS if first.status == "resolved" else kinds[first.severity]
        if not self._services.notify(body=notice.text, title=notice.title, notify_type=kind):
            raise OreflowError("apprise could not tell it, and does not say why")


class _Unheard(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return False
