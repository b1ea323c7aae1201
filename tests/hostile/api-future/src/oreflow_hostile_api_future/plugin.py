"""Is written for an API of the future."""

oreflow_api = 99
