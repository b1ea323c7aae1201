"""However rows are split into files, and files into runs, and in whatever order they come: the same tables.

Every row carries an id of its own, so that each can be found again: it is published, quarantined or superseded,
exactly once. Examples are small, since each is several real runs over real Delta tables.
"""

from __future__ import annotations

import csv
import io
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXACT = """
name: shop
sources: {s: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.s: {source: s}
  silver.s:
    input: bronze.s
    columns: {key: {type: int64}, state: {type: string, clean: [trim]}, amount: {type: "decimal(10,2)"}}
    deduplicate: exact
    checks:
      - {name: state known, type: completeness, column: state}
      - {name: paid, type: validity, expression: amount > 0}
  gold.s: {input: silver.s, group_by: [state], measures: {n: "count(*)", amount: "sum(amount)"}}
"""
KEYED = """
name: shop
sources: {s: {path: "./data/raw/*.csv", format: csv}}
tables:
  bronze.s: {source: s}
  silver.s:
    input: bronze.s
    columns: {key: {type: int64}, version: {type: int64}, state: {type: string}, tag: {type: int64}}
    deduplicate: {keys: [key], order_by: [version, tag], keep: KEEP}
    checks:
      - {name: state known, type: completeness, column: state}
  gold.s: {input: silver.s, group_by: [state], measures: {n: "count(*)", newest: "max(version)"}}
"""
LINEAGE = ("_batch_id", "_source_file", "_source_row")
WAYS = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

keys = st.sampled_from(["1", "2", "3", "4.0", " 5 ", "x", ""])
states = st.sampled_from(["new", "new ", "paid", "", 'a "word", quoted', "é\nline"])
amounts = st.sampled_from(["1.00", "2.5", "0.01", "-3", "much", "", "1.005"])
rows_with_copies = st.lists(st.tuples(keys, states, amounts), max_size=14)
splits = st.randoms(use_true_random=False)


def _deal(rows: list, chance: random.Random, *, shuffle: bool = True) -> list[list[list]]:
    """Rows dealt into files, and files into runs."""
    rows = list(rows)
    if shuffle:
        chance.shuffle(rows)
    runs: list[list[list]] = [[[]]]
    for row in rows:
        if chance.random() < 0.3:
            runs[-1].append([])
        if chance.random() < 0.25:
            runs.append([[]])
        runs[-1][-1].append(row)
    return runs


def _text(header: tuple[str, ...], rows: list) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _make(project_in, declaration: str, header: tuple[str, ...], runs: list[list[list]], chance: random.Random):
    """Run after run over a new project; gives it with the sums of its accounts."""
    project = project_in(Path(tempfile.mkdtemp(prefix="oreflow-")))
    project.declare(declaration)
    total: Counter[str] = Counter()
    number = 0
    for files in runs:
        for rows in files:
            number += 1
            project.put(f"{chance.randrange(100):02}-{number}.csv", _text(header, rows))
        result = project.run_well()["silver.s"]
        for kind in ("read", "published", "quarantined", "superseded"):
            total[kind] += getattr(result, f"rows_{kind}")
    contents = {
        "silver": project.rows("silver.s", *LINEAGE),
        "gold": project.rows("gold.s"),
        "quarantine": project.rows("silver.s", *LINEAGE, quarantine=True),
    }
    return project, contents, total


def _drop(*projects) -> None:
    for project in projects:
        shutil.rmtree(project.root)


@WAYS
@given(rows=rows_with_copies, chance=splits)
def test_any_split_of_rows_into_files_and_runs_gives_the_same_tables(project_in, rows, chance):
    header = ("key", "state", "amount")
    one, wanted, total = _make(project_in, EXACT, header, [[rows]], chance)
    other, found, other_total = _make(project_in, EXACT, header, _deal(rows, chance), chance)
    assert found == wanted
    assert other_total == total
    assert total["read"] == len(rows) == total["published"] + total["quarantined"] + total["superseded"]
    # csv has no way to tell an empty text from none but by quotes, so a set of the written rows is a set of contents.
    assert total["superseded"] == len(rows) - len(set(rows))
    _drop(one, other)


versions = st.lists(st.tuples(st.sampled_from("1234"), st.integers(0, 5), st.sampled_from(["a", "b", ""])), max_size=14)


