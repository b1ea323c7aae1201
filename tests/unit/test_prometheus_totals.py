"""The totals over processes that Prometheus is shown: what is counted once, whatever happens to processes and files."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from oreflow.contract import OreflowError, Surroundings
from oreflow.factory import get_processor_factory
from oreflow.monitoring import MetricsCollector

HALF_A_SERIES = (
    b'{"version": 1, "families": [{"name": "x", "kind": "histogram", "help": "", "unit": "", "bounds": [1],'
    b' "series": [[{}, 1, 1, []]]}]}'
)
BEGIN = """
import os, sys
from pathlib import Path
from oreflow.contract import Surroundings
from oreflow.factory import get_processor_factory
from oreflow.monitoring import MetricsCollector

folder, name = Path(sys.argv[1]), sys.argv[2]
backend = get_processor_factory().create_metric_backend("textfile", {}, Surroundings("shop", "dev", folder, folder))
collector = MetricsCollector()
"""
COUNTS = """
print("begun", flush=True)
for number in range(int(sys.argv[3])):
    collector.increment_counter("steps", 1, {"table": "all"})
    collector.increment_counter("steps", 1, {"table": name})
    collector.observe("x_seconds", number)
    collector.set_gauge("last", number, {"table": name})
    backend.write(collector.snapshot())
"""
FORKS = """
collector.increment_counter("steps", 5)
collector.set_gauge("level", 1)
backend.write(collector.snapshot())
collector.increment_counter("steps", 2)
if os.fork() == 0:
    collector.increment_counter("steps", 40)
    backend.write(collector.snapshot())
    os._exit(0)
