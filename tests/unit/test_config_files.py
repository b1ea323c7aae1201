"""Files of each format become the same values with their lines, and what YAML makes of innocent texts is settled."""

from __future__ import annotations

import pytest

from oreflow.config.files import read_file
from oreflow.config.layers import Environment, apply_options, apply_variables, layer_files, read_layers
from oreflow.config.python_file import run_once
from oreflow.config.shapes import path_of, restore_exact, settle
from oreflow.contract import DeclarationError
from oreflow.validation import validate


@pytest.fixture
def read(tmp_path):
    def read(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_file(path, name)

    return read


def problems_of(call) -> list[str]:
    with pytest.raises(DeclarationError) as raised:
        call()
    return [str(problem) for problem in raised.value.problems]


YAML = """\
host: db1
pool:
  size: 10
  waits: [1, 2.5]
note: "a\\nb"
servers:
  - name: one
    ports: [1]
  - name: two
"""
JSON = """\
{"host": "db1",
 "pool": {
\t"size": 10,
\t"waits": [1, 2.5]},
 "note": "a\\nb",
 "servers": [
  {"name": "one",
   "ports": [1]},
  {"name": "two"}]}
"""
TOML = """\
host = "db1"  # size = 5
note = \"\"\"
a
b\"\"\"
# [pool.size]
[pool]
size = 10
waits = [1,
  2.5]

[[servers]]
name = "one"
ports = [1]
[[servers]]
name = 'two'
"""
PYTHON = """\
import os as _os
_hidden = 1

def helper():
    return 10

host: str = "db1"
pool = {"size": helper(),
        "waits": [1, 2.5]}
note = "a\\nb"
servers = [{"name": "one", "ports": [1]},
           {"name": "two"}]
"""
WANTED = {
    "host": "db1",
    "pool": {"size": 10, "waits": [1, 2.5]},
    "note": "a\nb",
    "servers": [{"name": "one", "ports": [1]}, {"name": "two"}],
}


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("x.yaml", YAML, {"host": 1, "size": 3, "waits": 4, "note": 5, "second": 9}),
        ("x.json", JSON, {"host": 1, "size": 3, "waits": 4, "note": 5, "second": 9}),
        ("x.toml", TOML, {"host": 1, "size": 7, "waits": 8, "note": 2, "second": 15}),
        ("x.py", PYTHON, {"host": 7, "size": 8, "waits": 9, "note": 10, "second": 12}),
    ],
)
def test_every_format_gives_the_same_values_and_their_lines(read, name, text, lines):
    document = read(name, text)
    data = dict(document.data)
    if name == "x.toml":
        data["note"] = data["note"].removeprefix("\n")
    assert data == WANTED
    paths = {"host": ("host",), "size": ("pool", "size"), "waits": ("pool", "waits"), "note": ("note",)}
    paths["second"] = ("servers", 1, "name")
    assert {key: document.origins[path].line for key, path in paths.items()} == lines


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.yaml", "a:\n\tb: 1\n", "x.yaml:2: is not valid YAML"),
        ("x.yaml", "a:\n\tb: 1\n", "indent with spaces, not with tabs"),
        ("x.yaml", "a: 1\n".encode("utf-16"), "x.yaml: is UTF-16 text, where UTF-8 is expected - save it as UTF-8"),
        ("x.yaml", b"a: 1\nb: caf\xe9\n", "x.yaml:2: is not UTF-8 text"),
        ("x.json", '{"a": 1,\n}', "x.json:2: is not valid JSON"),
        ("x.json", '{"a": 1,\n"a": 2}', "x.json:2 a: the key is said twice - it is in lines 1 and 2"),
        ("x.json", "[1]", "x.json:1: expected keys and values"),
        ("x.json", '{"a": NaN}', "NaN is no number of JSON"),
        ("x.toml", "a = 1\nb = \n", "x.toml:2: is not valid TOML: Invalid value"),
        ("x.toml", "a = 1\na = 2\n", "x.toml:2: is not valid TOML: Cannot overwrite a value"),
        ("x.py", "a = 1\nb =\n", "x.py:2: is not valid Python"),
        ("x.py", "a = 1\nb = a / 0\n", "x.py:2: failed: ZeroDivisionError"),
        ("x.py", "import sys\nsys.exit(3)\n", "x.py:2: failed: SystemExit"),
        ("x.json", '{"é": 1,\n"\\u00e9": 2}', "x.json:2 é: the key is said twice - it is in lines 1 and 2"),
        ("x.json", '{"x": ' + "9" * 5000 + "}", "there is a number of more than 300 digits"),
        ("x.toml", "x = " + "9" * 5000, "there is a number of more than 300 digits"),
        ("x.yaml", "a: 1\nx: 0x" + "f" * 5000, "x.yaml:2 x: is a number of more than 300 digits"),
        ("x.py", "a = 10**400", "x.py:1 a: is a number of more than 300 digits"),
        ("x.yaml", "x: " + "[" * 10_000 + "]" * 10_000, "x.yaml: is nested too deeply, in more than 100 levels"),
        ("x.yaml", "a: 1\nx: " + "[" * 200 + "]" * 200, "x.yaml:2 x: is nested too deeply"),
        ("x.json", '{"x": ' + "[" * 10_000 + "]" * 10_000 + "}", "x.json: is nested too deeply"),
        ("x.toml", "x = " + "[" * 10_000 + "]" * 10_000, "x.toml: is nested too deeply"),
        ("x.py", "a = {}\na['x'] = [a]\n", "x.py:1 a: holds itself, or is nested too deeply"),
        ("x.py", "a = [1]\nfor _ in range(60): a = [a, a]\n", "x.py:1 a: holds itself, or is nested too deeply"),
        ("x.yaml", "a: 1\nb: a\0b\n", "x.yaml:2: is not valid YAML: unacceptable character"),
        ("x.json", '{"a": "\\ud800"}', "x.json:1: has half of a character"),
        ("x.yaml", "a: &a {<<: *a}\n", "x.yaml:1 a: an alias leads back to itself"),
        ("x.yaml", "a: 1\nb: {<<: [1]}\n", "x.yaml:2 b: `<<` brings sections, and this is none"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_a_file_that_cannot_be_read_says_where(read, name, text, told):
    (problem,) = problems_of(lambda: read(name, text))
    assert told in problem


def test_what_a_merge_key_brings_is_overruled_by_what_follows(read):
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2}\nc: {<<: [*a, *b], x: 3}\nd: {<<: *a, z: 1}\n"
    assert read("x.yaml", text).data["c"] == {"x": 3, "y": 1}
    (problem,) = problems_of(lambda: read("x.yaml", "a: &a {x: 1}\nb: {<<: *a, y: 1, y: 2}\n"))
    assert "x.yaml:2 b.y: the key is said twice" in problem


