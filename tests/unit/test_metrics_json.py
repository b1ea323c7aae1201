"""Metrics in a JSON file: where it is, what it has, and that nobody ever finds half of one."""

from __future__ import annotations

import json
import math
import os
import threading

import pytest

from oreflow.contract import OreflowError, Surroundings
from oreflow.factory import get_processor_factory
from oreflow.monitoring import MetricsCollector
from oreflow.monitoring.exposition import document
from oreflow.validation import validate


@pytest.fixture
def place(tmp_path):
    return Surroundings("shop", "dev", tmp_path / "project", tmp_path / "lake" / "metrics")


@pytest.fixture
def collector():
    made = MetricsCollector()
    made.record_etl_metrics("shop", "silver", 100, 2, 1.5, 0.98, table="silver.sales")
    return made


def names(folder):
    return [each.name for each in folder.iterdir()]


def backend(place, **options):
    return get_processor_factory().create_metric_backend("json", options, place)


def test_the_file_is_beside_the_tables_where_no_path_is_said(place, collector):
    snapshot = collector.snapshot()
    backend(place).write(snapshot)
    assert names(place.folder) == ["metrics.json"]
    assert json.loads((place.folder / "metrics.json").read_text(encoding="utf-8")) == document(snapshot)


def test_a_path_begins_at_the_project(place, collector):
    backend(place, path="out/figures.json").write(collector.snapshot())
    written = json.loads((place.project / "out" / "figures.json").read_text(encoding="utf-8"))
    (failed,) = [each for each in written["metrics"] if each["name"] == "oreflow_records_failed_total"]
    labels = {"pipeline": "shop", "stage": "silver", "table": "silver.sales"}
    assert failed["series"] == [{"labels": labels, "value": 2}]
    assert not place.folder.exists()


def test_an_absolute_path_is_what_it_is(place, collector, tmp_path):
    backend(place, path=str(tmp_path / "figures.json")).write(collector.snapshot())
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["metrics"]


def test_figures_that_json_has_no_number_for_are_texts(place):
    collector = MetricsCollector()
    collector.set_gauge("depth", math.nan)
    collector.set_gauge("wait_seconds", math.inf)
    backend(place).write(collector.snapshot())

    def refuse(constant):
        raise AssertionError(constant)

    text = (place.folder / "metrics.json").read_text(encoding="utf-8")
    depth, wait = json.loads(text, parse_constant=refuse)["metrics"]
    assert depth["series"][0]["value"] == "NaN"
    assert wait["series"][0]["value"] == "+Inf"


def test_others_may_read_the_file_as_far_as_the_user_lets_them(place, collector):
    before = os.umask(0o022)
    try:
        backend(place).write(collector.snapshot())
    finally:
        os.umask(before)
    if os.name == "posix":
        assert (place.folder / "metrics.json").stat().st_mode & 0o777 == 0o644


def test_whoever_reads_finds_a_whole_file(place, collector):
    for table in range(50):
        collector.record_etl_metrics("shop", "silver", 100, table=f"silver.{table}")
    written = [backend(place), backend(place)]
    written[0].write(collector.snapshot())
    is_over = threading.Event()
    faults = []

    def write(one):
        try:
            for _ in range(20):
                one.write(collector.snapshot())
        except BaseException as error:
            faults.append(error)

    def read():
        while not is_over.is_set():
            try:
                json.loads((place.folder / "metrics.json").read_text(encoding="utf-8"))
            except BaseException as error:
                faults.append(error)
                return

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(each,)) for each in written]
    for each in [reader, *writers]:
        each.start()
    for each in writers:
        each.join()
    is_over.set()
    reader.join()
    assert not faults
    assert names(place.folder) == ["metrics.json"]


def test_a_failure_names_the_file_and_leaves_nothing_behind(place, collector):
    (place.folder / "metrics.json").mkdir(parents=True)
    with pytest.raises(OreflowError, match=r"metrics\.json is there, and no file - say another path"):
        backend(place).write(collector.snapshot())
    assert names(place.folder) == ["metrics.json"]


def test_a_folder_that_cannot_be_made_is_a_failure_that_names_the_file(place, collector):
    place.project.mkdir()
    (place.project / "out").write_text("a file")
    with pytest.raises(OSError) as caught:
        backend(place, path="out/figures.json").write(collector.snapshot())
    assert str(place.project / "out" / "figures.json") in str(caught.value)
    assert names(place.project) == ["out"]


def test_a_disk_that_is_full_leaves_the_file_as_it_was(place, collector, monkeypatch):
    written = backend(place)
    written.write(collector.snapshot())
    before = (place.folder / "metrics.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match=r"No space left on device: .*metrics\.json"):
        written.write(collector.snapshot())
    assert names(place.folder) == ["metrics.json"]
    assert (place.folder / "metrics.json").read_bytes() == before


def test_it_keeps_nothing_that_it_could_be_asked_for(place):
    metadata, _ = get_processor_factory().metric_backends["json"]
    assert not metadata.can_query


@pytest.mark.parametrize("options", [{"path": ""}, {"path": 3}, {"file": "x"}])
def test_options_that_it_does_not_have_are_refused(options):
    metadata, _ = get_processor_factory().metric_backends["json"]
    assert list(validate(options, metadata.option_schema))
