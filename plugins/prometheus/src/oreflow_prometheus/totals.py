"""Totals over processes: a counter of a batch job begins at 0 in each, and what asks for it wants all of them.

A folder has one file of all series: counters and histograms summed over all processes ever, gauges with the value
that was set last. Each process adds what it has counted since it last did, under a lock, and the file is replaced as a
whole. It is not forced onto the disk: where the power goes, the worst is series that begin anew, which `rate` and
`increase` of Prometheus reckon with.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from oreflow.contract import Labels, MetricFamily, MetricKind, Sample, Snapshot
from oreflow.monitoring.exposition import text
from oreflow.monitoring.forking import Lock
from oreflow_prometheus.lock import held

_VERSION = 1
_PATIENCE = 1.0  # seconds to wait for another process, which needs some milliseconds
_MOST = 5000
"""How many series a metric has in the totals; of processes over years, others come to one with the label `overflow`."""
_OVERFLOW: Labels = (("overflow", "true"),)
_log = logging.getLogger("oreflow.prometheus")
_Families = Mapping[str, MetricFamily]


class Totals:
    """The totals in a folder. Made by `totals_in`: backends of a process in one folder count an increase once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "totals.json"
        self._known: _Families = {}  # what the file had when it was last read or written
        self._seen: tuple[int, ...] = ()  # by which that file can be told from another one in its place
        self._newest = Snapshot(0.0, ())
        self._totals = Snapshot(0.0, ())  # with it
        self._texts: dict[str, str] = {}  # of these, by format
        self._added: dict[tuple[str, Labels], Sample] = {}  # what of this process is in the file
        self._lock = threading.Lock()  # one for each: a disk that hangs holds up nobody else

    def add(self, snapshot: Snapshot) -> tuple[Snapshot, OSError | None]:
        """The totals with what this process has counted.

        Where they could not be kept, the totals are right all the same, and the error says why; what was counted is
        added the next time.
        """
        with self._lock:
            if snapshot is self._newest and self._seen and self._seen == _told_apart(self._file):
                return self._totals, None  # another backend has added it
            if snapshot.number < self._newest.number:  # of another thread, which was quicker
                snapshot = self._newest
            self._newest = snapshot
            try:
                with held(self._folder / "totals.lock", time.monotonic() + _PATIENCE):
                    self._known = self._read()
                    totals = self._sum(snapshot)
                    if totals != self._known:  # quick, since what is the same is the same object
                        self._write(totals)
                        self._seen = _told_apart(self._file)
            except OSError as error:
                self._seen = ()
                with suppress(OSError, ValueError):  # whoever cannot write may still read
                    self._known = _families(self._file.read_bytes())
                return self._given(snapshot, self._sum(snapshot)), error
            self._known = totals
            # One backend may be handed more series than another in the same folder: what is added stays added.
            self._added |= {(family.name, each.labels): each for family in snapshot.families for each in family.samples}
            return self._given(snapshot, totals), None

    def text(self, totals: Snapshot, form: str) -> str:
        """Totals that were given by `add`, written down; once for all that want the newest in this format."""
        with self._lock:
            if totals is not self._totals:
                return text(totals, form)
            if form not in self._texts:
                self._texts[form] = text(totals, form)
            return self._texts[form]

    def show(self, snapshot: Snapshot, put: Callable[[Snapshot], None], place: str, deadline: float) -> None:
        """Add, and put the totals at a place outside of this process.

        Processes take turns there: else older figures could be put after newer ones, which for Prometheus is a counter
        that began anew.

        Raises:
            OSError: the totals could not be kept; they are there nevertheless.
            TimeoutError: another process has been putting its own there until `deadline`, of the monotonic clock.
        """
        with ExitStack() as turn:
            try:
                turn.enter_context(held(self._folder / f"{place}.lock", deadline))
            except TimeoutError:
                raise
            except OSError:
                pass  # nothing can be kept in this folder, as `add` says too, and there are no turns to take
            totals, fault = self.add(snapshot)
            put(totals)
            if fault:
                raise fault

    def begin_anew(self) -> None:
        """Count from 0, in a process that was forked off; gauges are not set anew by that."""
        self._lock = threading.Lock()  # somebody may have held the parent's
        gauges = {name for name, family in self._known.items() if family.kind is MetricKind.GAUGE}
        self._added = {(name, labels): each for (name, labels), each in self._added.items() if name in gauges}
        self._newest = Snapshot(0.0, ())

    def _given(self, snapshot: Snapshot, totals: _Families) -> Snapshot:
        self._totals, self._texts = Snapshot(snapshot.at, tuple(totals.values())), {}
        return self._totals

    def _sum(self, snapshot: Snapshot) -> dict[str, MetricFamily]:
        """What is known, with what this process has counted since it last added it."""
        totals = dict(self._known)
        for family in snapshot.families:
            before = totals.get(family.name)
            if before and (before.kind, before.bounds) != (family.kind, family.bounds):
                before = None  # figures of another kind cannot be added to
            series = {each.labels: each for each in before.samples} if before else {}
            kept = set(series)
            is_changed = before is None or (before.help, before.unit) != (family.help, family.unit)
            for sample in family.samples:
                has_room = sample.labels in series or len(series) < _MOST
                labels = sample.labels if has_room else _OVERFLOW
                # What is not there any more was lost with the file, and is added as a whole.
                added = self._added.get((family.name, sample.labels)) if labels in kept else None
                if added != sample:
                    now = sample if has_room else replace(sample, labels=labels)
                    series[labels] = _total(family.kind, series.get(labels), added, now)
                    is_changed = True
            if is_changed:
                totals[family.name] = replace(family, samples=tuple(series.values()))
        return dict(sorted(totals.items()))

    def _read(self) -> _Families:
        """What the file has, read where it is another one than before; damaged, it is set aside. Under the lock."""
        seen, self._seen = self._seen, _told_apart(self._file)
        if seen and seen == self._seen:
            return self._known
        try:
            return _families(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            aside = self._file.with_suffix(".damaged")
            self._file.replace(aside)
            _log.warning("the totals of metrics begin anew: %s is damaged (%s), and now %s", self._file, error, aside)
            return {}

    def _write(self, totals: _Families) -> None:
        document = {"version": _VERSION, "families": [_document(family) for family in totals.values()]}
        replace_file(self._file, json.dumps(document).encode())


def _told_apart(file: Path) -> tuple[int, ...]:
    """What no two files have in common that took each other's place; empty where there is none."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def totals_in(folder: Path) -> Totals:
    """The totals of a folder, the same for all of this process."""
    with _lock:
        return _all.setdefault(folder.resolve(), Totals(folder))


def replace_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Have a file with this content, which its readers see as a whole or not at all.

    `mode` are its permissions; where they are not said, those that any new file has.

    Raises:
        OSError: it cannot be written, and is as it was.
    """
    if path.exists() and not path.is_file() and not path.is_dir():  # a device would be replaced by a file
        raise OSError(errno.EINVAL, "is there, and no file", str(path))
    new = path.with_name(f".{path.name}.new")  # one who was killed over it has left nothing that is not replaced
    try:
        new.write_bytes(content)
        if mode is not None:
            new.chmod(mode)
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def _total(kind: MetricKind, total: Sample | None, added: Sample | None, now: Sample) -> Sample:
    """A series with what is new of it: `added` is what of `now` is in `total`."""
    if total is None:
        return now
    if kind is MetricKind.GAUGE:
        return total if added and _are_same(added.value, now.value) else now
    began_anew = added and (now.count < added.count if kind is MetricKind.HISTOGRAM else now.value < added.value)
    if added is None or began_anew:
        added = Sample(now.labels, 0.0, 0, (0,) * len(now.buckets))
    buckets = zip(total.buckets, now.buckets, added.buckets, strict=True)
    return Sample(
        now.labels,
        total.value + (now.value - added.value),
        total.count + (now.count - added.count),
        tuple(so_far + (new - old) for so_far, new, old in buckets),
    )


def _are_same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _document(family: MetricFamily) -> dict[str, Any]:
    return {
        "name": family.name,
        "kind": family.kind.value,
        "help": family.help,
        "unit": family.unit,
        "bounds": family.bounds,
        "series": [[dict(each.labels), each.value, each.count, each.buckets] for each in family.samples],
    }


def _families(content: bytes) -> _Families:
    """Families by their names.

    Raises:
        ValueError: this is no file of totals, or not a whole one.
    """
    try:
        document = json.loads(content)
        if document["version"] != _VERSION:
            raise ValueError(f"it has the version {document['version']}, not {_VERSION}")
        return {family.name: family for family in map(_family, document["families"])}
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it has no {error}" if isinstance(error, KeyError) else str(error)) from None


def _family(document: Mapping[str, Any]) -> MetricFamily:
    kind, bounds = MetricKind(document["kind"]), tuple(map(float, document["bounds"]))
    samples = []
    for labels, value, count, buckets in document["series"]:
        if len(buckets) != len(bounds):
            raise ValueError(f"a series of {document['name']} has {len(buckets)} buckets, not {len(bounds)}")
        pairs = tuple(sorted((str(name), str(each)) for name, each in labels.items()))
        counts = tuple(map(int, (count, *buckets)))
        tuple(map(float, counts))  # which is how they are written down
        samples.append(Sample(pairs, float(value), counts[0], counts[1:]))
    name, help_text, unit = str(document["name"]), str(document["help"]), str(document["unit"])
    if not name.isidentifier():
        raise ValueError(f"no metric is called {name!r}")
    return MetricFamily(name, kind, help_text, tuple(samples), unit, bounds)


_all: dict[Path, Totals] = {}
_lock = Lock()


def _in_child() -> None:
    for each in _all.values():
        each.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