def test_a_value_of_toml_in_a_table_below_a_list_has_its_line(read):
    fruits = '[[fruits]]\nname = "a"\n[fruits.physical]\ncolor = 1\n[[fruits]]\n[[fruits.kinds]]\nname = "k"\n'
    text = f"{fruits}[pool]\nx = {{size = 1}}\n"
    document = read("x.toml", text)
    assert document.origins["fruits", 0, "physical", "color"].line == 4
    assert document.origins["fruits", 1, "kinds", 0, "name"].line == 7
    assert document.nearest(("pool", "x", "size")).line == 9


@pytest.mark.parametrize(
    "text", ["a: !!bool hunter2\n", "a: !!int hunter2\n", "a: !hunter2\n", "a: !!python/x:hunter2 x\n"]
)
def test_a_tag_that_makes_no_sense_is_told_and_not_shown(read, text):
    (problem,) = problems_of(lambda: read("x.yaml", text))
    assert problem.startswith("x.yaml:1 a: begins with a tag")
    assert problem.endswith("put it in quotes to make it a text")
    assert "hunter2" not in problem


def test_what_only_old_yaml_takes_for_a_sign_is_a_text(read):
    assert read("x.yaml", "a: =\nb: <<\n").data == {"a": "=", "b": "<<"}


def test_a_python_file_says_what_it_assigns_and_nothing_else(read):
    text = "from datetime import *\nfrom string import digits\nimport os\ndef f(): pass\na = {'b': (1, 2)}\n_c = {1}\n"
    text += "for d in (1, 2): e: int = d\n"
    assert read("x.py", text).data == {"a": {"b": [1, 2]}, "d": 2, "e": 2}
    wrong = "a = 1\nb = {1, 2}\nif a:\n    c = {1: 2}\nd = [open]\n"
    problems = problems_of(lambda: read("x.py", wrong))
    assert [problem.partition(": ")[0] for problem in problems] == ["x.py:2 b", "x.py:1 c", "x.py:5 d"]


