"""Policies as a declaration says them: every key has its effect, and what cannot be is refused at its place."""

from __future__ import annotations

import pytest

from oreflow.contract import DeclarationError
from oreflow.resilience import BreakerPolicy, BulkheadPolicy, Policy, RateLimitPolicy, RetryPolicy
from oreflow.resilience.declared import SCHEMA, declared_policy, policy_document
from oreflow.validation import validate


def policy(section, *, name="files", breaker=False):
    assert not validate(section, SCHEMA), validate(section, SCHEMA)
    return declared_policy(section, name, breaker=breaker)


def test_without_a_word_there_are_three_attempts_and_a_breaker_where_one_has_a_use():
    assert policy({}) == (Policy(), False)
    assert policy({}, breaker=True) == (Policy(breaker=BreakerPolicy()), False)


def test_every_key_has_its_effect():
    said = {
        "retry": {
            "max_attempts": 7, "strategy": "fibonacci", "base": "1s500ms", "cap": 60, "jitter": "equal",
            "deadline": "PT5M", "budget": "20%",
        },
        "breaker": {
            "consecutive_failures": 3, "window": "90s", "failure_rate": "12.5%", "minimum_calls": 4, "slow_call": "10s",
            "slow_call_rate": 0.9, "recovery": "2m", "recovery_growth": 3, "max_recovery": "1h",
            "half_open_permits": 5, "half_open_concurrency": 2,
        },
        "bulkhead": {"limit": 4, "queue": 9, "wait": "30s"},
        "rate_limit": {"calls": 100, "per": "1m", "wait": 5},
        "timeout": "2m",
        "fallback": "stale",
    }  # fmt: skip
    expected = Policy(
        retry=RetryPolicy(
            max_attempts=7, strategy="fibonacci", base=1.5, cap=60.0, jitter="equal", deadline=300.0, budget=0.2
        ),
        breaker=BreakerPolicy(
            consecutive_failures=3, window_seconds=90.0, failure_rate=0.125, minimum_calls=4, slow_call=10.0,
            slow_call_rate=0.9, recovery=120.0, recovery_growth=3, max_recovery=3600.0, half_open_permits=5,
            half_open_concurrency=2,
        ),
        bulkhead=BulkheadPolicy(limit=4, queue=9, wait=30.0),
        rate_limit=RateLimitPolicy(calls=100, seconds=60.0, wait=5.0),
        timeout=120.0,
    )  # fmt: skip
    assert policy({"defaults": said}) == (expected, True)
    assert policy({"resources": {"files": said}}) == (expected, True)
    assert policy({"resources": {"others": said}}) == (Policy(), False)
    # What is shown is a declaration again, and the same one.
    shown = policy_document(expected, stale=True)
    assert policy({"defaults": shown}) == (expected, True)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"bulkhead": 4}, Policy(bulkhead=BulkheadPolicy(limit=4))),
        ({"breaker": {"window": 20}}, Policy(breaker=BreakerPolicy(window_calls=20))),
        ({"breaker": {"window": 20.0}}, Policy(breaker=BreakerPolicy(window_calls=20))),
        ({"rate_limit": {"adaptive": True}}, Policy(rate_limit=RateLimitPolicy(adaptive=True))),
        ({"retry": {"base": "5m"}}, Policy(retry=RetryPolicy(base=300.0, cap=300.0))),
    ],
)
def test_the_short_forms(section, expected):
    assert policy({"defaults": section}) == (expected, False)
    assert policy({"defaults": policy_document(expected, stale=False)}) == (expected, False)


