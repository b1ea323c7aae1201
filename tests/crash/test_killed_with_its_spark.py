"""A real `oreflow run --engine spark` dies by SIGKILL with a Spark of its own; nothing of it lives on.

Where a driver is killed in a Spark that stays, `test_killed_at_every_point.py` has every point.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

SECONDS = 15


def _below(ancestor: int) -> dict[int, str]:
    """The processes that a process has started, and those that these have: number and name."""
    parents, names = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:  # it has just ended
            continue
        name, _, rest = rest.rpartition(") ")
        parents[int(number)], names[int(number)] = int(rest.split()[1]), name
    found: dict[int, str] = {}
    while more := {child for child, parent in parents.items() if parent in {ancestor, *found}} - set(found):
        found |= {child: names[child] for child in more}
    return found


def _handles(processes: dict[int, str]) -> dict[int, str]:
    """The handles of processes, which tell of their end, with their names."""
    found = {}
    for number, name in processes.items():
        with suppress(ProcessLookupError):  # it has just ended
            found[os.pidfd_open(number)] = name
    return found


def _alive_after(processes: dict[int, str], seconds: float) -> list[str]:
    """The names of those processes, by their handles, that have not ended by then."""
    end = time.monotonic() + seconds
    return [
        name
        for handle, name in processes.items()
        if not select.select([handle], [], [], max(0, end - time.monotonic()))[0]
    ]


@pytest.fixture
def kill_with_its_spark(start_on_spark) -> Callable[[Any, str], None]:
    """Run a project on a Spark of its own, kill the driver where it is told to, and see that the Spark ends."""

    def kill(project: Any, at: str) -> None:
        # It stands still before it is killed, so that what it has started can be seen.
        process = start_on_spark(project, attached=False, KILL_AT=at, KILL_BY="SIGSTOP")
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        below = _handles(_below(process.pid))
        process.kill()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"it was not killed: {out}"
        assert "java" in below.values()
        assert not _alive_after(below, SECONDS)
        for handle in below:
            os.close(handle)

    return kill


def test_a_spark_dies_with_its_driver_and_the_next_run_mends_what_both_left(
    at_start, kill_with_its_spark, kill_run, assert_whole, assert_recovers
):
    project = at_start("good tables", "killed")
    kill_with_its_spark(project, "bronze.transactions:writing")
    assert list(project.path("bronze.transactions").glob(".batch-*"))
    assert_whole(project, "good tables")
    # Either engine goes on with what the other left, and dies too.
    kill_run(project, "bronze.transactions:accounted", "polars")
    assert_whole(project, "good tables")
    kill_with_its_spark(project, "silver.latest:quarantined")
    assert_whole(project, "good tables")
    kill_run(project, "silver.latest:published", "polars")
    assert_whole(project, "good tables")
    kill_with_its_spark(project, "gold.sales_by_country:published")
    assert_whole(project, "good tables")
    assert_recovers(project, "good tables", "spark")
