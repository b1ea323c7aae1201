"""What a JSON Schema says of one place of a document, and what a text becomes there.

Values are cast by the schema and never by guess: `1.10` stays a text where a text is expected, and becomes a number
where a number is.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from oreflow.config.documents import Document, KeyPath, Origin, split_mark
from oreflow.config.files import LONGEST_NUMBER, read_yaml
from oreflow.contract import DeclarationError, Problem
from oreflow.validation import validate

Schema = Mapping[str, Any]

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*(_[0-9]+)*)$")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$")
_WHOLE = re.compile(r"[+-]?[1-9][0-9]*(\.[0-9]*)?[eE]\+?[0-9]+$")
_OCTAL = re.compile(r"[+-]?0[0-9_]+$")
_SEXAGESIMAL = re.compile(r"[+-]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")


def parts_at(schema: Schema, path: KeyPath, found: dict[KeyPath, list[Schema]] | None = None) -> list[Schema]:
    """All that a schema says of a path: each part that may apply there.

    `found` keeps the answers, for who asks of many paths.
    """
    found = {} if found is None else found
    if path not in found:
        above = parts_at(schema, path[:-1], found) if path else []
        below = [each for part in above for each in _below(part, path[-1])] if path else [schema]
        found[path] = _expand(below, schema)
    return found[path]


def keys_at(parts: Sequence[Schema]) -> list[str]:
    """The keys that are known by name there."""
    return list(dict.fromkeys(key for part in parts for key in part.get("properties", {})))


def kinds_of(parts: Sequence[Schema]) -> set[str]:
    """The types that a value may have there; none where the schema does not say."""
    kinds: set[str] = set()
    for part in parts:
        said = part.get("type", [])
        kinds |= {said} if isinstance(said, str) else set(said)
        values = [*part.get("enum", []), *([part["const"]] if "const" in part else [])]
        kinds |= {_NAMES[type(value)] for value in values if type(value) in _NAMES}
    return kinds


def is_secret(parts: Sequence[Schema]) -> bool:
    """Whether a value there is one to be kept secret: JSON Schema's `writeOnly`, or the format `password`."""
    return any(part.get("writeOnly") is True or part.get("format") in ("secret", "password") for part in parts)


def _expand(parts: Sequence[Any], root: Schema) -> list[Schema]:
    """The parts with all that they are made of, each once: references may lead back to where they come from."""
    found: dict[int, Schema] = {}
    waiting = [*reversed(parts)]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping) or id(part) in found:
            continue
        found[id(part)] = part
        if len(part) == 1 and "type" in part:
            continue
        members = [each for word in ("allOf", "anyOf", "oneOf") for each in part.get(word, ())]
        members += part.get("dependentSchemas", {}).values()
        waiting += reversed([_referred(part.get("$ref"), root), *members, part.get("then"), part.get("else")])
    return [*found.values()]


def _referred(reference: Any, root: Schema) -> Any:
    if reference == "#":
        return root
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    target: Any = root
    for key in reference[2:].split("/"):
        name = key.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list):
            target = target[int(name)] if name.isdecimal() and int(name) < len(target) else None
        else:
            target = target.get(name) if isinstance(target, Mapping) else None
    return target


