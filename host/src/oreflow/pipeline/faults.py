"""Errors of a step that decide what becomes of it."""

from __future__ import annotations

from oreflow.contract import OreflowError, StepError


class PluginFault(StepError):
    """A plugin broke the contract; the error that it raised, if it did, is the cause."""


class SourceAway(OreflowError):
    """The folder of a source is not there, of which files were loaded."""
