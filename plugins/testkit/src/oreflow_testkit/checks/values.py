"""Does the step bear what real files hold? NULLs, nothing at all, a single row, and every character there is."""

from __future__ import annotations

from collections.abc import Sequence

from oreflow_testkit.compare import difference
from oreflow_testkit.errors import ContractBroken
from oreflow_testkit.outcome import clock_columns
from oreflow_testkit.sample import Row
from oreflow_testkit.subject import Loaded, Subject

UNUSUAL = (
    "\U00020000\U0001d11e",  # beyond the first 65,536 characters
    "の\u3099",  # a letter and a combining mark, of which no single character is made
    "שלום",  # from right to left
    "علي\u200fكم\u200eعلي",  # the same, with marks of direction
    "👩\u200d👩\u200d👧",  # one emoji of five characters
    '"\'`\\ ""',
    "一\n二\r\n三",
    "一\u00a0\ufeff一",
)
"""Texts that go wrong where somebody counts bytes, splits lines or thinks of ASCII; none of them has upper case."""


def nulls(subject: Subject) -> None:
    """Any column may be NULL, in one row or in all, and so may a whole row: each row is accounted for."""
    columns, rows = subject.columns, subject.rows
    first = rows[0] if rows else {}
    one_each = [{**first, name: None} for name in columns]
    nothing = dict.fromkeys(columns)
    mixed = [*rows, *one_each, nothing]
    _load(subject, "nulls mixed", "where each column is NULL in some row, and one row is of NULLs only", mixed)
    for number, name in enumerate(columns):
        _load(subject, f"nulls {number}", f"where {name} is NULL in every row", [{**row, name: None} for row in rows])
    _load(subject, "nulls only", "where every row is of NULLs only", [nothing, nothing])


def empty_input(subject: Subject) -> None:
    """No file, and a file without rows, before and after one with rows: the run succeeds and the table is the same."""
    if not subject.rows:
        raise ContractBroken("it cannot be judged without rows - give the check some in `rows`")
    plain = subject.load("empty never", subject.rows)
    lake = subject.lake("empty")
    now = Loaded(lake, subject.table, 0, 0, 0, 0)
    now = _run(subject, now, "where there is no file at all")
    for what, rows in (
        ("where the first file has a header only", ()),
        ("after a file that had a header only", subject.rows),
        ("where a later file has a header only", ()),
    ):
        lake.add(rows, columns=subject.columns)
        now = _run(subject, now, what)
    clock = clock_columns(subject)
    expected, found = plain.contents(clock), now.contents(clock)
    for where, there in expected.items():
        if how := difference(there, found[where], "without empty files", "with them"):
            raise ContractBroken(f"{where} rows differ: {how} - let a batch without rows change nothing")


def one_row(subject: Subject) -> None:
    """A batch of a single row is made as any other."""
    _load(subject, "one row", "of a single row", subject.rows[:1])


def unicode(subject: Subject) -> None:
    """Any text may stand in any column: each row is accounted for, and what passes through comes out as it went in."""
    columns, rows = subject.columns, subject.rows
    first = rows[0] if rows else {}
    unusual = [{**first, name: text} for name in columns for text in UNUSUAL]
    unusual += [dict.fromkeys(columns, text) for text in UNUSUAL]
    plain = _load(subject, "unicode plain", "of the example's rows", rows)
    loaded = _load(subject, "unicode", "with unusual characters", [*rows, *unusual])
    for name in columns:
        usual = {row.get(name) for row in rows}
        came_out = {row.get(name) for row in plain.lake.rows(plain.table)}
        if not came_out <= usual or not came_out - {None}:
            continue  # it makes something of this column, or does not publish it: what, is its own affair
        known = usual | {row[name] for row in unusual}
        if alien := [row[name] for row in loaded.lake.rows(loaded.table) if row[name] not in known]:
            raise ContractBroken(
                f"the column {name} comes out as it went in, but not for unusual characters: {alien[0]!a} is none of"
                " the texts that went in - treat text as characters, not as bytes or ASCII; if changing them is what"
                " the processor is for, say so in not_applicable"
            )


def _load(subject: Subject, folder: str, what: str, rows: Sequence[Row]) -> Loaded:
    try:
        return subject.load(folder, rows)
    except AssertionError as error:
        raise ContractBroken(f"a batch {what}: {error}") from error


def _run(subject: Subject, loaded: Loaded, what: str) -> Loaded:
    try:
        return subject.run(loaded)
    except AssertionError as error:
        raise ContractBroken(f"a run {what}: {error}") from error
