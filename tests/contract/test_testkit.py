"""The kit catches what it says that it catches: for every check processors that fail it, and one that passes all.

Each faulty processor is the good one with a single change, handed to oreflow in place of what is installed.
"""

from __future__ import annotations

import importlib
import itertools
import os
import random
import re
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest

import oreflow
import oreflow_testkit
from oreflow import DataType, Output, Overwrite, Processor, ProcessorMetadata, Rule, Step
from oreflow.contract import DeclarationError, Problem
from oreflow_testkit import CHECKS, ProcessorConformance, judge
from oreflow_testkit.judgement import outcome_of, places, subject_of
from oreflow_testkit.trap import holds, unreadable

OPTIONS = {"limit": 1000, "types": {"amount": "decimal(18,2)"}}
METADATA = ProcessorMetadata(
    name="tidy",
    version="1.0.0",
    description="Amounts as decimals; what is none goes to the quarantine",
    engine="any",
    supported_stages=["silver"],
    capabilities=["batch", "incremental"],
    option_schema={
        "properties": {
            "limit": {"type": "integer", "description": "the highest amount that is believed"},
            "types": {"type": "object", "description": "the type of each column that is not text"},
        }
    },
    example={"options": OPTIONS},
)
NO_PACKAGE = "does not apply: it has no entry point: it was registered by hand, given to a test, or is a project's own"
STANDARD = ("polars", "delta", "bronze")
COLUMNS = ("id", "name", "amount", "day", "note")


