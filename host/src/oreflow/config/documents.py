"""A declaration in the making: plain values, and for each who said it, where, and what it took the place of.

Layers are merged here rather than by a settings library, because a merged value must keep its origin down to the line;
none of those that were looked at does.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from oreflow.contract import DeclarationError, Problem

KeyPath = tuple[str | int, ...]
MOST_VALUES = 100_000
"""Values in one document; what aliases or a program make of a small file may be more than a machine holds."""


class Layer(StrEnum):
    """Where a value may be said; a later one wins."""

    BASE = "base"
    ENVIRONMENT = "environment"
    LOCAL = "local"
    STORE = "store"
    VARIABLE = "variable"
    OPTION = "option"


@dataclass(frozen=True)
class Origin:
    """Where a value came from: a file and its line (1-based), or what else says it (a variable's name) and line 0."""

    file: str
    line: int
    layer: Layer = Layer.BASE

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Mark(StrEnum):
    """What a key says of how its value meets the one below it, by its end: `checks@append`."""

    APPEND = "append"
    REPLACE = "replace"
    REMOVE = "remove"


IF_THERE = "if_there"
"""What `old@remove` says where it is no mistake that there is nothing to remove."""


@dataclass(frozen=True)
class Said:
    """A value that a layer said; `mark` as the key had it."""

    value: Any
    origin: Origin
    mark: Mark | None = None


@dataclass
class Document:
    """A declaration as plain values, with what is known of each by its path.

    `texts` are scalars of YAML as they were written, where YAML makes something else of them (`no`, `1.10`, `0755`);
    `said` has everything that any layer said for a path, in their order.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    said: dict[KeyPath, list[Said]] = field(default_factory=dict)

    def locate(self, problem: Problem) -> Problem:
        """The same problem with the file and line of its path, or of the nearest key above it."""
        for length in range(len(problem.path), -1, -1):
            if origin := self.origins.get(problem.path[:length]):
                return Problem(problem.message, problem.path, problem.mend, origin.file, origin.line)
        return problem

    @contextlib.contextmanager
    def locating(self) -> Iterator[None]:
        """Within it, what is wrong is said with its file and line."""
        try:
            yield
        except DeclarationError as error:
            raise DeclarationError([self.locate(problem) for problem in error.problems]) from error

    def merge(self, later: Document) -> None:
        """Lay another document over this one: sections merge by key, everything else is replaced, but for marks.

        Raises:
            DeclarationError: a mark does not fit what is below it.
        """
        self.origins.setdefault((), later.origins.get((), Origin("", 0)))
        problems = list(self._merge(self.data, later.data, (), (), later))
        if problems:
            raise DeclarationError(problems)

    def put(
        self,
        path: KeyPath,
        value: Any,
        origin: Origin,
        texts: Mapping[KeyPath, str] | None = None,
        mark: Mark | None = None,
    ) -> None:
        """Lay one value over this document, as a layer that says nothing else would.

        `texts` as in a document, by their paths within the value.

        Raises:
            DeclarationError: the mark does not fit what is below it, or is of an item of a list.
        """
        if mark and any(isinstance(key, int) for key in path):
            mend = "say the whole list"
            problem = Problem(f"layers do not meet within a list, so nothing can be said @{mark}", path, mend)
            raise DeclarationError([replace(problem, file=origin.file, line=origin.line)])
        if any(isinstance(key, int) for key in path):  # an item of a list, which no layer can name
            self._forget(path)
            self.at(path[:-1])[path[-1]] = value
            self.origins[path] = origin
            self.said.setdefault(path, []).append(Said(value, origin))
            return
        last = f"{path[-1]}@{mark}" if mark else str(path[-1])
        known = {(*path[:-1], last, *below): text for below, text in (texts or {}).items()}
        later = Document(origins={(): origin}, texts=known)
        section: dict[str, Any] = later.data
        for key in path[:-1]:
            section = section.setdefault(str(key), {})
        section[last] = value
        self.merge(later)

    def nearest(self, path: KeyPath) -> Origin:
        """The origin of a path, or of the nearest key above it."""
        lengths = range(len(path), -1, -1)
        return next((found for length in lengths if (found := self.origins.get(path[:length]))), Origin("", 0))

    def at(self, path: KeyPath) -> Any:
        """The value of a path.

        Raises:
            KeyError: there is none.
        """
        value: Any = self.data
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise KeyError(path) from None
        return value

    def _merge(
        self, mine: dict[str, Any], theirs: Mapping[str, Any], at: KeyPath, there: KeyPath, later: Document
    ) -> Iterator[Problem]:
        for key, value in theirs.items():
            name, mark = split_mark(key)
            path, source = (*at, name), (*there, key)
            origin = later.nearest(source)
            if mark is None and isinstance(value, dict) and isinstance(mine.get(name), dict):
                yield from self._merge(mine[name], value, path, source, later)
            elif mark is Mark.APPEND:
                yield from self._append(mine, path, source, later, Said(value, origin, mark))
            elif mark is Mark.REMOVE:
                if value is not True and value != IF_THERE:
                    mend = f"say true, or {IF_THERE}, or take the line away"
                    yield Problem("a key is removed, or it is not", path, mend, origin.file, origin.line)
                elif name in mine:
                    self._forget(path)
                    del mine[name]
                    self.said.setdefault(path, []).append(Said(None, origin, mark))
                elif value is True:
                    mend = f"take the line away, or say {IF_THERE}"
                    yield Problem("there is nothing below to remove", path, mend, origin.file, origin.line)
            else:
                self._forget(path)
                self.origins[path] = origin
                if isinstance(value, dict) and value:
                    mine[name] = {}
                    yield from self._merge(mine[name], value, path, source, later)
                else:
                    mine[name] = copy.deepcopy(value)
                    self._take(path, source, later)
                    self.said.setdefault(path, []).append(Said(value, origin, mark))

    def _append(
        self, mine: dict[str, Any], path: KeyPath, source: KeyPath, later: Document, said: Said
    ) -> Iterator[Problem]:
        below, more = mine.get(str(path[-1]), []), said.value
        if not isinstance(more, list) or not isinstance(below, list):
            what, mend = "what is below is no list", f"say @{Mark.REPLACE}, or the key without a mark"
            if not isinstance(more, list):
                what, mend = "this is no list", "write it as one: [a, b]"
            yield Problem(f"nothing can be appended: {what}", path, mend, said.origin.file, said.origin.line)
            return
        mine[str(path[-1])] = [*below, *copy.deepcopy(more)]
        self.origins.setdefault(path, said.origin)
        self._take(path, source, later, shift=len(below))
        self.said.setdefault(path, []).append(said)

    def _take(self, path: KeyPath, source: KeyPath, later: Document, shift: int = 0) -> None:
        """Take over what the other document knows of one of its values and of those within."""
        if source in later.texts:
            self.texts[path] = later.texts[source]
        for below in _within(later.at(source)):
            target, whence = (*path, *_shifted(below, shift)), (*source, *below)
            if whence in later.origins:
                self.origins[target] = later.origins[whence]
            if whence in later.texts:
                self.texts[target] = later.texts[whence]

    def _forget(self, path: KeyPath) -> None:
        """Forget what is known of a path and of all within."""
        with contextlib.suppress(KeyError):
            for below in ((), *_within(self.at(path))):
                self.origins.pop((*path, *below), None)
                self.texts.pop((*path, *below), None)


def _within(value: Any) -> Iterator[KeyPath]:
    """The paths of all that is within a value."""
    if isinstance(value, (dict, list)):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield (key,)
            for below in _within(each):
                yield (key, *below)


def _shifted(path: KeyPath, by: int) -> KeyPath:
    """A path within a list, of which the items have moved."""
    first, *rest = path
    return (first + by if isinstance(first, int) else first, *rest)


def split_mark(key: str) -> tuple[str, Mark | None]:
    """A key without its mark, and the mark."""
    name, at, end = key.rpartition("@")
    if at and name and end in set(Mark):
        return name, Mark(end)
    return key, None
