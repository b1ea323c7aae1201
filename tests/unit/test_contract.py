"""The vocabulary that crosses the plugin boundary: types, metadata, problems."""

from __future__ import annotations

import pytest

from oreflow import DataType, Problem, ProcessingConfig, ProcessingStage, ProcessorMetadata, get_processor_factory
from oreflow.contract import (
    DIRECTIVES,
    EngineMetadata,
    InvalidMetadata,
    SectionMetadata,
    TableFormatMetadata,
    format_fault,
)
from oreflow.pipeline.schema import declaration_schema


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("string", DataType("string")),
        (" Int64 ", DataType("int64")),
        ("timestamp_utc", DataType("timestamp_utc")),
        ("decimal(18,3)", DataType("decimal", 18, 3)),
        ("decimal( 38 , 38 )", DataType("decimal", 38, 38)),
        ("decimal(1,0)", DataType("decimal", 1, 0)),
        ("array<string>", DataType("array", element="string")),
        ("array<decimal(5, 2)>", DataType("array", element="decimal(5,2)")),
    ],
)
def test_a_type_is_read_and_written(text, wanted):
    found = DataType.parse(text)
    assert found == wanted
    assert DataType.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "int", "integer", "decimal", "decimal(39,0)", "decimal(0,0)", "decimal(3,4)", "array<>", "array<what>"]
)
def test_what_is_no_type_is_refused_by_its_name(text):
    with pytest.raises(ValueError, match=r"is no type|a decimal has"):
        DataType.parse(text)


def test_a_pattern_may_have_each_directive_and_no_other():
    everything = "".join(directive for directive in DIRECTIVES if directive != "%y")
    assert not format_fault(everything, DataType("timestamp_utc"))
    assert not format_fault("%Y-%j%%z", DataType("timestamp"))
    assert "'%f' is no directive" in format_fault("%S %f", DataType("timestamp"))
    assert "use timestamp_utc" in format_fault("%Y %z", DataType("date"))


METADATA = {
    "name": "mine",
    "version": "1.0",
    "description": "Does it",
    "engine": "any",
    "supported_stages": ["silver"],
    "capabilities": ["batch"],
}


@pytest.mark.parametrize(
    ("pattern", "needs"),
    [
        ("%d/%m", "one year"), ("%Y %y-%m-%d", "one year"), ("%Y-%m", "a day"), ("%Y-%d", "a day"),
        ("%Y-%j %I:%M", "%I and %p together"), ("%Y-%j %H:%M %p", "%I and %p together"), ("%Y-%j %H", "a minute"),
        ("%Y-%j %M", "an hour"), ("%Y-%j %H:%M.%f", "a second"),
    ],
)  # fmt: skip
def test_a_pattern_must_say_a_whole_day_or_moment(pattern, needs):
    assert f"'{pattern}' does not say what a timestamp needs: {needs}" in format_fault(pattern, DataType("timestamp"))


def test_metadata_takes_names_for_members():
    about = ProcessorMetadata(**METADATA)
    assert about.supported_stages == (ProcessingStage.SILVER,)
    assert hash(about.capabilities)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Mine"),
        ("name", ""),
        ("name", "with space"),
        ("name", None),
        ("version", "latest"),
        ("version", 1),
        ("description", "  "),
        ("description", None),
        ("engine", "auto"),
        ("engine", "No Engine"),
        ("engine", None),
        ("supported_stages", []),
        ("supported_stages", "silver"),
        ("supported_stages", ["platinum"]),
        ("supported_stages", None),
        ("capabilities", ["flying"]),
        ("capabilities", "batch"),
        ("option_schema", ["columns"]),
    ],
)
def test_metadata_that_cannot_be_accepted_names_its_field(field, value):
    with pytest.raises(InvalidMetadata) as raised:
        ProcessorMetadata(**{**METADATA, field: value})
    assert raised.value.field == field
    assert f"'{field}'" in str(raised.value)


@pytest.mark.parametrize(
    "make", [lambda **k: EngineMetadata(capabilities=[], **k), TableFormatMetadata], ids=["engine", "table format"]
)
def test_the_metadata_of_engines_and_formats_is_checked_too(make):
    assert make(name="mine", version="1", description="x").name == "mine"
    with pytest.raises(InvalidMetadata, match="name"):
        make(name="Mine", version="1", description="x")


def test_a_configuration_takes_names_for_members():
    assert ProcessingConfig("gold").stage is ProcessingStage.GOLD
    with pytest.raises(ValueError, match="platinum"):
        ProcessingConfig("platinum")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("it is wrong"), "it is wrong"),
        (Problem("it is wrong", mend="mend it"), "it is wrong - mend it"),
        (Problem("it is wrong", ("tables", "a.b", 0)), "tables.a.b.0: it is wrong"),
        (Problem("it is wrong", ("a",), "mend it", "x.yaml", 3), "x.yaml:3 a: it is wrong - mend it"),
        (Problem("it is wrong", (), "", "x.yaml"), "x.yaml: it is wrong"),
    ],
)
def test_a_problem_is_one_line(problem, text):
    assert str(problem) == text


def test_no_plugin_can_take_a_section_that_every_declaration_has():
    factory = get_processor_factory()
    own = declaration_schema(factory)["properties"].keys() - factory.sections.keys()
    assert "tables" in own
    for name in own:
        with pytest.raises(InvalidMetadata, match=f"'{name}' is a section of every declaration"):
            SectionMetadata(name, "1.0", "For a test")
    assert SectionMetadata("voice", "1.0", "For a test").option_schema == {}
