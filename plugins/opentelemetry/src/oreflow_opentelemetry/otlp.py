"""Spans to a collector by OTLP: the SDK of OpenTelemetry, set up as a declaration says, in bounded time.

The standard variables of OpenTelemetry hold where an option is not said.
"""

from __future__ import annotations

import functools
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPERIMENTAL_RESOURCE_DETECTORS,
    OTEL_RESOURCE_ATTRIBUTES,
    OTEL_SERVICE_NAME,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from oreflow import __version__
from oreflow.contract import DeclarationError, Problem, Surroundings, TraceBackend
from oreflow.contract.errors import told
from oreflow.monitoring import workers
from oreflow.quantities import lasting
from oreflow.secrets import masked, redacted, without
from oreflow_opentelemetry.delivery import Connection, Delivery, Queue, Quiet

_PATH = "/v1/traces"
_ADDRESS = "say http://HOST:4318 or https://HOST:4318"
_TIMEOUT = 2.0  # s, below the patience of a run, which is told in time what was the matter
_MEND = "look for what is wrong in the variables OTEL_... of the environment"
_OF_RESOURCES = (OTEL_EXPERIMENTAL_RESOURCE_DETECTORS, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME)
_LAST = 0.5
"""Seconds that `close` waits for a request that is under way."""


class Otlp(TraceBackend):
    """A provider whose spans go to one collector. `fault` says why some did not get there, '' where none was lost.

    Raises:
        DeclarationError: a header cannot be sent, the file of certificates is not there, `timeout` is none, or a
            variable of OpenTelemetry is none.
    """

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        headers = options.get("headers", {})
        _check(headers)
        self._secrets = [part for value in headers.values() for part in (value, *value.split())]
        self._flushed: threading.Event | None = None
        try:
            self._set_up(options, headers, surroundings)
        except DeclarationError:
            raise
        except Exception as error:  # of the SDK, whose variables may say anything
            raise DeclarationError([Problem(f"OpenTelemetry cannot be set up: {told(error)}", (), _MEND)]) from error
        _begin_anew_in_copies(self)

    def _set_up(self, options: Mapping[str, Any], headers: Mapping[str, str], surroundings: Surroundings) -> None:
        self._connection = Connection()
        with Quiet():
            exporter = OTLPSpanExporter(
                endpoint=_endpoint(options),
                certificate_file=_certificate(options, surroundings),
                headers=dict(headers),
                timeout=_timeout(options),
                session=self._connection,
            )
        address: str = exporter._endpoint  # noqa: SLF001  the SDK says nowhere else what it settled by its variables
        _check_address(address, is_declared="endpoint" in options)
        self._delivery = Delivery(exporter, self._connection)
        self._queue = Queue(self._delivery)
        sample = options.get("sample")
        self._provider = TracerProvider(
            sampler=None if sample is None else ParentBasedTraceIdRatio(sample),
            resource=_resource(options, surroundings),
            shutdown_on_exit=False,  # it would wait for as long as a collector lets it; the host closes
        )
        self._provider.add_span_processor(self._queue)
        self._place = masked(without(address, self._secrets))

    @property
    def fault(self) -> str:
        """How many spans did not get there, and why, in one line and without secrets."""
        lost = self._delivery.lost
        if not lost:
            why = redacted(without(self._connection.fault, self._secrets))
            return f"spans have not got to {self._place} yet: {why}" if why and self._delivery.waiting else ""
        what = f"{lost:,} spans were" if lost > 1 else "1 span was"
        why = redacted(without(self._delivery.fault, self._secrets))
        return f"{what} lost on the way to {self._place}: {why}"

    def provider(self) -> TracerProvider:
        """See `TraceBackend.provider`."""
        return self._provider

    def flush(self, seconds: float) -> bool:
        """See `TraceBackend.flush`. The SDK's own waits as long as a request likes: this one leaves it behind."""
        deadline = time.monotonic() + seconds
        if self._flushed and not self._flushed.wait(seconds):  # one thread that a collector keeps waiting is enough
            return False
        self._flushed = _begun(self._queue.force_flush)
        return self._flushed.wait(max(deadline - time.monotonic(), 0.0)) and not self._delivery.lost

    def close(self) -> None:
        """See `TraceBackend.close`; a request that is under way is left behind where it takes long."""
        self._delivery.shutdown()
        if not _begun(self._queue.shutdown).wait(_LAST):
            self._connection.abandon()

    def begin_anew(self) -> None:
        """In a copy of the process: spans that wait are its parent's, and so is the connection."""
        self._flushed = None
        self._delivery.reset()
        self._connection.close()


