"""The proof that two engines mean the same: a pipeline run on both, and their lakes compared value for value.

Rows have no order, so that tables are compared as sets of rows with how often each is there. A whole number, a text, a
decimal, a time are the same or they are not. Of floats the last digits depend on the order in which they were added up,
which no engine promises: they are the same where they differ by no more than one part in 10^12.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import narwhals as nw

from oreflow.contract import INTERNAL, LINEAGE, Columns, Engine, Table
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.report import RunReport, TableResult
from oreflow.pipeline.run import Run

TOLERANCE = 1e-12
"""Of floats, relative to the larger one."""
_LOOKED_AT = 1000
"""Differing rows that are looked at more closely, to show what differs in them."""
_WIDE = 300
"""Characters of a row that are shown."""
_FLOATS = ("float32", "float64")
_KEY, _TIMES, _OTHER = (f"{INTERNAL}{word}" for word in ("key", "times", "other_"))
_LOW, _HIGH, _LENGTH = (f"{INTERNAL}{word}_" for word in ("low", "high", "length"))
_NULL, _BETWEEN = "\x00", "\x1f"
_FIGURES = ("status", "rows_read", "rows_published", "rows_quarantined", "rows_superseded")


@dataclass
class TableParity:
    """A table or its quarantine on two engines: how many rows each has, and in how many they differ.

    `not_made_on` are the engines on which the run of the table failed or was skipped, so that nothing is compared.
    `differences` are those of the schema and the account, and the first ones of the rows, in words.
    """

    table: str
    quarantine: bool
    rows: dict[str, int] = field(default_factory=dict)
    differing: int = 0
    not_made_on: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differing and not self.not_made_on and not self.differences


@dataclass
class Parity:
    """A pipeline on two engines; `seconds` is how long each took, `folder` where their lakes are, if they were kept."""

    pipeline: str
    engines: tuple[str, str]
    seconds: dict[str, float]
    tables: list[TableParity]
    folder: str = ""

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return all(table.equal for table in self.tables)

    def to_dict(self) -> dict[str, Any]:
        """What `oreflow parity --json` prints."""
        tables = [{**asdict(table), "equal": table.equal} for table in self.tables]
        return {**asdict(self), "equal": self.equal, "tables": tables}


def prove(
    pipeline: Pipeline,
    factory: ProcessorFactory,
    engines: tuple[str, str],
    reader: Engine,
    *,
    keep: Path | None = None,
    limit: int = 5,
) -> Parity:
    """Run a pipeline on two engines into lakes of their own, and compare these; `reader` reads both.

    The pipeline's own lake is neither read nor written. `keep` is the folder for the lakes (None: they are thrown
    away, unless a run has left a traceback there), `limit` how many differing rows of a table are told.
    """
    claimed_at = datetime.now(UTC)
    with _folder(keep) as folder:
        reports: list[RunReport] = []
        seconds: dict[str, float] = {}
        # Both are planned before either is run: a mistake is told before anything is done.
        # Nobody has to hear of such a run.
        alone = replace(pipeline, share="", monitoring=None, alerting=None, sections={})
        runs = {
            engine: Run(replace(alone, lake=folder / engine), factory, engine=engine, now=lambda: claimed_at)
            for engine in engines
        }
        for engine, run in runs.items():
            start = time.perf_counter()
            reports.append(run.execute())
            seconds[engine] = round(time.perf_counter() - start, 3)
        comparison = _Comparison(engines, (folder / engines[0], folder / engines[1]), factory, reader, limit)
        pairs = zip(*(report.tables for report in reports), strict=True)
        tables = [each for pair in pairs for each in comparison.of(*pair)]
        return Parity(pipeline.name, engines, seconds, tables, str(folder) if keep or _has_tracebacks(folder) else "")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix="oreflow-parity-")).resolve()
    try:
        yield folder
    finally:
        if not _has_tracebacks(folder):  # which the reason of a failed table leads to
            shutil.rmtree(folder, ignore_errors=True)


def _has_tracebacks(folder: Path) -> bool:
    return any(folder.glob("*/_oreflow/runs/*.traceback.txt"))


class _Comparison:
    """Compares what two engines made of the same pipeline."""

    def __init__(
        self,
        engines: tuple[str, str],
        lakes: tuple[Path, Path],
        factory: ProcessorFactory,
        reader: Engine,
        limit: int,
    ) -> None:
        self._engines = engines
        self._lakes = Lake(lakes[0]), Lake(lakes[1])
        self._tables = factory.create_table_format()
        self._reader = reader
        self._limit = limit

    def of(self, one: TableResult, other: TableResult) -> Iterator[TableParity]:
        """A table and its quarantine."""
        name = one.table
        results = dict(zip(self._engines, (one, other), strict=True))
        if lacking := {engine: result.reason for engine, result in results.items() if not result.is_made}:
            rows = {engine: result.rows_published for engine, result in results.items()}
            told = [f"not made on {engine}: {reason}" for engine, reason in lacking.items()]
            yield TableParity(name, quarantine=False, rows=rows, not_made_on=list(lacking), differences=told)
            return
        for quarantine in (False, True):
            one_lake, other_lake = self._lakes
            left = self._tables.load(one_lake.quarantine(name) if quarantine else one_lake.table(name))
            right = self._tables.load(other_lake.quarantine(name) if quarantine else other_lake.table(name))
            if quarantine and left is None and right is None:
                continue
            found = self._compare(TableParity(name, quarantine), left, right)
            if not quarantine:
                found.differences[:0] = self._account(one, other)
            yield found

    def _account(self, one: TableResult, other: TableResult) -> Iterator[str]:
        left, right = self._engines
        for figure in _FIGURES:
            if (a := getattr(one, figure)) != (b := getattr(other, figure)):
                yield f"{figure.replace('_', ' ')}: {a} on {left}, {b} on {right}"

    def _compare(self, found: TableParity, left: Table | None, right: Table | None) -> TableParity:
        counts = dict(zip(self._engines, (left.rows if left else 0, right.rows if right else 0), strict=True))
        found.rows = counts
        if left is None or right is None:
            lacking = [engine for engine, table in zip(self._engines, (left, right), strict=True) if table is None]
            if any(counts.values()):
                found.differences.append(f"there is no table on {', '.join(lacking)}")
                found.differing = max(counts.values())
            return found
        found.differences += self._schema(left.columns, right.columns)
        common = {column: kind for column, kind in left.columns.items() if right.columns.get(column) == kind}
        if common:
            found.differing, told = self._rows(left, right, common)
            found.differences += told
        return found

    def _schema(self, left: Columns, right: Columns) -> Iterator[str]:
        one, other = self._engines
        for column in dict.fromkeys([*left, *right]):
            a, b = left.get(column), right.get(column)
            if a != b:
                yield f"column {column}: {a or 'not there'} on {one}, {b or 'not there'} on {other}"
        if list(left) != list(right) and set(left) == set(right):
            yield f"columns in another order: {', '.join(left)} on {one}, {', '.join(right)} on {other}"

    def _rows(self, left: Table, right: Table, columns: Columns) -> tuple[int, Iterator[str]]:
        floats = [column for column, kind in columns.items() if kind.name in _FLOATS]
        one, other = (_counted(self._reader.scan_table(table), columns, floats) for table in (left, right))
        renamed = {name: _OTHER + name for name in other.collect_schema().names()}
        paired = one.join(other.rename(renamed), left_on=_KEY, right_on=_OTHER + _KEY, how="full")
        differ = [~_same(nw.col(_TIMES), nw.col(_OTHER + _TIMES))]
        differ += [~_near(nw.col(f), nw.col(_OTHER + f)) for column in floats for f in (_LOW + column, _HIGH + column)]
        wrong = paired.filter(reduce(lambda a, b: a | b, differ))
        sample = wrong.sort(_KEY, _OTHER + _KEY, nulls_last=True).head(_LOOKED_AT)
        done = self._reader.execute({}, {"count": wrong.select(nw.len().alias("n")), "sample": sample}).collected
        return int(done["count"][0]["n"]), iter(self._told(done["sample"], columns))

    def _told(self, rows: Sequence[dict[str, Any]], columns: Columns) -> list[str]:
        """The first differing rows in words: what differs in a row that both have, else which of them has it."""
        sides = [_values(rows, columns, ""), _values(rows, columns, _OTHER)]
        by_place = [{_place(row): row for row in side if _place(row)} for side in sides]
        told: dict[str, None] = {}
        for row, engine, others in (
            *((row, 0, by_place[1]) for row in sides[0]),
            *((row, 1, by_place[0]) for row in sides[1]),
        ):
            twin = others.get(_place(row)) if _place(row) else None
            if twin is None:
                told[f"only on {self._engines[engine]}, {row[_TIMES]} x: {_shown(row, columns)}"] = None
                continue
            first, second = (row, twin) if engine == 0 else (twin, row)
            unequal = [c for c in columns if first[c] != second[c] and repr(first[c]) != repr(second[c])]
            cells = [f"{c}: {first[c]!r} on {self._engines[0]}, {second[c]!r} on {self._engines[1]}" for c in unequal]
            times = f"{first[_TIMES]} x on {self._engines[0]}, {second[_TIMES]} x on {self._engines[1]}"
            told[f"{row['_source_file']}:{row['_source_row']} {'; '.join(cells) or times}"] = None
        return list(told)[: self._limit]


def _counted(rows: nw.LazyFrame[Any], columns: Columns, floats: Sequence[str]) -> nw.LazyFrame[Any]:
    """Each different row once, with how often it is there; of floats the lowest and the highest of its like.

    The key has all columns but the floats, of which it has only whether there is a number. A list becomes as many rows
    as it has elements, each with the length of the list.
    """
    lists = [column for column, kind in columns.items() if kind.name == "array"]
    rows = rows.select(*columns, *(nw.col(c).list.len().alias(_LENGTH + c) for c in lists))
    for column in lists:
        rows = rows.explode(column)
    exact = [nw.col(column) for column in columns if column not in floats] + [nw.col(_LENGTH + c) for c in lists]
    inexact = [nw.when(nw.col(f).is_nan()).then(nw.lit("NaN")).otherwise(nw.lit("number")) for f in floats]
    missing = [nw.when(nw.col(f).is_null()).then(nw.lit(_NULL)).otherwise(nw.lit("")) for f in floats]
    parts = [part.cast(nw.String).fill_null(_NULL) for part in (*exact, *inexact, *missing)]
    keyed = rows.with_columns(nw.concat_str(parts, separator=_BETWEEN).alias(_KEY))
    number = {f: nw.when(~nw.col(f).is_nan()).then(nw.col(f)) for f in floats}
    return keyed.group_by(_KEY).agg(
        nw.len().alias(_TIMES),
        *(nw.col(column).max().alias(column) for column in columns if column not in floats),
        *(number[f].min().alias(_LOW + f) for f in floats),
        *(number[f].max().alias(_HIGH + f) for f in floats),
    )


def _same(a: nw.Expr, b: nw.Expr) -> nw.Expr:
    return (a == b).fill_null(value=False) | (a.is_null() & b.is_null())


def _near(a: nw.Expr, b: nw.Expr) -> nw.Expr:
    close = (a - b).abs() <= TOLERANCE * nw.max_horizontal(a.abs(), b.abs())
    return close.fill_null(value=False) | _same(a, b)


def _values(rows: Sequence[dict[str, Any]], columns: Columns, prefix: str) -> list[dict[str, Any]]:
    """The rows of one side, with the values of the columns and how often each is there."""
    found = []
    floats = [column for column, kind in columns.items() if kind.name in _FLOATS]
    for row in rows:
        if row[prefix + _TIMES] is not None:
            values = {c: row[prefix + (_LOW + c if c in floats else c)] for c in columns}
            # The end of the key says of each float whether there is a number, and whether there is anything.
            ends = row[prefix + _KEY].rsplit(_BETWEEN, 2 * len(floats))[1:] if floats else []
            values |= {c: float("nan") for c, end in zip(floats, ends, strict=False) if end == "NaN"}
            found.append({**values, _TIMES: row[prefix + _TIMES]})
    return found


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Where a row came from; empty where it does not say."""
    place = tuple(row.get(column) for column in LINEAGE)
    return () if None in place else place


def _shown(row: dict[str, Any], columns: Columns) -> str:
    return ", ".join(f"{column} {row[column]!r}" for column in columns)[:_WIDE]
