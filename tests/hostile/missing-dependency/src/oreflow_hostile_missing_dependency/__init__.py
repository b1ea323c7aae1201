"""Needs a package that is not installed."""
