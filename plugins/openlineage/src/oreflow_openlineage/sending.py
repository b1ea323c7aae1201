"""What a run's events are sent by: the client of OpenLineage, set up as a declaration says, or else its environment.

https://openlineage.io/docs/client/python has the variables and the file `openlineage.yml`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attr
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport import Transport
from openlineage.client.transport.composite import CompositeTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport
from openlineage.client.transport.noop import NoopConfig, NoopTransport

from oreflow.contract import DeclarationError, Problem, Surroundings
from oreflow.contract.errors import told
from oreflow.quantities import lasting
from oreflow.secrets import followed, masked, redacted, without
from oreflow_openlineage.connection import Connection
from oreflow_openlineage.declared import NAMESPACE, SECTION, TIMEOUT, WAIT
from oreflow_openlineage.delivery import Delivery, Fault
from oreflow_openlineage.events import Story
from oreflow_openlineage.parents import parent_of
from oreflow_openlineage.transports import Console, LineFile

_TRANSPORT = (SECTION, "transport")
_AS_THEY_ARE = ("_producer", "_schemaURL", "producer", "schemaURL", "eventTime", "eventType", "runId")
"""What is ours in an event, and of a form that must stay."""
_MINE = {"facets": {"source_code_location": {"disabled": True}}}
"""What the client is told besides: the folder that a run is started in does not say where its declaration is from."""


def delivery(
    section: Mapping[str, Any], run_id: str, surroundings: Surroundings
) -> tuple[Delivery | None, list[Problem]]:
    """What sends the events of a run; None where nothing is to be sent, and what is wrong with the section."""
    try:
        wait = lasting(section.get("wait", WAIT), (SECTION, "wait"))
        if "transport" in section:
            client, place = _declared(section["transport"], surroundings.project)
        else:
            client, place = _by_environment()
    except DeclarationError as error:
        return None, list(error.problems)
    if isinstance(client.transport, NoopTransport):  # OPENLINEAGE_DISABLED
        return None, []
    namespace = section.get("namespace") or os.environ.get("OPENLINEAGE_NAMESPACE") or NAMESPACE
    parent, remark = parent_of(os.environ)
    story = Story(namespace, run_id, surroundings, parent)
    return Delivery(story.told, _Backend(client, place), wait, remark), []


def _declared(said: Mapping[str, Any], project: Path) -> tuple[OpenLineageClient, str]:
    """A client for what the declaration says; raises DeclarationError."""
    try:
        options = followed(said)
    except DeclarationError as error:
        raise DeclarationError([Problem(each.message, _TRANSPORT, each.mend) for each in error.problems]) from error
    transport: Transport
    if options["type"] == "http":
        url = (
            f"{options['url'].rstrip('/')}/"  # without it, what is behind the last one would not belong to the address
        )
        config: dict[str, Any] = {
            "url": url,
            "timeout": lasting(options.get("timeout", TIMEOUT), (*_TRANSPORT, "timeout")),
        }
        if "endpoint" in options:
            config["endpoint"] = options["endpoint"]
        if "api_key" in options:
            config["auth"] = {"type": "api_key", "apiKey": _checked(options["api_key"])}
        transport, place = HttpTransport(HttpConfig.from_dict(config)), options["url"]
    elif options["type"] == "file":
        transport, place = LineFile(project / Path(options["path"]).expanduser()), options["path"]
    else:
        transport, place = Console(), "the console"
    with _environment_as_it_is():
        return _client(transport), place


def _checked(key: str) -> str:
    """A key that can be sent; the error of a request would show it."""
    if not key.isprintable() or not key.isascii() or " " in key:
        problem = Problem(
            "the key has characters that no header has", (*_TRANSPORT, "api_key"), "look for line ends in it"
        )
        raise DeclarationError([problem])
    return key


def _by_environment() -> tuple[OpenLineageClient, str]:
    """A client for what the environment of the client says; raises DeclarationError."""
    with _environment_as_it_is():
        asked = _client(NoopTransport(NoopConfig()))  # one that says nothing would print all events
        said: Any = asked.config.transport or {}  # of a variable that may say anything
        if not isinstance(said, Mapping):
            mend = "look for what is wrong in the variables OPENLINEAGE_... and in openlineage.yml"
            raise DeclarationError([Problem(f"the transport of OpenLineage is {said!r}", (SECTION,), mend)])
        if not said.get("type") and not os.environ.get("OPENLINEAGE_URL"):
            mend = "say a `transport`, or set OPENLINEAGE_URL"
            raise DeclarationError([Problem("it is not said where events go", (SECTION,), mend)])
        client = _client(None)
    if isinstance(client.transport, HttpTransport):
        return client, client.transport.url
    return client, f"the transport {client.transport.kind} of OpenLineage"


def _client(transport: Transport | None) -> OpenLineageClient:
    try:
        return OpenLineageClient(transport=transport, config=_MINE)
    except Exception as error:  # of the client, whose variables and file may say anything
        mend = "look for what is wrong in the variables OPENLINEAGE_... and in openlineage.yml"
        problem = Problem(f"the client of OpenLineage cannot be set up: {redacted(told(error))}", (SECTION,), mend)
        raise DeclarationError([problem]) from error


@contextmanager
def _environment_as_it_is() -> Iterator[None]:
    """Take out again what the client adds to the variables: with it, another address would be overlooked later on."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            if name.startswith(OpenLineageClient.DYNAMIC_ENV_VARS_PREFIX):
                del os.environ[name]


