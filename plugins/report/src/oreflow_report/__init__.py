"""The report of a run as one page, as a plugin of oreflow."""
