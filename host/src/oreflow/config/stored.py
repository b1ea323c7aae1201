"""The layer that a shared store has of a configuration, and what was last had of it where the store is away."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from oreflow.config.documents import Document, KeyPath, Layer, Origin
from oreflow.config.python_file import run_once
from oreflow.config.settings import NAME as SETTINGS
from oreflow.contract import ConfigStore, DeclarationError, OreflowError, Problem, StoreAway, StoredConfig, StoreError
from oreflow.factory import ProcessorFactory
from oreflow.resilience import Policy, RetryPolicy, get_resilience
from oreflow.secrets import followed_address, masked

_log = logging.getLogger("oreflow.config")
_STORE = "configuration store"
_PATIENCE = Policy(retry=RetryPolicy(max_attempts=3, base=0.1, cap=0.5, deadline=2.0))
"""A store that fails for a moment is no reason to go by what was had of it last; whoever begins a run waits for it."""


@contextlib.contextmanager
def opened(address: str, factory: ProcessorFactory) -> Iterator[ConfigStore]:
    """The store at an address, by the plugin that knows its kind.

    Raises:
        DeclarationError: no plugin does, or the address is none.
        StoreError: it cannot be reached.
    """
    kind, where = address.partition(":")[0], ("config", "store")
    try:
        followed = followed_address(address)
        store = factory.create_config_store(kind, followed)
    except DeclarationError as error:
        raise DeclarationError([dataclasses.replace(each, path=where) for each in error.problems]) from None
    except StoreAway:
        raise
    except StoreError as error:  # asked for nothing yet, it can have only something against the address
        raise DeclarationError([Problem(str(error), where)]) from None
    try:
        yield store
    finally:
        with contextlib.suppress(StoreError):
            store.close()


def stored_layer(address: str, name: str, factory: ProcessorFactory) -> Document | None:
    """What the store says of a configuration; None where it says nothing.

    Where the store is away, it is what this machine had of it last; that is warned of.

    Raises:
        DeclarationError: the address is none.
        OreflowError: the store is away, and nothing that this machine had of it can be read.
    """
    if name == SETTINGS:  # they say where the store is
        return None
    asked = _asked.get() or _Asked()
    if (address, name) not in asked.answers:
        asked.answers[address, name] = _ask(address, name, factory, asked)
    found = asked.answers[address, name]
    return None if found is None else document_of(found, address)


@dataclass
class _Asked:
    """What stores have answered, and why one does not."""

    answers: dict[tuple[str, str], StoredConfig | None] = field(default_factory=dict)
    away: dict[str, StoreAway] = field(default_factory=dict)


_asked: ContextVar[_Asked | None] = ContextVar("asked", default=None)


@contextlib.contextmanager
def asked_once() -> Iterator[None]:
    """Within it, a store is asked once for each configuration and waited for once, and a Python layer is run once."""
    token = _asked.set(_asked.get() or _Asked())
    try:
        with run_once():
            yield
    finally:
        _asked.reset(token)


def _ask(address: str, name: str, factory: ProcessorFactory, asked: _Asked) -> StoredConfig | None:
    kept = _Kept(address, name)
    try:
        if address in asked.away:
            raise asked.away[address]
        with opened(address, factory) as store:
            resources = get_resilience().part(__name__, {_STORE: _PATIENCE}, classifier=factory.classifier)
            found = kept.checked(resources.executor(_STORE).execute(store.fetch, name))
        kept.write(found)
    except StoreError as error:
        if isinstance(error, StoreAway):
            asked.away[address] = error
        found, age = kept.read(error)
        _log.warning("the last known content of '%s' is used, %d s old: %s", name, age, error)
    return found


def document_of(stored: StoredConfig, address: str) -> Document:
    """A version of a store as a layer."""
    origin = Origin(f"{masked(address)} version {stored.version}", 0, Layer.STORE)
    origins: dict[KeyPath, Origin] = {(): origin}

    def walk(value: object, path: KeyPath) -> None:
        origins[path] = origin
        if isinstance(value, dict):
            for key, each in value.items():
                walk(each, (*path, key))
        elif isinstance(value, list):
            for index, each in enumerate(value):
                walk(each, (*path, index))

    walk(stored.data, ())
    return Document(dict(stored.data), origins)


class _Kept:
    """The last known content, in the user's cache folder: it outlives the project's checkout and is nobody else's."""

    def __init__(self, address: str, name: str) -> None:
        self._shown = masked(address)
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._path = home / "oreflow" / "config" / hashlib.sha256(address.encode()).hexdigest()[:16] / f"{name}.json"

    def write(self, found: StoredConfig | None) -> None:
        text = json.dumps({"found": found and dataclasses.asdict(found)}, default=str)
        part = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.touch(mode=0o600)
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)
        except OSError as error:  # a home that cannot be written is no reason to stop
            _log.debug("the store's content cannot be kept: %s", error)

    def checked(self, found: StoredConfig | None) -> StoredConfig | None:
        """What was found, unless it is nothing where there was something: no store takes a configuration away.

        Raises:
            StoreError: the store has lost it.
        """
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if found is None and (kept := self._read()):
                raise StoreError(
                    f"the store {self._shown} has lost '{kept.name}', of which it had version {kept.version}"
                )
        return found

    def read(self, error: StoreError) -> tuple[StoredConfig | None, int]:
        try:
            return self._read(), max(0, round(time.time() - self._path.stat().st_mtime))
        except FileNotFoundError:
            what = "this machine has never had anything of it"
        except (OSError, ValueError, KeyError, TypeError):
            what = f"what this machine had of it last cannot be read ({self._path})"
        raise OreflowError(f"the shared store is needed, as {what}: {error}") from error

    def _read(self) -> StoredConfig | None:
        found = json.loads(self._path.read_text(encoding="utf-8"))["found"]
        return found and StoredConfig(**found)
