"""Brings a processor with the name of the one of name-twice-a."""

from oreflow.contract import Output, Processor
from oreflow_hostile_name_twice_b.plugin import METADATA


class Twice(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows)
