"""The kit catches what it says that it catches: for every check processors that fail it, and one that passes all.

Each faulty processor is the good one with a single change, handed to oreflow in place of what is installed.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import os
import random
import re
import socket
import subprocess
import sys
import textwrap
import threading
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from os import environ
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest

import oreflow
import oreflow_testkit
from oreflow import DataType, Output, Overwrite, Processor, ProcessorMetadata, Rule, Step, StepError
from oreflow.contract import LINEAGE, DeclarationError, Problem
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
        "required": ["types"],
        "properties": {
            "limit": {"type": "integer", "description": "the highest amount that is believed"},
            "types": {"type": "object", "description": "the type of each column that is not text"},
        },
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


@pytest.fixture(autouse=True)
def on_polars_alone(monkeypatch):
    """What the kit finds, it finds on any engine; test_conformance.py judges on each one that is installed."""
    monkeypatch.setenv("OREFLOW_PLUGINS", "-oreflow-spark")


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


# The rows that a processor is judged with, and how a reason reads


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [{"id": "1"}, {"id": 2}],
            "row 2 of the rows to judge with has 2 as its id - raw rows are what a file holds: ",
        ),
        ([{"id": ["1"]}], r"row 1 of the rows to judge with has \['1'\] as its id"),
        ([{1: "1"}], "row 1 of the rows to judge with has a column called 1 - a name is a text"),
        ([["1"]], r"row 1 of the rows to judge with is \['1'\] - write a row as"),
        ([None], "row 1 of the rows to judge with is None"),
    ],
)
def test_an_example_with_rows_that_are_not_raw_is_told_in_words(rows, words, oreflow_plugins, monkeypatch):
    metadata = replace(METADATA, example={"options": OPTIONS, "rows": rows})
    monkeypatch.setattr(Tidy, "metadata", metadata)
    oreflow_plugins(Plugin(Tidy, metadata, nothing_wrong), *STANDARD)
    reasons = [judgement.reason for judgement in judge("tidy") if not judgement.passed]
    assert reasons
    for reason in reasons:
        assert_says(reason, words)


def test_a_tiny_lake_tells_rows_that_are_not_raw_in_words(tiny_lake):
    with pytest.raises(AssertionError, match=r"has 1 as its id - .*: write it as a text, or None for NULL$"):
        tiny_lake({"bronze.a": {"source": "rows"}}, [{"id": 1}])


class TellsOfAFrame(Tidy):
    def changed(self, output, inputs, step):
        raise ValueError(f"cannot go on with\n{output.rows!r}\nand {pl.DataFrame({'a': [1]})}")


class PutsAFrameIntoItsOptions(Tidy):
    def changed(self, output, inputs, step):
        step.options["seen"] = nw.from_native(pl.DataFrame({"a": [1]}))
        return output


def test_a_reason_is_one_plain_line(tried):
    said = "process() raised ValueError: cannot go on with a Narwhals LazyFrame and a table"
    assert tried("purity", TellsOfAFrame) == said
    assert said.partition(": ")[2] in tried("row_account", TellsOfAFrame)
    assert_says(tried("purity", PutsAFrameIntoItsOptions), 'became .*"seen": "a Narwhals DataFrame"} - copy before')


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


class KeepsWhatItRead(Tidy):
    def changed(self, output, inputs, step):
        self.kept = getattr(self, "kept", None) or Path(__file__).read_text(encoding="utf-8")
        return output


class ReadsWhenItIsMade(Tidy):
    def __init__(self, config):
        super().__init__(config)
        self.kept = Path(__file__).read_text(encoding="utf-8")


def _looked_up(value):
    return value + Path(__file__).read_text(encoding="utf-8")[:1]


class ReadsForEachValue(Tidy):
    def changed(self, output, inputs, step):
        note = pl.col("note").map_elements(_looked_up, return_dtype=pl.String)
        return replace(output, rows=nw.from_native(output.rows.to_native().with_columns(note)))


class ReadsForAColumn(Tidy):
    def changed(self, output, inputs, step):
        note = pl.col("note").map_batches(lambda texts: texts + _looked_up(""), return_dtype=pl.String)
        return replace(output, rows=nw.from_native(output.rows.to_native().with_columns(note)))


class ReadsForARule(Tidy):
    def changed(self, output, inputs, step):
        wrong = nw.from_native(pl.LazyFrame({"id": ["1"]})).with_columns(nw.col("id").alias("seen"))
        rows = output.rows.join(wrong, on="id", how="left")
        looked = rows.to_native().with_columns(pl.col("seen").map_elements(_looked_up, return_dtype=pl.String))
        rule = Rule("never seen", nw.col("seen") == "", nw.lit("it was seen"))
        return replace(output, rows=nw.from_native(looked), rules=[*output.rules, rule])


class AsksTheEnvironment(Tidy):
    def changed(self, output, inputs, step):
        os.environ.get("OREFLOW_TESTKIT_WAS_HERE", "")
        return output


class GetsAVariable(Tidy):
    def changed(self, output, inputs, step):
        os.getenv("OREFLOW_TESTKIT_WAS_HERE")
        return output


class LooksWhetherAVariableIsThere(Tidy):
    def changed(self, output, inputs, step):
        return output if "OREFLOW_TESTKIT_WAS_HERE" in environ else also(output)


class CopiesTheEnvironment(Tidy):
    def changed(self, output, inputs, step):
        dict(environ)
        return output


class AsksForEachValue(Tidy):
    def changed(self, output, inputs, step):
        note = pl.col("note").map_elements(lambda text: os.getenv("LANG", text), return_dtype=pl.String)
        return replace(output, rows=nw.from_native(output.rows.to_native().with_columns(note)))


class AsksAboutHome(Tidy):
    def changed(self, output, inputs, step):
        Path("~").expanduser()
        return output


class LooksForAFile(Tidy):
    def changed(self, output, inputs, step):
        return output if Path(__file__).exists() else also(output)


class KnowsTheDay(Tidy):
    def changed(self, output, inputs, step):
        return also(output, today=nw.lit(datetime.now(UTC).date()))


class Logs(Tidy):
    def changed(self, output, inputs, step):
        logging.getLogger("oreflow_testkit").warning("a plan is made")
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
        (KeepsWhatItRead, "open .*test_testkit.py.*in changed"),
        (ReadsWhenItIsMade, "open .*test_testkit.py.*in __init__"),
        (ReadsForEachValue, "open .*test_testkit.py.*in _looked_up"),
        (ReadsForAColumn, "open .*test_testkit.py.*in _looked_up"),
        (ReadsForARule, "open .*test_testkit.py.*in _looked_up"),
        (AsksTheEnvironment, r"the environment, OREFLOW_TESTKIT_WAS_HERE \(in changed"),
        (GetsAVariable, r"the environment, OREFLOW_TESTKIT_WAS_HERE \(in changed"),
        (LooksWhetherAVariableIsThere, r"the environment, OREFLOW_TESTKIT_WAS_HERE \(in changed"),
        (CopiesTheEnvironment, r"the environment, all of it \(in changed"),
        (AsksForEachValue, r"the environment, LANG \(in <lambda>"),
        (AsksAboutHome, r"the environment, HOME \(in changed"),
        (LooksForAFile, r"os\.stat \(in changed"),
        (KnowsTheDay, r"the clock, now \(in changed"),
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


class ImportsWhatReads(Tidy):
    def changed(self, output, inputs, step):
        importlib.import_module("oreflow_testkit_has_data")
        return output


class KnowsTimeZones(Tidy):
    def changed(self, output, inputs, step):
        return also(output, zone=nw.lit(str(step.started_at.astimezone(zoneinfo.ZoneInfo("Europe/Oslo")).tzinfo)))


class WorksOnValues(Tidy):
    def changed(self, output, inputs, step):
        note = pl.col("note").map_elements(lambda text: "".join(sorted(text)), return_dtype=pl.String)
        return replace(output, rows=nw.from_native(output.rows.to_native().with_columns(note)))


def test_what_a_module_reads_while_it_is_imported_is_no_fault(tried, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    data = "from pathlib import Path\nDATA = Path(__file__).read_text(encoding='utf-8')\n"
    (tmp_path / "site" / "oreflow_testkit_has_data.py").write_text(data, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert tried("purity", ImportsWhatReads) == ""
    assert sys.modules.pop("oreflow_testkit_has_data")


@pytest.mark.parametrize("processor", [KnowsTimeZones, WorksOnValues, Logs])
def test_what_python_and_the_engine_do_by_themselves_is_no_fault(processor, tried):
    zoneinfo.ZoneInfo.clear_cache()
    assert tried("purity", processor) == ""


def test_the_environment_is_as_it_was_after_it_was_watched(tried):
    tried("option_schema")  # the fixtures take away a variable when they are first asked
    before = type(os.environ), dict(os.environ)
    tried("purity", AsksTheEnvironment)
    assert (type(os.environ), dict(os.environ)) == before


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


class LosesRowsUnseen(LosesRows):
    def changed(self, output, inputs, step):
        return replace(super().changed(output, inputs, step), row_by_row=False)


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (LosesRows, "does not balance.*loses 1 row"),
        (GainsRows, "does not balance.*gains 5 row"),
        (
            LosesRowsUnseen,
            r"row_by_row=False, so that .* the 5 rows that went in against the 4 .* at silver let each row",
        ),
        (Raises, "silver.judged failed: .*KeyError"),
    ],
)
def test_row_account_catches(processor, words, tried):
    assert_says(tried("row_account", processor), words)


def test_a_gold_processor_may_make_other_rows(tried):
    assert tried("row_account", LosesRowsUnseen, metadata=replace(METADATA, supported_stages=["gold"])) == ""


# lineage


class LosesLineage(Tidy):
    def changed(self, output, inputs, step):
        return replace(output, rows=output.rows.drop("_source_row"))


def relined(name: str, **columns: Any) -> type[Tidy]:
    """A processor that puts something else into columns of the lineage."""

    def changed(self, output, inputs, step):
        rows = output.rows.to_native().with_columns(**columns)
        return replace(output, rows=nw.from_native(rows))

    return type(name, (Tidy,), {"changed": changed})


class PutsOneRowForAnother(Tidy):
    def changed(self, output, inputs, step):
        kept = output.rows.filter(nw.col("name") != "Grace")
        return replace(output, rows=nw.concat([kept, kept.filter(nw.col("name") == "Ada")]))


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (LosesLineage, "where it came from, _source_row are missing: "),
        (PutsOneRowForAnother, r"two rows say that they came from data/rows/001\.csv:2"),
        (relined("NamesAFile", _source_file=pl.lit("all.csv")), r"it came from all\.csv:\d, and none did"),
        (relined("CountsFromZero", _source_row=pl.col("_source_row") - 2), r"it came from data/rows/00\d\.csv:\d, and"),
        (relined("ForgetsTheFile", _source_file=pl.lit(None, pl.String)), "_source_file are missing"),
        (relined("StampsTheBatch", _batch_id=pl.lit(7)), r"_batch_id of the row from .* was changed to 7 - leave"),
        (relined("SwapsBatches", _batch_id=pl.col("_batch_id").reverse()), r"_batch_id of the row from .* was changed"),
        (
            relined("SwapsRows", **{each: pl.col(each).reverse() for each in LINEAGE}),
            r"what stands in data/rows/001\.csv:2 comes out as a row that says it came from data/rows/00\d\.csv:\d",
        ),
        (
            relined(
                "SortsLines", _source_row=pl.col("_source_row").sort_by("name", descending=True).over("_source_file")
            ),
            "what stands in .* comes out as a row that says",
        ),
    ],
)
def test_lineage_catches(processor, words, tried):
    assert_says(tried("lineage", processor), words)


def test_false_lineage_is_caught_at_bronze_too(tried):
    bronze = replace(METADATA, supported_stages=["bronze"])
    assert tried("lineage", metadata=bronze) == ""
    swaps = relined("Swaps", _source_file=pl.col("_source_file").reverse(), _source_row=pl.col("_source_row").reverse())
    assert_says(tried("lineage", swaps, metadata=bronze), r"what stands in 001\.csv:2 comes out as")
    assert_says(tried("lineage", relined("Stamps", _batch_id=pl.lit(1)), metadata=bronze), "_batch_id .* changed to 1")


def test_lineage_is_asked_only_of_what_is_row_by_row(tried):
    assert tried("lineage", LosesRowsUnseen) == ""


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
    return replace(METADATA, option_schema={**METADATA.option_schema, "properties": {**known, **properties}})


LIMIT = {"type": "integer", "description": "the highest amount that is believed"}
TYPES = {"type": "object", "description": "types", "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (described(limit={"type": "integer"}), "the option limit has no description"),
        (described(limit={"description": "a limit"}), "the option limit takes everything"),
        (described(limit={**LIMIT, "default": "high"}), 'default of the option limit does not fit .*: "high" is not'),
        (
            described(types={**TYPES, "default": {"amount": 1}}),
            "of the option types does not fit .*: 1 is not",
        ),
        (
            described(types={**TYPES, "properties": {"day": {"type": "string", "default": 2}}}),
            r"option types\.day .*: 2 is",
        ),
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


# options


class NeedsTheLimit(Tidy):
    def changed(self, output, inputs, step):
        return also(output, limit=nw.lit(step.options["limit"]))


class NeedsTheLimitAtOnce(Tidy):
    def __init__(self, config):
        super().__init__(config)
        self.limit = config.options["limit"]


class NeedsTheLimitAsANumber(Tidy):
    def changed(self, output, inputs, step):
        return also(output, limit=nw.lit(step.options.get("limit", "none")).cast(nw.Int64))


class AsksForTheLimit(Tidy):
    def changed(self, output, inputs, step):
        if "limit" not in step.options:
            raise StepError("say the limit of these rows")
        return output


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (NeedsTheLimit, r"without the option limit, which is not required, .* raised KeyError: 'limit' - read it with"),
        (NeedsTheLimitAtOnce, "without the option limit.*cannot create 'tidy': KeyError: 'limit'"),
        (NeedsTheLimitAsANumber, "without the option limit.*cannot compute"),
    ],
)
def test_options_catches(processor, words, tried):
    assert_says(tried("options", processor), words)


def wants_types(config):
    return [] if "types" in config.options else [Problem("say the types")]


def test_an_option_is_required_by_the_schema_or_by_what_validation_says(tried):
    silent = replace(METADATA, option_schema={"properties": METADATA.option_schema["properties"]})
    assert_says(tried("options", metadata=silent), "without the option types")
    assert tried("options", metadata=silent, validate=wants_types) == ""


def test_a_refusal_in_words_is_no_fault_where_an_option_is_left_out(tried):
    assert tried("options", AsksForTheLimit) == ""


@pytest.mark.parametrize("check", ["option_schema", "options", "messages", "purity", "row_account"])
def test_a_default_is_there_as_the_host_lays_it(check, tried):
    metadata = described(limit={**LIMIT, "default": 5})
    assert tried(check, NeedsTheLimit, metadata=metadata) == ""
    assert tried(check, NeedsTheLimit, metadata=metadata, options={"types": OPTIONS["types"]}) == ""


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


# purity, of what is installed

_CACHES = """
    import functools
    from pathlib import Path
    from oreflow import Output, Processor
    from {package} import METADATA

    @functools.cache
    def looked_up():
        return Path(__file__).read_text(encoding="utf-8")


    class Tidy(Processor):
        metadata = METADATA

        def process(self, inputs, step):
            (rows,) = inputs.values()
            looked_up()
            return Output(rows)
