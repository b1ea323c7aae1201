"""What becomes of spans on their way: counted, so that none is lost unseen, and told in the words of a person.

The SDK's processor says of nothing whether it arrived, and waits as long as a collector lets it. Its own log lines
about deliveries of ours are kept back: there is one warning for all, which the host gives.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any
from urllib.request import getproxies

import requests
import urllib3
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from requests.adapters import HTTPAdapter

from oreflow.contract.errors import told

MOST_WAITING = 4096
"""Spans that may wait for their delivery; what ends besides is lost, and counted."""
_MOST_AT_ONCE = 512
_EVERY = 1000.0  # ms; what is sent while a run is under way need not be waited for at its end
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that requests heeds besides those of proxies."""
_MOST_OF_AN_ANSWER = 65_536
_LONGEST_ANSWER = 10.0  # s
_ELSEWHERE = " - say the right endpoint"
_MENDS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: " - mend headers",
    HTTPStatus.FORBIDDEN: " - mend headers",
    HTTPStatus.NOT_FOUND: _ELSEWHERE,
    HTTPStatus.METHOD_NOT_ALLOWED: _ELSEWHERE,
}


class Connection(requests.Session):
    """The connection to a collector; `fault` says in words why the last request did not go well, '' where it did."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self._sockets))
        # Where no variable says anything, each request would look through all of them twice.
        self.trust_env = bool(getproxies() or any(map(os.environ.get, _CERTIFICATES)))
        self.auth = lambda request: request  # else what ~/.netrc says takes the place of a declared header
        self.fault = ""
        self.rejected = 0
        """How many spans of the last request the collector did not want."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Make a request."""
        self.fault, self.rejected = "", 0
        # Else REQUESTS_CA_BUNDLE takes the place of a declared file of certificates.
        how = {"stream": True, **({"verify": self.verify} if isinstance(self.verify, str) else {})}
        try:
            answer = super().request(*args, **{**kwargs, **how})
            _read_some(answer, time.monotonic() + (kwargs.get("timeout") or _LONGEST_ANSWER))
        except requests.RequestException as error:
            self.fault = _why(error)
            raise
        except ValueError as error:  # of an address that it sends us to
            self.fault = f"it has not answered as a collector does: {told(error)}"
            raise
        if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES:  # a redirection is not followed, and delivers nothing
            is_at_fault = answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            mend = " - its own log says why" if is_at_fault else _MENDS.get(answer.status_code, "")
            self.fault = f"it answers {answer.status_code} {answer.reason}{mend}"
        else:
            self._read(answer)
        return answer

    def abandon(self) -> None:
        """Have done with what is under way: who waits for an answer, on another thread, hears that there is none."""
        while self._sockets:
            with suppress(OSError):
                self._sockets.pop().shutdown(socket.SHUT_RDWR)

    def _read(self, answer: requests.Response) -> None:
        """What is said of the spans besides that they have come."""
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith("text/html"):  # a page to log in at, a dashboard
            self.fault = f"a web page answers there, and no collector{_ELSEWHERE}"
        elif kind.startswith("application/x-protobuf"):  # some answer in other forms, against OTLP, and have taken them
            try:
                partly = ExportTraceServiceResponse.FromString(answer.content).partial_success
            except Exception:  # of protobuf, which says no types
                return
            self.rejected = partly.rejected_spans
            if self.rejected:
                self.fault = " ".join(f"it has rejected them: {partly.error_message}".split())


class _Adapter(HTTPAdapter):
    """Connections whose sockets are known, by which they can be ended from outside."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """See `HTTPAdapter.get_connection_with_tls_context`."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not hasattr(pool.ConnectionCls, "is_known"):
            pool.ConnectionCls = _known(pool.ConnectionCls, self._sockets)
        return pool


def _known(kind: Any, sockets: list[socket.socket]) -> Any:
    class Known(kind):  # type: ignore[misc]  # a class that urllib3 chooses
        is_known = True

        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    return Known


