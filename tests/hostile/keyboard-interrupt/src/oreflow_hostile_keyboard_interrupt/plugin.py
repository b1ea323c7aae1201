"""Raises KeyboardInterrupt when it is imported."""

raise KeyboardInterrupt