def _begun(call: Callable[[], object]) -> threading.Event:
    """What is set when a call has ended that is made in another thread."""
    ended = threading.Event()

    def work() -> None:
        try:
            call()
        finally:
            ended.set()

    workers.begin(work, "oreflow-spans")
    return ended


def _endpoint(options: Mapping[str, Any]) -> str | None:
    said = options.get("endpoint")
    return said and f"{said.rstrip('/').removesuffix(_PATH)}{_PATH}"


def _check_address(address: str, *, is_declared: bool) -> None:
    """Refuse what no request can be made to; it is not shown, since it may have a password.

    Raises:
        DeclarationError: it is no address.
    """
    try:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return
    except ValueError:  # of a port
        pass
    where = "in the variable OTEL_EXPORTER_OTLP_ENDPOINT or ..._TRACES_ENDPOINT"
    message = "this is no address of a collector" if is_declared else f"the address of the collector {where} is none"
    raise DeclarationError([Problem(message, ("endpoint",) if is_declared else (), _ADDRESS)])


def _timeout(options: Mapping[str, Any]) -> float | None:
    if "timeout" in options:
        return lasting(options["timeout"], ("timeout",))
    is_said = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{which}TIMEOUT") for which in ("", "TRACES_"))
    return None if is_said else _TIMEOUT


def _certificate(options: Mapping[str, Any], surroundings: Surroundings) -> str | None:
    if "certificate" not in options:
        return None
    file = surroundings.project / options["certificate"]
    if not file.is_file():
        mend = "it is looked for in the project's folder"
        raise DeclarationError([Problem(f"there is no file {options['certificate']}", ("certificate",), mend)])
    return str(file)


def _check(headers: Mapping[str, str]) -> None:
    """Refuse what is no header here: the error of a request would show it.

    Raises:
        DeclarationError: one is none.
    """
    for name, value in headers.items():
        is_plain = value.isprintable() and value.isascii() and value == value.strip()
        if not is_plain or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            message = f"the header {name!r} cannot be sent: its name or its value has characters that no header has"
            raise DeclarationError([Problem(message, ("headers", name), "look for spaces and line ends around it")])


def _resource(options: Mapping[str, Any], surroundings: Surroundings) -> Resource:
    """What spans come from: what is known here, over it the variables of OpenTelemetry, over these the declaration."""
    ours: dict[str, Any] = {
        "service.name": "oreflow",
        "service.version": __version__,
        "deployment.environment.name": surroundings.environment,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
        "oreflow.pipeline": surroundings.pipeline,
    }
    settled = _settled(os.getpid(), tuple(map(os.environ.get, _OF_RESOURCES)))
    said = dict(settled.attributes)
    if str(said["service.name"]).startswith("unknown_service"):
        del said["service.name"]
    named = {"service.name": options["service"]} if "service" in options else {}
    return _Resource({**ours, **said, **options.get("attributes", {}), **named}, settled.schema_url)


class _Resource(Resource):
    """One whose hash is made once: the SDK's writes it down as JSON for it, and asks for it at each span."""

    @functools.cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    __eq__ = Resource.__eq__


@functools.lru_cache(maxsize=1)
def _settled(process: int, variables: tuple[str | None, ...]) -> Resource:
    """What a process and its variables come to; the SDK looks through all that is installed for what finds it out."""
    del process, variables  # it looks for them itself
    return Resource.create()


def _begin_anew_in_copies(backend: Otlp) -> None:
    if hasattr(os, "register_at_fork"):
        anew = weakref.WeakMethod(backend.begin_anew)
        os.register_at_fork(after_in_child=lambda: (method := anew()) and method())