class Delivery(SpanExporter):
    """An exporter, with what has become of the spans that it was given; `fault` is why the last ones were lost."""

    def __init__(self, exporter: SpanExporter, connection: Connection) -> None:
        self._exporter, self._connection = exporter, connection
        self.fault = ""
        self.reset()

    def reset(self) -> None:
        """Begin to count anew, as in a copy of the process: spans that wait are its parent's."""
        self._lock = threading.Lock()
        self._waiting = self.lost = 0
        self._is_closed = False

    def admit(self) -> bool:
        """Whether there is room for one more; where not, it is lost."""
        with self._lock:
            if self._is_closed or self._waiting >= MOST_WAITING:
                self.lost += 1
                self.fault = self.fault or f"more than {MOST_WAITING:,} wait to be sent"
                return False
            self._waiting += 1
            return True

    @property
    def waiting(self) -> int:
        """How many have ended, of which nobody knows yet whether they will arrive."""
        return self._waiting

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some."""
        fault, lost = "the process ends", len(spans)
        if not self._is_closed:
            self._connection.fault = ""
            with Quiet():
                try:
                    sent = self._exporter.export(spans)
                except Exception as error:
                    sent, self._connection.fault = SpanExportResult.FAILURE, told(error)
            fault = self._connection.fault
            well = sent is SpanExportResult.SUCCESS and not fault
            lost = 0 if well else min(self._connection.rejected or lost, lost)
        with self._lock:
            self._waiting -= len(spans)
            self.lost += lost
            if lost:
                self.fault = fault or "they could not be written as OTLP"
        return SpanExportResult.FAILURE if lost else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Send nothing any more, and wait for nothing."""
        if not self._is_closed:
            self._is_closed = True
            with Quiet():
                self._exporter.shutdown()


class Queue(BatchSpanProcessor):
    """The SDK's queue of spans to be sent, with room for so many and no more."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        super().__init__(delivery, MOST_WAITING, _EVERY, _MOST_AT_ONCE)

    def on_end(self, span: ReadableSpan) -> None:
        """Take one that has ended."""
        if span.context and span.context.trace_flags.sampled and self._delivery.admit():
            super().on_end(span)


_is_ours: ContextVar[bool] = ContextVar("is_ours", default=False)


class Quiet:
    """Within it, the SDK logs nothing; what other parts of the program have it do is logged as ever."""

    def __enter__(self) -> None:
        self._token = _is_ours.set(True)

    def __exit__(self, *_: object) -> None:
        _is_ours.reset(self._token)


class _Others(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _is_ours.get()


for _name in (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.util.re",  # it would show headers
):
    logging.getLogger(_name).addFilter(_Others())


def _read_some(answer: requests.Response, deadline: float) -> None:
    """Read an answer, as far as anybody wants to know it: one may never end, or come drop by drop.

    Raises:
        requests.Timeout: it has not come by a time of `time.monotonic()`.
    """
    found = b""
    try:
        while len(found) < _MOST_OF_AN_ANSWER and (piece := answer.raw.read1(_MOST_OF_AN_ANSWER, decode_content=True)):
            found += piece
            if time.monotonic() > deadline:
                answer.close()
                raise requests.Timeout
    except urllib3.exceptions.TimeoutError as error:
        raise requests.Timeout from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    answer._content = found[:_MOST_OF_AN_ANSWER]  # noqa: SLF001  where requests keeps what it has read itself
    answer._content_consumed = True  # noqa: SLF001  else it would read on
    answer.close()


def _why(error: requests.RequestException) -> str:
    """Why there was no answer."""
    if isinstance(error, requests.exceptions.Timeout):
        return "it does not answer in time - look whether it is well, or say a longer timeout"
    root: BaseException = error
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS: {told(root)}"
    why = root.strerror if isinstance(root, OSError) and root.strerror else told(root)
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy that the environment names: {why} - mend it, or say the collector's host in NO_PROXY"
    return f"{why} - start it, or say the right endpoint" if isinstance(root, OSError) else why
