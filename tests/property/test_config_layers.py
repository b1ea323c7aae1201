"""Any layers give what the plainest model of merging gives, and every value knows the layer that said it."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from oreflow.config import ConfigManager
from oreflow.config.layers import Environment
from oreflow.contract import DeclarationError
from oreflow.pipeline.versions import overlay


def joined(section):
    """The keys with their marks."""
    if not isinstance(section, dict):
        return section
    return {"".join(key) if isinstance(key, tuple) else key: joined(value) for key, value in section.items()}


NAMES = st.sampled_from(["a", "b", "items", "x.y", "no", "1"])
SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "no", "1.10", "${x}", "@int 1", "ä\n"])
LISTS = st.lists(SCALARS, max_size=3)
SECTIONS = st.recursive(
    st.dictionaries(NAMES, SCALARS | LISTS, max_size=4),
    lambda below: st.dictionaries(NAMES, SCALARS | LISTS | below, max_size=4),
    max_leaves=12,
)
MARKED = st.recursive(
    st.dictionaries(st.tuples(NAMES, st.sampled_from(["", "", "@append", "@replace", "@remove"])), SCALARS | LISTS),
    lambda below: st.dictionaries(
        st.tuples(NAMES, st.sampled_from(["", "", "", "@append", "@replace"])), SCALARS | LISTS | below, max_size=4
    ),
    max_leaves=8,
).map(joined)


def model(below, above):
    """Merging in the fewest words; None where a mark does not fit."""
    made = copy.deepcopy(below)
    for key, value in above.items():
        name, _, mark = key.partition("@")
        if mark == "remove":
            if value is not True or name not in made:
                return None
            del made[name]
        elif mark == "append":
            if not isinstance(value, list) or not isinstance(made.get(name, []), list):
                return None
            made[name] = made.get(name, []) + value
        elif isinstance(value, dict):
            there = made.get(name) if not mark else None
            inner = model(there if isinstance(there, dict) else {}, value)
            if inner is None:
                return None
            made[name] = inner
        else:
            made[name] = copy.deepcopy(value)
    return made


def effective(layers, kind="json"):
    """The data and the snapshot of a configuration with these layers."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config")
        config.mkdir()
        for name, layer in zip(("app", "app.production", "app.local"), layers, strict=True):
            (config / f"{name}.{kind}").write_text(json.dumps(layer), encoding="utf-8")
        snapshot = ConfigManager(folder, environment=Environment.PRODUCTION, variables={}).snapshot("app")
        return json.loads(json.dumps(snapshot.document.data)), snapshot


@settings(deadline=None, max_examples=200)
@given(SECTIONS, MARKED, MARKED)
def test_layers_merge_as_the_model_says(base, environment, local):
    wanted = {}
    for layer in (base, environment, local):
        wanted = None if wanted is None else model(wanted, layer)
    try:
        found, snapshot = effective((base, environment, local))
    except DeclarationError as error:
        assert wanted is None, error
        return
    assert found == wanted
    for key, said in snapshot.explain("") if found else []:
        standing = [each for each in said if each.status in ("effective", "appended")]
        for each in standing:
            assert each.place.startswith("config/app"), key


@settings(deadline=None, max_examples=100)
@given(SECTIONS, SECTIONS)
def test_a_rollback_s_layer_makes_of_any_configuration_any_other(below, wanted):
    layer = overlay(below, wanted)
    assert effective((below, {}, layer))[0] == wanted
    assert effective((below, {}, layer), kind="yaml")[0] == wanted


@settings(deadline=None, max_examples=100)
@given(SECTIONS, SECTIONS)
def test_the_version_of_a_configuration_is_that_of_its_content(one, other):
    first, second = effective((one, {}, {}))[1], effective((other, {}, {}))[1]
    assert (first.version == second.version) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))
    assert effective(({}, {}, one))[1].version == first.version
