"""The processor factory: what is installed, what was registered by hand, and how each is created."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oreflow.config import did_you_mean, validate
from oreflow.contract import (
    CheckType,
    DeclarationError,
    Engine,
    EngineMetadata,
    InvalidMetadata,
    OreflowError,
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    Processor,
    ProcessorMetadata,
    TableFormat,
    TableFormatMetadata,
)
from oreflow.factory.discovery import (
    ByClass,
    Plugin,
    answers,
    ask,
    discover,
    hooks_for,
    implementation_of,
    new_plugin_manager,
)
from oreflow.factory.guard import told
from oreflow.factory.homes import HOMES, home_of
from oreflow.factory.policy import PROJECT_FILE, Policy
from oreflow.factory.profile import Profile
from oreflow.factory.selection import Offer, Request, Selection, option_problems, select

BY_HAND = "registered by hand"
RESERVED_OPTIONS = (
    "checks",
    "description",
    "engine",
    "input",
    "inputs",
    "preferred_capabilities",
    "processor",
    "quality_threshold",
    "required_capabilities",
    "source",
)
"""Keys of every table, which no processor's option may be called."""


@dataclass(frozen=True)
class _Brought:
    """Something that a plugin describes. `conflict` says which other plugin has the name; it is then no plain name."""

    item: Any
    plugin: Plugin
    conflict: str = ""

    @property
    def name(self) -> str:
        return f"{self.plugin.distribution}:{self.item.name}" if self.conflict else self.item.name


