"""Why a table was not made: in one line for people, and whether what it is made of is only away."""

from __future__ import annotations

import traceback
from pathlib import Path

from oreflow.contract import OreflowError, Problem
from oreflow.contract.errors import told
from oreflow.factory import home_of
from oreflow.pipeline.access import Access
from oreflow.pipeline.faults import PluginFault, SourceAway
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.plan import PlannedTable
from oreflow.pipeline.report import THRESHOLD, RefusedError
from oreflow.resilience import ErrorClass, RejectedError, ResilienceError, attempts_of
from oreflow.resilience.errors import InterruptedWaitError
from oreflow.secrets import redacted

_AWAY = (ErrorClass.TRANSIENT, ErrorClass.RATE_LIMITED)
_OF_A_RESOURCE = (*_AWAY, ErrorClass.RESOURCE, ErrorClass.PERMISSION)
_DEEPEST = 32


def _is_within(error: BaseException | None, folder: Path) -> bool:
    """Whether an error, or one that it comes of, is one of a file in a folder."""
    for _ in range(_DEEPEST):
        if error is None:
            break
        name = getattr(error, "filename", None)
        if isinstance(name, str) and Path(name).is_relative_to(folder):
            return True
        error = error.__cause__
    return False


def was_ended(error: BaseException) -> bool:
    """Whether it would have been tried again, or waited for, had the run not been asked to end."""
    attempts = attempts_of(error)
    return isinstance(error, InterruptedWaitError) or (attempts is not None and attempts.ended_by == "interrupted")


def _of_a_file(error: OSError) -> str:
    if error.filename is None:
        return told(error)
    return f"{error.filename}: {error.strerror or error}"


class Failures:
    """What the errors of a run mean; `tracebacks` is the beginning of the path of those that are kept."""

    def __init__(self, pipeline: Pipeline, access: Access, tracebacks: Path) -> None:
        self._pipeline, self._access, self._tracebacks = pipeline, access, tracebacks

    def reason(self, planned: PlannedTable, error: BaseException) -> str:
        """Why a table was not made, in one line, and how often it was tried."""
        attempts = attempts_of(error)
        words = self._words(planned, error)
        if attempts is None or attempts.number == 1:
            return words
        return f"{words} - after {attempts.number} attempts of {attempts.resource} in {attempts.waited:.3g} s"

    def falls_back(self, planned: PlannedTable, error: BaseException) -> bool:
        """Whether what has failed is away, and there is a fallback for that."""
        spec, resources = planned.spec, self._pipeline.resources
        source = spec.source.name if spec.source else ""
        away = planned.blame or self._away(error, source)
        return away in (spec.name, source or spec.name) and (resources[away].stale or resources[spec.name].stale)

    def _words(self, planned: PlannedTable, error: BaseException) -> str:
        """What has happened."""
        if isinstance(error, PluginFault):
            return self._unforeseen(planned, error)
        if isinstance(error, OreflowError):
            offer = planned.selection.offer
            place = self._declared(planned, error)
            own = home_of("processor", offer.processor.name) == offer.distribution
            maker = "" if own or offer.origin in str(error) else f"made by {offer.name} of {offer.origin}, "
            return f"{error} ({maker}declared in {place})"
        if isinstance(error, ResilienceError):
            return self._not_called(error)
        if isinstance(error, OSError):
            return _of_a_file(error)
        is_plain = isinstance(error, Exception) and self._access.classify(error).error_class in _OF_A_RESOURCE
        return told(error) if is_plain and self._access.blamed(error) else self._unforeseen(planned, error)

    def _declared(self, planned: PlannedTable, error: OreflowError) -> str:
        """Where what has failed is declared: the table, or the threshold that its batch is below."""
        spec, document = planned.spec, self._pipeline.config.document
        path: tuple[str, ...] = ("tables", spec.name)
        if isinstance(error, RefusedError) and any(each["check"] == THRESHOLD for each in error.account.failures):
            said = [(*path, THRESHOLD), ("processors", spec.stage.value, THRESHOLD)]
            path = next((each for each in said if each in document.origins), path)
        place = document.locate(Problem("", path))
        return f"{place.file}:{place.line}" if place.line else place.file

    def _not_called(self, error: ResilienceError) -> str:
        """That a resource was not called, with what it failed with last; or that it did not answer in time."""
        use = next((use for use in self._access.uses if use.resource == error.resource), None)
        known = isinstance(error, RejectedError) and use and use.last_error
        return f"{error}; it failed with {use.last_error}" if use and known else str(error)

    def _away(self, error: BaseException, source: str) -> str:
        """The resource that is away, by an error; '' where none is: what was read was wrong, or the lake has failed."""
        if isinstance(error, SourceAway):
            return source
        if isinstance(error, RejectedError):
            return error.resource
        if self._access.classify(error).error_class not in _AWAY or _is_within(error, self._pipeline.lake):
            return ""
        return self._access.blamed(error)

    def _unforeseen(self, planned: PlannedTable, error: BaseException) -> str:
        """A fault in a plugin or in oreflow: the traceback goes to a file, for whoever mends it."""
        file = self._tracebacks.with_name(f"{self._tracebacks.name}.{planned.spec.name}.traceback.txt")
        where = f"the traceback is in {file}"
        try:
            file.write_text(redacted("".join(traceback.format_exception(error))), encoding="utf-8")
        except OSError as fault:
            where = f"its traceback could not be kept: {_of_a_file(fault)}"
        if isinstance(error, PluginFault):
            return f"{error}, {where}"
        offer = planned.selection.offer
        return (
            f"{told(error)} - a fault in {offer.name} (package {offer.distribution}) or in oreflow;"
            f" nothing was published, {where}"
        )
