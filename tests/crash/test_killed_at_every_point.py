"""A real run dies by SIGKILL at each point of the batch protocol; the next run mends everything.

Promise two (exactly once, whatever happens) and promise three (readers never see a half-written table).
"""

from __future__ import annotations

import pytest

PHASES = ("claimed", "processed", "staged", "audited", "quarantined", "published", "accounted")
TABLES = ("bronze.transactions", "silver.transactions", "silver.latest", "gold.sales_by_country")
SCENES = ("empty lake", "good tables")
RANDOM_KILLS = 10  # of test_killed_at_any_instant.py, which really happen for each scene


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("scene", SCENES)
def test_a_run_killed_here_is_mended_by_the_next(
    scene, table, phase, at_start, kill_run, assert_whole, assert_recovers
):
    project = at_start(scene, "killed")
    kill_run(project, f"{table}:{phase}")
    assert_whole(project, scene)
    assert_recovers(project, scene)


def test_more_than_sixty_runs_are_really_killed():
    # Each test above asserts that its process died by the signal, each one of the random kind that so many did.
    assert len(PHASES) * len(TABLES) * len(SCENES) + RANDOM_KILLS * len(SCENES) >= 60


# A run on Spark is dear, so that the one that mends a death there dies next, at a later point or in the next table. A
# batch that is published is never `accounted` again: one project cannot have both points of a table.
IN_A_ROW = [
    ("polars", "good tables", ("quarantined",)),
    ("polars", "good tables", ("published",)),
    *[
        ("spark", scene, phases)
        for scene in SCENES
        for phases in (("claimed", "staged", "quarantined", "published"), ("processed", "audited", "accounted"))
    ],
]


@pytest.mark.parametrize(
    ("engine", "scene", "phases"), IN_A_ROW, ids=lambda part: part if isinstance(part, str) else "-".join(part)
)
def test_runs_killed_one_after_the_other_in_table_after_table_are_mended(
    engine, scene, phases, at_start, kill_run, assert_whole, assert_recovers
):
    project = at_start(scene, "killed")
    for table in TABLES:
        for phase in phases:
            kill_run(project, f"{table}:{phase}", engine)
            assert_whole(project, scene)
    assert_recovers(project, scene, engine)


def test_on_spark_runs_are_killed_at_every_point_too():
    points = [(scene, phase) for engine, scene, phases in IN_A_ROW if engine == "spark" for phase in phases]
    assert sorted(points) == sorted((scene, phase) for scene in SCENES for phase in PHASES)


def test_a_file_set_aside_is_known_though_the_run_died_before_its_account(at_start, kill_run, assert_recovers):
    project = at_start("good tables", "killed")
    kill_run(project, "bronze.transactions:published")
    assert_recovers(project, "good tables")
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    project.put("2026-01-09.csv", header + "600040,90001,ENAMEL MUG BLUE,1,2026-01-09 08:00:00,2.55,17001.0,Spain\n")
    assert project.run_well()["bronze.transactions"].rows_published == 1
