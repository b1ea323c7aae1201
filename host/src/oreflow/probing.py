"""Whether a run of a pipeline would go well: what it needs, looked at side by side and for so long at the most.

Statuses are those of the draft "Health Check Response Format for HTTP APIs" (draft-inadarei-api-health-check): `pass`,
`warn`, `fail`.
"""

from __future__ import annotations

import copy
import os
import queue
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from oreflow.alerting.declared import DeclaredChannel
from oreflow.config.layers import choose_environment
from oreflow.config.settings import read_settings
from oreflow.config.stored import opened
from oreflow.contract import (
    DeclarationError,
    Doubt,
    HealthCheck,
    OreflowError,
    Problem,
    ProcessingEngine,
    ProcessorCapability,
    StoreAway,
    Surroundings,
    TraceBackend,
)
from oreflow.contract.errors import told
from oreflow.factory import ProcessorFactory, answers
from oreflow.monitoring.declared import DeclaredBackend
from oreflow.monitoring.patience import created
from oreflow.pipeline.batches import listed_files
from oreflow.pipeline.history import Ages
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.model import Pipeline, Source, TableSpec
from oreflow.quantities import size_text, time_text
from oreflow.secrets import followed, followed_address, redacted
from oreflow.validation import did_you_mean


@dataclass(frozen=True)
class CheckResult:
    """What a check has found: `status` is `pass`, `warn` or `fail`, `seconds` how long it took."""

    name: str
    status: str
    seconds: float
    reason: str


@dataclass(frozen=True)
class HealthReport:
    """All checks of a pipeline; `status` is the worst of theirs, `at` when they were made (ISO 8601)."""

    status: str
    pipeline: str
    at: str
    checks: tuple[CheckResult, ...]

    @property
    def is_ready(self) -> bool:
        """Whether a run may be started: nothing that it needs is missing."""
        return self.status != "fail"

    def to_dict(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)


_WORST = ("fail", "warn", "pass")
_Kept = tuple[float, CheckResult]
_kept: dict[tuple[Path, str, str], _Kept] = {}


