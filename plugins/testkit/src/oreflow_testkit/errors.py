"""How a check ends where it does not just pass."""

from __future__ import annotations


class ContractBroken(AssertionError):
    """A check has found a fault; says what was found and what to change."""


class NotApplicable(Exception):
    """A check has no meaning for a processor; says why."""
