"""Fails an assertion when it is imported."""
