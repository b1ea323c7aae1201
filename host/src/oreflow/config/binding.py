"""Dataclasses as the form of a configuration: their JSON Schema, and their instances.

Written here because no library that was looked at does both for the plain dataclasses of the standard library: msgspec
has its own idea of times and cannot state a default that is a path, pydantic costs more to import than the rest of
oreflow, cattrs and dacite have no schemas.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast

from oreflow.contract import DeclarationError, OreflowError, Problem
from oreflow.quantities import DURATION, SIZE, bytes_of, time_of, time_text
from oreflow.secrets import Secret, is_secret_name, reference_fault, refers, resembles_reference
from oreflow.validation import shown, validate

T = TypeVar("T")
KeyPath = tuple[str | int, ...]


class Size(int):
    """A number of bytes, which a configuration may say as `512MiB` or `8 GB`."""

    def __new__(cls, value: int | str) -> Self:
        """Bytes from a number or a text; raises ValueError for a text that is no size."""
        return super().__new__(cls, bytes_of(value) if isinstance(value, str) else value)


class _NoFormError(TypeError):
    """A field that no configuration can hold; the message names it."""


@dataclasses.dataclass(frozen=True)
class _Form:
    """How a type stands in a configuration: its schema, and what makes a value of it from what was read."""

    schema: Mapping[str, Any]
    make: Callable[[Any, KeyPath], Any]


def schema_of(kind: type) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a dataclass.

    What a field's metadata has is added to its schema: `field(metadata={"minimum": 1, "description": "..."})`.

    Raises:
        TypeError: a field has a type that no configuration can hold.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _dataclass(kind).__name__,
        **_form_of(kind).schema,
    }


def bind(data: Any, kind: type[T]) -> T:
    """An instance of a dataclass from data that its schema allows.

    Raises:
        DeclarationError: the dataclass refuses a value, or a reference stands where no `Secret` is expected.
    """
    return cast("T", _form_of(_dataclass(kind)).make(data, ()))


def _dataclass(kind: Any) -> Any:
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        raise TypeError(f"{kind!r} is no dataclass")
    return kind


def _plain(schema: Mapping[str, Any], make: Callable[[Any], Any] | None = None) -> _Form:
    def made(value: Any, path: KeyPath) -> Any:
        try:
            return value if make is None else make(value)
        except DeclarationError as error:
            raise DeclarationError([dataclasses.replace(each, path=path) for each in error.problems]) from None
        except ArithmeticError as error:
            raise DeclarationError([Problem("is larger than such a number can be", path)]) from error
        except (ValueError, TypeError) as error:
            raise DeclarationError([Problem(str(error), path)]) from error

    return _Form(schema, made)


_REFERENCES = "write a reference as ${env:NAME} or ${file:/run/secrets/name}"


def _text(value: str) -> str:
    if refers(value):
        mend = "declare it as oreflow.config.Secret"
        raise DeclarationError([Problem("refers to a secret, which a plain text would show", mend=mend)])
    if resembles_reference(value):
        mend = f"{_REFERENCES}, and declare it as oreflow.config.Secret"
        raise DeclarationError([Problem(f"{reference_fault(value)}, but nearly one", mend=mend)])
    return value


def _secret(value: str) -> Secret:
    if fault := reference_fault(value):
        raise DeclarationError([Problem(fault, mend=_REFERENCES)])
    return Secret(value)


def _date(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is no date such as 2026-01-31") from None


def _datetime(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is no date and time such as 2026-01-31T10:00:00+00:00") from None


_SIMPLE: dict[Any, _Form] = {
    Any: _plain({}),
    object: _plain({}),
    bool: _plain({"type": "boolean"}),
    int: _plain({"type": "integer"}, int),
    float: _plain({"type": "number"}, float),
    str: _plain({"type": "string"}, _text),
    type(None): _plain({"type": "null"}),
    Decimal: _plain(
        {
            "type": ["number", "string"],
            "format": "decimal",
            "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,5})?$",
            "description": "a number, of which every digit counts",
        },
        lambda value: Decimal(str(value)),
    ),
    Secret: _plain({"type": "string", "format": "secret", "writeOnly": True}, _secret),
    Path: _plain({"type": "string", "format": "path", "minLength": 1}, Path),
    Size: _plain(
        {
            "type": ["integer", "string"],
            "format": "size",
            "minimum": 0,
            "maximum": 2**63 - 1,
            "pattern": SIZE,
            "description": "a number of bytes, or a size such as 512MiB or 8 GB",
        },
        Size,
    ),
    timedelta: _plain(
        {
            "type": ["number", "string"],
            "format": "duration",
            "minimum": 0,
            "pattern": DURATION,
            "description": "a number of seconds, or a time such as 5m, 1h30m, 200ms or PT5M",
        },
        time_of,
    ),
    datetime: _plain({"type": "string", "format": "date-time"}, _datetime),
    date: _plain({"type": "string", "format": "date"}, _date),
}


def _form_of(kind: Any) -> _Form:
    """The form of a type, whatever is annotated to it.

    Raises:
        TypeError: no configuration can hold it.
    """
    while True:
        if typing.get_origin(kind) is typing.Annotated:  # what is annotated may have no hash
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        else:
            return _form(kind)


@functools.cache
def _form(kind: Any) -> _Form:
    """The form of a type; raises TypeError for one that no configuration can hold."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _section(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice(list(kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return _choice(arguments)
    if origin in (typing.Union, types.UnionType):
        return _either([_form_of(argument) for argument in arguments])
    if origin is tuple and arguments[1:] != (...,):
        raise TypeError(f"a list of fixed length: {kind}")
    return _collection(kind, origin or kind, arguments)