def test_a_python_file_is_run_once_where_that_is_asked_for(read, capsys):
    with run_once():
        assert read("x.py", "a = 1\nprint('run')\n").data == read("x.py", "a = 1\nprint('run')\n").data
        for _ in range(2):
            assert len(problems_of(lambda: read("y.py", "print('run')\na = {1}\n"))) == 1
    assert capsys.readouterr() == ("", "run\nrun\n")


def test_a_file_that_the_system_does_not_let_us_read_is_told_with_a_mend(tmp_path):
    (tmp_path / "x.yaml").mkdir()
    (problem,) = problems_of(lambda: read_file(tmp_path / "x.yaml", "x.yaml"))
    assert problem.startswith("x.yaml: cannot be read: ")
    assert problem.endswith(" - see that it is a file, and that this user may read it")


@pytest.mark.parametrize(
    ("name", "text"),
    [("x.yaml", ""), ("x.yaml", "# only this\n"), ("x.yaml", "---\n"), ("x.json", " \n"), ("x.toml", "")],
)
def test_an_empty_file_says_nothing(read, name, text):
    assert read(name, text).data == {}


def test_aliases_that_would_fill_the_memory_are_refused(read):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (problem,) = problems_of(lambda: read("x.yaml", "\n".join(lines)))
    assert "has more than 100,000 values - write out what its aliases" in problem


def test_merge_keys_that_would_fill_the_memory_are_refused_and_what_they_repeat_is_one_key(read):
    section = ", ".join(f"k{n}: 1" for n in range(300))
    (problem,) = problems_of(lambda: read("x.yaml", f"a: &a {{{section}}}\nb: {{<<: [{'*a, ' * 400}]}}\n"))
    assert "x.yaml:2 b: has more than 100,000 values" in problem
    lines = "".join(f"a{n}: &a{n} {{<<: [{'*a' + str(n - 1) + ', '}{'*a' + str(n - 1)}]}}\n" for n in range(1, 60))
    assert read("x.yaml", f"a0: &a0 {{x: 1}}\n{lines}").data["a59"] == {"x": 1}


# Settled by the schema


SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "texts": {"type": "array", "items": {"type": "string"}},
        "flag": {"type": "boolean"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "day": {"type": "string", "format": "date"},
        "price": {"type": ["number", "string"], "format": "decimal"},
        "any": {},
    },
}


@pytest.mark.parametrize(
    "text", ["no", "on", "1.10", "1e5", "0755", "12:30:45", "2026-01-05", "1_000", ".inf", "2026-13-45"]
)
def test_where_a_text_is_expected_it_stays_the_text(read, text):
    document = read("x.yaml", f"text: {text}\ntexts: [{text}, b]\nno: 1\n")
    assert settle(document, SCHEMA) == []
    assert document.data == {"text": text, "texts": [text, "b"], "no": 1}


