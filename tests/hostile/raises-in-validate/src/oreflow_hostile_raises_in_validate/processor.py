"""Raises when it is to validate the options of its processor."""

from oreflow.contract import Output, Processor
from oreflow_hostile_raises_in_validate.plugin import METADATA


class RaisesInValidate(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows)
