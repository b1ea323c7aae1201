"""Does not say which API it is written for."""

from oreflow.hookspecs import hookimpl


@hookimpl
def processors():
    return []
