"""A real `oreflow run` dies by SIGKILL at instants that nobody chose; the next run mends everything."""

from __future__ import annotations

import random
import signal
import time

import pytest

SCENES = ("empty lake", "good tables")
KILLS = 10
ATTEMPTS = 40


def _kill_after(process, seconds: float) -> bool:
    """Kill a process after so long; gives whether it was still running."""
    time.sleep(seconds)
    process.kill()
    process.communicate(timeout=60)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("scene", SCENES)
def test_runs_killed_at_random_instants_are_mended_by_the_next(
    scene, scenes, at_start, start_run, assert_whole, assert_recovers, record_property
):
    instants = random.Random(20260105)
    died = survived = 0
    while died < KILLS and died + survived < ATTEMPTS:
        project = at_start(scene, f"killed-{died + survived}")
        if _kill_after(start_run(project), instants.uniform(0, scenes[scene].seconds)):
            died += 1
        else:
            survived += 1
        assert_whole(project, scene)
        assert_recovers(project, scene)
    record_property("died", died)
    record_property("ended before the kill", survived)
    assert died == KILLS


def test_a_run_killed_many_times_in_a_row_is_mended(scenes, at_start, start_run, assert_whole, assert_recovers):
    seconds = scenes["good tables"].seconds
    for attempt in range(ATTEMPTS):
        project = at_start("good tables", f"killed-{attempt}")
        died = 0
        for part in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85):
            if not _kill_after(start_run(project), part * seconds):
                break
            died += 1
            assert_whole(project, "good tables")
        if died >= 3:
            break
        # A run that came to its end left nothing to kill the next one in: again from the start, and sooner.
        seconds *= 0.8
    assert died >= 3
    assert_recovers(project, "good tables")