def test_a_resource_is_laid_over_the_defaults_key_by_key():
    said = {
        "defaults": {"retry": {"max_attempts": 5, "base": 1}, "breaker": {"window": 20}, "bulkhead": 2, "timeout": 9},
        "resources": {
            "files": {"retry": {"base": "2s"}, "breaker": False, "bulkhead": {"limit": 3}, "timeout": "1s"},
            "others": {"breaker": {"recovery": 5}},
        },
    }
    files, _ = policy(said)
    assert files == Policy(retry=RetryPolicy(max_attempts=5, base=2.0), bulkhead=BulkheadPolicy(limit=3), timeout=1.0)
    said["resources"]["none"] = dict.fromkeys(("breaker", "bulkhead", "rate_limit", "timeout", "fallback"), False)
    said["defaults"] |= {"rate_limit": {"calls": 5}, "fallback": "stale"}
    assert policy(said, name="none") == (Policy(retry=RetryPolicy(max_attempts=5, base=1.0)), False)
    others, _ = policy(said, name="others")
    assert others.breaker == BreakerPolicy(window_calls=20, recovery=5.0)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"retry": {"base": "2s", "cap": "1s"}}, "retry: cap is at least base, not 1.0"),
        ({"breaker": {"slow_call": 1}}, "breaker: slow_call is of a window - add `window:`, or take it away"),
        ({"breaker": {"failure_rate": 0.9}}, "breaker: failure_rate is of a window"),
        ({"breaker": {"window": 20, "slow_call_rate": 0.9}}, "breaker: slow_call_rate is of slow calls"),
        ({"breaker": {"window": 20, "minimum_calls": 30}}, "breaker: minimum_calls is at most the window, 20, not 30"),
        ({"breaker": {"half_open_concurrency": 2}}, "breaker: half_open_concurrency is at most half_open_permits"),
        ({"breaker": {"recovery": "20m", "max_recovery": "10m"}}, "breaker: max_recovery is at least recovery"),
        ({"breaker": {"window": 10**21}}, "breaker: window is at most 1000000, not"),
        ({"bulkhead": {"limit": 1, "wait": "5s"}}, "bulkhead: wait is of a queue - add `queue:`, or take it away"),
        ({"bulkhead": 10**14}, "bulkhead: limit is at most 1000000, not"),
        ({"timeout": "1000w"}, "timeout: is a number of seconds, above 0, to 1e8, not 604800000.0"),
        ({"timeout": "0s"}, "timeout: is a number of seconds, above 0, to 1e8, not 0.0"),
        ({"timeout": "PT"}, "timeout: 'PT' is no time such as 300 (seconds), 5m or PT5M"),
        ({"rate_limit": {"calls": 1, "adaptive": True}}, "rate_limit: calls is a number, or adaptive is true, not 1"),
        ({"rate_limit": {}}, "rate_limit: calls is a number, or adaptive is true, not None"),
        ({"retry": {"strategy": "random_jitter", "jitter": "none"}}, "retry: jitter is full, equal or decorrelated"),
        ({"retry": {"cap": "9999w"}}, "retry: cap is a number of seconds, 0 to 1e8, not 6047395200.0"),
    ],
)
def test_values_that_do_not_fit_together_are_told_at_their_place(section, told):
    for said, place in (
        ({"defaults": section}, "resilience.defaults"),
        ({"resources": {"files": section}}, "resilience.resources.files"),
    ):
        with pytest.raises(DeclarationError) as raised:
            policy(said)
        assert f"{place}.{told}" in str(raised.value)


@pytest.mark.parametrize(
    "section",
    [
        {"retry": {"max_attempts": 0}}, {"retry": {"base": 0}}, {"retry": {"base": "soon"}}, {"retry": {"budget": 1.5}},
        {"retry": {"budget": "120%"}}, {"retry": {"strategy": "hope"}}, {"retry": {"idempotent": False}},
        {"breaker": True}, {"breaker": {"window": 0}}, {"breaker": {"recovery_growth": 0.5}}, {"bulkhead": 0},
        {"bulkhead": {"queue": 1}}, {"rate_limit": {"adaptive": False}}, {"hedge": 1}, {"timeout": -1},
        {"fallback": "hope"},
    ],
)  # fmt: skip
def test_what_is_no_policy_does_not_fit_the_schema(section):
    assert validate({"defaults": section}, SCHEMA)
