"""Choosing a processor: the best wins, and every candidate keeps the reason why it won or lost."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oreflow import DeclarationError, Problem, ProcessingConfig, ProcessorCapability, ProcessorMetadata
from oreflow.factory.selection import Memory, Offer, Request, select

C = ProcessorCapability


def _offer(name, *, processor=None, engine="polars", stages=("silver",), capabilities=(C.IN_PROCESS,), built_for="any"):
    metadata = ProcessorMetadata(processor or name, "1.0", "x", built_for, stages, [])
    return Offer(name, metadata, engine, frozenset(capabilities), "dist")


POLARS = _offer("polars_silver", processor="silver", capabilities=(C.IN_PROCESS, C.OUT_OF_CORE))
SPARK = _offer("spark_silver", processor="silver", engine="spark", capabilities=(C.DISTRIBUTED,))
CUSTOM = _offer("polars_mine", processor="mine")
GOLD = _offer("polars_gold", processor="gold", stages=("gold",))
NATIVE = _offer("native", engine="polars", built_for="polars")


def _select(
    offers,
    *required,
    engine="auto",
    name="",
    problems=(),
    larger=False,
    preferred=(),
    speed=MappingProxyType({}),
    beside=(),
):
    config = ProcessingConfig("silver", engine)
    against = dict(problems)
    return select(
        offers,
        Request(
            config,
            lambda offer: against.get(offer.name, []),
            required,
            name,
            Memory(2_000, 1_000 if larger else 3_000),
            preferred,
            lambda offer: speed.get(offer.name),
            frozenset(beside),
        ),
    )


def _reasons(selection):
    return {verdict.offer.name: verdict.reason for verdict in selection.candidates}


def test_what_fits_in_memory_is_done_in_process():
    chosen = _select([SPARK, POLARS, CUSTOM, GOLD])
    assert chosen.offer is POLARS
    assert "standard for silver" in chosen.reason
    assert "input fits in memory (about 2.0 kB of 3.0 kB), engine in process" in chosen.reason
    assert _reasons(chosen)["polars_gold"] == "is for gold, not silver"
    assert "has to be started" in _reasons(chosen)["spark_silver"]


def test_what_is_larger_than_memory_is_distributed_where_that_is_there():
    chosen = _select([POLARS, SPARK], larger=True)
    assert chosen.offer is SPARK
    assert "larger than memory (about 2.0 kB of 1.0 kB), engine distributed" in chosen.reason
    assert _select([POLARS], larger=True).offer is POLARS


def test_an_engine_that_is_as_remote_as_the_lake_wins_whatever_the_size():
    for larger in (False, True):
        chosen = _select([POLARS, SPARK], larger=larger, beside=["spark"])
        assert chosen.offer is SPARK
        assert "lake and engine are both on other machines" in chosen.reason
    assert _select([POLARS, SPARK], engine="polars", beside=["spark"]).offer is POLARS


def test_a_processor_built_for_its_engine_wins_over_a_portable_one():
    chosen = _select([POLARS, NATIVE])
    assert chosen.offer is NATIVE
    assert "built for this engine" in chosen.reason


def test_the_engine_that_is_asked_for_is_taken():
    chosen = _select([POLARS, SPARK], engine="spark")
    assert chosen.offer is SPARK
    assert "spark was asked for" in _reasons(chosen)["spark_silver"]
    assert _reasons(chosen)["polars_silver"] == "runs on polars, spark was asked for"


@pytest.mark.parametrize("name", ["polars_mine", "mine"])
def test_the_processor_that_is_asked_for_is_taken(name):
    chosen = _select([POLARS, CUSTOM], name=name)
    assert chosen.offer is CUSTOM
    assert "asked for by name" in _reasons(chosen)["polars_mine"]
    assert _reasons(chosen)["polars_silver"] == f"'{name}' was asked for"


def test_what_lacks_a_capability_is_passed_over():
    chosen = _select([POLARS, SPARK], C.DISTRIBUTED)
    assert chosen.offer is SPARK
    assert _reasons(chosen)["polars_silver"] == "is not able to do: distributed"


def test_what_cannot_take_the_options_is_passed_over():
    chosen = _select([POLARS, CUSTOM], problems={"polars_silver": [Problem("no columns")]})
    assert chosen.offer is CUSTOM
    assert _reasons(chosen)["polars_silver"] == "its options do not fit: no columns"


def test_where_only_the_options_stand_in_the_way_their_problems_are_told():
    problem = Problem("no such type", ("columns", "a"))
    with pytest.raises(DeclarationError) as raised:
        _select([POLARS, GOLD], problems={"polars_silver": [problem]})
    assert raised.value.problems == (problem,)


def test_where_nothing_fits_every_reason_is_told():
    with pytest.raises(DeclarationError) as raised:
        _select([POLARS, GOLD], C.STREAMING)
    text = str(raised.value)
    assert "polars_silver is not able to do: streaming" in text
    assert "polars_gold is for gold, not silver" in text


def test_where_nothing_is_installed_it_says_what_to_install():
    with pytest.raises(DeclarationError, match="pip install"):
        _select([])


def test_an_engine_that_is_not_installed_is_named():
    with pytest.raises(DeclarationError, match="oreflow-spark"):
        _select([POLARS], engine="spark")


def test_the_choice_does_not_depend_on_the_order_of_installation():
    offers = [POLARS, SPARK, CUSTOM, GOLD, NATIVE]
    assert _select(offers) == _select(offers[::-1])


def test_the_only_one_that_fits_is_said_to_be_so():
    assert _select([POLARS, GOLD]).reason.startswith("the only one that fits")


def test_a_preference_outweighs_what_counts_otherwise():
    able = _offer("polars_able", processor="able", capabilities=(C.IN_PROCESS, "text.capitals"))
    chosen = _select([POLARS, NATIVE, able], preferred=["text.capitals"])
    assert chosen.offer is able
    assert "can do text.capitals, as preferred" in chosen.reason
    assert _select([POLARS, NATIVE], preferred=["text.capitals"]).offer is NATIVE


def test_of_equals_the_one_that_was_faster_so_far_wins_where_all_have_run():
    one, other = _offer("polars_a", processor="a"), _offer("polars_b", processor="b")
    assert _select([one, other], speed={"polars_b": 9.0}).offer is one
    chosen = _select([one, other], speed={"polars_a": 5.0, "polars_b": 9_000.0})
    assert chosen.offer is other
    assert chosen.reason.endswith("fastest so far, 9,000 rows/s")
    assert _select([one, other]).reason.endswith("first by name")
    assert _select([one, POLARS], speed={"polars_a": 9.0, "polars_silver": 1.0}).offer is POLARS, "no tie"


def test_past_runs_are_looked_at_only_where_there_is_a_tie():
    def speed(offer):
        raise AssertionError(offer)

    config = ProcessingConfig("silver")
    assert select([POLARS, SPARK], Request(config, lambda _: [], speed=speed)).offer is POLARS


def test_a_name_that_is_contested_has_to_be_asked_for_with_its_distribution():
    lost = replace(POLARS, name="dist:polars_silver", conflict="the processor 'silver' is brought by another as well")
    assert _select([lost, CUSTOM]).offer is CUSTOM
    assert _reasons(_select([lost, CUSTOM]))["dist:polars_silver"] == lost.conflict
    for name in ("dist:silver", "dist:polars_silver"):
        assert _select([lost, CUSTOM], name=name).offer is lost
    with pytest.raises(DeclarationError, match="is brought by another as well"):
        _select([lost], name="silver")


@given(st.data())
def test_the_choice_is_a_function_of_what_there_is(data):
    """In whatever order offers come, the same one wins, and every candidate has the same score and reason."""
    offers = data.draw(
        st.lists(
            st.builds(
                lambda name, engine, stage, able, native: _offer(
                    f"{engine}_{name}",
                    processor=name,
                    engine=engine,
                    stages=(stage,),
                    capabilities=able,
                    built_for=engine if native else "any",
                ),
                st.sampled_from(["silver", "a", "b", "c"]),
                st.sampled_from(["polars", "spark", "other"]),
                st.sampled_from(["silver", "gold"]),
                st.frozensets(st.sampled_from([C.IN_PROCESS, C.OUT_OF_CORE, C.DISTRIBUTED, C.MERGE])),
                st.booleans(),
            ),
            unique_by=lambda offer: offer.name,
            max_size=8,
        )
    )
    asked = {
        "engine": data.draw(st.sampled_from(["auto", "polars", "spark"])),
        "larger": data.draw(st.booleans()),
        "preferred": data.draw(st.lists(st.sampled_from([C.MERGE, C.DISTRIBUTED]), unique=True)),
    }

    def outcome(offers):
        try:
            chosen = _select(offers, **asked)
        except DeclarationError as error:
            return {str(problem.mend) for problem in error.problems}
        return chosen.offer.name, {v.offer.name: (v.score, v.reason) for v in chosen.candidates}

    assert outcome(offers) == outcome(data.draw(st.permutations(offers)))
