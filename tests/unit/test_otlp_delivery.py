"""Spans on their way to a collector by OTLP: none is lost unseen, none takes too long, no secret shows."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from servers import receiver

from oreflow.contract import DeclarationError, Surroundings
from oreflow_opentelemetry.delivery import MOST_WAITING
from oreflow_opentelemetry.plugin import create_trace_backend

SECRET = "s3cr3t-of-the-collector"
REFUSED = "Connection refused - start it, or say the right endpoint"


@pytest.fixture
def made(tmp_path):
    """Make backends, which are closed in the end."""
    there = []

    def make(endpoint, **options):
        surroundings = Surroundings("shop", "development", tmp_path, tmp_path / "kept")
        there.append(create_trace_backend("otlp", {"endpoint": endpoint, **options}, surroundings))
        return there[-1]

    yield make
    for each in there:
        each.close()


@contextmanager
def answering(status, kind="", body=b""):
    """A server that answers every request so; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def end(backend, spans=1):
    tracer = backend.provider().get_tracer("test")
    for number in range(spans):
        tracer.start_span(f"span {number}").end()


PARTLY = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="one is\ntoo long")
)


@pytest.mark.parametrize(
    ("status", "kind", "body", "told"),
    [
        (301, "", b"", "3 spans were lost on the way to ADDRESS/v1/traces: it answers 301 Moved Permanently"),
        (
            200,
            "text/html",
            b"<html>",
            "3 spans were lost on the way to ADDRESS/v1/traces: a web page answers there, and no collector - say",
        ),
        *(
            (status, "", b"", f"3 spans were lost on the way to ADDRESS/v1/traces: it answers {status} {words}")
            for status, words in (
                (401, "Unauthorized - mend headers"),
                (403, "Forbidden - mend headers"),
                (404, "Not Found - say the right endpoint"),
                (405, "Method Not Allowed - say the right endpoint"),
                (500, "Internal Server Error - its own log says why"),
            )
        ),
        (
            200,
            "application/x-protobuf",
            PARTLY.SerializeToString(),
            "1 span was lost on the way to ADDRESS/v1/traces: it has rejected them: one is too long",
        ),
    ],
)
def test_what_a_collector_does_not_take_is_counted_and_told(made, caplog, status, kind, body, told):
    with answering(status, kind, body) as address:
        backend = made(address)
        end(backend, 3)
        assert backend.flush(5) is False
    assert backend.fault.startswith(told.replace("ADDRESS", address))
    assert caplog.text == ""


@pytest.mark.parametrize("body", [b"", b"{}", ExportTraceServiceResponse().SerializeToString()])
def test_what_a_collector_takes_is_not_lost_however_it_says_so(made, body):
    with answering(200, "application/x-protobuf", body) as address:
        backend = made(address)
        end(backend, 3)
        assert backend.flush(5)
    assert backend.fault == ""


def test_the_path_is_added_once_and_what_has_ended_arrives(made):
    with receiver() as collector:
        for address in (collector.address, f"{collector.address}/", f"{collector.address}/v1/traces"):
            backend = made(address)
            end(backend)
            assert backend.flush(5)
    assert len(collector.spans) == 3


