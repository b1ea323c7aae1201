"""Answers a hook for a list with a number."""

from oreflow.hookspecs import hookimpl

oreflow_api = 1


@hookimpl
def processors():
    return 42
