"""The processor factory: what is installed, what was registered by hand, and how each is created."""

from __future__ import annotations

import copy
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from oreflow.contract import (
    AlertChannel,
    AlertChannelMetadata,
    BreakerBoard,
    CheckType,
    ConfigStore,
    DeclarationError,
    Engine,
    EngineMetadata,
    InvalidMetadata,
    MetricBackend,
    MetricBackendMetadata,
    OreflowError,
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    Processor,
    ProcessorMetadata,
    SectionMetadata,
    Surroundings,
    TableFormat,
    TableFormatMetadata,
    TraceBackend,
    TraceBackendMetadata,
)
from oreflow.contract.errors import told
from oreflow.factory.discovery import discover
from oreflow.factory.examination import fault_of, fault_of_schemas
from oreflow.factory.homes import home_of
from oreflow.factory.hooks import answers, ask, fault_rules, implementation_of, new_plugin_manager
from oreflow.factory.ownership import BY_HAND, KINDS, Brought, listed, owned
from oreflow.factory.plugin import Plugin
from oreflow.factory.policy import PROJECT_FILE, Policy
from oreflow.factory.profile import Profile
from oreflow.factory.selection import Memory, Offer, Request, Selection, option_problems, select
from oreflow.factory.simple import ByClass, hooks_for
from oreflow.secrets import followed
from oreflow.validation import did_you_mean, nearest, validate

if TYPE_CHECKING:
    from oreflow.resilience.classification import Classifier