class Tidy(Processor):
    """A good one; the faulty ones change what it makes."""

    metadata = METADATA

    def process(self, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        (rows,) = inputs.values()
        rows = rows.with_columns(nw.col("amount").alias("_oreflow_text"))
        kind = DataType.parse(step.options["types"]["amount"])
        rows = step.engine.cast_columns(rows, {"amount": ("_oreflow_text", kind, "")})
        broken = nw.col("amount").is_null() & ~nw.col("_oreflow_text").is_null()
        reason = nw.concat_str(nw.lit("amount: no number: "), nw.col("_oreflow_text"))
        output = Output(rows, COLUMNS, [Rule("amount is a number", broken, reason)])
        return self.changed(output, inputs, step)

    def changed(self, output: Output, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        return output


class Plugin:
    """A plugin in its simplest form."""

    def __init__(self, processor: type[Processor], metadata: ProcessorMetadata, validate: Any) -> None:
        self.metadata, self._processor, self._validate = metadata, processor, validate

    def create_processor(self, config):
        return self._processor(config)

    def validate_config(self, config):
        return self._validate(config)


def nothing_wrong(config):
    return []


def also(output: Output, **columns: nw.Expr) -> Output:
    """The output with more columns."""
    rows = output.rows.with_columns(*[expression.alias(name) for name, expression in columns.items()])
    return replace(output, rows=rows, columns=(*output.columns, *columns))


@pytest.fixture
def tried(oreflow_plugins, tmp_path) -> Callable[..., str]:
    """What a check says against a processor; '' where it passes."""

    def judged(check: str, processor=Tidy, *, metadata=METADATA, validate=nothing_wrong, more=(), **said: Any) -> str:
        oreflow_plugins(Plugin(processor, metadata, validate), *more, *STANDARD)
        place = next(place for place in places("tidy") if place.engine == said.get("engine", place.engine))
        said.pop("engine", None)
        (found,) = [each for each in CHECKS if each.name == check]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        passed, reason = outcome_of(found, subject_of("tidy", place, folder, **said))
        assert passed == (not reason) or reason.startswith("does not apply")
        return reason

    return judged


def assert_says(found: str, words: str) -> None:
    assert re.search(words, found), found or "nothing was found"


@pytest.mark.parametrize("check", [check.name for check in CHECKS])
def test_a_good_processor_passes(check, tried):
    assert tried(check) == ("" if check != "start_up" else NO_PACKAGE)


def test_every_check_says_what_it_proves_in_a_sentence():
    for check in CHECKS:
        assert check.proves.endswith(".")
        assert ". " not in check.proves, check.name


# purity


class OpensAFile(Tidy):
    def changed(self, output, inputs, step):
        Path(__file__).read_text(encoding="utf-8")
        return output


class OpensAFileInAnotherFunction(Tidy):
    def changed(self, output, inputs, step):
        return _opens(output)


def _opens(output):
    with Path(os.devnull).open(encoding="utf-8"):
        return output


class ReadsWithALibrary(Tidy):
    def changed(self, output, inputs, step):
        pl.scan_parquet(os.devnull)  # opens nothing that Python knows of
        return output


class Writes(Tidy):
    def changed(self, output, inputs, step):
        output.rows.sink_parquet(os.devnull)
        return output


class OpensASocket(Tidy):
    def changed(self, output, inputs, step):
        socket.socket().close()
        return output


class StartsAProcess(Tidy):
    def changed(self, output, inputs, step):
        subprocess.run([sys.executable, "-V"], stdout=subprocess.DEVNULL, check=True)
        return output


class SetsAVariable(Tidy):
    def changed(self, output, inputs, step):
        os.environ["OREFLOW_TESTKIT_WAS_HERE"] = "1"
        return output


class StartsAThread(Tidy):
    def changed(self, output, inputs, step):
        thread = threading.Thread(target=len, args=("",))
        thread.start()
        thread.join()
        return output


class ChangesItsInputs(Tidy):
    def changed(self, output, inputs, step):
        inputs["bronze.rows"] = output.rows
        return output


class ChangesItsOptions(Tidy):
    def changed(self, output, inputs, step):
        step.options["types"]["note"] = "string"
        return output


class ChangesItsConfiguration(Tidy):
    def changed(self, output, inputs, step):
        self.config.options["types"].clear()
        return output


class LeavesItToChance(Tidy):
    def changed(self, output, inputs, step):
        return also(output, chance=nw.lit(random.random()))


class Counts(Tidy):
    calls = itertools.count()

    def changed(self, output, inputs, step):
        return also(output, call=nw.lit(next(self.calls)))


class NamesRulesByCall(Tidy):
    calls = itertools.count()

    def changed(self, output, inputs, step):
        return replace(output, rules=[replace(rule, name=f"rule {next(self.calls)}") for rule in output.rules])


class Raises(Tidy):
    def changed(self, output, inputs, step):
        raise KeyError("amount")


class ReturnsAFrame(Tidy):
    def changed(self, output, inputs, step):
        return output.rows


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (OpensAFile, "open .*test_testkit.py.*in changed"),
        (OpensAFileInAnotherFunction, "open .*in _opens"),
        (ReadsWithALibrary, r"polars\.scan_parquet \(in changed"),
        (Writes, r"narwhals\.sink_parquet \(in changed"),
        (OpensASocket, r"socket\.__new__"),
        (StartsAProcess, r"subprocess\.Popen"),
        (SetsAVariable, r"os\.putenv"),
        (StartsAThread, r"thread\.start_new_thread"),
        (ChangesItsInputs, "changed the mapping of its inputs"),
        (ChangesItsOptions, r"changed step\.options"),
        (ChangesItsConfiguration, r"changed config\.options"),
        (LeavesItToChance, "gives something else when it is called twice"),
        (Counts, "gives something else when it is called twice"),
        (NamesRulesByCall, "its rules is"),
        (Raises, r"process\(\) raised KeyError: 'amount'"),
        (ReturnsAFrame, "returned a LazyFrame - return an Output"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_purity_catches(processor, words, tried, monkeypatch):
    monkeypatch.setenv("OREFLOW_TESTKIT_WAS_HERE", "0")
    found = tried("purity", processor)
    assert_says(found, words)


# laziness


class Collects(Tidy):
    def changed(self, output, inputs, step):
        highest = output.rows.select(nw.col("amount").max()).collect().item()
        return also(output, highest=nw.lit(highest))


class CountsRows(Tidy):
    def changed(self, output, inputs, step):
        return also(output, rows=nw.lit(inputs["bronze.rows"].select(nw.len()).collect().item()))


class CountsByTheEngine(Tidy):
    def changed(self, output, inputs, step):
        collected = step.engine.execute({}, {"rows": inputs["bronze.rows"].head(1)}).collected["rows"]
        return also(output, rows=nw.lit(len(collected)))


class CollectsItsHistory(Tidy):
    def changed(self, output, inputs, step):
        if (seen := step.history("bronze.rows")) is not None:
            seen.collect()
        return output


class IsEager(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=output.rows.collect())


@pytest.mark.parametrize("processor", [Collects, CountsRows, CountsByTheEngine, CollectsItsHistory])
def test_laziness_catches(processor, tried):
    assert_says(tried("laziness", processor), "reads rows while it builds its plan")


def test_laziness_catches_an_eager_answer(tried):
    assert_says(tried("laziness", IsEager), "are a DataFrame - return a narwhals LazyFrame")


def test_the_trap_of_laziness_holds_on_every_engine(engine, tmp_path, text_frame):
    frame = text_frame(["a", None, "c"])
    trapped = unreadable(frame, engine, tmp_path / "trap")
    assert trapped.collect_schema() == frame.collect_schema()
    for reading in (trapped, trapped.select(nw.len().alias("rows")), trapped.head(1)):
        with pytest.raises(oreflow.StepError):
            engine.execute({}, {"rows": reading})
    assert holds(trapped, engine)
    assert not holds(frame, engine)


# pickling


class HoldsALock(Tidy):
    def __init__(self, config):
        super().__init__(config)
        self.lock = threading.Lock()


class ForgetsHalfOfItself(Tidy):
    def __init__(self, config):
        super().__init__(config)
        self.suffix = "!"

    def __getstate__(self):
        return {"config": self.config}

    def changed(self, output, inputs, step):
        return also(output, loud=nw.concat_str(nw.col("name"), nw.lit(self.suffix)))


class ComesBackAnother(ForgetsHalfOfItself):
    def __setstate__(self, state):
        vars(self).update(state, suffix="?")


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (HoldsALock, "cannot be pickled: TypeError"),
        (ForgetsHalfOfItself, "no longer works: .* has no attribute 'suffix'"),
        (ComesBackAnother, "gives something else: .*loud"),
    ],
)
def test_pickling_catches(processor, words, tried):
    assert_says(tried("pickling", processor), words)


def test_pickling_is_not_asked_of_a_processor_for_an_engine_within_the_process(tried):
    reason = tried("pickling", HoldsALock, metadata=replace(METADATA, engine="polars"))
    assert reason == "does not apply: it is for the engine polars alone, which is not distributed"


# engines


class SaysAnother(Tidy):
    metadata = replace(METADATA, version="0.9")


class KnowsTheEngine(Tidy):
    def changed(self, output, inputs, step):
        return also(output, made_by=nw.lit(step.engine.metadata.name))


class Mirror:
    """A second engine: Polars under another name."""

    oreflow_api = 1

    @oreflow.hookimpl
    def engines(self):
        from oreflow_polars.plugin import METADATA as POLARS

        return [replace(POLARS, name="mirror")]

    @oreflow.hookimpl
    def create_engine(self, name):
        from oreflow_polars.engine import PolarsEngine

        if name != "mirror":
            return None
        made = PolarsEngine()
        made.metadata = replace(made.metadata, name="mirror")
        return made


def test_engines_catches_metadata_that_differ(tried):
    assert_says(tried("engines", SaysAnother), "says of itself something else")


def test_engines_catches_tables_that_differ(tried):
    assert tried("engines", Tidy, more=[Mirror()], engine="polars") == ""
    assert_says(tried("engines", KnowsTheEngine, more=[Mirror()], engine="polars"), "published rows differ.*made_by")


def test_engines_catches_an_engine_that_is_not_there(tried):
    assert_says(tried("engines", metadata=replace(METADATA, engine="spark")), "is not installed")


# row_account


class LosesRows(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=output.rows.filter(nw.col("name") != "Ada"))


class GainsRows(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=nw.concat([output.rows, output.rows]))


class LosesLineage(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=output.rows.drop("_source_row"))


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (LosesRows, "does not balance.*loses 1 row"),
        (GainsRows, "does not balance.*gains 5 row"),
        (LosesLineage, "where it came from, _source_row are missing"),
        (Raises, "silver.judged failed: .*KeyError"),
    ],
)
def test_row_account_catches(processor, words, tried):
    assert_says(tried("row_account", processor), words)


