"""The places that the metrics of this process go to: begun by runs, asked for figures, and closed at its end.

They outlive the run that they were declared for: an endpoint is asked between two runs as well. Each is handed the
series of its own pipeline; those that are of none go to one backend of each type. What several backends of a process
have is added up by whoever looks, and nothing may be in there twice.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from oreflow.contract import Aggregation, DeclarationError, Figure, MetricBackend, Snapshot, Surroundings
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory
from oreflow.monitoring.collector import get_metrics_collector
from oreflow.monitoring.declared import DeclaredBackend
from oreflow.monitoring.exporting import Export
from oreflow.monitoring.forking import Lock
from oreflow.monitoring.instruments import label_value
from oreflow.monitoring.patience import created
from oreflow.secrets import followed

AT_THE_END = 1.0
"""Seconds that the end of a process waits for all backends together: the end of each run has waited before."""


@dataclass
class Place:
    """A backend at work: `key` tells it from others, `part` is what it gets of all figures of the process.

    `users` are how many runs are under way that declare it. `is_over` says that the declaration has it no more: it is
    closed when the last of them ends.
    """

    key: str
    surroundings: Surroundings
    can_query: bool
    part: Callable[[Snapshot], Snapshot]
    export: Export
    users: int = 0
    is_over: bool = False


def begin(
    declared: Sequence[DeclaredBackend], factory: ProcessorFactory, surroundings: Surroundings, deadline: float
) -> tuple[list[Place], list[str]]:
    """Have the backends of a pipeline work until the process ends; gives them, and remarks. To be followed by `leave`.

    Those that the pipeline had declared before, and has no more, are closed. All have begun when it returns, or
    it is `deadline`, a time of `time.monotonic()`.

    Raises:
        DeclarationError: its plugin has something against the options of one, or a secret is not there.
        OreflowError: a plugin fails to create one.
    """
    wanted = {_key(each, surroundings): each for each in declared}
    with _changing:
        missing = {key: each for key, each in wanted.items() if key not in _running}
    # Not under the lock: one that hangs where it is created holds up no other run.
    new = {key: _created(each, factory, surroundings, deadline) for key, each in missing.items()}
    remarks = [_late(missing[key]) for key, backend in new.items() if backend is None]
    with _changing:
        remarks += _known(surroundings)
        gone = [each for each in _running.values() if each.surroundings == surroundings and each.key not in wanted]
        over = _over(gone)
        for each in over:
            _running.pop(each.key)
    _end(over, deadline, even_faulty=False)
    with _changing:
        for key, backend in new.items():
            if backend is not None and key not in _running:
                try:
                    _running[key] = _place(key, wanted[key], backend, factory, surroundings)
                except RuntimeError as error:  # there are no more threads to be had
                    remarks.append(f"metrics did not get to {wanted[key].type}: {told(error)}")
        found = [_running[key] for key in wanted if key in _running]
        for each in found:
            each.users += 1
            each.is_over = False
    for each in found:
        each.export.wait_until_open(deadline)
    return found, remarks


def ask(begun: Iterable[Place]) -> list[tuple[Export, int]]:
    """Have all write the figures of now, which are the same for all; gives what to wait for at each."""
    snapshot = get_metrics_collector().snapshot()
    return [(each.export, each.export.ask(each.part(snapshot))) for each in begun]


def leave(begun: Iterable[Place]) -> None:
    """Say that a run is over that they were begun for."""
    with _changing:
        for each in begun:
            each.users -= 1
        over = [each for each in begun if each.is_over and not each.users and each.key in _running]
        for each in over:
            _running.pop(each.key)
    _end(over, 0.0)


def query(aggregation: Aggregation | str, at: float | None = None, *, pipeline: str = "") -> list[Figure]:
    """The figures of an aggregation, one for each group, by a backend of this process that keeps metrics.

    An aggregation may be said as in a declaration: `ratio(records_failed, records_processed) over 15m by pipeline`.
    `at` is the end of its window in seconds since 1970, now where not said. `pipeline` is whose backend is asked; it
    may be left out where those of one pipeline alone are at work.

    Raises:
        ValueError: what is said is no aggregation.
        LookupError: no such backend is at work, or those of several pipelines are.
    """
    if isinstance(aggregation, str):
        from oreflow.monitoring.aggregations import parse_aggregation

        aggregation = parse_aggregation("query", aggregation, get_metrics_collector().full_name)
    places = [each for each in list(_running.values()) if each.can_query]
    names = sorted({each.surroundings.pipeline for each in places})
    if not pipeline and len(names) > 1:
        raise LookupError(f"several pipelines keep metrics in this process, {', '.join(names)}: say pipeline=...")
    places = [each for each in places if pipeline in ("", each.surroundings.pipeline)]
    if not places:
        what = f"no backend of the pipeline {pipeline}" if pipeline else "no backend"
        raise LookupError(
            f"{what} that keeps metrics is at work in this process: a run whose declaration has {{type: memory}}"
        )
    return figures(aggregation, time.time() if at is None else at, places[-1:])


def figures(aggregation: Aggregation, at: float, among: Iterable[Place]) -> list[Figure]:
    """The figures of an aggregation by the first of some backends that keeps metrics; none where none does."""
    asked = next((each.export.backend for each in among if each.can_query), None)
    return list(asked.query(aggregation, at)) if asked else []


def _key(declared: DeclaredBackend, surroundings: Surroundings) -> str:
    """What tells a backend from others: a digest, since its options have their secrets in them."""
    try:
        options = followed(dict(declared.options))
    except DeclarationError as error:
        raise declared.place(error) from error
    about = [declared.type, declared.every, options, str(surroundings)]
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def _created(
    declared: DeclaredBackend, factory: ProcessorFactory, surroundings: Surroundings, deadline: float
) -> MetricBackend | None:
    """A backend; None where its plugin takes too long to create it."""
    create = partial(factory.create_metric_backend, declared.type, declared.options, surroundings)
    backend: MetricBackend | None = created(create, deadline - time.monotonic(), declared.place)
    return backend


def _late(declared: DeclaredBackend) -> str:
    return f"metrics did not get to {declared.type}: it could not be created in time"


def _over(gone: Sequence[Place]) -> list[Place]:
    """Those that nobody uses any more; others are over once their last run is."""
    for each in gone:
        each.is_over = True
    return [each for each in gone if not each.users]


def _known(surroundings: Surroundings) -> list[str]:
    """Remember whose series they are that have the name of this pipeline; a remark where they are another one's too."""
    known = _pipelines.setdefault(label_value(surroundings.pipeline), [])
    if surroundings not in known:
        known.append(surroundings)
    others = [each for each in known if each != surroundings]
    if not others:
        return []
    what = f"this process has run another pipeline called {surroundings.pipeline} ({others[0].folder})"
    return [f"{what}: metrics have the figures of both - give them names of their own, or processes"]


