"""The logger that `get_logger` gives: structlog's, which asks the level before it does anything."""

from __future__ import annotations

import logging
from typing import Any

import structlog


class BoundLogger(structlog.stdlib.BoundLogger):
    """structlog's logger for the standard library.

    structlog hands each line through its processors before the standard library drops it; for what is dropped that is
    ten times the cost.
    """

    def debug(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log at the level DEBUG."""
        if self._logger.isEnabledFor(logging.DEBUG):
            return super().debug(event, *args, **fields)
        return None

    def info(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log at the level INFO."""
        if self._logger.isEnabledFor(logging.INFO):
            return super().info(event, *args, **fields)
        return None

    def warning(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log at the level WARNING."""
        if self._logger.isEnabledFor(logging.WARNING):
            return super().warning(event, *args, **fields)
        return None

    def error(self, event: str | None = None, *args: Any, **fields: Any) -> Any:
        """Log at the level ERROR."""
        if self._logger.isEnabledFor(logging.ERROR):
            return super().error(event, *args, **fields)
        return None
