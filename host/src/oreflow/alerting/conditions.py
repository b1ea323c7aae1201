"""Conditions as people write them: `data_quality_score < 0.9 for 2 runs`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from oreflow.quantities import time_of, time_text

OF_TIME = ("freshness", "since_last_run", "since_last_success")
"""The figures that grow while nothing runs, in seconds."""
_SIGNS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "<": (operator.lt, "below"),
    "<=": (operator.le, "at or below"),
    ">": (operator.gt, "above"),
    ">=": (operator.ge, "at or above"),
}
_FORM = re.compile(
    r"\s*(?P<figure>[A-Za-z_][\w.-]*)\s*(?P<sign><=|>=|<|>)\s*(?P<threshold>[^\s]+(?:\s*%)?)"
    r"(?:\s+for\s+(?P<lasting>.*\S))?\s*"
)
_RUNS = re.compile(r"([1-9][0-9]{0,5})\s+runs?")
_EXAMPLE = "data_quality_score < 0.9 for 2 runs"


@dataclass(frozen=True)
class Condition:
    """What a figure has to be for an alert, and for how long.

    That is in so many runs one after the other, or for so many seconds.
    """

    figure: str
    sign: str
    threshold: float
    runs: int = 1
    seconds: float = 0.0

    def holds(self, value: float, until: float | None = None) -> bool:
        """Whether it holds of a value; one that held already holds until the value gets to `until`."""
        compare, _ = _SIGNS[self.sign]
        if until is None or compare(value, self.threshold):
            return compare(value, self.threshold)
        return value < until if self.sign in ("<", "<=") else value > until

    @property
    def words(self) -> str:
        """It without its figure: `below 0.9 for 2 runs`."""
        lasting = f" for {self.runs} runs" if self.runs > 1 else ""
        lasting = f" for {time_text(timedelta(seconds=self.seconds))}" if self.seconds else lasting
        return f"{_SIGNS[self.sign][1]} {self.shown(self.threshold)}{lasting}"

    def shown(self, value: float) -> str:
        """A value of its figure for people."""
        return time_text(timedelta(seconds=round(value))) if self.figure in OF_TIME else f"{value:.6g}"


def parse_condition(text: str) -> Condition:
    """The condition that a text says: a figure, a sign, a number (or a share as `5%`, a time as `15m`), `for` how long.

    Raises:
        ValueError: it is none; says why, and shows a right one.
    """
    said = _FORM.fullmatch(text)
    if not said:
        raise ValueError(f"{text.strip()!r} is no condition - a right one is `{_EXAMPLE}`")
    runs, seconds = 1, 0.0
    if lasting := said["lasting"]:
        if counted := _RUNS.fullmatch(lasting):
            runs = int(counted[1])
        else:
            seconds = _seconds(lasting)
    return Condition(said["figure"], said["sign"], number(said["threshold"]), runs, seconds)


def number(text: str) -> float:
    """What a number, a share (`5%`) or a time (`15m`: seconds) comes to.

    Raises:
        ValueError: it is none; shows a right condition.
    """
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        try:
            return time_of(text).total_seconds()
        except ValueError:
            raise ValueError(f"{text!r} is no number, share or time - a right one is `{_EXAMPLE}`") from None
    if not math.isfinite(found):
        raise ValueError(f"{text!r} is no number that a figure can be compared with")
    return found


def _seconds(text: str) -> float:
    try:
        return time_of(text).total_seconds()
    except ValueError:
        raise ValueError(f"what follows `for` is {text!r}, and would be `2 runs` or `15m`") from None
