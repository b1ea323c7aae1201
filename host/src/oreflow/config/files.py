"""Files as documents: YAML, JSON and TOML, each value with its line; Python files have a room of their own.

What YAML is known for to make of innocent texts is kept in sight here and settled where the schema is known: the text
of every scalar that is no plain string stays beside its value.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from oreflow.config.documents import MOST_VALUES, Document, KeyPath, Layer, Origin
from oreflow.config.python_file import read_python
from oreflow.contract import DeclarationError, Problem

if TYPE_CHECKING:
    import yaml

    _Pairs = list[tuple[yaml.Node, yaml.Node]]

DATA_FORMATS = (".yaml", ".yml", ".json", ".toml")
"""The formats of which a layer has one file."""
PYTHON = ".py"
_DEEPEST = 100
"""Levels of sections and lists in one file; what comes after the reading goes down into them too."""
LONGEST_NUMBER = 300
"""Digits of a number; no float holds more, and Python itself refuses to write one of more than 4,300."""
_LARGEST = 10**LONGEST_NUMBER
_QUOTES = "put it in quotes to make it a text"
_DEEP = f"is nested too deeply, in more than {_DEEPEST} levels"
_LONG = f"is a number of more than {LONGEST_NUMBER} digits"


def is_there(path: Path, label: str) -> bool:
    """Whether there is such a file; `label` is how messages name it.

    Raises:
        DeclarationError: what is called so is no file that can be read, such as a folder or a link that leads nowhere.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not path.is_symlink() and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return False
        what = "is a link that leads nowhere" if path.is_symlink() else f"cannot be looked at: {error.strerror}"
    else:
        if stat.S_ISREG(mode):
            return True
        what = "is a folder, and no file" if stat.S_ISDIR(mode) else "is no file that ends"
    raise DeclarationError([Problem(what, mend="make it a file, or take it away", file=label)])


def read_file(path: Path, label: str, layer: Layer = Layer.BASE) -> Document:
    """Read a file by its ending; `label` is how messages name it. A Python file is run.

    Raises:
        DeclarationError: it cannot be read, is not of its format, has no keys and values, or says a key twice.
    """
    origin = Origin(label, 0, layer)
    text = _text(path, label)
    if path.suffix == PYTHON:
        return _bounded(read_python(path, text, origin))
    readers: dict[str, Callable[[str, Origin], Document]] = {".json": _read_json, ".toml": _read_toml}
    return _bounded(readers.get(path.suffix, _read_yaml)(text, origin))


def read_yaml(text: str, origin: Origin) -> Document:
    """YAML 1.1 as PyYAML reads it, safely, and with the same keys only once.

    Raises:
        DeclarationError: it is not valid, has no keys and values, says a key twice, or is beyond all bounds.
    """
    return _bounded(_read_yaml(text, origin))


