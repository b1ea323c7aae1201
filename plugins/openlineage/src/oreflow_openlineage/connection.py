"""A connection to a backend that keeps nobody waiting and gives no secret away.

The client of OpenLineage leaves three things to the library `requests` that are not good enough here: how long an
answer may take on the whole, whom a redirection leads to, and whose password is sent (what `~/.netrc` says would take
the place of the declared key).
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from oreflow.contract.errors import told
from oreflow_openlineage.delivery import Fault

_MOST_OF_AN_ANSWER = 65_536
_LONGEST = 10.0
"""Seconds that a request takes where the client says no timeout."""
_MAY_PASS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class Connection(requests.Session):
    """The session that a transport sends its requests by; each raises `Fault` unless the backend has taken it."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        self.adapter = _Adapter(self._sockets)
        self.auth = lambda request: request

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Make a request."""
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            self.abandon()

        ending = threading.Timer(kwargs.get("timeout") or _LONGEST, end)
        ending.daemon = True
        ending.start()
        try:
            answer = super().request(*args, **{**kwargs, "stream": True, "allow_redirects": False})
            _drain(answer)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            why = "it does not answer in time" if is_late.is_set() else _why(error)
            raise Fault(why, may_pass=True) from None  # the error may show headers
        except ValueError as error:  # of an address that it sends us to
            raise Fault(f"it has not answered as a backend does: {error}") from None
        finally:
            ending.cancel()
        if is_late.is_set():  # an answer whose headers were cut off is taken for a whole one
            raise Fault("it does not answer in time", may_pass=True)
        if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            may_pass = answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code in _MAY_PASS
            raise Fault(f"it answers {answer.status_code} {answer.reason}".strip(), may_pass=may_pass)
        if answer.headers.get("Content-Type", "").startswith("text/html"):  # a page to log in at
            raise Fault("a web page answers there, and no backend of OpenLineage")
        return answer

    def abandon(self) -> None:
        """Have done with what is under way: who waits for an answer, on another thread, hears that there is none."""
        while self._sockets:
            with suppress(OSError):
                self._sockets.pop().shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Connections whose sockets are known, by which they can be ended from outside."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__(max_retries=0)
        self._sockets = sockets

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """See `HTTPAdapter.get_connection_with_tls_context`."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not hasattr(pool.ConnectionCls, "is_known"):
            pool.ConnectionCls = _known(pool.ConnectionCls, self._sockets)
        return pool


def _known(kind: Any, sockets: list[socket.socket]) -> Any:
    class Known(kind):  # type: ignore[misc]  # a class that urllib3 chooses
        is_known = True

        def connect(self) -> None:
            super().connect()
            sockets[:] = [self.sock]

    return Known


def _drain(answer: requests.Response) -> None:
    """Read an answer, as far as anybody wants to know it: then the connection can be used again."""
    found = 0
    while found < _MOST_OF_AN_ANSWER and (piece := answer.raw.read1(_MOST_OF_AN_ANSWER)):
        found += len(piece)
    answer._content = b""  # noqa: SLF001  where requests keeps what it has read itself; nobody asks for it
    answer._content_consumed = True  # noqa: SLF001  else it would read on
    answer.close()


def _why(error: Exception) -> str:
    """Why there was no answer."""
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "it does not answer in time"
    if isinstance(error, requests.exceptions.InvalidHeader):
        return "the key has characters that no header has"
    root: BaseException = error
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS: {told(root)}"
    return root.strerror if isinstance(root, OSError) and root.strerror else told(root)