class ProcessorFactory:
    """Finds, chooses and creates processors, engines, table formats and kinds of check.

    Discovery happens once, when the factory is made; nothing that a plugin brings is imported
    before it is created. `plugins` lists every installed plugin, those that are broken or disabled with their reason.

    A name that two distributions bring belongs to the one that the host knows it of, else to neither; what
    has lost its name is asked for as `distribution:name`.
    """

    def __init__(self, policy: Policy | None = None, project: Path | None = None) -> None:
        self.policy = Policy.of(os.environ) if policy is None else policy
        self.hooks = new_plugin_manager()
        self.plugins: list[Plugin] = [self._examined(p) for p in discover(self.hooks, self.policy, project)]
        self._notes = {plugin.key: plugin.notes for plugin in self.plugins}
        self.profiles: dict[str, Profile] = {}
        self._by_hand: list[Plugin] = []
        self._made: dict[str, Any] = {}
        self._schemas_examined = False
        self._resolve()

    # What there is

    @property
    def processors(self) -> Mapping[str, tuple[ProcessorMetadata, str]]:
        """Each processor's metadata and the plugin that brings it, by the name to ask for it by."""
        return _listed(self._processors)

    @property
    def engines(self) -> Mapping[str, tuple[EngineMetadata, str]]:
        """Each engine's metadata and plugin, by the engine's name."""
        return _listed(brought for brought in self._engines if not brought.conflict)

    @property
    def table_formats(self) -> Mapping[str, tuple[TableFormatMetadata, str]]:
        """Each table format's metadata and plugin, by the format's name."""
        return _listed(brought for brought in self._table_formats if not brought.conflict)

    @property
    def check_types(self) -> Mapping[str, CheckType]:
        """Each kind of quality check by its name."""
        return {brought.name: brought.item for brought in self._check_types if not brought.conflict}

    @property
    def offers(self) -> list[Offer]:
        """Every processor on every engine that it can run on, under the name to ask for it by."""
        return [offer for brought in self._processors for offer in self._offers_of(brought)]

    def plugin(self, key: str) -> Plugin:
        """A plugin by its key, one that was registered by hand too."""
        found = (plugin for plugin in (*self.plugins, *self._by_hand) if plugin.key == key)
        return next(found, Plugin(key, BY_HAND, ""))  # somebody may have registered hooks past the factory

    def bringer(self, what: str, name: str) -> Plugin | None:
        """The plugin that brings an `engine`, a `table format` or a `check type`; None where none does."""
        found = {"engine": self._engines, "table format": self._table_formats, "check type": self._check_types}[what]
        return next((brought.plugin for brought in found if brought.name == name), None)

    def origin(self, what: str, name: str) -> str:
        """The distribution of that plugin, with its version."""
        plugin = self.bringer(what, name)
        return plugin.origin if plugin else ""

    @property
    def wrappers(self) -> list[Plugin]:
        """The plugins whose code lies around each step."""
        found = self.hooks.hook.run_step.get_hookimpls()
        return [self.plugin(each.plugin_name) for each in found if each.plugin_name != "oreflow"]

    @property
    def missing(self) -> list[Plugin]:
        """The plugins that are broken: what they bring is not there."""
        return [plugin for plugin in self.plugins if plugin.status == "broken"]

    # Choosing

    def select(
        self,
        config: ProcessingConfig,
        required_capabilities: Iterable[str] = (),
        name: str = "",
        *,
        preferred_capabilities: Iterable[str] = (),
        larger_than_memory: bool = False,
        speed: Callable[[Offer], float | None] | None = None,
    ) -> Selection:
        """The best offer with its reasons; see `oreflow.factory.selection.select`.

        `speed` gives an offer's rows per second, by which ties are broken; where it is not said, what
        this factory has seen.
        """
        request = Request(
            config,
            lambda offer: self._problems(offer, config),
            tuple(required_capabilities),
            name,
            larger_than_memory,
            tuple(preferred_capabilities),
            speed or self._speed,
        )
        return select(self.offers, request)

    def option_problems(self, config: ProcessingConfig, name: str = "") -> Sequence[Problem]:
        """What keeps the options of a configuration from fitting any processor; paths are within the options."""
        return option_problems(self.offers, Request(config, lambda o: self._problems(o, config), name=name))

    def _speed(self, offer: Offer) -> float | None:
        profile = self.profiles.get(offer.name)
        return profile.rows_per_second if profile else None

    def _problems(self, offer: Offer, config: ProcessingConfig) -> list[Problem]:
        """What is wrong in a configuration for an offer, by its option schema and by every plugin that has a say."""
        config = config.for_processor(offer.processor)
        schema = {"type": "object", "properties": {}, "additionalProperties": False, **offer.processor.option_schema}
        found = validate(dict(config.options), schema)
        if found:
            return found  # a plugin may rely on its schema
        contested = sum(brought.item.name == offer.processor.name for brought in self._processors) > 1
        own = replace(config, options=copy.deepcopy(dict(config.options)))  # nobody's to change
        for plugin, answer in answers(self.hooks, "validate_config", name=offer.processor.name, config=own):
            if contested and plugin != offer.plugin:
                continue  # it may mean its own
            who = self.plugin(plugin)
            if isinstance(answer, Sequence) and not isinstance(answer, str):
                problems = [item if isinstance(item, Problem) else Problem(str(item)) for item in answer]
                if plugin != offer.plugin:
                    problems = [replace(problem, message=f"{who}: {problem.message}") for problem in problems]
                found += problems
            elif plugin == offer.plugin and answer is not None:  # others have no say in it when they fail
                what = told(answer) if isinstance(answer, BaseException) else f"it answers {answer!r}"
                found.append(Problem(f"{who} cannot judge this: {what}"))
        return found

    # Creating

    def create_processor(self, name: str, config: ProcessingConfig) -> Processor:
        """The processor offered as `name`, for a configuration that has been validated.

        Raises:
            DeclarationError: there is no such processor, it does not fit, or the configuration is wrong.
        """
        self.require_processor(name)
        return self.create(self.select(config, name=name).offer, config)

    def require_processor(self, name: str) -> None:
        """Find that there is a processor of this name.

        Raises:
            DeclarationError: there is none; says which package brings it, as far as anyone here knows.
        """
        offers = self.offers
        if any(offer.answers_to(name) for offer in offers):
            return
        known = {offer.name for offer in offers} | set(self.processors)
        message = f"there is no processor '{name}'"
        distribution = name.partition(":")[0] if ":" in name else home_of("processor", name)
        there = {plugin.distribution: plugin for plugin in self.plugins}
        if plugin := there.get(distribution):
            if plugin.status != "ok":
                message += f": {plugin} is {plugin.status}: {plugin.reason}"
                raise DeclarationError([Problem(message, mend=plugin.mend or "let it in")])
            raise DeclarationError([Problem(message, mend=did_you_mean(name, known))])
        mend = f"pip install {distribution}" if distribution else did_you_mean(name, known)
        raise DeclarationError([Problem(message, mend=mend)])

    def create_best_processor(self, config: ProcessingConfig, required_capabilities: Iterable[str] = ()) -> Processor:
        """The processor that fits a configuration best and can do all that is required.

        Raises:
            DeclarationError: none fits, with each candidate's reason, or the configuration is wrong.
        """
        return self.create(self.select(config, required_capabilities).offer, config)

    def register_processor(
        self,
        name: str,
        processor: type[Processor],
        metadata: ProcessorMetadata | None = None,
        plugin: Any = None,
    ) -> None:
        """Add a processor by hand, under `name`; `plugin` creates and validates it where one is given.

        Raises:
            InvalidMetadata: the metadata cannot be accepted; names the field.
            DeclarationError: the name is taken.
        """
        about = metadata or getattr(processor, "metadata", None)
        if not isinstance(about, ProcessorMetadata):
            raise InvalidMetadata("metadata", f"expected ProcessorMetadata, got {about!r}")
        if name in self.processors or name in {offer.name for offer in self.offers}:
            raise DeclarationError([Problem(f"there is a processor '{name}' already", mend="choose another name")])
        named = replace(about, name=name)
        by_hand = Plugin(name, BY_HAND, "", brings={"processors": (named,)})
        if reason := _unusable(named) or _no_schema(named):
            raise InvalidMetadata("option_schema", reason)
        self.hooks.register(hooks_for([(plugin or ByClass(processor), named)]), by_hand.key)
        self._by_hand.append(by_hand)
        self._resolve()

    def create_engine(self, name: str) -> Engine:
        """The engine called `name`; made once, then reused.

        Raises:
            DeclarationError: it is not installed.
            OreflowError: its plugin fails to create it.
        """
        engine: Engine = self._create("engine", name, "create_engine", self._engines, Engine)
        return engine

    def create_table_format(self, name: str = "delta") -> TableFormat:
        """The table format called `name`; made once, then reused.

        Raises:
            DeclarationError: it is not installed.
            OreflowError: its plugin fails to create it.
        """
        made: TableFormat = self._create("table format", name, "create_table_format", self._table_formats, TableFormat)
        return made

    def create(self, offer: Offer, config: ProcessingConfig) -> Processor:
        """The processor of an offer that was selected for this configuration.

        Raises:
            OreflowError: its plugin fails to create it.
        """
        config = config.for_processor(offer.processor)
        plugin = self.plugin(offer.plugin)
        self.profiles.setdefault(offer.name, Profile()).created += 1
        return self._asked(plugin, "create_processor", Processor, name=offer.processor.name, config=config)  # type: ignore[no-any-return]

    def _create(self, what: str, name: str, hook: str, found: Sequence[_Brought], kind: type) -> Any:
        key = f"{what} {name}"
        if key not in self._made:
            brought = next((b for b in found if b.name == name), None)
            if brought is None:
                raise DeclarationError([self._not_there(what, name, found)])
            self._made[key] = self._asked(brought.plugin, hook, kind, name=brought.item.name)
        return self._made[key]

    def _not_there(self, what: str, name: str, found: Sequence[_Brought]) -> Problem:
        message = f"there is no {what} '{name}'"
        homes = [p for p in self.plugins if p.distribution == home_of(what, name) and p.status != "ok"]
        if homes:
            return Problem(f"{message}: {homes[0]} is {homes[0].status}: {homes[0].reason}", mend=homes[0].mend)
        lost = [brought for brought in found if brought.item.name == name]
        if lost:
            return Problem(f"{message}: {' and '.join(str(b.plugin) for b in lost)} both bring it", mend="remove one")
        package = home_of(what, name)
        others = ", ".join(b.name for b in found)
        mends = [f"pip install {package}" if package else "", f"use {others}" if others else ""]
        return Problem(message, mend=", or ".join(mend for mend in mends if mend))

    def _asked(self, plugin: Plugin, hook: str, kind: type, **arguments: Any) -> Any:
        """What one plugin answers to a `create_...` hook; no other plugin has a part in it."""
        implementation = implementation_of(self.hooks, hook, plugin.key)
        wanted = arguments["name"]
        if implementation is None:
            raise OreflowError(f"{plugin} brings '{wanted}' but does not implement {hook} - tell its author")
        try:
            answer = ask(implementation, **arguments)
        except (KeyboardInterrupt, OreflowError):
            raise
        except BaseException as error:
            raise OreflowError(f"{plugin} cannot create '{wanted}': {told(error)} - tell its author") from error
        if not isinstance(answer, kind):
            got = "None" if answer is None else type(answer).__name__
            raise OreflowError(
                f"{plugin} gives {got} for '{wanted}' where a {kind.__name__} is expected - tell its author"
            )
        return answer

    # What the plugins describe

    def _examined(self, plugin: Plugin) -> Plugin:
        """The plugin, broken where it describes what cannot be used."""
        seen: set[tuple[str, str]] = set()
        for hook, items in (plugin.brings or {}).items():
            for item in items:
                reason = _unusable(item) if isinstance(item, ProcessorMetadata) else ""
                reason = _unusable_check(item) if isinstance(item, CheckType) else reason
                if not reason and (hook, item.name) in seen:
                    reason = f"its {hook} has '{item.name}' twice"
                if reason:
                    return self._broken(plugin, reason)
                seen.add((hook, item.name))
        return plugin

    def _broken(self, plugin: Plugin, reason: str) -> Plugin:
        self.hooks.unregister(name=plugin.key)
        mend = f"its author has to mend it; pip uninstall {plugin.distribution}"
        return replace(plugin, status="broken", reason=reason, mend=mend, brings=None, hooks=())

    def examine_schemas(self) -> None:
        """Leave out plugins whose option schemas are none; done before one is used, since `--help` uses none."""
        if self._schemas_examined:
            return
        self._schemas_examined = True
        for index, plugin in enumerate(self.plugins):
            brings = plugin.brings or {}
            for item in (*brings.get("processors", ()), *brings.get("check_types", ())):
                if reason := _no_schema(item):
                    self.plugins[index] = self._broken(plugin, reason)
                    break
        self._resolve()

    def _resolve(self) -> None:
        """Decide whose each name is."""
        notes: dict[str, list[str]] = {}
        self._processors = self._owned("processor", "processors", notes)
        self._engines = self._owned("engine", "engines", notes)
        self._table_formats = self._owned("table format", "table_formats", notes)
        self._check_types = self._owned("check type", "check_types", notes)
        self.plugins = [replace(p, notes=(*self._notes.get(p.key, ()), *notes.get(p.key, ()))) for p in self.plugins]

    def _owned(self, what: str, hook: str, notes: dict[str, list[str]]) -> list[_Brought]:
        by_name: dict[str, list[_Brought]] = {}
        for plugin in (*self.plugins, *self._by_hand):
            for item in (plugin.brings or {}).get(hook, ()):
                by_name.setdefault(item.name, []).append(_Brought(item, plugin))
        found: list[_Brought] = []
        for name, rivals in by_name.items():
            owners = [b for b in rivals if b.plugin.distribution == HOMES.get((what, name))]
            by_hand = all(brought.plugin.distribution == BY_HAND for brought in rivals)
            free = len(rivals) == 1 and (by_hand or (what, name) not in HOMES)
            owner = rivals[0] if free else next(iter(owners), None)
            for brought in rivals:
                if brought is owner:
                    found.append(brought)
                    continue
                others = " and ".join(str(b.plugin) for b in rivals if b is not brought) or HOMES[what, name]
                ask_for = f"; ask for it as {brought.plugin.distribution}:{name}" if what == "processor" else ""
                conflict = f"the {what} '{name}' is brought by {others} as well{ask_for}"
                notes.setdefault(brought.plugin.key, []).append(conflict)
                found.append(replace(brought, conflict=conflict))
        return found

    def _offers_of(self, brought: _Brought) -> Iterator[Offer]:
        metadata: ProcessorMetadata = brought.item
        capabilities = frozenset(metadata.capabilities)
        where = {"plugin": brought.plugin.key, "version": brought.plugin.version, "conflict": brought.conflict}
        home = brought.plugin.distribution
        prefix = f"{home}:" if brought.conflict else ""
        if metadata.engine != ProcessingEngine.ANY.value:
            yield Offer(prefix + metadata.name, metadata, str(metadata.engine), capabilities, home, **where)
            return
        for engine in self._engines:
            if not engine.conflict:
                able = capabilities | frozenset(engine.item.capabilities)
                yield Offer(f"{prefix}{engine.name}_{metadata.name}", metadata, engine.name, able, home, **where)