def test_where_something_else_is_expected_it_is_what_yaml_says(read):
    document = read("x.yaml", "flag: on\ncount: 1_000\nshare: 1e5\nday: 2026-01-05\nany: 1.10\n")
    assert settle(document, SCHEMA) == []
    assert document.data == {"flag": True, "count": 1000, "share": 1e5, "day": "2026-01-05", "any": 1.1}
    assert validate(document.data, SCHEMA) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yaml", 'day: !!timestamp "2026-01-05"\ntext: !!timestamp 2026-01-05\nprice: {}\n'),
        ("x.toml", "day = 2026-01-05\ntext = 2026-01-05\nprice = {}\n"),
        ("x.json", '{{"day": "2026-01-05", "text": "2026-01-05", "price": {}}}'),
    ],
)
def test_a_date_is_its_text_and_an_exact_number_keeps_its_digits_in_every_format(read, name, text):
    digits = "0.1234567890123456789012345678901234567890"
    document = read(name, text.format(digits))
    assert settle(document, SCHEMA) == []
    assert document.data["price"] == float(digits)  # for the schema's bounds
    restore_exact(document, SCHEMA)
    assert document.data == {"day": "2026-01-05", "text": "2026-01-05", "price": digits}


CONDITIONAL = {
    "properties": {"kind": {"enum": ["name", "number"]}},
    "if": {"properties": {"kind": {"const": "name"}}},
    "then": {"properties": {"value": {"type": "string"}}},
    "else": {"properties": {"value": {"type": "number"}}},
}
ONE_OF = {
    "oneOf": [
        {"properties": {"kind": {"const": "name"}, "value": {"type": "string"}}},
        {"properties": {"kind": {"const": "number"}, "value": {"type": "number"}}},
    ]
}


@pytest.mark.parametrize("schema", [CONDITIONAL, ONE_OF], ids=["if", "oneOf"])
@pytest.mark.parametrize(("kind", "value"), [("name", "1.10"), ("number", 1.1)])
def test_what_a_schema_leaves_open_is_decided_by_the_rest_of_the_document(read, schema, kind, value):
    document = read("x.yaml", f"kind: {kind}\nvalue: 1.10\n")
    assert settle(document, schema) == []
    assert document.data == {"kind": kind, "value": value}
    document = read("x.yaml", "kind: x\nvalue: x\n")  # also where the kind is said after the value
    apply_options(document, ["value=1.10", f"kind={kind}"], schema)
    assert settle(document, schema) == []
    assert document.data == {"kind": kind, "value": value}


@pytest.mark.parametrize("text", ["0755", "12:30", "0x10", "no", "1.10", "2026-01-05"])
@pytest.mark.parametrize("schema", [CONDITIONAL, ONE_OF], ids=["if", "oneOf"])
def test_where_the_rest_of_the_document_asks_for_a_text_it_stays_the_text(read, schema, text):
    document = read("x.yaml", f"kind: name\nvalue: {text}\n")
    assert settle(document, schema) == []
    assert document.data["value"] == text


def test_a_text_beside_an_exact_number_stays_one(read):
    exact = {"type": ["number", "string"], "format": "decimal", "pattern": "^[0-9.]+$"}
    schema = {"properties": {key: {"anyOf": [{"type": "string"}, exact]} for key in ("word", "price")}}
    document = read("x.yaml", "word: no\nprice: 1.10\n")
    assert settle(document, schema) == []
    assert document.data == {"word": "no", "price": 1.1}


@pytest.mark.parametrize("key", ["count", "share", "any", "nobody_knows"])
@pytest.mark.parametrize(("text", "number"), [("0755", 493), ("12:30", 750)])
def test_numbers_that_yaml_reads_otherwise_than_people_are_refused(read, key, text, number):
    (problem,) = settle(read("x.yaml", f"a: 1\n{key}: {text}\n"), SCHEMA)
    assert str(problem) == (
        f"x.yaml:2 {key}: {text} is {number} in YAML - put it in quotes if it is a text; the number is {number}"
    )


