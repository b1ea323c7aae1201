"""YAML files with their lines kept: each value of a declaration knows the file and the line that it came from.

Layers are merged here rather than by a settings library because a merged value must keep its origin;
none of those that were looked at does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.contract import DeclarationError, Problem

if TYPE_CHECKING:
    import yaml

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Where a value came from: a file and its line (1-based), or a variable's name and line 0."""

    file: str
    line: int


@dataclass
class Document:
    """A declaration as plain values, with the origin of each by its path."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)

    def locate(self, problem: Problem) -> Problem:
        """The same problem with the file and line of its path, or of the nearest key above it."""
        for length in range(len(problem.path), -1, -1):
            if origin := self.origins.get(problem.path[:length]):
                return Problem(problem.message, problem.path, problem.mend, origin.file, origin.line)
        return problem

    def merge(self, later: Document) -> None:
        """Lay another document over this one: sections merge by key, everything else is replaced."""
        self.origins.setdefault((), later.origins.get((), Origin("", 0)))
        self._merge(self.data, later.data, (), later)

    def put(self, path: KeyPath, value: Any, origin: Origin) -> None:
        """Set one value, making the sections on its way."""
        section: Any = self.data
        for key in path[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                place = ".".join(str(part) for part in path[:-1])
                raise DeclarationError([Problem(f"{place} is no section with keys", file=origin.file)])
        self._forget(path)
        section[path[-1]] = value
        self.origins[path] = origin

    def _merge(self, mine: dict[str, Any], theirs: dict[str, Any], at: KeyPath, later: Document) -> None:
        for key, value in theirs.items():
            path = (*at, key)
            if isinstance(value, dict) and isinstance(mine.get(key), dict):
                self._merge(mine[key], value, path, later)
            else:
                self._forget(path)
                mine[key] = value
                self.origins.update({p: o for p, o in later.origins.items() if p[: len(path)] == path})

    def _forget(self, path: KeyPath) -> None:
        for stale in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[stale]


def read_yaml(path: Path, label: str) -> Document:
    """Read one YAML file; `label` is how messages name it.

    Raises:
        DeclarationError: it cannot be read, is no YAML, is no mapping, or says a key twice.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DeclarationError([Problem(f"cannot be read: {error.strerror}", file=label)]) from error
    except UnicodeDecodeError as error:
        raise DeclarationError([Problem(f"is not UTF-8 text: {error.reason}", file=label)]) from error
    loader = yaml.CSafeLoader(text) if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        document = Document()
        document.origins[()] = Origin(label, 1)
        if node is None:
            return document
        if not isinstance(node, yaml.MappingNode):
            problem = Problem("expected keys and values", file=label, line=_line(node))
            raise DeclarationError([problem])
        problems: list[Problem] = []
        document.data = _value(loader, node, (), label, document.origins, problems)
        if problems:
            raise DeclarationError(problems)
    except RecursionError as error:
        raise DeclarationError([Problem("is nested too deeply", file=label)]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        message = f"is not valid YAML: {error.problem or error.context}"
        mend = "check the indentation, the quotes and the colons around this line"
        raise DeclarationError([Problem(message, mend=mend, file=label, line=line)]) from error
    except yaml.YAMLError as error:
        raise DeclarationError([Problem(f"is not valid YAML: {error}", file=label)]) from error
    else:
        return document
    finally:
        loader.dispose()


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _value(
    loader: Any,
    node: yaml.Node,
    path: KeyPath,
    label: str,
    origins: dict[KeyPath, Origin],
    problems: list[Problem],
    above: tuple[yaml.Node, ...] = (),
) -> Any:
    import yaml

    origins.setdefault(path, Origin(label, _line(node)))
    if any(node is other for other in above):
        problems.append(Problem("an alias leads back to itself", path, "write the value out", label, _line(node)))
        return None
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        section: dict[Any, Any] = {}
        for key, key_node, value_node in _pairs(loader, node):
            where = (*path, key)
            if key in section:
                first = origins[where].line
                mend = f"it is already said in line {first}; keep one of the two"
                problems.append(Problem("the key is said twice", where, mend, label, _line(key_node)))
                continue
            origins[where] = Origin(label, _line(key_node))
            section[key] = _value(loader, value_node, where, label, origins, problems, above)
        return section
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(loader, item, (*path, index), label, origins, problems, above)
            for index, item in enumerate(node.value)
        ]
    try:
        value = loader.construct_object(node, deep=True)
    except (ValueError, AttributeError, TypeError, OverflowError) as error:  # such as a date that does not exist
        problem = Problem(
            f"cannot be understood: {error}", path, "put it in quotes to make it a text", label, _line(node)
        )
        problems.append(problem)
        return None
    if value != value:  # noqa: PLR0124  NaN alone is unequal to itself, and every comparison with it is false
        problems.append(Problem("is not a number", path, "give a number", label, _line(node)))
    return value


def _pairs(loader: Any, node: yaml.MappingNode) -> Iterator[tuple[Any, yaml.Node, yaml.Node]]:
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        yield (key if isinstance(key, str) else str(key)), key_node, value_node
