"""The metric backend `memory`: the figures of the last hour as series of values, and what is asked of them."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oreflow.contract import Aggregation, Figure, MetricBackend, Snapshot
from oreflow.quantities import lasting
from oreflow_metrics.figures import figures
from oreflow_metrics.series import Store

_log = logging.getLogger("oreflow.metrics")


class MemoryBackend(MetricBackend):
    """Keeps figures for `keep`, `most` of them at the most; may be written to and asked by several threads."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises DeclarationError where it is to keep figures for no time."""
        self._keep = lasting(options.get("keep", "1h"), ("keep",))
        self._store = Store(self._keep, options.get("most", 100_000))
        self._lock = threading.Lock()
        self._is_told = False
        self._longest = self._keep  # window that is known not to be kept for

    @property
    def kept(self) -> int:
        """How many values are kept, of all series."""
        with self._lock:
            return self._store.size

    def open(self, read: Callable[[], Snapshot]) -> None:
        """Take what was counted before: it belongs to no window."""
        with self._lock:
            self._store.take(read(), is_first=True)

    def write(self, snapshot: Snapshot) -> None:
        """Keep what has changed."""
        with self._lock:
            self._store.take(snapshot)
            is_news = self._store.is_too_small and not self._is_told
            self._is_told |= is_news
        if is_news:
            _log.warning(
                "there are more series than the %s values that are kept in memory, and figures lack some of them -"
                " say more with `most`",
                self._store.most,
            )

    def query(self, aggregation: Aggregation, at: float) -> Sequence[Figure]:
        """One figure for each group that has a series, in the order of labels; None where it measured nothing.

        Raises:
            ValueError: it has a function that there is not, another number of metrics than that needs, no window, or
                a share that is not within 0 and 1.
        """
        if self._longest < aggregation.window < math.inf:
            self._longest = aggregation.window
            _log.warning(
                "the aggregation %s looks %g s back, and figures are kept in memory for %g s - say more with `keep`",
                aggregation.name,
                aggregation.window,
                self._keep,
            )
        with self._lock:
            return figures(self._store, aggregation, at)
