"""The Spark session that the engine works in: the user's, a server's, or one of its own.

A session that is there already belongs to its user: its settings stay as they are, and nobody stops it. What the
engine needs is set in a session beside it, which shares everything but settings and temporary views.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pyspark.conf import SparkConf
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from oreflow.contract import StepError
from oreflow_spark import remote
from oreflow_spark.errors import told
from oreflow_spark.java import check_java
from oreflow_spark.jobs import is_remote
from oreflow_spark.plugin import MEANING, server

_JAVA_READS = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")
"""Variables of the environment with options for Java."""
_PATIENCE = 10.0
"""Seconds in which a master has to answer."""

_HABITS = {
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",  # a few large files, not many small ones
    # The line of Python that made each expression, for errors: ours is of no use to anybody, and costs Spark's driver
    # eight more calls for each.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
"""Settings for a session of our own that the user may overrule."""

_TERSE = {"spark.sql.connect.serverStacktrace.enabled": "false"}
"""A server's errors without what is in its log anyway."""

_OWN = {
    "spark.app.name": "oreflow",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    **_HABITS,
}
_LOCAL = {
    # The name of a machine may lead nowhere, or out of it.
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Spark's own 200 are for a cluster: on one machine they are 200 tasks for a handful of rows. Of two for each core,
    # the quicker core may have the one that is left over; four were 4 % slower on the retail job.
    "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
}

_lock = threading.Lock()


def session(options: Mapping[str, Any], parallelism: int | None = None) -> tuple[SparkSession, list[str]]:
    """A session with the settings that oreflow needs, and which of the options have no effect in it.

    `options` are `master`, `remote` and `conf`; `master`, and what of `conf` belongs to a start, count only where there
    is no session yet. `parallelism` is how many tasks may work at the same time.

    Raises:
        StepError: there is no Java, Spark does not start, or the server does not answer.
    """
    with _lock:
        spark = _remote(options) or _existing(options) or _started(options, parallelism)
        bounds = {"spark.sql.shuffle.partitions": str(parallelism)} if parallelism else {}
        # What the declaration says of Spark's own settings is said with more care than a bound for all engines.
        settings = {**bounds, **_settings(options), **MEANING}
        with told("Spark does not take the settings that oreflow needs"), warnings.catch_warnings(action="ignore"):
            for key in (*bounds, *MEANING):
                spark.conf.set(key, settings[key])  # a setting that is old to Spark is needed all the same
        return spark, list(_without_effect(spark, options))


def _without_effect(spark: SparkSession, options: Mapping[str, Any]) -> Iterator[str]:
    """What was said too late for the Spark that there is."""
    wanted = _settings(options) | ({"spark.master": str(options["master"])} if "master" in options else {})
    for key, value in wanted.items():
        if (is_now := _setting(spark, key)) != value and key != "spark.driver.extraJavaOptions":
            yield f"{key} {value} has no effect: this Spark has {is_now or 'another one'}"


def _setting(spark: SparkSession, key: str) -> str | None:
    """The value of a setting; None where there is none. A value in its place would have to be of its type."""
    try:
        return spark.conf.get(key)
    except PySparkException:
        return None


def _remote(options: Mapping[str, Any]) -> SparkSession | None:
    address = server(options)
    if not address:
        return None
    spark = remote.connect(address)
    _set(spark, {**_HABITS, **_TERSE, **_settings(options)})
    _quiet()
    return spark


def _existing(options: Mapping[str, Any]) -> SparkSession | None:
    """A session beside the one that there is, of our own or the user's."""
    there: Any = remote.active()
    if there is None:
        return None
    if is_remote(there):
        spark = remote.beside(there)
        _set(spark, _TERSE)
        _quiet()
    else:
        spark = there.newSession()
    _set(spark, _settings(options))
    return spark


def _started(options: Mapping[str, Any], parallelism: int | None) -> SparkSession:
    check_java()
    from pyspark.core.context import SparkContext
    from pyspark.java_gateway import launch_gateway

    master = str(options.get("master", f"local[{parallelism or '*'}]"))
    _check_master(master)
    settings = _OWN | {"spark.master": master, "spark.sql.warehouse.dir": _nowhere()} | _settings(options)
    if master.startswith("local"):
        settings = _LOCAL | settings
    log = Path(__file__).with_name("log4j2.properties").as_uri()
    java = f'-Dlog4j2.configurationFile={log} "-Dderby.system.home={_nowhere()}"'
    key = "spark.driver.extraJavaOptions"
    for_java = " ".join([settings.get(key, ""), *(os.environ.get(name, "") for name in _JAVA_READS)])
    if master.startswith("local") and "GC" not in for_java:  # two collectors would keep Java from starting
        java += " -XX:+UseParallelGC"  # on few cores 5 % quicker than G1, whose threads work beside the tasks
    settings[key] = f"{java} {settings.get(key, '')}".strip()
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    # Java writes into a file without a name, as long as it lives: nothing of it reaches the user's terminal.
    with _this_python(master), tempfile.TemporaryFile() as said:
        try:
            with _ctrl_c_later():
                gateway = launch_gateway(conf, {"stdout": said, "stderr": said})  # type: ignore[no-untyped-call]
                spark = SparkSession(SparkContext(gateway=gateway, conf=conf))
                atexit.register(spark.stop)
        except Exception as error:
            raise StepError(f"Spark does not start on {master} (engines.spark): {_reason(said, error)}") from error
    _quiet()
    return spark


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Keep a Ctrl-C back until Spark has started: a Java that is half started would live on by itself.

    pyspark's own handler, which talks to Spark in the middle of whatever is being said to it, is not left in place.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def _this_python(master: str) -> Iterator[None]:
    """Let workers on this machine run the interpreter that is running, which has what they need.

    Spark would take the first `python3` of the PATH, which is another one where an environment is not activated.
    """
    key = "PYSPARK_PYTHON"
    if not master.startswith("local") or key in os.environ:
        yield
        return
    os.environ[key] = sys.executable
    try:
        yield
    finally:
        del os.environ[key]


def _settings(options: Mapping[str, Any]) -> dict[str, str]:
    words = {True: "true", False: "false"}
    return {key: words[v] if isinstance(v, bool) else str(v) for key, v in options.get("conf", {}).items()}


def _set(spark: SparkSession, settings: Mapping[str, str]) -> None:
    """Set what can be set of a Spark that runs; what cannot, `_without_effect` tells."""
    for key, value in settings.items():
        with told(f"engines.spark.conf: {key} cannot be {value}"):
            if spark.conf.isModifiable(key):
                spark.conf.set(key, value)


def _quiet() -> None:
    """Let Spark's client not print the errors that it raises too."""
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)


def _nowhere() -> str:
    """A folder for what Spark would otherwise put into the user's; it is made only if something is put there."""
    return str(Path(tempfile.gettempdir(), f"oreflow-spark-{os.getpid()}"))


def _reason(said: IO[bytes], error: BaseException) -> str:
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").splitlines()
    told = [line for line in lines if re.search(r"(?:Error|Exception|error):? ", line)]
    return (told[0] if told else str(error).splitlines()[0]).strip()


def _check_master(master: str) -> None:
    """Find out at once what Spark's own start would say after a minute, and without the address."""
    if not master.startswith("spark://"):
        return
    faults = []
    for place in master.removeprefix("spark://").split(","):
        host, _, port = place.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
        except (OSError, ValueError, OverflowError) as error:
            faults.append(str(getattr(error, "strerror", None) or error))
        else:
            return
    raise StepError(f"no Spark master answers at {master} (engines.spark.master): {faults[0]}")
