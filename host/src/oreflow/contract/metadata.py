"""What a plugin says of itself, without being imported any further: metadata and its vocabulary."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Any, TypeVar

from oreflow.contract.errors import InvalidMetadata

API_VERSION = 1
"""The number of this contract; a plugin states the one that it was written for."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OWN_CAPABILITY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_VERSION = re.compile(r"\d+(\.\d+)*([abc.+-]?[0-9a-z.+-]*)?")


class ProcessingStage(StrEnum):
    """The stages of a medallion pipeline, in the order in which data walks through them."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


class ProcessingEngine(StrEnum):
    """Engines by name. `AUTO` asks for a choice, `ANY` marks a portable processor, `CUSTOM` one that brings its own."""

    AUTO = "auto"
    ANY = "any"
    CUSTOM = "custom"
    POLARS = "polars"
    SPARK = "spark"


class ProcessorCapability(StrEnum):
    """What a processor, or the engine under it, can do; selection filters by it.

    A plugin may name further ones of its own, with a point in them so that no slip of the pen passes
    for one: `geocode.postcodes`.
    """

    AGGREGATION = "aggregation"
    BATCH = "batch"
    DEDUPLICATION = "deduplication"
    DISTRIBUTED = "distributed"
    INCREMENTAL = "incremental"
    IN_PROCESS = "in_process"
    MERGE = "merge"
    OUT_OF_CORE = "out_of_core"
    SQL = "sql"
    STREAMING = "streaming"
    VALIDATION = "validation"


_Member = TypeVar("_Member", bound=Enum)


def _members(kind: type[_Member], values: Iterable[Any], where: str) -> tuple[_Member, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidMetadata(where, f"expected a list, got {values!r}")
    known = [member.value for member in kind]
    result = []
    for value in values:
        try:
            result.append(kind(value))
        except ValueError:
            raise InvalidMetadata(where, f"{value!r} is none of {', '.join(known)}") from None
    return tuple(result)


def _capabilities(values: Iterable[Any]) -> tuple[ProcessorCapability | str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidMetadata("capabilities", f"expected a list, got {values!r}")
    return tuple(capability(value) for value in values)


def capability(name: object) -> ProcessorCapability | str:
    """A capability by its name.

    Raises:
        InvalidMetadata: there is none of this name.
    """
    known = [member.value for member in ProcessorCapability]
    if name in known:
        return ProcessorCapability(name)
    if isinstance(name, str) and _OWN_CAPABILITY.fullmatch(name):
        return name
    close = difflib.get_close_matches(str(name), known, 1)
    hint = (
        f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}, and own ones with a point in them"
    )
    raise InvalidMetadata("capabilities", f"{name!r} is no capability; {hint}")


def _check_name(name: object, version: object, description: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidMetadata("name", f"{name!r} is not lower-case letters, digits and underscores")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise InvalidMetadata("version", f"{version!r} is not a version such as 1.0.0")
    if not isinstance(description, str) or not description.strip():
        raise InvalidMetadata("description", "say in one line what it does")


@dataclass(frozen=True)
class ProcessorMetadata:
    """A processor as its plugin describes it.

    `option_schema` is a JSON Schema object for the keys that a table of this processor may carry in
    the declaration; keys that it does not name are refused.

    `example` shows the processor at work: `options` as a table would declare them, and `rows`, a list of raw rows
    (column -> text or None) that they are for. `oreflow plugins show` prints it, and the conformance kit
    begins with it.

    Raises:
        InvalidMetadata: a field is not what it should be; names the field.
    """

    name: str
    version: str
    description: str
    engine: ProcessingEngine | str
    supported_stages: Iterable[ProcessingStage]
    capabilities: Iterable[ProcessorCapability | str]
    option_schema: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name(self.name, self.version, self.description)
        engine = self.engine.value if isinstance(self.engine, ProcessingEngine) else self.engine
        if not isinstance(engine, str) or not _NAME.fullmatch(engine) or engine == "auto":
            raise InvalidMetadata("engine", f"{engine!r} is not the name of an engine, 'any' or 'custom'")
        object.__setattr__(self, "engine", engine)
        stages = _members(ProcessingStage, self.supported_stages, "supported_stages")
        if not stages:
            raise InvalidMetadata("supported_stages", "name at least one stage")
        object.__setattr__(self, "supported_stages", stages)
        object.__setattr__(self, "capabilities", _capabilities(self.capabilities))
        if not isinstance(self.option_schema, Mapping):
            raise InvalidMetadata("option_schema", "expected a JSON Schema object")
        if not isinstance(self.example, Mapping) or set(self.example) - {"options", "rows"}:
            raise InvalidMetadata("example", "expected an object with the keys options and rows")
        options, rows = self.example.get("options", {}), self.example.get("rows", ())
        if not isinstance(options, Mapping) or not isinstance(rows, (list, tuple)):
            raise InvalidMetadata("example", "expected keys and values as its options, a list as its rows")


@dataclass(frozen=True)
class EngineMetadata:
    """An engine as its plugin describes it.

    `capabilities` are those of the engine itself (in_process, out_of_core, distributed, streaming); a
    processor on it can do these besides its own. `option_schema` is a JSON Schema object for the keys of
    `engines.NAME` in the declaration; `is_remote` says whether the engine computes on other machines where these are
    its options. Raises `InvalidMetadata` as `ProcessorMetadata` does.
    """

    name: str
    version: str
    description: str
    capabilities: Iterable[ProcessorCapability | str]
    option_schema: Mapping[str, Any] = field(default_factory=dict)
    is_remote: Callable[[Mapping[str, Any]], bool] = lambda _: False

    def __post_init__(self) -> None:
        if self.name in (ProcessingEngine.AUTO, ProcessingEngine.ANY, ProcessingEngine.CUSTOM):
            raise InvalidMetadata("name", f"'{self.name}' stands for something else than an engine")
        _check_name(self.name, self.version, self.description)
        if not isinstance(self.option_schema, Mapping):
            raise InvalidMetadata("option_schema", "expected a JSON Schema object")
        if not callable(self.is_remote):
            raise InvalidMetadata("is_remote", "expected a function of the engine's options")
        object.__setattr__(self, "capabilities", _capabilities(self.capabilities))


@dataclass(frozen=True)
class _Described:
    """What has a name, a version and a description, and nothing else."""

    name: str
    version: str
    description: str

    def __post_init__(self) -> None:
        _check_name(self.name, self.version, self.description)


@dataclass(frozen=True)
class _WithOptions(_Described):
    """What has options besides."""

    option_schema: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.option_schema, Mapping):
            raise InvalidMetadata("option_schema", "expected a JSON Schema object")


@dataclass(frozen=True)
class TableFormatMetadata(_Described):
    """A table format as its plugin describes it. Raises `InvalidMetadata` as `ProcessorMetadata` does."""


@dataclass(frozen=True)
class ConfigStoreMetadata(_Described):
    """A kind of shared configuration store as its plugin describes it; `name` is the scheme of its addresses.

    Raises `InvalidMetadata` as `ProcessorMetadata` does.
    """


@dataclass(frozen=True)
class BreakerBoardMetadata(_Described):
    """A kind of board of open breakers as its plugin describes it; `name` is the scheme of its addresses.

    Raises `InvalidMetadata` as `ProcessorMetadata` does.
    """


@dataclass(frozen=True)
class SectionMetadata(_WithOptions):
    """A section that a plugin adds to declarations: `name` is its key at the top, `option_schema` of what is below.

    `takes_secrets` says that there may be references to secrets in it, which the plugin follows (`oreflow.secrets`).
    Raises `InvalidMetadata` as `ProcessorMetadata` does.
    """

    takes_secrets: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name in _OWN_SECTIONS:
            raise InvalidMetadata("name", f"'{self.name}' is a section of every declaration")


@dataclass(frozen=True)
class MetricBackendMetadata(_WithOptions):
    """A kind of place where metrics go, as its plugin describes it; `name` is its `type` in a declaration.

    `option_schema` is a JSON Schema object for the keys beside `type`; `can_query` says that it answers aggregations.
    Raises `InvalidMetadata` as `ProcessorMetadata` does.
    """

    can_query: bool = False


@dataclass(frozen=True)
class TraceBackendMetadata(_WithOptions):
    """A kind of place where spans go, as its plugin describes it; `name` is its `type` in a declaration.

    `option_schema` is a JSON Schema object for the keys beside `type`. Raises `InvalidMetadata` as `ProcessorMetadata`
    does.
    """


@dataclass(frozen=True)
class AlertChannelMetadata(_WithOptions):
    """A way to tell people of alerts, as its plugin describes it; `name` is its `type` in a declaration.

    `option_schema` is a JSON Schema object for the keys beside `type`. Raises `InvalidMetadata` as `ProcessorMetadata`
    does.
    """


_OWN_SECTIONS = {
    "alerts",
    "description",
    "engines",
    "lake",
    "health",
    "monitoring",
    "name",
    "plugins",
    "processors",
    "resilience",
    "sources",
    "tables",
}


@dataclass(frozen=True)
class ProcessingConfig:
    """What a processor is asked for and created with.

    `options` are the keys of the table's declaration that belong to the processor; `defaults` are those of
    its stage, of which a processor takes what it knows. `inputs` are the names of what it reads, `checks`
    the kinds of check that its table declares, in their order. `input_path` and `output_path` say where
    data comes from and goes to, for those who use the factory by hand (in a run, the host reads
    and publishes, and a processor never sees a path).
    """

    stage: ProcessingStage
    engine: ProcessingEngine | str = ProcessingEngine.AUTO
    input_path: str = ""
    output_path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()

    def for_processor(self, metadata: ProcessorMetadata) -> ProcessingConfig:
        """The same with defaults laid under the options: those of its schema, over them those of its stage."""
        known = metadata.option_schema.get("properties", {})
        own = {key: each["default"] for key, each in known.items() if isinstance(each, Mapping) and "default" in each}
        inherited = {key: value for key, value in self.defaults.items() if key in known}
        return replace(self, options={**own, **inherited, **self.options}, defaults={})

    def __post_init__(self) -> None:
        object.__setattr__(self, "stage", ProcessingStage(self.stage))
        engine = self.engine.value if isinstance(self.engine, ProcessingEngine) else self.engine
        object.__setattr__(self, "engine", engine)
