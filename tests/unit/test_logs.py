"""Every line is whole, has what is known of it and no secret, and whoever else logs is not disturbed."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from oreflow.config import Secret
from oreflow.monitoring import get_logger, lines
from oreflow.monitoring.handlers import Logging
from oreflow.monitoring.logs import Logs

FIRST = ["timestamp", "level", "logger", "event"]


@pytest.fixture
def logged(tmp_path):
    """Log by a section for a time; gives the lines as JSON."""

    def of(work, **section):
        with Logging({"file": "log.jsonl", "format": "json", **section}, tmp_path) as logging_:
            work()
        assert logging_.fault == ""
        path = tmp_path / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return of


def test_a_line_says_when_how_grave_by_whom_and_what(logged):
    (line,) = logged(lambda: get_logger("oreflow.shop").info("loaded %d files", 3, source="sales", of={"a": [1, 2.5]}))
    assert list(line)[:4] == FIRST
    stamp = line.pop("timestamp")
    assert len(stamp) == 24
    assert stamp.endswith("Z")
    assert line == {
        "level": "info",
        "logger": "oreflow.shop",
        "event": "loaded 3 files",
        "source": "sales",
        "of": {"a": [1, 2.5]},
    }


def test_what_other_libraries_log_goes_the_same_way(logged):
    def work():
        logging.getLogger("py4j.java_gateway").warning("the gateway %s", "is slow", extra={"port": 1})
        logging.getLogger("py4j.java_gateway").info("nobody asked")
        logging.getLogger("deltalake").error("broken")

    lines = logged(work)
    assert [(line["logger"], line["event"], line.get("port")) for line in lines] == [
        ("py4j.java_gateway", "the gateway is slow", 1),
        ("deltalake", "broken", None),
    ]


def test_nobody_says_of_which_run_a_line_is_but_the_run(logged):
    lines.within("r1", {"run_id": "r1", "table": "silver.sales"})
    try:
        theirs, ours = logged(
            lambda: (
                logging.getLogger("py4j").warning("slow", extra={"run_id": "theirs", "table": "silver.sales"}),
                get_logger("oreflow.shop").warning("slow", run_id="theirs", table="silver.sales"),
            )
        )
    finally:
        lines.leave("r1", {})
    for line in (theirs, ours):
        assert (line["run_id"], line["run_id_"], line["table"]) == ("r1", "theirs", "silver.sales")
        assert "table_" not in line


def test_a_value_that_cannot_be_compared_is_a_field_as_any(logged):
    class Rude:
        def __eq__(self, other):
            raise RuntimeError("no")

        __hash__ = None

    lines.within("r1", {"run_id": "r1"})
    try:
        (line,) = logged(lambda: get_logger("oreflow.shop").warning("odd", run_id=Rude()))
    finally:
        lines.leave("r1", {})
    assert line["run_id"] == "r1"
    assert "Rude object" in line["run_id_"]


@pytest.fixture
def structlog_of_a_program():
    """structlog as its documentation sets it up where the standard library's handlers write lines down."""
    configured = structlog.get_config()
    yield lambda *processors: structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    structlog.configure(**configured)


def test_what_a_programs_own_structlog_has_prepared_is_a_line_as_any(logged, structlog_of_a_program):
    structlog_of_a_program(structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="%H:%M:%S"))

    def work():
        log = structlog.get_logger("shop.of.a.program")
        log.warning("hello", rows=3)
        try:
            int("no")
        except ValueError:
            log.exception("failed", rows=4)

    lines.within("r1", {"run_id": "r1", "table": "silver.sales"})
    try:
        hello, failed = logged(work)
    finally:
        lines.leave("r1", {})
    assert list(hello)[:4] == FIRST
    assert len(hello.pop("timestamp")) == len("2026-11-30T12:00:00.000Z")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", hello.pop("timestamp_"))  # of the program's own processor
    about = {"logger": "shop.of.a.program", "run_id": "r1", "table": "silver.sales"}
    assert hello == {**about, "level": "warning", "event": "hello", "rows": 3}
    assert (failed["level"], failed["event"], failed["rows"]) == ("error", "failed", 4)
    assert failed["exception"].endswith("ValueError: invalid literal for int() with base 10: 'no'")