"""


def test_purity_catches_what_was_read_before_anybody_looked(package, oreflow_plugins, tmp_path):
    step = package("caching_tidy", "") / "caching_tidy" / "processor.py"
    step.write_text(textwrap.dedent(_CACHES.format(package="caching_tidy")), encoding="utf-8")
    oreflow_plugins("caching_tidy", *STANDARD)
    (place,) = places("caching_tidy")
    found = {}
    for check in [check for check in CHECKS if check.name in ("row_account", "purity")][::-1]:
        folder = tmp_path / check.name
        folder.mkdir()
        found[check.name] = outcome_of(check, subject_of("caching_tidy", place, folder))[1]
    assert list(found) == ["row_account", "purity"]
    assert found["row_account"] == ""
    assert_says(found["purity"], "^process.. touches the world outside: open .*processor.py .in looked_up")


def test_a_process_that_ends_is_told_in_a_line(package, oreflow_plugins, tmp_path):
    step = package("leaving_tidy", "") / "leaving_tidy" / "processor.py"
    text = step.read_text(encoding="utf-8").replace("(rows,) =", "import os; os._exit(3)\n        (rows,) =")
    step.write_text(text, encoding="utf-8")
    oreflow_plugins("leaving_tidy", *STANDARD)
    (check,) = [check for check in CHECKS if check.name == "purity"]
    said = outcome_of(check, subject_of("leaving_tidy", places("leaving_tidy")[0], tmp_path))[1]
    assert said == "the process that it is judged in ends with exit code 3: no message"


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


# A project's own file

_OWN = """
    import narwhals as nw
    from oreflow import Output, Processor, ProcessorMetadata


    class Upper(Processor):
        metadata = ProcessorMetadata(
            name="upper", version="1.0", description="Capitals", engine="any", supported_stages=["STAGE"],
            capabilities=["incremental"],
            option_schema={
                "required": ["capitals"],
                "properties": {"capitals": {"type": "string", "minLength": 1, "description": "the column"}},
            },
            example={"options": {"capitals": "name"}},
        )

        def process(self, inputs, step):
            (rows,) = inputs.values()
            return Output(rows.with_columns(nw.col(step.options["capitals"]).str.to_uppercase()))
