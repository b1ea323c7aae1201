"""The errors that cross the plugin boundary, so that each reaches the user as one plain message.

Two families, told apart by what the reader can do about them: a `DeclarationError` is mended in a
file before anything runs (exit code 2), a `StepError` happened while a table was made (exit code 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a declaration: what, where and how to mend it.

    `path` is the place in the declaration, e.g. `("tables", "silver.orders", "columns")`; the
    configuration layer turns it into `file` and `line` (1-based) where it knows them.
    """

    message: str
    path: tuple[str | int, ...] = ()
    mend: str = ""
    file: str = ""
    line: int = 0

    @property
    def key(self) -> str:
        """The path as a person writes it: `tables.silver.orders.columns`."""
        return ".".join(str(part) for part in self.path)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = " ".join(part for part in (place, self.key) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} - {self.mend}" if self.mend else text


class OreflowError(Exception):
    """Whatever oreflow tells a user in plain words, without a traceback."""


class DeclarationError(OreflowError):
    """A declaration, an option or a command that cannot be carried out; nothing was run."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StepError(OreflowError):
    """A step that failed for a reason that its user can understand and mend."""


class InvalidMetadata(OreflowError):
    """Metadata that a plugin states and the host cannot accept; names the field."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        super().__init__(f"metadata field '{field}': {reason}")


class CommitConflict(OreflowError):
    """Another writer committed to the table since it was loaded; nothing of this commit is visible."""


class HookDeprecation(DeprecationWarning):
    """A plugin implements a hook, or asks for an argument of one, that a later API will not have.

    A hook that is to go is marked with it in `hookspecs` (`warn_on_impl`, `warn_on_impl_args`) for at least one
    minor release before the API number changes.
    """


def told(error: BaseException) -> str:
    """An error in one line, whatever its class makes of being asked."""
    try:
        text = " ".join(str(error).split())
    except KeyboardInterrupt:
        raise  # the user's
    except BaseException:  # what is told here may be told on a thread that nothing may end
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
