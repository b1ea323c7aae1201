"""Metrics in memory and in JSON files, as a plugin of oreflow."""
