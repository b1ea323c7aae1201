"""The entry point of oreflow-redis: says what it brings, and loads Redis' client only when that is opened."""

from __future__ import annotations

import sys

from oreflow.contract import (
    BreakerBoard,
    BreakerBoardMetadata,
    Classification,
    ConfigStore,
    ConfigStoreMetadata,
    ErrorClass,
)
from oreflow.hookspecs import hookimpl

oreflow_api = 1

METADATA = [
    ConfigStoreMetadata("redis", "0.1.0", "a shared store in Redis"),
    ConfigStoreMetadata("rediss", "0.1.0", "a shared store in Redis, by TLS"),
]
BOARDS = [
    BreakerBoardMetadata("redis", "0.1.0", "breakers shared by Redis"),
    BreakerBoardMetadata("rediss", "0.1.0", "breakers shared by Redis, by TLS"),
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


@hookimpl
def breaker_boards() -> list[BreakerBoardMetadata]:
    """The same two."""
    return BOARDS


@hookimpl
def create_breaker_board(name: str, address: str) -> BreakerBoard | None:
    """Create a board of either kind."""
    if name not in {metadata.name for metadata in BOARDS}:
        return None
    from oreflow_redis.board import RedisBoard

    return RedisBoard(address)


_RAISED = {
    "AuthenticationError": Classification.of(ErrorClass.PERMISSION, not_done=True),
    "AuthorizationError": Classification.of(ErrorClass.PERMISSION, not_done=True),
    "AuthenticationWrongNumberOfArgsError": Classification.of(ErrorClass.PERMISSION, not_done=True),
    "NoPermissionError": Classification.of(ErrorClass.PERMISSION, not_done=True),
    "ReadOnlyError": Classification.of(ErrorClass.CONFIGURATION, not_done=True),
    "BusyLoadingError": Classification.of(ErrorClass.TRANSIENT, not_done=True),
    "TryAgainError": Classification.of(ErrorClass.TRANSIENT, not_done=True),
    "ClusterDownError": Classification.of(ErrorClass.TRANSIENT, not_done=True),
    "WatchError": Classification.of(ErrorClass.TRANSIENT, not_done=True),
    "LockError": Classification.of(ErrorClass.TRANSIENT),
    "LockNotOwnedError": Classification.of(ErrorClass.PERMANENT),
    "MaxConnectionsError": Classification.of(ErrorClass.RESOURCE, not_done=True),
    "OutOfMemoryError": Classification.of(ErrorClass.RESOURCE, not_done=True),
    "TimeoutError": Classification.of(ErrorClass.TRANSIENT),
    "DataError": Classification.of(ErrorClass.DATA),
    "ResponseError": Classification.of(ErrorClass.PERMANENT),
}
"""By the name of the nearest type of redis that is here."""


@hookimpl
def classify_error(error: BaseException) -> Classification | None:
    """What Redis' client raised; where it has not been loaded, it has raised nothing."""
    raised = sys.modules.get("redis.exceptions")
    if raised is None or not isinstance(error, raised.RedisError):
        return None
    for base in type(error).__mro__:
        if base is raised.ConnectionError:
            # It is made of the system's own error, which tells more; it was not done where there was no connection.
            refused = isinstance(error.__cause__ or error.__context__, ConnectionRefusedError)
            return Classification.of(ErrorClass.TRANSIENT, not_done=refused)
        if base.__module__ == raised.__name__ and base.__name__ in _RAISED:
            return _RAISED[base.__name__]
    return None
