"""Does every row end where it should, every time? These checks are runs of the host over a tiny lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import narwhals as nw

from oreflow.contract import LINEAGE, Engine, Output, ProcessingStage, Processor
from oreflow_testkit.compare import Rows, comparable, difference, shown
from oreflow_testkit.errors import ContractBroken
from oreflow_testkit.outcome import carry_out, clock_columns
from oreflow_testkit.sample import Row
from oreflow_testkit.subject import Frame, Loaded, Subject

_FILES = 3
_CHANGED_ROWS = 20
"""How many rows of the example are changed at most: a fault in lineage shows in any few of them."""
_BATCH, _FILE, _LINE = LINEAGE
_Place = tuple[str, int]


def engines(subject: Subject) -> None:
    """On every engine that it claims, it is offered and created, and makes the same tables as on the others."""
    claimed = str(subject.metadata.engine)
    wanted = [subject.engine_name] if claimed == "any" else [claimed]
    if subject.engine_name not in subject.factory.engines:
        raise ContractBroken(
            f"its engine, {claimed}, is not installed, so that nothing can be said of it - install the engine"
        )
    if not {offer.engine for offer in subject.offers}.issuperset(wanted):
        raise ContractBroken(f"it claims the engine {claimed}, and is not offered on {subject.engine_name}")
    processor = subject.create()
    if not isinstance(processor, Processor):
        raise ContractBroken(f"what is created is no Processor but a {type(processor).__qualname__}")
    said = getattr(processor, "metadata", None)
    if said != subject.metadata:
        raise ContractBroken(
            f"the processor that is created says of itself something else than its plugin does"
            f" (metadata '{getattr(said, 'name', said)}') - let the class have `metadata = METADATA`, the plugin's own"
        )
    here = subject.load("engines", subject.rows)
    first = min(offer.engine for offer in subject.offers)
    if first != subject.engine_name:
        there = subject.on(first).load(f"engines on {first}", subject.rows)
        mend = "ask step.engine for casts and SQL, and narwhals for all else; nothing of one engine's own"
        _expect_same(there, here, f"on {first}", f"on {subject.engine_name}", clock_columns(subject), mend)


def row_account(subject: Subject) -> None:
    """Every row that it reads is published, quarantined or superseded."""
    loaded = subject.load("row_account", subject.rows)
    if not loaded.read and subject.rows:
        raise ContractBroken("the run read no row at all - see that the rows of the example come through")
    published, aside = loaded.lake.rows(loaded.table), loaded.lake.quarantine(loaded.table)
    if (len(published), len(aside)) != (loaded.published, loaded.quarantined):
        raise ContractBroken(
            f"the report says {loaded.published:,} published and {loaded.quarantined:,} quarantined rows, and there"
            f" are {len(published):,} and {len(aside):,}"
        )
    output = subject.process(subject.create(), subject.inputs("row_account alone"), subject.step())
    if output.row_by_row:
        if loaded.read != len(subject.rows):
            raise ContractBroken(f"{len(subject.rows):,} rows were there to be read, and {loaded.read:,} were")
    elif subject.stage is not ProcessingStage.GOLD:
        raise ContractBroken(
            f"its Output says row_by_row=False, so that nobody holds the {len(subject.rows):,} rows that went in"
            f" against the {len(published) + len(aside):,} that came out - at {subject.stage.value} let each row become"
            " at most one (row_by_row=True), set rows aside by rules, take some out by `superseded`; aggregates and"
            " joins are for gold"
        )


def lineage(subject: Subject) -> None:
    """Each row still says, and says truly, from which file and line it came; no two rows say the same.

    That it is true shows where the texts of a single row are changed for another row's: what then changes in
    the output has to say that it came from there.
    """
    processor, step = subject.create(), subject.step()
    inputs = subject.inputs("lineage", *_parts(subject.rows))
    output = subject.process(processor, inputs, step)
    if not output.row_by_row:
        return
    ((name, frame),) = inputs.items()
    came = {_place(row): row for row in subject.engine.execute({}, {"rows": frame}).collected["rows"]}
    before = _by_place(output, subject.engine, came)
    for place, row in islice(came.items(), _CHANGED_ROWS):
        texts = next(filter(None, (_other_texts(row, other, subject.columns) for other in came.values())), {})
        if not texts:
            return  # all rows are alike
        changed = {name: _with_texts(frame, place, texts)}
        after = _by_place(subject.process(processor, changed, step), subject.engine, came)
        moved = [each for each in came if before.get(each) != after.get(each)]
        if moved and place not in moved:
            raise ContractBroken(
                f"what stands in {_told(place)} comes out as a row that says it came from {_told(moved[0])}"
                " - leave the lineage columns in the frame, each value with its row"
            )


def _place(row: Mapping[str, Any]) -> _Place:
    return row[_FILE], row[_LINE]


def _told(place: _Place) -> str:
    return f"{place[0]}:{place[1]}"


def _other_texts(row: Mapping[str, Any], other: Mapping[str, Any], columns: Sequence[str]) -> dict[str, str | None]:
    return {column: other[column] for column in columns if other[column] != row[column]}


def _with_texts(frame: Frame, place: _Place, texts: Mapping[str, str | None]) -> Frame:
    """A frame with other texts in the row that came from a place."""
    there = (nw.col(_FILE) == place[0]) & (nw.col(_LINE) == place[1])
    return frame.with_columns(
        *[
            nw.when(there).then(nw.lit(text, nw.String)).otherwise(nw.col(name)).alias(name)
            for name, text in texts.items()
        ]
    )


def _by_place(output: Output, engine: Engine, came: Mapping[_Place, Mapping[str, Any]]) -> dict[_Place, Any]:
    """What an Output makes of the row of each place, after it was found that its rows say a place, and one each."""
    made: dict[_Place, Any] = {}
    mend = "leave the lineage columns in the frame that you return, as they were"
    for row in map(dict, carry_out(output, engine)["rows"].elements()):
        if lost := [name for name in (_FILE, _LINE) if row.get(name) is None]:
            raise ContractBroken(
                f"a row does not say where it came from, {' and '.join(lost)} are missing: {shown(row)} - {mend}"
            )
        place = _place(row)
        if place not in came:
            raise ContractBroken(f"a row says that it came from {_told(place)}, and none did: {shown(row)} - {mend}")
        if place in made:
            raise ContractBroken(
                f"two rows say that they came from {_told(place)} - let each row become at most one, and {mend}"
            )
        if _BATCH in row and row[_BATCH] != came[place].get(_BATCH):
            raise ContractBroken(f"the {_BATCH} of the row from {_told(place)} was changed to {row[_BATCH]} - {mend}")
        made[place] = row
    return made


def determinism(subject: Subject) -> None:
    """The same rows make the same table and the same quarantine, in whatever order and files and runs they arrive."""
    rows, clock = list(subject.rows), clock_columns(subject)
    plain = subject.load("at once", rows)
    mend = (
        "let nothing depend on where a row stands: order by columns of the data, tell rows that were seen by"
        " step.history, or declare order_matters with the reason"
    )
    if subject.order_matters:
        again = subject.load("at once again", rows)
        mend = "let nothing depend on a clock, on chance or on the order of a set"
        _expect_same(plain, again, "the first time", "the second time", clock, mend)
        return
    backwards = subject.load("backwards", rows[::-1])
    _expect_same(plain, backwards, "in one order", "in the reverse order", clock, mend)
    _expect_same(plain, subject.load("in parts", *_parts(rows)), "loaded at once", "loaded in parts", clock, mend)
    late = subject.load("in parts, late", *_parts(rows[::-1]))
    _expect_same(plain, late, "loaded at once", "loaded in parts, the last rows first", clock, mend)


def idempotence(subject: Subject) -> None:
    """A second run finds nothing to do and changes nothing; made anew from the same rows, the table is the same."""
    loaded = subject.load("idempotence", subject.rows)
    lake, table = loaded.lake, loaded.table
    before, version = _everything(loaded), lake.version(table)
    report = lake.run()
    for result in report.tables:
        if result.status != "unchanged":
            raise ContractBroken(
                f"in a second run with nothing new {result.table} is {result.status}, not unchanged: {result.reason}"
            )
    if lake.version(table) != version or _everything(loaded) != before:
        raise ContractBroken("a second run with nothing new changed the table or its quarantine")
    then = loaded.contents(clock_columns(subject))
    subject.run(loaded, full_refresh=[table])
    mend = "let nothing depend on what is there already, but by step.history"
    for where, now in loaded.contents(clock_columns(subject)).items():
        if how := difference(then[where], now, "at first", "made anew"):
            raise ContractBroken(f"{where} rows are others when the same batch is processed again: {how} - {mend}")


def _parts(rows: Sequence[Row]) -> list[Sequence[Row]]:
    size = max(1, -(-len(rows) // _FILES))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _everything(loaded: Loaded) -> Rows:
    """The rows as they stand, lineage and all."""
    return comparable((*loaded.lake.rows(loaded.table), *loaded.lake.quarantine(loaded.table)))


def _expect_same(one: Loaded, other: Loaded, in_one: str, in_other: str, without: Sequence[str], mend: str) -> None:
    after = other.contents(without)
    for where, rows in one.contents(without).items():
        if how := difference(rows, after[where], in_one, in_other):
            raise ContractBroken(f"{where} rows differ: {how} - {mend}")
