"""Raises around a step, before it; only where HOSTILE_WRAPPER is set in the environment."""
