"""The document behind a report: its figures are the run's own, it is as its schema says, and it is bounded."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files

import jsonschema_rs
import made_up_runs as made_up
import pytest

from oreflow_report.document import ROWS, RUNS, describe
from oreflow_report.page import render
from oreflow_report.verdict import TABLES, Project, worst_tables

SCHEMA = json.loads(files("oreflow_report").joinpath("report.schema.json").read_text(encoding="utf-8"))


def described(run, earlier=(), rejected=None, **options):
    """A document, which has the form that is promised."""
    document = describe(run, earlier, rejected or {}, options.pop("project", Project()), **options)
    # What validates knows no halves of surrogate pairs.
    document = json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
    faults = [str(error) for error in jsonschema_rs.validator_for(SCHEMA).iter_errors(document)]
    assert not faults, faults
    return document


def refused(**more):
    """A table whose only batch did not pass its gate."""
    sample = {"file": "data/raw/a.csv", "row": 3, "reason": "id: 'secret' is no int64"}
    failure = {"check": "quality_threshold", "figures": "quality score 88 % is below 90 %", "samples": [sample]}
    reason = (
        "the quality gate was not passed: quality score 88 % is below 90 %, for example data/raw/a.csv:3 id: 'secret'"
        " is no int64; the candidate is kept in /lake/_oreflow/failed/silver.a/batch-000001 (declared in p.yaml:2)"
    )
    batches = [made_up.batch(status="refused", published=0, failures=[failure], reason=reason)]
    return made_up.table("silver.a", batches, status="failed", reason=reason, **more)


def test_the_schema_is_one_of_draft_2020_12():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMA)
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid({**described(made_up.run([])), "more": 1})


def test_every_row_is_somewhere_in_the_flow():
    bronze = made_up.table("bronze.a", [made_up.batch(files=[{"file": "a.csv", "bytes": 7}])], inputs=["raw"])
    gold = made_up.table(
        "gold.a", [made_up.batch(read=3, published=3, quarantined=0, superseded=0)], inputs=["silver.a"]
    )
    flow = described(made_up.run([bronze, refused(inputs=["bronze.a"]), gold]))["flow"]
    nodes = {node["id"]: node for node in flow["nodes"]}
    for node in flow["nodes"]:
        if node["kind"] == "table":
            parts = ("published", "quarantined", "superseded", "held_back")
            assert node["read"] == sum(node[part] for part in parts), node
    assert nodes["table:silver.a"]["held_back"] == 8
    assert nodes["table:bronze.a"]["published_before"] == 2  # silver read 10, of which this run published 8
    assert (nodes["source:raw"]["files"], nodes["source:raw"]["bytes"], nodes["source:raw"]["read"]) == (1, 7, 10)
    links = {(link["from"], link["to"]): link["rows"] for link in flow["links"]}
    assert links["source:raw", "table:bronze.a"] == 10
    assert links["table:bronze.a", "table:silver.a"] == 10
    assert links["table:silver.a", "table:gold.a"] is None
    assert links["table:silver.a", "quarantined:silver.a"] == links["table:silver.a", "superseded:silver.a"] == 1


@pytest.mark.parametrize(
    ("run", "kind", "says"),
    [
        (made_up.run([made_up.table("silver.a")]), "success", "1 row of silver.a was set aside."),
        (made_up.run([made_up.table("silver.a", [], status="unchanged")]), "unchanged", "There was no new input."),
        (made_up.run([made_up.table("silver.a", [], status="stale")]), "attention", "as it was before"),
        (made_up.run([refused()], status="failed"), "failed", "Quality score 88 % is below 90 %. Readers see"),
        (made_up.run([], status="failed"), "failed", "Readers see the tables as they were before."),
        (
            made_up.run([made_up.table("silver.a", [], status="interrupted")], status="interrupted"),
            "interrupted",
            "goes on",
        ),
        (made_up.run([made_up.table("silver.a", [], status="running")], status="running"), "running", "so far"),
    ],
)
def test_the_verdict_is_that_of_the_run(run, kind, says):
    verdict = described(run)["verdict"]
    assert verdict["kind"] == kind
    assert says in verdict["text"]


def test_commands_lead_to_the_pipeline_that_ran():
    project = Project("/srv/the shop", "retail", "production")
    document = described(made_up.run([refused()], status="failed"), [made_up.before(1, [])], project=project)
    commands = [shlex.split(step["command"]) for step in document["verdict"]["next"]]
    where = ["--project", "/srv/the shop", "--env", "production"]
    look = ["quarantine", "show", "silver.a", "--refused", "1"]
    assert commands[0] == ["oreflow", *look, "--pipeline", "retail", *where]
    compared = ["before-1", document["run"]["run_id"]]
    assert commands[1] == ["oreflow", "runs", "compare", *compared, "--pipeline", "retail", *where]
    assert commands[2] == ["oreflow", "run", "retail", *where]


def test_a_check_is_compared_with_the_runs_before_that_judged_rows():
    def table(rows, score=0.9):
        return made_up.table("silver.a", rules={"known": rows} if rows else {}, quality_score=score)

    idle = made_up.table("silver.a", [], status="unchanged")
    earlier = [made_up.before(day, [table(day % 4)]) for day in range(1, 20)]
    after = {**made_up.before(0, [table(9)]), "started_at": made_up.at(60)}
    (found,) = described(made_up.run([table(3)]), [after, made_up.before(0.5, [idle]), *earlier])["quality"]
    assert [old["run_id"] for old in found["earlier"]] == [f"before-{day}" for day in range(RUNS, 0, -1)]
    (check,) = found["checks"]
    assert check["earlier_shares"] == [(day % 4) / 9 for day in range(RUNS, 0, -1)]
    assert (check["broken"], check["share"], check["usual_share"]) == (3, 3 / 9, 1.5 / 9)
    assert found["judged"] == 9
    assert described(made_up.run([idle]), earlier)["quality"] == []


def test_the_rows_that_broke_most_rules_come_first_and_are_bounded():
    rows = [made_up.row(line, *(f"rule {n}" for n in range(line % 3 + 1))) for line in range(50)]
    (found,) = described(made_up.run([made_up.table("silver.a")]), rejected={"silver.a": rows})["rejected"]
    assert len(found["rows"]) == ROWS
    assert [len(row["rules"]) for row in found["rows"]] == [3] * 16 + [2] * 4
    first = found["rows"][0]
    assert (first["file"], first["line"], first["values"]) == ("data/raw/a.csv", 2, {"id": "2", "name": None})
    many = made_up.run([made_up.table(f"silver.t{n}") for n in range(TABLES + 9)])
    assert len(worst_tables(many)) == TABLES


def test_of_rows_that_were_set_aside_and_refused_the_command_shows_those_that_are_in_quarantine():
    kept = {"silver.a": [{"_source_file": "a.csv", "_source_row": 3, "_rules": ["x"], "_refused": True}]}
    (found,) = described(made_up.run([refused()], status="failed"), rejected=kept)["rejected"]
    assert found["command"] == "oreflow quarantine show silver.a --refused 1"
    both = made_up.table(
        "silver.a", [made_up.batch(), made_up.batch(2, status="refused", published=0)], status="failed"
    )
    (found,) = described(made_up.run([both], status="failed"), rejected=kept)["rejected"]
    assert found["command"] == "oreflow quarantine show silver.a --batch 1"


def test_of_a_refused_batch_whose_candidate_is_gone_the_samples_of_the_report_are_shown():
    (found,) = described(made_up.run([refused()], status="failed"))["rejected"]
    assert (found["quarantined"], found["refused"], found["command"]) == (0, 1, "")
    (row,) = found["rows"]
    assert (row["file"], row["line"], row["rules"], row["refused"]) == (
        "data/raw/a.csv",
        3,
        ["quality_threshold"],
        True,
    )


def test_rows_that_closed_a_gate_without_being_set_aside_are_shown_beside_those_that_would_be():
    def failure(check, *lines):
        samples = [{"file": "data/raw/a.csv", "row": line, "reason": check} for line in lines]
        return {"check": check, "figures": check, "samples": samples}

    failures = [failure("quality_threshold", 3, 4), failure("never negative", 4, 9)]
    batches = [made_up.batch(status="refused", published=0, failures=failures)]
    run = made_up.run([made_up.table("silver.a", batches, status="failed")], status="failed")
    candidate = [made_up.row(3, "known", "other", _refused=True)]
    (found,) = described(run, rejected={"silver.a": candidate})["rejected"]
    assert [(row["line"], row["rules"]) for row in found["rows"]] == [
        (3, ["known", "other"]),
        (4, ["never negative"]),
        (9, ["never negative"]),
    ]
    run["tables"][0]["rows_quarantined"] = run["tables"][0]["batches"][0]["quarantined"] = 0
    document = described(run)
    assert document["rejected"][0]["refused"] == 0
    assert "A few of the rows that closed its quality gate:" in render(document)


def test_without_rows_no_value_is_anywhere():
    rejected = {"silver.a": [made_up.row(3, "known", name="secret", _reason="name is 'secret'", _raw="secret")]}
    alert = made_up.alert("quality", details=["data/raw/a.csv:3 name is 'secret'"])
    run = made_up.run([refused()], status="failed", alerts=[alert])
    document = described(run, rejected=rejected, rows=False)
    assert "secret" in json.dumps(described(run, rejected=rejected))
    assert "secret" not in json.dumps(document)
    assert "secret" not in render(document)
    assert document["rejected"][0]["refused"] == 1
    assert "the candidate is kept in" in document["run"]["tables"][0]["reason"]


def test_long_values_are_cut_and_say_how_long_they_are():
    row = made_up.row(3, "known", name="x" * 10_000, _raw=b"\x00\xff" * 400)
    (found,) = described(made_up.run([made_up.table("silver.a")]), rejected={"silver.a": [row]})["rejected"]
    assert found["rows"][0]["values"]["name"] == "x" * 300 + "… (10,000 characters)"
    assert found["rows"][0]["raw"].startswith("b'\\x00\\xff")


def test_a_report_from_before_there_were_batches_is_shown_as_far_as_it_goes():
    table = made_up.table("silver.a", [], rows_read=3, rows_published=3, started_at="")
    document = described(made_up.run([table], schema=0))
    assert document["timeline"][0]["offset"] is None
    assert "does not say when its tables were made" in render(document)


def test_texts_of_data_do_not_break_the_form():
    described(*made_up.saying(*made_up.HOSTILE))


def test_a_large_run_is_a_small_page_that_says_what_it_leaves_out():
    page = render(described(made_up.large()))
    assert len(page) < 1_500_000
    assert "176 tables of 200 not drawn" in page
    assert "160 tables that were quicker not drawn" in page
    assert "The first 200 of 1,199" in page
    assert page.count("data-table") == 200


def test_a_figure_that_cannot_be_drawn_leaves_a_page_with_its_table(monkeypatch, caplog):
    def stumble(*_, **__):
        raise ValueError("Vega to SVG conversion failed:\nError: ...")

    monkeypatch.setattr("vl_convert.vega_to_svg", stumble)
    monkeypatch.setattr("vl_convert.vegalite_to_svg", stumble)
    page = render(described(made_up.run([made_up.table("silver.a")]), [made_up.before(1, [made_up.table("silver.a")])]))
    assert "<svg" not in page
    assert page.count("data-table") == page.count("data-step") == 1
    assert "The time line could not be drawn." in page
    assert "a figure of the report (flow) could not be drawn: Vega to SVG conversion failed:" in caplog.text
