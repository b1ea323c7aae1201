"""Policies as a declaration says them: the schema of `resilience:`, and what its sections mean together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from typing import Any

from oreflow.contract import DeclarationError, Problem
from oreflow.quantities import DURATION, time_of, time_schema, time_text
from oreflow.resilience.policy import BreakerPolicy, BulkheadPolicy, Policy, RateLimitPolicy, RetryPolicy
from oreflow.resilience.waits import Jitter, RetryStrategy

STALE = "stale"
"""The fallback of a resource that is away: what was made before stays in use (RFC 5861, stale-if-error)."""

_SHARE_OF = r"^(100|[0-9]{1,2})(\.[0-9]+)?%$"


def _share(description: str) -> dict[str, Any]:
    return {
        "type": ["number", "string"],
        "exclusiveMinimum": 0,
        "maximum": 1,
        "pattern": _SHARE_OF,
        "description": f"{description}: a number to 1, or a text such as 20%",
    }


def _count(description: str, least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "description": description}


def _section(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "description": description, "properties": properties}


def _or(*forms: dict[str, Any]) -> dict[str, Any]:
    return {"description": forms[-1]["description"], "anyOf": [*forms]}


_NONE = {"const": False, "description": "none, whatever the defaults say"}


_RETRY = _section(
    "when and how often what has failed is tried again",
    {
        "max_attempts": _count("how many attempts there are, the first among them"),
        "strategy": {"enum": [each.value for each in RetryStrategy], "description": "how the waits grow"},
        "base": time_schema("the first wait"),
        "cap": time_schema("the longest wait"),
        "jitter": {"enum": [each.value for each in Jitter], "description": "what chance makes of a wait"},
        "deadline": time_schema("how long all attempts and waits may take together"),
        "budget": _share("the share of calls that may be retries on the whole"),
    },
)
_BREAKER = _section(
    "when the resource is left alone, and for how long",
    {
        "consecutive_failures": _count("so many failures in a row open it"),
        "window": {
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": DURATION,
            "description": "what the rates are of: the last so many calls, or those of a time such as 60s",
        },
        "failure_rate": _share("this share of failures in the window opens it"),
        "minimum_calls": _count("so many calls must be in the window before rates count"),
        "slow_call": time_schema("a call that takes so long is slow"),
        "slow_call_rate": _share("this share of slow calls in the window opens it"),
        "recovery": time_schema("how long it stays open"),
        "recovery_growth": {
            "type": "number",
            "minimum": 1,
            "description": "so many times longer each time that it opens anew without having closed",
        },
        "max_recovery": time_schema("the longest that it stays open"),
        "half_open_permits": _count("so many calls are let through then, and decide"),
        "half_open_concurrency": _count("so many of them at the same time"),
    },
)
_BULKHEAD = {
    **_section(
        "how many calls may be under way at the same time",
        {
            "limit": _count("so many calls"),
            "queue": _count("so many more may wait", 0),
            "wait": time_schema("how long they wait at most"),
        },
    ),
    "required": ["limit"],
}
_RATE_LIMIT = _section(
    "how many calls may begin",
    {
        "calls": {"type": "number", "exclusiveMinimum": 0, "description": "so many calls"},
        "per": time_schema("in this time"),
        "wait": time_schema("how long a call waits for its turn at most"),
        "adaptive": {"const": True, "description": "no limit until the resource asks for one, which is then followed"},
    },
)
_RESOURCE = _section(
    "what is done when a resource fails",
    {
        "retry": _RETRY,
        "breaker": _or(_NONE, _BREAKER),
        "bulkhead": _or(_NONE, _count("so many calls at the same time"), _BULKHEAD),
        "rate_limit": _or(_NONE, _RATE_LIMIT),
        "timeout": _or(_NONE, time_schema("how long one attempt may take")),
        "fallback": {
            "enum": [STALE, False],
            "description": "stale: where the resource is away, a table stays as it is and those after it are made",
        },
    },
)
SCHEMA = _section(
    "what is done when sources, tables and the lake fail",
    {
        "share": {
            "type": "string",
            "pattern": "^$|^[a-z][a-z0-9+.-]*:",
            "description": "the address of a board by which runs elsewhere share the breakers, such as "
            "redis://host:6379/0; empty: none",
        },
        "defaults": {**_RESOURCE, "description": "for every resource"},
        "resources": {
            "type": "object",
            "description": "by the name of a source, of a table, or lake; laid over the defaults",
            "additionalProperties": _RESOURCE,
        },
    },
)
"""The schema of `resilience:`."""

_TIMES = {"base", "cap", "deadline", "slow_call", "recovery", "max_recovery", "wait", "per"}
_SHARES = {"budget", "failure_rate", "slow_call_rate"}
_KINDS: dict[str, Any] = {
    "retry": RetryPolicy,
    "breaker": BreakerPolicy,
    "bulkhead": BulkheadPolicy,
    "rate_limit": RateLimitPolicy,
}
_KEYS = {key for section in (_RETRY, _BREAKER, _BULKHEAD, _RATE_LIMIT) for key in section["properties"]}
_SAYS = {"window_calls": "window", "window_seconds": "window", "a window": "window", "seconds": "per"}
"""What a field is called in a declaration, where that is another name."""


def declared_policy(said: Mapping[str, Any], name: str, *, breaker: bool) -> tuple[Policy, bool]:
    """The policy of a resource, and whether it has a fallback.

    `said` is the section `resilience`, which fits `SCHEMA`; `breaker` tells whether the resource has a breaker where
    nothing is said of one.

    Raises:
        DeclarationError: values that do not fit together, each at its place.
    """
    own = said.get("resources", {}).get(name, {})
    usual: Mapping[str, Any] = {"breaker": {}} if breaker else {}
    layers: list[Mapping[str, Any]] = [usual, said.get("defaults", {}), own]
    parts: dict[str, Any] = {}
    problems: list[Problem] = []
    for part in _KINDS:
        try:
            place: tuple[str, ...] = ("defaults",)
            parts[part] = _made(part, layers[:-1])
            if part in own:
                place = ("resources", name)
                parts[part] = _made(part, layers)
        except ValueError as error:
            problems.append(Problem(_in_its_words(str(error)), ("resilience", *place, part)))
    last = {key: layer[key] for layer in layers for key in ("timeout", "fallback") if key in layer}
    timeout = None
    try:
        if last.get("timeout", False) is not False:
            timeout = _seconds(last["timeout"])
            Policy(timeout=timeout)
    except ValueError as error:
        place = ("resources", name) if "timeout" in own else ("defaults",)
        problems.append(Problem(str(error).removeprefix("timeout "), ("resilience", *place, "timeout")))
    if problems:
        raise DeclarationError(problems)
    made = {part: policy for part, policy in parts.items() if policy is not None}
    return Policy(timeout=timeout, **made), last.get("fallback") == STALE


def _made(part: str, layers: Sequence[Mapping[str, Any]]) -> Any:
    """A part by what layers say of it; None where none does, or the last says that there is none.

    Raises:
        ValueError: the values do not fit together.
    """
    said = [_full(part, layer[part]) for layer in layers if part in layer]
    merged: Any = reduce(_laid, said) if said else False
    if merged is False:
        return None
    if idle := _idle(part, merged):
        raise ValueError(idle)
    return _KINDS[part](**_fields(part, merged))


def _idle(part: str, said: Mapping[str, Any]) -> str:
    """What is said and would have no effect; '' where nothing is."""
    return _idle_breaker(said) if part == "breaker" else _idle_bulkhead(said) if part == "bulkhead" else ""


def _idle_bulkhead(said: Mapping[str, Any]) -> str:
    if "wait" in said and not said.get("queue"):
        return "wait is of a queue - add `queue:`, or take it away"
    return ""


def _idle_breaker(said: Mapping[str, Any]) -> str:
    window, least = said.get("window"), said.get("minimum_calls", 0)
    keys = [key for key in _OF_A_WINDOW if key in said and window is None]
    recovery = [_seconds(said[key]) for key in ("recovery", "max_recovery") if key in said]
    permits = said.get("half_open_permits", BreakerPolicy().half_open_permits)
    found = {
        f"{keys[0] if keys else ''} is of a window - add `window:`, or take it away": bool(keys),
        "slow_call_rate is of slow calls - add `slow_call:`, or take it away": (
            "slow_call_rate" in said and "slow_call" not in said
        ),
        f"minimum_calls is at most the window, {window}, not {least}": (
            window is not None and not isinstance(window, str) and least > window
        ),
        "half_open_concurrency is at most half_open_permits": said.get("half_open_concurrency", 0) > permits,
        "max_recovery is at least recovery": recovery != sorted(recovery),
    }
    return next((fault for fault, holds in found.items() if holds), "")


_OF_A_WINDOW = ("failure_rate", "minimum_calls", "slow_call", "slow_call_rate")


def _full(part: str, value: Any) -> Any:
    """A part in its long form."""
    return {"limit": value} if part == "bulkhead" and not isinstance(value, (dict, bool)) else value


def _laid(below: Any, above: Any) -> Any:
    return {**below, **above} if isinstance(below, dict) and isinstance(above, dict) else above


def _fields(part: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a policy by what a section says."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        if key == "window":
            counts = not isinstance(value, str)  # the schema takes 20.0 for an integer
            found["window_calls" if counts else "window_seconds"] = int(value) if counts else _seconds(value)
        elif key in _TIMES:
            found["seconds" if key == "per" else key] = _seconds(value)
        else:
            found[key] = _part_of(value) if key in _SHARES else value
    if part == "retry" and "base" in found and "cap" not in found:
        found["cap"] = max(RetryPolicy().cap, found["base"])
    return found


def _in_its_words(fault: str) -> str:
    """What a policy has against a value, with the name that the declaration has for it."""
    field = next((field for field in _SAYS if fault.startswith(field)), "")
    return _SAYS[field] + fault.removeprefix(field) if field else fault


def _seconds(value: float | str) -> float:
    return time_of(value).total_seconds()


def _part_of(value: float | str) -> float:
    return float(value.rstrip("%")) / 100 if isinstance(value, str) else float(value)


def policy_document(policy: Policy, *, stale: bool) -> dict[str, Any]:
    """A policy in the words of a declaration, with all that it goes by; for `oreflow plan --json`."""
    found: dict[str, Any] = {part: dict(_said(getattr(policy, part))) for part in _KINDS if getattr(policy, part)}
    if policy.timeout is not None:
        found["timeout"] = _text(policy.timeout)
    return {**found, "fallback": STALE} if stale else found


def _said(policy: Any) -> Iterator[tuple[str, Any]]:
    fields = vars(policy)
    without_effect: tuple[str, ...] = ()
    if isinstance(policy, BreakerPolicy):
        windowless = policy.window_calls is None and policy.window_seconds is None
        without_effect = _OF_A_WINDOW if windowless else () if policy.slow_call else ("slow_call_rate",)
        fields = {**fields, "minimum_calls": min(policy.minimum_calls, policy.window_calls or policy.minimum_calls)}
    for field, value in fields.items():
        key = _SAYS.get(field, field)
        if value is not None and value is not False and key in _KEYS and key not in without_effect:
            yield key, _text(value) if key in _TIMES or field == "window_seconds" else value


def _text(seconds: float) -> str:
    return time_text(timedelta(seconds=seconds))
