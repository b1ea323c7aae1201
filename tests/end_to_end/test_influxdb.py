"""Metrics in a real InfluxDB: figure by figure, and whatever happens to the server, the network or the process.

InfluxDB 2 is none of Debian's packages: its interface is a relay here, which asks for what that one asks for, and hands
what it is given to the real server.
"""

from __future__ import annotations

import fcntl
import http.server
import itertools
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from servers import Influx, free_port

from oreflow.contract import DeclarationError, OreflowError, Surroundings
from oreflow.factory import get_processor_factory
from oreflow.monitoring import MetricsCollector
from oreflow.monitoring.catalogue import METRICS
from oreflow.monitoring.exposition import written
from oreflow.validation import validate

PROCESS = """
import json, sys
from pathlib import Path
from oreflow.contract import OreflowError, Surroundings
from oreflow.factory import get_processor_factory
from oreflow.monitoring import MetricsCollector

_, name, folder, options = sys.argv
surroundings = Surroundings("shop", "dev", Path(folder), Path(folder))
backend = get_processor_factory().create_metric_backend("influxdb", json.loads(options), surroundings)
collector = MetricsCollector()
for line in sys.stdin:
    for number in range(int(line)):
        collector.increment_counter("steps", 1, {"process": name, "number": number})
        try:
            backend.write(collector.snapshot())
        except OreflowError:
            pass
    print("written", flush=True)
backend.close()
"""
SECRET = "s3cr=t/w0rd"
Answer = tuple[int, dict[str, str], str]
names = itertools.count()


@dataclass
class Relay:
    """A server before another one: counts, answers `answers` first, and asks for what InfluxDB 2 asks for."""

    behind: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lines(self) -> list[bytes]:
        return [line for body in self.requests for line in body.splitlines()]

    def answer(self, path: str, authorization: str | None, body: bytes) -> Answer:
        self.requests.append(body)
        if self.answers:
            return self.answers.pop(0)
        parts = urlsplit(path)
        query = {name: value for name, (value,) in parse_qs(parts.query).items()}
        if parts.path == "/api/v2/write":
            if authorization != f"Token {SECRET}":
                return 401, {}, '{"code":"unauthorized","message":"unauthorized access"}'
            if query["org"] != "shop & sons":
                return 404, {}, '{"code":"not found","message":"organization name not found"}'
            query = {"db": query["bucket"], "precision": query["precision"]}
        try:
            with urllib.request.urlopen(f"{self.behind}/write?{urlencode(query)}", body, timeout=20) as answer:
                return answer.status, {}, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, {}, error.read().decode()


@contextmanager
def relaying(relay: Relay) -> Iterator[Relay]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            relay.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, text = relay.answer(self.path, self.headers["Authorization"], body)
            if not status:  # the connection is closed without a word
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode() if status != 204 else b"")

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        relay.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield relay
        server.shutdown()
        thread.join()


