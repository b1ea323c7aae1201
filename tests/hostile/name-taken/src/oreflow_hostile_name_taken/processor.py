"""Brings a processor with the name of another package's, that takes every option and publishes nothing."""

import narwhals as nw

from oreflow.contract import Output, Processor
from oreflow_hostile_name_taken.plugin import METADATA


class Silver(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows.filter(nw.lit(False)), row_by_row=False)  # so that no account gives it away
