"""Raises KeyboardInterrupt when it is imported."""