def _listed(found: Iterable[_Brought]) -> dict[str, tuple[Any, str]]:
    return {brought.name: (brought.item, brought.plugin.key) for brought in found}


def _unusable(metadata: ProcessorMetadata) -> str:
    """What is wrong with what a processor's options are called; '' where nothing is."""
    schema = {"type": "object", **metadata.option_schema}
    properties = schema.get("properties", {})
    if schema["type"] != "object" or not isinstance(properties, Mapping):
        return f"the option schema of '{metadata.name}' does not describe an object"
    if taken := [key for key in properties if key in RESERVED_OPTIONS]:
        return f"its processor '{metadata.name}' has an option '{taken[0]}', which is a key of every table"
    return ""


def _unusable_check(kind: CheckType) -> str:
    """What is wrong with what a kind of check says of itself; '' where nothing is."""
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not name.isidentifier():
        return f"a kind of check is called {name!r}, which is no name"
    if not isinstance(getattr(kind, "option_schema", None), Mapping):
        return f"the check '{name}' has no option_schema"
    if extra := [key for key in kind.shared_keys if key not in CheckType.shared_keys]:
        return f"the check '{name}' shares the key {extra[0]!r}, which no check has"
    wrong = [each for each in (*kind.actions, kind.default_action) if each not in CheckType.actions]
    return f"the check '{name}' has the action {wrong[0]!r}, which there is not" if wrong else ""


def _no_schema(metadata: ProcessorMetadata | CheckType) -> str:
    """Why an option schema is no JSON Schema; '' where it is one."""
    if not metadata.option_schema:
        return ""
    import jsonschema_rs

    try:
        jsonschema_rs.Draft202012Validator({"type": "object", **metadata.option_schema}, offline=True)
    except Exception as error:
        return f"the option schema of '{metadata.name}' is no JSON Schema: {' '.join(str(error).split())[:200]}"
    return ""


_factories: dict[Any, ProcessorFactory] = {}


def get_processor_factory(project: Path | None = None, allow: Iterable[str] | None = None) -> ProcessorFactory:
    """The factory of this process; made on first use.

    `project` adds the plugin of a project, the file `oreflow_plugins.py` in its folder; `allow` are
    the only distributions that may be loaded (None: all).
    """
    policy = Policy.of(os.environ, allow)
    file = project / PROJECT_FILE if project else None
    own = (file.resolve(), file.stat().st_mtime_ns) if file and file.is_file() else None
    key = (policy, own)
    if key not in _factories:
        _factories[key] = ProcessorFactory(policy, project if own else None)
    return _factories[key]
