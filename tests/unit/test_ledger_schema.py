"""The schema of the ledger is that of its tables, whichever revision its migrations have found."""

from __future__ import annotations

import importlib.util
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from oreflow.contract import Surroundings
from oreflow_ledger.database import Ledger, NewerError
from oreflow_ledger.section import place_of
from oreflow_ledger.tables import METADATA, REVISION, VERSION_TABLE

MIGRATIONS = Path(importlib.util.find_spec("oreflow_ledger").submodule_search_locations[0]) / "migrations"
SCRIPTS = ScriptDirectory(str(MIGRATIONS))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()]


def around(folder):
    return Surroundings("shop", "test", folder, folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """An empty database."""
    if request.param == "sqlite":
        return place_of({}, around(tmp_path / "kept"))
    server = request.getfixturevalue("postgres")
    return place_of({"url": server.url(server.new_database())}, around(tmp_path))


def differences(place):
    address = f"sqlite:///{place.file}" if place.file else place.url
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.connect() as connection:
        of_ours = {"include_name": lambda name, kind, _: kind != "table" or name != VERSION_TABLE}
        return compare_metadata(MigrationContext.configure(connection, opts=of_ours), METADATA)


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_a_ledger_of_any_revision_is_brought_up_to_the_tables(place, revision):
    with Ledger(place) as ledger:
        if revision:
            ledger.migrate(revision)
            assert ledger.revision() == revision
    with Ledger(place) as ledger:
        ledger.migrate()
        assert ledger.revision() == REVISION
    assert differences(place) == []


def test_the_tables_say_which_revision_they_are_of():
    assert [SCRIPTS.get_current_head()] == SCRIPTS.get_heads() == [REVISION]
    assert {file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")} == set(REVISIONS)


def test_a_migration_that_breaks_off_leaves_nothing(place, monkeypatch):
    script = SCRIPTS.get_revision(REVISION)
    with Ledger(place) as ledger:
        monkeypatch.setattr("alembic.operations.ops.CreateIndexOp.create_index", _breaks)
        with pytest.raises(RuntimeError, match="the power is gone"):
            ledger.migrate()
        assert ledger.revision() is None
        monkeypatch.undo()
        ledger.migrate()
        assert ledger.revision() == script.revision
    assert differences(place) == []


def _breaks(*_args, **_options):
    raise RuntimeError("the power is gone")


def test_a_newer_schema_is_not_touched(tmp_path):
    place = place_of({}, around(tmp_path))
    with closing(connect(place.file)) as connection:
        connection.execute(f"create table {VERSION_TABLE} (version_num text)")
        connection.execute(f"insert into {VERSION_TABLE} values ('0999')")
        connection.commit()
    before = place.file.read_bytes()
    with Ledger(place) as ledger, pytest.raises(NewerError, match="its schema has the revision 0999"):
        ledger.migrate()
    assert place.file.read_bytes() == before
