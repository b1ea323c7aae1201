"""What the entry point loads: the engine's description, and the way to it. Spark itself is not imported here."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from oreflow.contract import (
    Classification,
    Engine,
    EngineMetadata,
    ErrorClass,
    HealthCheck,
    ProcessorCapability,
    Severity,
)
from oreflow.hookspecs import hookimpl

oreflow_api = 1

MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.caseSensitive": "true",
    # A product that needs more than 38 digits is an error, not one with fewer digits after the point.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.runSQLOnFiles": "false",
    # A name or a text may have "${"; backslashes and quotes are as `semantics.sql` writes them.
    "spark.sql.variable.substitute": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.parser.quotedRegexColumnNames": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.legacy.statisticalAggregate": "false",
    # To Spark's optimizer lower(upper(x)) is lower(x), which it is not for 'ß'.
    "spark.sql.optimizer.excludedRules": "org.apache.spark.sql.catalyst.optimizer.SimplifyCaseConversionExpressions",
    "spark.sql.debug.maxToStringFields": "10000",  # `sql` looks for casts in plans, which are cut off otherwise
}
"""Settings of Spark on which the meaning of the tables depends; a declaration has no say in them."""

REMOTE = "OREFLOW_SPARK_REMOTE"
"""The variable of the environment with the address of a Connect server; Spark's own comes after the declaration."""


def server(options: Mapping[str, Any]) -> str:
    """The address of the Connect server to compute on; '' where there is none."""
    return str(os.environ.get(REMOTE) or options.get("remote") or os.environ.get("SPARK_REMOTE") or "")


def _is_remote(options: Mapping[str, Any]) -> bool:
    """Whether there is a server or a cluster to compute on; a Spark of our own is on this machine."""
    return bool(server(options)) or not str(options.get("master", "local")).startswith("local")


_MASTER = (
    r"^(local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|local-cluster\[[1-9][0-9]*,[1-9][0-9]*,[1-9][0-9]*\]"
    r"|spark://[^/:\s]+:[0-9]+(,[^/:\s]+:[0-9]+)*|yarn|k8s://\S+)$"
)

METADATA = EngineMetadata(
    name="spark",
    version="0.1.0",
    description="Apache Spark, on one machine or a cluster",
    capabilities=[
        ProcessorCapability.DISTRIBUTED,
        ProcessorCapability.OUT_OF_CORE,
    ],
    option_schema={
        "properties": {
            "master": {
                "type": "string",
                "pattern": _MASTER,
                "description": "where Spark runs: local[*] (the default), spark://host:7077, yarn, k8s://...",
            },
            "remote": {
                "type": "string",
                "pattern": "^sc://",
                "description": "a Spark Connect server, sc://host:15002; the variable OREFLOW_SPARK_REMOTE goes before",
            },
            "conf": {
                "type": "object",
                "patternProperties": {
                    f"^({'|'.join(map(re.escape, MEANING))})$": {
                        "not": {},
                        "description": "oreflow sets it, since the meaning of the tables depends on it",
                    },
                    "^spark\\.": {"type": ["string", "number", "boolean"]},
                    "^spark\\.(driver|executor)\\.memory(Overhead)?$": {
                        "type": "string",
                        "pattern": "^[1-9][0-9]*([kKmMgGtT][bB]?)$",
                        "description": "memory, such as 4g or 512m",
                    },
                },
                "additionalProperties": False,
                "description": "settings of Spark, such as spark.driver.memory: 4g",
            },
        }
    },
    is_remote=_is_remote,
)


@hookimpl
def engines() -> Sequence[EngineMetadata]:
    """Describe the engine."""
    return [METADATA]


@hookimpl
def create_engine(name: str, options: Mapping[str, Any], parallelism: int | None) -> Engine | None:
    """Create the engine; only now is Spark imported, and only its first use starts it."""
    if name != METADATA.name:
        return None
    from oreflow_spark.engine import SparkEngine

    return SparkEngine(options, parallelism)


_running: set[int] = set()
"""The threads that have a run; one that was interrupted has ended with the next of its thread."""


@hookimpl
def run_started() -> None:
    """Keep the sessions that the run is going to use."""
    _running.add(threading.get_ident())


@hookimpl
def run_finished() -> None:
    """End the sessions on a server, which would keep them for an hour, when no run is left."""
    _running.discard(threading.get_ident())
    if not _running and (remote := sys.modules.get("oreflow_spark.remote")):
        remote.end()


_CONDITIONS = {
    "INVALID_CURSOR.DISCONNECTED": Classification.of(ErrorClass.TRANSIENT),
    "INVALID_HANDLE": Classification.of(ErrorClass.TRANSIENT),  # the server has ended the session; the next is new
    "RETRIES_EXCEEDED": Classification.of(ErrorClass.TRANSIENT),
    "SPARK_JOB_CANCELLED": Classification.of(ErrorClass.PERMANENT),
    "OPERATION_CANCELED": Classification.of(ErrorClass.PERMANENT),
    "INTERNAL_ERROR_NETWORK": Classification.of(ErrorClass.TRANSIENT),
    "FAILED_READ_FILE.FILE_NOT_EXIST": Classification.of(ErrorClass.CONFIGURATION),
    "FAILED_READ_FILE.NO_HINT": Classification.of(ErrorClass.UNKNOWN),  # a store that fails, or a file that is damaged
    "FAILED_READ_FILE": Classification.of(ErrorClass.DATA),
    "MALFORMED_RECORD_IN_PARSING": Classification.of(ErrorClass.DATA),
    "CONNECT_URL_NOT_VALID": Classification.of(ErrorClass.CONFIGURATION),
}
"""Conditions whose SQLSTATE says less, or something else; each with what is below it.

The first that fits counts.
"""
_OWN_WORDS = {"AnalysisException", "ParseException", "IllegalArgumentException", "UnsupportedOperationException"}


@hookimpl
def classify_error(error: BaseException) -> Classification | None:
    """What Spark raised; where its client has not been loaded, it has raised nothing."""
    if (py4j := sys.modules.get("py4j.protocol")) and isinstance(error, py4j.Py4JError):
        lost = isinstance(error, py4j.Py4JNetworkError)  # its Java is gone, or is being asked for too much
        return Classification.of(ErrorClass.TRANSIENT, severity=Severity.HIGH) if lost else None
    raised = sys.modules.get("pyspark.errors.exceptions.base")
    if raised is None or not isinstance(error, raised.PySparkException):
        return None
    condition = error.getCondition() or ""
    for known, meaning in _CONDITIONS.items():
        if condition == known or condition.startswith(f"{known}."):
            return meaning
    found = Classification.of_sqlstate(error.getSqlState() or "")
    if not condition and (status := getattr(error, "_grpc_status_code", None)):
        found = Classification.of_grpc(status.name)
    if found is None and not _OWN_WORDS.isdisjoint(base.__name__ for base in type(error).__mro__):
        return Classification.of(ErrorClass.CONFIGURATION)
    return found


@hookimpl
def health_checks(engines: Mapping[str, Mapping[str, Any]]) -> list[HealthCheck]:
    """The Java that Spark needs, unless it is a server's."""
    if METADATA.name not in engines or server(engines[METADATA.name]):
        return []
    return [HealthCheck("spark java", _java)]


def _java() -> str:
    from oreflow_spark.java import check_java

    return check_java()
