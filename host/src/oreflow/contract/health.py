"""What a plugin can say of whether a run of a pipeline would go well, before there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class HealthCheck:
    """Something to be looked at, by a name such as `spark java`.

    `look` gives what it has found, in a few words ('Java 17', '' for nothing to tell), and raises what is wrong: a
    `Doubt` where runs go well all the same for now. It is called on a thread of its own, at the same time as others,
    and is not waited for longer than is declared.
    """

    name: str
    look: Callable[[], str]


class Doubt(Exception):
    """What is found is not as it should be, though runs go well for now."""
