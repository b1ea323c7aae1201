"""Finding plugins, and keeping a broken one from doing harm.

Entry points are read with the standard library: stevedore, which would be the usual choice, loses the
distribution behind an entry point (so that no message could name the package to mend), lets some
exceptions of a plugin through, and costs more than the rest of `oreflow plugins` together.

A plugin is whole or it is broken: of one that cannot be imported, registered or described nothing stays.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy

from oreflow import hookspecs
from oreflow.contract import (
    API_VERSION,
    CheckType,
    EngineMetadata,
    HookDeprecation,
    InvalidMetadata,
    ProcessingConfig,
    Processor,
    ProcessorMetadata,
    TableFormatMetadata,
)
from oreflow.factory import guard
from oreflow.factory.policy import PROJECT_FILE, Policy

GROUP = "oreflow.plugins"
UNKNOWN = "unknown"
"""In place of the name of a distribution whose metadata does not say it."""
DESCRIPTIONS: Mapping[str, type] = {
    "processors": ProcessorMetadata,
    "engines": EngineMetadata,
    "table_formats": TableFormatMetadata,
    "check_types": CheckType,
}
"""The hooks by which a plugin says what it brings, with the type of what they answer."""


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry point's name, its distribution, and why it is not there, if it is not.

    `status` is ok, broken or disabled; `reason` says why and `mend` what helps. `notes` are what is
    wrong but harms nothing; `seconds` is how long it took to import, `brings` what it describes.
    """

    name: str
    distribution: str
    version: str
    status: str = "ok"
    reason: str = ""
    mend: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    brings: Mapping[str, Sequence[Any]] | None = None
    hooks: tuple[str, ...] = ()
    module: str = ""

    @property
    def key(self) -> str:
        """Its name among all plugins of all distributions."""
        return f"{self.distribution}:{self.name}"

    @property
    def origin(self) -> str:
        """The distribution with its version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"the plugin {self.name} of {self.origin}"


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


def discover(manager: pluggy.PluginManager, policy: Policy, project: Path | None = None) -> list[Plugin]:
    """Register every installed plugin that the policy lets in, and the project's own file; broken ones are left out."""
    found = []
    named = {(*_origin(point), point.name, point.value): point for point in _entry_points()}
    owners: dict[str, str] = {}
    for distribution, _, _, value in sorted(named):
        if value not in owners or _normal(distribution) == _normal(value.partition(".")[0].partition(":")[0]):
            owners[value] = distribution
    for (distribution, version, name, value), point in sorted(named.items(), key=lambda item: item[0]):
        plugin = Plugin(_plain(name), _plain(distribution), _plain(version), module=value.partition(":")[0].strip())
        if owners[value] != distribution:
            reason = f"its entry point leads to {value}, which is a plugin of {owners[value]}"
            found.append(replace(plugin, status="broken", reason=_plain(reason), mend=f"pip uninstall {distribution}"))
        elif any(other.key == plugin.key and other.status != "disabled" for other in found):
            reason = f"its distribution has two plugins called '{plugin.name}'"
            found.append(replace(plugin, status="broken", reason=reason, mend="its author has to rename one"))
        else:
            found.append(_admit(manager, policy, plugin, point.load, point))
    file = project / PROJECT_FILE if project else None
    if file and file.is_file():
        content = hashlib.sha256(file.read_bytes()).hexdigest()[:12]  # so that reports and locks tell when it changes
        plugin = Plugin(file.stem, PROJECT_FILE, content, module=file.stem)
        found.append(_admit(manager, policy, plugin, partial(_load_file, file)))
    return found


def _entry_points() -> list[EntryPoint]:
    """The entry points of all distributions, of those whose metadata can be read where some cannot."""
    try:
        return list(entry_points(group=GROUP))
    except Exception:  # one damaged file would hide all others
        found: dict[str, list[EntryPoint]] = {}
        for each in distributions():
            with contextlib.suppress(Exception):
                found.setdefault(each.name, list(each.entry_points.select(group=GROUP)))
        return [point for points in found.values() for point in points]


def _origin(point: EntryPoint) -> tuple[str, str]:
    """The distribution of an entry point and its version, as far as its metadata says them."""
    try:
        return (point.dist.name or UNKNOWN, point.dist.version or "") if point.dist else (UNKNOWN, "")
    except Exception:
        return UNKNOWN, ""