# Layers

NO_LIST_BELOW = "what is below is no list - say @replace, or the key without a mark"
REMOVED_OR_NOT = (
    "config/shop.local.yaml:1 old: a key is removed, or it is not - say true, or if_there, or take the line away"
)


@pytest.fixture
def layered(tmp_path):
    """Write config files by name and read their layers."""

    def load(files, environment=Environment.PRODUCTION, **settings):
        (tmp_path / "config").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "config" / name).write_text(text, encoding="utf-8")
        return read_layers(layer_files(tmp_path, "shop", environment), **settings)

    return load


def test_layers_may_be_of_different_formats(layered):
    document = layered({"shop.toml": "a = 1\nb = 1\n", "shop.production.json": '{"b": 2}', "shop.local.yaml": "c: 3\n"})
    assert document.data == {"a": 1, "b": 2, "c": 3}


def test_two_files_of_one_layer_are_refused(layered):
    (problem,) = problems_of(lambda: layered({"shop.yaml": "a: 1\n", "shop.toml": "a = 1\n"}))
    assert problem == "config/shop.yaml: there is shop.toml too - keep one of the two"


def test_code_is_run_only_where_the_project_allows_it(layered):
    files = {"shop.yaml": "a: 1\nb: 1\n", "shop.py": "b = 1 + 1\n"}
    (problem,) = problems_of(lambda: layered(files))
    assert problem.startswith(
        "config/shop.py: is code, and this project runs none for its configuration - say `config:"
    )
    assert layered(files, allow_python=True).data == {"a": 1, "b": 2}


def test_a_list_is_appended_to_a_section_replaced_and_a_key_removed_where_the_key_says_so(layered):
    base = "tags: [a, b]\npool: {size: 1, wait: 2}\nold: 1\nkeep: {x: {y: 1}}\n"
    local = "tags@append: [c, {d: 1}]\npool@replace: {size: 3}\nold@remove: true\nkeep: {x@remove: true, z: 2}\n"
    document = layered({"shop.yaml": base, "shop.local.yaml": local})
    assert document.data == {"tags": ["a", "b", "c", {"d": 1}], "pool": {"size": 3}, "keep": {"z": 2}}
    origins = {path: str(origin) for path, origin in document.origins.items()}
    assert origins["tags", 1] == "config/shop.yaml:1"
    assert origins["tags", 3, "d"] == "config/shop.local.yaml:1"
    assert ("pool", "wait") not in origins


@pytest.mark.parametrize(
    ("local", "told"),
    [
        (
            "x: 1\npool@append: [1]\n",
            f"config/shop.local.yaml:2 pool: nothing can be appended: {NO_LIST_BELOW}",
        ),
        (
            "tags@append: 1\n",
            "config/shop.local.yaml:1 tags: nothing can be appended: this is no list - write it as one: [a, b]",
        ),
        (
            "olf@remove: true\n",
            "config/shop.local.yaml:1 olf: there is nothing below to remove - take the line away, or say if_there",
        ),
        (
            "old@remove: false\n",
            REMOVED_OR_NOT,
        ),
    ],
)
def test_a_mark_that_does_not_fit_is_told(layered, local, told):
    base = "tags: [a]\npool: {size: 1}\nold: 1\n"
    assert problems_of(lambda: layered({"shop.yaml": base, "shop.local.yaml": local})) == [told]


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("tags@append=1.10, no", "tags", ["a", "1.10", "no"]),
        ("pool@replace={wait: 1.10}", "pool", {"wait": "1.10"}),
        ("items@remove=true", "items", None),
        ("nick@remove=if_there", "nick", None),
        ("nosuch@remove=if_there", "nosuch", None),
        ("sources.a@replace={path: 1.10}", "sources", {"a": {"path": "1.10"}}),
    ],
)
def test_an_option_meets_what_is_below_it_as_its_mark_says(varied, option, key, value):
    assert varied(options=[option]).get(key) == value


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("items@append=x", "--set items@append items: nothing can be appended: this is no list"),
        ("items@remove=yes", "--set items@remove items: a key is removed, or it is not - say true, or if_there"),
        ("nick@remove=true", "--set nick@remove nick: there is nothing below to remove"),
        ("tagz@append=[x]", "--set tagz@append: there is no key 'tagz' - did you mean 'tags'?"),
        ("tags.0@append=[x]", "--set tags.0@append tags.0: layers do not meet within a list, so nothing can be said"),
        ("sources.=x", "--set sources. sources: there is no key '.'"),
    ],
)
def test_an_option_whose_mark_or_key_does_not_fit_is_told(varied, option, told):
    (problem,) = problems_of(lambda: varied(options=[option]))
    assert problem.startswith(told)


