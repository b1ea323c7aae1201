"""The circuit breaker against a plain model of it: calls that begin and end in any order, as those of threads do."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from oreflow.resilience import BreakerPolicy, BreakerState, CircuitBreaker, CircuitOpenError
from oreflow.resilience.testing import VirtualClock

POLICIES = st.builds(
    BreakerPolicy,
    consecutive_failures=st.none() | st.integers(1, 4),
    window_calls=st.none() | st.integers(1, 8),
    failure_rate=st.sampled_from([0.25, 0.5, 1.0]),
    minimum_calls=st.integers(1, 5),
    recovery=st.just(10.0),
    recovery_growth=st.sampled_from([1.0, 2.0]),
    max_recovery=st.just(35.0),
    half_open_permits=st.integers(1, 3),
    half_open_concurrency=st.none() | st.integers(1, 2),
)


@dataclass
class Model:
    """What a breaker is, without a thought of speed: the state, and all outcomes since it began."""

    policy: BreakerPolicy
    state: str = "closed"
    epoch: int = 0
    outcomes: list[str] = field(default_factory=list)
    probing: int = 0
    let_through: int = 0
    opened_at: float = 0.0
    recovery: float = 10.0
    half_open_at: float = 0.0
    known_until: float = -1.0

    def become(self, state: str) -> None:
        self.state, self.epoch = state, self.epoch + 1
        self.outcomes, self.probing, self.let_through = [], 0, 0

    def open(self, now: float) -> None:
        self.become("open")
        self.opened_at, self.wait = now, self.recovery
        self.known_until = max(self.known_until, now + self.recovery)
        self.recovery = min(self.recovery * self.policy.recovery_growth, self.policy.max_recovery)

    def others_open(self, now: float, seconds: float) -> None:
        if now + seconds > self.known_until + 0.5 and self.state in ("closed", "open", "half_open"):
            if self.state != "open":
                self.become("open")
            self.opened_at, self.wait, self.known_until = now, seconds, now + seconds

    def others_close(self, now: float) -> None:
        self.known_until = now
        if self.state == "open":
            self.opened_at, self.wait = now, 0.0

    def admits(self, now: float) -> bool:
        recovered = self.state == "open" and now >= self.opened_at + self.wait
        if recovered or (self.state == "half_open" and now >= self.half_open_at + self.policy.recovery):
            self.become("half_open")  # also where the probes have not come back
            self.half_open_at = now
        if self.state == "half_open":
            most = self.policy.half_open_concurrency or self.policy.half_open_permits
            if self.let_through < self.policy.half_open_permits and self.probing < most:
                self.let_through, self.probing = self.let_through + 1, self.probing + 1
                return True
        return self.state in ("closed", "disabled", "metrics_only")

    def ended(self, epoch: int, outcome: str, now: float) -> None:
        if epoch != self.epoch or self.state == "disabled":
            return
        if self.state == "half_open":
            self.probing -= 1
        if outcome == "ignored":
            self.let_through -= self.state == "half_open"
            return
        self.outcomes.append(outcome)
        failures = self.outcomes.count("failed")
        if self.state == "half_open":
            by_count = self.policy.consecutive_failures is not None and failures
            if by_count or failures >= self.policy.failure_rate * self.policy.half_open_permits:
                self.open(now)
            elif len(self.outcomes) == self.policy.half_open_permits:
                self.recovery = self.policy.recovery
                self.become("closed")
        elif self.state == "closed" and outcome == "failed" and self.too_bad():
            self.open(now)

    @property
    def streak(self) -> int:
        return len(self.outcomes) - max(
            (i + 1 for i, each in enumerate(self.outcomes) if each == "succeeded"), default=0
        )

    def too_bad(self) -> bool:
        policy = self.policy
        if policy.consecutive_failures is not None and self.streak >= policy.consecutive_failures:
            return True
        if policy.window_calls is None:
            return False
        window = self.outcomes[-policy.window_calls :]
        enough = len(window) >= min(policy.minimum_calls, policy.window_calls)
        return enough and window.count("failed") >= policy.failure_rate * len(window)


class Breakers(RuleBasedStateMachine):
    calls = Bundle("calls")

    @initialize(policy=POLICIES)
    def begin(self, policy: BreakerPolicy) -> None:
        self.clock = VirtualClock()
        self.breaker = CircuitBreaker("store", policy, self.clock)
        self.model = Model(policy)

    @rule(target=calls)
    def call_begins(self) -> tuple[int, int]:
        try:
            permit = self.breaker.acquire()
        except CircuitOpenError:
            permit = 0
        assert bool(permit) == self.model.admits(self.clock.now)
        return permit, self.model.epoch

    @rule(call=consumes(calls), outcome=st.sampled_from(["succeeded", "succeeded", "failed", "failed", "ignored"]))
    def call_ends(self, call: tuple[int, int], outcome: str) -> None:
        permit, epoch = call
        if permit:
            getattr(self.breaker, outcome)(permit)
            self.model.ended(epoch, outcome, self.clock.now)

    @rule(seconds=st.sampled_from([1.0, 5.0, 11.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(state=st.sampled_from(["closed", "closed", "forced_open", "disabled", "metrics_only"]))
    def somebody_sets_it(self, state: str) -> None:
        self.breaker.force(BreakerState(state))
        self.model.recovery = self.model.policy.recovery
        self.model.become(state)

    @rule(seconds=st.sampled_from([0.25, 1.0, 10.0, 30.0]))
    def others_have_opened_it(self, seconds: float) -> None:
        self.breaker.open_for(seconds)
        self.model.others_open(self.clock.now, seconds)

    @rule()
    def others_have_closed_it(self) -> None:
        self.breaker.recover()
        self.model.others_close(self.clock.now)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        assert self.breaker.state.value == self.model.state
        if self.model.state in ("closed", "metrics_only"):
            figures = self.breaker.figures
            assert figures.consecutive_failures == self.model.streak
            if self.model.policy.window_calls is not None:
                window = self.model.outcomes[-self.model.policy.window_calls :]
                assert figures.calls == len(window)
                assert figures.failure_rate == (window.count("failed") / len(window) if window else None)


Breakers.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_any_order_of_calls_is_as_the_model_has_it = Breakers.TestCase
