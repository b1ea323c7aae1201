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
from pathlib import Path

from oreflow.config.documents import Document, KeyPath, Layer, Origin
from oreflow.contract import ConfigStore, OreflowError, StoredConfig, StoreError
from oreflow.factory import ProcessorFactory
from oreflow.secrets import followed_address, masked

_log = logging.getLogger("oreflow.config")


@contextlib.contextmanager
def opened(address: str, factory: ProcessorFactory) -> Iterator[ConfigStore]:
    """The store at an address, by the plugin that knows its kind.

    Raises:
        DeclarationError: no plugin does.
        StoreError: it cannot be reached.
    """
    kind = address.partition(":")[0]
    store = factory.create_config_store(kind, followed_address(address))
    try:
        yield store
    finally:
        with contextlib.suppress(StoreError):
            store.close()


def stored_layer(address: str, name: str, factory: ProcessorFactory) -> Document | None:
    """What the store says of a configuration; None where it says nothing.

    Where the store is away, it is what this machine had of it last; that is warned of.

    Raises:
        OreflowError: the store is away, and this machine has never had anything of it.
    """
    kept = _Kept(address, name)
    try:
        with opened(address, factory) as store:
            found = store.fetch(name)
        kept.write(found)
    except StoreError as error:
        found, age = kept.read(error)
        _log.warning("%s; its last known content is used, %d s old", error, age)
    return None if found is None else document_of(found, address)


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

    def read(self, error: StoreError) -> tuple[StoredConfig | None, int]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))["found"]
            age = max(0, round(time.time() - self._path.stat().st_mtime))
            return found and StoredConfig(**found), age
        except (OSError, ValueError, KeyError, TypeError):
            raise OreflowError(f"{error}, and this machine has never had anything of it") from error
