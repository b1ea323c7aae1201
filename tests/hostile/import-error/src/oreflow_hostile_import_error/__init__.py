"""Imports a name that does not exist."""