# determinism


class NumbersRows(Tidy):
    def changed(self, output, inputs, step):
        return also(output, number=nw.col("_source_row"))


class ComparesWithTheBatch(Tidy):
    def changed(self, output, inputs, step):
        return also(output, share=nw.col("amount").cast(nw.Float64) / nw.col("amount").cast(nw.Float64).sum())


class KeepsTheBatch(Tidy):
    def changed(self, output, inputs, step):
        return also(output, batch=nw.lit(step.batch))


class Stamps(Tidy):
    def changed(self, output, inputs, step):
        return also(output, arrived=nw.lit(step.started_at, nw.Datetime("us", "UTC")))


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (NumbersRows, "only in the reverse order: .*number="),
        (ComparesWithTheBatch, "only loaded in parts: .*share="),
        (KeepsTheBatch, "only loaded in parts: .*batch=2"),
    ],
)
def test_determinism_catches(processor, words, tried):
    assert_says(tried("determinism", processor), words)


def test_when_a_batch_was_claimed_may_show(tried):
    assert tried("determinism", Stamps) == ""


def test_an_order_that_matters_can_be_declared_and_chance_is_caught_all_the_same(tried):
    assert tried("determinism", NumbersRows, order_matters="the number of the row is what it is for") == ""
    assert_says(tried("determinism", LeavesItToChance, order_matters="the same"), "in the second|the second time")


