"""That a run is under way, for others to see; and the end of the report of one whose process has gone.

A run holds the lock of a file, which the system lets go however its process dies, and has its report where those of
others are, with what is known so far. Whoever gets that lock while the report says `running` knows that nobody will
complete it. The file that is locked has the table that it has begun with and not written of yet.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from oreflow.contract import OreflowError
from oreflow.pipeline.access import Access
from oreflow.pipeline.journal import Journal
from oreflow.pipeline.lake import Lake, read_json, write_json
from oreflow.pipeline.lock import taken
from oreflow.pipeline.report import Account, RunReport, TableResult

_SUFFIX = ".running"
_NEW = 60.0  # seconds; a run that is beginning makes the file first, then takes its lock, then writes its report
_NOTHING = "nothing of it was published"
GONE = "its process has ended without a word: it was killed, or its machine went down"


class Presence:
    """A run, as others can see it; a context for the time of the run. That nothing can be shown harms nothing."""

    def __init__(self, lake: Lake, run_id: str) -> None:
        self._report = lake.runs / f"{run_id}.json"
        self._lock = lake.runs / f".{run_id}{_SUFFIX}"
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._open.enter_context(taken(self._lock))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._lock.unlink(missing_ok=True)
        self._open.close()

    def begin(self, table: TableResult) -> None:
        """Show which table it looks at: a report is written only once there is something to be made of it."""
        with suppress(OSError):
            self._lock.write_text(json.dumps(asdict(table)), encoding="utf-8")

    def end(self) -> None:
        """Show that it looks at no table."""
        with suppress(OSError):
            self._lock.write_bytes(b"")

    def show(self, report: RunReport) -> None:
        """Show what is known by now."""
        with suppress(OSError):
            write_json(self._report, report.to_dict())


def complete(lake: Lake, access: Access) -> list[RunReport]:
    """Complete the reports of runs whose processes have gone, and give them. That it cannot be now harms nothing."""
    found: list[RunReport] = []
    for lock in list(lake.runs.glob(f".*{_SUFFIX}")):
        # Else its run is under way, or another one completes it; or what is there is no report.
        with suppress(OSError, OreflowError, KeyError, TypeError, ValueError, AttributeError), taken(lock):
            is_new = time.time() - lock.stat().st_mtime < _NEW
            path = lake.runs / f"{lock.name[1:].removesuffix(_SUFFIX)}.json"
            value = read_json(path)
            if value and value.get("status") == "running":
                found.append(_completed(lake, access, path, value, read_json(lock)))
            if value or not is_new:
                lock.unlink(missing_ok=True)
    return found


def _completed(
    lake: Lake, access: Access, path: Path, value: dict[str, Any], begun: dict[str, Any] | None
) -> RunReport:
    """`begun` is the table that it had begun to look at, if any."""
    name = begun.get("table") if begun else None
    if begun and isinstance(name, str) and name not in [table["table"] for table in value["tables"]]:
        about = {"status": "interrupted", "reason": _NOTHING, "seconds": 0.0}
        value = {**value, "tables": [*value["tables"], {**begun, **about}]}
    report = RunReport.from_dict(value)
    report.seconds = round(max(path.stat().st_mtime - datetime.fromisoformat(report.started_at).timestamp(), 0.0), 3)
    for table in report.tables:
        if table.status == "running":
            _find(lake, access, report.run_id, table)
    report.status = "interrupted"
    report.remarks.append(GONE)
    write_json(path, report.to_dict())
    return report


def _find(lake: Lake, access: Access, run_id: str, result: TableResult) -> None:
    """Find what the run has published of a table since it has begun with its last batch."""
    table = access.tables.load(lake.table(result.table))
    journal = Journal(lake, access, result.table)
    for batch in range((result.batch or 0) + 1, (table.batch if table else 0) + 1):
        account = journal.account(batch)
        if account.get("run_id") == run_id:
            found = Account.from_dict(account)
            result.add(batch, found)
            begun = next((each for each in result.batches if each.batch == batch), None) or result.begin(batch)
            begun.end("published", found)
    for each in result.batches:
        if each.status == "running":
            each.end("interrupted")
    if result.rows_read:
        result.status = "published"
    else:
        result.status, result.reason = "interrupted", _NOTHING


def is_under_way(lake: Lake, run_id: str) -> bool:
    """Whether the process of a run is there; one that has gone is completed by the next run."""
    lock = lake.runs / f".{run_id}{_SUFFIX}"
    if not lock.exists():
        return False
    try:
        with taken(lock):
            return False
    except OSError:
        return True
