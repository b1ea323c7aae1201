"""A configuration as it stood when it was read: values that never change, each with its history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from oreflow.config.documents import Document, KeyPath, Layer, Mark
from oreflow.config.shapes import Schema, defaults, is_secret, keys_at, parts_at, path_of
from oreflow.contract import DeclarationError, Problem
from oreflow.secrets import MASK, is_secret_name, masked, redacted, refers, without
from oreflow.validation import did_you_mean

_LETTERS = 12


@dataclass(frozen=True)
class Spoken:
    """One layer's word on a key: what it said, where, and what became of it.

    `status` is effective, appended (a list that stands behind those below it), overridden or removed; of a value that
    nobody said but the schema has, `place` is `default`.
    """

    value: Any
    place: str
    layer: str
    status: str

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"value": self.value, "place": self.place, "layer": self.layer, "status": self.status}


@dataclass(frozen=True)
class Difference:
    """A key whose value is another one now; None stands for a value that is not there. Secrets are masked."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The effective configuration called `name`.

    `data` is the whole as read-only sections, `values` its values by their dotted keys; both hold references to
    secrets, never what they refer to. `problems` is what is wrong in it, where it was read for people to look at.
    A snapshot may be shared by threads: nobody can change it.
    """

    name: str
    data: Mapping[str, Any]
    document: Document
    schema: Schema
    environment: str
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(
        cls, name: str, document: Document, schema: Schema, environment: str, problems: Iterable[Problem] = ()
    ) -> Snapshot:
        """The snapshot of a document that nobody changes any more."""
        told = tuple(document.locate(discreet(problem, schema)) for problem in problems)
        return cls(name, _frozen(document.data), document, schema, environment, told)

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """Each value by its dotted key; lists are tuples."""
        return MappingProxyType({_dotted(path): value for path, value in _leaves(self.data)})

    @property
    def masked(self) -> dict[str, Any]:
        """The whole as people may see it, made anew: secrets are `***`, references stand as they are."""
        return {key: self._masked(value, (key,)) for key, value in self.data.items()}

    @cached_property
    def version(self) -> str:
        """The content address: the same for the same values, whichever layers say them."""
        text = json.dumps(self.masked, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:_LETTERS]

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The files and all else that say something, in the order of their layers."""
        origins = [said.origin for spoken in self.document.said.values() for said in spoken]
        order = list(Layer)
        known = dict.fromkeys((order.index(origin.layer), origin.file) for origin in origins)
        return tuple(file for _, file in sorted(known, key=lambda each: each[0]))

    @property
    def entries(self) -> list[tuple[str, Any, Spoken]]:
        """Each value that holds by its dotted key, masked, with the layer's word that decides; defaults come last."""
        found = []
        for path, value in _leaves(self.masked):
            spoken = [said for said in self._spoken(path) if said.status in ("effective", "appended")]
            found += [(_dotted(path), value, said) for said in spoken[:1]]
        return found + [(_dotted(path), said.value, said) for path, said in self._defaults.items()]

    @cached_property
    def _defaults(self) -> dict[KeyPath, Spoken]:
        """What the schema has for keys that nobody says."""
        found = {}
        for path, default in defaults(self.schema, self.document.data).items():
            for below, value in _leaves(self._masked(default, path), path):
                found[below] = Spoken(value, "default", "schema", "effective")
        return found

    def to_dict(self) -> dict[str, Any]:
        """What `oreflow config show --json` prints: the whole, and each value with who said it; secrets are masked."""
        values = [
            {"key": key, "value": value, "place": said.place, "layer": said.layer} for key, value, said in self.entries
        ]
        about = {"name": self.name, "environment": self.environment, "version": self.version}
        return {**about, "layers": list(self.layers), "data": self.masked, "values": values}

    def __repr__(self) -> str:
        return f"Snapshot({self.name!r}, environment={self.environment!r}, version={self.version!r})"

    def explain(self, key: str) -> list[tuple[str, list[Spoken]]]:
        """Who said what of a key, the layer that wins first; of a section, of every key within.

        Raises:
            DeclarationError: no layer says anything of it, and the schema does not know it.
        """
        path, unknown = path_of(key, self.document.data, self.schema)
        # Keys may have points in them, and one that is not there may have been removed or replaced.
        said = [known for known in self.document.said if not key or _begins(_dotted(known), key)]
        spoken = {known: self._spoken(known) for known in said}
        for each, default in self._defaults.items():
            if not key or _begins(_dotted(each), key):
                spoken[each] = [default, *spoken.get(each, [])]
        if spoken:
            return [(_dotted(known), words) for known, words in spoken.items()]
        if not unknown and any(isinstance(part, int) for part in path):  # layers say lists as a whole
            found = []
            for below, value in _leaves(self._masked(self.document.at(path), path), path):
                origin = self.document.nearest(below)
                found.append((_dotted(below), [Spoken(value, str(origin), origin.layer.value, "effective")]))
            return found
        parts = [] if unknown else parts_at(self.schema, path)
        if not parts:
            there = self._at(path)
            within = there if isinstance(there, dict) else range(len(there)) if isinstance(there, list) else ()
            known = [*keys_at(parts_at(self.schema, path)), *within]
            where = f"'{_dotted(path)}' has" if path else f"the configuration '{self.name}' has"
            raise DeclarationError([Problem(f"{where} no key '{unknown}'", mend=did_you_mean(unknown, known))])
        values = [part["default"] for part in parts if "default" in part]  # which depend on the rest
        return [(key, [Spoken(self._masked(value, path), "default", "schema", "effective") for value in values])]

    def _spoken(self, path: KeyPath) -> list[Spoken]:
        found: list[Spoken] = []
        there = self._is_there(path)
        # What holds is what the schema has made of it, not how it was written; of a list, what is yet to be told.
        rest: Any = self.document.at(path) if there else None
        wins, is_whole = there, False
        for said in reversed(self.document.said.get(path, [])):
            value, status = said.value, "overridden"
            if said.mark is Mark.REMOVE:
                value, status = None, "overridden" if is_whole else "removed"
                wins, is_whole = False, True
            elif wins and said.mark is Mark.APPEND and len(rest) > len(said.value):
                start = len(rest) - len(said.value)
                value, rest, status = rest[start:], rest[:start], "appended"
            elif wins:
                value, status = rest, "effective"
                wins, is_whole = False, said.mark is not Mark.APPEND
            found.append(Spoken(self._masked(value, path), str(said.origin), said.origin.layer.value, status))
        return found

    def _at(self, path: KeyPath) -> Any:
        """The value of a path; None where the schema alone knows it."""
        try:
            return self.document.at(path)
        except KeyError:
            return None

    def _is_there(self, path: KeyPath) -> bool:
        try:
            found = self.document.at(path)
            return not isinstance(found, dict) or not found
        except KeyError:
            return False

    @cached_property
    def _secret(self) -> _SecretPaths:
        return _SecretPaths(self.schema)

    def _masked(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, Mapping):
            return {key: self._masked(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._masked(each, (*path, index)) for index, each in enumerate(value)]
        if value is None or isinstance(value, bool):
            return value
        if path in self._secret and not refers(value):
            return MASK
        return masked(value) if isinstance(value, str) else value


class _SecretPaths:
    """The paths whose values are to be kept secret: they or what they stand in, by the schema or by their names.

    What was found of one path is kept for those that share its beginning.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._parts: dict[KeyPath, list[Schema]] = {}
        self._known: dict[KeyPath, tuple[bool, bool, frozenset[str | int]]] = {(): (False, False, frozenset())}
        self._within: dict[KeyPath, bool] = {(): False}

    def __contains__(self, path: KeyPath) -> bool:
        by_schema, by_name, _ = self._of(path)
        return by_schema or by_name or self._is_within(path)

    def _is_within(self, path: KeyPath) -> bool:
        """Whether it stands in something that is secret."""
        found = self._within.get(path)
        if found is None:
            above = path[:-1]
            by_schema, by_name, told_apart = self._of(above)
            found = by_schema or (by_name and path[-1] not in told_apart) or self._is_within(above)
            self._within[path] = found
        return found

    def _of(self, path: KeyPath) -> tuple[bool, bool, frozenset[str | int]]:
        """Whether it is secret by the schema, whether by its name, and the keys within of which that says nothing.

        A name that the user gave to an entry whose keys the schema has, such as a column, says nothing of their values.
        """
        found = self._known.get(path)
        if found is None:
            parts, apart = parts_at(self._schema, path, self._parts), frozenset[str | int]()
            by_name = is_secret_name(str(path[-1]))
            if by_name and path[-1] not in keys_at(parts_at(self._schema, path[:-1], self._parts)):
                apart = frozenset(keys_at(parts))
            found = self._known[path] = is_secret(parts), by_name, apart
        return found


def secrets_of(data: Mapping[str, Any], schema: Schema) -> list[str]:
    """The secrets that stand in a configuration as plain texts."""
    secret = _SecretPaths(schema)
    return [text for path, text in _texts(data, ()) if not refers(text) and path in secret]


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, (Mapping, list, tuple)):
        for key, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _texts(each, (*path, key))
    elif value is not None and not isinstance(value, bool):
        yield path, str(value)


def discreet(problem: Problem, schema: Schema, secrets: Iterable[str] = ()) -> Problem:
    """A problem that shows no secret; `secrets` are those that stand in the configuration itself."""
    # These tell of keys, and of no value.
    told = problem.message.startswith(("unknown key", "there is no key")) or problem.message.endswith("is missing")
    if problem.path in _SecretPaths(schema) and not told:
        return replace(problem, message="the value does not fit; it is a secret, and not shown")
    return replace(problem, message=masked(without(redacted(problem.message), secrets)))


def shown_schema(schema: Schema) -> dict[str, Any]:
    """A schema as people may see it: what it has as the default or an example of a secret is `***`."""
    return {key: _shown(each, key, secret=is_secret([schema])) for key, each in schema.items()}


def _shown(part: Any, keyword: str, *, secret: bool) -> Any:
    """What a keyword of a schema has; `secret`: of the schema of one."""
    if keyword in ("default", "const", "examples"):
        return _hidden(part, secret=secret)
    if isinstance(part, list):
        return [_shown(each, "", secret=secret) for each in part]
    if not isinstance(part, Mapping):
        return part
    if keyword in ("properties", "patternProperties"):
        return {name: _shown(each, "", secret=secret or is_secret_name(name)) for name, each in part.items()}
    hides = secret or is_secret([part])
    return {key: _shown(each, key, secret=hides) for key, each in part.items()}


def _hidden(value: Any, *, secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(each, secret=secret or is_secret_name(str(key))) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(each, secret=secret) for each in value]
    if secret and value not in ("", None) and not isinstance(value, bool) and not refers(value):
        return MASK
    return masked(value) if isinstance(value, str) else value


def changes(before: Snapshot, after: Snapshot) -> tuple[Difference, ...]:
    """The keys whose values differ between two snapshots; of a secret, only that it does."""
    old, new = (dict(_leaves(each.data)) for each in (before, after))
    shown_old, shown_new = (dict(_leaves(each.masked)) for each in (before, after))
    paths = sorted({path for path in {*old, *new} if old.get(path) != new.get(path)}, key=_dotted)
    return tuple(Difference(_dotted(path), shown_old.get(path), shown_new.get(path)) for path in paths)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The keys whose values differ between two configurations, in the order of their names."""
    old, new = ({_dotted(path): value for path, value in _leaves(each)} for each in (before, after))
    keys = sorted({*old, *new})
    return tuple(Difference(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key))


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, Mapping) and (value or not path):
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    else:
        yield path, value


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(each) for key, each in value.items()})
    return tuple(_frozen(each) for each in value) if isinstance(value, (list, tuple)) else value


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def _begins(key: str, with_key: str) -> bool:
    return key == with_key or key.startswith(f"{with_key}.")
