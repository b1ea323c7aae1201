"""Raises around a step, before it; only where HOSTILE_WRAPPER is set in the environment."""

import os

from oreflow.hookspecs import hookimpl

oreflow_api = 1


@hookimpl(wrapper=True)
def run_step():
    if "HOSTILE_WRAPPER" in os.environ:
        raise RuntimeError("run_step raises")
    return (yield)
