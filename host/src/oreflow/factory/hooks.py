"""Asking hooks, one implementation at a time: pluggy's own call loses all answers where one plugin raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pluggy

from oreflow import hookspecs
from oreflow.factory import guard


def new_plugin_manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks and the host's own part in them, and no plugin yet."""
    manager = _PluginManager("oreflow")
    manager.add_hookspecs(hookspecs)
    manager.register(_HostPlugin(), "oreflow")
    return manager


class _PluginManager(pluggy.PluginManager):
    """As pluggy's, which looks at all that each object has: most of that are the methods of `object`."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)


class _HostPlugin:
    """The innermost `run_step` and `call_resource`, around which the wrappers of plugins lie."""

    @hookspecs.hookimpl(trylast=True)
    def run_step(self, step: Any, call: Any) -> Any:
        return call()

    @hookspecs.hookimpl(trylast=True)
    def call_resource(self, call: Any) -> Any:
        return call()


def implementation_of(manager: pluggy.PluginManager, hook: str, key: str) -> Any:
    """A plugin's own implementation of a hook; None where it has none."""
    found = getattr(manager.hook, hook).get_hookimpls()
    return next((implementation for implementation in found if implementation.plugin_name == key), None)


def ask(implementation: Any, **arguments: Any) -> Any:
    """The answer of one implementation, which may leave arguments out that it does not need."""
    return implementation.function(*[arguments[name] for name in implementation.argnames])


def answers(
    manager: pluggy.PluginManager, hook: str, *, bounded: bool = False, **arguments: Any
) -> Iterator[tuple[str, Any]]:
    """Each plugin's answer to a hook, by the plugin's key; an error is an answer too. `bounded`: so is to hang.

    They are asked in pluggy's order: those that try to be first, the last registered, those that try to be last.
    Each implementation is called by itself, since one that raises would otherwise discard the
    answers of all the others.
    """
    for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):
        if bounded:
            outcome = guard.call(partial(ask, implementation, **arguments))
            yield implementation.plugin_name, outcome.value if outcome.error is None else outcome.error
            continue
        try:
            yield implementation.plugin_name, ask(implementation, **arguments)
        except KeyboardInterrupt:
            raise  # the user's
        except BaseException as error:
            yield implementation.plugin_name, error


def fault_rules(manager: pluggy.PluginManager) -> list[Callable[[BaseException], Any]]:
    """What each plugin says of an error, in pluggy's order; the classifier passes over those that fail."""
    found = manager.hook.classify_error.get_hookimpls()
    # As they are, where they can be: they are asked of each error of each attempt.
    return [each.function if each.argnames else _without_error(each.function) for each in reversed(found)]


def _without_error(function: Callable[[], Any]) -> Callable[[BaseException], Any]:
    return lambda _error: function()
