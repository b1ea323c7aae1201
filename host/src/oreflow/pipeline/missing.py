"""What to say where a declaration asks for a processor or a capability that nothing installed brings.

Who is missing is known from the name that was asked for, from the lock file, or from the run that made the table last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oreflow.contract import DeclarationError, InvalidMetadata, Problem, capability
from oreflow.factory import PROJECT_FILE, ProcessorFactory
from oreflow.pipeline.history import Maker, lock_path, locked_maker_of, maker_of
from oreflow.pipeline.lake import Lake


def explain_missing(
    problems: Sequence[Problem], data: Mapping[str, Any], factory: ProcessorFactory, project: Path, pipeline: str
) -> list[Problem]:
    """The problems of a declaration's form, with what is missing said in place of what follows from it.

    `pipeline` is the name of its file in the project, by which the lock file is found.
    """
    found = list(problems)
    tables, stages = data.get("tables"), data.get("processors")
    if not isinstance(tables, dict):
        return found
    lake = Lake(project / str(data.get("lake", "./lake")))
    for name, own in tables.items():
        if not isinstance(own, dict):
            continue
        stage = name.partition(".")[0]
        defaults = stages.get(stage) if isinstance(stages, dict) else None
        table = _Table(name, own, defaults if isinstance(defaults, dict) else {})
        unknown = [p for p in found if p.path[:2] == ("tables", name) and p.message.startswith("unknown key")]
        said = table.problems(factory)
        if not said and not unknown:
            continue
        path = said[0].path if said else ("tables", name)
        there = {plugin.distribution for plugin in factory.plugins}
        locked, maker = locked_maker_of(lock_path(project, pipeline), name), maker_of(lake, name)
        if locked and locked.distribution not in there:
            said = [_gone(locked, f"{name} is locked to", path)]
        elif maker and maker.distribution not in there:
            said = [_gone(maker, f"{name} was last made by", path)]
        if said:
            found = [problem for problem in found if problem not in unknown] + said
    return found


def _gone(maker: Maker, what: str, path: tuple[str | int, ...]) -> Problem:
    message = f"{what} {maker.processor} of {maker.distribution} {maker.version}, which is not installed"
    project = maker.distribution == PROJECT_FILE
    mend = f"put {PROJECT_FILE} back" if project else f"pip install {maker.distribution}=={maker.version}"
    return Problem(message, path, mend)


class _Table:
    """What a table asks for by name, as far as it has the right form."""

    def __init__(self, name: str, own: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._name, self._own, self._merged = name, own, {**defaults, **own}

    def problems(self, factory: ProcessorFactory) -> list[Problem]:
        """The processor or the capabilities that nothing installed brings."""
        found = []
        if isinstance(asked := self._merged.get("processor"), str):
            try:
                factory.require_processor(asked)
            except DeclarationError as error:
                found += [Problem(p.message, self._path("processor"), p.mend) for p in error.problems]
        able = {each for offer in factory.offers for each in offer.capabilities}
        for key in ("required_capabilities", "preferred_capabilities"):
            asked_for = self._merged.get(key)
            for index, each in enumerate(asked_for if isinstance(asked_for, list) else ()):
                if isinstance(each, str) and (message := _wrong(each, able, key)):
                    found.append(Problem(message, (*self._path(key), index), "see `oreflow plugins` for what there is"))
        return found

    def _path(self, key: str) -> tuple[str | int, ...]:
        return ("tables", self._name, key) if key in self._own else ("processors", self._name.partition(".")[0], key)


def _wrong(name: str, able: set[str], key: str) -> str:
    try:
        capability(name)
    except InvalidMetadata as error:
        return str(error).partition(": ")[2]
    return f"nothing that is installed can do '{name}'" if key.startswith("required") and name not in able else ""