# idempotence


def test_idempotence_catches(tried):
    assert_says(tried("idempotence", KeepsTheBatch), "processed again: .*batch=2")


# nulls


class LosesNulls(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=output.rows.filter(nw.col("name") != ""))


class NeedsSomeValue(Tidy):
    def changed(self, output, inputs, step):
        rows = output.rows.with_columns(nw.col("day").max().alias("_oreflow_last"))
        return replace(output, rows=rows.filter(~nw.col("_oreflow_last").is_null()))


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (LosesNulls, "NULL in some row.*does not balance"),
        (NeedsSomeValue, "where day is NULL in every row.*does not balance"),
    ],
)
def test_nulls_catches(processor, words, tried):
    assert_says(tried("nulls", processor), words)


# empty_input


class ReplacesAll(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, mode=Overwrite())


def test_empty_input_catches(tried):
    assert_says(tried("empty_input", ReplacesAll), "5 rows without empty files, 0 rows with them")


# one_row


class LosesTheAverage(Tidy):
    def changed(self, output, inputs, step):
        amount = nw.col("amount").cast(nw.Float64)
        rows = output.rows.with_columns((amount - amount.mean()).alias("_oreflow_from_average"))
        return replace(output, rows=rows.filter(nw.col("_oreflow_from_average") != 0))


def test_one_row_catches(tried):
    assert tried("row_account", LosesTheAverage) == ""
    assert_says(tried("one_row", LosesTheAverage), "of a single row: .*does not balance")


# unicode


class ThinksInAscii(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=output.rows.with_columns(nw.col("note").str.replace_all(r"[^\x00-\x7f]", "?")))


class SplitsLines(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=output.rows.with_columns(nw.col("name").str.split("\n")).explode("name"))


class SparesOnlyUsualNames(Tidy):
    def changed(self, output, inputs, step):
        masked = nw.concat_str(nw.col("name").str.slice(0, 1), nw.lit("***"))
        return replace(output, rows=output.rows.with_columns(masked.alias("name")))


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (ThinksInAscii, "the column note comes out .* none of the texts that went in"),
        (SplitsLines, "with unusual characters: .*does not balance"),
    ],
)
def test_unicode_catches(processor, words, tried):
    assert_says(tried("unicode", processor), words)


def test_a_column_that_is_changed_on_purpose_is_no_fault(tried):
    assert tried("unicode", SparesOnlyUsualNames) == ""


# option_schema


def described(**properties: Any) -> ProcessorMetadata:
    known = METADATA.option_schema["properties"]
    return replace(METADATA, option_schema={"properties": {**known, **properties}})


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (described(limit={"type": "integer"}), "the option limit has no description"),
        (described(limit={"description": "a limit"}), "the option limit takes everything"),
        (described(limit={"type": "string", "description": "a limit"}), "options that it is judged with do not fit"),
        (replace(METADATA, option_schema={**METADATA.option_schema, "additionalProperties": True}), "not refused"),
    ],
)
def test_option_schema_catches(metadata, words, tried):
    assert_says(tried("option_schema", metadata=metadata), words)


