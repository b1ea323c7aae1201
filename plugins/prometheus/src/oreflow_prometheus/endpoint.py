"""The metric backend `prometheus`: an HTTP server that gives the totals as they are when it is asked.

Pipelines of one process that say the same port have one server together, which gives the figures of all.
"""

from __future__ import annotations

import errno
import gzip
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder, gzip_accepted

from oreflow.contract import MetricBackend, MetricFamily, OreflowError, Snapshot, Surroundings
from oreflow.contract.errors import told
from oreflow.monitoring.exposition import CONTENT_TYPES, text
from oreflow.monitoring.forking import Lock
from oreflow_prometheus.totals import totals_in

_SILENCE = 10.0  # seconds that a client may say nothing, so that it keeps no thread for ever
_LOOK = 0.1  # seconds between two looks at whether it is to end, which the end of a process waits for
_log = logging.getLogger("oreflow.prometheus")


class Endpoint(MetricBackend):
    """Listens from `open` to `close`."""

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        self._host, self._port = options.get("host", "127.0.0.1"), options.get("port", 9464)
        self._path = options.get("path", "/metrics")
        self._totals = totals_in(surroundings.folder)
        self._server: _Server | None = None
        self._source: Callable[[], Snapshot] | None = None

    def open(self, read: Callable[[], Snapshot]) -> None:
        """Begin to listen.

        Raises:
            OreflowError: it cannot, as where the port is taken.
        """
        self._source = source = lambda: self._totals.add(read())[0]
        try:
            self._server = _server(self._host, self._port, self._path, source)
        except OSError as error:
            where = f"port {self._port} of {self._host}"
            if error.errno == errno.EADDRINUSE:
                fault = f"{where} is taken by another process - say another port, or 0 for any that is free"
            else:
                fault = f"nobody can listen at {where}: {_reason(error)} - say another host or port"
            raise OreflowError(fault) from None
        _log.info("metrics are at %s", self.address)

    @property
    def address(self) -> str:
        """Where the metrics are, such as `http://127.0.0.1:9464/metrics`; '' while it does not listen."""
        if self._server is None:
            return ""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_address[1]}{self._path}"

    def write(self, snapshot: Snapshot) -> None:
        """Keep what was counted for the processes to come.

        Raises:
            OSError: it cannot be kept; the endpoint gives it all the same.
        """
        if fault := self._totals.add(snapshot)[1]:
            raise fault

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None and self._source is not None:
            _leave(self._server, self._path, self._source)
            self._server = None


class _Server(ThreadingHTTPServer):
    """Gives what `sources` have, by path.

    prometheus-client's own server answers on every path, and says on stderr that a client has gone.
    """

    allow_reuse_address = os.name != "nt"  # there it would take the port of another process away
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.sources: dict[str, list[Callable[[], Snapshot]]] = {}
        self.host = host
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the network for the name of the host

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a client at %s was not answered", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "oreflow", ""
    timeout = _SILENCE

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the standard library's name
        _log.debug(format, *args)

    def _answer(self, *, with_body: bool) -> None:
        sources = list(self.server.sources.get(urlsplit(self.path).path, ()))
        if not sources:
            self.send_error(HTTPStatus.NOT_FOUND, f"metrics are at {', '.join(list(self.server.sources))}")
            return
        try:
            media_type = choose_encoder(self.headers.get("Accept", ""))[1]
            format_ = "openmetrics" if media_type.startswith("application/openmetrics-text") else "prometheus"
            body = text(_together([read() for read in sources]), format_).encode()
        except Exception as error:
            _log.warning("metrics cannot be given: %s", told(error))
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPES[format_])
        if gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Vary", "Accept, Accept-Encoding")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _server(host: str, port: int, path: str, source: Callable[[], Snapshot]) -> _Server:
    """The server at a port, which this process may have already; port 0 is another one each time."""
    with _changing:
        server = _servers.get((host, port)) if port else None
        if server is None:
            server = _Server(host, port)
            _servers[host, server.server_address[1]] = server
            threading.Thread(target=server.serve_forever, args=(_LOOK,), name="oreflow-prometheus", daemon=True).start()
        server.sources.setdefault(path, []).append(source)
        return server


def _leave(server: _Server, path: str, source: Callable[[], Snapshot]) -> None:
    """Give a source no more, and listen no more where there is no other one."""
    with _changing:
        server.sources[path].remove(source)
        if not server.sources[path]:
            del server.sources[path]
        if not server.sources:  # the port is free before another one may want it
            _servers.pop((server.host, server.server_address[1]))
            server.shutdown()
            server.server_close()


def _together(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The figures of several pipelines; a series that is of no pipeline, which all of them have, is there once."""
    first, *others = snapshots
    families: dict[str, MetricFamily] = {family.name: family for family in first.families}
    for other in others:
        for family in other.families:
            found = families.setdefault(family.name, family)
            if (found.kind, found.bounds) == (family.kind, family.bounds):
                there = {each.labels for each in found.samples}
                more = [each for each in family.samples if each.labels not in there]
                families[family.name] = replace(found, samples=(*found.samples, *more))
    return replace(first, families=tuple(family for _, family in sorted(families.items())))


_servers: dict[tuple[str, int], _Server] = {}
_changing = Lock()


def _in_child() -> None:
    for each in _servers.values():
        each.socket.close()  # the parent listens there
    _servers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _reason(error: OSError) -> str:
    text_ = error.strerror or str(error)
    return text_[:1].lower() + text_[1:]
