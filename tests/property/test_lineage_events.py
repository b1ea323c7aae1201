"""Whatever pipelines, tables and columns are called, and whatever becomes of a run: its events are valid, in order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import attr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lineage import by_run, problems
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport

from oreflow.contract import Surroundings
from oreflow_openlineage.events import Story
from oreflow_openlineage.parents import Named, Parent
from oreflow_openlineage.sending import Discreet

TEXT = st.text(st.characters(), min_size=1, max_size=12)  # also lone surrogates, control characters, what JSON escapes
PATH = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
TABLE = st.from_regex(r"\A(bronze|silver|gold)\.[a-z][a-z0-9_]{0,8}\Z")
COLUMNS = st.dictionaries(TEXT, st.sampled_from(["string", "int64", "decimal(18,3)", "date"]), max_size=4)
COUNT = st.integers(0, 2**62)
UUIDS = st.uuids().map(str)
ENDS = st.sampled_from(["published", "refused", "failed", "interrupted"])
OF_TABLES = {"published": "published", "refused": "failed", "failed": "failed", "interrupted": "interrupted"}


class Kept(Transport):
    kind = "kept"

    def __init__(self) -> None:
        self.events: list[dict] = []

    def emit(self, event: RunEvent) -> None:
        self.events.append(json.loads(Serde.to_json(event)))


@st.composite
def plans(draw):
    names = draw(st.lists(TABLE, min_size=1, max_size=3, unique=True))
    plan = []
    for place, name in enumerate(names):
        kind = draw(st.sampled_from(["bronze", "silver", "gold", "others"]))
        columns = draw(COLUMNS)
        options = {"sql": draw(TEXT)} if draw(st.booleans()) else {"measures": {draw(TEXT): draw(TEXT)}}
        if kind == "silver":
            options = {"columns": {name: {"type": of_type} for name, of_type in columns.items()}}
        checks = [{"name": draw(TEXT), "type": draw(st.sampled_from(["completeness", "row_count", "other"]))}]
        is_first = kind == "bronze" or place == 0
        plan.append(
            {
                "table": name,
                "stage": name.partition(".")[0],
                "source": draw(TEXT) if is_first else None,
                "files": draw(PATH) if is_first else None,
                "inputs": [] if is_first else draw(st.lists(st.sampled_from([*names, "gold.other"]), max_size=2)),
                "path": f"/lake/{name.replace('.', '/')}",
                "engine": draw(st.sampled_from(["polars", "spark", "other"])),
                "distribution": f"oreflow-{kind}",
                "options": options,
                "checks": [{**check, "action": "warn", "column": draw(TEXT)} for check in checks],
                "columns": columns,
            }
        )
    return plan


@st.composite
def accounts(draw, columns):
    rules = draw(st.dictionaries(TEXT, st.integers(1, 2**62), max_size=2))
    counts = {name: draw(COUNT) for name in ("read", "published", "quarantined", "superseded", "replaced")}
    failures = [{"check": draw(TEXT), "figures": draw(TEXT), "samples": []}]
    return {**counts, "rules": rules, "columns": columns, "schema_changes": [], "failures": failures, "replaces": True}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_event_is_valid_and_each_run_has_one_end(data):
    plan, pipeline, namespace = data.draw(plans()), data.draw(TEXT), data.draw(TEXT)
    parent = data.draw(st.none() | st.builds(Parent, *[st.builds(Named, TEXT, TEXT, UUIDS)] * 2))
    kept = Kept()
    surroundings = Surroundings(pipeline, data.draw(TEXT), Path("/project"), Path("/project/lake"))
    story, transport = Story(namespace, data.draw(TEXT), surroundings, parent), Discreet(kept)

    def tell(what, **about):
        for event in story.told(what, datetime.now(UTC), **about):
            assert attr.has(type(event))
            transport.emit(event)

    tell("run_started", plan=plan, completed=[])
    tables = []
    for planned in plan:
        table = {"table": planned["table"]}
        tell("step_started", **table)
        ends, batches = data.draw(st.lists(ENDS, max_size=2)), []
        for batch, status in enumerate(ends, 1):
            files = [{"file": data.draw(TEXT), "bytes": data.draw(st.integers(-1, 2**40))}]
            account = data.draw(accounts(planned["columns"])) if status in ("published", "refused") else {}
            tell("batch_started", **table, batch=batch, files=files)
            tell("batch_finished", **table, batch=batch, status=status, account=account)
            batches.append({"batch": batch, "status": status, "files": files, "reason": data.draw(TEXT), **account})
        status = (
            OF_TABLES[ends[-1]] if ends else data.draw(st.sampled_from(["unchanged", "skipped", "stale", "failed"]))
        )
        result = {**table, "status": status, "reason": data.draw(TEXT), "batches": batches}
        tables.append({**result, "columns": planned["columns"]})
        if data.draw(st.integers(0, 9)):  # a run may be cut off before a table is told to be done
            tell("step_finished", result=tables[-1])
    tell("run_finished", report={"status": data.draw(st.sampled_from(["success", "failed"])), "tables": tables})
    assert [problem for event in kept.events for problem in problems(event)] == []
    json.dumps(kept.events, ensure_ascii=False).encode()
    assert len(by_run(kept.events)) == len(plan) + 1
    for events in by_run(kept.events).values():
        first, *others, last = (event["eventType"] for event in events)
        assert first == "START" and set(others) <= {"RUNNING"} and last in ("COMPLETE", "FAIL", "ABORT")
