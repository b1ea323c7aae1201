"""Choosing a processor: every candidate is judged, and each judgement keeps its reason."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from oreflow.contract import (
    DeclarationError,
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    ProcessorCapability,
    ProcessorMetadata,
)
from oreflow.factory.homes import home_of
from oreflow.quantities import size_text
from oreflow.validation import did_you_mean

_PREFERRED_CAPABILITY, _BUILT_FOR_ENGINE, _BESIDE, _PREFERRED_ENGINE, _STANDARD = 100, 10, 7, 5, 1
"""What counts, and how much: docs/reference/selection.md says the same in words."""


@dataclass(frozen=True)
class Offer:
    """A processor on an engine, under the name by which it can be asked for (`polars_silver`).

    `plugin` is the key of the plugin that brings it; `conflict` says who else brings a processor of its
    name, which makes it one that has to be asked for.
    """

    name: str
    processor: ProcessorMetadata
    engine: str
    capabilities: frozenset[str]
    distribution: str
    plugin: str = ""
    version: str = ""
    conflict: str = ""

    @property
    def origin(self) -> str:
        """The distribution with its version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def answers_to(self, name: str) -> bool:
        """Whether a name asks for it: its own or its processor's, either of them with `distribution:` before it."""
        plain = self.name.removeprefix(f"{self.distribution}:")
        names = {f"{self.distribution}:{plain}", f"{self.distribution}:{self.processor.name}"}
        return name in (names if self.conflict else names | {plain, self.processor.name})


@dataclass(frozen=True)
class Verdict:
    """What became of an offer: its score (None where it does not fit) and why."""

    offer: Offer
    score: int | None
    reason: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Selection:
    """The offer chosen for a table, and the verdict on every candidate, best first."""

    offer: Offer
    reason: str
    candidates: tuple[Verdict, ...]


@dataclass(frozen=True)
class Memory:
    """Bytes of memory that an input may need, by an estimate, and up to how many it is to be done in the process."""

    needed: int = 0
    limit: int = sys.maxsize

    @property
    def fits(self) -> bool:
        """Whether it is to be done in the process."""
        return self.needed <= self.limit

    def __str__(self) -> str:
        return f"about {size_text(self.needed)} of {size_text(self.limit)}"


@dataclass(frozen=True)
class Request:
    """What a processor is wanted for.

    `name` asks for one offer or processor by name; `problems_of` says what an offer has against the
    configuration; `memory` says what the input needs, and what makes `engine: auto` prefer an engine that is
    distributed or out of core; `beside` are the engines that compute on other machines, as the lake is on others;
    `engine: auto` prefers these whatever the size. `speed` gives the rows per second of
    an offer's past runs (None: it has none), which is asked for only where offers are otherwise equal.
    """

    config: ProcessingConfig
    problems_of: Callable[[Offer], Sequence[Problem]]
    required: Sequence[str] = ()
    name: str = ""
    memory: Memory = Memory()
    preferred: Sequence[str] = ()
    speed: Callable[[Offer], float | None] = lambda _: None
    beside: frozenset[str] = frozenset()


def select(offers: Iterable[Offer], request: Request) -> Selection:
    """The best offer for a request.

    Raises:
        DeclarationError: none fits. Where only the options stand in the way, their problems, else
            every candidate's reason.
    """
    verdicts = _ranked(offers, request)
    if not verdicts or verdicts[0].score is None:
        raise DeclarationError(_least_problems(request, verdicts) or [_nothing_fits(request, verdicts)])
    fit = [verdict for verdict in verdicts if verdict.score is not None]
    if len(fit) == 1:
        return Selection(fit[0].offer, _only(request), tuple(verdicts))
    equal = [verdict for verdict in fit if verdict.score == fit[0].score]
    best, reason = _fastest(equal, request)
    others = [verdict for verdict in verdicts if verdict.offer is not best.offer]
    won = replace(best, reason=", ".join(part for part in (best.reason, reason) if part))
    return Selection(won.offer, won.reason, (won, *others))


def _only(request: Request) -> str:
    able = f" and can do {', '.join(request.required)}" if request.required else ""
    return f"the only one that fits{able}"


def _fastest(equal: list[Verdict], request: Request) -> tuple[Verdict, str]:
    """Of equal offers the one that did most rows in a second, where all have been tried; else the first by name."""
    if len(equal) == 1:
        return equal[0], ""
    speeds = [request.speed(verdict.offer) for verdict in equal]
    known = [speed for speed in speeds if speed is not None]
    if len(known) < len(speeds) or len(set(known)) == 1:
        return equal[0], "first by name"
    best = max(known)
    return equal[speeds.index(best)], f"fastest so far, {best:,.0f} rows/s"


def option_problems(offers: Iterable[Offer], request: Request) -> Sequence[Problem]:
    """What is wrong with the options of a request, if nothing but they keep every offer from fitting."""
    verdicts = _ranked(offers, request)
    return () if verdicts and verdicts[0].score is not None else _least_problems(request, verdicts)