# Variables and options: what plain dynaconf 3.3 gets wrong


VARIED = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "version": {"type": "string"},
        "items": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "sections": {"type": "array", "items": {"type": "object"}},
        "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "boolean"}]},
        "nick": {"type": ["string", "null"]},
        "size": {"type": ["integer", "null"]},
        "on": {"type": "boolean"},
        "share": {"type": "number"},
        "wild": {"default": None},
        "z_hidden": {"writeOnly": True},
        "pool": {"type": "object", "properties": {"size": {"type": "integer"}, "wait": {"type": "string"}}},
        "tables": {
            "type": "object",
            "patternProperties": {"^silver\\.": {"properties": {"input": {"type": "string"}}}},
        },
        "sources": {"type": "object", "additionalProperties": {"properties": {"path": {"type": "string"}}}},
    },
}


@pytest.fixture
def varied(layered):
    base = 'version: "1"\npool: {size: 1, wait: "5m"}\ntags: [a]\nitems: x\ntables: {silver.a: {input: b}}\n'

    def load(variables=None, options=()):
        document = layered({"shop.yaml": base})
        apply_variables(document, "shop", variables or {}, VARIED)
        apply_options(document, options, VARIED)
        assert settle(document, VARIED) == []
        return document.data

    return load


@pytest.mark.parametrize(
    "text", ["1.10", "1e5", "2026-01-05", "no", "0755", "@format {env[HOME]}", "@int 5", "{'a': 1}"]
)
def test_a_text_is_not_guessed_at(varied, text):
    assert varied({"SHOP_VERSION": text, "SHOP_ITEMS": text})["version"] == text
    assert varied({"SHOP_ITEMS": text})["items"] == text
    assert varied(options=[f"version={text}"])["version"] == text
    assert varied({"SHOP_TAGS": f'["{text}", b]'})["tags"] == [text, "b"]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("12", "size", 12),
        ("1_000", "size", 1000),
        ("null", "size", None),
        ("010", "size", "010"),
        ("12.0", "size", "12.0"),
        ("yes", "on", True),
        ("0", "on", False),
        ("maybe", "on", "maybe"),
        ("1e5", "share", 1e5),
        ("1e1", "size", 10),
        ("1e-1", "size", "1e-1"),
        ("1e999", "size", "1e999"),
        ("1", "wild", 1),
        ("1.10", "wild", 1.1),
        ("[1, no]", "wild", [1, False]),
        ("{a: 1}", "wild", {"a": 1}),
        ("null", "wild", None),
        ("yes", "wild", "yes"),
        ("1", "z_hidden", "1"),
        ("nan", "share", "nan"),
        ("1.10, no", "tags", ["1.10", "no"]),
        ("[]", "tags", []),
        ("[1, 2], [3]", "grid", [[1, 2], [3]]),
        ("[[1, 2]]", "grid", [[1, 2]]),
        ("{a: 1}, {b: 2}", "sections", [{"a": 1}, {"b": 2}]),
        ("a\nother: 1", "tags", "a\nother: 1"),
        ("a, b", "either", "a, b"),
        ("[a, b]", "either", ["a", "b"]),
        ("yes", "either", "yes"),
        ("true", "either", True),
        ("~", "nick", "~"),
        ("null", "nick", None),
        ("9" * 5000, "size", "9" * 5000),
    ],
    ids=lambda each: str(each)[:30],
)
def test_a_value_becomes_what_the_schema_says_or_stays_a_text_for_it_to_refuse(varied, text, key, value):
    assert varied({f"SHOP_{key.upper()}": text})[key] == value
    assert varied(options=[f"{key}={text}"])[key] == value


