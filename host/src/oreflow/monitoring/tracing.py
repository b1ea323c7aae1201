"""Spans of OpenTelemetry: a run, its tables, their batches, the attempts at each, and what an engine does in one.

Only its API is used here, and only where somebody keeps spans: whoever runs a pipeline brings an SDK, or a plugin
does. The names of attributes are those of its semantic conventions where it has any, and `oreflow.*` otherwise.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from oreflow.contract import OreflowError
from oreflow.contract.errors import told
from oreflow.hookspecs import hookimpl
from oreflow.secrets import redacted

if TYPE_CHECKING:
    from opentelemetry.context import Context

LONG = 0.1
"""Seconds from which on a call that is usually quick, such as loading a table, is a span; and so is one that fails."""
_QUICK = ("list", "digest", "load", "account", "read", "write")
"""The calls of which a run makes hundreds; a source is read by `read` as well, which is an attempt at a batch."""
_log = logging.getLogger("oreflow.monitoring")

tracer: Any = None
"""True where spans are kept: a look at it is all that they cost where they are not."""
_keeping = 0
_changing = threading.Lock()
_here: ContextVar[_Node | None] = ContextVar("oreflow_span", default=None)


def begin(name: str, attributes: Mapping[str, Any] | None) -> Any:
    """Begin a span, in which all is that begins in this thread before its `end(error, attributes)`."""
    above = _here.get()
    return (above.below if above else _Node.root)(name, {f"oreflow.{k}": v for k, v in (attributes or {}).items()})


def trace_ids() -> tuple[str, str]:
    """The ids of the current trace and span in hexadecimal; '' where there is none."""
    if not tracer:
        return "", ""
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    return (f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else ("", "")


def trace_headers(form: str = "w3c") -> dict[str, str]:
    """Headers by which a service that is called continues the current trace: `w3c`, `b3` (one header) or `b3multi`.

    Raises:
        OreflowError: B3 is asked for, and `opentelemetry-propagator-b3` is not installed.
        ValueError: there is no such form.
    """
    headers: dict[str, str] = {}
    _propagator(form).inject(headers)
    return headers


@contextmanager
def continued_trace(headers: Mapping[str, str]) -> Iterator[None]:
    """Continue the trace of whoever calls, as its HTTP headers say: W3C `traceparent`, or B3 in one header or several.

    What is malformed is left alone with a warning, as the specifications have it: the trace begins here then.
    """
    from opentelemetry import context

    found = _extracted(headers)
    token = context.attach(found) if found is not None else None
    _keep(1)
    try:
        yield
    finally:
        _keep(-1)
        if token is not None:
            context.detach(token)


def is_anybody_there() -> bool:
    """Whether this process has a provider of spans of its own."""
    from opentelemetry import trace

    return not isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider))


def _keep(change: int) -> None:
    """Have spans kept, or no more."""
    global tracer, _keeping  # noqa: PLW0603  one guard for the process
    with _changing:
        _keeping += change
        tracer = True if _keeping else None


def _propagator(form: str) -> Any:
    if form == "w3c":
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        return TraceContextTextMapPropagator()
    if form not in ("b3", "b3multi"):
        raise ValueError(f"there is no form '{form}' of trace headers: there are w3c, b3 and b3multi")
    try:
        from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
    except ModuleNotFoundError as error:
        raise OreflowError("headers of B3 need a library: pip install opentelemetry-propagator-b3") from error
    return B3SingleFormat() if form == "b3" else B3MultiFormat()


def _extracted(headers: Mapping[str, str]) -> Context | None:
    """The context that headers say; None where they say none that can be read."""
    from opentelemetry import trace

    lower = {str(name).lower(): str(value) for name, value in headers.items()}
    form = "w3c" if "traceparent" in lower else "b3multi" if {"b3", "x-b3-traceid"} & set(lower) else ""
    if not form or (form == "b3multi" and lower.get("b3") in ("0", "1", "d")):  # only whether to sample: no trace
        return None
    try:
        found: Context = _propagator(form).extract(lower)
    except OreflowError as error:
        _log.warning("the trace of whoever calls cannot be continued: %s", error)
        return None
    if trace.get_current_span(found).get_span_context().is_valid:
        return found
    _log.warning("the trace of whoever calls cannot be continued: its headers are malformed")
    return None


class _Node:
    """A span in each of the tracers that spans are kept by; the first one's is the current one."""

    def __init__(
        self,
        tracers: Sequence[Any],
        name: str,
        attributes: Mapping[str, Any],
        above: Sequence[Context | None],
        start: int | None = None,
        *,
        is_current: bool = True,
    ) -> None:
        from opentelemetry import context, trace

        kept = _kept(attributes)
        self._tracers = tracers
        self._spans = [
            tracer.start_span(name, parent, attributes=kept, start_time=start)
            for tracer, parent in zip(tracers, above, strict=True)
        ]
        pairs = zip(self._spans, above, strict=True)
        self._contexts = [trace.set_span_in_context(span, parent) for span, parent in pairs]
        self._tokens = (context.attach(self._contexts[0]), _here.set(self)) if is_current else None

    @classmethod
    def root(cls, name: str, attributes: Mapping[str, Any]) -> _Node:
        """A span outside of any run, by the provider of the process, below the span that is current."""
        from opentelemetry import trace

        return cls([trace.get_tracer("oreflow")], name, attributes, [None])

    def below(self, name: str, attributes: Mapping[str, Any], start: int | None = None, *, now: bool = True) -> _Node:
        """A span below this one; `start` is when it began, in nanoseconds since 1970; not `now`: it is over already."""
        from opentelemetry import context

        # Between this span and what begins now there may be one that a plugin has begun.
        above = [context.get_current() if now else self._contexts[0], *self._contexts[1:]]
        return _Node(self._tracers, name, attributes, above, start, is_current=now)

    def add(self, event: str, attributes: Mapping[str, Any]) -> None:
        """Something that has happened."""
        for span in self._spans:
            span.add_event(event, _kept(attributes))

    def say(self, attributes: Mapping[str, Any]) -> None:
        """Something that is known by now."""
        for span in self._spans:
            span.set_attributes(_kept(attributes))

    def fail(self, kind: str, reason: str = "") -> None:
        """That it went wrong."""
        from opentelemetry.trace import Status, StatusCode

        for span in self._spans:
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR, str(redacted(reason)) or None))

    def end(self, error: BaseException | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        """End it; all in it has ended."""
        from opentelemetry import context

        if attributes:
            self.say({f"oreflow.{key}": value for key, value in attributes.items()})
        if error is not None:
            cause = _cause(error)
            kind = _kind(cause)
            stack = "".join(traceback.format_exception(error))
            about = {"type": kind, "message": told(cause).partition(": ")[2], "stacktrace": stack}
            self.add("exception", {f"exception.{key}": value for key, value in about.items()})
            self.fail(kind, told(error))
        for span in self._spans:
            span.end()
        if self._tokens:
            context.detach(self._tokens[0])
            _here.reset(self._tokens[1])
            self._tokens = None


def _cause(error: BaseException) -> BaseException:
    """What an error that tells of another in plain words comes of; the error itself where it does not."""
    while isinstance(error, OreflowError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _kind(error: BaseException) -> str:
    """The `error.type` of an error, by the semantic conventions."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _kept(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as a span can have them: texts, numbers and truth values, without secrets."""
    plain = (str, bool, int, float)
    return {
        key: redacted(value if isinstance(value, plain) else str(value))
        for key, value in attributes.items()
        if value is not None
    }


class Traces:
    """The spans of one run, as a view of its events; a listener that is registered for its time.

    `providers` are where they go; where there are none, to the provider of the process, which a program may have set.
    The figures on them are the report's.
    """

    def __init__(self, run_id: str, providers: Sequence[Any]) -> None:
        from opentelemetry import trace

        self._run_id = run_id
        self._tracers = [provider.get_tracer("oreflow") for provider in providers] or [trace.get_tracer("oreflow")]
        self._open: list[_Node] = []  # the run, a table, a batch
        self._attempts: dict[tuple[str, str], int] = {}
        _keep(1)

    def close(self) -> None:
        """End what is open, of a run that was cut off, and keep spans no more."""
        while self._open:
            node = self._open.pop()
            node.fail("interrupted")
            node.end()
        _keep(-1)

    @hookimpl(tryfirst=True)
    def run_started(self, run_id: str, pipeline: str) -> None:
        """Begin the run's span, in the trace of whoever has started the process (`TRACEPARENT`, `TRACESTATE`, `B3`)."""
        if run_id == self._run_id:
            # Of the environment only where this process has no span of its own that the run belongs to.
            parent = _extracted(_of_the_environment()) if trace_ids() == ("", "") else None
            about = {"oreflow.run.id": run_id, "oreflow.pipeline": pipeline}
            self._open.append(_Node(self._tracers, f"run {pipeline}", about, [parent] * len(self._tracers)))

    @hookimpl(tryfirst=True)
    def step_started(self, run_id: str, table: str, processor: str, engine: str) -> None:
        """Begin a table's span."""
        if run_id == self._run_id and self._open:
            about = {"stage": table.partition(".")[0], "table": table, "processor": processor, "engine": engine}
            self._begin(f"table {table}", about)

    @hookimpl(tryfirst=True)
    def batch_started(self, run_id: str, table: str, batch: int, files: Sequence[Mapping[str, Any]]) -> None:
        """Begin a batch's span."""
        if run_id == self._run_id and self._open:
            self._attempts.clear()
            about = {"table": table, "batch": batch, **({"files": len(files)} if files else {})}
            self._begin(f"batch {batch}", about)

    @hookimpl(wrapper=True)
    def call_resource(self, run_id: str, resource: str, operation: str) -> Generator[None, Any, Any]:
        """An attempt, or a part of one; quick ones only where they fail or take long."""
        above = _here.get()
        if run_id != self._run_id or above is None:
            return (yield)
        about = {"oreflow.resource": resource, "oreflow.operation": operation}
        if operation in _QUICK and not (operation == "read" and resource != "lake"):
            start = time.time_ns()
            try:
                result = yield
            except BaseException as error:
                above.below(f"{operation} {resource}", about, start, now=False).end(error)
                raise
            if time.time_ns() - start >= LONG * 1e9:
                above.below(f"{operation} {resource}", about, start, now=False).end()
            return result
        number = self._attempts[resource, operation] = self._attempts.get((resource, operation), 0) + 1
        node = above.below(f"{operation} {resource}", {**about, "oreflow.attempt": number})
        try:
            result = yield
        except BaseException as error:
            node.end(error)
            raise
        node.end()
        return result

    @hookimpl(tryfirst=True)
    def resource_event(self, run_id: str, resource: str, event: Mapping[str, Any]) -> None:
        """Something that was decided about a call."""
        if run_id == self._run_id and (here := _here.get()):
            about = {f"oreflow.{key}": value for key, value in event.items() if key != "kind" and value}
            here.add(event["kind"], {"oreflow.resource": resource, **about})

    @hookimpl(trylast=True)
    def batch_finished(self, run_id: str, status: str, account: Mapping[str, Any]) -> None:
        """End a batch's span with its account."""
        if run_id != self._run_id or len(self._open) < _TO_BATCH:
            return
        node = self._open.pop()
        for check, rows in account.get("rules", {}).items():
            node.add("check broken", {"oreflow.check": check, "oreflow.rows": rows})
        for file in account.get("set_aside", ()):
            node.add("file set aside", {f"oreflow.{key}": value for key, value in file.items()})
        rows = {f"rows.{kind}": account[kind] for kind in ("read", "published", "quarantined", "superseded") if account}
        if account and status != "published":
            rows["rows.published"] = 0
        if status != "published":
            node.fail(status)
        node.end(attributes={"status": status, **rows, "quality_score": account.get("score")})

    @hookimpl(trylast=True)
    def step_finished(self, run_id: str, result: Mapping[str, Any]) -> None:
        """End a table's span with its entry in the report."""
        if run_id != self._run_id or not self._open[1:]:
            return
        node = self._open.pop()
        if result["status"] == "failed":
            node.fail("failed", result["reason"])
        rows = {f"rows.{key[5:]}": value for key, value in result.items() if key.startswith("rows_")}
        node.end(attributes={"status": result["status"], **rows, "quality_score": result["quality_score"]})

    @hookimpl(trylast=True)
    def run_finished(self, run_id: str, report: Mapping[str, Any]) -> None:
        """End the run's span."""
        if run_id == self._run_id and self._open:
            node = self._open.pop()
            if report["status"] != "success":
                node.fail(report["status"])
            node.end(attributes={"status": report["status"]})

    def _begin(self, name: str, about: Mapping[str, Any]) -> None:
        self._open.append(self._open[-1].below(name, {f"oreflow.{key}": value for key, value in about.items()}))


_TO_BATCH = 3


def _of_the_environment() -> dict[str, str]:
    """The trace of whoever has started this process: what stands in headers elsewhere stands in variables here."""
    names = ("TRACEPARENT", "TRACESTATE", "B3")
    return {name.lower(): os.environ[name] for name in names if os.environ.get(name)}
