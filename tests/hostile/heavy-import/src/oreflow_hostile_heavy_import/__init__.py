"""Imports a heavy library when it is imported, not when it is used."""