def _ranked(offers: Iterable[Offer], request: Request) -> list[Verdict]:
    verdicts = [_judge(offer, request) for offer in offers]
    return sorted(
        verdicts,
        key=lambda v: (v.score is None, not v.problems, -(v.score or 0), v.offer.processor.name, v.offer.name),
    )


def _least_problems(request: Request, verdicts: list[Verdict]) -> tuple[Problem, ...]:
    """The problems of the candidate that is most likely meant: the one that knows the most of the table's keys."""
    near = [verdict for verdict in verdicts if verdict.problems]
    standard = request.config.stage.value

    def distance(verdict: Verdict) -> tuple[int, bool, int]:
        known = verdict.offer.processor.option_schema.get("properties", {})
        unknown = sum(key not in known for key in request.config.options)
        return unknown, verdict.offer.processor.name != standard, len(verdict.problems)

    near.sort(key=distance)
    return near[0].problems if near else ()


def _judge(offer: Offer, request: Request) -> Verdict:
    if obstacle := _obstacle(offer, request):
        return Verdict(offer, None, obstacle)
    if problems := tuple(request.problems_of(offer)):
        return Verdict(offer, None, f"its options do not fit: {problems[0].message}", problems)
    score, reasons = 0, []
    if wanted := [str(name) for name in request.preferred if name in offer.capabilities]:
        score += _PREFERRED_CAPABILITY * len(wanted)
        reasons.append(f"can do {', '.join(wanted)}, as preferred")
    automatic = request.config.engine == ProcessingEngine.AUTO.value
    if request.name:
        reasons.append("asked for by name")
    elif not automatic:
        reasons.append(f"{offer.engine} was asked for")
    if offer.processor.engine == offer.engine:
        score += _BUILT_FOR_ENGINE
        reasons.append("built for this engine")
    if offer.processor.name == request.config.stage.value:
        score += _STANDARD
        reasons.append(f"standard for {request.config.stage.value}")
    if automatic:
        points, reason = _fit(offer, request.memory, beside=offer.engine in request.beside)
        score += points
        reasons.append(reason)
    return Verdict(offer, score, ", ".join(reasons))


def _fit(offer: Offer, memory: Memory, *, beside: bool) -> tuple[int, str]:
    if beside:
        return _BESIDE, f"lake and engine are both on other machines ({memory})"
    if not memory.fits:
        for capability in (ProcessorCapability.DISTRIBUTED, ProcessorCapability.OUT_OF_CORE):
            if capability in offer.capabilities:
                points = _PREFERRED_ENGINE + (capability is ProcessorCapability.DISTRIBUTED)
                return points, f"input larger than memory ({memory}), engine {capability.value}"
        return 0, f"input larger than memory ({memory}), which this engine needs to hold it"
    if ProcessorCapability.IN_PROCESS in offer.capabilities:
        return _PREFERRED_ENGINE, f"input fits in memory ({memory}), engine in process"
    return 0, f"input fits in memory ({memory}), engine has to be started"


def _obstacle(offer: Offer, request: Request) -> str:
    config = request.config
    if request.name and not offer.answers_to(request.name):
        contested = offer.conflict and request.name == offer.processor.name
        return offer.conflict if contested else f"'{request.name}' was asked for"
    if config.stage not in offer.processor.supported_stages:
        stages = ", ".join(stage.value for stage in offer.processor.supported_stages)
        return f"is for {stages}, not {config.stage.value}"
    if config.engine not in (ProcessingEngine.AUTO.value, offer.engine):
        return f"runs on {offer.engine}, {config.engine} was asked for"
    missing = [str(capability) for capability in request.required if capability not in offer.capabilities]
    if missing:
        return f"is not able to do: {', '.join(missing)}"
    return "" if request.name else offer.conflict


def engine_mend(name: str, engines: Iterable[str]) -> str:
    """What to do where there is no engine of a name: install it where the host knows whose it is, else choose."""
    if home := home_of("engine", name):
        return f"install the engine (pip install {home}) or choose {', '.join(sorted(engines))}"
    return did_you_mean(name, [ProcessingEngine.AUTO.value, *engines])


def _nothing_fits(request: Request, verdicts: list[Verdict]) -> Problem:
    config, name = request.config, request.name
    asked = f"processor '{name}'" if name else f"processor for {config.stage.value}"
    engine = "" if config.engine == ProcessingEngine.AUTO.value else f" on {config.engine}"
    if not verdicts:
        return Problem(f"there is no {asked}{engine}", mend='install one: pip install "oreflow[polars]"')
    engines = {verdict.offer.engine for verdict in verdicts}
    if engine and config.engine not in engines:
        return Problem(f"there is no {asked}{engine}", mend=engine_mend(config.engine, engines))
    reasons = "; ".join(f"{verdict.offer.name} {verdict.reason}" for verdict in verdicts)
    return Problem(f"no {asked}{engine} fits: {reasons}", mend="see `oreflow plugins` for what is installed")
