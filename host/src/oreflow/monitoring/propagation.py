"""Traces that go on from one process to the next: W3C `traceparent`, and B3, in headers and in the environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from oreflow.contract import OreflowError
from oreflow.monitoring import spans

if TYPE_CHECKING:
    from opentelemetry.context import Context

_log = logging.getLogger("oreflow.monitoring")


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

    found = extracted(headers)
    token = context.attach(found) if found is not None else None
    spans.keep(1)
    try:
        yield
    finally:
        spans.keep(-1)
        if token is not None:
            context.detach(token)


def trace_of_the_environment() -> Context | None:
    """The trace of whoever has started this process: what stands in headers elsewhere stands in variables here."""
    names = ("TRACEPARENT", "TRACESTATE", "B3")
    return extracted({name: os.environ[name] for name in names if os.environ.get(name)})


def extracted(headers: Mapping[str, str]) -> Context | None:
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
    wrong = next(filter(lower.__contains__, _FORMS))
    name = next(str(each) for each in headers if str(each).lower() == wrong)
    what = "the trace of whoever calls cannot be continued: %s is malformed - its form is %s"
    _log.warning(what, name, _FORMS[wrong])
    return None


_FORMS = {
    "traceparent": "00-TRACE-SPAN-01, with 32 and 16 hexadecimal digits",
    "b3": "TRACE-SPAN-1, with 32 and 16 hexadecimal digits",
    "x-b3-traceid": "32 hexadecimal digits",
}
"""What begins a trace, by the W3C's Trace Context and by B3; the first of them that is there holds."""


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
