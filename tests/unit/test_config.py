"""The layers of a declaration as documents: what wins, and that each value still knows where it came from."""

from __future__ import annotations

import pytest

from oreflow.config.documents import Document, Layer, Origin
from oreflow.config.files import read_file
from oreflow.config.layers import Environment, apply_variables, choose_environment, layer_files, read_layers
from oreflow.contract import DeclarationError, Problem
from oreflow.validation import did_you_mean, validate

SCHEMA = {
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer"},
        "share": {"type": "number"},
        "tags": {"type": "array"},
        "tables": {"patternProperties": {"^silver": {"properties": {"on": {"type": "boolean"}}}}},
    }
}


@pytest.fixture
def layers(tmp_path):
    """Write config files by name and load them with variables."""

    def load(files, variables=None, environment=Environment.DEVELOPMENT):
        (tmp_path / "config").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "config" / name).write_text(text, encoding="utf-8")
        document = read_layers(layer_files(tmp_path, "shop", environment))
        apply_variables(document, "shop", variables or {}, SCHEMA)
        return document

    return load


def _read(tmp_path, text: str) -> Document:
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    return read_file(tmp_path / "x.yaml", "x.yaml")


def _problems(raised) -> list[tuple[str, int, str]]:
    return [(problem.file, problem.line, problem.message) for problem in raised.value.problems]


# Documents


def test_every_value_knows_its_line(tmp_path):
    document = _read(tmp_path, "a: 1\nb:\n  c: [x,\n      y]\n  d: {e: 2}\n")
    assert document.data == {"a": 1, "b": {"c": ["x", "y"], "d": {"e": 2}}}
    lines = {path: origin.line for path, origin in document.origins.items()}
    wanted = {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 1): 4, ("b", "d", "e"): 5}
    assert {path: lines[path] for path in wanted} == wanted
    assert {origin.file for origin in document.origins.values()} == {"x.yaml"}


def test_sections_merge_by_key_and_everything_else_is_replaced(tmp_path):
    base = _read(tmp_path, "a: {x: 1, y: 2}\nlist: [1, 2]\nplain: 1\n")
    base.merge(_read(tmp_path, "a: {y: 3, z: 4}\nlist: [9]\nplain: {now: section}\n"))
    assert base.data == {"a": {"x": 1, "y": 3, "z": 4}, "list": [9], "plain": {"now": "section"}}


def test_a_merged_value_keeps_the_origin_of_the_layer_that_won(tmp_path):
    base = Document({"a": {"x": 1, "y": [1, 2]}}, {("a", "x"): Origin("base", 1), ("a", "y", 1): Origin("base", 2)})
    base.merge(Document({"a": {"y": [3]}}, {("a", "y"): Origin("local", 7), ("a", "y", 0): Origin("local", 8)}))
    assert base.origins[("a", "x")] == Origin("base", 1)
    assert base.origins[("a", "y", 0)] == Origin("local", 8)
    assert ("a", "y", 1) not in base.origins


def test_a_problem_is_placed_at_the_nearest_key_above_it(tmp_path):
    document = _read(tmp_path, "a:\n  b:\n    c: 1\n")
    assert document.locate(Problem("x", ("a", "b", "c"))).line == 3
    assert document.locate(Problem("x", ("a", "b", "nothing", 4))).line == 2
    assert document.locate(Problem("x", ("a", "b", "c"))).file == "x.yaml"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\na: 2\n", [("x.yaml", 2, "the key is said twice")]),
        ("a: {b: 1}\nc:\n  d: 1\n  d: 2\n", [("x.yaml", 4, "the key is said twice")]),
        ("a: 1\na: 2\nb: 1\nb: 2\n", [("x.yaml", 2, "the key is said twice"), ("x.yaml", 4, "the key is said twice")]),
        ("- a\n", [("x.yaml", 1, "expected keys and values")]),
    ],
)
def test_a_file_that_is_wrong_says_each_line(tmp_path, text, found):
    with pytest.raises(DeclarationError) as raised:
        _read(tmp_path, text)
    assert _problems(raised) == found