def test_people_read_what_a_programs_structlog_has_prepared_without_a_level(structlog_of_a_program, tmp_path):
    structlog_of_a_program()
    with Logging({"file": "log.txt", "format": "console"}, tmp_path) as logging_:
        structlog.get_logger("shop").warning("hello", rows=3)
    assert logging_.fault == ""
    assert "hello" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("said", "exception"),
    [
        (ValueError("v"), "ValueError: v"),
        ((ValueError, ValueError("v"), None), "ValueError: v"),
        *((none, None) for none in (True, 1, "text", (None, None, None), (), (1, 2, 3))),
    ],
    ids=str,
)
def test_a_record_that_somebody_has_made_by_hand_is_a_line(said, exception):
    record = logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "by hand", (), said)
    line = json.loads(lines.formatter("json", is_terminal=False).format(record))
    assert line["event"] == "by hand"
    assert line.get("exception") == exception


def test_levels_are_by_logger_and_hold_for_those_below(logged):
    def work():
        for name in ("oreflow.run", "oreflow.resilience.breaker", "py4j.clientserver", "urllib3"):
            for level in ("debug", "info", "warning", "error"):
                getattr(logging.getLogger(name), level)("x")

    found = [(line["logger"], line["level"]) for line in logged(work, level="warning", levels={
        "oreflow.resilience": "debug", "py4j": "error"})]  # fmt: skip
    assert found == [
        ("oreflow.run", "warning"),
        ("oreflow.run", "error"),
        *(("oreflow.resilience.breaker", level) for level in ("debug", "info", "warning", "error")),
        ("py4j.clientserver", "error"),
        ("urllib3", "warning"),
        ("urllib3", "error"),
    ]


def test_an_error_has_its_traceback_in_one_line(logged):
    def work():
        try:
            int("no\nsuch thing")
        except ValueError:
            get_logger("oreflow.shop").exception("failed", table="t")
            logging.getLogger("other").exception("failed too")

    ours, theirs = logged(work)
    assert "ValueError: invalid literal" in ours["exception"]
    assert ours["table"] == "t"
    assert "Traceback" in theirs["exception"]


def test_no_secret_is_in_any_part_of_a_line(logged, monkeypatch):
    monkeypatch.setenv("LOGGED_SECRET", "hunter2-hunter2")
    secret = Secret("${env:LOGGED_SECRET}").reveal()

    def work():
        log = get_logger("oreflow.shop")
        log.info("with %s", secret, key=secret, nested={"a": [{secret: secret}]}, other=Exception(secret))
        logging.getLogger("py4j").warning("command %s", f"c\nj\n{secret}\ne")
        try:
            int(secret)
        except ValueError:
            log.exception("failed")

    lines = logged(work)
    assert len(lines) == 3
    assert "hunter2" not in json.dumps(lines)
    assert lines[0]["event"] == "with ***"


class _Rude:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("section", ["json", "console"])
def test_whatever_is_logged_is_a_line(section, tmp_path):
    log = get_logger("oreflow.shop")
    with Logging({"file": "log", "format": section}, tmp_path) as around:
        log.info("odd", a=_Rude(), b=b"\xff", c="\ud800\n", d=float("nan"), e=10**400, f={(1, 2): {3}}, event_="x")
        log.info("own", timestamp=1, level="x", logger="y", name="z", args=(1,), msg="m", module="n")
        loop = []
        loop.append(loop)
        log.info("loop", loop=loop)
    assert around.fault == ""
    text = (tmp_path / "log").read_text()
    assert "own" in text
    if section == "json":
        odd, own, *_ = [json.loads(line) for line in text.splitlines()]
        assert (odd["b"], odd["c"], odd["d"], odd["f"]) == ("\\xff", "\\ud800\n", "nan", {"(1, 2)": [3]})
        assert (own["timestamp_"], own["level_"], own["logger_"], own["name"], own["msg"]) == (1, "x", "y", "z", "m")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(event=st.text(), fields=st.dictionaries(st.from_regex(r"[a-z_]{1,12}\Z"), _values, max_size=4))