def test_a_collector_that_never_answers_holds_up_neither_flush_nor_close(made, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = made(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=60)
        end(backend)
        start = time.monotonic()
        assert backend.flush(0.2) is False
        backend.close()
        assert time.monotonic() - start < 2
    assert caplog.text == ""


def test_one_that_is_away_is_told_in_the_words_of_the_system_and_logged_by_nobody(made, caplog):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    backend = made(address, timeout="200ms")
    end(backend)
    assert backend.flush(5) is False
    assert backend.fault == f"1 span was lost on the way to {address}/v1/traces: {REFUSED}"
    assert caplog.text == ""


def test_of_more_spans_than_may_wait_the_others_are_counted(made, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = made(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=60)
        end(backend, MOST_WAITING + 7)
        assert backend.fault.startswith("7 spans were lost")
        assert f"more than {MOST_WAITING:,} wait" in backend.fault
    assert caplog.text == ""


@pytest.mark.parametrize("value", [f"Bearer {SECRET}\n", f" {SECRET}", f"{SECRET}é", f"{SECRET}\r\nX-More: 1"])
def test_a_header_that_cannot_be_sent_is_refused_without_being_shown(made, value, caplog):
    with pytest.raises(DeclarationError, match="header 'authorization' cannot be sent") as refused:
        made("http://127.0.0.1:4318", headers={"authorization": value})
    assert refused.value.problems[0].path == ("headers", "authorization")
    assert SECRET not in str(refused.value) + caplog.text


def test_a_header_that_the_collector_repeats_is_not_shown(made):
    partly = ExportTracePartialSuccess(rejected_spans=1, error_message=f"{SECRET} may not write")
    body = ExportTraceServiceResponse(partial_success=partly).SerializeToString()
    with answering(200, "application/x-protobuf", body) as address:
        backend = made(address, headers={"authorization": f"Bearer {SECRET}"})
        end(backend)
        assert backend.flush(5) is False
    assert "may not write" in backend.fault
    assert SECRET not in backend.fault


def test_certificates_that_are_not_there_are_told_before_anything_is_sent(made):
    with pytest.raises(DeclarationError, match=r"there is no file nowhere\.pem"):
        made("https://127.0.0.1:4318", certificate="nowhere.pem")


def test_the_variables_of_opentelemetry_hold_where_nothing_is_declared(made, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nightly")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=data,host.name=worker-1")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    kept = made("http://127.0.0.1:4318").provider()
    about = kept.resource.attributes
    assert (about["service.name"], about["team"], about["host.name"]) == ("nightly", "data", "worker-1")
    assert about["deployment.environment.name"] == "development"
    assert not kept.get_tracer("test").start_span("dropped").is_recording()
    declared = made("http://127.0.0.1:4318", service="shop", sample=1, attributes={"team": "shop"}).provider()
    assert (declared.resource.attributes["service.name"], declared.resource.attributes["team"]) == ("shop", "shop")
    assert declared.get_tracer("test").start_span("kept").is_recording()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_copy_of_the_process_sends_its_own_spans_and_not_those_that_wait(made):
    with receiver() as collector:
        backend = made(collector.address)
        end(backend, 2)
        child = os.fork()
        if not child:
            end(backend)
            os._exit(0 if backend.flush(5) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert [span.name for span in collector.spans] == ["span 0"]
        assert backend.flush(5)
    assert len(collector.spans) == 3


def test_requests_are_compressed_as_the_standard_variable_says(made, monkeypatch):
    with receiver() as collector:
        for said in ("", "gzip"):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", said)
            backend = made(collector.address)
            end(backend)
            assert backend.flush(5)
    assert [headers.get("content-encoding") for headers in collector.headers] == [None, "gzip"]
    assert len(collector.spans) == 2


def test_a_declared_file_of_certificates_holds_whatever_the_environment_names(made, monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no such file"))
    (tmp_path / "ca.pem").write_text("")
    backend = made("https://127.0.0.1:9", certificate="ca.pem")
    end(backend)
    assert not backend.flush(5)
    assert "Connection refused" in backend.fault


def test_variables_are_heeded_at_each_run(made, monkeypatch):
    for team in ("shop", "stock"):
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"team={team}")
        assert made("http://127.0.0.1:9").provider().resource.attributes["team"] == team


def test_a_time_that_does_not_last_is_refused_and_one_that_never_ends_is_bounded(made):
    for wrong in ("0s", "9999999999999d"):
        with pytest.raises(DeclarationError, match="timeout: "):
            made("http://127.0.0.1:9", timeout=wrong)
    with receiver() as collector:
        backend = made(collector.address, timeout="999999d")
        end(backend)
        assert backend.flush(5)


def test_a_declared_header_is_sent_whatever_netrc_says(made, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password other\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with receiver() as collector:
        backend = made(collector.address, headers={"authorization": "Bearer ours"})
        end(backend)
        assert backend.flush(5)
    assert collector.headers[0]["authorization"] == "Bearer ours"


def test_a_proxy_that_the_environment_names_is_asked(made, monkeypatch):
    with receiver() as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("no_proxy", "")
        backend = made("http://collector.invalid:4318")
        end(backend)
        assert backend.flush(5), backend.fault
    assert proxy.headers[0]["host"] == "collector.invalid:4318"


def test_a_proxy_that_is_away_is_told_of_as_one(made, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    backend = made("http://collector.invalid:4318")
    end(backend)
    assert not backend.flush(5)
    assert "the proxy that the environment names: Connection refused - mend it, or say" in backend.fault


def test_a_collector_that_keeps_one_waiting_takes_one_thread(made):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        backend = made(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=60)
        end(backend)
        assert not backend.flush(0.1)
        before = threading.active_count()
        for _ in range(5):
            assert not backend.flush(0.01)
        assert threading.active_count() == before


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_nobody_waits_any_more_for_a_collector_that_answers_drop_by_drop_once_it_is_closed(made, said):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def drip():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(said)
                while said and not done.wait(0.02):
                    connection.sendall(b"x")
                done.wait(20)

        thread = threading.Thread(target=drip)
        thread.start()
        backend = made(f"http://127.0.0.1:{server.getsockname()[1]}", timeout="300ms")
        end(backend)
        assert not backend.flush(0.3)
        backend.close()
        deadline = time.monotonic() + 5
        while [
            each for each in threading.enumerate() if each.name in ("oreflow-spans", "OtelBatchSpanRecordProcessor")
        ]:
            assert time.monotonic() < deadline, threading.enumerate()
            time.sleep(0.02)
        done.set()
        thread.join()


def test_an_answer_without_end_is_read_no_further_than_anybody_wants(made):
    sent = [0]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def pour():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while sent[0] < 50_000_000:
                    sent[0] += connection.send(b"x" * 65_536)

        thread = threading.Thread(target=pour)
        thread.start()
        backend = made(f"http://127.0.0.1:{server.getsockname()[1]}")
        end(backend)
        assert backend.flush(5), backend.fault
        thread.join(20)
    assert sent[0] < 20_000_000
