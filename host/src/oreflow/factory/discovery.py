"""Finding plugins, and keeping a broken one from doing harm.

Entry points are read with the standard library: stevedore, which would be the usual choice, loses the
distribution behind an entry point (so that no message could name the package to mend), lets some
exceptions of a plugin through, and costs more than the rest of `oreflow plugins` together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import SimpleNamespace
from typing import Any

import pluggy

from oreflow import hookspecs
from oreflow.contract import API_VERSION, ProcessingConfig, Processor, ProcessorMetadata

GROUP = "oreflow.plugins"


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry point's name, its distribution, and why it is broken, if it is."""

    name: str
    distribution: str
    version: str
    broken: str = ""


def new_plugin_manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks and the host's own part in them, and no plugin yet."""
    manager = pluggy.PluginManager("oreflow")
    manager.add_hookspecs(hookspecs)
    manager.register(_HostPlugin(), "oreflow")
    return manager


class _HostPlugin:
    """The innermost `run_step`, around which the wrappers of plugins lie."""

    @hookspecs.hookimpl(trylast=True)
    def run_step(self, step: Any, call: Any) -> Any:
        return call()


def discover(manager: pluggy.PluginManager) -> list[Plugin]:
    """Register every installed plugin; a broken one is listed with its reason and left out."""
    found = []
    for point in sorted(set(entry_points(group=GROUP)), key=lambda p: (p.dist.name if p.dist else "", p.name)):
        distribution, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
        reason = _register(manager, point, f"{distribution}:{point.name}")
        found.append(Plugin(point.name, distribution, version, reason))
    return found


def _register(manager: pluggy.PluginManager, point: EntryPoint, name: str) -> str:
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:
        return f"cannot be imported: {type(error).__name__}: {error}"
    plugin = _with_hooks(plugin() if isinstance(plugin, type) else plugin)
    api = getattr(plugin, "oreflow_api", None)
    if api != API_VERSION:
        older = isinstance(api, int) and api < API_VERSION
        mend = "upgrade the plugin" if older or api is None else "upgrade oreflow"
        return f"is written for API {api}, this oreflow has {API_VERSION}: {mend}"
    try:
        manager.register(plugin, name)
    except Exception as error:
        return f"cannot be registered: {error}"
    if unknown := _unknown_hook(manager, plugin):
        manager.unregister(plugin)
        return unknown
    return ""


def _unknown_hook(manager: pluggy.PluginManager, plugin: Any) -> str:
    hooks = {name: caller for name, caller in vars(manager.hook).items() if not name.startswith("_")}
    known = [name for name, caller in hooks.items() if caller.has_spec()]
    for name, caller in hooks.items():
        if not caller.has_spec() and any(impl.plugin is plugin for impl in caller.get_hookimpls()):
            close = difflib.get_close_matches(name, known, 1)
            hint = f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(sorted(known))}"
            return f"implements a hook that does not exist, '{name}'{hint}"
    return ""


def _with_hooks(plugin: Any) -> Any:
    """A plugin in its simplest form (metadata, create_processor, validate_config) as one with hooks."""
    metadata = getattr(plugin, "metadata", None)
    return as_hooks(plugin, metadata) if isinstance(metadata, ProcessorMetadata) else plugin


def as_hooks(plugin: Any, metadata: ProcessorMetadata) -> Any:
    """Hook implementations for an object with `create_processor(config)` and `validate_config(config)`."""

    @hookspecs.hookimpl
    def processors() -> list[ProcessorMetadata]:
        return [metadata]

    @hookspecs.hookimpl
    def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
        return plugin.create_processor(config) if name == metadata.name else None

    @hookspecs.hookimpl
    def validate_config(name: str, config: ProcessingConfig) -> list[Any]:
        if name != metadata.name or not hasattr(plugin, "validate_config"):
            return []
        answer = plugin.validate_config(config)
        if isinstance(answer, bool):
            return [] if answer else [f"the plugin of '{metadata.name}' refuses this configuration"]
        return list(answer or ())

    return SimpleNamespace(
        oreflow_api=getattr(plugin, "oreflow_api", API_VERSION),
        processors=processors,
        create_processor=create_processor,
        validate_config=validate_config,
    )


def answers(manager: pluggy.PluginManager, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
    """Each plugin's answer to a hook, by the plugin's name; an error is an answer too.

    Each implementation is called by itself, since one that raises would otherwise discard the
    answers of all the others.
    """
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        try:
            yield implementation.plugin_name, implementation.function(*[arguments[a] for a in implementation.argnames])
        except (Exception, SystemExit) as error:
            yield implementation.plugin_name, error