class _Backend:
    """The client as a `Way`, for a place in words."""

    def __init__(self, client: OpenLineageClient, place: str) -> None:
        self._client = client
        self.place = masked(place)
        over_http = list(_http_of(client.transport))
        self._connections = [_own_connection(each) for each in over_http]
        keys = [getattr(each.config.auth, "api_key", None) for each in over_http]
        self._secrets = [key for key in keys if isinstance(key, str)]
        client.transport = Discreet(client.transport)

    def send(self, event: RunEvent) -> None:
        """See `Way.send`."""
        try:
            self._client.emit(event)
        except Fault as error:
            raise Fault(self._without_secrets(str(error)), may_pass=error.may_pass) from None
        except Exception as error:
            raise Fault(self._without_secrets(told(error)), may_pass=True) from None

    def close(self, seconds: float) -> None:
        """See `Way.close`."""
        try:
            is_done = self._client.close(seconds)
        except Exception as error:
            raise Fault(self._without_secrets(told(error))) from None
        if not is_done:
            raise Fault(f"the last ones were not sent within {seconds:g} s")

    def abandon(self) -> None:
        """See `Way.abandon`."""
        for connection in self._connections:
            connection.abandon()

    def _without_secrets(self, text: str) -> str:
        return masked(without(text, self._secrets))


def _http_of(transport: Transport) -> Iterator[HttpTransport]:
    if isinstance(transport, HttpTransport):
        yield transport
    elif isinstance(transport, CompositeTransport):
        for each in transport.transports:
            yield from _http_of(each)


def _own_connection(transport: HttpTransport) -> Connection:
    connection = Connection()
    transport.config.adapter = connection.adapter
    transport.session = connection
    return connection


class Discreet(Transport):
    """Hands events on without secrets, also without what the client has added to them, and such as can be encoded."""

    def __init__(self, inner: Transport) -> None:
        self._inner, self.kind = inner, inner.kind

    def emit(self, event: Any) -> Any:
        """See `Transport.emit`."""
        return self._inner.emit(_clean(event))

    def close(self, timeout: float = -1) -> bool:
        """See `Transport.close`."""
        return self._inner.close(timeout)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value.encode("utf-8", "backslashreplace").decode())
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    for field in attr.fields(type(value)) if attr.has(type(value)) else ():
        if field.name not in _AS_THEY_ARE:
            setattr(value, field.name, _clean(getattr(value, field.name)))
    return value
