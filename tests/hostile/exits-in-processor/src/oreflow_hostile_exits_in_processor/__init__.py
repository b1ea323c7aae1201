"""Ends the process from within a step."""
