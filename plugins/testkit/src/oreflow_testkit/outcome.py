"""What a step's Output comes to when it is carried out, so that two of them can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import narwhals as nw

from oreflow.contract import INTERNAL, Engine, Output
from oreflow_testkit.compare import Rows, comparable, difference
from oreflow_testkit.subject import CLOCK, Frame, Subject

_RULE = "_oreflow_testkit_"
ARRIVAL = "_ingested_at"
"""The column by which the standard bronze processor says when a row was loaded."""


def carry_out(output: Output, engine: Engine) -> dict[str, Any]:
    """Everything that an Output says: its rows with the judgement of each rule, and what is to become of them."""
    marks = {f"{_RULE}{i} broken": rule.broken for i, rule in enumerate(output.rules)}
    reasons = {f"{_RULE}{i} reason": nw.when(rule.broken).then(rule.reason) for i, rule in enumerate(output.rules)}
    marked = {**marks, **reasons}
    rows = output.rows.with_columns(*[mark.alias(name) for name, mark in marked.items()]) if marked else output.rows
    counts = {
        f"{when} {place}": frame.select(nw.len().alias("rows"))
        for place, pair in enumerate(output.superseded)
        for when, frame in zip(("before", "after"), pair, strict=True)
    }
    collected = engine.execute({}, {"rows": rows, **counts}).collected
    published = tuple(output.columns) or tuple(
        name for name in output.rows.collect_schema().names() if not name.startswith(INTERNAL)
    )
    return {
        "rows": comparable(collected["rows"]),
        "columns": published,
        "rules": tuple(rule.name for rule in output.rules),
        "raw": dict(output.raw),
        "mode": output.mode,
        "row_by_row": output.row_by_row,
        "superseded": {name: collected[name][0]["rows"] for name in counts},
    }


def unlike(one: Mapping[str, Any], other: Mapping[str, Any], in_one: str, in_other: str) -> str:
    """How two outcomes differ; '' where they do not."""
    for part, value in one.items():
        if value == other[part]:
            continue
        if isinstance(value, Counter):
            return difference(value, other[part], in_one, in_other)
        return f"its {part} is {value} {in_one}, and {other[part]} {in_other}"
    return ""


def clock_columns(subject: Subject) -> list[str]:
    """The columns that follow from when a batch was claimed, its own or the input's: they differ from run to run."""
    processor, engine = subject.create(), subject.engine
    now = subject.inputs(f"clock {len(list(subject.folder.iterdir()))}")
    moment = CLOCK + timedelta(days=1000, seconds=7)
    then = {name: _arrived(frame, moment) for name, frame in now.items()}
    output = subject.process(processor, now, subject.step())
    later = subject.process(processor, then, subject.step(started_at=moment))
    again = subject.process(processor, now, subject.step())
    one, two, other = (_by_column(carry_out(each, engine)["rows"]) for each in (output, again, later))
    # What is another each time follows from something else, and is no excuse.
    changed = {name for name, values in one.items() if values == two.get(name) and values != other.get(name)}
    return sorted(changed | {name for name, source in output.raw.items() if source in changed})


def _arrived(frame: Frame, moment: datetime) -> Frame:
    """Rows of a bronze table, as if they had been loaded at another moment."""
    if ARRIVAL not in frame.collect_schema().names():
        return frame
    return frame.with_columns(nw.lit(moment, nw.Datetime("us", "UTC")).alias(ARRIVAL))


def _by_column(rows: Rows) -> dict[str, list[str]]:
    names = [name for name, _ in next(iter(rows), ())]
    return {name: sorted(repr(dict(row)[name]) for row in rows.elements()) for name in names}
