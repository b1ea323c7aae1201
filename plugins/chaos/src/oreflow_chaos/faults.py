"""The faults of a run: when each is due, and what it does.

Each has random numbers of its own, drawn once for each call that it may befall, so that the same seed and the same
calls give the same faults, whatever the others do.
"""

from __future__ import annotations

import errno
import logging
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from oreflow_chaos.damage import DAMAGES
from oreflow_chaos.declared import CALLS, OF_PARTS, befalls

_log = logging.getLogger("oreflow.chaos")


class ChaosError(Exception):
    """An injected error of which nobody knows what it is."""


class Throttled(ChaosError):
    """An injected answer 429 of HTTP; `retry_after` is in seconds, None where it does not say."""

    status_code = 429

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("chaos: too many requests")
        self.retry_after = retry_after


_SYSTEM: Mapping[str, tuple[int, str]] = {
    "connection_reset": (errno.ECONNRESET, "connection reset"),
    "timeout": (errno.ETIMEDOUT, "timed out"),
    "refused": (errno.ECONNREFUSED, "connection refused"),
    "io": (errno.EIO, "input/output error"),
    "permission": (errno.EACCES, "permission denied"),
    "disk_full": (errno.ENOSPC, "no space left on device"),
}
"""The errors of the system, by number; OSError becomes the class that belongs to it."""
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Windows has none, and ends a process as hard by the other."""


class Chaos:
    """The faults of one run, by the section `chaos` of its declaration."""

    def __init__(self, section: Mapping[str, Any], run_id: str) -> None:
        seed = section.get("seed", 0)
        self._faults = [_Fault(each, seed, index, run_id) for index, each in enumerate(section["faults"])]

    def due(self, resource: str, operation: str) -> Sequence[_Fault]:
        """The faults that are due at a call. It is asked once for each call, since that draws."""
        return [fault for fault in self._faults if fault.is_due(resource, operation)]

    def tell(self, run_id: str) -> None:
        """Warn of what was injected: nobody is to take the run for a true one."""
        counts = Counter(fault.kind for fault in self._faults for _ in range(fault.count))
        told = ", ".join(f"{count} of {kind}" for kind, count in counts.items()) or "none was due"
        _log.warning("chaos: faults were injected on purpose into run %s: %s", run_id, told)


class _Fault:
    """One fault. It may be asked by several threads."""

    def __init__(self, declared: Mapping[str, Any], seed: int, index: int, run_id: str) -> None:
        self._declared = declared
        self._rate: float = declared["rate"]
        self.kind: str = declared["fault"]
        self._is_after = self.kind in OF_PARTS or declared.get("when") == "after"
        self._operations = _operations_of(declared)
        self._place = f"faults.{index} of run {run_id}"
        self._lock = threading.Lock()
        self.count = 0
        self._random = random.Random(f"{seed}:{index}")  # noqa: S311  nothing secret is made of it

    def is_due(self, resource: str, operation: str) -> bool:
        """Whether it befalls a call, by chance."""
        if operation not in self._operations or not befalls(self._declared, resource):
            return False
        with self._lock:
            return self._random.random() < self._rate

    def before(self, resource: str, operation: str) -> None:
        """What it does before the call; it raises an error that it stands for."""
        if not self._is_after and self._is_taken(resource, operation):
            self._strike()

    def after(self, resource: str, operation: str, result: Any) -> Any:
        """What it makes of the result of the call; it raises an error that it stands for."""
        if not self._is_after:
            return result
        if self.kind not in OF_PARTS:
            if self._is_taken(resource, operation):
                self._strike()
            return result
        if not DAMAGES[self.kind].can(result) or not self._is_taken(resource, operation):
            return result
        with self._lock:
            chance = self._random.random()
        return DAMAGES[self.kind].do(result, chance, self._declared)

    def _is_taken(self, resource: str, operation: str) -> bool:
        """Whether it may still be injected; it is then counted and told."""
        with self._lock:
            if self.count >= self._declared.get("at_most", self.count + 1):
                return False
            self.count += 1
            count = self.count
        when = "after" if self._is_after else "before"
        what = self._declared.get("error", "connection_reset") if self.kind == "exception" else self.kind
        _log.info("chaos: %s %s %s of %s, number %d of %s", what, when, operation, resource, count, self._place)
        return True

    def _strike(self) -> None:
        if self.kind == "latency":
            time.sleep(self._declared["delay"])
        elif self.kind == "kill":
            os.kill(os.getpid(), _KILL)
        else:
            raise self._error()

    def _error(self) -> Exception:
        name = self._declared.get("error", "connection_reset") if self.kind == "exception" else self.kind
        if name in _SYSTEM:
            number, text = _SYSTEM[name]
            return OSError(number, f"chaos: {text}")
        if name == "throttled":
            return Throttled(self._declared.get("retry_after"))
        return ChaosError("chaos: unknown error")


def _operations_of(declared: Mapping[str, Any]) -> frozenset[str]:
    if part := OF_PARTS.get(declared["fault"]):
        return frozenset({part[1]})
    return frozenset({declared["operation"]} if "operation" in declared else CALLS)
