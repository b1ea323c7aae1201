"""What tests of lineage share: the published JSON Schemas as a judge of events, and a backend that takes them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema_rs

HOME = Path(__file__).parent / "openlineage"
Event = dict[str, Any]


@cache
def schemas() -> dict[str, Any]:
    """The documents of the specification, by their ids."""
    found = [json.loads(file.read_text()) for file in sorted(HOME.rglob("*.json"))]
    return {document["$id"]: document for document in found}


@cache
def _validator(document: str, definition: str) -> Any:
    registry = jsonschema_rs.Registry(list(schemas().items()))
    schema = {"$ref": f"{document}#/$defs/{definition}"}
    return jsonschema_rs.Draft202012Validator(schema, registry=registry, validate_formats=True)


def problems(event: Event) -> list[str]:
    """What is wrong with an event by the specification: as a whole, and in each of its facets."""
    document, _, definition = event["schemaURL"].partition("#/$defs/")
    found = [f"{definition}: {error}" for error in _validator(document, definition).iter_errors(event)]
    for place, facets in _facets(event):
        for name, facet in facets.items():
            found += [f"{place} {name}: {problem}" for problem in _problems_of(name, facet, place)]
    return found


def _facets(event: Event) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "RunFacet", event["run"]["facets"]
    yield "JobFacet", event["job"]["facets"]
    for kind in ("input", "output"):
        for dataset in event[f"{kind}s"]:
            yield "DatasetFacet", dataset["facets"]
            yield f"{kind.title()}DatasetFacet", dataset[f"{kind}Facets"]


def _problems_of(name: str, facet: dict[str, Any], place: str) -> Iterator[str]:
    document, _, definition = facet["_schemaURL"].partition("#/$defs/")
    schema = schemas()[document]
    if schema["properties"].get(name) != {"$ref": f"#/$defs/{definition}"}:
        yield f"a facet of this name is not the {definition} of {document}"
    (base,) = [part["$ref"] for part in schema["$defs"][definition]["allOf"] if "$ref" in part]
    if not base.endswith(f"/{place}"):
        yield f"it is a {base}"
    yield from (str(error) for error in _validator(document, definition).iter_errors(facet))


def by_run(events: list[Event]) -> dict[str, list[Event]]:
    """Events by the names of their jobs, in their order; one run of each job."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event["job"]["name"], []).append(event)
    assert all(len({event["run"]["runId"] for event in each}) == 1 for each in found.values())
    return found


def states(events: list[Event]) -> list[str]:
    return [event["eventType"] for event in events]


def lines(file: Path) -> list[Event]:
    """The events of a file, each of which is a line."""
    return [json.loads(line) for line in file.read_bytes().splitlines()]


@dataclass
class Backend:
    """A backend of OpenLineage; `answers` are the status codes of the next requests, 201 where there are none left."""

    address: str = ""
    events: list[Event] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    always: int = 201
    kind: str = "application/json"


@contextmanager
def listening() -> Iterator[Backend]:
    backend = Backend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = backend.answers.pop(0) if backend.answers else backend.always
            backend.paths.append(self.path)
            backend.headers.append(dict(self.headers))
            if status == 201:
                backend.events.append(json.loads(body))
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", f"{backend.address}/elsewhere")
            self.send_header("Content-Type", backend.kind)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            backend.paths.append(f"GET {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        backend.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield backend
        server.shutdown()
        thread.join()
