"""The metric backend `textfile`: the totals as a file, for whoever reads it: node_exporter, or a person."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from oreflow.contract import MetricBackend, Snapshot, Surroundings
from oreflow.monitoring.exposition import text
from oreflow_prometheus.totals import replace_file, totals_in

_PATIENCE = 3.0  # seconds to wait for another process that writes the file


class Textfile(MetricBackend):
    """Writes the file anew each time."""

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        said = options.get("path")
        self._path: Path = surroundings.project / said if said else surroundings.folder / "metrics.prom"
        self._format = options.get("format", "prometheus")
        self._totals = totals_in(surroundings.folder)

    def write(self, snapshot: Snapshot) -> None:
        """Put the totals into the file.

        Raises:
            OSError: it cannot be written, and is as it was; or what was counted cannot be kept beside the tables.
        """
        place = f"textfile-{sha256(str(self._path).encode()).hexdigest()[:8]}"
        self._totals.show(snapshot, self._put, place, time.monotonic() + _PATIENCE)

    def _put(self, totals: Snapshot) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, text(totals, self._format).encode(), mode=0o644)
