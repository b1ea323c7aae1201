"""Judging a processor by its name: who is judged, on which engines, and what every check says of it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oreflow.contract import DeclarationError, Problem, ProcessingStage, ProcessorMetadata
from oreflow_testkit.checks import CHECKS, ConformanceCheck
from oreflow_testkit.errors import NotApplicable
from oreflow_testkit.sample import DEFAULT_ROWS, Row
from oreflow_testkit.subject import Subject, factory_of, offers_of, told


@dataclass(frozen=True)
class Judgement:
    """What a check says of a processor on an engine; `reason` is empty where it passed and there is no more to say."""

    check: str
    proves: str
    engine: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class Place:
    """Where a processor can be judged: at a stage that it supports, on an engine that it claims."""

    engine: str
    stage: ProcessingStage
    label: str


def find_metadata(name: str, project: str | Path | None = None) -> ProcessorMetadata:
    """The metadata of the processor that is asked for as `name`.

    Raises:
        DeclarationError: there is none.
    """
    factory = factory_of(project)
    if name in factory.processors:
        return factory.processors[name][0]
    for offer in offers_of(factory, name):
        return offer.processor
    there = ", ".join(sorted(factory.processors)) or "none"
    mend = "say the name of its metadata, and install its package (pip install -e .)"
    raise DeclarationError([Problem(f"there is no processor '{name}', there are {there}", mend=mend)])


def places(name: str, project: str | Path | None = None) -> list[Place]:
    """Every stage of a processor on every engine that it claims and that is installed.

    Raises:
        DeclarationError: there is no such processor, or no engine for it.
    """
    factory, metadata = factory_of(project), find_metadata(name, project)
    engines = sorted({offer.engine for offer in offers_of(factory, name)})
    if not engines:
        raise DeclarationError([Problem("no engine is installed to judge it on", mend='pip install "oreflow[polars]"')])
    stages = list(metadata.supported_stages)
    return [
        Place(engine, stage, engine if len(stages) == 1 else f"{engine}-{stage.value}")
        for engine in engines
        for stage in stages
    ]


def subject_of(
    name: str,
    place: Place,
    folder: Path,
    options: Mapping[str, Any] | None = None,
    rows: Sequence[Row] | None = None,
    order_matters: str = "",
    project: str | Path | None = None,
) -> Subject:
    """A processor as it is judged at a place; options and rows are those of its example, where not said."""
    metadata = find_metadata(name, project)
    example = metadata.example
    return Subject(
        name=name,
        metadata=metadata,
        stage=place.stage,
        engine_name=place.engine,
        options=example.get("options", {}) if options is None else options,
        rows=tuple(example.get("rows", DEFAULT_ROWS) if rows is None else rows),
        folder=folder,
        order_matters=order_matters,
        project=project,
    )


def judge(
    processor_name: str,
    *,
    options: Mapping[str, Any] | None = None,
    rows: Sequence[Row] | None = None,
    order_matters: str = "",
    not_applicable: Mapping[str, str] | None = None,
    project: str | Path | None = None,
) -> list[Judgement]:
    """What every check says of a processor, on every engine that it claims and that is installed.

    The processor is an installed one, or of the own file of `project`, `oreflow_plugins.py`. The keywords are those
    of `ProcessorConformance`. Everything is made in a temporary directory.

    Raises:
        DeclarationError: there is no such processor, or no engine for it, or no check of a name in `not_applicable`.
    """
    left_out = dict(not_applicable or {})
    if wrong := misnamed(left_out):
        raise DeclarationError([Problem(wrong)])
    found = []
    for number, place in enumerate(places(processor_name, project)):
        for check in CHECKS:
            if reason := left_out.get(check.name):
                reason = f"does not apply: {reason}"
                found.append(Judgement(check.name, check.proves, place.engine, passed=True, reason=reason))
                continue
            with tempfile.TemporaryDirectory(prefix="oreflow-testkit-") as folder:
                where = Path(folder).resolve() / str(number)
                where.mkdir()
                subject = subject_of(processor_name, place, where, options, rows, order_matters, project)
                passed, reason = outcome_of(check, subject)
                # What the host leaves there to be looked at is gone when anybody reads this.
                reason = re.sub(rf"[,;] [^,;]*{re.escape(str(where))}[^\s,;)]*", "", reason)
            told_where = f"as a {place.stage.value} step: " if place.label != place.engine and reason else ""
            found.append(Judgement(check.name, check.proves, place.engine, passed, told_where + reason))
    return found


def outcome_of(check: ConformanceCheck, subject: Subject) -> tuple[bool, str]:
    """Whether a check passes, and why not."""
    try:
        check.run(subject)
    except NotApplicable as error:
        return True, f"does not apply: {error}"
    except AssertionError as error:
        return False, str(error)
    except (Exception, SystemExit) as error:
        return False, f"the check could not be made: {told(error)}"
    return True, ""


def misnamed(names: Mapping[str, str]) -> str:
    """What is wrong with the checks that are said not to apply; '' where nothing is."""
    known = [check.name for check in CHECKS]
    for name, reason in names.items():
        if name not in known:
            return f"not_applicable names '{name}', which is no check; there are {', '.join(known)}"
        if not isinstance(reason, str) or not reason.strip():
            return f"not_applicable leaves out '{name}' without a reason - say why it does not apply"
    return ""