def test_option_schema_catches_what_is_no_schema(tried, oreflow_plugins, tmp_path):
    oreflow_plugins(Plugin(Tidy, METADATA, nothing_wrong), "polars")
    (place,) = places("tidy")
    wrong = replace(METADATA, option_schema={"properties": {"limit": {"type": "whole number"}}})
    (check,) = [check for check in CHECKS if check.name == "option_schema"]
    passed, reason = outcome_of(check, replace(subject_of("tidy", place, tmp_path), metadata=wrong))
    assert not passed
    assert_says(reason, "is no JSON Schema")


# messages


def says(*problems: Any):
    """Validation that finds something wrong in every configuration but the example's."""
    return lambda config: [] if dict(config.options) == OPTIONS else list(problems)


def knows_one_type(config):
    return [] if config.options["types"]["amount"] else [Problem("no type")]


class ShowsAnObject(Tidy):
    def changed(self, output, inputs, step):
        (rule,) = output.rules
        reason = nw.lit(f"{self.config.options['types'].keys()} has none")
        return replace(output, rules=[replace(rule, reason=reason)])


class GivesNoReason(Tidy):
    def changed(self, output, inputs, step):
        (rule,) = output.rules
        return replace(output, rules=[replace(rule, reason=nw.lit(""))])


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        ({"validate": says(Problem(""))}, "a problem is empty"),
        ({"validate": says(Problem(f"{object()} is wrong"))}, "a problem shows how Python prints an object"),
        ({"validate": says(Problem("wrong", (), f"make it a {int}"))}, "what mends a problem shows"),
        ({"validate": knows_one_type}, "validate_config raises KeyError: .* answer with a Problem"),
        ({"processor": ShowsAnObject}, "the reason of a quarantined row shows"),
        ({"processor": GivesNoReason}, "the reason of a quarantined row is empty"),
    ],
)
def test_messages_catches(faulty, words, tried):
    assert_says(tried("messages", **faulty), words)


def test_problems_in_words_are_fine(tried):
    assert tried("messages", validate=says(Problem("the limit is too low", ("limit",), "raise it"))) == ""


# start_up, which is about packages

_ABOUT = """
    import oreflow

    SCHEMA = {{"properties": {{"limit": {{"type": "integer", "description": "the highest amount that is believed"}}}}}}
    ABLE = ["batch", "incremental"]
    METADATA = oreflow.ProcessorMetadata("{package}", "1", "tidies", "any", ["silver"], ABLE, SCHEMA)
"""
_ENTRY = """
    import oreflow
    {first}

    oreflow_api = 1
    from {package} import METADATA


    @oreflow.hookimpl
    def processors():
        return [METADATA]


    @oreflow.hookimpl
    def create_processor(name, config):
        from {package}.processor import Tidy

        return Tidy(config)
"""
_STEP = """
    from oreflow import Output, Processor
    from {package} import METADATA


    class Tidy(Processor):
        metadata = METADATA

        def process(self, inputs, step):
            (rows,) = inputs.values()
            return Output(rows)
"""
_HELPER = "def step():\n    import {package}.processor\n\n\nstep()\n"


