"""Is written for an API of the past."""
