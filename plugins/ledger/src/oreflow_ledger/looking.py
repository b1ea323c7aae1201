"""Whether a ledger can be written to; makes nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from oreflow.contract import Doubt
from oreflow_ledger.database import Ledger, LedgerError
from oreflow_ledger.section import Place
from oreflow_ledger.tables import REVISION


def look(place: Place) -> str:
    """What is found, in a few words.

    Raises:
        Doubt: it cannot be written to. Runs go well without it.
    """
    try:
        if place.file and not place.file.exists():
            return _made_later(place.file, place.shown)
    except OSError as error:
        raise Doubt(f"{place.shown} cannot be looked at: {error.strerror or error}") from None
    start = time.perf_counter()
    try:
        with Ledger(place) as ledger:
            revision = ledger.revision()
            if revision:
                ledger.try_to_write()
    except LedgerError as error:
        raise Doubt(f"{place.shown}: {error}") from None
    took = f"answers in {(time.perf_counter() - start) * 1000:.0f} ms"
    if revision is None:
        return f"{place.shown} {took}; its tables are made by the next run"
    update = "" if revision == REVISION else f", which the next run brings to {REVISION}"
    return f"{place.shown} {took}, schema {revision}{update}"


def _made_later(file: Path, shown: str) -> str:
    there = next(each for each in file.parents if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise Doubt(f"{shown} cannot be made: nothing can be written in {there}")
    return f"{shown} is made by the next run"
