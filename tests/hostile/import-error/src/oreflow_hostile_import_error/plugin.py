"""Imports a name that does not exist."""

from os import no_such_name  # noqa: F401  the import is the fault
