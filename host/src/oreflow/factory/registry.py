"""The processor factory: what is installed, what was registered by hand, and how each is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from oreflow.config import did_you_mean, validate
from oreflow.contract import (
    CheckType,
    DeclarationError,
    Engine,
    EngineMetadata,
    InvalidMetadata,
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    Processor,
    ProcessorMetadata,
    TableFormat,
    TableFormatMetadata,
)
from oreflow.factory.discovery import Plugin, answers, as_hooks, discover, new_plugin_manager
from oreflow.factory.selection import Offer, Request, Selection, option_problems, select

_BY_HAND = "registered by hand"
_Metadata = TypeVar("_Metadata", ProcessorMetadata, EngineMetadata, TableFormatMetadata)


class ProcessorFactory:
    """Finds, chooses and creates processors, engines, table formats and kinds of check.

    Discovery happens once, when the factory is made; nothing that a plugin brings is imported
    before it is created. `plugins` lists every installed plugin, broken ones with their reason.
    """

    def __init__(self) -> None:
        self.hooks = new_plugin_manager()
        self.plugins: list[Plugin] = discover(self.hooks)
        self._check_homes: dict[str, str] = {}
        self._made_engines: dict[str, Engine] = {}
        self._made_formats: dict[str, TableFormat] = {}

    # What there is

    @cached_property
    def processors(self) -> Mapping[str, tuple[ProcessorMetadata, str]]:
        """Each processor's metadata and the plugin that brings it, by the processor's name."""
        return self._collect("processors", ProcessorMetadata)

    @cached_property
    def engines(self) -> Mapping[str, tuple[EngineMetadata, str]]:
        """Each engine's metadata and plugin, by the engine's name."""
        return self._collect("engines", EngineMetadata)

    @cached_property
    def table_formats(self) -> Mapping[str, tuple[TableFormatMetadata, str]]:
        """Each table format's metadata and plugin, by the format's name."""
        return self._collect("table_formats", TableFormatMetadata)

    @cached_property
    def check_types(self) -> Mapping[str, CheckType]:
        """Each kind of quality check by its name."""
        kinds: dict[str, CheckType] = {}
        for plugin, answer in answers(self.hooks, "check_types"):
            if isinstance(answer, BaseException) or not isinstance(answer, Sequence):
                self._mark_broken(plugin, f"its check_types cannot be had: {answer!r}")
                continue
            for kind in answer:
                if not isinstance(kind, CheckType):
                    self._mark_broken(plugin, f"its check_types have {kind!r} where a CheckType is expected")
                    continue
                if kind.name in kinds:
                    self._mark_broken(
                        plugin, f"check '{kind.name}' is already brought by {self._check_homes[kind.name]}"
                    )
                    continue
                kinds[kind.name] = kind
                self._check_homes[kind.name] = plugin
        return kinds

    @property
    def offers(self) -> list[Offer]:
        """Every processor on every engine that it can run on, under the name to ask for it by."""
        offers = []
        for metadata, plugin in self.processors.values():
            distribution = plugin.partition(":")[0]
            capabilities = frozenset(metadata.capabilities)
            if metadata.engine != ProcessingEngine.ANY.value:
                offers.append(Offer(metadata.name, metadata, str(metadata.engine), capabilities, distribution))
                continue
            for engine, (about, _) in self.engines.items():
                able = capabilities | frozenset(about.capabilities)
                offers.append(Offer(f"{engine}_{metadata.name}", metadata, engine, able, distribution))
        return offers

    def describe_plugins(self) -> list[dict[str, Any]]:
        """Each installed plugin with its distribution, what it brings, and why it is broken, if it is."""
        brought: dict[str, Mapping[str, tuple[Any, str]]] = {
            "processor": self.processors,
            "engine": self.engines,
            "table format": self.table_formats,
        }
        checks = self.check_types  # asked for, so that a plugin whose answer is wrong is listed as broken
        described = []
        for plugin in self.plugins:
            key = f"{plugin.distribution}:{plugin.name}"
            own = [(what, about) for what, found in brought.items() for about, home in found.values() if home == key]
            described.append(
                {
                    "name": plugin.name,
                    "distribution": plugin.distribution,
                    "version": plugin.version,
                    "status": "broken" if plugin.broken else "ok",
                    "reason": plugin.broken,
                    "brings": [f"{what} {about.name}" for what, about in own]
                    + [f"check {name}" for name, home in self._check_homes.items() if home == key and name in checks],
                    "stages": sorted({s.value for _, a in own for s in getattr(a, "supported_stages", ())}),
                    "capabilities": sorted({str(c) for _, a in own for c in getattr(a, "capabilities", ())}),
                }
            )
        return described

    # Choosing

    def select(
        self,
        config: ProcessingConfig,
        required_capabilities: Sequence[str] = (),
        name: str = "",
        *,
        larger_than_memory: bool = False,
    ) -> Selection:
        """The best offer with its reasons; see `oreflow.factory.selection.select`."""
        request = Request(config, lambda o: self._problems(o, config), required_capabilities, name, larger_than_memory)
        return select(self.offers, request)

    def option_problems(self, config: ProcessingConfig, name: str = "") -> Sequence[Problem]:
        """What keeps the options of a configuration from fitting any processor; paths are within the options."""
        return option_problems(self.offers, Request(config, lambda o: self._problems(o, config), name=name))

    def _problems(self, offer: Offer, config: ProcessingConfig) -> list[Problem]:
        """What is wrong in a configuration for an offer, by its option schema and by its plugin."""
        config = config.for_processor(offer.processor)
        schema = {"type": "object", "additionalProperties": False, **offer.processor.option_schema}
        found = validate(dict(config.options), schema)
        if found:
            return found  # a plugin may rely on its schema
        for plugin, answer in answers(self.hooks, "validate_config", name=offer.processor.name, config=config):
            if isinstance(answer, BaseException):
                found.append(Problem(f"the plugin {plugin} cannot judge this: {type(answer).__name__}: {answer}"))
            else:
                found += [item if isinstance(item, Problem) else Problem(str(item)) for item in answer or ()]
        return found

    # Creating

    def create_processor(self, name: str, config: ProcessingConfig) -> Processor:
        """The processor offered as `name`, for a configuration that has been validated.

        Raises:
            DeclarationError: there is no such processor, it does not fit, or the configuration is wrong.
        """
        known = {offer.name for offer in self.offers} | set(self.processors)
        if name not in known:
            raise DeclarationError([Problem(f"there is no processor '{name}'", mend=did_you_mean(name, known))])
        return self.create(self.select(config, name=name).offer, config)

    def create_best_processor(self, config: ProcessingConfig, required_capabilities: Sequence[str] = ()) -> Processor:
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
        named = ProcessorMetadata(
            name,
            about.version,
            about.description,
            about.engine,
            about.supported_stages,
            about.capabilities,
            about.option_schema,
        )
        self.hooks.register(as_hooks(plugin or _ByClass(processor), named), f"{_BY_HAND}:{name}")
        del self.processors

    def create_engine(self, name: str) -> Engine:
        """The engine called `name`; made once, then reused.

        Raises:
            DeclarationError: it is not installed.
        """
        if name not in self._made_engines:
            _require_known(name, "engine", self.engines)
            self._made_engines[name] = self.hooks.hook.create_engine(name=name)
        return self._made_engines[name]

    def create_table_format(self, name: str = "delta") -> TableFormat:
        """The table format called `name`; made once, then reused.

        Raises:
            DeclarationError: it is not installed.
        """
        if name not in self._made_formats:
            _require_known(name, "table format", self.table_formats)
            self._made_formats[name] = self.hooks.hook.create_table_format(name=name)
        return self._made_formats[name]

    def create(self, offer: Offer, config: ProcessingConfig) -> Processor:
        """The processor of an offer that was selected for this configuration."""
        config = config.for_processor(offer.processor)
        created: Processor | None = self.hooks.hook.create_processor(name=offer.processor.name, config=config)
        if created is None:
            raise DeclarationError([Problem(f"{offer.distribution} offers '{offer.name}' but does not create it")])
        return created

    def _collect(self, hook: str, kind: type[_Metadata]) -> dict[str, tuple[_Metadata, str]]:
        found: dict[str, tuple[_Metadata, str]] = {}
        for plugin, answer in answers(self.hooks, hook):
            if isinstance(answer, BaseException) or not isinstance(answer, Sequence):
                self._mark_broken(plugin, f"its {hook} cannot be had: {answer!r}")
                continue
            for metadata in answer:
                if not isinstance(metadata, kind):
                    self._mark_broken(plugin, f"its {hook} have {metadata!r} where {kind.__name__} is expected")
                elif metadata.name in found:
                    self._mark_broken(plugin, f"'{metadata.name}' is already brought by {found[metadata.name][1]}")
                else:
                    found[metadata.name] = (metadata, plugin)
        return found

    def _mark_broken(self, plugin: str, reason: str) -> None:
        distribution, _, name = plugin.partition(":")
        self.plugins = [
            Plugin(p.name, p.distribution, p.version, reason) if (p.distribution, p.name) == (distribution, name) else p
            for p in self.plugins
        ]


def _require_known(name: str, what: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        mend = f"pip install oreflow-{name}" + (f", or use {', '.join(known)}" if known else "")
        raise DeclarationError([Problem(f"there is no {what} '{name}'", mend=mend)])


class _ByClass:
    """A plugin that only constructs a class."""

    def __init__(self, processor: type[Processor]) -> None:
        self._processor = processor

    def create_processor(self, config: ProcessingConfig) -> Processor:
        return self._processor(config)


_factory: list[ProcessorFactory] = []


def get_processor_factory() -> ProcessorFactory:
    """The factory of this process; made on first use."""
    if not _factory:
        _factory.append(ProcessorFactory())
    return _factory[0]
