"""The error of a step that failed because a plugin did what no plugin may."""

from __future__ import annotations

from oreflow.contract import StepError


class PluginFault(StepError):
    """A plugin broke the contract; the error that it raised, if it did, is the cause."""


def told(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
