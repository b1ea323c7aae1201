"""Answers the hook for commands with a number among them."""

from oreflow.hookspecs import hookimpl

oreflow_api = 1


@hookimpl
def cli_commands():
    return [42]