def test_any_line_is_one_line_of_json(tmp_path_factory, event, fields):
    folder = tmp_path_factory.getbasetemp()
    (folder / "any.jsonl").unlink(missing_ok=True)
    passed = {key: value for key, value in fields.items() if key not in ("self", "event", "exc_info", "stack_info")}
    with Logging({"file": "any.jsonl", "format": "json"}, folder) as around:
        get_logger("oreflow.shop").info(event, **passed)
    assert around.fault == ""
    (line,) = (folder / "any.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert json.loads(line, parse_constant=pytest.fail)["event"] == event.encode(errors="backslashreplace").decode()


def test_a_logger_is_of_use_without_any_section(caplog):
    with caplog.at_level(logging.INFO, "oreflow.shop"):
        log = get_logger("oreflow.shop").bind(source="sales")
        log.info("loaded", rows=3, name="x")
        log.debug("not wanted")
    (record,) = caplog.records
    assert record.getMessage() == "loaded source=sales rows=3 name=x"
    assert record.funcName == "test_a_logger_is_of_use_without_any_section"


@pytest.mark.parametrize("section", [{}, {"file": "log.jsonl"}])
def test_all_is_as_before_when_it_is_over(section, tmp_path, capfd):
    own, root = logging.getLogger("oreflow"), logging.getLogger()
    gives_way = logging.NullHandler()
    gives_way.gives_way = True
    stays = logging.NullHandler()
    own.addHandler(gives_way)
    own.addHandler(stays)
    try:
        before = (list(root.handlers), list(own.handlers), root.level, own.level, logging.getLogger("py4j").level)
        seen = []
        with Logging({"levels": {"py4j": "debug"}, **section}, tmp_path):
            seen.extend(own.handlers)
        assert stays in seen
        assert (gives_way in seen) is ("file" in section)  # it is for the terminal, where no lines go then
        after = (list(root.handlers), own.handlers, root.level, own.level, logging.getLogger("py4j").level)
        assert after[0] == before[0]
        assert set(after[1]) == set(before[1])
        assert after[2:] == before[2:]
    finally:
        own.removeHandler(gives_way)
        own.removeHandler(stays)


def test_a_programs_own_handlers_are_told_as_before(logged):
    told = []

    class Own(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())

    handler = Own()
    logging.getLogger().addHandler(handler)
    try:
        logged(lambda: get_logger("oreflow.shop").warning("both", rows=1))
    finally:
        logging.getLogger().removeHandler(handler)
    assert told == ["both rows=1"]


def test_a_file_that_cannot_be_written_is_a_fault_and_no_failure(capfd, tmp_path):
    (tmp_path / "file").write_text("")
    with Logging({"file": "file/log"}, tmp_path) as around:
        get_logger("oreflow.shop").warning("lost")
    assert re.fullmatch(
        rf"{tmp_path}/file(/log)?: (Not a directory|File exists) - say another file in monitoring.logs", around.fault
    )
    with Logging({"file": "/dev/full"}, tmp_path) as around:
        get_logger("oreflow.shop").warning("lost")
    assert around.fault == "/dev/full: No space left on device - say another file in monitoring.logs"
    assert capfd.readouterr().err == ""


def test_a_file_that_is_rotated_is_followed(tmp_path):
    with Logging({"file": "log"}, tmp_path):
        log = get_logger("oreflow.shop")
        log.info("before")
        (tmp_path / "log").rename(tmp_path / "log.1")
        log.info("after")
    assert "before" in (tmp_path / "log.1").read_text()
    assert "after" in (tmp_path / "log").read_text()


class _Terminal:
    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize(
    ("variables", "section", "colours"),
    [({}, {}, True), ({"NO_COLOR": "1"}, {}, False), ({"TERM": "dumb"}, {}, False), ({}, {"format": "json"}, False)],
)
def test_people_on_a_terminal_have_colours_unless_they_want_none(monkeypatch, tmp_path, variables, section, colours):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Logging(section, tmp_path):
        get_logger("oreflow.shop").warning("seen", rows=3)
    assert ("\x1b[" in terminal.text) is colours
    assert terminal.text.startswith("{") is (section == {"format": "json"})


def test_lines_of_a_run_are_known_also_on_threads_of_others(logged):
    logs = Logs("r1", "shop")

    def work():
        logs.run_started("r1", ["silver.sales"])
        logs.step_started("r1", "silver.sales", "p", "polars")
        logs.batch_started("r1", 3, [])
        logging.getLogger("deltalake").warning("here")
        thread = threading.Thread(target=logging.getLogger("py4j").warning, args=("there",))
        thread.start()
        thread.join()
        other = Logs("r2", "other")
        other.run_started("r2", [])
        thread = threading.Thread(target=logging.getLogger("py4j").warning, args=("whose",))
        thread.start()
        thread.join()
        other.close()
        logs.close()
        logging.getLogger("deltalake").warning("over")

    lines = {line["event"]: line for line in logged(work)}
    place = {"run_id": "r1", "pipeline": "shop", "stage": "silver", "table": "silver.sales", "batch": 3}
    assert {key: lines["here"][key] for key in place} == place
    assert {key: lines["there"][key] for key in place} == place
    assert "run_id" not in lines["whose"]
    assert "run_id" not in lines["over"]