@pytest.fixture
def package(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Install a package with a processor of the package's name; gives the folder that it is in."""

    def install(name: str, first: str) -> Path:
        site = tmp_path / "site"
        (site / name).mkdir(parents=True)
        for module, text in (("__init__", _ABOUT), ("plugin", _ENTRY), ("processor", _STEP)):
            content = textwrap.dedent(text.format(first=first, package=name))
            (site / name / f"{module}.py").write_text(content, encoding="utf-8")
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[oreflow.plugins]\n{name} = {name}.plugin\n", encoding="utf-8")
        monkeypatch.syspath_prepend(site)
        return site

    return install


@pytest.mark.parametrize(
    ("name", "first", "words"),
    [
        ("light_tidy", "", "^$"),
        ("heavy_tidy", "import polars", "importing heavy_tidy.plugin loads polars"),
        ("eager_tidy", "from eager_tidy import helper", "loads the step itself, eager_tidy.processor"),
        ("broken_tidy", "import sys; assert 'pytest' in sys.modules", "cannot be imported .*AssertionError"),
    ],
)
def test_start_up_catches(name, first, words, package, oreflow_plugins, tmp_path):
    site = package(name, first)
    (site / name / "helper.py").write_text(_HELPER.format(package=name), encoding="utf-8")
    oreflow_plugins(name, *STANDARD)
    (check,) = [check for check in CHECKS if check.name == "start_up"]
    assert_says(outcome_of(check, subject_of(name, places(name)[0], tmp_path))[1], words)


# judge, and the class


def test_judge_says_of_every_check_how_it_went(oreflow_plugins):
    oreflow_plugins(Plugin(Stamps, METADATA, says(Problem(""))), *STANDARD)
    found = {judgement.check: judgement for judgement in judge("tidy", not_applicable={"unicode": "it is about dates"})}
    assert list(found) == [check.name for check in CHECKS]
    assert [name for name, judgement in found.items() if not judgement.passed] == ["messages"]
    assert found["messages"].reason.startswith("a problem is empty")
    assert found["unicode"].reason == "does not apply: it is about dates"
    assert found["purity"].proves.startswith("Called twice, `process()` gives the same")
    assert {judgement.engine for judgement in found.values()} == {"polars"}


def test_judge_names_no_file_that_is_gone(oreflow_plugins):
    oreflow_plugins(Plugin(Raises, METADATA, nothing_wrong), *STANDARD)
    reasons = {judgement.check: judgement.reason for judgement in judge("tidy")}
    assert_says(reasons["row_account"], "silver.judged failed: .*KeyError: 'amount'")
    assert not any("oreflow-testkit-" in reason for reason in reasons.values())


def test_judge_judges_each_stage(oreflow_plugins):
    both = replace(METADATA, supported_stages=["silver", "gold"])
    oreflow_plugins(Plugin(OpensAFile, both, nothing_wrong), *STANDARD)
    reasons = [judgement.reason for judgement in judge("tidy") if judgement.check == "purity"]
    assert [reason.partition(":")[0] for reason in reasons] == ["as a silver step", "as a gold step"]


def test_a_processor_can_be_asked_for_with_its_distribution(oreflow_plugins, tmp_path):
    oreflow_plugins(Plugin(Tidy, METADATA, nothing_wrong), *STANDARD)
    name = "given-to-the-test:tidy"
    for check in [check for check in CHECKS if check.name in ("engines", "option_schema")]:
        (place,) = places(name)
        assert outcome_of(check, subject_of(name, place, tmp_path)) == (True, "")


def test_judge_says_who_is_not_there(oreflow_plugins):
    oreflow_plugins("bronze", "silver")
    with pytest.raises(DeclarationError, match="no processor 'tidy', there are bronze, silver"):
        judge("tidy")
    with pytest.raises(DeclarationError, match="no engine is installed"):
        judge("silver")
    with pytest.raises(DeclarationError, match="names 'purty', which is no check; there are option_schema"):
        judge("silver", not_applicable={"purty": "it is not"})


def test_a_check_is_left_out_by_its_name_and_with_a_reason():
    with pytest.raises(TypeError, match="TestWrong: not_applicable names 'purty', which is no check"):
        type("TestWrong", (ProcessorConformance,), {"not_applicable": {"purty": "it is not"}})
    with pytest.raises(TypeError, match="leaves out 'purity' without a reason"):
        type("TestSilent", (ProcessorConformance,), {"not_applicable": {"purity": ""}})


_TESTS = """
    from oreflow_testkit import ProcessorConformance


    class TestLight(ProcessorConformance):
        plugin = "light_tidy"
        not_applicable = {"unicode": "it is about dates"}

        def test_of_its_own(self):
            assert self.plugin


    class TestMisspelt(ProcessorConformance):
        plugin = "ligth_tidy"


    def test_on_each(engine):
        assert engine.metadata.name == "polars"


    def test_alone(oreflow_plugins):
        assert not oreflow_plugins().processors
"""


def test_the_class_is_the_whole_test_of_a_plugin(package, tmp_path):
    site = package("light_tidy", "")
    (tmp_path / "test_light.py").write_text(textwrap.dedent(_TESTS), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-W", "error", "-p", "no:cacheprovider", "test_light.py"]
    path = os.pathsep.join([str(site), *sys.path])
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    checks = len(CHECKS)
    assert f"{checks} failed, {checks - 1 + 3} passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "it is about dates" in done.stdout
    assert done.stdout.count("there is no processor 'ligth_tidy'") >= checks


# The documentation


def test_the_reference_has_every_check_attribute_and_fixture():
    text = " ".join((Path(__file__).parents[2] / "docs" / "reference" / "testkit.md").read_text("utf-8").split())
    for check in CHECKS:
        assert f"| `{check.name}` | {check.proves} |" in text, check.name
    attributes = [name for name in vars(ProcessorConformance) if name in ProcessorConformance.__annotations__]
    assert len(attributes) == 5
    for name in (*attributes, "oreflow_plugins", "tiny_lake", "engine", *oreflow_testkit.__all__):
        assert f"`{name}" in text, name


# The fixtures


def test_the_kit_costs_a_session_next_to_nothing():
    code = "import oreflow_testkit.fixtures, sys; print({'oreflow', 'narwhals', 'polars'} & set(sys.modules))"
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_all_that_the_kit_offers_is_there():
    assert all(getattr(oreflow_testkit, name) for name in oreflow_testkit.__all__)
    assert dir(oreflow_testkit) == sorted(oreflow_testkit.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'jugde'"):
        oreflow_testkit.jugde  # noqa: B018


def test_only_the_plugins_that_are_given_are_there(oreflow_plugins):
    before = oreflow.get_processor_factory()
    assert not oreflow_plugins().plugins
    factory = oreflow_plugins(Plugin(Tidy, METADATA, nothing_wrong), Mirror, "oreflow-gold")
    assert set(factory.processors) == {"tidy", "gold"}
    assert set(factory.engines) == {"mirror"}
    assert factory is oreflow.get_processor_factory()
    assert factory is not before
    with pytest.raises(LookupError, match="no plugin 'glod' is installed; there are bronze, delta, gold"):
        oreflow_plugins("glod")


def test_a_module_that_is_installed_keeps_its_distribution(oreflow_plugins):
    (plugin,) = oreflow_plugins(importlib.import_module("oreflow_gold.plugin")).plugins
    assert (plugin.name, plugin.distribution) == ("gold", "oreflow-gold")


def test_a_broken_plugin_can_be_given(oreflow_plugins):
    (plugin,) = oreflow_plugins(EntryPoint("mine", "no_such_module", "oreflow.plugins")).plugins
    assert "no_such_module" in plugin.reason


_BY_YAML = """
    bronze.orders:
      source: rows
    silver.orders:
      input: bronze.orders
      columns:
        id: {type: int64}
"""
_BY_MAPPING = {
    "bronze.orders": {"source": "rows"},
    "silver.orders": {"input": "bronze.orders", "columns": {"id": {"type": "int64"}}},
}


@pytest.mark.parametrize("tables", [_BY_YAML, _BY_MAPPING], ids=["yaml", "mapping"])
def test_a_tiny_lake_is_a_project(tables, tiny_lake):
    lake = tiny_lake(tables, [{"id": "1", "note": 'a "quote",\nand more'}, {"id": "one", "note": None}])
    assert lake.rows("silver.orders") == []
    assert lake.version("silver.orders") is None
    assert lake.run().succeeded
    assert [row["note"] for row in lake.rows("bronze.orders")] == ['a "quote",\nand more', None]
    assert [row["id"] for row in lake.rows("silver.orders")] == [1]
    assert [row["_reason"] for row in lake.quarantine("silver.orders")] == ["id: 'one' is no int64"]
    version = lake.version("silver.orders")
    lake.add([{"id": "2", "note": ""}])
    assert lake.run(tables=["bronze.orders"]).succeeded
    assert lake.version("silver.orders") == version
    assert lake.run().succeeded
    assert sorted(row["id"] for row in lake.rows("silver.orders")) == [1, 2]
    assert (lake.root / "lake" / "silver" / "orders") == lake.path("silver.orders")


def test_a_tiny_lake_may_have_several_sources(tiny_lake):
    lake = tiny_lake({"bronze.a": {"source": "one"}, "bronze.b": {"source": "two"}}, {"one": [{"x": "1"}], "two": []})
    assert lake.run().succeeded
    assert (len(lake.rows("bronze.a")), lake.rows("bronze.b")) == (1, [])
    assert tiny_lake({"bronze.a": {"source": "rows"}}).root != lake.root