os.wait()
collector.set_gauge("level", 3)
backend.write(collector.snapshot())
"""


def process(code: str, folder: Path, name: str = "a", *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BEGIN + code, str(folder), name, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def shown(folder: Path) -> dict[tuple[str, str], float]:
    """The figures of the file by name and, where they have one, table or bucket."""
    text = (folder / "metrics.prom").read_text()
    return {
        (each.name.removeprefix("oreflow_"), "".join(each.labels.values())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


@pytest.fixture
def textfile(tmp_path):
    """Make a backend whose totals and file are in a folder."""

    def make(folder: Path = tmp_path, **options):
        return get_processor_factory().create_metric_backend(
            "textfile", options, Surroundings("shop", "dev", folder, folder)
        )

    return make


@pytest.fixture
def collector():
    return MetricsCollector()


def before(folder: Path, **counts: float) -> None:
    """What an earlier process has left."""
    code = "import json\nfor name, count in json.loads(sys.argv[3]).items(): collector.increment_counter(name, count)\n"
    code += "collector.observe('x_seconds', 1)\ncollector.set_gauge('level', 7)\nbackend.write(collector.snapshot())"
    ended = process(code, folder, "a", json.dumps(counts))
    assert ended.communicate(timeout=30)[1] == ""


def test_four_processes_at_once_lose_nothing(tmp_path):
    names = "abcd"
    made = [process(COUNTS, tmp_path, name, "200") for name in names]
    for each in made:
        assert each.communicate(timeout=60) == ("begun\n", "")
    found = shown(tmp_path)
    assert found["steps_total", "all"] == 800
    assert [found["steps_total", name] for name in names] == [200] * 4
    assert [found["last", name] for name in names] == [199] * 4
    assert found["x_seconds_count", ""] == 800
    assert found["x_seconds_sum", ""] == 4 * sum(range(200))
    assert found["x_seconds_bucket", "10.0"] == 4 * 11


def test_a_process_that_is_killed_takes_nothing_of_the_others_with_it(tmp_path):
    made = [process(COUNTS, tmp_path, name, "150") for name in "abc"]
    victim = process(COUNTS, tmp_path, "victim", "100000")
    while not ((tmp_path / "totals.json").exists() and "victim" in (tmp_path / "totals.json").read_text()):
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=30)
    json.loads((tmp_path / "totals.json").read_bytes())
    for each in made:
        assert each.communicate(timeout=60) == ("begun\n", "")
    found = shown(tmp_path)
    assert [found["steps_total", name] for name in "abc"] == [150] * 3
    assert found["steps_total", "all"] == 450 + found["steps_total", "victim"]
    assert found["x_seconds_count", ""] == found["steps_total", "all"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_counts_from_nothing_and_leaves_gauges_as_they_are(tmp_path):
    assert process(FORKS, tmp_path).communicate(timeout=30) == ("", "")
    assert shown(tmp_path) == {("steps_total", ""): 47, ("level", ""): 3}


def test_several_backends_of_a_process_count_an_increase_once(textfile, collector, tmp_path):
    before(tmp_path, steps=10)
    first, second = textfile(), textfile(path="second.prom")
    collector.increment_counter("steps", 3)
    for each in (first, second, first):
        each.write(collector.snapshot())
    collector.increment_counter("steps", 1)
    second.write(collector.snapshot())
    assert shown(tmp_path)["steps_total", ""] == 13
    assert "oreflow_steps_total 14.0" in (tmp_path / "second.prom").read_text()


def test_backends_that_are_handed_different_series_of_a_process_count_each_once(textfile, collector, tmp_path):
    one, other = textfile(), textfile(path="other.prom")
    collector.increment_counter("orders", 5)
    for _ in range(3):
        collector.increment_counter("steps")
        whole = collector.snapshot()
        one.write(whole)
        other.write(replace(whole, families=tuple(each for each in whole.families if "steps" in each.name)))
    assert shown(tmp_path) == {("orders_total", ""): 5, ("steps_total", ""): 3}


def test_a_snapshot_that_a_newer_one_has_overtaken_counts_nothing(textfile, collector, tmp_path):
    into = textfile()
    collector.increment_counter("steps", 5)
    late = collector.snapshot()
    collector.increment_counter("steps", 5)
    into.write(collector.snapshot())
    into.write(late)
    assert shown(tmp_path)["steps_total", ""] == 10


def test_a_clock_that_is_set_back_loses_nothing(textfile, collector, tmp_path):
    into = textfile()
    for seconds in (0, -30, -30.5, -7200, 10):
        collector.increment_counter("steps", 5)
        snapshot = collector.snapshot()
        into.write(replace(snapshot, at=snapshot.at + seconds))
    assert shown(tmp_path)["steps_total", ""] == 25


def test_series_of_many_processes_have_a_bound_beyond_which_they_are_counted_together(
    textfile, collector, tmp_path, monkeypatch
):
    monkeypatch.setattr("oreflow_prometheus.totals._MOST", 3)
    for number in range(4):
        before(tmp_path, **{f"of_{number}": 1})
        collector.increment_counter("rows", number + 1, {"file": f"{number}"})
    into = textfile()
    into.write(collector.snapshot())
    collector.increment_counter("rows", 10, {"file": "3"})
    collector.increment_counter("rows", 100, {"file": "0"})
    into.write(collector.snapshot())
    into.write(collector.snapshot())
    found = {labels: value for (name, labels), value in shown(tmp_path).items() if name == "rows_total"}
    assert found == {"0": 101, "1": 2, "2": 3, "true": 14}
    collector.increment_counter("rows", 5, {"file": "4"})
    into.write(collector.snapshot())
    (tmp_path / "totals.json").unlink()
    into.write(collector.snapshot())
    found = {labels: value for (name, labels), value in shown(tmp_path).items() if name == "rows_total"}
    assert found == {"0": 101, "1": 2, "2": 3, "true": 19}


def test_totals_of_one_pipeline_that_another_process_holds_hold_up_no_other_and_no_fork(textfile, collector, tmp_path):
    into, other = textfile(tmp_path / "a"), textfile(tmp_path / "b")
    collector.increment_counter("steps")
    into.write(collector.snapshot())
    hold = f"import fcntl; file = open({str(tmp_path / 'a/totals.lock')!r}, 'a'); fcntl.flock(file, 2)"
    command = [sys.executable, "-c", f"{hold}; print('held', flush=True); input()"]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    stuck = threading.Thread(target=into.write, args=(collector.snapshot(),))
    stuck.start()
    time.sleep(0.1)
    start = time.monotonic()
    textfile(tmp_path / "c")
    other.write(collector.snapshot())
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert stuck.is_alive()
    assert time.monotonic() - start < 0.8
    holder.communicate(b"\n", timeout=20)
    stuck.join()


def test_threads_of_a_process_that_write_at_once_count_once(textfile, collector, tmp_path):
    made = [textfile(path=f"{n}.prom") for n in range(3)]

    def work(backend) -> None:
        for _ in range(50):
            collector.increment_counter("steps")
            backend.write(collector.snapshot())

    threads = [threading.Thread(target=work, args=(each,)) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    textfile().write(collector.snapshot())
    assert shown(tmp_path)["steps_total", ""] == 150


def test_a_series_that_begins_anew_is_added_as_a_whole(textfile, tmp_path):
    into = textfile()
    for count in (5, 3):
        anew = MetricsCollector()
        anew.increment_counter("steps", count)
        for _ in range(count):
            anew.observe("x_seconds", 0.001)
        into.write(anew.snapshot())
    found = shown(tmp_path)
    assert found["steps_total", ""] == found["x_seconds_count", ""] == found["x_seconds_bucket", "0.005"] == 8


def test_a_gauge_has_the_value_of_whoever_changed_it_last(textfile, collector, tmp_path):
    into = textfile()
    collector.set_gauge("level", 1)
    into.write(collector.snapshot())
    before(tmp_path)
    into.write(collector.snapshot())
    assert shown(tmp_path)["level", ""] == 7
    collector.set_gauge("level", math.nan)
    into.write(collector.snapshot())
    assert math.isnan(shown(tmp_path)["level", ""])
    before(tmp_path)
    into.write(collector.snapshot())
    assert shown(tmp_path)["level", ""] == 7
    collector.set_gauge("level", 1)
    into.write(collector.snapshot())
    assert shown(tmp_path)["level", ""] == 1


def test_figures_of_other_bounds_or_another_kind_are_dropped(textfile, collector, tmp_path):
    before(tmp_path, steps=10, level_of_it=3)
    collector.histogram("x_seconds", bounds=(1, 2)).observe(1)
    collector.set_gauge("level_of_it", 2)
    textfile().write(collector.snapshot())
    found = shown(tmp_path)
    assert {key: value for key, value in found.items() if "x_seconds" in key[0]} == {
        ("x_seconds_bucket", "1.0"): 1,
        ("x_seconds_bucket", "2.0"): 1,
        ("x_seconds_bucket", "+Inf"): 1,
        ("x_seconds_sum", ""): 1,
        ("x_seconds_count", ""): 1,
    }
    assert (found["level_of_it", ""], found["steps_total", ""]) == (2, 10)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"version": 1, "fam',
        b"[]",
        b"\xff\x00",
        b'{"version": 2, "families": []}',
        b'{"version": 1, "families": [{"name": "x"}]}',
        HALF_A_SERIES,
        HALF_A_SERIES.replace(b'"x"', b'""').replace(b"1, 1, []", b"1, 1, [1]"),
        HALF_A_SERIES.replace(b"1, 1, []", b"1, 1" + b"0" * 400 + b", [1]"),
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_a_damaged_file_is_set_aside_and_begun_anew(textfile, collector, tmp_path, damage, caplog):
    before(tmp_path, steps=10)
    into = textfile()
    collector.increment_counter("steps", 3)
    into.write(collector.snapshot())
    (tmp_path / "totals.json").write_bytes(damage)
    collector.increment_counter("steps", 1)
    into.write(collector.snapshot())
    assert shown(tmp_path) == {("steps_total", ""): 4}
    assert (tmp_path / "totals.damaged").read_bytes() == damage
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("the totals of metrics begin anew: ")
    assert "\n" not in line


def test_where_totals_cannot_be_kept_they_are_shown_all_the_same_and_counted_later(textfile, collector, tmp_path):
    kept = tmp_path / "kept"
    before(kept, steps=10)
    into = get_processor_factory().create_metric_backend(
        "textfile", {"path": "shown/metrics.prom"}, Surroundings("shop", "dev", tmp_path, kept)
    )
    obstacle = kept / ".totals.json.new"
    obstacle.mkdir()
    for count in (13, 16):
        collector.increment_counter("steps", 3)
        with pytest.raises(OSError, match="totals"):
            into.write(collector.snapshot())
        assert shown(tmp_path / "shown")["steps_total", ""] == count
    obstacle.rmdir()
    into.write(collector.snapshot())
    assert shown(tmp_path / "shown")["steps_total", ""] == 16
    before(kept, steps=0)
    assert shown(kept)["steps_total", ""] == 16


def test_where_there_can_be_no_folder_the_figures_of_the_process_are_shown(collector, tmp_path):
    (tmp_path / "file").touch()
    into = get_processor_factory().create_metric_backend(
        "textfile", {"path": "metrics.prom"}, Surroundings("shop", "dev", tmp_path, tmp_path / "file" / "kept")
    )
    collector.increment_counter("steps", 3)
    for _ in range(2):
        with pytest.raises(NotADirectoryError):
            into.write(collector.snapshot())
        assert shown(tmp_path)["steps_total", ""] == 3


def test_a_file_for_node_exporter_can_be_read_by_all_and_has_nothing_beside_it(textfile, collector, tmp_path):
    umask = os.umask(0o077)
    try:
        textfile(path="out/oreflow.prom").write(collector.snapshot())
    finally:
        os.umask(umask)
    (path,) = (tmp_path / "out").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_that_cannot_be_written_says_so_and_counts_nothing_twice(textfile, collector, tmp_path):
    (tmp_path / "metrics.prom").mkdir()
    collector.increment_counter("steps", 3)
    into = textfile()
    with pytest.raises(OreflowError, match=r"metrics\.prom is there, and no file - say another path"):
        into.write(collector.snapshot())
    (tmp_path / "metrics.prom").rmdir()
    into.write(collector.snapshot())
    assert shown(tmp_path) == {("steps_total", ""): 3}
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".new"]
