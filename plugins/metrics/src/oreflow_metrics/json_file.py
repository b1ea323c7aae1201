"""The metric backend `json`: a file that has the newest figures, whole whenever somebody reads it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from oreflow.contract import MetricBackend, OreflowError, Snapshot, Surroundings
from oreflow.monitoring.exposition import document


class JsonBackend(MetricBackend):
    """Writes each snapshot in the place of the one before."""

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        path = options.get("path")
        self.path = surroundings.project / path if path else surroundings.folder / "metrics.json"
        self._pipeline = surroundings.pipeline
        self._is_ours = False

    def write(self, snapshot: Snapshot) -> None:
        """Write the file, and its folder where there is none.

        It is not forced to the disk: after a power cut the next run writes it anew.

        Raises:
            OSError: it cannot be written; the one that was there is as it was.
            OreflowError: it is another pipeline's, or no file.
        """
        if self.path.exists() and not self.path.is_file():  # a device would be replaced by a file
            raise OreflowError(f"{self.path} is there, and no file - say another path")
        if not self._is_ours:
            self._check()
            self._is_ours = True
        text = _text(document(snapshot))
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

    def _check(self) -> None:
        """Find that the file is nobody else's: both would take away what the other has, at each run."""
        try:
            if not (text := self.path.read_text(encoding="utf-8")).strip():
                return
            metrics = json.loads(text)["metrics"]
            others = {each["labels"].get("pipeline") for metric in metrics for each in metric["series"]} - {None}
        except OSError:
            return  # there is none yet, or none that can be read
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise OreflowError(f"{self.path} is there, and has something else - say another path") from None
        if others and self._pipeline not in others:
            other = ", ".join(sorted(map(str, others)))
            raise OreflowError(f"{self.path} has the metrics of the pipeline {other} - say a file of its own")


def _text(found: Mapping[str, Any]) -> str:
    """A document with a line for each metric: for people, and six times as quick as one that is indented as a whole."""
    metrics = ",\n".join(json.dumps(each, allow_nan=False) for each in found["metrics"])
    return f'{{"at": {json.dumps(found["at"])}, "metrics": [\n{metrics}\n]}}\n'