"""
_LOSES = ("return Output(rows", 'return Output(rows.filter(nw.col("id") != "2")')


@pytest.fixture
def own(tmp_path) -> Callable[..., Path]:
    """A project with a plugin in a file of its own."""

    def make(old: str = "", new: str = "", stage: str = "silver") -> Path:
        text = textwrap.dedent(_OWN).replace("STAGE", stage).replace(old, new)
        (tmp_path / "oreflow_plugins.py").write_text(text, encoding="utf-8")
        return tmp_path

    return make


@pytest.mark.parametrize("stage", ["bronze", "silver", "gold"])
@pytest.mark.parametrize("name", ["oreflow_plugins.py", "oreflow_plugins"])
def test_the_plugin_of_a_project_is_judged_by_the_command_line(name, stage, own, run_cli):
    done = run_cli("plugins", "check", name, cwd=own(stage=stage))
    assert (done.code, done.err) == (0, ""), done.out
    assert f"{name}: all {len(CHECKS)} checks passed" in done.out


def test_a_fault_in_the_plugin_of_a_project_is_caught(own, run_cli):
    done = run_cli("plugins", "check", "oreflow_plugins.py", "--json", "--project", own(*_LOSES), cwd=Path("/"))
    assert done.code == 1
    reasons = {each["check"]: each["reason"] for each in done.json if not each["passed"]}
    assert_says(reasons["row_account"], "does not balance.* upper of oreflow_plugins.py .*loses 1 row|loses 1 row")
    assert "option_schema" not in reasons


def test_judge_and_the_class_take_a_project(own):
    assert {judgement.passed for judgement in judge("upper", project=own())} == {True}
    with pytest.raises(DeclarationError, match="there is no processor 'upper'"):
        judge("upper")
    assert [place.engine for place in places("upper", own())] == ["polars"]


# The documentation


def test_the_reference_has_every_check_attribute_and_fixture():
    text = " ".join((Path(__file__).parents[2] / "docs" / "reference" / "testkit.md").read_text("utf-8").split())
    for check in CHECKS:
        assert f"| `{check.name}` | {check.proves} |" in text, check.name
    attributes = [name for name in vars(ProcessorConformance) if name in ProcessorConformance.__annotations__]
    assert len(attributes) == 6
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
        oreflow_testkit.jugde  # noqa: B018  to look is what fails


def test_only_the_plugins_that_are_given_are_there(oreflow_plugins):
    before = oreflow.get_processor_factory()
    assert not oreflow_plugins().plugins
    factory = oreflow_plugins(Plugin(Tidy, METADATA, nothing_wrong), Mirror, "oreflow-gold")
    assert set(factory.processors) == {"tidy", "gold"}
    assert set(factory.engines) == {"mirror"}
    assert factory is oreflow.get_processor_factory()
    assert factory is not before
    with pytest.raises(LookupError, match="no plugin 'glod' is installed; there are alerts, bronze, chaos, delta"):
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
