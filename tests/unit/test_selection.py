"""Choosing a processor: the best wins, and every candidate keeps the reason why it won or lost."""

from __future__ import annotations

import pytest

from oreflow import DeclarationError, Problem, ProcessingConfig, ProcessorCapability, ProcessorMetadata
from oreflow.factory.selection import Offer, Request, select

C = ProcessorCapability


def _offer(name, *, processor=None, engine="polars", stages=("silver",), capabilities=(C.IN_PROCESS,), built_for="any"):
    metadata = ProcessorMetadata(processor or name, "1.0", "x", built_for, stages, [])
    return Offer(name, metadata, engine, frozenset(capabilities), "dist")


POLARS = _offer("polars_silver", processor="silver", capabilities=(C.IN_PROCESS, C.OUT_OF_CORE))
SPARK = _offer("spark_silver", processor="silver", engine="spark", capabilities=(C.DISTRIBUTED,))
CUSTOM = _offer("polars_mine", processor="mine")
GOLD = _offer("polars_gold", processor="gold", stages=("gold",))
NATIVE = _offer("native", engine="polars", built_for="polars")


def _select(offers, *required, engine="auto", name="", problems=(), larger=False):
    config = ProcessingConfig("silver", engine)
    return select(offers, Request(config, lambda offer: dict(problems).get(offer.name, []), required, name, larger))


def _reasons(selection):
    return {verdict.offer.name: verdict.reason for verdict in selection.candidates}


def test_what_fits_in_memory_is_done_in_process():
    chosen = _select([SPARK, POLARS, CUSTOM, GOLD])
    assert chosen.offer is POLARS
    assert "standard for silver" in chosen.reason
    assert "input fits in memory, engine in process" in chosen.reason
    assert _reasons(chosen)["polars_gold"] == "is for gold, not silver"
    assert "has to be started" in _reasons(chosen)["spark_silver"]


def test_what_is_larger_than_memory_is_distributed_where_that_is_there():
    chosen = _select([POLARS, SPARK], larger=True)
    assert chosen.offer is SPARK
    assert "larger than memory, engine distributed" in chosen.reason
    assert _select([POLARS], larger=True).offer is POLARS


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
