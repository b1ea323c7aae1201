"""The metric backend `textfile`: the totals as a file, for whoever reads it: node_exporter, or a person."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from oreflow.contract import MetricBackend, OreflowError, Snapshot, Surroundings
from oreflow_prometheus.totals import replace_file, totals_in

_OF_A_PIPELINE = re.compile(r'[{,]pipeline="([^"]*)"')
_BEGINNINGS = ("# HELP ", "# TYPE ", "# EOF")
"""How a file of metrics begins; OpenMetrics ends one that has none, too."""
_PATIENCE = 3.0  # seconds to wait for another process that writes the file


class Textfile(MetricBackend):
    """Writes the file anew each time."""

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        said = options.get("path")
        self._path: Path = surroundings.project / said if said else surroundings.folder / "metrics.prom"
        self._format = options.get("format", "prometheus")
        self._totals = totals_in(surroundings.folder)
        self._pipeline = surroundings.pipeline
        self._is_ours = False

    def write(self, snapshot: Snapshot) -> None:
        """Put the totals into the file.

        Raises:
            OSError: it cannot be written, and is as it was; or what was counted cannot be kept beside the tables.
            OreflowError: it is another pipeline's, or no file.
        """
        if not self._is_ours:
            self._check()
            self._is_ours = True
        place = f"textfile-{sha256(str(self._path).encode()).hexdigest()[:8]}"
        self._totals.show(snapshot, self._put, place, time.monotonic() + _PATIENCE)

    def _check(self) -> None:
        """Find that the file is nobody else's: both would take away what the other has, at each run."""
        if self._path.exists() and not self._path.is_file():
            raise OreflowError(f"{self._path} is there, and no file - say another path")
        try:
            found = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return  # there is none yet, or none that can be read
        if found.strip() and not found.startswith(_BEGINNINGS):
            raise OreflowError(f"{self._path} is there, and has something else - say another path")
        others = set(_OF_A_PIPELINE.findall(found))
        if others and self._pipeline not in others:
            other = ", ".join(sorted(others))
            raise OreflowError(f"{self._path} has the metrics of the pipeline {other} - say a file of its own")

    def _put(self, totals: Snapshot) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, self._totals.text(totals, self._format).encode(), mode=0o644)
