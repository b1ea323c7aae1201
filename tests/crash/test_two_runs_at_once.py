"""Two runs started together: both succeed, one of them does the work of each table, and nothing is doubled."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("round_number", range(5))
@pytest.mark.parametrize("scene", ["empty lake", "good tables"])
def test_two_runs_started_together_double_nothing(scene, round_number, at_start, scenes, start_run, project_in):
    project = at_start(scene, f"shared-{round_number}")
    runs = [start_run(project) for _ in range(2)]
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)
    found, wanted = project.state(), scenes[scene].after
    assert set(found) == set(wanted)
    for key in wanted:
        assert found[key] == wanted[key], f"{key} differs from one run's"
    assert {result.status for result in project.run_well().values()} == {"unchanged"}


def test_a_run_started_while_another_is_killed_finishes_the_work(at_start, scenes, killer, start_run):
    project = at_start("good tables", "shared")
    dying = start_run(project, PYTHONPATH=str(killer), KILL_AT="silver.transactions:staged")
    living = start_run(project)
    dying.communicate(timeout=60)
    out, _ = living.communicate(timeout=60)
    assert living.returncode == 0, out
    assert project.cli("run").code == 0
    assert project.state() == scenes["good tables"].after