@WAYS
@given(versions=versions, chance=splits, keep=st.sampled_from(["last", "first"]))
def test_the_same_version_of_each_key_wins_whatever_the_order_of_arrival(project_in, versions, chance, keep):
    header = ("key", "version", "state", "tag")
    rows = [(*version, tag) for tag, version in enumerate(versions)]
    declaration = KEYED.replace("KEEP", keep)
    project, found, total = _make(project_in, declaration, header, _deal(rows, chance), chance)
    good = [(int(key), version, state, tag) for key, version, state, tag in rows if state]
    best = {}
    for row in sorted(good, key=lambda row: (row[1], row[3]), reverse=keep == "first"):
        best[row[0]] = row
    silver = [dict(row) for row in found["silver"]]
    assert sorted((r["key"], r["version"], r["state"], r["tag"]) for r in silver) == sorted(best.values())
    assert {dict(row)["tag"] for row in found["quarantine"]} == {str(row[3]) for row in rows if not row[2]}
    assert {dict(row)["state"]: dict(row)["n"] for row in found["gold"]} == Counter(row[2] for row in best.values())
    assert total["read"] == len(rows) == total["published"] + total["quarantined"] + total["superseded"]
    _drop(project)


@WAYS
@given(
    versions=st.lists(st.tuples(st.sampled_from("12"), st.integers(0, 1)), min_size=1, max_size=10),
    chance=splits,
)
def test_equal_versions_of_a_key_are_told_apart_by_file_and_line_whatever_the_order_of_arrival(
    project_in, versions, chance
):
    declaration = KEYED.replace("KEEP", "last").replace("[version, tag]", "[version]")
    header = ("key", "version", "state", "tag")
    files: dict[str, list] = {}
    for tag, (key, version) in enumerate(versions):
        files.setdefault(f"{chance.randrange(4)}.csv", []).append((key, version, "a", tag))
    results = []
    for order in (sorted(files), sorted(files, reverse=True), chance.sample(sorted(files), len(files))):
        project = project_in(Path(tempfile.mkdtemp(prefix="oreflow-")))
        project.declare(declaration)
        for name in order:
            project.put(name, _text(header, files[name]))
            project.run_well()
        results.append(project.rows("silver.s", "_batch_id"))
        _drop(project)
    assert results[0] == results[1] == results[2]


dirty_lines = st.lists(
    st.one_of(
        st.tuples(keys, st.sampled_from(["a", "b", ""]), amounts).map(lambda r: ",".join(r).encode()),
        st.sampled_from([b"", b"lonely", b"1,a,1,1,1", b"1,\xff,1", b'1,"a,1', b'1,"a"b,1', b"\x00,a,1", b'1,a"b,2']),
        st.binary(max_size=12).map(lambda text: text.replace(b"\n", b" ")),
    ),
    max_size=12,
)


@WAYS
@given(files=st.lists(dirty_lines, min_size=1, max_size=3), end=st.sampled_from([b"\n", b"\r\n"]), last=st.booleans())
def test_the_account_of_dirty_files_balances_and_every_good_line_arrives(project_in, files, end, last):
    project = project_in(Path(tempfile.mkdtemp(prefix="oreflow-")))
    project.declare(EXACT.replace("deduplicate: exact", "enable_deduplication: false"))
    for number, lines in enumerate(files):
        project.put(f"{number}.csv", end.join([b"key,state,amount", *lines]) + (end if last else b""))
        results = project.run_well()  # asserts the balance of every table
        assert results["silver.s"].rows_read == results["bronze.s"].rows_published
    places = [
        (row["_source_file"], row["_source_row"])
        for aside in (False, True)
        for row in project.dicts("bronze.s", quarantine=aside)
    ]
    assert len(places) == len(set(places)), "no line is in two places"
    bronze = sorted((r["_source_file"], r["_source_row"]) for r in project.dicts("bronze.s"))
    silver = sorted(
        (row["_source_file"], row["_source_row"])
        for aside in (False, True)
        for row in project.dicts("silver.s", quarantine=aside)
    )
    assert silver == bronze, "each row of bronze is published or quarantined by silver, exactly once"
    _drop(project)


@WAYS
@given(rows=rows_with_copies, chance=splits)
def test_every_tagged_row_is_in_exactly_one_place(project_in, rows, chance):
    header = ("key", "state", "amount", "tag")
    tagged = [(*row, tag) for tag, row in enumerate(rows)]
    declaration = EXACT.replace(
        'amount: {type: "decimal(10,2)"}', 'amount: {type: "decimal(10,2)"}, tag: {type: int64}'
    )
    project, found, total = _make(project_in, declaration, header, _deal(tagged, chance), chance)
    published = [dict(row)["tag"] for row in found["silver"]]
    quarantined = [int(dict(row)["tag"]) for row in found["quarantine"]]
    assert sorted(published + quarantined) == list(range(len(rows)))
    assert total["superseded"] == 0
    assert sum(dict(row)["n"] for row in found["gold"]) == len(published)
    _drop(project)
