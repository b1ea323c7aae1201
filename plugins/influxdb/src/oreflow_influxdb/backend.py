"""The metric backend of InfluxDB: each moment goes to disk, and from there to the server, the oldest first."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oreflow.contract import Labels, MetricBackend, OreflowError, Sample, Snapshot
from oreflow.quantities import bytes_of, lasting, size_text
from oreflow.resilience.errors import AttemptTimeoutError
from oreflow.resilience.threads import beside
from oreflow_influxdb.buffer import Buffer
from oreflow_influxdb.lines import line, moment
from oreflow_influxdb.server import Away, Server

_log = logging.getLogger("oreflow.influxdb")
_SPARE = 0.1  # of the timeout: what a request that is not answered leaves for telling of it


class InfluxBackend(MetricBackend):
    """Writes the series that have changed, in batches; what InfluxDB does not take waits in a folder."""

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        """Raises DeclarationError where the options do not go together."""
        self._server = Server(options)
        self._timeout = lasting(options.get("timeout", "3s"), ("timeout",))
        self._batch = options.get("batch", 5000)
        self._tags = {name: str(value) for name, value in options.get("tags", {}).items()}
        # What waits for one database is not for another, should two share the folder, or the declaration change.
        target = "\n".join(str(options.get(key, "")) for key in ("address", "database", "org", "bucket"))
        name = hashlib.sha256(target.encode()).hexdigest()[:12]
        self._buffer = Buffer(folder / name, bytes_of(options.get("buffer", "16 MiB")))
        self._sent: dict[tuple[str, Labels], Sample] = {}
        self._losses = self._buffer.losses()
        self._lost = 0
        self._cannot_keep = ""

    def write(self, snapshot: Snapshot) -> None:
        """Write what has changed, and what waits, for as long as `timeout`.

        Raises:
            OreflowError: InfluxDB does not take it now; it waits on disk.
        """
        deadline = time.monotonic() + self._timeout
        self._write(snapshot, deadline)
        losses = self._buffer.losses()
        if losses != self._losses:  # where the newest figure of a series was among them, it is missing for good
            self._sent.clear()
            self._write(snapshot, deadline)
            self._losses = losses

    def close(self) -> None:
        """Try once more to deliver what waits, for as long as `timeout`.

        Raises:
            OreflowError: InfluxDB does not take it; the next process of the pipeline tries again.
        """
        try:
            self._deliver([], time.monotonic() + self._timeout)
        finally:
            self._tell_losses()
            self._server.close()

    def _write(self, snapshot: Snapshot, deadline: float) -> None:
        changed, lines = self._changed(snapshot)
        batches = [b"".join(some) for some in _batched(lines, self._batch)]
        try:
            self._lost += self._buffer.put(moment(snapshot), batches)
        except OSError as error:
            reason = error.strerror or str(error)
            if reason != self._cannot_keep:
                _log.warning("points for InfluxDB are sent without being kept in %s: %s", self._buffer.folder, reason)
            self._cannot_keep = reason
        else:
            self._sent.update(changed)
            batches, self._cannot_keep = [], ""
        self._deliver(batches, deadline)
        self._sent.update(changed)
        self._tell_losses()

    def _changed(self, snapshot: Snapshot) -> tuple[dict[tuple[str, Labels], Sample], list[bytes]]:
        """The series that have another figure than was sent, with their lines."""
        at = moment(snapshot)
        changed, lines = {}, []
        for family in snapshot.families:
            for sample in family.samples:
                key = family.name, sample.labels
                if self._sent.get(key) != sample and (text := line(family, sample, self._tags, at)):
                    changed[key] = sample
                    lines.append(text)
        return changed, lines

    def _deliver(self, unkept: Sequence[bytes], deadline: float) -> None:
        """Send what waits, then what could not be kept; in a thread, as names are looked up without any timeout."""

        def deliver() -> None:
            self._send_all(unkept, deadline - _SPARE * self._timeout)

        if not unkept and not self._buffer.waiting():
            return
        try:
            left = max(deadline - time.monotonic(), 0.001)
            beside("influxdb", deliver, timeout=left, hedge=None, ended=lambda: None)
        except AttemptTimeoutError:
            self._server.abandon()  # else the thread that is left behind would let nobody else deliver
            raise self._told(Away(f"{self._server.place} does not answer in time")) from None
        except Away as fault:
            raise self._told(fault) from None
        except TimeoutError:
            raise self._told(Away("another process has been delivering to InfluxDB all the time")) from None

    def _send_all(self, unkept: Sequence[bytes], deadline: float) -> None:
        if self._buffer.waiting():
            with self._buffer.held(deadline):
                while (group := self._buffer.oldest(self._batch)) and time.monotonic() < deadline:
                    self._send(group, deadline)
        for lines in unkept:
            if fault := self._server.post(lines, deadline):
                _log.warning("InfluxDB refused some or all of %s points: %s", lines.count(b"\n"), fault)

    def _send(self, group: Sequence[tuple[Path, bytes]], deadline: float) -> None:
        """Send batches in one request; where that is refused, each by itself, to find the one that is at fault."""
        lines = b"".join(lines for _, lines in group)
        fault = self._server.post(lines, deadline) if lines else ""
        if fault and len(group) > 1:
            for one in group:
                self._send([one], deadline)
        elif fault:
            aside = self._buffer.set_aside(group[0][0])
            _log.warning("InfluxDB refused some or all of %s points: %s; see %s", lines.count(b"\n"), fault, aside)
        else:
            for path, _ in group:
                path.unlink(missing_ok=True)

    def _told(self, fault: Away) -> OreflowError:
        """A fault with what becomes of the points."""
        kept = f"{size_text(self._buffer.waiting())} of points wait in {self._buffer.folder}"
        if self._lost:
            kept += f", the {self._lost} oldest are lost"
        what = f"{fault.what}; {self._cannot_keep and 'new points cannot be kept, '}{kept}"
        return OreflowError(f"{what} - {fault.mend}" if fault.mend else what)

    def _tell_losses(self) -> None:
        if self._lost:
            _log.warning(
                "%s points for InfluxDB were lost, the oldest, as more came than the buffer holds while it was away"
                " - raise buffer",
                self._lost,
            )
            self._lost = 0


def _batched(lines: Sequence[bytes], size: int) -> list[Sequence[bytes]]:
    return [lines[start : start + size] for start in range(0, len(lines), size)]
