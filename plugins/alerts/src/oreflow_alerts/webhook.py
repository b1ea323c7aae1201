"""The channel `webhook`: a POST for each notice, in the form that the service wants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3

from oreflow.contract import AlertChannel, DeclarationError, Notice, OreflowError, Problem
from oreflow.secrets import masked, without
from oreflow_alerts import bodies

_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_LONGEST = 200  # characters of an answer that a message shows
_PLAIN = {"json": bodies.as_json, "slack": bodies.as_slack, "teams": bodies.as_teams}


class Webhook(AlertChannel):
    """Raises DeclarationError where its options do not go together; nothing is connected to."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        form = options.get("format", "json")
        key = options.get("routing_key")
        if form == "pagerduty" and not key:
            raise _wrong(
                "PagerDuty wants to know for which service", "routing_key", "add it: the key of an integration"
            )
        if form != "pagerduty" and key:
            raise _wrong(f"only PagerDuty has one, and the format is {form}", "routing_key", "leave it out")
        url = options.get("url") or (_PAGERDUTY if form == "pagerduty" else "")
        if not url:
            raise _wrong("there is no address to send to", "url", "add it: http://... or https://...")
        if not _is_address(url):
            raise _wrong("it is no address", "url", "write http://HOST/PATH or https://HOST/PATH")
        headers = options.get("headers", {})
        for name, value in headers.items():
            if not (name + value).isascii() or not (name + value).isprintable() or not name.strip():
                raise _wrong(
                    f"the header {name!r} cannot be sent", "headers", "look for line ends and other letters in it"
                )
        place = urlsplit(url)
        parts = [url, place.path, place.query, key, *(value for _, value in parse_qsl(place.query)), *headers.values()]
        self._url, self._secrets = url, [each for each in parts if each]
        self._headers = {"Content-Type": "application/json", **headers}
        self._bodies = partial(bodies.as_pagerduty, routing_key=key) if key else _PLAIN[form]
        self._pool = urllib3.PoolManager(retries=False)

    def send(self, notice: Notice, seconds: float) -> None:
        """See `AlertChannel.send`."""
        for body in self._bodies(notice):
            content = json.dumps(body).encode()
            try:
                answer = self._pool.request(
                    "POST",
                    self._url,
                    body=content,
                    headers=self._headers,
                    timeout=seconds,
                    redirect=False,
                    preload_content=False,
                )
                try:
                    said = answer.read1(_LONGEST * 4) or b""  # one may never end
                finally:
                    answer.close()
            except urllib3.exceptions.HTTPError as error:
                raise self._fault(_why(error, self._secrets)) from None
            if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                # What is cut off may be a part of a secret: it is looked for before.
                text = without(" ".join(said.decode(errors="replace").split()), self._secrets)[:_LONGEST]
                fault = self._fault(f"it answers {answer.status}{f': {text}' if text else ''}")
                fault.response = answer  # by which it is known whether to try again, and when
                raise fault

    def _fault(self, why: str) -> _Unsent:
        """Without the path: who knows the address of a webhook can send to it."""
        place = urlsplit(self._url)
        shown = masked(f"{place.scheme}://{place.hostname}{f':{place.port}' if place.port else ''}")
        return _Unsent(without(f"{shown}: {why}", self._secrets))


class _Unsent(OreflowError):
    """That something was not told; `response` is the answer, where there was one."""

    response: urllib3.BaseHTTPResponse | None = None


def _is_address(url: str) -> bool:
    try:
        place = urlsplit(url)
        return place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0 and " " not in url
    except ValueError:
        return False


def _wrong(what: str, key: str, mend: str) -> DeclarationError:
    return DeclarationError([Problem(what, (key,), mend)])


def _why(error: urllib3.exceptions.HTTPError, secrets: Sequence[str]) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        cause = error.__cause__ or error.__context__
        return f"it cannot be reached: {getattr(cause, 'strerror', None) or 'there is no such host'}"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "it does not answer in time"
    return without(" ".join(str(error).split()), secrets)[:_LONGEST]
