"""How a processor has done so far: kept for each, shown to people, and used to break ties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Profile:
    """Figures of one offer (`polars_silver`): seconds of wall time and rows read in the steps that succeeded."""

    created: int = 0
    runs: int = 0
    failures: int = 0
    seconds: float = 0.0
    rows: int = 0
    last_error: str = ""

    @property
    def rows_per_second(self) -> float | None:
        """Rows read in a second; None where nothing was read yet."""
        return self.rows / self.seconds if self.rows and self.seconds else None

    def ran(self, rows: int, seconds: float, error: str = "") -> None:
        """Note a step that has ended, with its error where it failed."""
        self.runs += 1
        if error:
            self.failures += 1
            self.last_error = error
        else:
            self.rows += rows
            self.seconds += seconds

    def to_dict(self) -> dict[str, Any]:
        """The figures for `oreflow plugins show --json`."""
        speed = self.rows_per_second
        return {**vars(self), "rows_per_second": None if speed is None else round(speed, 1)}