@contextmanager
def accepting(drips: bytes = b"") -> Iterator[str]:
    """The address of a server that answers nothing, or one byte every now and then."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with listening.accept()[0] as connection:
                for at in itertools.count():
                    if over.wait(0.05):
                        return
                    if drips:
                        connection.sendall(drips if not at else b"x")

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def server(require, tmp_path_factory):
    """A running InfluxDB for tests that leave it running."""
    require(shutil.which("influxd") is not None, "influxdb is missing: apt-get install influxdb")
    made = Influx(tmp_path_factory.mktemp("influxdb")).start()
    yield made
    made.stop()


@pytest.fixture
def own_server(require, tmp_path):
    """An InfluxDB that a test starts, stops and halts as it likes."""
    require(shutil.which("influxd") is not None, "influxdb is missing: apt-get install influxdb")
    made = []

    def make(**more):
        made.append(Influx(tmp_path / f"influxdb{len(made)}", **more))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def database(server):
    """The name of a new database there."""
    name = f"db{next(names)}"
    server.ask(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def backend(tmp_path):
    """Make a backend whose folder is `tmp_path/kept`."""
    made = []

    def make(address: str, database: str = "", **options):
        options = {"address": address, **({"database": database} if database else {}), "timeout": "2s"} | options
        surroundings = Surroundings("shop", "dev", tmp_path, tmp_path / "kept")
        (brought,) = (b for b in get_processor_factory()._brought["metric backend"] if b.name == "influxdb")
        assert not validate(options, brought.item.option_schema)
        made.append(get_processor_factory().create_metric_backend("influxdb", options, surroundings))
        return made[-1]

    yield make
    for each in made:
        each._server.close()


@pytest.fixture
def collector():
    return MetricsCollector()


def kept(tmp_path: Path, suffix: str = "lines") -> list[Path]:
    return sorted((tmp_path / "kept").rglob(f"*.{suffix}"))


def away() -> str:
    return f"http://127.0.0.1:{free_port()}"


# What is there


def test_each_metric_of_a_run_is_read_back_figure_by_figure(server, database, backend, collector):
    into = backend(server.address, database, tags={"site": "north", "rack": 7})
    for at, (name, (kind, labels, _)) in enumerate(METRICS.items()):
        tags = {label: f"{label} {at}" for label in labels}
        if kind == "counter":
            collector.increment_counter(name, at + 0.5, tags)
        elif kind == "gauge":
            collector.set_gauge(name, -at / 3, tags)
        else:
            for value in (0.001, at, 1e6):
                collector.observe(name, value, tags)
    snapshot = collector.snapshot()
    into.write(snapshot)
    assert len(snapshot.families) == len(METRICS)
    for family in snapshot.families:
        (sample,) = family.samples
        (point,) = server.points(database, family.name)
        expected = {"time": round(snapshot.at * 1e9), "site": "north", "rack": "7", **dict(sample.labels)}
        if family.bounds:
            buckets = zip(map(written, family.bounds), sample.buckets, strict=True)
            expected |= {"count": sample.count, "sum": sample.value, "+Inf": sample.count, **dict(buckets)}
        else:
            expected["value"] = sample.value
        assert point == expected
    into.close()


def test_labels_are_read_back_as_they_were(server, database, backend, collector):
    nasty = [
        "a,b",
        "a b",
        "a=b",
        'a"b',
        "a\\,b",
        "\\\\ x",
        "=\\=",
        "a\tb\rc",
        "Zürich 💥",
        "'",
        "#",
        " ",
        "\\n",
        "\x01",
    ]
    said = {value: value for value in nasty} | {"C:\\": "C:\\ ", "two\nlines": "two\\nlines"}
    for value in said:
        collector.set_gauge("depth", 1, {"path": value, "empty": "", "time": "noon"})
    backend(server.address, database).write(collector.snapshot())
    points = server.points(database, "oreflow_depth")
    assert sorted(point["path"] for point in points) == sorted(said.values())
    assert {key for point in points for key in point} == {"time", "path", "value", "time_"}


def test_what_is_no_finite_number_is_left_out(server, database, backend, collector):
    collector.set_gauge("broken", float("nan"))
    collector.set_gauge("good", 1)
    collector.histogram("took_seconds").sum = float("inf")  # as the last of very many may make it
    collector.observe("took_seconds", 1)
    backend(server.address, database).write(collector.snapshot())
    assert not server.points(database, "oreflow_broken")
    assert len(server.points(database, "oreflow_good")) == 1
    (took,) = server.points(database, "oreflow_took_seconds")
    assert (took["count"], "sum" in took) == (1, False)


def test_only_series_that_have_changed_are_sent_again(server, database, backend, collector):
    into = backend(server.address, database)
    collector.set_gauge("still", 1)
    for count in range(3):
        collector.increment_counter("moving")
        into.write(collector.snapshot())
        assert len(server.points(database, "oreflow_moving")) == count + 1
    assert len(server.points(database, "oreflow_still")) == 1
    backend(server.address, database).write(collector.snapshot())  # as a new process: each series at least once
    assert len(server.points(database, "oreflow_still")) == 2


def test_many_points_go_in_batches_over_one_connection(server, database, backend, collector, tmp_path):
    with relaying(Relay(server.address)) as relay:
        into = backend(relay.address, database, batch=40)
        for number in range(100):
            collector.set_gauge("depth", number, {"number": number})
        into.write(collector.snapshot())
        collector.set_gauge("depth", 5, {"number": 0})
        into.write(collector.snapshot())
        assert [body.count(b"\n") for body in relay.requests] == [40, 40, 20, 1]
        assert relay.connections == 1
        into.close()
    assert len(server.points(database, "oreflow_depth")) == 101
    assert not kept(tmp_path)


def test_the_interface_of_influxdb_2_is_spoken_too(server, database, backend, collector):
    with relaying(Relay(server.address)) as relay:
        collector.set_gauge("depth", 5)
        good = {"org": "shop & sons", "bucket": database, "token": SECRET}
        backend(relay.address, **good).write(collector.snapshot())
        assert [point["value"] for point in server.points(database, "oreflow_depth")] == [5]
        with pytest.raises(OreflowError, match=r"does not let us in: unauthorized access; .* - mend token$"):
            backend(relay.address, **good | {"token": "another"}).write(collector.snapshot())
        with pytest.raises(
            OreflowError, match=f"has no bucket '{database}' of the organization 'them': .*influx bucket"
        ):
            backend(relay.address, **good | {"org": "them"}).write(collector.snapshot())


# What may be away


def test_what_was_counted_while_the_server_was_away_arrives_with_its_own_times(
    own_server, backend, collector, tmp_path
):
    influx = own_server()
    into, times = backend(influx.address, "oreflow"), []
    for _ in range(5):
        collector.increment_counter("steps")
        snapshot = collector.snapshot()
        times.append(round(snapshot.at * 1e9))
        with pytest.raises(
            OreflowError, match=r"cannot be reached: connection refused; .* of points wait in .*kept.* - start it"
        ):
            into.write(snapshot)
    assert len(kept(tmp_path)) == 5
    influx.start("oreflow")
    into.write(collector.snapshot())  # in which nothing is new
    points = influx.points("oreflow", "oreflow_steps")
    assert [(point["time"], point["value"]) for point in points] == list(zip(times, range(1, 6), strict=True))
    assert not kept(tmp_path)


def test_closing_is_a_last_try(own_server, backend, collector, tmp_path):
    influx = own_server()
    into = backend(influx.address, "oreflow")
    collector.increment_counter("steps")
    with pytest.raises(OreflowError, match="refused"):
        into.write(collector.snapshot())
    with pytest.raises(OreflowError, match="points wait in"):
        into.close()
    influx.start("oreflow")
    backend(influx.address, "oreflow").close()
    assert len(influx.points("oreflow", "oreflow_steps")) == 1


@pytest.mark.parametrize("drips", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["silent", "dripping"])
def test_a_server_that_hangs_takes_no_longer_than_the_timeout(drips, backend, collector, tmp_path):
    with accepting(drips) as address:
        into = backend(address, "oreflow", timeout="300ms")
        collector.increment_counter("steps")
        began = time.monotonic()
        with pytest.raises(OreflowError, match=r"does not answer in time; .* of points wait in"):
            into.write(collector.snapshot())
        assert 0.2 < time.monotonic() - began < 1.5
        deadline = time.monotonic() + 5
        while [each for each in threading.enumerate() if each.name == "oreflow-influxdb"]:
            assert time.monotonic() < deadline, "somebody still waits for the server"
            time.sleep(0.02)
    assert len(kept(tmp_path)) == 1


def test_a_server_that_is_halted_for_a_while_has_everything_once_it_goes_on(own_server, backend, collector):
    influx = own_server().start("oreflow")
    into = backend(influx.address, "oreflow", timeout="600ms")
    collector.increment_counter("steps")
    into.write(collector.snapshot())
    influx.process.send_signal(signal.SIGSTOP)
    collector.increment_counter("steps")
    with pytest.raises(OreflowError, match="does not answer in time"):
        into.write(collector.snapshot())
    influx.process.send_signal(signal.SIGCONT)
    collector.increment_counter("steps")
    into.write(collector.snapshot())
    assert [point["value"] for point in influx.points("oreflow", "oreflow_steps")] == [1, 2, 3]


def test_a_server_that_was_started_anew_is_found_again_at_once(own_server, backend, collector):
    influx = own_server().start("oreflow")
    into = backend(influx.address, "oreflow")
    for _ in range(3):
        collector.increment_counter("steps")
        into.write(collector.snapshot())
        influx.stop()
        influx.start()
    assert len(influx.points("oreflow", "oreflow_steps")) == 3


def test_the_oldest_go_when_the_buffer_is_full(own_server, backend, collector, tmp_path, caplog):
    influx = own_server()
    into, most = backend(influx.address, "oreflow", buffer="2 kB"), 0
    collector.set_gauge("still", 7)  # whose only point is among the oldest
    for _ in range(60):
        collector.increment_counter("steps", 1, {"table": "silver.orders"})
        with pytest.raises(OreflowError, match="refused") as raised:
            into.write(collector.snapshot())
        most = max(most, sum(path.stat().st_size for path in (tmp_path / "kept").rglob("*") if path.is_file()))
    assert 1900 < most <= 2000
    assert re.search(r"the [0-9]+ oldest are lost - ", str(raised.value))
    assert not caplog.records
    influx.start("oreflow")
    into.write(collector.snapshot())
    steps = [int(point["value"]) for point in influx.points("oreflow", "oreflow_steps")]
    assert 10 < len(set(steps)) < 60
    assert sorted(set(steps)) == list(range(61 - len(set(steps)), 61))
    assert [point["value"] for point in influx.points("oreflow", "oreflow_still")] == [7]
    (warning,) = caplog.messages
    assert warning.startswith(f"{60 - len(set(steps)) + 1} points for InfluxDB were lost, the oldest")


def test_another_process_s_loss_is_made_good_too(own_server, backend, collector):
    influx = own_server()
    one, other = (backend(influx.address, "oreflow", buffer="1 kB") for _ in range(2))
    collector.set_gauge("still", 7)
    with pytest.raises(OreflowError, match="refused"):
        one.write(collector.snapshot())
    busy = MetricsCollector()
    for _ in range(30):
        busy.increment_counter("steps")
        with pytest.raises(OreflowError, match="refused"):
            other.write(busy.snapshot())
    influx.start("oreflow")
    one.write(collector.snapshot())
    assert [point["value"] for point in influx.points("oreflow", "oreflow_still")] == [7]


def test_points_that_cannot_be_kept_are_sent_all_the_same(server, database, backend, collector, tmp_path, caplog):
    (tmp_path / "kept").write_text("a file where the folder should be")
    into = backend(server.address, database)
    for count in (1, 2):
        collector.increment_counter("steps")
        into.write(collector.snapshot())
        assert len(server.points(database, "oreflow_steps")) == count
    assert len(caplog.messages) == 1
    assert "sent without being kept" in caplog.text


def test_a_moment_that_is_more_than_the_buffer_is_sent_from_memory(server, database, backend, collector, caplog):
    for number in range(100):
        collector.set_gauge("depth", number, {"number": number})
    away_first = backend(away(), database, buffer="1 kB")
    with pytest.raises(OreflowError, match="new points cannot be kept"):
        away_first.write(collector.snapshot())
    backend(server.address, database, buffer="1 kB").write(collector.snapshot())
    assert len(server.points(database, "oreflow_depth")) == 100
    assert "are more than the buffer of 1.0 kB" in caplog.text


# What the server has against us


def test_a_batch_that_is_refused_is_set_aside_and_the_others_arrive(own_server, backend, collector, tmp_path, caplog):
    influx = own_server()
    into = backend(influx.address, "oreflow")
    for name in ("before", "clash", "after"):
        collector.increment_counter(name)
        with pytest.raises(OreflowError, match="refused"):
            into.write(collector.snapshot())
    influx.start("oreflow")
    influx.write("oreflow", "oreflow_clash value=1i")  # a field keeps the type that it had first
    into.write(collector.snapshot())
    assert len(influx.points("oreflow", "oreflow_before")) == len(influx.points("oreflow", "oreflow_after")) == 1
    (aside,) = kept(tmp_path, "refused")
    assert aside.read_text().startswith("oreflow_clash value=1.0 ")
    (warning,) = caplog.messages
    assert "refused some or all of 1 points: partial write: field type conflict" in warning
    assert str(aside) in warning
    into.write(collector.snapshot())
    assert len(caplog.messages) == 1


def test_what_is_too_large_for_a_request_is_halved(own_server, backend, collector, caplog):
    influx = own_server(largest=1000).start("oreflow")
    for number in range(101):
        collector.set_gauge("depth", number, {"number": f"{number}\r"})
    collector.set_gauge("wide", 1, {f"label_{number}": "x" * 50 for number in range(30)})
    backend(influx.address, "oreflow").write(collector.snapshot())
    points = influx.points("oreflow", "oreflow_depth")
    assert sorted(point["value"] for point in points) == list(range(101))
    assert "Request Entity Too Large" in caplog.text


def test_a_database_that_is_missing_is_told_with_the_mend_and_nothing_is_lost(server, backend, collector, tmp_path):
    name = f"db-{next(names)}"
    into = backend(server.address, name)
    collector.increment_counter("steps")
    with pytest.raises(OreflowError) as raised:
        into.write(collector.snapshot())
    message = str(raised.value)
    assert message.startswith(f"InfluxDB at {server.address} has no database '{name}'; ")
    assert message.endswith(f' of points wait in {kept(tmp_path)[0].parent} - make it: CREATE DATABASE "{name}"')
    server.ask(message.partition("make it: ")[2])
    into.write(collector.snapshot())
    assert len(server.points(name, "oreflow_steps")) == 1


def test_a_server_of_another_version_is_told_from_a_missing_bucket(server, backend, collector):
    collector.increment_counter("steps")
    with pytest.raises(OreflowError, match=r"has nothing at /api/v2/write; .* or database for InfluxDB 1$"):
        backend(server.address, org="shop", bucket="oreflow", token=SECRET).write(collector.snapshot())
    with pytest.raises(OreflowError, match=r"has nothing at /influx/write; .* - say the right address"):
        backend(f"{server.address}/influx/", "oreflow").write(collector.snapshot())


def test_who_may_not_write_is_told_so_and_a_password_is_nowhere(own_server, backend, collector, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    influx = own_server(auth=True).start()
    admin = {"u": "root", "p": "root"}
    influx.ask("CREATE USER root WITH PASSWORD 'root' WITH ALL PRIVILEGES")
    influx.ask("CREATE DATABASE oreflow", **admin)
    influx.ask(f"CREATE USER ore WITH PASSWORD '{SECRET}'", **admin)
    collector.increment_counter("steps")
    into = backend(influx.address, "oreflow", username="ore", password=SECRET)
    with pytest.raises(OreflowError) as forbidden:
        into.write(collector.snapshot())
    assert "does not let us write to the database" in str(forbidden.value)
    with pytest.raises(OreflowError) as unknown:
        backend(influx.address, "oreflow", username="ore", password=f"{SECRET}X").write(collector.snapshot())
    assert "does not let us in: authorization failed" in str(unknown.value)
    assert str(unknown.value).endswith(" - mend username and password")
    influx.ask("GRANT ALL ON oreflow TO ore", **admin)
    into.write(collector.snapshot())
    (series,) = influx.ask("SELECT * FROM oreflow_steps", "oreflow", **admin)
    assert len(series["values"]) == 2
    found = [str(forbidden.value), str(unknown.value), caplog.text, repr(into)]
    found += [path.read_text() for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert not [text for text in found if SECRET in text]


def test_a_password_is_not_taken_to_where_the_server_sends_us(server, database, backend, collector):
    with relaying(Relay(server.address)) as other, relaying(Relay()) as relay:
        there = f"{other.address}/write?db={database}&password={SECRET}"
        relay.answers = [(status, {"Location": there}, "") for status in (301, 307)]
        collector.increment_counter("steps")
        into = backend(relay.address, database, username="ore", password=SECRET)
        for _ in range(2):
            with pytest.raises(OreflowError, match=r"sends us to http.*, where we do not go; ") as raised:
                into.write(collector.snapshot())
            assert SECRET not in str(raised.value)
        assert (len(relay.requests), len(other.requests)) == (2, 0)


def test_a_hiccup_is_got_over_by_a_second_attempt_in_the_same_call(server, database, backend, collector):
    with relaying(Relay(server.address)) as relay:
        into = backend(relay.address, database)
        for count, hiccup in enumerate([503, 0], 1):
            relay.answers = [(hiccup, {}, "starting")]
            collector.increment_counter("steps")
            into.write(collector.snapshot())
            assert len(relay.requests) == 2 * count
        relay.answers = [(500, {}, '{"error":"timeout"}')] * 2
        collector.increment_counter("steps")
        with pytest.raises(OreflowError, match=r"cannot write now, and answers 500: timeout; .* of points wait"):
            into.write(collector.snapshot())
        relay.answers = [(429, {"Retry-After": "30"}, "")]
        with pytest.raises(OreflowError, match="is asked too often"):
            into.write(collector.snapshot())
        assert len(relay.requests) == 7
        into.write(collector.snapshot())
    assert len(server.points(database, "oreflow_steps")) == 3


@pytest.mark.parametrize(
    "answer", [(200, "<html>Log in"), (400, "plain HTTP on an HTTPS port"), (405, ""), (422, "[" * 60_000)]
)
def test_what_answers_as_no_influxdb_does_gets_nothing_for_good(answer, backend, collector, tmp_path):
    with relaying(Relay()) as relay:
        relay.answers = [(answer[0], {}, answer[1])]
        collector.increment_counter("steps")
        with pytest.raises(OreflowError, match=r"as no InfluxDB does.* - say the right address$"):
            backend(relay.address, "oreflow").write(collector.snapshot())
    assert len(kept(tmp_path)) == 1


def test_a_folder_that_there_cannot_be_is_no_fault_before_something_is_written(server, database, tmp_path):
    options = {"address": server.address, "database": database}
    surroundings = Surroundings("shop", "dev", tmp_path, tmp_path / ("x" * 300))
    assert get_processor_factory().create_metric_backend("influxdb", options, surroundings)


# What happens to processes


def start(name: str, folder: Path, options: dict) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, name, str(folder), json.dumps(options)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def have_write(process: subprocess.Popen[str], times: int) -> None:
    process.stdin.write(f"{times}\n")
    process.stdin.flush()


def test_two_processes_share_a_folder_and_nothing_is_lost_or_sent_twice(server, database, tmp_path):
    with relaying(Relay(server.address)) as relay:
        options = {"address": relay.address, "database": database, "timeout": 0.3}
        made = [start(name, tmp_path / "kept", options) for name in ("a", "b")]
        relay.answers = [(503, {}, "")] * 12
        for process in made:
            have_write(process, 15)
        for process in made:
            assert process.stdout.readline() == "written\n"
        for process in made:
            process.communicate(timeout=20)
            assert process.returncode == 0
        assert not kept(tmp_path)
        del relay.requests[:12]
        lines = relay.lines()
        assert len(lines) == len(set(lines)) == 30
    points = server.points(database, "oreflow_steps")
    assert sorted((p["process"], int(p["number"])) for p in points) == [(n, i) for n in "ab" for i in range(15)]


def test_what_a_killed_process_has_left_is_delivered_by_the_next(own_server, backend, collector, tmp_path):
    influx = own_server()
    options = {"address": influx.address, "database": "oreflow", "timeout": 0.3}
    process = start("a", tmp_path / "kept", options)
    have_write(process, 1000)
    while len(kept(tmp_path)) < 5:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    left = kept(tmp_path)
    assert all(path.read_bytes().endswith(b"\n") for path in left)
    influx.start("oreflow")
    backend(influx.address, "oreflow").close()
    assert not kept(tmp_path)
    points = influx.points("oreflow", "oreflow_steps")
    assert [int(point["number"]) for point in points] == list(range(len(left)))


def test_what_is_no_whole_batch_is_cleared_away(own_server, backend, collector, tmp_path):
    influx = own_server()
    into = backend(influx.address, "oreflow")
    collector.increment_counter("steps")
    with pytest.raises(OreflowError, match="refused"):
        into.write(collector.snapshot())
    (whole,) = kept(tmp_path)
    whole.with_name(f"0{whole.name}").write_bytes(b"")  # what may be left of a file when the power goes
    for name in ("killed.new", "busy.new"):
        whole.with_name(name).write_bytes(b"oreflow_ste")
    os.utime(whole.with_name("killed.new"), (0, 0))
    influx.start("oreflow")
    into.close()
    assert sorted(path.name for path in whole.parent.iterdir()) == ["busy.new", "lock"]
    assert len(influx.points("oreflow", "oreflow_steps")) == 1


def test_a_process_waits_no_longer_than_the_timeout_for_another_one_that_delivers(
    server, database, backend, collector, tmp_path
):
    into = backend(server.address, database, timeout="300ms")
    collector.increment_counter("steps")
    into.write(collector.snapshot())
    (lock,) = (tmp_path / "kept").rglob("lock")
    collector.increment_counter("steps")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OreflowError, match="another process has been delivering to InfluxDB all the time; "):
            into.write(collector.snapshot())
    into.write(collector.snapshot())
    assert [point["value"] for point in server.points(database, "oreflow_steps")] == [1, 2]


def test_what_waits_for_one_database_does_not_get_into_another(own_server, server, database, backend, collector):
    influx = own_server()
    collector.increment_counter("steps")
    with pytest.raises(OreflowError, match="refused"):
        backend(influx.address, "oreflow").write(collector.snapshot())
    backend(server.address, database).close()
    assert not server.points(database, "oreflow_steps")


# What may be said


ADDRESS = "http://localhost:8086"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing says where in InfluxDB to write to - say database for InfluxDB 1, or bucket, org and token for"),
        ({"database": "a", "bucket": "b"}, "bucket: database and bucket do not go together - say database for"),
        ({"database": "a", "username": "u"}, "'password' is missing - add it, beside database and username"),
        ({"username": "u", "password": SECRET}, "'database' is missing - add it, beside username and password"),
        ({"bucket": "b", "token": SECRET}, "'org' is missing - add it, beside bucket and token"),
        ({"bucket": "b", "org": "o", "token": f"{SECRET}\n"}, "token: this is no token: it has characters that none"),
        ({"address": "localhost:8086", "database": "a"}, "address: this is no address of InfluxDB - say http://HOST"),
        ({"address": f"http://u:{SECRET}@h:1", "database": "a"}, "address: this is no address of InfluxDB - say"),
        ({"address": "http://h:99999", "database": "a"}, "address: this is no address of InfluxDB - say"),
        ({"database": "a", "timeout": "0s"}, "timeout: '0s' is no time that lasts - say one above 0, such as 500ms"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_plain_line(options, message, tmp_path):
    surroundings = Surroundings("shop", "dev", tmp_path, tmp_path)
    with pytest.raises(DeclarationError) as raised:
        get_processor_factory().create_metric_backend("influxdb", {"address": ADDRESS, **options}, surroundings)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert SECRET not in str(raised.value)
