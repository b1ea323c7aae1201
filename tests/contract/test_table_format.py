"""What the host relies on in a table format: one commit is one batch, whole or not at all, and conflicts are noticed.

A new format passes by being added to FORMATS.
"""

from __future__ import annotations

import threading
from pathlib import Path

import polars as pl
import pytest

from oreflow import get_processor_factory
from oreflow.contract import Commit, CommitConflict, DataFile, DataType, StepError, Table, TableFormat

FORMATS = ["delta"]
COLUMNS = {"id": DataType("int64"), "_batch_id": DataType("int64")}


def _commit(tables: TableFormat, folder: Path, commit: Commit) -> Table:
    """Commit, and look at the table as it is then."""
    tables.commit(folder, commit)
    table = tables.load(folder)
    assert table is not None
    return table


@pytest.fixture(scope="module", params=FORMATS)
def tables(request):
    return get_processor_factory().create_table_format(request.param)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "lake" / "silver" / "orders"
    path.mkdir(parents=True)
    return path


def _stage(folder, stem: str, batch: int, **columns) -> DataFile:
    """A Parquet file as an engine leaves it beside the table."""
    frame = pl.DataFrame({column: list(values) for column, values in columns.items()})
    frame = frame.with_columns(pl.lit(batch, pl.Int64).alias("_batch_id"))
    path = folder / f"{stem}.parquet"
    frame.write_parquet(path)
    return DataFile(path.name, frame.height, path.stat().st_size, batch, batch)


def _first(tables, folder):
    return _commit(tables, folder, Commit(1, None, COLUMNS, [_stage(folder, "a", 1, id=[1, 2])], account={"read": 2}))


def _ids(table):
    files = [pl.read_parquet(table.path / file.path, columns=["id"]) for file in table.files]
    return sorted(pl.concat(files)["id"].to_list()) if files else []


def test_there_is_no_table_before_the_first_commit(tables, folder):
    assert tables.load(folder) is None
    assert tables.load(folder / "nowhere") is None


def test_a_staged_file_is_not_in_the_table_until_it_is_committed(tables, folder):
    _first(tables, folder)
    _stage(folder, "b", 2, id=[3])
    assert _ids(tables.load(folder)) == [1, 2]


def test_a_commit_tells_what_the_next_reader_sees(tables, folder):
    committed = _first(tables, folder)
    assert committed == tables.load(folder)
    assert committed.path == folder
    assert (committed.batch, committed.rows, committed.columns) == (1, 2, COLUMNS)
    (file,) = committed.files
    assert (file.path, file.rows, file.first_batch, file.last_batch) == ("a.parquet", 2, 1, 1)
    assert file.bytes == (folder / "a.parquet").stat().st_size


def test_a_first_commit_without_files_makes_a_table_without_rows(tables, folder):
    table = _commit(tables, folder, Commit(1, None, COLUMNS))
    assert (table.rows, table.batch, table.columns) == (0, 1, COLUMNS)


def test_a_later_commit_adds_its_files_and_its_batch_number(tables, folder):
    first = _first(tables, folder)
    second = _commit(tables, folder, Commit(2, first.version, COLUMNS, [_stage(folder, "b", 2, id=[3])]))
    assert second.version > first.version
    assert (second.batch, _ids(second)) == (2, [1, 2, 3])
    assert [file.first_batch for file in second.files] == [1, 2]


def test_a_commit_without_files_still_carries_its_batch_number(tables, folder):
    first = _first(tables, folder)
    second = _commit(tables, folder, Commit(2, first.version, COLUMNS))
    assert (second.batch, _ids(second)) == (2, [1, 2])


def test_files_are_added_and_removed_in_one_step(tables, folder):
    first = _first(tables, folder)
    new = DataFile(**{**vars(_stage(folder, "b", 2, id=[2, 3])), "first_batch": 1})
    second = _commit(tables, folder, Commit(2, first.version, COLUMNS, [new], remove=first.files))
    assert _ids(second) == [2, 3]
    assert [(file.first_batch, file.last_batch) for file in second.files] == [(1, 2)]
    assert (folder / "a.parquet").exists(), "who still reads the version before can go on"


def test_a_replacing_commit_is_the_whole_table_with_a_schema_of_its_own(tables, folder):
    first = _first(tables, folder)
    columns = {"id": DataType("string"), "_batch_id": DataType("int64")}
    file = _stage(folder, "b", 2, id=["x"])
    second = _commit(tables, folder, Commit(2, first.version, columns, [file], replace=True))
    assert (_ids(second), second.columns, second.batch) == (["x"], columns, 2)


