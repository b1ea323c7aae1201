"""Upsert: of all versions of a key, in the table or new, one stays; only the files it touches are rewritten.

The order that decides is total (the declared columns, then source file and row), so that it does
not matter in which order, or in how many batches, the versions arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw

from oreflow.contract import INTERNAL, DataFile, Engine, Merge, Staged, Staging, StepError, Table

_FILE = f"{INTERNAL}file"
_POSITION = f"{INTERNAL}position"
_VERSIONS = f"{INTERNAL}versions"
REPLACED = f"{INTERNAL}replaced"
_ARRIVAL = ("_source_file", "_source_row")


@dataclass(frozen=True)
class Merging:
    """The lazy parts of a merge: the rows that win, how many new ones lost, what of the table is replaced."""

    winners: nw.LazyFrame[Any]
    superseded: nw.LazyFrame[Any]
    replaced: nw.LazyFrame[Any] | None


def merge(
    accepted: nw.LazyFrame[Any], columns: tuple[str, ...], table: Table | None, mode: Merge, engine: Engine
) -> Merging:
    """Decide for each key of `accepted` which version stays."""
    contenders = accepted.with_columns(nw.lit(None, nw.String).alias(_FILE))
    published = table if table and table.files else None
    if published and (added := [name for name in columns if name not in published.columns]):
        # Versions cannot be compared, nor files rewritten, by columns that the table does not have yet.
        raise StepError(
            f"a merge cannot add columns to the table ({', '.join(added)})"
            " - make the table anew with `oreflow run --full-refresh`"
        )
    if published:
        keys = accepted.select(*mode.keys).unique()
        existing = engine.scan_table(published, file_column=_FILE).join(keys, on=list(mode.keys), how="semi")
        contenders = nw.concat([contenders, existing.select(*columns, _FILE)], how="vertical")
    wins = _wins(contenders, columns, mode)
    new = nw.col(_FILE).is_null()
    return Merging(
        winners=wins.filter(nw.col(_POSITION) & new).select(*columns),
        superseded=wins.filter(~nw.col(_POSITION) & new).select(nw.len().alias("_superseded")),
        replaced=wins.filter(~nw.col(_POSITION) & ~new).group_by(_FILE).agg(nw.len().alias(REPLACED))
        if published
        else None,
    )


def rewrite(
    table: Table,
    replaced: list[dict[str, Any]],
    winners: Staged,
    keys: tuple[str, ...],
    engine: Engine,
    staging: Callable[[nw.LazyFrame[Any], Path, tuple[int, int]], Staging],
) -> tuple[tuple[DataFile, ...], tuple[DataFile, ...]]:
    """Stage the touched files without their replaced rows; gives the files to remove and to add.

    `staging` says how rows of a range of batches are to be staged in a folder.

    Raises:
        StepError: a row would be lost on the way.
    """
    names = {row[_FILE] for row in replaced}
    touched = tuple(file for file in table.files if file.path in names)
    if not touched:
        return (), ()
    new = Table(table.path, 0, 0, winners.columns, winners.files)
    rest = engine.scan_table(table, touched).join(engine.scan_table(new).select(*keys), on=list(keys), how="anti")
    batches = (min(file.first_batch for file in touched), max(file.last_batch for file in touched))
    staged = engine.execute({"rest": staging(rest, table.path, batches)}).staged["rest"]
    before, gone = sum(file.rows for file in touched), sum(int(row[REPLACED]) for row in replaced)
    if staged.rows != before - gone:
        raise StepError(f"a merge would lose rows: {before} in the touched files, {gone} replaced, {staged.rows} left")
    return touched, staged.files


def _wins(contenders: nw.LazyFrame[Any], columns: tuple[str, ...], mode: Merge) -> nw.LazyFrame[Any]:
    order: list[str] = []
    marks = []
    for name in (*mode.order_by, *(c for c in _ARRIVAL if c in columns)):
        # Engines differ in where they put NULLs; a column that says whether there is a value puts them lowest.
        marks.append((~nw.col(name).is_null()).cast(nw.Int8).alias(f"{INTERNAL}has_{name}"))
        order += [f"{INTERNAL}has_{name}", name]
    ranked = contenders.with_columns(*marks, nw.lit(1).alias(_POSITION))
    position = nw.col(_POSITION).cum_sum().over(*mode.keys, order_by=order)
    versions = nw.len().over(*mode.keys)
    ranked = ranked.with_columns(position.alias(_POSITION), versions.alias(_VERSIONS))
    wanted = nw.col(_VERSIONS) if mode.keep == "last" else nw.lit(1)
    return ranked.with_columns((nw.col(_POSITION) == wanted).alias(_POSITION))
