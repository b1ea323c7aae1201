"""A Redis at an address: connected to, and what it has against us told plainly, never with the password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from oreflow.contract import StoreAway, StoreDenied, StoreError


class Server:
    """The client of one address, `redis://[user:password@]host[:port][/database]`; `place` is what messages call it.

    `key` is the setting that has the address, `patience` the seconds that it may take to answer; `again`: a command
    whose connection has broken is given once more, and no more often.
    """

    def __init__(self, address: str, key: str, what: str, patience: float, *, again: bool = False) -> None:
        """Raises StoreError where the address is none."""
        more = {"retry": Retry(NoBackoff(), 1)} if again else {}
        try:
            self.client = redis.Redis.from_url(
                address, decode_responses=True, socket_timeout=patience, socket_connect_timeout=patience, **more
            )
        except ValueError:
            form = "redis://[user:password@]host[:port][/database], with %2F for / in a password"
            raise StoreError(f"this is no address of Redis: {form}") from None  # the error may have a password in it
        place = self.client.connection_pool.connection_kwargs
        where = place.get("path") or f"{place.get('host', 'localhost')}:{place.get('port', 6379)}"
        self.place = f"{what} redis://{where}/{place.get('db') or 0}"
        self._key = key

    @contextmanager
    def told(self) -> Iterator[None]:
        """Within it, what the client raises is a StoreError."""
        try:
            yield
        except ValueError:
            raise StoreError(f"{self.place} has something else than oreflow wrote") from None
        except redis.AuthenticationError:
            raise StoreDenied(f"{self.place} does not let us in by the user and password of {self._key}") from None
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StoreAway(f"{self.place} does not answer: {_in_one_line(error)}") from None
        except redis.ReadOnlyError:
            raise StoreError(f"{self.place} is a replica that can only be read - name its master") from None
        except redis.RedisError as error:
            raise StoreError(f"{self.place} refuses: {_in_one_line(error)}") from None
        except OSError as error:
            raise StoreAway(f"{self.place} does not answer: {error.strerror or error}") from None


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
