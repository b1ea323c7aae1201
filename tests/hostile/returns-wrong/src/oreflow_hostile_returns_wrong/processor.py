"""Returns from a step what is no proper Output; the option `what` says what."""

from oreflow.contract import Output, Processor
from oreflow_hostile_returns_wrong.plugin import METADATA


class ReturnsWrong(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        (rows,) = inputs.values()
        match step.options.get("what", "none"):
            case "frame":
                return rows
            case "eager":
                return Output(rows=rows.collect())
            case "columns":
                return Output(rows, columns=["no_such_column"])
            case "rules":
                return Output(rows, rules=[42])
            case "mode":
                return Output(rows, mode="append")
        return None
