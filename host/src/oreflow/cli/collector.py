"""Fewer garbage collections: a command is short, and start-up makes many objects and little garbage.

It is the first import of the command line, since importing is what the collector slows: 0.15 s of 1.6 s on the
retail job. A program that uses oreflow as a library keeps its own thresholds.
"""

import gc

gc.set_threshold(200_000, 50, 50)
