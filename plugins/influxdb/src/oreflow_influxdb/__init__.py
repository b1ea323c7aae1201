"""Metrics for InfluxDB, as a plugin of oreflow."""
