"""The metric backend `pushgateway`: the totals as a group of a Pushgateway, which is replaced at each push."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from hashlib import sha256
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from prometheus_client import CollectorRegistry, push_to_gateway

from oreflow.contract import DeclarationError, MetricBackend, OreflowError, Problem, Snapshot, Surroundings
from oreflow.monitoring.catalogue import METRICS
from oreflow.quantities import lasting
from oreflow.resilience.errors import AttemptTimeoutError
from oreflow.resilience.threads import beside
from oreflow.secrets import redacted, without
from oreflow_prometheus.totals import totals_in

_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?\Z")
_OURS = {"job", *(label for _, labels, _ in METRICS.values() for label in labels)}
_SPARE = 0.1  # of the timeout: what a request that is not answered leaves for telling of it
_LONGEST = 300  # characters of an answer that a message shows


class Pushgateway(MetricBackend):
    """Pushes all totals each time."""

    def __init__(self, options: Mapping[str, Any], surroundings: Surroundings) -> None:
        """Raises DeclarationError where the options do not go together; nothing is connected to."""
        if faults := list(_faults(options)):
            raise DeclarationError(faults)
        self._address = options["address"].rstrip("/")
        self._job = options.get("job", f"oreflow_{surroundings.pipeline}")
        self._grouping = {name: str(value) for name, value in options.get("grouping", {}).items()}
        self._timeout = lasting(options.get("timeout", "3s"), ("timeout",))
        self._user, self._password = options.get("username"), options.get("password")
        self._totals = totals_in(surroundings.folder)
        self._pushing = False

    def write(self, snapshot: Snapshot) -> None:
        """Push the totals, which takes as long as `timeout` at the most.

        Raises:
            OreflowError: the Pushgateway does not take them; it gets them with the next push.
            OSError: what was counted cannot be kept beside the tables; it was pushed nevertheless.
        """
        deadline = time.monotonic() + self._timeout
        target = sha256(f"{self._address}\n{self._job}\n{sorted(self._grouping.items())}".encode()).hexdigest()[:8]
        self._totals.show(snapshot, lambda totals: self._put(totals, deadline), f"pushgateway-{target}", deadline)

    def _put(self, totals: Snapshot, deadline: float) -> None:
        """Push, in a thread: the timeout of a socket is one for each packet, and names are looked up without any."""
        if self._pushing:  # a push that it keeps waiting is enough
            raise self._fault("has not answered the push before this one")
        body = self._totals.text(totals, "prometheus").encode()
        left = max(deadline - time.monotonic(), 0.001)

        def push() -> None:
            push_to_gateway(
                self._address,
                self._job,
                CollectorRegistry(),  # the text of the figures is there already
                self._grouping,
                timeout=max(left - _SPARE * self._timeout, 0.001),
                handler=partial(self._handler, body),
            )

        try:
            self._pushing = True
            beside("pushgateway", push, timeout=left, hedge=None, ended=self._ended)
        except AttemptTimeoutError:
            raise self._fault("does not answer in time") from None
        except HTTPError as error:
            raise self._fault(self._refusal(error)) from None
        except (OSError, HTTPException) as error:
            raise self._fault(_trouble(error)) from None
        except ValueError as error:  # of the address that it sends us to
            raise self._fault(f"has not answered as a Pushgateway does: {error}") from None

    def _ended(self) -> None:
        self._pushing = False

    @cached_property
    def _opener(self) -> OpenerDirector:
        """What makes requests. The client's own handlers make one for each, and read all certificates for that.

        Proxies of the environment are not used: they would be sent the password, as whoever redirects would.
        """
        return build_opener(ProxyHandler({}))

    def _handler(
        self, body: bytes, url: str, method: str, timeout: float | None, headers: list[Any], data: bytes
    ) -> Callable[[], None]:
        del data  # the client's own text, which is of no figures
        request = Request(url, body, dict(headers), method=method)  # noqa: S310  `_is_address` lets http and https by
        if self._user is not None:
            user = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            request.add_header("Authorization", f"Basic {user}")
        return lambda: self._opener.open(request, timeout=timeout).close()

    def _refusal(self, error: HTTPError) -> str:
        """What an answer says in one line."""
        with error:
            try:
                said = " ".join(error.read(10 * _LONGEST).decode(errors="replace").split())
            except (OSError, HTTPException):
                said = ""
        more = f": {said}" if said else ""
        if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return f"does not let us in{more} - mend username and password"
        if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return f"has nothing to push to there (it answers {error.code}) - say the right address"
        if error.headers.get("Location"):
            return f"sends us elsewhere (it answers {error.code}), where we do not go - say the right address"
        return f"does not take the metrics, and answers {error.code}{more}"

    def _fault(self, what: str) -> OreflowError:
        text = without(str(redacted(what)), [self._password] if self._password else [])
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        return OreflowError(f"the Pushgateway at {self._address} {text}")


def _trouble(error: BaseException) -> str:
    """Why there is no answer, as the system says it."""
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
    if isinstance(cause, TimeoutError):
        return "does not answer in time"
    text = getattr(cause, "strerror", None) or " ".join(str(cause).split())
    text = text[:1].lower() + text[1:]
    if isinstance(error, URLError):
        return f"cannot be reached: {text} - start it, or say the right address"
    return f"has not answered: {text}"


def _faults(options: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong in options that fit the schema."""
    if not _is_address(options["address"]):  # which is not shown: it may have a password
        mend = "say http://HOST:9091 or https://HOST:9091, and a user in username and password"
        yield Problem("this is no address of a Pushgateway", ("address",), mend)
    for name in sorted(options.get("grouping", {})):
        if name == "job":
            yield Problem("'job' has an option of its own", ("grouping", name), "say job: NAME beside grouping")
        elif name in _OURS:
            yield Problem(f"'{name}' is a label of the metrics themselves", ("grouping", name), "call it otherwise")
        elif name in ("le", "quantile") or name.startswith("__"):
            yield Problem(f"no group has a label '{name}'", ("grouping", name), "call it otherwise")
    if ("username" in options) != ("password" in options):
        missing, there = ("password", "username") if "username" in options else ("username", "password")
        yield Problem(f"'{missing}' is missing", (), f"add it, beside {there}")


def _is_address(text: str) -> bool:
    if not _ADDRESS.match(text):
        return False
    try:
        return urlsplit(text).port != 0
    except ValueError:
        return False