def test_a_section_keeps_its_other_keys(varied):
    assert varied({"SHOP_POOL__SIZE": "9"})["pool"] == {"size": 9, "wait": "5m"}


def test_a_variable_of_somebody_else_is_no_key(varied):
    assert "home" not in varied({"SHOP_HOME": "/opt/shop", "SHOP": "1", "SHOP_": "1", "SHOPPING_SIZE": "3"})


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("SHOP_VERSON", "SHOP_VERSON: the variable names no key: VERSON - did you mean VERSION?"),
        ("SHOP_POOL__SISE", "SHOP_POOL__SISE: the variable names no key: SISE - did you mean SIZE?"),
        ("SHOP_NO__WHERE", "SHOP_NO__WHERE: the variable names no key: NO - there are EITHER, GRID, ITEMS"),
    ],
)
def test_a_variable_that_was_meant_for_us_and_names_no_key_is_told(varied, variable, told):
    (problem,) = problems_of(lambda: varied({variable: "1"}))
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("pool.sise=1", "--set pool.sise pool: there is no key 'sise' - did you mean 'size'?"),
        ("hunter2", "--set: expected KEY=VALUE - such as --set lake=./pond"),
        ("=hunter2", "--set: expected KEY=VALUE"),
    ],
)
def test_an_option_that_names_no_key_is_told(varied, option, told):
    (problem,) = problems_of(lambda: varied(options=[option]))
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("tables.silver.a.input", ("tables", "silver.a", "input")),
        ("sources.days.path", ("sources", "days", "path")),
        ("pool.size", ("pool", "size")),
        ("tags.0", ("tags", 0)),
    ],
)
def test_a_dotted_key_finds_names_with_points_in_them(key, path):
    data = {"tables": {"silver.a": {"input": "b"}}, "tags": ["a"]}
    assert path_of(key, data, VARIED) == (path, "")


# Without a schema


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("port", "9", 9),
        ("port", "1.5", 1.5),
        ("on", "no", False),
        ("tags", "a, b", ["a", "b"]),
        ("host", "1.10", "1.10"),
    ],
)
def test_without_a_schema_the_value_in_the_files_gives_the_type(read, key, text, value):
    document = read("shop.yaml", "port: 8080\non: true\ntags: [x]\nhost: a\n")
    apply_variables(document, "shop", {f"SHOP_{key.upper()}": text}, {})
    assert document.data[key] == value


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        ("port", "abc", "port: expected a number as in shop.yaml:1, got 'abc'"),
        ("on", "maybe", "on: expected true or false as in shop.yaml:2, got 'maybe'"),
        ("pool", "3", "pool: expected a section as in shop.yaml:3, got '3'"),
        ("token", "hunter2", "token: the value does not fit; it is a secret, and not shown"),
    ],
)
def test_without_a_schema_what_is_nothing_such_as_the_value_in_the_files_is_refused(read, key, text, told):
    document = read("shop.yaml", "port: 8080\non: true\npool: {size: 1}\ntoken: 1\n")
    (problem,) = problems_of(lambda: apply_variables(document, "shop", {f"SHOP_{key.upper()}": text}, {}))
    assert problem.startswith(f"SHOP_{key.upper()} {told}")
    assert "`oreflow config schema MODULE:Class > config/schemas/NAME.schema.json`" in problem


