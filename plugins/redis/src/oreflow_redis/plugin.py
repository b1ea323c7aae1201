"""The entry point of oreflow-redis: says what it brings, and loads Redis' client only when a store is opened."""

from __future__ import annotations

from oreflow.contract import ConfigStore, ConfigStoreMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1

METADATA = [
    ConfigStoreMetadata("redis", "0.1.0", "a shared store in Redis"),
    ConfigStoreMetadata("rediss", "0.1.0", "a shared store in Redis, by TLS"),
]


@hookimpl
def config_stores() -> list[ConfigStoreMetadata]:
    """Redis, plain and by TLS."""
    return METADATA


@hookimpl
def create_config_store(name: str, address: str) -> ConfigStore | None:
    """Create a store of either kind."""
    if name not in {metadata.name for metadata in METADATA}:
        return None
    from oreflow_redis.store import RedisStore

    return RedisStore(address)
