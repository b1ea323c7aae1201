"""Brings a processor with the name of the one of name-twice-b."""

from oreflow.contract import Output, Processor
from oreflow_hostile_name_twice_a.plugin import METADATA


class Twice(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows)
