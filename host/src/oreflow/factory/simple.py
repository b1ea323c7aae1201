"""A plugin in its simplest form, an object with metadata and `create_processor`, as one with hooks."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from oreflow.contract import API_VERSION, ProcessingConfig, Processor, ProcessorMetadata
from oreflow.hookspecs import hookimpl


class ByClass:
    """A plugin that only constructs a class."""

    def __init__(self, processor: type[Processor]) -> None:
        self._processor = processor

    def create_processor(self, config: ProcessingConfig) -> Processor:
        """Construct it."""
        return self._processor(config)


def hooks_for(plugins: Sequence[tuple[Any, ProcessorMetadata]], api: int = API_VERSION) -> Any:
    """Hook implementations for objects with `create_processor(config)` and perhaps `validate_config(config)`."""
    by_name = {metadata.name: plugin for plugin, metadata in plugins}

    @hookimpl
    def processors() -> list[ProcessorMetadata]:
        return [metadata for _, metadata in plugins]

    @hookimpl
    def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
        return by_name[name].create_processor(config) if name in by_name else None

    @hookimpl
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
