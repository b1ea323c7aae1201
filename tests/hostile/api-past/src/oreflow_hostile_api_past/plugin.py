"""Is written for an API of the past."""

oreflow_api = 0
