"""Implements a hook that does not exist."""

from oreflow.hookspecs import hookimpl

oreflow_api = 1


@hookimpl
def proccessors():
    return []
