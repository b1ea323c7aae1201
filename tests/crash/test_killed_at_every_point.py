"""A real `oreflow run` dies by SIGKILL at each point of the batch protocol; the next run mends everything.

Promise two (exactly once, whatever happens) and promise three (readers never see a half-written table).
"""

from __future__ import annotations

import signal

import pytest

PHASES = ("claimed", "processed", "staged", "audited", "quarantined", "published", "accounted")
TABLES = ("bronze.transactions", "silver.transactions", "silver.latest", "gold.sales_by_country")
SCENES = ("empty lake", "good tables")
RANDOM_KILLS = 10  # of test_killed_at_any_instant.py, which really happen for each scene


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("scene", SCENES)
def test_a_run_killed_here_is_mended_by_the_next(
    scene, table, phase, at_start, killer, start_run, assert_whole, assert_recovers
):
    project = at_start(scene, "killed")
    process = start_run(project, PYTHONPATH=str(killer), KILL_AT=f"{table}:{phase}")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, f"it was not killed: {out}"
    assert_whole(project, scene)
    assert_recovers(project, scene)


def test_more_than_sixty_runs_are_really_killed():
    # Each test above asserts that its process died by the signal, each one of the random kind that so many did.
    assert len(PHASES) * len(TABLES) * len(SCENES) + RANDOM_KILLS * len(SCENES) >= 60


@pytest.mark.parametrize("phase", ["quarantined", "published"])
def test_a_run_killed_at_the_same_point_again_and_again_is_mended(
    phase, at_start, killer, start_run, assert_whole, assert_recovers
):
    project = at_start("good tables", "killed")
    for table in TABLES:
        process = start_run(project, PYTHONPATH=str(killer), KILL_AT=f"{table}:{phase}")
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert_whole(project, "good tables")
    assert_recovers(project, "good tables")


def test_a_file_set_aside_is_known_though_the_run_died_before_its_account(at_start, killer, start_run, assert_recovers):
    project = at_start("good tables", "killed")
    process = start_run(project, PYTHONPATH=str(killer), KILL_AT="bronze.transactions:published")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert_recovers(project, "good tables")
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    project.put("2026-01-09.csv", header + "600040,90001,ENAMEL MUG BLUE,1,2026-01-09 08:00:00,2.55,17001.0,Spain\n")
    assert project.run_well()["bronze.transactions"].rows_published == 1
