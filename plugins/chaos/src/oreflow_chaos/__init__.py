"""oreflow-chaos: faults that are injected into a run on purpose, to see what becomes of it."""
