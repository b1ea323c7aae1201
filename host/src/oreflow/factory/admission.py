"""Letting a plugin in: it is imported, registered and asked what it brings, or told to be broken with the reason.

A plugin is whole or it is broken: of one that cannot be imported, registered or described nothing stays.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import Distribution
from typing import Any

import pluggy

from oreflow.contract import (
    API_VERSION,
    AlertChannelMetadata,
    BreakerBoardMetadata,
    CheckType,
    ConfigStoreMetadata,
    EngineMetadata,
    HookDeprecation,
    InvalidMetadata,
    MetricBackendMetadata,
    ProcessorMetadata,
    SectionMetadata,
    TableFormatMetadata,
    TraceBackendMetadata,
)
from oreflow.contract.errors import told
from oreflow.factory import guard
from oreflow.factory.faults import RefusedError, explain, unknown_hook, wrong_api, wrong_signature
from oreflow.factory.hooks import implementation_of
from oreflow.factory.plugin import Plugin, plain
from oreflow.factory.policy import Policy
from oreflow.factory.simple import hooks_for

DESCRIPTIONS: Mapping[str, type] = {
    "processors": ProcessorMetadata,
    "engines": EngineMetadata,
    "table_formats": TableFormatMetadata,
    "check_types": CheckType,
    "config_stores": ConfigStoreMetadata,
    "breaker_boards": BreakerBoardMetadata,
    "sections": SectionMetadata,
    "metric_backends": MetricBackendMetadata,
    "trace_backends": TraceBackendMetadata,
    "alert_channels": AlertChannelMetadata,
}
"""The hooks by which a plugin says what it brings, with the type of what they answer."""
_Brings = Mapping[str, Sequence[Any]]


def admit(
    manager: pluggy.PluginManager,
    policy: Policy,
    plugin: Plugin,
    load: Callable[[], Any],
    distribution: Distribution | None = None,
) -> Plugin:
    """Import a plugin by `load` and register it; gives it with what it brings, or with why it is not there."""
    if refusal := policy.refusal(plugin.distribution, plugin.name):
        return replace(plugin, status="disabled", reason=refusal)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        # Registered here and not in the thread: what hangs there for now would come to life later.
        loaded = guard.call(lambda: _loaded(plugin, load))
        described = _described(manager, plugin, loaded)
    notes = [f"prints while it is loaded: '{_first_line(text)}'"] if (text := described.printed.strip()) else []
    old = [str(warning.message) for warning in raised if issubclass(warning.category, HookDeprecation)]
    for each in old:
        warnings.warn(f"{plugin}: {each}", HookDeprecation, stacklevel=2)  # pluggy's own does not name the plugin
    plugin = replace(plugin, seconds=described.seconds, notes=tuple(dict.fromkeys([*notes, *old])))
    try:
        brings = described.result()
    except BaseException as error:
        if manager.has_plugin(plugin.key):
            manager.unregister(name=plugin.key)
        reason, mend = explain(error, plugin, distribution)
        return replace(plugin, status="broken", reason=plain(reason), mend=plain(mend))
    hooks = _hooks_of(manager, plugin.key)
    unmarked = _unmarked(manager, loaded.result())
    return replace(plugin, brings=brings, hooks=hooks, notes=(*plugin.notes, *unmarked))


def _first_line(text: str) -> str:
    return text.splitlines()[0][:60]


def _loaded(plugin: Plugin, load: Callable[[], Any]) -> Any:
    """Import a plugin; one in its simplest form (metadata, create_processor, validate_config) is given hooks."""
    loaded = load()
    loaded = loaded() if isinstance(loaded, type) else loaded
    metadata = _told_by("its metadata", lambda: getattr(loaded, "metadata", None))
    if isinstance(metadata, ProcessorMetadata):
        loaded = hooks_for([(loaded, metadata)], getattr(loaded, "oreflow_api", API_VERSION))
    api = getattr(loaded, "oreflow_api", None)
    if api != API_VERSION:
        raise wrong_api(api, plugin)
    return loaded


def _described(manager: pluggy.PluginManager, plugin: Plugin, loaded: guard.Outcome[Any]) -> guard.Outcome[_Brings]:
    """Register what became of an import, and ask it what it brings; `printed` and `seconds` are those of both."""

    def fault(error: BaseException) -> guard.Outcome[_Brings]:
        return guard.Outcome(None, error, loaded.printed, loaded.seconds)

    if loaded.error is not None:
        return fault(loaded.error)
    try:
        manager.register(loaded.value, plugin.key)
        unknown = unknown_hook(manager, loaded.value)
    except pluggy.PluginValidationError as error:
        return fault(RefusedError(wrong_signature(error)))
    except Exception as error:
        return fault(error)
    if unknown:
        return fault(RefusedError(unknown))
    said = guard.call(lambda: {hook: _answer(manager, plugin, hook) for hook in DESCRIPTIONS})
    return guard.Outcome(said.value, said.error, loaded.printed + said.printed, loaded.seconds + said.seconds)


def _answer(manager: pluggy.PluginManager, plugin: Plugin, hook: str) -> Sequence[Any]:
    implementation = implementation_of(manager, hook, plugin.key)
    if implementation is None:
        return ()
    answer = _told_by(f"its {hook}", implementation.function)
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        raise RefusedError(f"its {hook} answers {answer!r} where a list is expected")
    kind = DESCRIPTIONS[hook]
    for item in answer:
        if not isinstance(item, kind):
            raise RefusedError(f"its {hook} has {item!r} where {kind.__name__} is expected")
    return tuple(answer)


def _told_by(what: str, ask_for: Callable[[], Any]) -> Any:
    """What a plugin says of itself, once it is imported."""
    try:
        return ask_for()
    except InvalidMetadata:
        raise
    except BaseException as error:
        raise RefusedError(f"{what} cannot be had: {told(error)}") from error


def _hooks_of(manager: pluggy.PluginManager, key: str) -> tuple[str, ...]:
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(manager.get_plugin(key)) or ()))


def _unmarked(manager: pluggy.PluginManager, plugin: Any) -> Iterator[str]:
    """What its author may think to be a hook: a function of a hook's name that lacks the mark of an implementation."""
    own = getattr(plugin, "__dict__", {}) | getattr(type(plugin), "__dict__", {})
    hooks = {name for name, caller in vars(manager.hook).items() if caller.has_spec()}
    for name, value in own.items():
        if name in hooks and callable(value) and not hasattr(value, "oreflow_impl"):
            yield f"its {name} lacks @hookimpl, so that nobody asks it"
