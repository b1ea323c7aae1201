"""Answers a hook for a list with a number."""
