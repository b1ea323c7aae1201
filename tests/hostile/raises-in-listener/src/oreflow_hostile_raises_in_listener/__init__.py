"""Raises in every hook that only listens."""
