"""Imports a heavy library when it is imported, not when it is used."""

from oreflow.contract import Output, Processor
from oreflow_hostile_heavy_import.plugin import METADATA


class Heavy(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows)
