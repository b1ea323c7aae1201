"""A project's declaration, and the plugins that it lets in: what every verb begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from oreflow.factory import ProcessorFactory, get_processor_factory

if TYPE_CHECKING:
    from oreflow.pipeline.model import Pipeline


DEFAULT_NAME = "pipeline"


def project_factory(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> ProcessorFactory:
    """The factory of what a project's declaration lets in; of all that is installed where there is none.

    Raises:
        DeclarationError: the declaration cannot be read, so that nobody knows what it lets in.
    """
    if pipeline == DEFAULT_NAME and not any(Path(project, "config").glob(f"{DEFAULT_NAME}.*")):
        return get_processor_factory(Path(project).resolve())
    from oreflow.pipeline.declaration import read_declaration

    return read_declaration(Path(project).resolve(), pipeline, environment, options)[1]


def load(
    project: str | Path,
    pipeline: str,
    environment: str | None,
    options: Sequence[str] = (),
    sections: Mapping[str, Path] = MappingProxyType({}),
) -> tuple[Pipeline, ProcessorFactory]:
    """A pipeline that has been checked, and the factory of the plugins that it lets in."""
    from oreflow.pipeline.declaration import load_pipeline

    return load_pipeline(Path(project), pipeline, environment, options, sections=sections)