def _bounded(document: Document) -> Document:
    """The document, where it is not nested too deeply and has no number that nobody can write."""
    waiting: list[tuple[KeyPath, Any]] = [((), document.data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, (dict, list)):
            if len(path) > _DEEPEST:
                raise DeclarationError([document.locate(Problem(_DEEP, path[:1]))])
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            waiting.extend(((*path, key), each) for key, each in pairs)
        elif isinstance(value, int) and abs(value) >= _LARGEST:
            raise DeclarationError([document.locate(Problem(_LONG, path, _QUOTES))])
        if not all(is_text(each) for each in (value, *path[-1:]) if isinstance(each, str)):
            problem = Problem("has half of a character (\\ud800 to \\udfff), which no output can show", path[:-1])
            raise DeclarationError([document.locate(problem)])
    return document


def is_text(text: str) -> bool:
    """Whether it is one that can be written down: bytes that are no UTF-8 are half characters to Python."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(path: Path, label: str) -> str:
    try:
        content = path.read_bytes()
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            mend = "save it as UTF-8"
            raise DeclarationError([Problem("is UTF-16 text, where UTF-8 is expected", mend=mend, file=label)])
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except OSError as error:
        raise DeclarationError([unreadable(error, label)]) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(f"is not UTF-8 text: {error.reason}", mend="save it as UTF-8", file=label, line=line)
        raise DeclarationError([problem]) from error


def unreadable(error: OSError, label: str) -> Problem:
    """What to tell of a file that the system does not let us read."""
    mend = "see that it is a file, and that this user may read it"
    return Problem(f"cannot be read: {error.strerror}", mend=mend, file=label)


# YAML


def _read_yaml(text: str, origin: Origin) -> Document:
    import yaml

    label = origin.file
    loader = yaml.CSafeLoader(text) if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        document = Document(origins={(): replace(origin, line=1)})
        if node is None or (isinstance(node, yaml.ScalarNode) and not node.value and not node.style):  # only `---`
            return document
        if not isinstance(node, yaml.MappingNode):
            raise DeclarationError([Problem("expected keys and values", file=label, line=_line(node))])
        reader = _Yaml(loader, origin, document)
        document.data = reader.value(node, (), ())
        if reader.problems:
            raise DeclarationError(reader.problems)
    except RecursionError as error:
        raise DeclarationError([Problem(_DEEP, file=label)]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        message = f"is not valid YAML: {error.problem or error.context}"
        mend = "check the indentation, the quotes and the colons around this line"
        if "\t" in "".join(text.splitlines()[line - 1 : line]):
            mend = "indent with spaces, not with tabs"
        raise DeclarationError([Problem(message, mend=mend, file=label, line=line)]) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        reason = " ".join(str(error).split("\n")[0].split())
        raise DeclarationError([Problem(f"is not valid YAML: {reason}", file=label, line=line)]) from error
    else:
        return document
    finally:
        loader.dispose()


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Yaml:
    """The values of a tree of YAML nodes; what becomes known of them goes into a document."""

    def __init__(self, loader: Any, origin: Origin, document: Document) -> None:
        self._loader, self._origin, self._document = loader, origin, document
        self._count = 0
        self._pairs: dict[int, tuple[_Pairs, _Pairs] | None] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> Any:
        import yaml

        if path not in self._document.origins:
            self._document.origins[path] = self._at(node)
        self._counted(1, path, node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if any(node is other for other in above):
            self._wrong("an alias leads back to itself", path, "write the value out", node)
            return None
        above = (*above, node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index), above) for index, item in enumerate(node.value)]
        brought, own = self._merged(node, path)
        section: dict[str, Any] = {}
        said: set[str] = set()
        for is_own, (key_node, value_node) in [*((False, pair) for pair in brought), *((True, pair) for pair in own)]:
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong("a key is a text", path, "write it as one word", key_node)
                continue
            key = str(key_node.value)  # `no` and `2024` are what they look like
            where = (*path, key)
            if is_own and key in said:
                first = self._document.origins[where].line
                mend = f"it is already said in line {first}; keep one of the two"
                self._wrong("the key is said twice", where, mend, key_node)
                continue
            if is_own:
                said.add(key)
            self._document.origins[where] = self._at(key_node)
            section[key] = self.value(value_node, where, above)
        return section

    def _merged(self, node: yaml.Node, path: KeyPath) -> tuple[_Pairs, _Pairs]:
        """What `<<` brings into a section, each key once, and what is the section's own, which overrules it.

        Written here because PyYAML's own way repeats what is brought twice, until no memory is left.
        """
        import yaml

        if id(node) in self._pairs:
            found = self._pairs[id(node)]
            if found is None:
                self._wrong("an alias leads back to itself", path, "write the value out", node)
            return found or ([], [])
        self._pairs[id(node)] = None
        brought: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        own = []
        for key, value in node.value:
            if key.tag != _MERGE:
                own.append((key, value))
                continue
            # The first of several sections overrules those that follow.
            sections = reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]
            for section in sections:
                if not isinstance(section, yaml.MappingNode):
                    self._wrong("`<<` brings sections, and this is none", path, "", section)
                    continue
                pairs = [pair for part in self._merged(section, path) for pair in part]
                self._counted(len(pairs), path, value)
                brought |= {pair[0].value if isinstance(pair[0].value, str) else id(pair[0]): pair for pair in pairs}
        self._pairs[id(node)] = found = [*brought.values()], own
        return found

    def _counted(self, more: int, path: KeyPath, node: yaml.Node) -> None:
        self._count += more
        if self._count > MOST_VALUES:
            what = f"has more than {MOST_VALUES:,} values"
            mend = "write out what its aliases (*name) repeat, or take them away"
            raise DeclarationError([Problem(what, path[:1], mend, self._origin.file, _line(node))])

    def _at(self, node: yaml.Node) -> Origin:
        return Origin(self._origin.file, _line(node), self._origin.layer)

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        import yaml

        try:
            value = self._loader.construct_object(node, deep=True)
        except (ValueError, AttributeError, TypeError, OverflowError, LookupError, yaml.YAMLError):
            implicit = self._loader.resolve(yaml.ScalarNode, node.value, (True, False)) == node.tag
            if not node.style and implicit:  # a date that does not exist, or `=`, may be a text for all that
                self._document.texts[path] = node.value
                return node.value
            # Neither is shown: the value may be a secret that begins so.
            self._wrong("begins with a tag (!) that is not known, or that its value does not fit", path, _QUOTES, node)
            return None
        plain = isinstance(value, str) and not _EXPONENT.match(value)
        if value is not None and not plain and (not node.style or isinstance(value, date)):
            self._document.texts[path] = node.value
        return value

    def _wrong(self, message: str, path: KeyPath, mend: str, node: yaml.Node) -> None:
        self.problems.append(Problem(message, path, mend, self._origin.file, _line(node)))


_MERGE = "tag:yaml.org,2002:merge"
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")


# JSON


def _read_json(text: str, origin: Origin) -> Document:
    if not text.strip():
        return Document(origins={(): replace(origin, line=1)})
    try:
        data = json.loads(
            text, object_pairs_hook=_section_once, parse_constant=_refuse_constant, parse_float=_Float, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        problem = Problem(f"is not valid JSON: {error.msg}", file=origin.file, line=error.lineno)
        raise DeclarationError([problem]) from error
    except _TwiceError as error:
        forms = {json.dumps(error.key), json.dumps(error.key, ensure_ascii=False)}
        lines = [n for n, line in enumerate(text.splitlines(), 1) if any(form in line for form in forms)]
        where = f"it is in lines {' and '.join(map(str, lines))}; " if len(lines) > 1 else ""
        problem = Problem("the key is said twice", (error.key,), f"{where}keep one of the two", origin.file)
        raise DeclarationError([replace(problem, line=lines[-1] if lines else 0)]) from error
    except RecursionError as error:
        raise DeclarationError([Problem(_DEEP, file=origin.file)]) from error
    except ValueError as error:
        raise DeclarationError([Problem(f"is not valid JSON: {error}", file=origin.file)]) from error
    if not isinstance(data, dict):
        raise DeclarationError([Problem("expected keys and values", file=origin.file, line=1)])
    try:  # almost all JSON is YAML, whose reader knows lines
        origins = _read_yaml(text.replace("\t", " "), origin).origins
    except DeclarationError:
        origins = {(): replace(origin, line=1)}
    return _written(data, origins)


class _Float(float):
    """A number of JSON or TOML that knows how it was written: an exact one is read from that."""

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER + 1:
        raise ValueError(f"there {_LONG}")
    return int(text)


def _written(data: dict[str, Any], origins: dict[KeyPath, Origin]) -> Document:
    """A document in which numbers are plain values, and beside them, as of dates, is how they were written."""
    document = Document(data, origins)
    waiting: list[tuple[KeyPath, Any]] = [((), data)]
    while waiting:
        path, section = waiting.pop()
        for key, value in list(section.items() if isinstance(section, dict) else enumerate(section)):
            if isinstance(value, (dict, list)):
                waiting.append(((*path, key), value))
            elif isinstance(value, _Float):
                section[key] = float(value)
                document.texts[*path, key] = value.text
            elif isinstance(value, (date, time)):
                document.texts[*path, key] = value.isoformat()
    return document


class _TwiceError(ValueError):
    """A key stands twice in a section."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


def _section_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


# TOML

_TOML = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|\#[^\n]*|[\[\]{}=\n]|[^"\'#\[\]{}=\n]+',
    re.DOTALL,
)


