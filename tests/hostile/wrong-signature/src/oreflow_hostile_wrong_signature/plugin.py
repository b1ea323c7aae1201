"""Implements a hook with an argument that the hook does not have."""

from oreflow.hookspecs import hookimpl

oreflow_api = 1


@hookimpl
def processors(surprise):
    return []