def _admit(
    manager: pluggy.PluginManager,
    policy: Policy,
    plugin: Plugin,
    load: Callable[[], Any],
    point: EntryPoint | None = None,
) -> Plugin:
    if refusal := policy.refusal(plugin.distribution, plugin.name):
        return replace(plugin, status="disabled", reason=refusal)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        # Registered here and not in the thread: what hangs there for now would come to life later.
        loaded = guard.call(lambda: _loaded(plugin, load))
        failed = guard.Outcome[Mapping[str, Sequence[Any]]](None, loaded.error, loaded.printed, loaded.seconds)
        outcome = failed if loaded.error else _describe(manager, plugin, loaded)
    plugin = replace(plugin, seconds=outcome.seconds, notes=_notes(outcome.printed, raised))
    for old in (warning.message for warning in raised if issubclass(warning.category, HookDeprecation)):
        warnings.warn(f"{plugin}: {old}", HookDeprecation, stacklevel=2)  # pluggy's own does not name the plugin
    if outcome.error is not None:
        _forget(manager, plugin.key)
        reason, mend = _explain(outcome.error, plugin, point.dist if point else None)
        return replace(plugin, status="broken", reason=_plain(reason), mend=_plain(mend))
    assert outcome.value is not None  # noqa: S101  for the type checker
    return replace(plugin, brings=outcome.value, hooks=_hooks_of(manager, plugin.key))


class _RefusedError(Exception):
    """A plugin that can be imported, but not be used; `mend` is what helps."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.mend = mend


def _loaded(plugin: Plugin, load: Callable[[], Any]) -> Any:
    """Import a plugin."""
    loaded = load()
    loaded = _with_hooks(loaded() if isinstance(loaded, type) else loaded)
    api = getattr(loaded, "oreflow_api", None)
    if api != API_VERSION:
        raise _wrong_api(api, plugin)
    return loaded


def _describe(
    manager: pluggy.PluginManager, plugin: Plugin, loaded: guard.Outcome[Any]
) -> guard.Outcome[Mapping[str, Sequence[Any]]]:
    """Register an imported plugin, and ask what it brings; `loaded` is what became of its import."""

    def fault(error: BaseException) -> guard.Outcome[Mapping[str, Sequence[Any]]]:
        return guard.Outcome(None, error, loaded.printed, loaded.seconds)

    try:
        manager.register(loaded.value, plugin.key)
        unknown = _unknown_hook(manager, loaded.value)
    except pluggy.PluginValidationError as error:
        return fault(_RefusedError(_signature(error)))
    except Exception as error:
        return fault(error)
    if unknown:
        return fault(_RefusedError(unknown))

    def describe() -> Mapping[str, Sequence[Any]]:
        return {hook: _described(manager, plugin, hook) for hook in DESCRIPTIONS}

    said = guard.call(describe)
    return replace(said, printed=loaded.printed + said.printed, seconds=loaded.seconds + said.seconds)


def _wrong_api(api: object, plugin: Plugin) -> _RefusedError:
    if api is None:
        return _RefusedError(
            "does not say for which API it is written", f"its author has to add: oreflow_api = {API_VERSION}"
        )
    newer = isinstance(api, int) and api > API_VERSION
    reason = f"is written for API {api!r} of oreflow, and this oreflow has API {API_VERSION}"
    if newer:
        return _RefusedError(f"{reason}: oreflow is too old for it", "pip install --upgrade oreflow")
    return _RefusedError(f"{reason}: the plugin is too old", f"pip install --upgrade {plugin.distribution}")


def _signature(error: pluggy.PluginValidationError) -> str:
    """Pluggy's message in one line: `hook 'x' has the argument 'y', which it does not offer`."""
    text = str(error)
    hook = re.search(r"hook '(\w+)'", text)
    wrong = re.search(r"Argument\(s\) \{?(.*?)\}? are declared", text)
    if not hook or not wrong:
        return " ".join(text.split())
    spec = getattr(hookspecs, hook[1], None)
    offers = ", ".join(inspect.signature(spec).parameters) if spec else ""
    return f"its hook {hook[1]} asks for {wrong[1]}, which the hook does not give; it gives {offers or 'nothing'}"


def _described(manager: pluggy.PluginManager, plugin: Plugin, hook: str) -> Sequence[Any]:
    implementation = implementation_of(manager, hook, plugin.key)
    if implementation is None:
        return ()
    answer = _told_by(f"its {hook}", implementation.function)
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        raise _RefusedError(f"its {hook} answers {answer!r} where a list is expected")
    kind = DESCRIPTIONS[hook]
    for item in answer:
        if not isinstance(item, kind):
            raise _RefusedError(f"its {hook} has {item!r} where {kind.__name__} is expected")
    return tuple(answer)


def _told_by(what: str, ask_for: Callable[[], Any]) -> Any:
    """What a plugin says of itself, once it is imported."""
    try:
        return ask_for()
    except InvalidMetadata:
        raise
    except BaseException as error:
        raise _RefusedError(f"{what} cannot be had: {guard.told(error)}") from error


