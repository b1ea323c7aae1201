"""Answers the hook for commands with a number among them."""