@functools.cache
def _matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a key fits a pattern as the validator understands it, which is not as Python does."""
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator({"pattern": pattern}).is_valid


def _below(part: Schema, key: str | int) -> Iterator[Schema]:
    if isinstance(key, int):
        first = part.get("prefixItems", ())
        yield first[key] if key < len(first) else part.get("items", {})
        return
    found = False
    if key in part.get("properties", {}):
        found = True
        yield part["properties"][key]
    for pattern, below in part.get("patternProperties", {}).items():
        if _matcher(pattern)(key):
            found = True
            yield below
    if not found and isinstance(part.get("additionalProperties"), Mapping):
        yield part["additionalProperties"]


def defaults(schema: Schema, data: Mapping[str, Any]) -> dict[KeyPath, Any]:
    """What a schema has for keys that the data does not say, where it does not depend on the rest of the data."""
    found: dict[KeyPath, Any] = {}
    waiting: list[tuple[KeyPath, Mapping[str, Any], list[Schema]]] = [((), data, [schema])]
    while waiting:
        path, section, said = waiting.pop()
        parts = _certain(said, schema)
        for key in dict.fromkeys([*keys_at(parts), *section]):
            below = [each for part in parts for each in _below(part, key)]
            if isinstance(section.get(key), Mapping):
                waiting.append(((*path, key), section[key], below))
            elif key not in section:
                values = [part["default"] for part in _certain(below, schema) if "default" in part]
                found |= {(*path, key): value for value in values[:1]}
    return found


def _certain(parts: Sequence[Any], root: Schema) -> list[Schema]:
    """The parts with all that applies whatever the data is; of alternatives, the only one that is a section."""
    found: dict[int, Schema] = {}
    waiting = [*reversed(parts)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping) and id(part) not in found:
            found[id(part)] = part
            more = [_referred(part.get("$ref"), root), *part.get("allOf", ())]
            for word in ("anyOf", "oneOf"):
                sections = [each for each in part.get(word, ()) if "object" in kinds_of(_expand([each], root))]
                more += sections if len(sections) == 1 else []
            waiting += reversed(more)
    return [*found.values()]


def cast(text: str, path: KeyPath, schema: Schema, current: Any = None) -> tuple[Any, dict[KeyPath, str]]:
    """What a text from outside of files becomes at a path: by the schema, else as what it takes the place of is.

    A text that fits no type stays one, for validation to tell of. Gives the texts of scalars besides, as a document
    keeps them, where the schema leaves open what they are.

    Raises:
        ValueError: there is no schema, and the text is nothing such as what it takes the place of.
    """
    parts = parts_at(schema, path)
    free = parts and not is_secret(parts)  # a schema that says nothing of the type allows each
    said = kinds_of(parts) or ({*_NAMES.values(), "array", "object"} if free else {_kind(current)})
    if not parts and "integer" in said:
        said = {"integer", "number"}
    value = _scalar(text.strip(), said)
    if value is _NO_SCALAR:
        value, texts = _flow(text, said)
    else:
        texts = {(): text} if value is not None and "string" in said else {}
    if not parts and current is not None and not _alike(value, current):
        raise ValueError(_KINDS[_kind(current)])
    return value, texts


_NO_SCALAR = object()
_KINDS = {
    "object": "a section",
    "array": "a list",
    "boolean": "true or false",
    "integer": "a number",
    "number": "a number",
    "string": "a text",
}


def _alike(value: Any, current: Any) -> bool:
    kinds = {_kind(value), _kind(current)}
    return len(kinds) == 1 or kinds == {"integer", "number"}


def _scalar(word: str, kinds: set[str]) -> Any:
    """A word as one of some kinds; where it may be a text, only what can hardly be meant as one is something else."""
    numbers, is_open = kinds & {"integer", "number"}, "string" in kinds
    if "null" in kinds and (word == "null" or (word == "~" and not is_open)):
        return None
    if "boolean" in kinds:
        words = {"true": True, "false": False} if is_open else _WORDS if numbers else _WORDS | {"0": False, "1": True}
        if word.lower() in words:
            return words[word.lower()]
    if numbers and _INTEGER.match(word) and len(word) <= LONGEST_NUMBER:
        return int(word)
    if numbers and _NUMBER.match(word):
        return _number(word, kinds)
    return _NO_SCALAR


def _number(word: str, kinds: set[str]) -> Any:
    """A number with a point or an exponent; where whole ones are expected, one that an exponent makes whole."""
    value = float(word)
    if "number" in kinds:
        return value
    is_whole = _WHOLE.match(word) and value.is_integer() and abs(value) < 10**LONGEST_NUMBER
    return int(Decimal(word)) if is_whole else _NO_SCALAR


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "object"
    return "array" if isinstance(value, list) else _NAMES.get(type(value), "string")


def _flow(text: str, kinds: set[str]) -> tuple[Any, dict[KeyPath, str]]:
    """A list or section as YAML or JSON writes it on one line; of a list, a, b, c is enough unless it may be a text."""
    word = text.strip()
    forms = [word] if word.startswith(("[", "{")) and kinds & {"array", "object"} else []
    if "array" in kinds and "string" not in kinds:
        forms.append(f"[{word}]")
    for form in forms:
        try:
            read = read_yaml(f"value: {form}\n", Origin("", 0))
        except (DeclarationError, UnicodeError):
            continue
        value = read.data["value"]
        if len(read.data) == 1 and _kind(value) in kinds:
            return value, {path[1:]: written for path, written in read.texts.items() if len(path) > 1}
    return text, {}


def settle(document: Document, schema: Schema) -> list[Problem]:
    """Make of each scalar what the schema expects, from how it was written; gives what cannot be settled.

    In YAML 1.1 `no` is false, `0755` is 493 and `12:30` is 750: where a text is expected, they are the texts; where a
    number could be meant, the last two are refused. Where a schema allows both, a scalar is what it was read as, unless
    only the text is allowed beside what the rest of the document says (`if`, `oneOf`).
    """
    odd: dict[KeyPath, str] = {}
    open_: dict[KeyPath, str] = {}
    found: dict[KeyPath, list[Schema]] = {}
    for path, text in document.texts.items():
        clean = tuple(split_mark(key)[0] if isinstance(key, str) else key for key in path)
        parts = parts_at(schema, clean, found)
        kinds = kinds_of(parts)
        value = document.at(path)
        if kinds and kinds <= {"string", "null"}:
            settled: Any = text
        elif isinstance(value, str) and kinds & {"integer", "number"} and _NUMBER.match(text):
            number = _number(text, kinds)  # 1e5, which is a number in JSON and in YAML 1.2
            settled = text if number is _NO_SCALAR else number
        elif not isinstance(value, (str, int, float, bool, list, dict)) and value is not None:
            settled = text  # dates, which JSON has not; who expects one reads it from its text
        else:
            if _is_odd(text, value):
                odd[path] = text
            if "string" in kinds and text != value and not (_is_exact(parts) and _is_number(value)):
                open_[path] = text
            continue
        _set(document, path, settled)
    if open_:
        _choose(document, schema, open_)
    return [_odd_number(document, path, text) for path, text in odd.items() if document.at(path) != text]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_odd(text: str, value: Any) -> bool:
    """Whether a number was written such that people read another one."""
    is_octal = isinstance(value, int) and _OCTAL.match(text)
    return _is_number(value) and bool(_SEXAGESIMAL.match(text) or is_octal)


def _odd_number(document: Document, path: KeyPath, text: str) -> Problem:
    value = document.at(path)
    mend = f"put it in quotes if it is a text; the number is {value}"
    return document.locate(Problem(f"{text} is {value} in YAML", path, mend))


def restore_exact(document: Document, schema: Schema) -> None:
    """Put the digits of exact numbers back, as they were written; until they are validated, they are numbers."""
    found: dict[KeyPath, list[Schema]] = {}
    for path, text in document.texts.items():
        value = document.at(path)
        if isinstance(value, float) and math.isfinite(value) and _is_exact(parts_at(schema, path, found)):
            _set(document, path, text.replace("_", ""))


def _is_exact(parts: Sequence[Schema]) -> bool:
    return any(part.get("format") == "decimal" for part in parts)


def _set(document: Document, path: KeyPath, value: Any) -> None:
    section = document.at(path[:-1])
    section[path[-1]] = value


_MOST_CHOICES = 100
"""Scalars of which both readings are tried; each costs a validation."""


def _choose(document: Document, schema: Schema, texts: Mapping[KeyPath, str]) -> None:
    """Read as texts what is wrong as anything else."""
    wrong = validate(document.data, schema)
    places = {problem.path for problem in wrong}
    touched = (path for path in texts if any(path[: len(place)] == place for place in places))
    for path in itertools.islice(touched, _MOST_CHOICES):
        before = document.at(path)
        _set(document, path, texts[path])
        now = validate(document.data, schema)
        if len(now) < len(wrong):
            wrong = now
        else:
            _set(document, path, before)


def path_of(key: str, data: Any, schema: Schema) -> tuple[KeyPath, str]:
    """The path of a key as people write it, whose parts may have points themselves: `tables.bronze.sales.source`.

    Gives what of it leads nowhere besides; '' where all of it is known to the schema or there.
    """
    path: KeyPath = ()
    words = key.split(".")
    while words:
        parts = parts_at(schema, path)
        count = _words_of_key(words, data, parts)
        if not count:
            return path, ".".join(words) or "."  # of a key that ends in a point
        name: str | int = ".".join(words[:count])
        if isinstance(data, list):
            name = int(name)
            data = data[name]
        else:
            data = data.get(name) if isinstance(data, Mapping) else None
        path, words = (*path, name), words[count:]
    return path, ""


def _words_of_key(words: Sequence[str], data: Any, parts: Sequence[Schema]) -> int:
    """How many of the words are the first key; 0 where they begin with none."""
    if isinstance(data, list):
        return int(words[0] in map(str, range(len(data))))
    names = [".".join(words[:count]) for count in range(len(words), 0, -1)]
    known = {*(data if isinstance(data, Mapping) else ()), *keys_at(parts)}
    patterns = [pattern for part in parts for pattern in part.get("patternProperties", {})]
    for name in (*(n for n in names if n in known), *(n for n in names if any(_matcher(p)(n) for p in patterns))):
        return name.count(".") + 1
    free = any(isinstance(part.get("additionalProperties"), Mapping) for part in parts)
    return int(free and words[0] != "")
