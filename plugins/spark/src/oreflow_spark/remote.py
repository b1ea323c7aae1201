"""Sessions of a Spark Connect server: how one is had, and that it is given back.

A server keeps for an hour what a client has left, and no longer what a client still needs. So a session that is made
here lives as long as a run, and the next run has a new one. A session that the user has made stays as it is: the work
is done in a clone of it.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import suppress
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from oreflow.contract import StepError
from oreflow_spark.errors import in_words, of_server, told
from oreflow_spark.jobs import is_remote

_MODE = "SPARK_CONNECT_MODE_ENABLED"
"""The variable by which all of pyspark in a process knows which of the two Sparks it works with."""
_PATIENCE = 15.0
"""Seconds without an answer after which a server is given up."""
_PAUSE = 2_000
"""The most milliseconds between two attempts to reach it."""

_lock = threading.Lock()
_made: list[Any] = []  # pyspark declares only what both kinds of session have
_set_here: list[str] = []


def connect(address: str) -> SparkSession:
    """A new session of a server.

    Raises:
        StepError: the server cannot be reached, or there is nothing to reach it with.
    """
    server = address.partition("/;")[0]  # what follows may be a secret
    if not server.startswith("sc://"):
        raise StepError(f"'{server}' is no address of a Spark Connect server - write sc://host:15002")
    there = active()
    if there is not None and not is_remote(there):
        raise StepError(f"the Spark server {server} cannot be used in a process that has a Spark of its own")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what gRPC has to say goes past Python to the terminal
    with _lock:
        if _MODE not in os.environ:
            _set_here.append(_MODE)
        try:
            spark: Any = SparkSession.builder.remote(address).create()
            _made.append(spark)
            # Spark itself would ask a server that is not there again and again, for ten minutes.
            spark.client.set_retry_policies([])
            _ = spark.version
        except ImportError as error:
            _end()
            mend = 'pip install "oreflow-spark[connect]"'
            raise StepError(f"Spark Connect needs more packages: {mend} ({in_words(error)})") from None
        except PySparkException as error:
            _end()
            why = of_server(error) or f"cannot be used: {in_words(error)}"
            raise StepError(f"the Spark server {server} {why}") from error
        return _patient(spark)


def beside(there: Any) -> SparkSession:
    """A clone of the user's session, with its settings."""
    with _lock:
        if there in _made:
            raise StepError("this process works on a Spark server, beside which it can have no Spark of its own")
        with told("the Spark session of this process cannot be used"):
            _ = there.version  # the server knows a session only when it was first asked
            spark = there.cloneSession()
        _made.append(spark)
        return _patient(spark)


def has_ended(spark: Any) -> bool:
    """Whether it is a session of a server that was ended, or whose server was given up."""
    return is_remote(spark) and (spark.is_stopped or any(_is_gone(each) for each in spark.client.get_retry_policies()))


def end() -> None:
    """End the sessions that were made here; what the user has made goes on."""
    with _lock:
        _end()


def _end() -> None:
    while _made:
        spark = _made.pop()
        spark.client.set_retry_policies([])  # a server that is gone has nothing to end
        if "SPARK_LOCAL_REMOTE" in os.environ:  # `stop` would stop the server that the user has in this process
            with suppress(PySparkException):
                spark.client.release_session()
            spark.client.close()
        else:
            spark.stop()
    while _set_here:
        mode = _set_here.pop()
        if active() is None:  # the user may have made a session meanwhile
            os.environ.pop(mode, None)


atexit.register(end)


def active() -> SparkSession | None:
    """The session that the process has; it may be of a server."""
    try:
        return SparkSession.active()
    except PySparkException:
        return None


def _patient(spark: Any) -> SparkSession:
    """Let the server be asked again during a short outage; once it was given up, not for each other question again.

    Spark's own patience begins anew each time, and ends with a warning on the terminal. Whoever asked is told here,
    since frames ask their session for their columns also where nobody would put Spark's words into the user's.
    """
    from pyspark.sql.connect.client.retries import DefaultPolicy, RetryPolicyState

    class Patience(DefaultPolicy):
        is_gone = False

        def to_state(self) -> RetryPolicyState:
            return Question(self)

    class Question(RetryPolicyState):
        def __init__(self, policy: Patience) -> None:
            super().__init__(policy)
            self._patience, self._failed_at = policy, 0.0

        def can_retry(self, exception: BaseException) -> bool:
            if super().can_retry(exception):
                self._failed_at = self._failed_at or time.monotonic()
                if not self._patience.is_gone and time.monotonic() - self._failed_at < _PATIENCE:
                    return True
            elif not of_server(exception):
                return False
            self._patience.is_gone = True
            raise StepError(in_words(exception)) from exception

    spark.client.set_retry_policies([Patience(max_retries=None, max_backoff=_PAUSE)])
    made: SparkSession = spark
    return made


def _is_gone(policy: object) -> bool:
    return bool(getattr(policy, "is_gone", False))