def test_where_only_a_program_can_know_a_key_it_is_told_how_to_say_so(read):
    document = read("shop.yaml", "port: 8080\n")
    for call in (
        lambda: apply_options(document, ["pool_size=5"], {}),
        lambda: apply_variables(document, "shop", {"SHOP_POOL__SIZE": "5"}, {}),
    ):
        (problem,) = problems_of(call)
        assert "if a program has such a key, say its form: `oreflow config schema MODULE:Class" in problem


# What could mean more than one key


def test_a_variable_belongs_to_the_configuration_with_the_longest_name(read):
    names = ["shop", "shop_db"]
    shop, db = read("shop.yaml", "db: {host: a}\n"), read("shop_db.yaml", "host: b\n")
    for document, name in ((shop, "shop"), (db, "shop_db")):
        apply_variables(document, name, {"SHOP_DB_HOST": "c", "SHOP_DB__HOST": "d"}, {}, names)
    assert (shop.data, db.data) == ({"db": {"host": "d"}}, {"host": "c"})


@pytest.mark.parametrize(
    ("text", "names", "variable", "told"),
    [
        (
            "db_host: a\n",
            ["shop", "shop_db"],
            "SHOP_DB_HOST",
            "could mean 'db_host' of 'shop', and is a variable of 'shop_db'",
        ),
        ("host: a\n", ["shop", "Shop"], "SHOP_HOST", "could be a variable of each of 'Shop' and 'shop'"),
        ("_x: a\n", ["sh", "shop"], "SHOP___X", "the variable names no key: __"),
        ("a_b: 1\na-b: 2\n", ["shop"], "SHOP_A_B", "could mean each of a_b, a-b"),
    ],
)
def test_a_variable_that_could_mean_two_keys_is_refused(read, text, names, variable, told):
    document = read("shop.yaml", text)
    (problem,) = problems_of(lambda: apply_variables(document, "shop", {variable: "1"}, {}, names))
    assert problem.startswith(f"{variable}: {told}")


def test_a_variable_of_two_others_is_no_matter_of_a_third_one(read):
    document = read("a.yaml", "x: 1\n")
    apply_variables(document, "a", {"A_B_C": "1"}, {}, ["a", "a-b", "a_b"])
    apply_variables(document, "a-b", {"A_B___X": "1"}, {}, ["a", "a-b"])
    assert document.data == {"x": 1}
    (problem,) = problems_of(lambda: apply_variables(document, "a-b", {"A_B_C": "1"}, {}, ["a", "a-b", "a_b"]))
    assert problem.startswith("A_B_C: could be a variable of each of 'a-b' and 'a_b'")


def test_an_option_that_could_mean_two_keys_is_refused(read):
    document = read("shop.yaml", "a.b: 1\na: {b: 2}\n")
    (problem,) = problems_of(lambda: apply_options(document, ["a.b=3"], {}))
    assert problem.startswith("--set a.b: could mean each of two keys: shop.yaml:1 and shop.yaml:2")


def test_a_schema_that_leads_back_to_itself_and_patterns_that_python_does_not_know_are_walked(read):
    again = {"$ref": "#"}
    schema = {
        "anyOf": [again, again, {"properties": {"a": again}}],
        "patternProperties": {"^\\p{L}$": {"type": "string"}},
    }
    document = read("shop.yaml", "a: {b: 1.10}\n")
    apply_options(document, ["a.a.c=2"], schema)
    assert settle(document, schema) == []
    assert document.data == {"a": {"b": "1.10", "a": {"c": "2"}}}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", "shop.yaml", "a\\b", "a\0", "x" * 5000], ids=range(7))
def test_a_name_is_no_path(tmp_path, name):
    (problem,) = problems_of(lambda: layer_files(tmp_path, name, Environment.TEST))
    assert "is no name of a configuration - say NAME where the file is config/NAME.yaml" in problem
