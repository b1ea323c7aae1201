"""Prints to standard output, which belongs to the host."""

from oreflow.contract import Output, Processor
from oreflow_hostile_prints.plugin import METADATA


class Prints(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows)
