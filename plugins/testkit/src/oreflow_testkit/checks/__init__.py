"""Every check of the kit, in the order in which they are made: what a processor is first, what it does with rows after.

A check is a function of a `Subject`. It returns where the processor passes; it raises an `AssertionError`
that says what was found and what to change, or `NotApplicable`. The first sentence of its docstring says what
it proves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from oreflow_testkit.checks import account, description, purity, values
from oreflow_testkit.subject import Subject


@dataclass(frozen=True)
class ConformanceCheck:
    """A check: its name, what it proves in a sentence, and the function that makes it."""

    name: str
    proves: str
    run: Callable[[Subject], None]


def _check(run: Callable[[Subject], None]) -> ConformanceCheck:
    proves = inspect.cleandoc(run.__doc__ or "").partition("\n\n")[0]
    return ConformanceCheck(run.__name__, " ".join(proves.split()), run)


CHECKS: tuple[ConformanceCheck, ...] = tuple(
    _check(run)
    for run in (
        description.option_schema,
        description.options,
        description.messages,
        description.start_up,
        purity.purity,
        purity.laziness,
        purity.pickling,
        account.engines,
        account.row_account,
        account.lineage,
        account.determinism,
        account.idempotence,
        values.nulls,
        values.empty_input,
        values.one_row,
        values.unicode,
    )
)
"""Every check."""