_SECTIONS = (dict, Mapping, MutableMapping)
_LISTS = (list, tuple, set, frozenset, Sequence, MutableSequence, AbstractSet, MutableSet)


def _collection(kind: Any, origin: Any, arguments: tuple[Any, ...]) -> _Form:
    if origin in _SECTIONS:
        if arguments and arguments[0] is not str:
            raise TypeError(f"keys that are no texts: {kind}")
        below = _form_of(arguments[1] if arguments else Any)
        schema = {"type": "object", "additionalProperties": dict(below.schema)}
        return _Form(schema, lambda value, path: _made(_items(value, dict, path), lambda _: below, path))
    if origin in _LISTS:
        item = arguments[0] if arguments else Any
        below, unique = _form_of(item), issubclass(origin, AbstractSet)
        if unique and getattr(typing.get_origin(item) or item, "__hash__", None) is None:
            raise TypeError(f"a set of {item}, which has no hash; declare it frozen, or say list")
        array = {"type": "array", "items": dict(below.schema), **({"uniqueItems": True} if unique else {})}
        made = {Sequence: list, MutableSequence: list, AbstractSet: frozenset, MutableSet: set}.get(origin, origin)

        def collect(value: Any, path: KeyPath) -> Any:
            items = _made(_items(value, list, path), lambda _: below, path).values()
            try:
                return made(items)
            except TypeError as error:
                problem = Problem("a list or a section cannot be in a set", path)
                raise DeclarationError([problem]) from error

        return _Form(array, collect)
    raise TypeError(f"a type that no configuration can hold: {kind}")


def _items(value: Any, kind: type, path: KeyPath) -> Mapping[Any, Any]:
    """What is within a section or a list, by key or place."""
    if not isinstance(value, kind):
        raise DeclarationError([Problem("does not fit", path)])
    return dict(enumerate(value)) if isinstance(value, list) else cast("Mapping[Any, Any]", value)


def _made(items: Mapping[Any, Any], form: Callable[[Any], _Form], path: KeyPath) -> dict[Any, Any]:
    """Each of several values as its form makes it; all that is wrong with any is told at once."""
    problems: list[Problem] = []
    made = {}
    for key, each in items.items():
        try:
            made[key] = form(key).make(each, (*path, key))
        except DeclarationError as error:
            problems += error.problems
    if problems:
        raise DeclarationError(problems)
    return made


def _choice(members: Sequence[Any]) -> _Form:
    """One of several values, which may be members of an enum."""
    if not members:
        raise TypeError("an enum without members, of which nothing can be said")
    choices = [(_as_data(member), member) for member in members]
    if odd := [member for said, member in choices if not isinstance(member, Enum) and said is not member]:
        raise TypeError(f"a choice that no configuration can say: {odd[0]!r}")

    def chosen(value: Any) -> Any:
        for said, member in choices:  # as JSON Schema has it, 1.0 is 1, and true is not
            if said == value and isinstance(said, bool) == isinstance(value, bool):
                return member
        raise ValueError(f"{shown(value)} is not one of the choices")

    return _plain({"enum": [said for said, _ in choices]}, chosen)


