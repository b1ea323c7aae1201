"""Ends the process from within a step."""

import sys

from oreflow.contract import Processor
from oreflow_hostile_exits_in_processor.plugin import METADATA


class Exits(Processor):
    metadata = METADATA

    def process(self, inputs, step):
        sys.exit(5)
