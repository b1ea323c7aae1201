"""Configurations in Redis: whole versions, published by one script that compares and sets.

Optimistic locking as in Redis' own documentation of transactions; a script in place of WATCH, since one call cannot be
left half done by a client that dies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from oreflow.contract import ConfigStore, StoreConflict, StoredConfig, StoreError
from oreflow_redis.server import Server

_PATIENCE = 3.0
"""Seconds that a store may take to answer: a run that is about to begin waits for it."""
_PUBLISH = """
local current = tonumber(redis.call('GET', KEYS[1]) or '0') or -1
if current ~= tonumber(ARGV[1]) then return {0, current} end
if redis.call('EXISTS', KEYS[2]) == 1 then return {-1, current} end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[1], current + 1)
redis.call('PUBLISH', KEYS[3], current + 1)
return {1, current + 1}
"""


class RedisStore(ConfigStore):
    """The store at one address, `redis://[user:password@]host[:port][/database]`."""

    def __init__(self, address: str) -> None:
        """Raises StoreError where the address is none."""
        self._server = Server(address, "config.store", "the store", _PATIENCE)
        self._redis, self._place, self._told = self._server.client, self._server.place, self._server.told

    def fetch(self, name: str, version: int | None = None) -> StoredConfig | None:
        """The latest version of a configuration, or the one asked for; None where there is none."""
        with self._told():
            if version is None:
                # In one look: between two, the first version may be published.
                latest, first = self._redis.mget(_key(name, "latest"), _key(name, "1"))
                if first and not latest:
                    raise self._lost(name)
            number = version if version is not None else int(latest or 0)
            content = self._redis.get(_key(name, str(number))) if number else None
        if number and not content and version is None:
            raise StoreError(f"{self._place} has lost version {number} of '{name}'")
        return self._read(name, number, str(content)) if content else None

    def publish(self, name: str, data: Mapping[str, Any], *, expected: int, author: str) -> StoredConfig:
        """Publish a whole version after version `expected`.

        Raises:
            StoreConflict: the latest version is another one; nothing was changed.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        content = json.dumps({"data": data, "author": author, "at": at})
        keys = [_key(name, "latest"), _key(name, str(expected + 1)), _key(name, "published")]
        with self._told():
            done, version = self._redis.eval(_PUBLISH, len(keys), *keys, expected, content)
        if done < 0:
            raise self._lost(name)
        if not done:
            raise StoreConflict(name, expected, int(version))
        return StoredConfig(name, int(version), dict(data), author, at)

    def wait(self, name: str, version: int, seconds: float) -> StoredConfig | None:
        """Wait for another version than `version`, at most so long."""
        end = time.monotonic() + seconds
        with self._told(), self._redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(_key(name, "published"))
            told = None
            while True:
                # Asked after the subscription, so that nothing can be published unseen in between.
                found = self.fetch(name)
                left = end - time.monotonic()
                # Another one, and not only a later one: a store that has lost its content begins anew, and what is
                # published then may have the number of what was there.
                if found and (found.version != version or told):
                    return found
                if left <= 0:
                    return None
                told = channel.get_message(timeout=left)

    def close(self) -> None:
        """Let go of the connections."""
        with self._told():
            self._redis.close()

    def _lost(self, name: str) -> StoreError:
        mend = f"set its key {_key(name, 'latest')} to the number of the last one, or delete the others"
        return StoreError(f"{self._place} has versions of '{name}', and has lost which is the latest - {mend}")

    def _read(self, name: str, version: int, content: str) -> StoredConfig:
        try:
            found = json.loads(content)
            return StoredConfig(name, version, dict(found["data"]), str(found["author"]), str(found["at"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._place} has something else than a configuration as '{name}'") from error


def _key(name: str, what: str) -> str:
    """The braces keep all keys of a configuration on one node of a cluster."""
    return f"{{oreflow:config:{name}}}:{what}"
