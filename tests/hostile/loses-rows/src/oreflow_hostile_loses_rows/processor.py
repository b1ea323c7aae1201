"""Filters rows out of a step without saying so."""

import narwhals as nw

from oreflow.contract import Output, Processor
from oreflow_hostile_loses_rows.plugin import METADATA


class LosesRows(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows.filter(nw.col("_source_row") > 2))  # the first record of each file is gone
