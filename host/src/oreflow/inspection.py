"""What people ask about plugins: what one brings, how it has done, and what is wrong with those that are here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any, Protocol

from oreflow.contract import (
    AlertChannelMetadata,
    BreakerBoardMetadata,
    ConfigStoreMetadata,
    DeclarationError,
    EngineMetadata,
    MetricBackendMetadata,
    Problem,
    ProcessingEngine,
    ProcessingStage,
    ProcessorMetadata,
    SectionMetadata,
    TableFormatMetadata,
    TraceBackendMetadata,
)
from oreflow.factory import PROJECT_FILE, VARIABLE, Plugin, ProcessorFactory, Profile

_SLOW = 0.1
"""Seconds of CPU; the host itself, with all that it imports, takes about as long to say what is installed."""

_MEASURE = """
import json, sys, time, oreflow.contract, oreflow.hookspecs, importlib
before, start = set(sys.modules), time.process_time()
try:
    importlib.import_module(sys.argv[1])
except BaseException:
    pass
seconds = time.process_time() - start
names = [name.partition(".")[0] for name in set(sys.modules) - before]
sys.stderr.write("\\n" + json.dumps([seconds, sorted(set(names), key=lambda name: -names.count(name))]))
sys.stderr.flush()
"""


def describe(factory: ProcessorFactory, plugin: Plugin) -> dict[str, Any]:
    """A plugin in one line of a list: what it is, what it brings, and what is wrong with it."""
    items = [item for found in (plugin.brings or {}).values() for item in found]
    processors = [item for item in items if isinstance(item, ProcessorMetadata)]
    engines = [item.name for item in items if isinstance(item, EngineMetadata)]
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "reason": plugin.reason,
        "mend": plugin.mend,
        "notes": list(plugin.notes),
        "brings": [f"{_kind(item)} {item.name}" for item in items],
        "stages": [s.value for s in ProcessingStage if any(s in p.supported_stages for p in processors)],
        "engines": sorted({*engines, *(name for p in processors for name in _engines_of(p, factory))}),
        "capabilities": sorted({str(c) for item in items for c in getattr(item, "capabilities", ())}),
        "hooks": list(plugin.hooks),
    }


def show(factory: ProcessorFactory, name: str, profiles: Mapping[str, Profile]) -> dict[str, Any]:
    """A plugin by its name, its distribution's, or that of something that it brings; with all that it says.

    Raises:
        DeclarationError: there is none.
    """
    plugin = _find(factory, name)
    about = describe(factory, plugin)
    items = [item for found in (plugin.brings or {}).values() for item in found]
    about["processors"] = [
        _processor(factory, plugin, item, profiles) for item in items if isinstance(item, ProcessorMetadata)
    ]
    about["others"] = [
        {
            "kind": _kind(item),
            "name": item.name,
            "description": _description(item),
            "options": _options(getattr(item, "option_schema", {})),
        }
        for item in items
        if not isinstance(item, ProcessorMetadata)
    ]
    return about


def _description(item: Any) -> str:
    return str(getattr(item, "description", "") or (type(item).__doc__ or "").partition("\n")[0])


def _find(factory: ProcessorFactory, name: str) -> Plugin:
    found = [plugin for plugin in factory.plugins if name in (plugin.name, plugin.distribution, plugin.key)]
    found = found or [factory.plugin(offer.plugin) for offer in factory.offers if offer.answers_to(name)]
    if not found:
        brought = {
            item.name: plugin
            for plugin in factory.plugins
            for items in (plugin.brings or {}).values()
            for item in items
        }
        if name not in brought:
            from oreflow.validation import did_you_mean

            known = {plugin.name for plugin in factory.plugins} | set(brought)
            raise DeclarationError([Problem(f"there is no plugin '{name}'", mend=did_you_mean(name, known))])
        found = [brought[name]]
    return found[0]


def _kind(item: Any) -> str:
    if isinstance(item, ProcessorMetadata):
        return "processor"
    kinds = {EngineMetadata: "engine", TableFormatMetadata: "table format", ConfigStoreMetadata: "config store"}
    kinds |= {BreakerBoardMetadata: "breaker board", SectionMetadata: "section"}
    kinds |= {MetricBackendMetadata: "metric backend", TraceBackendMetadata: "trace backend"}
    kinds |= {AlertChannelMetadata: "alert channel"}
    return next((word for kind, word in kinds.items() if isinstance(item, kind)), "check")


def _engines_of(metadata: ProcessorMetadata, factory: ProcessorFactory) -> list[str]:
    return list(factory.engines) if metadata.engine == ProcessingEngine.ANY.value else [str(metadata.engine)]


def _processor(
    factory: ProcessorFactory, plugin: Plugin, metadata: ProcessorMetadata, profiles: Mapping[str, Profile]
) -> dict[str, Any]:
    offers = [o for o in factory.offers if o.plugin == plugin.key and o.processor is metadata]
    return {
        "name": metadata.name,
        "version": metadata.version,
        "description": metadata.description,
        "engine": metadata.engine,
        "stages": [stage.value for stage in metadata.supported_stages],
        "capabilities": [str(each) for each in metadata.capabilities],
        "offers": [offer.name for offer in offers],
        "options": _options(metadata.option_schema),
        "example": dict(metadata.example.get("options", {})),
        "profile": {offer.name: profiles[offer.name].to_dict() for offer in offers if offer.name in profiles},
    }


def _options(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What can be said under each key of a schema."""
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "type": _type(option),
            "required": name in required,
            "default": option.get("default") if isinstance(option, dict) else None,
            "description": option.get("description", "") if isinstance(option, dict) else "",
        }
        for name, option in schema.get("properties", {}).items()
    ]


