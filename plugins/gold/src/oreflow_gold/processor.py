"""The gold step: the inputs, whole, become a table that replaces the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from oreflow.contract import Output, Overwrite, Processor, Step
from oreflow_gold.plugin import METADATA


class GoldProcessor(Processor):
    """Options: `group_by` with `measures`, or `sql`. Several inputs of a `group_by` are stacked by column name."""

    metadata = METADATA

    def process(self, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        """Compute the whole table anew."""
        if "sql" in step.options:
            rows = step.engine.sql(step.options["sql"], inputs)
        else:
            frames = list(inputs.values())
            stacked = frames[0] if len(frames) == 1 else nw.concat(frames, how="diagonal")
            groups = step.options.get("group_by", {})
            keys = groups if isinstance(groups, Mapping) else {name: _quoted(name) for name in groups}
            rows = step.engine.aggregate(stacked, keys, step.options["measures"])
        return Output(rows, mode=Overwrite(), row_by_row=False)


def _quoted(name: str) -> str:
    """A column's name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