def _place(
    key: str, declared: DeclaredBackend, backend: MetricBackend, factory: ProcessorFactory, surroundings: Surroundings
) -> Place:
    pipeline, collector = label_value(surroundings.pipeline), get_metrics_collector()
    metadata, _ = factory.metric_backends[declared.type]
    failed = collector.counter("exports_failed", {"pipeline": pipeline, "backend": declared.type})

    # Of each type the first pipeline's, for as long as the process lasts: handed on, they would be in two totals.
    with_common = _commons.setdefault(declared.type, surroundings) == surroundings

    part = partial(_of, pipeline, with_common=with_common)
    export = Export(declared.type, backend, declared.every, lambda: part(collector.snapshot()), failed)
    return Place(key, surroundings, metadata.can_query, part, export)


def _of(pipeline: str, snapshot: Snapshot, *, with_common: bool) -> Snapshot:
    """What a pipeline's backends are handed: its own series, and `with_common` those of no pipeline that runs here."""
    known = {("pipeline", name) for name in list(_pipelines)}
    own = ("pipeline", pipeline)
    if with_common and known <= {own}:
        return snapshot
    families = []
    for family in snapshot.families:
        samples = tuple(
            each for each in family.samples if own in each.labels or (with_common and known.isdisjoint(each.labels))
        )
        if samples:
            families.append(replace(family, samples=samples))
    return replace(snapshot, families=tuple(families))


def _end(places: Sequence[Place], deadline: float, *, even_faulty: bool = True) -> None:
    """Close backends, and wait for their end until a time of `time.monotonic()`.

    `even_faulty`: also for those whose last writing has failed, where this is their last chance.
    """
    waited_for = [each for each in places if even_faulty or not each.export.has_failed]
    for each in places:
        each.export.close()
    for each in waited_for:
        each.export.join(deadline)


_running: dict[str, Place] = {}
_pipelines: dict[str, list[Surroundings]] = {}
_commons: dict[str, Surroundings] = {}  # by type of backend, whose has the series that are of no pipeline
_changing = Lock()


@atexit.register
def close() -> None:
    """Close every backend of the process, in `AT_THE_END` seconds."""
    with _changing:
        places = list(_running.values())
        _running.clear()
        _commons.clear()
    with suppress(KeyboardInterrupt):  # whoever waits for it no more
        _end(places, time.monotonic() + AT_THE_END)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)  # their threads are the parent's alone
