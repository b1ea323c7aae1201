"""The error of a step that failed because a plugin did what no plugin may."""

from __future__ import annotations

from oreflow.contract import StepError


class PluginFault(StepError):
    """A plugin broke the contract; the error that it raised, if it did, is the cause."""
