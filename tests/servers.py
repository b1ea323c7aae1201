"""Servers that tests start: a real InfluxDB, a real PostgreSQL, a collector of spans, and those for alerts."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
from aiosmtpd.controller import Controller
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
logging-enabled = false
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[retention]
enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
auth-enabled = {auth}
max-body-size = {largest}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Influx:
    """A real InfluxDB of a test's own; not running before `start`."""

    folder: Path
    auth: bool = False
    largest: int = 25_000_000
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *databases: str) -> Influx:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "influxdb.conf"
        auth = str(self.auth).lower()
        values = {"rpc": free_port(), "port": self.port, "folder": self.folder, "auth": auth, "largest": self.largest}
        config.write_text(CONFIG.format(**values))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["influxd", "-config", config], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/ping", timeout=5):
                    break
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)
        for name in databases:
            self.ask(f"CREATE DATABASE {name}")
        return self

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def ask(self, query: str, database: str = "", **more: str) -> list[dict]:
        more |= {"q": query, "db": database, "epoch": "ns"}
        with urllib.request.urlopen(f"{self.address}/query?{urlencode(more)}", b"", timeout=20) as answer:
            (result,) = json.load(answer)["results"]
        assert "error" not in result, result
        return result.get("series", [])

    def write(self, database: str, lines: str) -> None:
        urllib.request.urlopen(f"{self.address}/write?db={database}", lines.encode(), timeout=20).close()

    def points(self, database: str, measurement: str) -> list[dict]:
        """What was written, in the order of time, without what a point has not."""
        found = self.ask(f'SELECT * FROM "{measurement}"', database)
        rows = [dict(zip(series["columns"], row, strict=True)) for series in found for row in series["values"]]
        return [{key: value for key, value in row.items() if value is not None} for row in rows]


@dataclass
class Postgres:
    """A real PostgreSQL of a test's own, not running before `start`; its password has what divides an address.

    It refuses to be root's: where the tests are, it is nobody's.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    password: str = "p0stgr3s@s/3#cr%t"
    made: int = 0
    process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def binary(name: str) -> str | None:
        """A program of the server; Debian has them beside the path."""
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        return shutil.which(name) or (str(found[-1]) if found else None)

    def url(self, database: str, password: str = "${env:LEDGER_PASSWORD}") -> str:
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Postgres:
        user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        data = self.folder / "data"
        if not data.exists():
            (self.folder / "password").write_text(self.password)
            if user:
                shutil.chown(self.folder, **user)
            command = [self.binary("initdb"), "-D", data, "-U", "postgres", f"--pwfile={self.folder}/password"]
            command += ["--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"]
            subprocess.run(command, check=True, capture_output=True, cwd="/", **user)
        command = [self.binary("postgres"), "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        command += ["-c", "fsync=off", "-c", "max_connections=50"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **user)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.ask("select 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return self

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """End it, by default as a crash does."""
        if self.process:
            self.process.send_signal(how)
            self.thaw()
            self.process.wait(20)
            self.process = None

    def thaw(self) -> None:
        """Let it go on, and what it has begun, where somebody has stopped them by SIGSTOP."""
        if self.process:
            children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, check=False).stdout
            for process in (*map(int, children.split()), self.process.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def new_database(self) -> str:
        """The name of a new one, which is empty."""
        self.made += 1
        name = f"made_{self.made}"
        self.ask(f"create database {name}")
        return name

    def ask(self, query: str, database: str = "postgres") -> list[tuple]:
        about = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": database}
        with psycopg.connect(**about, password=self.password, autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []


@dataclass
class Span:
    """A span as it came."""

    name: str
    id: str
    parent: str
    trace: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    is_error: bool
    message: str
    resource: dict[str, Any]
    seconds: float


@dataclass
class Receiver:
    """What has come; `answers` are the status codes of the next requests, 200 where there are none left."""

    address: str = ""
    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def named(self, name: str) -> Span:
        """The only span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def way(self, span: Span) -> list[str]:
        """The names of the spans above one, from the first."""
        by_id = {each.id: each for each in self.spans}
        names = []
        while above := by_id.get(span.parent):
            names.insert(0, above.name)
            span = above
        return names


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _decoded(body: bytes) -> Iterator[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    span.name,
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.trace_id.hex(),
                    _values(span.attributes),
                    [(event.name, _values(event.attributes)) for event in span.events],
                    span.status.code == 2,
                    span.status.message,
                    _values(group.resource.attributes),
                    (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                )


@contextmanager
def receiver(hang: float = 0.0) -> Iterator[Receiver]:
    """Receive for a time; `hang`: answer so many seconds late."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(hang)
            kept.headers.append({name.lower(): value for name, value in self.headers.items()})
            status = kept.answers.pop(0) if kept.answers else 200
            if status == 200:
                assert urlsplit(self.path).path == "/v1/traces"  # a proxy is sent the whole address
                kept.spans += _decoded(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    kept.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Webhooks:
    """What was posted, and what is answered: `statuses` one after the other, then 200; each `hangs` so many seconds.

    `says` is the body of each answer, and `retry_after` its header.
    """

    url: str = ""
    posted: list[Any] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    hangs: float = 0.0
    says: str = ""
    retry_after: str = ""

    @property
    def alerts(self) -> list[tuple[str, str]]:
        """Which alerts were told as JSON, and whether they fire."""
        return [(each["rule"], each["status"]) for body in self.posted for each in body["alerts"]]


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    """A receiver of webhooks."""
    found = Webhooks()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(found.hangs)
            status = found.statuses.pop(0) if found.statuses else 200
            if status == 200:
                found.posted.append(json.loads(content))
            self.send_response(status)
            self.send_header("Content-Length", str(len(found.says)))
            if found.retry_after:
                self.send_header("Retry-After", found.retry_after)
            self.end_headers()
            self.wfile.write(found.says.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/t0ps3cr3t"
    yield found
    server.shutdown()
    server.server_close()


@dataclass
class Mailbox:
    """What a mail server has taken: for whom, and the mail; it takes none for those whom it has `refused`."""

    port: int
    found: list[tuple[list[str], Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802  the library's name
        if address in self.refused:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  the library's name
        self.found.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A real SMTP server."""
    found = Mailbox(free_port())
    controller = Controller(found, hostname="127.0.0.1", port=found.port)
    controller.start()
    yield found
    controller.stop()
