"""What a JSON Schema says of one place of a document, and what a text becomes there.

Values are cast by the schema and never by guess: `1.10` stays a text where a text is expected, and becomes a number
where a number is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oreflow.config.documents import Document, KeyPath, Origin, split_mark
from oreflow.config.files import read_yaml
from oreflow.contract import DeclarationError, Problem

Schema = Mapping[str, Any]

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*(_[0-9]+)*)$")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$")
_OCTAL = re.compile(r"[+-]?0[0-9_]+$")
_SEXAGESIMAL = re.compile(r"[+-]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")


def parts_at(schema: Schema, path: KeyPath) -> list[Schema]:
    """All that a schema says of a path: each part that may apply there."""
    parts = list(_expand(schema, schema))
    for key in path:
        parts = [each for part in parts for below in _below(part, key) for each in _expand(below, schema)]
    return parts


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


def _expand(part: Any, root: Schema, depth: int = 0) -> Iterator[Schema]:
    if not isinstance(part, Mapping) or depth > 50:  # noqa: PLR2004  a reference that leads back to itself
        return
    yield part
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root
        for key in reference[2:].split("/"):
            target = target.get(key.replace("~1", "/").replace("~0", "~"), {}) if isinstance(target, Mapping) else {}
        yield from _expand(target, root, depth + 1)
    for word in ("allOf", "anyOf", "oneOf"):
        for member in part.get(word, ()):
            yield from _expand(member, root, depth + 1)
    for word in ("then", "else"):
        yield from _expand(part.get(word), root, depth + 1)


def _below(part: Schema, key: str | int) -> Iterator[Schema]:
    if isinstance(key, int):
        yield part.get("items", {})
        return
    found = False
    if key in part.get("properties", {}):
        found = True
        yield part["properties"][key]
    for pattern, below in part.get("patternProperties", {}).items():
        if re.search(pattern, key):
            found = True
            yield below
    if not found and isinstance(part.get("additionalProperties"), Mapping):
        yield part["additionalProperties"]


def cast(text: str, path: KeyPath, schema: Schema, current: Any = None) -> tuple[Any, dict[KeyPath, str]]:
    """What a text from outside of files becomes at a path: by the schema, else as what it takes the place of is.

    A text that fits no type stays one, for validation to tell of. Gives the texts of scalars within besides, as a
    document keeps them.
    """
    kinds = kinds_of(parts_at(schema, path)) or {_kind(current)}
    value = _scalar(text.strip(), kinds)
    if value is not _NO_SCALAR:
        return value, {}
    return _flow(text, kinds) if kinds & {"array", "object"} else (text, {})


_NO_SCALAR = object()


def _scalar(word: str, kinds: set[str]) -> Any:
    numbers = kinds & {"integer", "number"}
    if "null" in kinds and word in ("null", "~"):
        return None
    if "boolean" in kinds and (word.lower() in _WORDS or (not numbers and word in ("0", "1"))):
        return _WORDS.get(word.lower(), word == "1")
    if numbers and _INTEGER.match(word):
        return int(word)
    if "number" in kinds and _NUMBER.match(word):
        return float(word)
    return _NO_SCALAR


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "object"
    return "array" if isinstance(value, list) else _NAMES.get(type(value), "string")


def _flow(text: str, kinds: set[str]) -> tuple[Any, dict[KeyPath, str]]:
    """A list or section as YAML or JSON writes it on one line; of a list, a, b, c is enough."""
    word = text.strip()
    if "array" in kinds and not word.startswith(("[", "{")):
        word = f"[{word}]"
    try:
        read = read_yaml(f"value: {word}\n", Origin("", 0))
    except DeclarationError:
        return text, {}
    return read.data.get("value"), {path[1:]: written for path, written in read.texts.items() if len(path) > 1}


def settle(document: Document, schema: Schema) -> list[Problem]:
    """Make of each scalar what the schema expects, from how it was written; gives what cannot be settled.

    In YAML 1.1 `no` is false, `0755` is 493 and `12:30` is 750: where a text is expected, they are the texts; where a
    number could be meant, the last two are refused.
    """
    problems = []
    for path, text in document.texts.items():
        clean = tuple(split_mark(key)[0] if isinstance(key, str) else key for key in path)
        kinds = kinds_of(parts_at(schema, clean))
        value = document.at(path)
        if kinds and kinds <= {"string", "null"}:
            settled: Any = text
        elif isinstance(value, (int, float)) and (_OCTAL.match(text) or _SEXAGESIMAL.match(text)):
            mend = f"put it in quotes if it is a text; the number is {value}"
            problems.append(document.locate(Problem(f"{text} is {value} in YAML", path, mend)))
            continue
        elif isinstance(value, str) and "number" in kinds and _NUMBER.match(text):
            settled = float(text)  # 1e5, which is a number in JSON and in YAML 1.2
        elif not isinstance(value, (str, int, float, bool, list, dict)):
            settled = text  # dates, which JSON has not; who expects one reads it from its text
        else:
            continue
        section = document.at(path[:-1])
        section[path[-1]] = settled
    return problems


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
            return path, ".".join(words)
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
        return int(words[0].isdecimal() and int(words[0]) < len(data))
    names = [".".join(words[:count]) for count in range(len(words), 0, -1)]
    known = {*(data if isinstance(data, Mapping) else ()), *keys_at(parts)}
    patterns = [pattern for part in parts for pattern in part.get("patternProperties", {})]
    for name in (*(n for n in names if n in known), *(n for n in names if any(re.search(p, n) for p in patterns))):
        return name.count(".") + 1
    free = any(isinstance(part.get("additionalProperties"), Mapping) for part in parts)
    return int(free)
