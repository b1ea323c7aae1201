"""Implements a hook with an argument that the hook does not have."""