def _type(schema: Any) -> str:
    if not isinstance(schema, Mapping):  # true: anything
        return "any"
    if "enum" in schema:
        return " | ".join(str(each) for each in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " | ".join(_type(each) for each in schema[key])
    of_type = schema.get("type", "any")
    names = " | ".join(of_type) if isinstance(of_type, list) else str(of_type)
    return f"array of {_type(schema['items'])}" if names == "array" and "items" in schema else names


class Judgement(Protocol):
    """What the conformance kit (oreflow-testkit) says of one check of a processor on an engine."""

    check: str
    proves: str
    engine: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong here, and the command that mends it. `harms`: what it stands for does not work."""

    subject: str
    problem: str
    mend: str
    harms: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The finding for `oreflow plugins doctor --json`."""
        return asdict(self)


def examine(factory: ProcessorFactory) -> Iterator[Finding]:
    """All that is wrong with what is installed."""
    for plugin in factory.plugins:
        if plugin.status == "broken":
            yield Finding(plugin.origin, plugin.reason, plugin.mend)
        elif plugin.status == "ok":
            for note in plugin.notes:
                mend = "tell its author" if "is brought by" not in note else f"pip uninstall {plugin.distribution}"
                yield Finding(plugin.origin, note, mend, harms=False)
            yield from _slow(plugin)
    for name in dict.fromkeys(p.distribution for p in factory.plugins if p.distribution != PROJECT_FILE):
        yield from _unmet(name)
    yield from _lacking(factory)
    known = [name for plugin in factory.plugins for name in (plugin.name, plugin.distribution)]
    for name in factory.policy.unknown(known):
        yield Finding(VARIABLE, f"names '{name}', which is not installed", f"take '{name}' out of it", harms=False)


def _slow(plugin: Plugin) -> Iterator[Finding]:
    """Whether its import costs every command time; in a process of its own, since what is loaded costs nothing."""
    if plugin.distribution == PROJECT_FILE:
        return
    try:
        measured = subprocess.run(  # noqa: S603  this interpreter, and a module's name that an entry point gave
            [sys.executable, "-c", _MEASURE, plugin.module],
            capture_output=True, text=True, timeout=60, check=False, env=os.environ,
        )  # fmt: skip
        seconds, names = json.loads(measured.stderr.rpartition("\n")[2])
    except (subprocess.TimeoutExpired, ValueError):
        return  # it worked before; why it does not now is no matter of speed
    if seconds > _SLOW:
        own = plugin.module.partition(".")[0]
        heavy = ", ".join(name for name in names if name != own and not name.startswith("_"))[:60]
        problem = f"slow: importing it takes {seconds:.2f} s of CPU in every command, for {heavy}"
        mend = "its author has to import these where they are used, in create_processor"
        yield Finding(plugin.origin, problem, f"{mend}; until then {VARIABLE}=-{plugin.distribution}", harms=False)


def _unmet(name: str) -> Iterator[Finding]:
    """The requirements of a distribution that are missing or have another version."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requires = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(name, f"requires {wanted}, which is not installed", f'pip install "{wanted}"')
            continue
        if not requirement.specifier.contains(there, prereleases=True):
            yield Finding(name, f"requires {wanted}, and {there} is installed", f'pip install "{wanted}"')


def _lacking(factory: ProcessorFactory) -> Iterator[Finding]:
    stages: Iterable[str] = (
        stage.value
        for stage in ProcessingStage
        if not any(stage in metadata.supported_stages for metadata, _ in factory.processors.values())
    )
    missing = [f"processor for {stage}" for stage in stages]
    missing += [] if factory.engines else ["engine"]
    missing += [] if factory.table_formats else ["table format"]
    if missing:
        problem = f"there is no {', no '.join(missing)}, so that no pipeline can run"
        yield Finding("oreflow", problem, 'pip install "oreflow[polars]"')