def _read_toml(text: str, origin: Origin) -> Document:
    import tomllib

    try:
        data = tomllib.loads(text, parse_float=_Float)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+)", str(error))
        message = re.sub(r" \(at .*\)$", "", str(error))
        problem = Problem(f"is not valid TOML: {message}", file=origin.file, line=int(place[1]) if place else 0)
        raise DeclarationError([problem]) from error
    except RecursionError as error:
        raise DeclarationError([Problem(_DEEP, file=origin.file)]) from error
    except ValueError as error:  # Python's own bound for the digits of a number
        raise DeclarationError([Problem(f"there {_LONG}", (), _QUOTES, origin.file)]) from error
    origins: dict[KeyPath, Origin] = {(): replace(origin, line=1)}
    for path, line in _toml_lines(text):
        for length in range(1, len(path) + 1):
            origins.setdefault(path[:length], replace(origin, line=line))
    return _written(data, origins)


def _toml_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """The line of each key of a valid TOML text, but for those within an inline table."""
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    statement: list[str] = []
    line, start, depth = 1, 1, 0
    for piece in [*(match[0] for match in _TOML.finditer(text)), "\n"]:
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece, 0)
        line += piece.count("\n")
        if piece != "\n" or depth:
            statement += [] if piece.startswith("#") else [piece]
            continue
        said, head = "".join(statement).strip(), "".join(itertools.takewhile(lambda each: each != "=", statement))
        if said.startswith("["):
            *above, last = _toml_key(said.strip("[]"))
            table = ()
            for key in above:  # the latest of an array of tables is the one that is meant
                table = (*table, key)
                table = (*table, counts[table]) if table in counts else table
            table = (*table, last)
            if said.startswith("[["):
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, start
        elif said:
            yield (*table, *_toml_key(head)), start
        statement, start = [], line


def _toml_key(text: str) -> KeyPath:
    """The parts of a dotted key, as the format itself understands it."""
    import tomllib

    found: Any = tomllib.loads(f"{text.strip()} = 0")
    path: list[str] = []
    while isinstance(found, dict):
        ((key, found),) = found.items()
        path.append(key)
    return tuple(path)
