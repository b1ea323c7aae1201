"""Raises in every hook that only listens."""

from oreflow.hookspecs import hookimpl

oreflow_api = 1


@hookimpl
def run_started():
    raise RuntimeError("run_started raises")


@hookimpl
def step_progressed():
    raise RuntimeError("step_progressed raises")


@hookimpl
def step_finished():
    raise RuntimeError("step_finished raises")


@hookimpl
def run_finished():
    raise RuntimeError("run_finished raises")
