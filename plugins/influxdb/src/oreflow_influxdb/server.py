"""An InfluxDB at an address: given points over HTTP, and what it has against them told plainly, never with a secret."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3 import exceptions
from urllib3.connectionpool import connection_from_url

from oreflow.contract import DeclarationError, OreflowError, Problem
from oreflow.secrets import redacted, without

_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FIRST, _SECOND = ("database", "username", "password"), ("bucket", "org", "token")
_TRANSIENT = 500
"""The first status that a server answers with where it is at fault itself."""
_PAUSE = 0.2
"""Seconds before the second attempt."""
_MOST_OF_AN_ANSWER = 65_536
_LONGEST = 300
"""Characters of an answer that a message shows."""


class Away(OreflowError):
    """The server does not take points now, and may later: by itself, or where `mend` says so, once somebody does it."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(f"{what} - {mend}" if mend else what)
        self.what, self.mend = what, mend


class Server:
    """The database of InfluxDB 1, or the bucket of InfluxDB 2, that some options say."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises DeclarationError where the options do not go together; nothing is connected to."""
        if faults := list(_faults(options)):
            raise DeclarationError(faults)
        self._options = options
        self._is_first = "database" in options
        self._secrets = [options[key] for key in ("password", "token") if key in options]
        address = options["address"].rstrip("/")
        self.place = f"InfluxDB at {address}"
        self._pool = connection_from_url(address, maxsize=1)
        self._socket: socket.socket | None = None
        self._pool.ConnectionCls = _known(self._pool.ConnectionCls, self._connected)
        self._headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "oreflow-influxdb"}
        self._path = urlsplit(address).path + ("/write" if self._is_first else "/api/v2/write")
        if self._is_first:
            query = {"db": options["database"]}
            if "username" in options:
                user = base64.b64encode(f"{options['username']}:{options['password']}".encode()).decode()
                self._headers["Authorization"] = f"Basic {user}"
        else:
            query = {"bucket": options["bucket"], "org": options["org"]}
            self._headers["Authorization"] = f"Token {options['token']}"
        self._url = f"{self._path}?{urlencode({**query, 'precision': 'ns'})}"

    def post(self, lines: bytes, deadline: float) -> str:
        """Have lines written; gives why some of them, or all, are such as the server never takes, and '' else.

        What is too large for one request is halved. An attempt that has failed, and not for a reason that somebody has
        to mend, is made once more where there is time until `deadline`, a moment of the monotonic clock.

        Raises:
            Away: nobody knows whether they were written; to write the same points again does no harm.
        """
        try:
            status, text = self._answer(lines, deadline)
        except Away as fault:
            if fault.mend or time.monotonic() + 2 * _PAUSE > deadline:
                raise
            time.sleep(_PAUSE)
            status, text = self._answer(lines, deadline)
        each = lines.removesuffix(b"\n").split(b"\n")
        if status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or len(each) == 1:
            return text
        middle = len(each) // 2
        faults = [self.post(b"\n".join(half) + b"\n", deadline) for half in (each[:middle], each[middle:])]
        return next(filter(None, faults), "")

    def _connected(self, made: socket.socket) -> None:
        self._socket = made

    def abandon(self) -> None:
        """Have done with what is under way: who waits for an answer, on another thread, hears that there is none."""
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connection go."""
        self._pool.close()

    def _answer(self, lines: bytes, deadline: float) -> tuple[int, str]:
        """The status of an answer that is about these lines, and what it has against them."""
        timeout = urllib3.Timeout(total=max(deadline - time.monotonic(), 0.001))
        try:
            # Redirects are not followed: they would take the password to whomever they lead to.
            answer = self._pool.urlopen(
                "POST",
                self._url,
                lines,
                self._headers,
                retries=False,
                redirect=False,
                timeout=timeout,
                preload_content=False,
            )
            data = _read_some(answer, deadline)
        except exceptions.NewConnectionError as error:
            what = f"{self.place} cannot be reached: {_reason(error)}"
            raise Away(what, "start it, or say the right address") from None
        except exceptions.TimeoutError:
            raise Away(f"{self.place} does not answer in time") from None
        except exceptions.HTTPError as error:
            raise Away(f"{self.place} has not answered: {_reason(error)}") from None
        if answer.status == HTTPStatus.NO_CONTENT:
            return answer.status, ""
        text, is_influx = self._said(data)
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return answer.status, text or "too large for a request"
        if is_influx and answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            return answer.status, text
        raise self._fault(answer.status, text, self._clean(answer.headers.get("Location", "")))

    def _fault(self, status: int, text: str, location: str) -> Away:
        """Why the server takes nothing now, whatever the lines are."""
        more = f": {text}" if text else ""
        kind, who = ("database", "username and password") if self._is_first else ("bucket", "token")
        if status == HTTPStatus.NOT_FOUND:
            return self._missing(text)
        told = {
            HTTPStatus.UNAUTHORIZED: (f"does not let us in{more}", f"mend {who}"),
            HTTPStatus.FORBIDDEN: (
                f"does not let us write to the {kind}{more}",
                f"give the user of {who} the right to",
            ),
            HTTPStatus.TOO_MANY_REQUESTS: (f"is asked too often{more}", "raise every, or wait"),
        }
        what, mend = f"answers {status} as no InfluxDB does{more}", "say the right address"
        if status in told:
            what, mend = told[HTTPStatus(status)]
        elif location:
            what = f"sends us to {location}, where we do not go"
        elif status >= _TRANSIENT:
            what, mend = f"cannot write now, and answers {status}{more}", ""
        return Away(f"{self.place} {what}", mend)

    def _missing(self, text: str) -> Away:
        if "not found" not in text or "page not found" in text:
            other = "bucket, org and token for InfluxDB 2" if self._is_first else "database for InfluxDB 1"
            return Away(f"{self.place} has nothing at {self._path}", f"say the right address, or {other}")
        if self._is_first:
            name = self._options["database"]
            quoted = name if _NAME.match(name) else json.dumps(name, ensure_ascii=False)
            return Away(f"{self.place} has no database '{name}'", f"make it: CREATE DATABASE {quoted}")
        bucket, org = self._options["bucket"], self._options["org"]
        mend = f"mend bucket or org, or make it: influx bucket create --name {bucket} --org {org}"
        return Away(f"{self.place} has no bucket '{bucket}' of the organization '{org}': {text}", mend)

    def _said(self, data: bytes) -> tuple[str, bool]:
        """What an answer says in one line, and whether it is said as InfluxDB says it, not a proxy."""
        text = data.decode(errors="replace")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return self._clean(text), False
        said = document.get("error") or document.get("message") if isinstance(document, dict) else None
        return self._clean(str(said or text)), bool(said)

    def _clean(self, text: str) -> str:
        line = " ".join(without(str(redacted(text)), self._secrets).split())
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _known(kind: Any, connected: Callable[[socket.socket], None]) -> Any:
    """A kind of connection of urllib3's that tells of its socket, by which it can be ended from outside."""

    class Known(kind):  # type: ignore[misc]  # a class that urllib3 chooses
        def connect(self) -> None:
            super().connect()
            connected(self.sock)

    return Known


