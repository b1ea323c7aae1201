"""Changes what the host hands to a step; the option `what` says what."""

from oreflow.contract import Output, Processor
from oreflow_hostile_mutates.plugin import METADATA


class Mutates(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        if step.options.get("what", "inputs") == "inputs":
            inputs.pop(next(iter(inputs)))
        else:
            step.options.get("nested", {})["changed"] = True  # before the other, which may be refused
            step.options["mutates_column"] = "changed"
        return Output(rows)
