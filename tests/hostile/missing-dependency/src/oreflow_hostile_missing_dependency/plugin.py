"""Needs a package that is not installed."""

import no_such_package_oreflow  # noqa: F401  the import is the fault