def examine(
    pipeline: Pipeline, factory: ProcessorFactory, patterns: Sequence[str] = (), max_age: float = 0.0
) -> HealthReport:
    """Look at all that a pipeline needs, or at checks whose names match one of some patterns (`engine *`).

    What was found within the last `max_age` seconds of this process is not looked at anew.

    Raises:
        DeclarationError: no check matches a pattern.
    """
    there = checks(pipeline, factory)
    wanted = [each for each in there if not patterns or any(fnmatchcase(each.name, each_) for each_ in patterns)]
    for pattern in patterns:
        if not any(fnmatchcase(each.name, pattern) for each in wanted):
            mend = did_you_mean(pattern, [each.name for each in there])
            raise DeclarationError([Problem(f"there is no check '{pattern}'", mend=mend)])
    now = time.monotonic()
    keys = {each.name: (pipeline.lake, pipeline.name, each.name) for each in wanted}
    young = {name: _kept[key] for name, key in keys.items() if key in _kept and now - _kept[key][0] < max_age}
    found = _look([each for each in wanted if each.name not in young], pipeline.health.timeout)
    for name, result in found.items():
        _kept[keys[name]] = time.monotonic(), result
    results = tuple(found.get(each.name) or young[each.name][1] for each in wanted)
    status = next((each for each in _WORST if any(result.status == each for result in results)), "pass")
    return HealthReport(status, pipeline.name, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", results)


def checks(pipeline: Pipeline, factory: ProcessorFactory) -> list[HealthCheck]:
    """What there is to look at: the lake, sources, engines, plugins, places, freshness, and what plugins add."""
    lake = Lake(pipeline.lake)
    engines = _engines(pipeline, factory)
    found = [
        HealthCheck("lake", partial(_writable, pipeline.lake)),
        HealthCheck("disk", partial(_room, pipeline.lake, pipeline.health.free_space)),
        HealthCheck("plugins", partial(_sound, factory)),
    ]
    sources = {table.source.name: table.source for table in pipeline.tables if table.source}
    found += [HealthCheck(f"source {name}", partial(_listed, pipeline.project, each)) for name, each in sources.items()]
    found += [HealthCheck(f"engine {name}", partial(_computes, factory, name, said)) for name, said in engines.items()]
    environment = choose_environment(pipeline.config.environment, os.environ)
    if address := read_settings(pipeline.project, environment, os.environ).store:
        found.append(HealthCheck("config store", partial(_answers, address, pipeline.config.name, factory)))
    found += [HealthCheck(each.name, partial(_can_be_had, each)) for each in _places(pipeline, factory)]
    if pipeline.share:
        found.append(HealthCheck("breaker board", partial(_board_can_be_had, factory, pipeline.share)))
    for name, age in pipeline.health.freshness.items():
        found.append(HealthCheck(f"freshness {name}", partial(_fresh, lake, factory, pipeline.table(name), age)))
    about = {
        "surroundings": pipeline.surroundings("plugins"),
        "engines": engines,
        "sections": copy.deepcopy(pipeline.sections),
    }
    for plugin, answer in answers(factory.hooks, "health_checks", bounded=True, **about):
        found += _of_plugin(f"{factory.plugin(plugin)}", answer)
    return found


def _of_plugin(who: str, answer: Any) -> list[HealthCheck]:
    """The checks that a plugin adds; one that fails to say them is a check that fails."""
    if answer is None:
        return []
    if isinstance(answer, Sequence) and all(isinstance(each, HealthCheck) for each in answer):
        return list(answer)
    why = told(answer) if isinstance(answer, BaseException) else f"it answers {answer!r}"

    def fail() -> str:
        raise OreflowError(f"{who} cannot say what is to be looked at: {why} - tell its author")

    return [HealthCheck(f"checks of {who}", fail)]


def _look(wanted: Sequence[HealthCheck], timeout: float) -> dict[str, CheckResult]:
    """What checks find, each on a thread of its own that is left behind where it takes too long."""
    done: queue.SimpleQueue[CheckResult] = queue.SimpleQueue()
    start = time.monotonic()
    for each in wanted:
        threading.Thread(target=_work, args=(each, done.put), name=f"oreflow-{each.name}", daemon=True).start()
    found: dict[str, CheckResult] = {}
    while len(found) < len(wanted) and (left := start + timeout - time.monotonic()) > 0:
        try:
            result = done.get(timeout=left)
        except queue.Empty:
            break
        found[result.name] = result
    late = f"it has not answered in {timeout:g} s"
    return {each.name: found.get(each.name, CheckResult(each.name, "fail", timeout, late)) for each in wanted}


def _work(check: HealthCheck, done: Callable[[CheckResult], None]) -> None:
    start = time.perf_counter()
    try:
        status, reason = "pass", str(check.look() or "")
    except Doubt as doubt:
        status, reason = "warn", str(doubt)
    except BaseException as error:  # on a thread of its own nobody else would hear of it
        text = told(error)
        status, reason = "fail", text.partition(": ")[2] if isinstance(error, OreflowError) and ": " in text else text
    done(CheckResult(check.name, status, round(time.perf_counter() - start, 3), str(redacted(reason))))


# What is looked at


def _writable(lake: Path) -> str:
    """Write a file where a run would."""
    folder = lake / "_oreflow" / "runs"
    there = next(each for each in (folder, *folder.parents) if each.exists())
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(b"oreflow")
        file.flush()
    return f"{lake} can be written" if folder == there else f"{lake} can be made"


def _room(lake: Path, wanted: int) -> str:
    there = next(each for each in (lake, *lake.parents) if each.exists())
    free = shutil.disk_usage(there).free
    what = f"{size_text(free)} are free"
    if free < wanted:
        raise Doubt(f"{what}, fewer than {size_text(wanted)}")
    return what


def _sound(factory: ProcessorFactory) -> str:
    if factory.missing:
        raise Doubt("; ".join(f"{plugin} is broken: {plugin.reason} - {plugin.mend}" for plugin in factory.missing))
    return f"{sum(plugin.status == 'ok' for plugin in factory.plugins)} are sound"


def _listed(project: Path, source: Source) -> str:
    files = listed_files(project, source)
    if files is None:
        raise Doubt(f"the folder of {source.path} is not there: nothing is new")
    return "1 file" if len(files) == 1 else f"{len(files):,} files"


def _engines(pipeline: Pipeline, factory: ProcessorFactory) -> dict[str, Mapping[str, Any]]:
    """The engines that tables may be made on: `auto` is those within the process, as far as there are any."""
    named = {table.engine for table in pipeline.tables}
    if ProcessingEngine.AUTO.value in named:
        named.remove(ProcessingEngine.AUTO.value)
        within = ProcessorCapability.IN_PROCESS.value
        near = {name for name, (metadata, _) in factory.engines.items() if within in map(str, metadata.capabilities)}
        named |= near or set(factory.engines)
    return {name: pipeline.engines.get(name, {}) for name in sorted(named)}


def _computes(factory: ProcessorFactory, name: str, options: Mapping[str, Any]) -> str:
    """Have an engine compute something, for which it has to start."""
    engine = factory.create_engine(name, options)
    found = engine.execute({}, {"sum": engine.sql("select 1 + 1 as two", {})}).collected["sum"]
    if [dict(row) for row in found] != [{"two": 2}]:
        raise OreflowError(f"1 + 1 is {found!r} on it")
    return f"{factory.origin('engine', name)} computes"


@dataclass(frozen=True)
class _Place:
    """A place that a declaration has things sent to, by what a plugin creates; `origin` says which plugin's it is."""

    name: str
    declared: DeclaredBackend | DeclaredChannel
    create: Callable[..., Any]
    surroundings: Surroundings
    origin: str

    def made(self) -> None:
        """Create it, for which its secrets have to be there, and let it go; nothing is connected to.

        Raises:
            DeclarationError: a secret is not there, or its plugin has something against its options.
            Exception: its plugin fails to create it.
        """
        found = self.create(self.declared.type, self.declared.options, self.surroundings)
        if isinstance(found, TraceBackend):  # which has threads from the beginning
            found.close()


def _places(pipeline: Pipeline, factory: ProcessorFactory) -> Iterator[_Place]:
    """The backends of monitoring and the channels of alerts."""
    monitoring, alerting = pipeline.monitoring, pipeline.alerting
    backends = [
        ("metric backend", (monitoring and monitoring.metrics) or (), factory.create_metric_backend),
        ("trace backend", (monitoring and monitoring.traces) or (), factory.create_trace_backend),
    ]
    for what, declared, create in backends:
        seen: Counter[str] = Counter()
        for each in declared:
            seen[each.type] += 1
            number = f" {seen[each.type]}" if seen[each.type] > 1 else ""
            about = create, pipeline.surroundings("monitoring"), factory.origin(what, each.type)
            yield _Place(f"{what} {each.type}{number}", each, *about)
    for channel in alerting.channels if alerting else ():
        what = "alert channel"
        about = factory.create_alert_channel, pipeline.surroundings("alerts"), factory.origin(what, channel.type)
        yield _Place(f"{what} {channel.name}", channel, *about)


def _can_be_had(place: _Place) -> str:
    place.made()
    return f"{place.declared.type}, by {place.origin}"


def _board_can_be_had(factory: ProcessorFactory, share: str) -> str:
    """Create the board by which processes share breakers; nothing is connected to."""
    kind = share.partition(":")[0]
    factory.create_breaker_board(kind, followed_address(share)).close()
    return f"{kind}, by {factory.origin('breaker board', kind)}"


def refused(pipeline: Pipeline, factory: ProcessorFactory) -> Iterator[Problem]:
    """What plugins have against the options of backends and channels, as far as the secrets of these are there.

    Whoever checks a declaration need not have them. One that a plugin fails to create, or not in time, is a remark of
    a run, and no mistake.
    """
    for each in _places(pipeline, factory):
        try:
            followed(dict(each.declared.options))
        except DeclarationError:
            continue
        try:
            created(each.made, pipeline.health.timeout, each.declared.place)
        except DeclarationError as error:
            yield from error.problems
        except OreflowError:
            continue


def _answers(address: str, name: str, factory: ProcessorFactory) -> str:
    try:
        with opened(address, factory) as store:
            found = store.fetch(name)
    except StoreAway as error:
        raise Doubt(f"{error}; runs go by what this machine had of it last") from error
    return f"it has version {found.version} of '{name}'" if found else f"it says nothing of '{name}'"


def _fresh(lake: Lake, factory: ProcessorFactory, table: TableSpec, most: float) -> str:
    age = Ages(lake, "", factory.create_table_format).since_batch(table.name)
    if age is None:
        raise OreflowError("it has no batch yet")
    what = f"its last batch is {time_text(timedelta(seconds=int(age)))} old"
    if age > most:
        raise OreflowError(f"{what}, more than {time_text(timedelta(seconds=most))}")
    return what
