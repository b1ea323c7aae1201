"""Open breakers in Redis: a key for each, which Redis takes away when the time is over. Its clock is the only one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from oreflow.contract import BreakerBoard
from oreflow_redis.server import Server

_PATIENCE = 1.0
"""Seconds that it may take to answer: what is down is to be known soon."""
_OPENED = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], 'open', 'PX', ARGV[1]) end
"""


class RedisBoard(BreakerBoard):
    """The board at one address, `redis://[user:password@]host[:port][/database]`."""

    def __init__(self, address: str) -> None:
        """Raises StoreError where the address is none."""
        self._server = Server(address, "resilience.share", "the board", _PATIENCE, again=True)

    def opened(self, name: str, seconds: float) -> None:
        """A breaker is open for so long; where it is for longer, that holds."""
        with self._server.told():
            self._server.client.eval(_OPENED, 1, _key(name), str(max(1, round(seconds * 1000))))

    def closed(self, name: str) -> None:
        """A breaker has closed."""
        with self._server.told():
            self._server.client.delete(_key(name))

    def open_for(self, names: Collection[str]) -> Mapping[str, float]:
        """Those that are open, with the seconds that are left; all are asked for in one message."""
        asked = list(names)
        if not asked:
            return {}
        with self._server.told(), self._server.client.pipeline(transaction=False) as pipeline:
            for name in asked:
                pipeline.pttl(_key(name))
            left = pipeline.execute()
        return {name: each / 1000 for name, each in zip(asked, left, strict=True) if each > 0}

    def close(self) -> None:
        """Let go of the connections."""
        with self._server.told():
            self._server.client.close()


def _key(name: str) -> str:
    return f"{{oreflow:breaker:{name}}}"
