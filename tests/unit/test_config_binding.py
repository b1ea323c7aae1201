"""A dataclass is the form of a configuration: its values have its types, and its schema says what is wrong where."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType

import jsonschema_rs
import pytest

from oreflow.config import Secret, Size, bind, schema_of
from oreflow.contract import DeclarationError
from oreflow.validation import validate

KILOBYTE = Size("1 kB")


class Level(Enum):
    LOW = "low"
    HIGH = 2


@dataclass(frozen=True)
class Pool:
    """Connections that are kept."""

    size: int = field(default=10, metadata={"minimum": 1, "description": "how many"})
    wait: timedelta = timedelta(seconds=30)


@dataclass
class Mutable:
    a: int


@dataclass
class OfFiles:
    kind: Literal["files"]
    name: str = ""


@dataclass
class OfTables:
    kind: Literal["tables"]
    name: str = ""


@dataclass(frozen=True)
class Everything:
    host: str
    port: int
    password: Secret | None = None
    pool: Pool = field(default_factory=Pool)
    pools: dict[str, Pool] = field(default_factory=dict)
    level: Level = Level.LOW
    share: float = 0.5
    on: bool = False
    path: Path = Path("x")
    memory: Size = KILOBYTE
    tags: tuple[str, ...] = ()
    known: frozenset[int] = frozenset()
    kind: Literal["a", "b"] = "a"
    since: date | None = None
    at: datetime | None = None
    price: Decimal = Decimal("1.10")
    more: Mapping[str, Any] = field(default_factory=dict)
    either: int | list[str] = 1
    names: Sequence[str] = field(default_factory=list)


def test_every_type_comes_back():
    data = {
        "host": "db1",
        "port": 5432,
        "password": "${env:PASSWORD}",
        "pool": {"wait": "5m"},
        "pools": {"read": {"size": 2}},
        "level": 2,
        "share": 1,
        "on": True,
        "path": "/var/x",
        "memory": "512MiB",
        "tags": ["a"],
        "known": [1, 2],
        "kind": "b",
        "since": "2026-01-05",
        "at": "2026-01-05T10:00:00+00:00",
        "price": "2.20",
        "more": {"x": [1]},
        "either": ["a"],
        "names": ["n"],
    }
    assert validate(data, schema_of(Everything)) == []
    assert bind(data, Everything) == Everything(
        host="db1",
        port=5432,
        password=Secret("${env:PASSWORD}"),
        pool=Pool(wait=timedelta(minutes=5)),
        pools={"read": Pool(size=2)},
        level=Level.HIGH,
        share=1.0,
        on=True,
        path=Path("/var/x"),
        memory=Size(512 * 2**20),
        tags=("a",),
        known=frozenset({1, 2}),
        kind="b",
        since=date(2026, 1, 5),
        at=datetime(2026, 1, 5, 10, tzinfo=UTC),
        price=Decimal("2.20"),
        more={"x": [1]},
        either=["a"],
        names=["n"],
    )


def test_defaults_are_those_of_the_dataclass_and_stand_in_its_schema():
    assert bind({"host": "h", "port": 1}, Everything) == Everything("h", 1)
    schema = schema_of(Everything)
    jsonschema_rs.Draft202012Validator(schema)
    properties = schema["properties"]
    assert schema["required"] == ["host", "port"]
    assert properties["pool"]["default"] == {"size": 10, "wait": "30s"}
    assert properties["pool"]["description"] == "Connections that are kept."
    assert (properties["level"]["default"], properties["memory"]["default"]) == ("low", 1000)
    assert properties["pool"]["properties"]["size"] == {
        "type": "integer",
        "minimum": 1,
        "description": "how many",
        "default": 10,
    }


def test_a_schema_of_defaults_gives_the_defaults_back():
    defaults = {k: p["default"] for k, p in schema_of(Everything)["properties"].items() if "default" in p}
    assert bind({"host": "h", "port": 1, **defaults}, Everything) == Everything("h", 1)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"port": "x"}, "port: expected a whole number, got 'x'"),
        ({"prot": 1}, "prot: unknown key 'prot' - did you mean 'port'?"),
        ({"pool": {"size": 0}}, "pool.size: 0 is less than the minimum of 1"),
        (
            {"pool": {"wait": "5 minutes"}},
            "pool.wait: '5 minutes' does not fit - a number of seconds, or a time such as",
        ),
        ({"memory": "5 mb"}, "memory: '5 mb' does not fit - a number of bytes, or a size such as 512MiB or 8 GB"),
        ({"level": "medium"}, "level: 'medium' is not one of the choices"),
        ({"kind": "c"}, "kind: 'c' is not one of the choices"),
        ({"known": [1, 1]}, "known: 1 is in the list twice"),
        ({"path": ""}, "path: is empty, expected 1 or more characters"),
        ({"since": 5}, "since: expected a date such as 2026-01-31 or nothing, got 5"),
        ({"either": "x"}, "either: expected a whole number or a list, got 'x'"),
    ],
)
def test_what_does_not_fit_is_told_with_its_key(data, told):
    (problem,) = validate({"host": "h", "port": 1, **data}, schema_of(Everything))
    assert str(problem).startswith(told)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (int | None, "x", "x: expected a whole number or nothing, got 'x'"),
        (Pool | None, "", "x: expected keys and values or nothing, got ''"),
        (bool | None, "", "x: expected true or false or nothing, got ''"),
        (Decimal | None, "abc", "x: 'abc' does not fit - a number, of which every digit counts"),
        (Level | None, "c", "x: expected one of low, 2, or nothing, got 'c'"),
        (Pool | Literal["x"] | None, {"siez": 1}, "x.siez: unknown key 'siez' - did you mean 'size'?"),
        (Pool | Mutable, {"b": 1}, "x: fits none of the alternatives: unknown key 'b'; or unknown key 'b', 'a' is"),
        (
            Pool | Everything,
            {"siez": 1, "host": "h"},
            "x: fits none of the alternatives: unknown key 'siez' ('size'?), ",
        ),
        (OfFiles | OfTables, {"kind": "tables", "nmae": 1}, "x.nmae: unknown key 'nmae' - did you mean 'name'?"),
        (Literal[1, True, "no"], "z", "x: 'z' is not one of the choices - there are 1, no, true"),
    ],
)
def test_a_value_that_fits_no_alternative_is_told_what_there_is(kind, value, told):
    (problem,) = validate({"x": value}, schema_of(dataclasses.make_dataclass("Made", [("x", kind)])))
    assert str(problem).startswith(told)


def test_a_value_of_two_alternatives_where_one_may_hold_is_told():
    either = {"properties": {"x": {"oneOf": [{"type": "object"}, {"required": ["a"]}]}}}
    (problem,) = validate({"x": {"a": 1}}, either)
    assert problem.message == "keys and values fits more than one of the alternatives, and only one may hold"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"since": "2026-13-45"}, "since: '2026-13-45' is no date such as 2026-01-31"),
        ({"at": "now"}, "at: 'now' is no date and time such as 2026-01-31T10:00:00+00:00"),
        ({"host": "a${env:X}"}, "host: refers to a secret, which a plain text would show - declare it as oreflow"),
        ({"password": "${evn:X}"}, "password: ${evn:X} is no reference - write a reference as ${env:NAME} or "),
        (
            {"host": "a${evn:X}"},
            "host: ${evn:X} is no reference, but nearly one - write a reference as ${env:NAME} or ",
        ),
        ({"host": "${env:}"}, "host: ${env:} is no reference"),
        ({"host": "${env:X"}, "host: ${env:X is no reference"),
    ],
)
def test_what_only_the_type_can_judge_is_told_with_its_key(data, told):
    with pytest.raises(DeclarationError) as raised:
        bind({"host": "h", "port": 1, **data}, Everything)
    (problem,) = raised.value.problems
    assert str(problem).startswith(told)


def test_what_a_dataclass_has_against_its_values_is_told():
    @dataclass
    class Range:
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError(f"low {self.low} is above high {self.high}")

    made = dataclasses.make_dataclass("Outer", [("range", Range)])
    with pytest.raises(DeclarationError, match="range: low 2 is above high 1"):
        bind({"range": {"low": 2, "high": 1}}, made)


Name = NewType("Name", str)


class Rate(Enum):
    ONE = 1
    HALF = 0.5


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        (Rate, 1.0, Rate.ONE),  # to JSON Schema, 1.0 is 1
        (Rate, 0.5, Rate.HALF),
        (Literal[Rate.HALF, "x"], 0.5, Rate.HALF),
        (Literal[True, 2], 2.0, 2),
        (Annotated[int, {"no": "hash"}], 5, 5),
        (dataclasses.InitVar[int], 5, None),
        (Decimal, "1e-7", Decimal("1e-7")),
        (timedelta, 1.5, timedelta(seconds=1.5)),
        (date | str, "now", "now"),
        (date | str, "2026-01-05", date(2026, 1, 5)),
        (date | datetime | None, "2026-01-05T10:00", datetime(2026, 1, 5, 10)),  # noqa: DTZ001  as it is written
        (list[datetime | str], ["now"], ["now"]),
        (str | Secret, "${env:X}", Secret("${env:X}")),
        (Any | None, [1], [1]),
        (Name, "n", "n"),
    ],
)
def test_a_value_becomes_what_its_type_says(kind, value, made):
    of = dataclasses.make_dataclass("Made", [("x", kind)], namespace={"__post_init__": lambda self, x=None: None})
    assert validate({"x": value}, schema_of(of)) == []
    assert getattr(bind({"x": value}, of), "x", None) == made


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (timedelta, 10**300),
        (timedelta, "9" * 400 + ".5h"),
        (timedelta, "P" + "9" * 400 + "D"),
        (Size, "9" * 5000 + " TB"),
        (Size, 2**63),
        (float, 10**400),
        (set[int | str], ["x", ["y"]]),
    ],
    ids=lambda each: str(each)[:30],
)
def test_what_is_beyond_a_type_is_refused_in_plain_words(kind, value):
    made = dataclasses.make_dataclass("Made", [("x", kind)])
    problems = validate({"x": value}, schema_of(made))
    if not problems:
        with pytest.raises(DeclarationError) as raised:
            bind({"x": value}, made)
        problems = raised.value.problems
    assert problems[0].path[:1] == ("x",)
    assert len(problems[0].message) < 200


def test_a_negative_default_is_shown_with_its_sign():
    made = dataclasses.make_dataclass("Made", [("x", timedelta, timedelta(seconds=-90))])
    assert schema_of(made)["properties"]["x"]["default"] == "-1m30s"


def test_a_default_may_be_beyond_what_a_configuration_can_say():
    made = dataclasses.make_dataclass("Made", [("x", float | None, float("inf")), ("y", Decimal, Decimal("NaN"))])
    assert bind({}, made).x == float("inf")


def test_a_dataclass_with_a_secret_can_be_copied_and_not_pickled():
    made = Everything("h", 1, password=Secret("pa55word"))
    assert copy.deepcopy(made) == made
    assert dataclasses.asdict(made)["password"] is made.password
    with pytest.raises(TypeError, match="a secret is not written down"):
        pickle.dumps(made)


def broken():
    raise RuntimeError("no default today")


@dataclass
class Again:
    again: Again | None = None


@pytest.mark.parametrize(
    ("kind", "about", "told"),
    [
        (NamedTuple("Pair", [("a", int)]), field(), "a type that no configuration can hold"),
        (type("Name", (str,), {}), field(), "a type that no configuration can hold"),
        (Again, field(), "it refers to itself"),
        ("Nowhere", field(), "the type Nowhere is not known in its module"),
        (set[Mutable], field(), "has no hash; declare it frozen, or say list"),
        (set[list[int]], field(), "has no hash"),
        (Literal[b"x"], field(), "a choice that no configuration can say: b'x'"),
        (int, field(default_factory=broken), "no default today"),
        (int, field(default="notint"), "its default, 'notint', is none of its type"),
        (int, field(default=None), "its default, nothing, is none of its type - say that it may be None"),
        (Enum("Empty", []), field(), "an enum without members"),
        (int, field(metadata={"minimum": object()}), "its metadata is no JSON Schema"),
        (str, field(metadata={"pattern": "("}), "its metadata is no JSON Schema"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(kind, about, told):
    made = dataclasses.make_dataclass("Odd", [("field", kind, about)])
    with pytest.raises(TypeError, match=rf"^(Odd\.field|Again\.again) cannot be read from a configuration: .*{told}"):
        schema_of(made)


@pytest.mark.parametrize("kind", [int, dict, [1]])
def test_what_is_no_dataclass_is_refused(kind):
    with pytest.raises(TypeError, match="is no dataclass"):
        schema_of(kind)


@pytest.mark.parametrize("kind", [bytes, dict[int, str], tuple[int, str], object.__class__])
def test_a_type_that_no_configuration_can_hold_is_named_with_its_field(kind):
    made = dataclasses.make_dataclass("Odd", [("field", kind)])
    with pytest.raises(TypeError, match=r"Odd\.field cannot be read from a configuration"):
        schema_of(made)
