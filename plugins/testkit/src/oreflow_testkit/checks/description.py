"""Is it as it describes itself, and does it speak plainly? These checks look at metadata, options and messages."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import jsonschema_rs

from oreflow.contract import DeclarationError, OreflowError, Problem, ProcessingConfig, StepError
from oreflow_testkit.errors import ContractBroken, NotApplicable
from oreflow_testkit.given import GIVEN
from oreflow_testkit.outcome import carry_out
from oreflow_testkit.subject import Subject, offers_of, told

HEAVY = ("deltalake", "fastapi", "numpy", "pandas", "polars", "pyarrow", "pyspark")
"""What no plugin may load before it is needed."""

_UNKNOWN_KEY = "no_such_option"
# One of each kind of JSON value; none that anybody would mean.
_SAMPLES: tuple[Any, ...] = ({_UNKNOWN_KEY: [{}]}, [{_UNKNOWN_KEY: []}], -7.25, "\x00no such value", True, None)
_REPR = re.compile(
    r"<class '|<(?:bound method|built-in function|function|module) |\bat 0x[0-9a-fA-F]+\b|<\w+(?:\.\w+)*: |"
    r"\b(?:mappingproxy|dict_keys|dict_values|dict_items)\("
)
_VARIANTS = 200
_TIMEOUT = 60  # seconds
_LOADED = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
before = set(sys.modules)
importlib.import_module(sys.argv[2])
print("\\n" + json.dumps(sorted(set(sys.modules) - before)))
"""


def option_schema(subject: Subject) -> None:
    """A valid JSON Schema describes the options; it takes example and defaults, and refuses any other by name."""
    schema = dict(subject.metadata.option_schema)
    try:
        jsonschema_rs.Draft202012Validator({"type": "object", **schema})
    except Exception as error:
        raise ContractBroken(f"option_schema is no JSON Schema (draft 2020-12): {_line(error)}") from error
    properties: Mapping[str, Any] = schema.get("properties", {})
    for name, about in properties.items():
        if not isinstance(about, Mapping) or not str(about.get("description", "")).strip():
            raise ContractBroken(f"the option {name} has no description - say in its schema what it is for")
    for name, about in _with_default(schema):
        if wrong := list(_validator(schema, about).iter_errors(about["default"])):
            raise ContractBroken(
                f"the default of the option {name} does not fit the option's own schema: {wrong[0].message}"
                " - change one of them; who says nothing gets the default"
            )
    subject.offer()
    problems = _problems(subject, {**subject.options, _UNKNOWN_KEY: 1})
    if not any(_UNKNOWN_KEY in str(problem) for problem in problems):
        said = "; ".join(map(str, problems)) or "nothing"
        raise ContractBroken(
            f"an option that does not exist, {_UNKNOWN_KEY}, is not refused by its name (said: {said})"
            " - leave additionalProperties away, so that a slip of the pen is noticed"
        )
    for name in properties:
        _expect_refusal(subject, schema, name)


