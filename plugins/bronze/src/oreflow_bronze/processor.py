"""The bronze step: what the reader gives, unchanged, with the time of its arrival."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from oreflow.contract import Output, Processor, Step
from oreflow_bronze.plugin import METADATA


class BronzeProcessor(Processor):
    """Publishes every record of the new files as text; `_ingested_at` is when the batch was claimed (UTC)."""

    metadata = METADATA

    def process(self, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        """Add the time of arrival; lines that are no records were set aside by the reader."""
        (rows,) = inputs.values()
        arrival = nw.lit(step.started_at, nw.Datetime("us", "UTC")).alias("_ingested_at")
        return Output(rows.with_columns(arrival))