def _notes(printed: str, raised: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    notes = []
    if text := printed.strip():
        shown = text.splitlines()[0][:60]
        notes.append(f"prints while it is loaded: '{shown}'")
    notes += [str(warning.message) for warning in raised if issubclass(warning.category, HookDeprecation)]
    return tuple(dict.fromkeys(notes))


def _explain(error: BaseException, plugin: Plugin, distribution: Distribution | None) -> tuple[str, str]:
    """Why a plugin is broken, and what mends it."""
    package = plugin.distribution
    if package == UNKNOWN:
        where = distribution.locate_file("") if distribution else "the environment"
        text = " ".join(str(error).split())
        return (
            f"{type(error).__name__}: {text}",
            f"a package in {where} has lost its metadata: install it anew, or remove it",
        )
    leave_out = f"pip uninstall {package}, or leave it out with OREFLOW_PLUGINS=-{package}"
    if package == PROJECT_FILE:
        leave_out = f"mend {PROJECT_FILE}, or leave it out with OREFLOW_PLUGINS=-{PROJECT_FILE}"
    if isinstance(error, _RefusedError):
        return str(error), error.mend or f"pip install --upgrade {package}; or {leave_out}"
    if isinstance(error, InvalidMetadata):
        return f"its metadata is invalid: {error}", f"its author has to mend it; {leave_out}"
    if isinstance(error, TimeoutError):
        return f"its import hangs: {error}", leave_out
    if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str) and error.name:
        wanted = _requirement_for(error.name, distribution)
        own = error.name.partition(".")[0] == plugin.module.partition(".")[0]
        mend = f"pip install --force-reinstall {package}" if own else f'pip install "{wanted or error.name}"'
        return f"needs the module '{error.name}', which is not installed", mend
    return f"cannot be imported: {guard.told(error)}", leave_out


def _plain(text: str) -> str:
    """A text that does nothing to a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirement_for(module: str, distribution: Distribution | None) -> str:
    """What the distribution requires under a name like the module's."""
    wanted = re.sub(r"[-_.]+", "-", module.partition(".")[0]).lower()
    for requirement in (distribution.requires or ()) if distribution else ():
        text = requirement.partition(";")[0].strip()
        name = re.match(r"[A-Za-z0-9._-]+", text)
        if name and re.sub(r"[-_.]+", "-", name[0]).lower() == wanted:
            return text
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


def _hooks_of(manager: pluggy.PluginManager, key: str) -> tuple[str, ...]:
    plugin = manager.get_plugin(key)
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))


def _forget(manager: pluggy.PluginManager, key: str) -> None:
    if manager.has_plugin(key):
        manager.unregister(name=key)


def _load_file(file: Path) -> Any:
    """The project's own plugin: its hooks, and each processor class in it."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None  # noqa: S101  a .py file has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # where dataclasses and pickle look for what is in it
    spec.loader.exec_module(module)
    classes = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Processor) and item.__module__ == file.stem
        if isinstance(getattr(item, "metadata", None), ProcessorMetadata)
    ]
    if not hasattr(module, "oreflow_api"):
        vars(module)["oreflow_api"] = API_VERSION  # it is of this project, not of the past
    if classes and not hasattr(module, "processors"):
        for name, hook in vars(hooks_for([(ByClass(kind), kind.metadata) for kind in classes])).items():
            vars(module).setdefault(name, hook)
    return module


class ByClass:
    """A plugin that only constructs a class."""

    def __init__(self, processor: type[Processor]) -> None:
        self._processor = processor

    def create_processor(self, config: ProcessingConfig) -> Processor:
        """Construct it."""
        return self._processor(config)


def _with_hooks(plugin: Any) -> Any:
    """A plugin in its simplest form (metadata, create_processor, validate_config) as one with hooks."""
    metadata = _told_by("its metadata", lambda: getattr(plugin, "metadata", None))
    if not isinstance(metadata, ProcessorMetadata):
        return plugin
    return hooks_for([(plugin, metadata)], getattr(plugin, "oreflow_api", API_VERSION))


def hooks_for(plugins: Sequence[tuple[Any, ProcessorMetadata]], api: int = API_VERSION) -> Any:
    """Hook implementations for objects with `create_processor(config)` and perhaps `validate_config(config)`."""
    by_name = {metadata.name: plugin for plugin, metadata in plugins}

    @hookspecs.hookimpl
    def processors() -> list[ProcessorMetadata]:
        return [metadata for _, metadata in plugins]

    @hookspecs.hookimpl
    def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
        return by_name[name].create_processor(config) if name in by_name else None

    @hookspecs.hookimpl
    def validate_config(name: str, config: ProcessingConfig) -> list[Any]:
        if not hasattr(by_name.get(name), "validate_config"):
            return []
        answer = by_name[name].validate_config(config)
        if isinstance(answer, bool):
            return [] if answer else [f"the plugin of '{name}' refuses this configuration"]
        return list(answer or ())

    return SimpleNamespace(
        oreflow_api=api, processors=processors, create_processor=create_processor, validate_config=validate_config
    )


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

    Each implementation is called by itself, since one that raises would otherwise discard the
    answers of all the others.
    """
    for implementation in getattr(manager.hook, hook).get_hookimpls():
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