@pytest.mark.parametrize("text", ["a: [1\n", "a: 'b\n", "a: b: c\n", "\tb: 1\n", "a: &x\nb: *y\n"])
def test_what_is_no_plain_yaml_is_told_with_its_line(tmp_path, text):
    with pytest.raises(DeclarationError) as raised:
        _read(tmp_path, text)
    ((file, line, message),) = _problems(raised)
    assert (file, line > 0) == ("x.yaml", True)
    assert "not valid YAML" in message


def test_anchors_and_merge_keys_are_understood(tmp_path):
    document = _read(tmp_path, "a: &a {x: 1, y: 2}\nb: {<<: *a, z: 3}\n")
    assert document.data["b"] == {"x": 1, "y": 2, "z": 3}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_file(tmp_path / "x.yaml", "x.yaml").data == {"a": 1}


# Layers


def test_later_layers_win(layers):
    files = {
        "shop.yaml": "name: base\nsize: 1\nshare: 0.1\n",
        "shop.production.yaml": "size: 2\nshare: 0.2\n",
        "shop.local.yaml": "share: 0.3\n",
        "shop.staging.yaml": "name: staging\n",
    }
    document = layers(files, environment=Environment.PRODUCTION)
    assert document.data == {"name": "base", "size": 2, "share": 0.3}
    assert layers(files, {"SHOP_SHARE": "0.4"}).data["share"] == 0.4
    assert document.origins[("share",)] == Origin("config/shop.local.yaml", 1, Layer.LOCAL)


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("SHOP_NAME", "12", ("name",), "12"),
        ("SHOP_NAME", "yes", ("name",), "yes"),
        ("SHOP_SIZE", "12", ("size",), 12),
        ("SHOP_SHARE", "0.5", ("share",), 0.5),
        ("SHOP_TAGS", "[a, b]", ("tags",), ["a", "b"]),
        ("SHOP_TABLES__SILVER_SALES__ON", "true", ("tables", "silver.sales", "on"), True),
    ],
)
def test_a_variable_becomes_what_its_key_wants(layers, variable, text, path, value):
    document = layers({"shop.yaml": "name: x\ntables: {silver.sales: {}}\n"}, {variable: text})
    found = document.data
    for key in path:
        found = found[key]
    assert (found, type(found)) == (value, type(value))
    assert document.origins[path] == Origin(variable, 0, Layer.VARIABLE)


def test_a_variable_of_another_name_is_not_ours(layers):
    variables = {"SHOPPING": "1", "SHOP": "1", "SHOP_": "1", "SHOP_SESSION_TOKEN": "1", "OTHER_NAME": "x"}
    assert layers({"shop.yaml": "name: x\n"}, variables).data == {"name": "x"}


def test_wrong_files_of_all_layers_are_told_together(layers):
    with pytest.raises(DeclarationError) as raised:
        layers({"shop.yaml": "a: 1\na: 2\n", "shop.local.yaml": "- x\n"})
    assert {file for file, _, _ in _problems(raised)} == {"config/shop.yaml", "config/shop.local.yaml"}


@pytest.mark.parametrize(
    ("asked", "variables", "wanted"),
    [
        (None, {}, "development"),
        (None, {"OREFLOW_ENV": "staging"}, "staging"),
        ("production", {"OREFLOW_ENV": "staging"}, "production"),
    ],
)
def test_the_environment_is_the_one_asked_for_then_the_variable_then_development(asked, variables, wanted):
    assert choose_environment(asked, variables) == wanted


def test_an_environment_that_is_not_there_is_refused():
    with pytest.raises(DeclarationError, match="there is no environment 'prod'"):
        choose_environment("prod", {})


# Validation


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"size": "x"}, "expected a whole number, got 'x'"),
        ({"size": True}, "expected a whole number, got true"),
        ({"tags": None}, "expected a list, got nothing"),
        ({"name": []}, "expected a text, got a list"),
    ],
)
def test_a_wrong_type_is_told_in_plain_words(data, message):
    (problem,) = validate(data, SCHEMA)
    assert problem.message == message
    assert problem.path == (next(iter(data)),)


def test_a_guess_is_made_only_where_it_is_near():
    assert did_you_mean("silvr", ["silver", "gold"]) == "did you mean 'silver'?"
    assert did_you_mean("zzz", ["silver", "gold"]) == "there are gold, silver"
    assert did_you_mean("x", []) == "there are none"
