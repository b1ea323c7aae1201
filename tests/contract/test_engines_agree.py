"""Engines agree to the last value where no example of ours looks: on texts made at random."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

import oreflow
from oreflow.contract import DataType, SourceFile

PATTERNS = [
    "%d/%m/%Y %H:%M", "%m/%d/%y %H:%M:%S", "%Y%m%d%H%M%S", "%d %b %Y", "%B %d %Y %I:%M %p", "%A %d %B %Y",
    "%a %b %d %Y", "%Y-%j", "%j %Y %H:%M", "%Y-%m-%d %H:%M:%S.%f", "%d.%m.%Y", "%H:%M %d.%m.%y", "%I %p %M %Y-%m-%d",
    "%H %I %M %p %Y-%m-%d", "%%%Y-%m-%d", "%I%p%M%y%m%d", "%d%B%Y", "%Y-%j %d %m",
    " %d/%m/%Y", "%Y-%m-%d%H%M", "%m %b %d %Y", "%Y-%m-%d %H:%M:%S %z", "[%Y].(%m)*%d",
]  # fmt: skip
TYPES = ["int64", "int32", "decimal(10,2)", "decimal(38,10)", "float64", "float32", "boolean", "date", "timestamp",
         "timestamp_utc", "string"]  # fmt: skip
CHARACTERS = "0123456789+-.eE_:/TZ tfynaYNinfINF\t,é"


def damaged(text: str, rng: random.Random) -> str:
    """The text with a character more, less, or another."""
    at = rng.randrange(len(text) + 1)
    kind = rng.randrange(5)
    more = rng.choice(CHARACTERS)
    return [text, text[:at] + text[at + 1 :], text[:at] + more + text[at:], text[:at] + more + text[at + 1 :],
            text.upper()][kind]  # fmt: skip


def moments(rng: random.Random, count: int) -> list[datetime]:
    start = datetime(1, 1, 1, tzinfo=UTC)
    far = [
        start + timedelta(seconds=rng.randrange(315_500_000_000), microseconds=rng.randrange(10**6))
        for _ in range(count)
    ]
    near = datetime(1950, 1, 1, tzinfo=UTC)
    return far[: count // 4] + [
        near + timedelta(seconds=rng.randrange(4_000_000_000)) for _ in range(count - count // 4)
    ]


def values(rng: random.Random) -> list[str]:
    """Texts that are nearly values of some type."""
    good = ["17850.0", "-5", "+007", "1.25", "-.5", "1e10", "inf", "nan", "true", "No", "9223372036854775807", "5.",
            "99999999.99", "0.1", "1e-5", "2147483648", "1" * 37]  # fmt: skip
    good += [str(Decimal(rng.randrange(10 ** rng.randrange(1, 30))).scaleb(-rng.randrange(12))) for _ in range(60)]
    good += [repr(rng.uniform(-1e6, 1e6)) for _ in range(40)]
    for moment in moments(rng, 60):
        local = moment.replace(tzinfo=None)
        good += [local.isoformat(rng.choice(" T")), f"{local:%Y-%m-%d}".zfill(10), local.isoformat(timespec="minutes"),
                 local.isoformat() + rng.choice(["Z", "+02:00", "-0530", "+18", "+19", "+1"])]  # fmt: skip
    return good + [damaged(text, rng) for text in good for _ in range(4)]


@pytest.fixture(scope="module")
def both(spark):
    factory = oreflow.get_processor_factory()
    return [factory.create_engine("polars"), factory.create_engine("spark")]


def cast(engine, path, casts) -> list[dict[str, Any]]:
    rows = engine.scan_source([SourceFile(path, "f")], {"format": "csv"}).rows
    found = engine.execute({}, {"rows": engine.cast_columns(rows, casts)}).collected["rows"]
    return sorted(found, key=lambda row: row["_source_row"])


def differences(both, path, casts, texts) -> list[tuple[str, str, Any, Any]]:
    one, other = (cast(engine, path, casts) for engine in both)
    assert len(one) == len(other)
    return [
        (name, left[texts(name)], left[name], right[name])
        for left, right in zip(one, other, strict=True)
        for name in casts
        if left[name] != right[name] and not left[name] != left[name] != right[name] != right[name]  # both are NaN
    ]


def test_casts(both, tmp_path):
    rng = random.Random(5)
    texts = values(rng)
    path = tmp_path / "f.csv"
    path.write_text("n,text\n" + "".join(f'1,"{text}"\n' for text in texts), encoding="utf-8")
    casts = {kind: ("text", DataType.parse(kind), "") for kind in TYPES}
    assert differences(both, path, casts, lambda _: "text") == []


def test_patterns(both, tmp_path):
    rng = random.Random(7)
    columns = []
    for pattern in PATTERNS:
        good = [m.strftime(pattern.replace("%Y", f"{m.year:04}")) for m in moments(rng, 60)]
        columns.append([*good, *[damaged(text, rng) for text in good for _ in range(3)]])
    path = tmp_path / "f.csv"
    lines = [",".join('"' + text + '"' for text in row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([",".join(f"t{i}" for i in range(len(PATTERNS))), *lines, ""]), encoding="utf-8")
    for kind in ("date", "timestamp", "timestamp_utc"):
        casts = {f"v{i}": (f"t{i}", DataType(kind), pattern) for i, pattern in enumerate(PATTERNS)
                 if "%z" not in pattern or kind == "timestamp_utc"}  # fmt: skip
        found = differences(both, path, casts, lambda name: name.replace("v", "t"))
        assert [(kind, PATTERNS[int(name[1:])], *rest) for name, *rest in found] == []