def _read_some(answer: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """An answer, as far as anybody wants to know it: one may never end, or come drop by drop.

    Raises:
        urllib3.exceptions.TimeoutError: it has not come by `deadline`, a moment of the monotonic clock.
    """
    found = b""
    while len(found) < _MOST_OF_AN_ANSWER and (piece := answer.read1(_MOST_OF_AN_ANSWER)):
        found += piece
        if time.monotonic() > deadline:
            answer.close()
            raise exceptions.TimeoutError
    if len(found) < _MOST_OF_AN_ANSWER:
        answer.release_conn()
    else:
        answer.close()
    return found


def _faults(options: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong in options that fit the schema."""
    if not _is_address(options["address"]):  # which is not shown: it may have a password
        mend = "say http://HOST:8086 or https://HOST:8086, and a user in username and password"
        yield Problem("this is no address of InfluxDB", ("address",), mend)
    first, second = ([key for key in keys if key in options] for keys in (_FIRST, _SECOND))
    either = "say database for InfluxDB 1, or bucket, org and token for InfluxDB 2"
    if first and second:
        yield Problem(f"{first[0]} and {second[0]} do not go together", (second[0],), either)
    elif not first and not second:
        yield Problem("nothing says where in InfluxDB to write to", (), either)
    else:
        wanted = _SECOND if second else ("database",) if first == ["database"] else _FIRST
        for key in (key for key in wanted if key not in options):
            yield Problem(f"'{key}' is missing", (), f"add it, beside {' and '.join(first or second)}")
    token = options.get("token", "")
    if not (token.isascii() and token.isprintable()):
        yield Problem("this is no token: it has characters that none has, such as a line end", ("token",))


def _is_address(text: str) -> bool:
    if not _ADDRESS.match(text):
        return False
    try:
        connection_from_url(text)
    except exceptions.LocationValueError:
        return False
    return True


def _reason(error: BaseException) -> str:
    """Why a connection failed, as the system says it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            text = cause.strerror or str(cause)
            return text[:1].lower() + text[1:]
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())
