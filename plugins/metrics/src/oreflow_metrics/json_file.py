"""The metric backend `json`: a file that has the newest figures, whole whenever somebody reads it."""

from __future__ import annotations

import errno
import json
import secrets
from collections.abc import Mapping
from typing import Any

from oreflow.contract import MetricBackend, Snapshot, Surroundings
from oreflow.monitoring.exposition import document


class JsonBackend(MetricBackend):
    """Writes each snapshot in the place of the one before."""

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        path = options.get("path")
        self.path = surroundings.project / path if path else surroundings.folder / "metrics.json"

    def write(self, snapshot: Snapshot) -> None:
        """Write the file, and its folder where there is none.

        It is not forced to the disk: after a power cut the next run writes it anew.

        Raises:
            OSError: it cannot be written; the one that was there is as it was.
        """
        if self.path.exists() and not self.path.is_file():  # a device would be replaced by a file
            raise OSError(errno.EINVAL, "is there, and no file", str(self.path))
        text = json.dumps(document(snapshot), indent=2, allow_nan=False)
        new = self.path.with_name(f".{secrets.token_hex(8)}.json.new")  # unlike the file's, no name that is too long
        try:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                new.write_text(text, encoding="utf-8")
                new.replace(self.path)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
