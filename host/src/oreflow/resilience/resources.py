"""The resources of a process by their names: for each one breaker, bulkhead, rate limit and budget."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields

from oreflow.contract import BreakerBoard
from oreflow.resilience.breaker import BreakerState, CircuitBreaker
from oreflow.resilience.classification import Classifier
from oreflow.resilience.clock import CLOCK, Clock
from oreflow.resilience.events import Event, EventKind, Listener
from oreflow.resilience.executor import ResilientExecutor
from oreflow.resilience.limits import AdaptiveRateLimit, Bulkhead, RateLimit, RetryBudget
from oreflow.resilience.policy import Policy, RateLimitPolicy
from oreflow.resilience.sharing import LOOK_EVERY, Sharing


class Resilience:
    """Executors by the name of what they call.

    `policies` are those of resources by name, `default` is that of all others. `on_event` is told each `Event`, on the
    thread on which it happened; a failure of its own goes to the log `oreflow.resilience`, and no further. With a
    `board`, breakers are shared by it: see `share`.
    """

    def __init__(
        self,
        policies: Mapping[str, Policy] | None = None,
        default: Policy | None = None,
        *,
        clock: Clock = CLOCK,
        classifier: Classifier | None = None,
        on_event: Listener | None = None,
        board: BreakerBoard | None = None,
        scope: str = "",
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._policies = dict(policies or {})
        self._default = default or Policy()
        self._clock, self._classifier, self._on_event = clock, classifier or Classifier(), on_event
        self._executors: dict[str, ResilientExecutor] = {}
        self._parts: dict[Hashable, tuple[dict[str, Policy], Resilience]] = {}
        self._lock = threading.Lock()
        self._sharing: Sharing | None = None
        self._shared_by: object = None
        if board is not None:
            self.share(lambda: board, board, scope=scope, look_every=look_every)

    def share(
        self,
        board: Callable[[], BreakerBoard] | None,
        key: object = None,
        *,
        scope: str = "",
        look_every: float = LOOK_EVERY,
    ) -> None:
        """Share the breakers with other processes by a board, which is closed in the end; None: no longer.

        A breaker that its calls open or close tells the board; what others have told is taken over every `look_every`
        seconds. Processes mean the same breaker where `scope` and its name are the same. `key` tells the board from
        another one: with the key that it has already nothing changes, and `board` is not called. No call ever waits for
        the board; this method, and whoever first asks for a resource, does for a second at most.

        Raises:
            ValueError: `look_every` is no number of seconds above 0.
        """
        wanted = None if board is None else (key, scope, look_every)
        with self._lock:
            if wanted == self._shared_by:
                return
            before = self._sharing
            self._sharing = None if board is None else Sharing(board(), scope, look_every, self._clock)
            self._shared_by, now = wanted, self._sharing
            breakers = [each.breaker for each in self._executors.values() if each.breaker]
            for breaker in breakers:
                breaker.found = now.found if now else None
        if before:
            before.stop()
        if now:
            now.add(*breakers)

    def part(
        self,
        key: Hashable,
        policies: Mapping[str, Policy],
        *,
        classifier: Classifier | None = None,
        on_event: Listener | None = None,
    ) -> Resilience:
        """The resources of a part of the program, which have names of their own.

        They are the same ones each time, with what their breakers know; new ones where the policies are others by now.
        What is shared of this one is not shared of its parts: each has a `share` of its own.
        """
        with self._lock:
            before, there = self._parts.get(key, ({}, None))
            if there is None or before != dict(policies):
                there = Resilience(policies, clock=self._clock, classifier=classifier, on_event=on_event)
                self._parts[key] = dict(policies), there
            return there

    def executor(self, name: str, policy: Policy | None = None) -> ResilientExecutor:
        """The executor of a resource, the same one each time.

        Raises:
            ValueError: `policy` is another one than the resource has already.
        """
        with self._lock:
            there = self._executors.get(name)
            if there is not None:
                if policy is not None and policy != there.policy:
                    parts = [each.name for each in fields(Policy) if _differs(each.name, policy, there.policy)]
                    mend = "say the same for both, or its name alone"
                    raise ValueError(f"the resource '{name}' has another policy already ({', '.join(parts)}) - {mend}")
                return there
            made = self.made(name, policy or self._policies.get(name, self._default))
            self._executors[name] = made
            sharing = self._sharing if made.breaker else None
            if sharing and made.breaker:
                made.breaker.found = sharing.found
        if sharing and made.breaker:
            sharing.add(made.breaker)
        return made

    def made(self, name: str, policy: Policy) -> ResilientExecutor:
        """An executor of its own, which shares nothing."""
        told = self._told if self._on_event else None
        tell = self._tell if self._on_event else None
        return ResilientExecutor(
            name,
            policy,
            breaker=CircuitBreaker(name, policy.breaker, self._clock, told) if policy.breaker else None,
            rate_limit=_rate_limit(policy.rate_limit) if policy.rate_limit else None,
            bulkhead=Bulkhead(name, policy.bulkhead) if policy.bulkhead else None,
            budget=None if policy.retry.budget is None else RetryBudget(policy.retry.budget),
            clock=self._clock,
            classifier=self._classifier,
            tell=tell,
        )

    @property
    def breakers(self) -> dict[str, CircuitBreaker]:
        """The breakers that there are, by the names of their resources."""
        with self._lock:
            return {name: each.breaker for name, each in self._executors.items() if each.breaker}

    def _told(self, name: str, state: BreakerState) -> None:
        self._tell(Event(EventKind.STATE, name, detail=state.value))

    def _tell(self, event: Event) -> None:
        try:
            if self._on_event:
                self._on_event(event)
        except Exception:
            logging.getLogger("oreflow.resilience").exception("a listener has failed at the event '%s'", event.kind)


def _differs(part: str, one: Policy, other: Policy) -> bool:
    return bool(getattr(one, part) != getattr(other, part))


def _rate_limit(policy: RateLimitPolicy) -> RateLimit | AdaptiveRateLimit:
    return AdaptiveRateLimit() if policy.calls is None else RateLimit(policy.calls, policy.seconds)