def test_a_replacing_commit_without_files_empties_the_table(tables, folder):
    first = _first(tables, folder)
    second = _commit(tables, folder, Commit(2, first.version, COLUMNS, replace=True))
    assert (second.rows, second.columns) == (0, COLUMNS)


def test_a_column_can_be_added(tables, folder):
    first = _first(tables, folder)
    columns = {**COLUMNS, "name": DataType("string")}
    file = _stage(folder, "b", 2, id=[3], name=["c"])
    second = _commit(tables, folder, Commit(2, first.version, columns, [file]))
    assert second.columns == columns
    assert (_ids(second), second.batch) == ([1, 2, 3], 2)


def test_a_type_cannot_be_changed_and_the_message_says_which(tables, folder):
    first = _first(tables, folder)
    columns = {**COLUMNS, "id": DataType("string")}
    with pytest.raises(StepError, match=r"silver\.orders cannot change the type of a column: id is int64"):
        tables.commit(folder, Commit(2, first.version, columns, [_stage(folder, "b", 2, id=["3"])]))
    assert tables.load(folder) == first


def test_a_commit_against_an_older_version_is_a_conflict_and_changes_nothing(tables, folder):
    first = _first(tables, folder)
    second = _commit(tables, folder, Commit(2, first.version, COLUMNS, [_stage(folder, "b", 2, id=[3])]))
    with pytest.raises(CommitConflict):
        tables.commit(folder, Commit(2, first.version, COLUMNS, [_stage(folder, "c", 2, id=[4])]))
    with pytest.raises(CommitConflict):
        tables.commit(folder, Commit(2, first.version, COLUMNS, [_stage(folder, "d", 2, id=[4])], replace=True))
    assert tables.load(folder) == second


def test_a_first_commit_to_a_table_that_is_there_is_a_conflict(tables, folder):
    first = _first(tables, folder)
    with pytest.raises(CommitConflict):
        tables.commit(folder, Commit(1, None, COLUMNS, [_stage(folder, "b", 1, id=[3])]))
    assert tables.load(folder) == first


@pytest.mark.parametrize("there", [False, True])
def test_of_writers_against_the_same_version_exactly_one_succeeds(tables, folder, there):
    base = _first(tables, folder).version if there else None
    files = [_stage(folder, f"w{writer}", 2, id=[10 + writer]) for writer in range(6)]
    outcomes = []
    start = threading.Barrier(len(files))

    def write(file: DataFile) -> None:
        start.wait()
        try:
            outcomes.append(_commit(tables, folder, Commit(2, base, COLUMNS, [file])))
        except CommitConflict as conflict:
            outcomes.append(conflict)

    writers = [threading.Thread(target=write, args=[file]) for file in files]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    won = [outcome for outcome in outcomes if not isinstance(outcome, CommitConflict)]
    assert len(won) == 1
    assert len(outcomes) == len(files)
    assert tables.load(folder).rows == (2 if there else 0) + 1


def test_the_account_is_kept_with_its_commit(tables, folder):
    first = _first(tables, folder)
    second = Commit(2, first.version, COLUMNS, account={"read": 0, "remarks": ["é"], "claim": {"batch": 2}})
    tables.commit(folder, second)
    assert dict(tables.account(folder, 1)) == {"read": 2}
    assert dict(tables.account(folder, 2)) == {"read": 0, "remarks": ["é"], "claim": {"batch": 2}}
    assert dict(tables.account(folder, 3)) == {}


def test_a_first_commit_that_was_cut_off_leaves_no_table(tables, folder):
    (folder / "_delta_log").mkdir()
    assert tables.load(folder) is None
    assert _first(tables, folder).rows == 2


@pytest.mark.parametrize(
    "of_type",
    [
        *("string", "int32", "int64", "float32", "float64", "boolean", "date", "timestamp", "timestamp_utc", "binary"),
        *("decimal(18,3)", "decimal(38,0)", "array<string>"),
    ],
)
def test_every_type_of_the_contract_comes_back_as_it_went_in(tables, folder, of_type):
    columns = {"value": DataType.parse(of_type)}
    assert _commit(tables, folder, Commit(1, None, columns)).columns == columns
    assert tables.load(folder).columns == columns


def test_a_hundred_batches_are_all_there(tables, folder):
    table = _commit(tables, folder, Commit(1, None, COLUMNS))
    for batch in range(2, 102):
        table = _commit(
            tables, folder, Commit(batch, table.version, COLUMNS, [_stage(folder, f"b{batch}", batch, id=[batch])])
        )
    assert _ids(tables.load(folder)) == list(range(2, 102))
    assert tables.load(folder).batch == 101
