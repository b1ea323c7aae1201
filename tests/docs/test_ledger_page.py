"""The page about the ledger lists its tables as they are, and its queries can be asked of both databases."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from oreflow.contract import Surroundings
from oreflow_ledger.database import Ledger
from oreflow_ledger.section import place_of
from oreflow_ledger.tables import METADATA


def test_every_table_and_column_is_documented_and_no_other(page):
    section = page("docs/reference/ledger.md").sections()["Tables"]
    shown = {}
    for name, rows in re.findall(
        r"^`(oreflow_\w+)`.*?:\n\n\| column .*?\n\|---.*?\n((?:\|.*\n?)+)", section, re.MULTILINE
    ):
        columns = [cell for row in rows.splitlines() for cell in re.findall(r"`(\w+)`", row.split("|")[1])]
        shown[name] = columns
    assert {name: set(columns) for name, columns in shown.items()} == {
        name: set(table.columns.keys()) for name, table in METADATA.tables.items()
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def ask(request, tmp_path):
    """Ask a ledger without a row."""
    section = {}
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        name = server.new_database()
        section = {"url": server.url(name)}
    place = place_of(section, Surroundings("shop", "test", tmp_path, tmp_path))
    with Ledger(place) as ledger:
        ledger.migrate()
    if section:
        return lambda query: server.ask(query, name)

    def of_file(query):
        with closing(sqlite3.connect(place.file)) as connection:
            return connection.execute(query).fetchall()

    return of_file


def test_the_queries_can_be_asked(page, ask):
    queries = [block.text for block in page("docs/reference/ledger.md").blocks if block.language == "sql"]
    assert len(queries) > 5
    assert [ask(query) for query in queries] == [[]] * len(queries)
