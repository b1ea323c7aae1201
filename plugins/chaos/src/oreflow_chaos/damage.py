"""What is damaged on its way through a step: what a file gave, what a processor gave, what was written.

The files of the user are never touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oreflow.contract import LINEAGE, Output, SourceScan

TEXT = "\ufffd\ufffd chaos"
"""What damaged values are: no number, no date, and plain to see where text is allowed."""

_CIRCLE = 1_000_003
_STEP = 618_036
"""Rows walk round a circle by the golden section, so that those in an arc are spread evenly."""


@dataclass(frozen=True)
class Damage:
    """`can` says whether there is anything to damage in a result; `do` gives the damaged one.

    What is hit goes by a chance, from 0 to 1, and by the declared fault.
    """

    can: Callable[[Any], bool]
    do: Callable[[Any, float, Mapping[str, Any]], Any]


def _corrupt_input(scan: SourceScan, chance: float, declared: Mapping[str, Any]) -> SourceScan:
    """Make the values of some rows unreadable; which rows, goes by the number of their line."""
    import narwhals as nw

    if scan.rows is None:
        return scan
    place = (nw.col("_source_row") * _STEP + int(chance * _CIRCLE)) % _CIRCLE
    is_hit = place < max(1, round(declared["rows"] * _CIRCLE))
    names = [name for name in scan.rows.collect_schema().names() if name not in LINEAGE]
    damaged = [nw.when(is_hit).then(nw.lit(TEXT)).otherwise(nw.col(name)).alias(name) for name in names]
    return replace(scan, rows=scan.rows.with_columns(*damaged))


def _wrong_result(output: Output, _chance: float, _declared: Mapping[str, Any]) -> Output:
    """Lose every row."""
    return replace(output, rows=output.rows.head(0))


def _corrupt_file(paths: Sequence[Path], chance: float, _declared: Mapping[str, Any]) -> Sequence[Path]:
    """Cut one of the files off in its middle."""
    path = paths[int(chance * len(paths))]
    os.truncate(path, path.stat().st_size // 2)
    return paths


DAMAGES: Mapping[str, Damage] = {
    "corrupt_input": Damage(lambda scan: scan.rows is not None, _corrupt_input),
    "wrong_result": Damage(lambda output: output is not None, _wrong_result),
    "corrupt_file": Damage(bool, _corrupt_file),
}
"""By the name of the fault."""
