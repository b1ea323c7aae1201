"""Spans in one tracer of OpenTelemetry or several, without harm to what they are of.

What a tracer raises is no fault of the run, and remembered. Loaded once somebody keeps spans; only the API is used
here: whoever runs a pipeline brings an SDK, or a plugin does.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context

from oreflow.contract import OreflowError
from oreflow.contract.errors import told
from oreflow.secrets import discreet, redacted

HERE: ContextVar[Node | None] = ContextVar("oreflow_span", default=None)
"""The span of ours that a thread is in."""


def begin(name: str, attributes: Mapping[str, Any] | None) -> Node:
    """Begin a span, in which all is that begins in this thread before its `end(error, attributes)`.

    One that is in none of ours is in the tracer of the process.
    """
    about = {f"oreflow.{key}": value for key, value in (attributes or {}).items()}
    if above := HERE.get():
        return above.below(name, about)
    return Node([Tracer(partial(trace.get_tracer, "oreflow"))], name, about, [None])


def is_anybody_there() -> bool:
    """Whether this process has a provider of spans of its own."""
    try:
        return not isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider))
    except Exception:  # of a provider that the environment names; whoever asks for its tracer will hear of it
        return True


def ids() -> tuple[str, str]:
    """The ids of the current trace and span in hexadecimal; '' where there is none."""
    try:
        found = trace.get_current_span().get_span_context()
        if found.is_valid:
            return f"{found.trace_id:032x}", f"{found.span_id:016x}"
    except KeyboardInterrupt:
        raise
    except BaseException:  # the span may be of anybody's making
        return "", ""
    return "", ""


class Tracer:
    """A tracer of OpenTelemetry that harms nothing: what it or a span of it raises is its `fault`, in one line."""

    def __init__(self, tracer: Callable[[], Any]) -> None:
        self.fault = ""
        self._tracer = self.safely(tracer)

    def safely(self, function: Callable[[], Any], otherwise: Any = None) -> Any:
        """What a function gives, or else something in its place."""
        try:
            return function()
        except KeyboardInterrupt:
            raise  # the user's
        except BaseException as error:
            self.fault = self.fault or told(error)
            return otherwise

    def start(self, name: str, parent: Context | None, attributes: Mapping[str, Any], start: int | None) -> Any:
        """A span; where there can be none, one that keeps nothing."""

        def begun() -> Any:
            return self._tracer.start_span(name, parent, attributes=attributes, start_time=start)

        return self.safely(begun, trace.INVALID_SPAN) if self._tracer is not None else trace.INVALID_SPAN


class Node:
    """A span in each of the tracers that spans are kept by; the first one's is the current one."""

    def __init__(
        self,
        tracers: Sequence[Tracer],
        name: str,
        attributes: Mapping[str, Any],
        above: Sequence[Context | None],
        start: int | None = None,
        *,
        is_current: bool = True,
    ) -> None:
        kept = _kept(attributes)
        self._tracers = tracers
        pairs = zip(tracers, above, strict=True)
        self._spans = [tracer.start(name, parent, kept, start) for tracer, parent in pairs]
        parents = zip(self._spans, above, strict=True)
        self._contexts = [trace.set_span_in_context(span, parent) for span, parent in parents]
        self._tokens = (context.attach(self._contexts[0]), HERE.set(self)) if is_current else None

    def below(self, name: str, attributes: Mapping[str, Any], start: int | None = None, *, now: bool = True) -> Node:
        """A span below this one; `start` is when it began, in nanoseconds since 1970; not `now`: it is over already."""
        # Between this span and what begins now there may be one that a plugin has begun.
        above = [context.get_current() if now else self._contexts[0], *self._contexts[1:]]
        return Node(self._tracers, name, attributes, above, start, is_current=now)

    def add(self, event: str, attributes: Mapping[str, Any]) -> None:
        """Something that has happened."""
        kept = _kept(attributes)
        self._each(lambda span: span.add_event(event, kept))

    def say(self, attributes: Mapping[str, Any]) -> None:
        """Something that is known by now."""
        kept = _kept(attributes)
        self._each(lambda span: span.set_attributes(kept))

    def fail(self, kind: str, reason: str = "") -> None:
        """That it went wrong."""
        status = trace.Status(trace.StatusCode.ERROR, str(redacted(reason)) or None)
        self._each(lambda span: span.set_attribute("error.type", kind))
        self._each(lambda span: span.set_status(status))

    def end(self, error: BaseException | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        """End it; all in it has ended."""
        try:
            if attributes:
                self.say({f"oreflow.{key}": value for key, value in attributes.items()})
            if error is not None:
                self._failed(error)
            self._each(lambda span: span.end())
        finally:
            if self._tokens:
                context.detach(self._tokens[0])
                with contextlib.suppress(ValueError):  # it ends elsewhere than it began, as a generator may
                    HERE.reset(self._tokens[1])
                self._tokens = None

    def _failed(self, error: BaseException) -> None:
        cause = _cause(error)
        kind = _kind(cause)
        stack = "".join(traceback.format_exception(error))
        about = {"type": kind, "message": told(cause).partition(": ")[2], "stacktrace": stack}
        self.add("exception", {f"exception.{key}": value for key, value in about.items()})
        self.fail(kind, told(error))

    def _each(self, function: Callable[[Any], None]) -> None:
        for tracer, span in zip(self._tracers, self._spans, strict=True):
            tracer.safely(partial(function, span))


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
        redacted(key): discreet(value) if isinstance(value, plain) else redacted(_text(value))
        for key, value in attributes.items()
        if value is not None
    }


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"a {type(value).__qualname__} that cannot be shown: {told(error)}"
