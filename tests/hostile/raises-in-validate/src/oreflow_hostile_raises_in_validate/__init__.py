"""Raises when it is to validate the options of its processor."""
