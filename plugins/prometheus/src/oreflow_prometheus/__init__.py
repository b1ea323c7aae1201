"""Metrics for Prometheus, as a plugin of oreflow."""