_Kind = TypeVar("_Kind")


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
        found = discover(self.hooks, self.policy, project)
        self.plugins: list[Plugin] = [self._without_fault(plugin, fault_of) for plugin in found]
        self._notes = {plugin.key: plugin.notes for plugin in self.plugins}
        self.profiles: dict[str, Profile] = {}
        self._by_hand: list[Plugin] = []
        self._made: dict[tuple[str, str, str], object] = {}
        self._schemas_examined = False
        self._resolve()

    # What there is

    @property
    def processors(self) -> Mapping[str, tuple[ProcessorMetadata, str]]:
        """Each processor's metadata and the plugin that brings it, by the name to ask for it by."""
        return listed(self._brought["processor"])

    @property
    def engines(self) -> Mapping[str, tuple[EngineMetadata, str]]:
        """Each engine's metadata and plugin, by the engine's name."""
        return listed(brought for brought in self._brought["engine"] if not brought.conflict)

    @property
    def table_formats(self) -> Mapping[str, tuple[TableFormatMetadata, str]]:
        """Each table format's metadata and plugin, by the format's name."""
        return listed(brought for brought in self._brought["table format"] if not brought.conflict)

    @property
    def check_types(self) -> Mapping[str, CheckType]:
        """Each kind of quality check by its name."""
        return {brought.name: brought.item for brought in self._brought["check type"] if not brought.conflict}

    @property
    def sections(self) -> Mapping[str, tuple[SectionMetadata, str]]:
        """Each section that a plugin adds to declarations, and the plugin, by the section's key."""
        return listed(brought for brought in self._brought["section"] if not brought.conflict)

    @property
    def metric_backends(self) -> Mapping[str, tuple[MetricBackendMetadata, str]]:
        """Each kind of place for metrics, and its plugin, by the kind's name."""
        return listed(brought for brought in self._brought["metric backend"] if not brought.conflict)

    @property
    def trace_backends(self) -> Mapping[str, tuple[TraceBackendMetadata, str]]:
        """Each kind of place for spans, and its plugin, by the kind's name."""
        return listed(brought for brought in self._brought["trace backend"] if not brought.conflict)

    @property
    def alert_channels(self) -> Mapping[str, tuple[AlertChannelMetadata, str]]:
        """Each way to tell people of alerts, and its plugin, by the kind's name."""
        return listed(brought for brought in self._brought["alert channel"] if not brought.conflict)

    @property
    def offers(self) -> list[Offer]:
        """Every processor on every engine that it can run on, under the name to ask for it by."""
        return [offer for brought in self._brought["processor"] for offer in self._offers_of(brought)]

    def plugin(self, key: str) -> Plugin:
        """A plugin by its key, one that was registered by hand too."""
        found = (plugin for plugin in (*self.plugins, *self._by_hand) if plugin.key == key)
        return next(found, Plugin(key, BY_HAND, ""))  # somebody may have registered hooks past the factory

    def bringer(self, what: str, name: str) -> Plugin | None:
        """The plugin that brings an `engine`, a `table format` or a `check type`; None where none does."""
        return next((brought.plugin for brought in self._brought[what] if brought.name == name), None)

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
    def classifier(self) -> Classifier:
        """What says of errors what they are, by every plugin that is there now and by what is built in."""
        from oreflow.resilience.classification import Classifier

        return Classifier(fault_rules(self.hooks))

    @property
    def missing(self) -> list[Plugin]:
        """The plugins that are broken: what they bring is not there."""
        return [plugin for plugin in self.plugins if plugin.status == "broken"]

    # Choosing

    def remote_engines(self, options: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """The engines that compute on other machines, with the options that each has.

        Raises:
            DeclarationError: an engine's plugin cannot say it.
        """
        remote = []
        for name, (metadata, _) in self.engines.items():
            try:
                if metadata.is_remote(followed(options.get(name, {}))):
                    remote.append(name)
            except DeclarationError:
                raise
            except Exception as error:
                problem = Problem(f"{self.bringer('engine', name)} cannot say where it computes: {told(error)}")
                raise DeclarationError([problem]) from error
        return remote

    def select(
        self,
        config: ProcessingConfig,
        required_capabilities: Iterable[str] = (),
        name: str = "",
        *,
        preferred_capabilities: Iterable[str] = (),
        memory: Memory | None = None,
        speed: Callable[[Offer], float | None] | None = None,
        beside: Iterable[str] = (),
    ) -> Selection:
        """The best offer with its reasons; see `oreflow.factory.selection.Request`.

        `speed` gives an offer's rows per second, by which ties are broken; where it is not said, what
        this factory has seen.
        """
        request = Request(
            config,
            lambda offer: self._problems(offer, config),
            tuple(required_capabilities),
            name,
            memory or Memory(),
            tuple(preferred_capabilities),
            speed or self._speed,
            frozenset(beside),
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
        contested = sum(brought.item.name == offer.processor.name for brought in self._brought["processor"]) > 1
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
        brings = {"processors": (named,)}
        by_hand = Plugin(name, BY_HAND, "", brings=brings)
        if reason := fault_of(brings) or fault_of_schemas(brings):
            raise InvalidMetadata("option_schema", reason)
        self.hooks.register(hooks_for([(plugin or ByClass(processor), named)]), by_hand.key)
        self._by_hand.append(by_hand)
        self._resolve()

    def create_engine(
        self, name: str, options: Mapping[str, Any] = MappingProxyType({}), parallelism: int | None = None
    ) -> Engine:
        """The engine called `name`; made once for the same arguments, then reused.

        `options` are its keys of the declaration (`engines.NAME`), whose references to secrets are followed;
        `parallelism` is how many tasks may work at the same time (None: as many as the engine likes).

        Raises:
            DeclarationError: it is not installed.
            OreflowError: its plugin fails to create it.
        """
        options = followed(options)
        return self._create("engine", name, "create_engine", Engine, options=options, parallelism=parallelism)

    def require(self, what: str, name: str) -> None:
        """Find that a plugin brings something of a kind (`section`, `metric backend`) under this name.

        Raises:
            DeclarationError: none does; says which package would, as far as anyone here knows.
        """
        self._brought_as(what, name)

    def create_table_format(self, name: str = "delta") -> TableFormat:
        """The table format called `name`; made once, then reused.

        Raises:
            DeclarationError: it is not installed.
            OreflowError: its plugin fails to create it.
        """
        return self._create("table format", name, "create_table_format", TableFormat)

    def create_config_store(self, name: str, address: str) -> ConfigStore:
        """A connection to the shared configuration store at an address, whose scheme is `name`.

        Raises:
            DeclarationError: no plugin knows its kind.
            OreflowError: its plugin fails to create it.
        """
        return self._connected("config store", "create_config_store", ConfigStore, name, address)

    def create_breaker_board(self, name: str, address: str) -> BreakerBoard:
        """A connection to the board of open breakers at an address, whose scheme is `name`.

        Raises:
            DeclarationError: no plugin knows its kind.
            OreflowError: its plugin fails to create it.
        """
        return self._connected("breaker board", "create_breaker_board", BreakerBoard, name, address)

    def create_metric_backend(self, name: str, options: Mapping[str, Any], surroundings: Surroundings) -> MetricBackend:
        """A place for metrics of the kind called `name`; references to secrets in its options are followed.

        Raises:
            DeclarationError: it is not installed, or a secret is not there.
            OreflowError: its plugin fails to create it.
        """
        settings = {"options": followed(options), "surroundings": surroundings}
        plugin = self._brought_as("metric backend", name).plugin
        return self._asked(plugin, "create_metric_backend", MetricBackend, name=name, **settings)

    def create_trace_backend(self, name: str, options: Mapping[str, Any], surroundings: Surroundings) -> TraceBackend:
        """A place for spans of the kind called `name`, as `create_metric_backend`."""
        settings = {"options": followed(options), "surroundings": surroundings}
        plugin = self._brought_as("trace backend", name).plugin
        return self._asked(plugin, "create_trace_backend", TraceBackend, name=name, **settings)

    def create_alert_channel(self, name: str, options: Mapping[str, Any], surroundings: Surroundings) -> AlertChannel:
        """A way to tell people of alerts of the kind called `name`, as `create_metric_backend`."""
        settings = {"options": followed(options), "surroundings": surroundings}
        plugin = self._brought_as("alert channel", name).plugin
        return self._asked(plugin, "create_alert_channel", AlertChannel, name=name, **settings)

    def create(self, offer: Offer, config: ProcessingConfig) -> Processor:
        """The processor of an offer that was selected for this configuration.

        Raises:
            OreflowError: its plugin fails to create it.
        """
        config = config.for_processor(offer.processor)
        plugin = self.plugin(offer.plugin)
        self.profiles.setdefault(offer.name, Profile()).created += 1
        return self._asked(plugin, "create_processor", Processor, name=offer.processor.name, config=config)

    def _create(self, what: str, name: str, hook: str, kind: type[_Kind], **settings: Any) -> _Kind:
        key = (what, name, json.dumps(settings, sort_keys=True, default=str))
        made = self._made.get(key)
        if isinstance(made, kind):
            return made
        brought = self._brought_as(what, name)
        created = self._made[key] = self._asked(brought.plugin, hook, kind, name=brought.item.name, **settings)
        return created

    def _connected(self, what: str, hook: str, kind: type[_Kind], name: str, address: str) -> _Kind:
        return self._asked(self._brought_as(what, name).plugin, hook, kind, name=name, address=address)

    def _brought_as(self, what: str, name: str) -> Brought:
        brought = next((b for b in self._brought[what] if b.name == name), None)
        if brought is None:
            raise DeclarationError([self._not_there(what, name)])
        return brought

    def _not_there(self, what: str, name: str) -> Problem:
        found = self._brought[what]
        message = f"there is no {what} '{name}'"
        homes = [p for p in self.plugins if p.distribution == home_of(what, name) and p.status != "ok"]
        if homes:
            return Problem(f"{message}: {homes[0]} is {homes[0].status}: {homes[0].reason}", mend=homes[0].mend)
        lost = [brought for brought in found if brought.item.name == name]
        if lost:
            return Problem(f"{message}: {' and '.join(str(b.plugin) for b in lost)} both bring it", mend="remove one")
        package = home_of(what, name)
        names = [b.name for b in found]
        others = f"use {', '.join(names)}" if names else ""
        if near := nearest(name, names):
            others = f"did you mean '{near}'?"
        mends = [f"pip install {package}" if package else "", others]
        return Problem(message, mend=", or ".join(mend for mend in mends if mend))

    def _asked(self, plugin: Plugin, hook: str, kind: type[_Kind], **arguments: Any) -> _Kind:
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

    def examine_schemas(self) -> None:
        """Leave out plugins whose option schemas are none; done before one is used, since `--help` uses none."""
        if self._schemas_examined:
            return
        self._schemas_examined = True
        self.plugins = [self._without_fault(plugin, fault_of_schemas) for plugin in self.plugins]
        self._resolve()

    def _without_fault(self, plugin: Plugin, fault: Callable[[Mapping[str, Sequence[Any]]], str]) -> Plugin:
        """The plugin, broken where it describes what cannot be used."""
        reason = fault(plugin.brings or {})
        if not reason:
            return plugin
        self.hooks.unregister(name=plugin.key)
        mend = f"its author has to mend it; pip uninstall {plugin.distribution}"
        return replace(plugin, status="broken", reason=reason, mend=mend, brings=None, hooks=())

    def _resolve(self) -> None:
        """Decide whose each name is."""
        there = (*self.plugins, *self._by_hand)
        self._brought = {what: owned(what, there) for what in KINDS}
        conflicts = [brought for found in self._brought.values() for brought in found if brought.conflict]
        notes = {p.key: [b.conflict for b in conflicts if b.plugin.key == p.key] for p in self.plugins}
        self.plugins = [replace(p, notes=(*self._notes.get(p.key, ()), *notes[p.key])) for p in self.plugins]

    def _offers_of(self, brought: Brought) -> Iterator[Offer]:
        metadata: ProcessorMetadata = brought.item
        capabilities = frozenset(metadata.capabilities)
        where = {"plugin": brought.plugin.key, "version": brought.plugin.version, "conflict": brought.conflict}
        home = brought.plugin.distribution
        prefix = f"{home}:" if brought.conflict else ""
        if metadata.engine != ProcessingEngine.ANY.value:
            yield Offer(prefix + metadata.name, metadata, str(metadata.engine), capabilities, home, **where)
            return
        for engine in self._brought["engine"]:
            if not engine.conflict:
                able = capabilities | frozenset(engine.item.capabilities)
                yield Offer(f"{prefix}{engine.name}_{metadata.name}", metadata, engine.name, able, home, **where)


_factories: dict[Any, ProcessorFactory] = {}
_making = threading.Lock()
"""Held while plugins are loaded, which takes standard output from the whole process for that time."""


def get_processor_factory(project: Path | None = None, allow: Iterable[str] | None = None) -> ProcessorFactory:
    """The factory of this process; made on first use.

    `project` adds the plugin of a project, the file `oreflow_plugins.py` in its folder; `allow` are
    the only distributions that may be loaded (None: all).
    """
    policy = Policy.of(os.environ, allow)
    file = project / PROJECT_FILE if project else None
    own = (file.resolve(), file.stat().st_mtime_ns) if file and file.is_file() else None
    key = (policy, own)
    with _making:
        if key not in _factories:
            _factories[key] = ProcessorFactory(policy, project if own else None)
        return _factories[key]