def _either(forms: Sequence[_Form]) -> _Form:
    """The first of several types that a value fits: its schema allows it, and it makes a value of it.

    A schema alone does not tell a date from any text.
    """

    def made(value: Any, path: KeyPath) -> Any:
        fitting = [form for form in forms if not validate({"value": value}, _section_of({"value": form.schema}))]
        refused = None
        for form in fitting:
            try:
                return form.make(value, path)
            except DeclarationError as error:
                refused = refused or error
        raise refused or DeclarationError([Problem(f"{shown(value)} is of none of the types", path)])

    # A union with Any allows everything.
    schemas = [dict(form.schema) for form in forms]
    return _Form({"anyOf": schemas} if all(schemas) else {}, made)


def _section_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _section(kind: Any) -> _Form:
    # Those that are for `__init__` alone (InitVar) are fields too.
    there = vars(kind)["__dataclass_fields__"].values()
    known = [field for field in there if field._field_type is not _CLASS_VAR]  # noqa: SLF001  see _CLASS_VAR
    fields = [field for field in known if field.init]
    forms: dict[str, _Form] = {}
    properties: dict[str, Any] = {}
    for field in fields:
        try:
            forms[field.name] = _form_of(_hint(kind, field))
            properties[field.name] = _property(field, forms[field.name])
        except _NoFormError:
            raise  # the innermost field is the one to look at
        except Exception as error:  # what a default's factory raises may be anything
            reason = "it refers to itself" if isinstance(error, RecursionError) else error
            place = f"{kind.__name__}.{field.name}"
            raise _NoFormError(f"{place} cannot be read from a configuration: {reason}") from None
    schema = _section_of(properties)
    required = [field.name for field in fields if not _has_default(field)]
    about = kind.__doc__ if kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(") else ""

    def made(value: Mapping[str, Any], path: KeyPath) -> Any:
        known = {name: each for name, each in _items(value, dict, path).items() if name in forms}
        values = _made(known, forms.__getitem__, path)
        try:
            return kind(**values)
        except OreflowError:
            raise
        except Exception as error:  # what its own __post_init__ has against it
            raise DeclarationError([Problem(str(error), path)]) from error

    about = {"description": " ".join(about.split())} if about else {}
    return _Form({**schema, **about, **({"required": required} if required else {})}, made)


_CLASS_VAR = dataclasses._FIELD_CLASSVAR  # type: ignore[attr-defined]  # noqa: SLF001  nothing public tells
"""What tells a class variable, which is no field, from an `InitVar`, which is one here."""


def _hint(kind: Any, field: dataclasses.Field[Any]) -> Any:
    """The type of a field, also where it is said as a text."""
    owner = next((each for each in kind.__mro__ if field.name in vars(each).get("__annotations__", {})), kind)
    names = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    said: Any = field.type
    for _ in range(2):  # the second time for what an InitVar holds
        said = said.type if isinstance(said, dataclasses.InitVar) else said
        told = types.SimpleNamespace(__annotations__={"it": said})
        try:
            said = typing.get_type_hints(told, names, {kind.__name__: kind}, include_extras=True)["it"]
        except NameError as error:
            raise TypeError(f"the type {said} is not known in its module: {error}") from None
    return said


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _property(field: dataclasses.Field[Any], form: _Form) -> dict[str, Any]:
    schema = {**form.schema, **{key: value for key, value in field.metadata.items() if isinstance(key, str)}}
    if field.metadata:
        _check_schema(schema)
    if _has_default(field) and not is_secret_name(field.name):
        factory = field.default_factory
        schema["default"] = _as_data(field.default if factory is dataclasses.MISSING else factory())
        if not _is_of_its_type(schema["default"], form.schema):
            mend = " - say that it may be None" if schema["default"] is None else ""
            raise TypeError(f"its default, {shown(schema['default'])}, is none of its type{mend}")
    return schema


def _is_of_its_type(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a default is a text, a number or what else a schema expects; beyond that, it may be one of its own."""
    if "anyOf" in schema:
        return any(_is_of_its_type(value, each) for each in schema["anyOf"])
    if isinstance(value, float) and not math.isfinite(value):  # which JSON has not
        value = 0.5
    return not validate(value, {key: schema[key] for key in ("type", "enum") if key in schema})


def _check_schema(schema: Mapping[str, Any]) -> None:
    try:
        validate(None, schema)
    except ValueError as error:
        raise TypeError(f"its metadata is no JSON Schema: {str(error).splitlines()[0]}") from None


def _as_data(value: Any) -> Any:  # noqa: PLR0911  one line for each kind of value
    """A value as a configuration would say it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field for field in dataclasses.fields(value) if field.init]
        return {field.name: _as_data(getattr(value, field.name)) for field in fields}
    if isinstance(value, Enum):
        return _as_data(value.value)
    if isinstance(value, timedelta):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): _as_data(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_as_data(each) for each in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Size):
        return int(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
