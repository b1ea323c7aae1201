"""Whatever reports say, the ledger has the same rows of them: in any order, twice, step by step or as a whole."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oreflow.contract import Surroundings
from oreflow_ledger.database import Ledger
from oreflow_ledger.rows import run_row
from oreflow_ledger.section import place_of
from oreflow_ledger.tables import METADATA

TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(["\0", "\udcff", "'; drop table oreflow_runs; --"])
NAME = TEXT | st.sampled_from(["x" * 410 + end for end in "ab"])
COUNT, SCORE = st.integers(0, 2**40), st.none() | st.floats(0, 1)
MOMENT = st.integers(10**12, 4 * 10**12).map(
    lambda milliseconds: datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
)
SECONDS = st.floats(0, 1e6).map(lambda seconds: round(seconds, 3))
BATCH = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 4),
        "status": st.sampled_from(["published", "refused", "failed", "interrupted"]),
        "started_at": MOMENT,
        "seconds": SECONDS,
        "reason": TEXT,
        **dict.fromkeys(("read", "published", "quarantined", "superseded", "replaced"), COUNT),
        "score": SCORE,
        "rules": st.dictionaries(NAME, COUNT, max_size=3),
        "files": st.lists(st.fixed_dictionaries({"file": TEXT, "bytes": st.integers(-1, 2**40)}), max_size=2),
        "set_aside": st.lists(st.fixed_dictionaries({"file": TEXT, "reason": TEXT}), max_size=2),
        "schema_changes": st.lists(
            st.fixed_dictionaries({"column": NAME, **dict.fromkeys(("change", "before", "after"), TEXT)}), max_size=2
        ),
        "failures": st.lists(
            st.fixed_dictionaries({"check": TEXT, "figures": TEXT, "samples": st.just([])}), max_size=2
        ),
    }
)
EVENT = st.fixed_dictionaries(
    {
        "at": MOMENT,
        "batch": st.none() | st.integers(1, 4),
        **dict.fromkeys(("resource", "kind", "error", "detail"), TEXT),
        "attempt": st.integers(0, 100),
        "seconds": SECONDS,
    }
)
TABLE = st.fixed_dictionaries(
    {
        "table": st.sampled_from(["bronze.a", "silver.b", "gold.c"]),
        "batch": st.none() | st.integers(1, 4),
        **dict.fromkeys(("processor", "engine"), st.none() | TEXT),
        **dict.fromkeys(("distribution", "version", "reason"), TEXT),
        "status": st.sampled_from(["published", "unchanged", "stale", "failed", "skipped", "interrupted"]),
        **dict.fromkeys(("rows_read", "rows_published", "rows_quarantined", "rows_superseded"), COUNT),
        "quality_score": SCORE,
        **dict.fromkeys(("seconds", "waited_seconds"), SECONDS),
        "retries": st.integers(0, 100),
        "started_at": MOMENT,
        "batches": st.lists(BATCH, max_size=3),
        "events": st.lists(EVENT, max_size=3),
    }
)
REPORT = st.fixed_dictionaries(
    {
        "run_id": st.from_regex(r"20[0-9]{2}0[1-9]0[1-9]T0[0-9]{5}-[0-9a-f]{6}", fullmatch=True),
        "pipeline": st.sampled_from(["shop", "mill"]),
        "status": st.sampled_from(["success", "failed", "interrupted"]),
        "started_at": MOMENT,
        "seconds": SECONDS,
        "configuration": st.sampled_from([{}, {"hash": "abc"}, {"hash": "abc", "version": 3}]),
        "plugins": st.lists(
            st.fixed_dictionaries(dict.fromkeys(("part", "distribution", "version"), TEXT)), max_size=3
        ),
        "tables": st.lists(TABLE, max_size=3, unique_by=lambda table: table["table"]),
    }
)
REPORTS = st.lists(REPORT, max_size=4, unique_by=lambda report: (report["pipeline"], report["run_id"]))


def around(folder):
    return Surroundings("shop", "test", folder, folder)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A ledger without a row; making its tables takes longer than all else."""
    folder = tmp_path_factory.mktemp("empty")
    place = place_of({}, around(folder))
    with Ledger(place) as ledger:
        ledger.migrate()
    return place.file.read_bytes()


def kept(empty, write):
    """The rows of a ledger after something was written into it."""
    with tempfile.TemporaryDirectory() as folder:
        place = place_of({}, around(Path(folder)))
        place.file.write_bytes(empty)
        with Ledger(place) as ledger:
            write(ledger)
        with closing(sqlite3.connect(place.file)) as connection:
            return {name: set(connection.execute(f"select * from {name}")) for name in METADATA.tables}


def keep(ledger, report):
    ledger.keep(run_row(report, "/lake"), report)


def step_by_step(ledger, report):
    """As a run writes itself."""
    begun = run_row({**report, "status": "running", "seconds": None, "configuration": {}}, "/lake")
    ledger.begin(begun)
    for table in report["tables"]:
        ledger.step(begun, table)
    ledger.end(run_row(report, "/lake"), report)


@settings(max_examples=25, deadline=None)
@given(REPORTS, st.data())
def test_reports_give_the_same_rows_in_any_order_and_however_often(empty, reports, data):
    again = data.draw(st.permutations([*reports, *reports]))
    ways = data.draw(st.lists(st.sampled_from([keep, step_by_step]), min_size=len(again), max_size=len(again)))
    once = kept(empty, lambda ledger: [keep(ledger, report) for report in reports])
    assert once == kept(empty, lambda ledger: [way(ledger, report) for way, report in zip(ways, again, strict=True)])
    assert {row[:2] for row in once["oreflow_runs"]} == {(each["pipeline"], each["run_id"]) for each in reports}
    assert len(once["oreflow_steps"]) == sum(len(report["tables"]) for report in reports)
    assert len(once["oreflow_attempts"]) == sum(len(t["events"]) for report in reports for t in report["tables"])


@settings(max_examples=25, deadline=None)
@given(REPORT, TABLE)
def test_what_a_run_has_written_of_itself_before_is_never_more_than_its_report(empty, report, other):
    """As of one that was killed, whose report was completed by others."""
    before = {**report, "tables": [*report["tables"][:-1], other]}

    def begin(ledger):
        begun = run_row({**before, "status": "running"}, "/lake")
        for table in before["tables"]:
            ledger.step(begun, table)
        keep(ledger, report)
        ledger.begin(begun)  # comes late, and changes nothing

    assert kept(empty, begin) == kept(empty, lambda ledger: keep(ledger, report))


@settings(max_examples=10, deadline=None)
@given(reports=REPORTS)
def test_both_databases_have_the_same_rows(empty, in_postgresql, reports):
    assert in_postgresql(reports) == kept(empty, lambda ledger: [keep(ledger, report) for report in reports])


@pytest.fixture(scope="module")
def in_postgresql(postgres, tmp_path_factory):
    """The rows that a PostgreSQL has of some reports and no others, as SQLite would spell them."""
    name = postgres.new_database()
    folder = tmp_path_factory.mktemp("nothing")
    with Ledger(place_of({"url": postgres.url(name)}, around(folder))) as ledger:
        ledger.migrate()

        def rows(reports):
            postgres.ask("delete from oreflow_runs", name)
            for report in reports:
                keep(ledger, report)
            return {each: set(map(spelled, postgres.ask(f"select * from {each}", name))) for each in METADATA.tables}

        yield rows


def spelled(row):
    def of_sqlite(value):
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat(timespec="milliseconds")
        return value

    return tuple(map(of_sqlite, row))
