"""Spans by OTLP, as a plugin of oreflow."""