def _with_default(schema: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The options that have a default, and the keys within options, with the schema of each."""
    for name, about in schema.get("properties", {}).items():
        if isinstance(about, Mapping):
            if "default" in about:
                yield within + name, about
            yield from _with_default(about, f"{within}{name}.")


def _validator(schema: Mapping[str, Any], part: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A part of a schema as one that stands alone."""
    referred_to = {key: value for key, value in schema.items() if key in ("$schema", "$id", "$defs", "definitions")}
    return jsonschema_rs.Draft202012Validator({**referred_to, **part})


def _expect_refusal(subject: Subject, schema: Mapping[str, Any], name: str) -> None:
    alone = _validator(schema, schema["properties"][name])
    wrong = [sample for sample in _SAMPLES if not alone.is_valid(sample)]
    if not wrong:
        raise ContractBroken(f"the option {name} takes everything - say its type in option_schema")
    for sample in wrong:
        problems = _problems(subject, {**subject.options, name: sample})
        there = [problem for problem in problems if problem.path[:1] == (name,)]
        if not there or not all(problem.message.strip() for problem in there):
            raise ContractBroken(
                f"{json.dumps(sample)} is no {name}, and no problem says so at its place"
                f" (said: {'; '.join(map(str, problems)) or 'nothing'})"
            )


def options(subject: Subject) -> None:
    """An option that is not required can be left out: the processor works without it, or refuses in words."""
    inputs = subject.inputs("options")
    for name in subject.options:
        left = replace(subject, options={key: value for key, value in subject.options.items() if key != name})
        if _problems(left, left.options):
            continue  # it is required, by the schema or by what validate_config says
        try:
            output = left.process(left.create(), inputs, left.step())
            carry_out(output, left.engine)
        except Exception as error:
            if isinstance(error.__cause__, StepError):
                continue  # without it other data are wanted than those of the example
            what = error if isinstance(error, (AssertionError, OreflowError)) else told(error)
            raise ContractBroken(
                f"without the option {name}, which is not required, it does not work: {what} - read it with"
                f" step.options.get('{name}'), give it a default in option_schema, or name it under `required`"
            ) from error


def messages(subject: Subject) -> None:
    """Whatever it says to a user is in words: no text is empty, or has a Python object's repr in it."""
    _expect_words("its description", subject.metadata.description)
    schema = {"type": "object", "additionalProperties": False, **subject.metadata.option_schema}
    validator = jsonschema_rs.Draft202012Validator(schema)
    tried = [{}, {_UNKNOWN_KEY: 1}, *({**subject.options, name: _SAMPLES[0]} for name in schema.get("properties", {}))]
    tried += islice(_variants(dict(subject.options)), _VARIANTS)
    for options in tried:
        config = subject.config(options).for_processor(subject.metadata)
        if validator.is_valid(dict(config.options)):
            _expect_answer(subject, config)
        for problem in _problems(subject, options):
            _expect_words("a problem", problem.message)
            _expect_words("what mends a problem", problem.mend, may_be_empty=True)
    loaded = subject.load("messages", [*subject.rows, dict.fromkeys(subject.columns, "\x01?")])
    for row in loaded.lake.quarantine(loaded.table):
        for rule in row["_rules"]:
            _expect_words("the name of a rule", rule)
        _expect_words("the reason of a quarantined row", row["_reason"])


def _expect_answer(subject: Subject, config: ProcessingConfig) -> None:
    try:
        subject.factory.hooks.hook.validate_config(name=subject.metadata.name, config=config)
    except Exception as error:
        raise ContractBroken(
            f"validate_config raises {told(error)} for options that fit the schema: {json.dumps(dict(config.options))}"
            " - answer with a Problem"
        ) from error


def _expect_words(what: str, text: object, *, may_be_empty: bool = False) -> None:
    if not isinstance(text, str) or (not text.strip() and not may_be_empty):
        raise ContractBroken(f"{what} is empty - say what was found, and where it helps, what to do")
    if found := _REPR.search(text):
        raise ContractBroken(f"{what} shows how Python prints an object ('{found[0]}'): {text} - say it in words")


def _variants(value: Any) -> Iterator[Any]:
    """Options as somebody might get them wrong: one place at a time, mostly without leaving its type."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield {k: v for k, v in value.items() if k != key}
            yield from ({**value, key: other} for other in _variants(inner))
    elif isinstance(value, list):
        yield []
        for place, inner in enumerate(value):
            yield from ([*value[:place], other, *value[place + 1 :]] for other in _variants(inner))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (-1, 0)
    elif isinstance(value, str):
        yield from ("", "no such thing")


def _problems(subject: Subject, options: Mapping[str, Any]) -> Sequence[Problem]:
    """What the host would tell the user of these options."""
    try:
        subject.factory.select(subject.config(options), name=subject.name)
    except DeclarationError as error:
        return error.problems
    except Exception as error:
        raise ContractBroken(f"the host cannot judge the options {json.dumps(dict(options))}: {told(error)}") from error
    return ()


def start_up(subject: Subject) -> None:
    """Its entry point loads neither a heavy library nor the step itself, so that every command stays quick."""
    module = _entry_module(subject)
    command = [sys.executable, "-c", _LOADED, json.dumps(sys.path), module]
    done = subprocess.run(  # noqa: S603  this interpreter, and a module's name that an entry point gave
        command, capture_output=True, text=True, check=False, timeout=_TIMEOUT
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ContractBroken(f"its entry point {module} cannot be imported in a process of its own: {lines[-1]}")
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    mend = "import it within create_processor, or within process()"
    if heavy := sorted(loaded.intersection(HEAVY)):
        raise ContractBroken(f"importing {module} loads {', '.join(heavy)} - {mend}")
    home = type(subject.create()).__module__
    if home != module and home in loaded:
        raise ContractBroken(f"importing {module} loads the step itself, {home} - {mend}")


def _entry_module(subject: Subject) -> str:
    plugins = {offer.plugin for offer in offers_of(subject.factory, subject.name)}
    for point in importlib.metadata.entry_points(group="oreflow.plugins"):
        home = point.dist.name if point.dist else "unknown"
        if f"{home}:{point.name}" in plugins and not (home == GIVEN and point.attr):
            return point.module
    raise NotApplicable("it has no entry point: it was registered by hand, given to a test, or is a project's own")


def _line(error: object) -> str:
    return " ".join(str(error).split())[:_VARIANTS]
