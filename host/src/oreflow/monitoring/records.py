"""Records of the standard library's logging that have an event and its fields, and not only a text.

Apart from `loggers`, so that a run whose lines are JSON loads nothing of structlog.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oreflow.contract.errors import told

EVENT, FIELDS = "oreflow_event", "oreflow_fields"
"""The attributes of such a record: what is said, and what is in it."""


def say(log: logging.Logger, level: int, event: str, /, **fields: Any) -> None:
    """Have a logger say what one of `get_logger` would, without the ways through structlog."""
    if log.isEnabledFor(level):
        log.log(level, text_with(event, fields), extra={EVENT: event, FIELDS: fields}, stacklevel=2)


def text_with(event: Any, fields: Mapping[str, Any]) -> str:
    """An event as a text for whoever reads it plainly: `loaded rows=3`."""
    return " ".join([text_of(event), *(f"{key}={text_of(value)}" for key, value in fields.items())])


def text_of(value: Any) -> str:
    """A value as a text that can be encoded."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode(errors="backslashreplace")
    try:
        text = value if type(value) is str else str(value) if isinstance(value, (str, Path)) else repr(value)
    except Exception as error:
        text = f"a {type(value).__qualname__} that cannot be shown: {told(error)}"
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
