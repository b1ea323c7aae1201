"""What kind of fault each error is: by what it says, by its type, by what it came from, and by the plugins' word."""

from __future__ import annotations

import asyncio
import concurrent.futures
import email.utils
import errno
import http.client
import json
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
from datetime import timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import deltalake
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oreflow
from oreflow.contract import (
    CommitConflict,
    DeclarationError,
    InvalidMetadata,
    Problem,
    StepError,
    StoreAway,
    StoreConflict,
    StoreError,
)
from oreflow.resilience.classification import Classification, Classifier, ErrorClass, Severity, classify, table


def _with(error=None, **attributes):
    """An error as a library makes it that keeps things in attributes."""
    error = error or Exception("no")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def _aws(status, code, **headers):
    about = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return _with(response={"Error": {"Code": code}, "ResponseMetadata": about})


def _grpc(name):
    return _with(code=lambda: SimpleNamespace(name=name), details=lambda: "")


def _caused(error, cause):
    error.__cause__ = cause
    return error


def _during(error, context):
    error.__context__ = context
    return error


def _headers(**values):
    found = Message()
    for name, value in values.items():
        found[name.replace("_", "-")] = value
    return found


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        # By errno
        (OSError(errno.ECONNRESET, "x"), "transient"),
        (OSError(errno.ETIMEDOUT, "x"), "transient"),
        (OSError(errno.EINTR, "x"), "transient"),
        (OSError(errno.ESTALE, "x"), "transient"),
        (OSError(errno.EIO, "x"), "transient"),
        (OSError(errno.EAGAIN, "x"), "transient not_done"),
        (OSError(errno.EBUSY, "x"), "transient not_done"),
        (OSError(errno.ECONNREFUSED, "x"), "transient not_done"),
        (BlockingIOError(errno.EAGAIN, "x", 3), "transient"),
        (OSError(errno.ENOSPC, "x"), "resource never"),
        (OSError(errno.EDQUOT, "x"), "resource never"),
        (OSError(errno.EMFILE, "x"), "resource not_done"),
        (OSError(errno.ENOMEM, "x"), "resource"),
        (OSError(errno.EACCES, "x"), "permission"),
        (OSError(errno.EPERM, "x"), "permission"),
        (OSError(errno.EROFS, "x"), "permission"),
        (OSError(errno.ENOENT, "x"), "configuration"),
        (OSError(errno.EISDIR, "x"), "configuration"),
        (OSError(errno.ENAMETOOLONG, "x"), "configuration"),
        (OSError(errno.EINVAL, "x"), "permanent"),
        (OSError("of which nothing is known"), "unknown"),
        (OSError(99999, "x"), "unknown"),
        # By type
        (FileNotFoundError("without a number"), "configuration"),
        (ConnectionRefusedError("without a number"), "transient not_done"),
        (TimeoutError(), "transient"),
        (TimeoutError(), "transient"),
        (concurrent.futures.TimeoutError(), "transient"),
        (subprocess.TimeoutExpired("x", 1), "transient"),
        (http.client.RemoteDisconnected("x"), "transient"),
        (asyncio.IncompleteReadError(b"", 4), "transient"),
        (MemoryError(), "resource"),
        (ValueError(), "data"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "data"),
        (json.JSONDecodeError("x", "", 0), "data"),
        (ZeroDivisionError(), "data"),
        (TypeError(), "permanent"),
        (KeyError("x"), "permanent"),
        (NotImplementedError(), "permanent"),
        (ModuleNotFoundError("x"), "configuration"),
        (RuntimeError("x"), "unknown"),
        (Exception("x"), "unknown"),
        # What ends the program
        (KeyboardInterrupt(), "permanent"),
        (SystemExit(503), "permanent"),
        (GeneratorExit(), "permanent"),
        (asyncio.CancelledError(), "permanent"),
        (concurrent.futures.CancelledError(), "permanent"),
        (type("Panic", (BaseException,), {})(), "permanent"),
        # Names of machines, and TLS; their numbers are none of the system's
        (socket.gaierror(socket.EAI_AGAIN, "x"), "transient not_done"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "configuration not_done"),
        (ssl.SSLCertVerificationError(1, "x"), "configuration not_done"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "configuration not_done"),
        (ssl.SSLEOFError(8, "x"), "transient"),
        # By HTTP status, wherever it is kept
        (_with(status_code=500), "transient"),
        (_with(status=502), "transient"),
        (_with(code=504), "transient"),
        (_with(code=http.HTTPStatus.TOO_MANY_REQUESTS), "rate_limited not_done"),
        (_with(status_code="503"), "transient"),
        (_with(OSError("requests"), response=SimpleNamespace(status_code=403)), "permission"),
        (_with(response=SimpleNamespace(status=404)), "configuration"),
        (_with(status_code=401), "permission"),
        (_with(status_code=400), "permanent"),
        (_with(status_code=418), "permanent"),
        (_with(status_code=422), "data"),
        (_with(status_code=412), "permanent not_done"),
        (_with(status_code=507), "resource never"),
        (_with(status_code=599), "transient"),
        (urllib.error.HTTPError("http://x", 503, "x", _headers(), None), "transient"),
        (_with(status_code=200), "unknown"),
        (_with(code=42), "unknown"),
        (_with(ValueError(), code="e3q8"), "data"),
        (_aws(503, "SlowDown"), "rate_limited not_done"),
        (_aws(400, "Throttling"), "rate_limited not_done"),
        (_aws(400, "ExpiredToken"), "permission"),
        (_aws(404, "NoSuchKey"), "configuration"),
        (_aws(500, "SomethingNew"), "transient"),
        # When the other side says to come again
        (_aws(503, "SlowDown", **{"retry-after": "3"}), "rate_limited not_done after=3"),
        (_with(status_code=429, retry_after=2.5), "rate_limited not_done after=2.5"),
        (_with(retry_after=timedelta(seconds=7)), "rate_limited after=7"),
        (_with(TimeoutError(), retry_after=4), "transient after=4"),
        (_with(ValueError(), retry_after=4), "rate_limited after=4"),
        (_with(retry_after=None), "unknown"),
        (_with(retry_after=float("nan")), "unknown"),
        (_with(retry_after=-1), "unknown"),
        (_with(retry_after=True), "unknown"),
        (
            urllib.error.HTTPError("http://x", 503, "x", _headers(Retry_After="120"), None),
            "transient not_done after=120",
        ),
        (_with(response=SimpleNamespace(status_code=503, headers={"Retry-After": "5"})), "transient not_done after=5"),
        (_with(status_code=404, retry_after=5), "configuration"),
        # By SQLSTATE
        (_with(sqlstate="08006"), "transient"),
        (_with(sqlstate="08001"), "transient not_done"),
        (_with(sqlstate="40001"), "transient not_done"),
        (_with(sqlstate="40003"), "transient"),
        (_with(pgcode="40P01"), "transient not_done"),
        (_with(sqlstate="53300"), "resource not_done"),
        (_with(sqlstate="53100"), "resource never"),
        (_with(sqlstate="55P03"), "transient not_done"),
        (_with(sqlstate="57P01"), "transient"),
        (_with(sqlstate="57014"), "permanent"),
        (_with(sqlstate="28P01"), "permission"),
        (_with(sqlstate="42501"), "permission"),
        (_with(sqlstate="42P01"), "configuration"),
        (_with(sqlstate="22012"), "data"),
        (_with(sqlstate="23505"), "data"),
        (_with(sqlstate="ZZ999"), "unknown"),
        (_with(sqlstate="0"), "unknown"),
        # By gRPC status
        (_grpc("UNAVAILABLE"), "transient"),
        (_grpc("DEADLINE_EXCEEDED"), "transient"),
        (_grpc("RESOURCE_EXHAUSTED"), "rate_limited"),
        (_grpc("UNAUTHENTICATED"), "permission"),
        (_grpc("INVALID_ARGUMENT"), "data"),
        (_grpc("UNKNOWN"), "unknown"),
        # Our own
        (DeclarationError([Problem("x")]), "configuration"),
        (InvalidMetadata("name", "x"), "configuration"),
        (CommitConflict("x"), "transient not_done"),
        (StoreAway("x"), "transient"),
        (StoreConflict("app", 1, 2), "permanent not_done"),
        (StoreError("x"), "unknown"),
        (StepError("x"), "data"),
        (_caused(StepError("x"), ConnectionResetError()), "transient"),
        (_caused(StepError("x"), RuntimeError()), "unknown"),
        # By what it came from
        (_caused(RuntimeError(), ConnectionRefusedError()), "transient not_done"),
        (_caused(RuntimeError(), _caused(RuntimeError(), MemoryError())), "resource"),
        (_caused(RuntimeError(), _caused(StepError("x"), None)), "data"),
        (_during(RuntimeError(), ConnectionRefusedError()), "transient"),
        (_during(_caused(RuntimeError(), None), ConnectionRefusedError()), "unknown"),
        (_caused(ValueError(), ConnectionResetError()), "data"),
        (urllib.error.URLError(ConnectionRefusedError()), "transient not_done"),
        # Groups
        (ExceptionGroup("x", [TimeoutError(), ConnectionRefusedError()]), "transient"),
        (ExceptionGroup("x", [ConnectionRefusedError(), CommitConflict("x")]), "transient not_done"),
        (ExceptionGroup("x", [TimeoutError(), ValueError()]), "data"),
        (ExceptionGroup("x", [TimeoutError(), RuntimeError()]), "unknown"),
        (ExceptionGroup("x", [TimeoutError(), ExceptionGroup("y", [PermissionError()])]), "permission"),
        (
            ExceptionGroup("x", [_with(status_code=429, retry_after=n) for n in (2, 9, 4)]),
            "rate_limited not_done after=9",
        ),
        (BaseExceptionGroup("x", [TimeoutError(), KeyboardInterrupt()]), "permanent"),
        (ExceptionGroup("x", [TimeoutError()] * 1000), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value)[:60],
)
def test_what_an_error_is(error, wanted):
    found = classify(error)
    said = str(found.error_class)
    said += " not_done" * found.not_done + (f" after={found.retry_after:g}" if found.retry_after is not None else "")
    usual = found.error_class in {"transient", "resource", "rate_limited", "unknown"}
    assert said + " never" * (usual and not found.retryable) == wanted
    assert found.retryable <= usual
    assert classify(error) == found


def test_what_sqlite_raises(tmp_path):
    held, other = (sqlite3.connect(tmp_path / "db", timeout=0, isolation_level=None) for _ in range(2))
    held.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    held.execute("INSERT INTO t VALUES (1)")
    told = {}
    for statement in ("SELECT * FROM nowhere", "INSERT INTO t VALUES (1)", "BEGIN EXCLUSIVE"):
        held.execute("BEGIN EXCLUSIVE") if statement.startswith("BEGIN") else None
        with pytest.raises(sqlite3.Error) as caught:
            other.execute(statement)
        told[statement.split()[0]] = classify(caught.value)
    held.close()
    other.close()
    assert {name: str(found.error_class) for name, found in told.items()} == {
        "SELECT": "configuration",
        "INSERT": "data",
        "BEGIN": "transient",
    }
    assert told["BEGIN"].not_done


def test_a_date_to_come_again_at_is_seconds_from_now():
    at = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 0 < classify(_with(status_code=429, headers={"Retry-After": at})).retry_after <= 60
    past = email.utils.formatdate(0, usegmt=True)
    assert classify(_with(status_code=429, headers={"Retry-After": past})).retry_after == 0
    assert classify(_with(status_code=429, headers={"Retry-After": "soon"})).retry_after is None


def test_parts_that_have_one_cause_in_common_are_each_what_it_is():
    lost = ConnectionResetError()
    parts = [_caused(RuntimeError(), lost), _caused(RuntimeError(), lost)]
    assert classify(ExceptionGroup("x", parts)).error_class == ErrorClass.TRANSIENT


def test_chains_without_an_end_have_one():
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert classify(first).error_class == ErrorClass.UNKNOWN
    group = ExceptionGroup("x", [first, TimeoutError()])
    second.__cause__ = group
    assert classify(group).error_class == ErrorClass.UNKNOWN


def test_rules_that_are_given_are_asked_first_and_in_their_order():
    mine = Classification(ErrorClass.RATE_LIMITED, Severity.LOW, retryable=True, retry_after=1)

    def fails(error):
        raise RuntimeError

    classifier = Classifier(
        [
            fails,
            lambda error: "nonsense",
            lambda error: mine if "mine" in str(error) else None,
            lambda error: Classification.of(ErrorClass.PERMANENT),
        ]
    )
    for error in (
        ValueError("mine"),
        OSError(errno.EIO, "mine"),
        RuntimeError("mine"),
        _with(ValueError("mine"), code=500),
    ):
        assert classifier.classify(error) is mine
    assert classifier.classify(TimeoutError()).error_class == ErrorClass.PERMANENT
    ends = Classifier([lambda error: mine])
    assert ends.classify(KeyboardInterrupt()).error_class == ErrorClass.PERMANENT


def test_a_rule_is_asked_of_what_an_error_came_from_and_of_the_parts_of_a_group():
    mine = Classification.of(ErrorClass.TRANSIENT)
    classifier = Classifier([lambda error: mine if str(error) == "mine" else None])
    assert classifier.classify(_caused(RuntimeError(), TypeError("mine"))) is mine
    assert classifier.classify(ExceptionGroup("x", [TypeError("mine")])) == mine


def test_an_error_that_is_given_attributes_later_is_not_what_its_type_was_before():
    assert classify(ValueError()).error_class == ErrorClass.DATA
    assert classify(_with(ValueError(), status_code=503)).error_class == ErrorClass.TRANSIENT
    assert classify(_with(ValueError(), note="x")).error_class == ErrorClass.DATA


def test_types_that_are_made_as_a_program_runs_are_not_kept_for_ever():
    classifier = Classifier()
    for n in range(3000):
        assert classifier.classify(type(f"E{n}", (TimeoutError,), {})()).error_class == ErrorClass.TRANSIENT
    assert len(classifier._plans) < 3000


def test_many_threads_are_told_the_same():
    kinds = [type(f"E{n}", (base,), {}) for n in range(500) for base in (TimeoutError, ValueError, RuntimeError)]
    wanted, told = [classify(kind()) for kind in kinds], []
    classifier = Classifier()
    threads = [
        threading.Thread(target=lambda: told.append([classifier.classify(k()) for k in kinds])) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [wanted] * 6


class _Hostile(Exception):
    """What it is asked for, it raises, or gives something odd."""

    def __init__(self, answers):
        super().__init__()
        self._answers = answers

    def __getattr__(self, name):
        answer = self.__dict__.get("_answers", {}).get(name, AttributeError)
        if isinstance(answer, type) and issubclass(answer, Exception):
            raise answer(name)
        return answer

    def __str__(self):
        raise RuntimeError("no words")

    def __bool__(self):
        raise RuntimeError("neither true nor false")

    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("not to be compared")


_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.binary(max_size=3),
    st.sampled_from([ValueError, RecursionError, object(), [], {"Error": 5}, {"Error": {"Code": []}}, lambda: 1 / 0]),
    st.timedeltas(),
)
_ATTRIBUTES = [
    "status_code",
    "status",
    "code",
    "response",
    "sqlstate",
    "pgcode",
    "errno",
    "retry_after",
    "headers",
    "reason",
]
_KINDS = [ValueError, OSError, RuntimeError, StepError, BlockingIOError, KeyboardInterrupt]
_KINDS += [ssl.SSLError, socket.gaierror, sqlite3.OperationalError]
_SETTABLE = st.dictionaries(st.sampled_from(_ATTRIBUTES), _ODD, max_size=4)


@st.composite
def _errors(draw):
    """A few errors that have been made each other's causes, contexts and parts, in any way."""
    made = [_Hostile(draw(_SETTABLE)) for _ in range(draw(st.integers(0, 2)))]
    for kind in draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=4)):
        error = kind(*draw(st.lists(_ODD, max_size=3))) if kind is not BlockingIOError else kind()
        for name, value in draw(_SETTABLE).items():
            try:
                setattr(error, name, value)
            except (AttributeError, TypeError):
                continue
        made.append(error)
    made.append(BaseExceptionGroup("x", draw(st.lists(st.sampled_from(made), min_size=1, max_size=3))))
    for each in made:
        each.__cause__ = draw(st.sampled_from([None, *made]))
        each.__context__ = draw(st.sampled_from([None, *made]))
        each.__suppress_context__ = draw(st.booleans())
    return draw(st.sampled_from(made))


@given(_errors())
def test_no_error_is_so_odd_that_it_cannot_be_classified(error):
    found = Classifier([lambda error: None]).classify(error)
    assert found == classify(error)
    assert isinstance(found, Classification)
    assert found.retryable <= (found.error_class in {"transient", "resource", "rate_limited", "unknown"})
    assert found.retry_after is None or 0 <= found.retry_after < float("inf")


def test_every_row_of_the_table_means_what_it_says():
    rows = table()
    assert {row.kind for row in rows} >= {"errno", "HTTP status", "SQLSTATE", "gRPC status", "type"}
    for row in rows:
        for value in row.values:
            if row.kind == "errno" and hasattr(errno, value):
                found = classify(OSError(getattr(errno, value), "x"))
            elif row.kind == "HTTP status":
                found = classify(_with(status_code=int(value)))
            elif row.kind == "code of AWS or S3":
                found = classify(_aws(400, value))
            elif row.kind == "SQLSTATE":
                found = classify(_with(sqlstate=value if len(value) == 5 else f"{value}Z99"))
            elif row.kind == "gRPC status":
                found = classify(_grpc(value))
            elif row.kind == "code of SQLite":
                found = classify(_with(sqlite3.OperationalError(), sqlite_errorname=f"{value}_MORE"))
            else:
                continue
            assert found == row.meaning, (row.kind, value)


# What plugins say


@pytest.fixture(scope="module")
def by_plugins():
    return oreflow.get_processor_factory().classifier.classify


@pytest.fixture(scope="module")
def object_store():
    """A store of objects that answers everything in one way: answer(status, body) -> the options to reach it by."""
    says = [200, b""]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(says[0])
            self.send_header("Content-Length", str(len(says[1])))
            self.end_headers()
            self.wfile.write(says[1])

        def log_message(self, *what):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def answer(status, body=b""):
        says[:] = [status, body]
        port = server.server_port if status else 1
        options = {"aws_endpoint_url": f"http://127.0.0.1:{port}", "aws_allow_http": "true", "aws_region": "x"}
        return options | {"aws_access_key_id": "a", "aws_secret_access_key": "b"}

    yield answer
    server.shutdown()
    thread.join()
    server.server_close()


STORE = [
    (503, b"<Error><Code>SlowDown</Code></Error>", "rate_limited"),
    (503, b"", "transient"),
    (429, b"", "rate_limited"),
    (500, b"", "transient"),
    (403, b"<Error><Code>AccessDenied</Code></Error>", "permission"),
    (400, b"<Error><Code>ExpiredToken</Code></Error>", "permission"),
    (404, b"<Error><Code>NoSuchKey</Code></Error>", "configuration"),
    (0, b"", "transient"),
]


@pytest.mark.parametrize(("status", "body", "wanted"), STORE)
@pytest.mark.parametrize("reader", ["polars", "delta"])
def test_what_an_object_store_answers(by_plugins, object_store, reader, status, body, wanted):
    options = object_store(status, body)
    with pytest.raises(OSError, match=r".") as caught:
        if reader == "polars":
            pl.scan_parquet("s3://b/k.parquet", storage_options={**options, "max_retries": 0}).collect()
        else:
            deltalake.DeltaTable("s3://b/k", storage_options={**options, "max_retries": "0"})
    found = by_plugins(caught.value)
    assert found.error_class == wanted
    assert found.not_done == (wanted == "rate_limited" or status == 0)


def test_what_object_store_said_in_older_words():
    said = (
        'Generic S3 error: response error "x", after 10 retries: HTTP status server error (503 Slow Down) for url (x)'
    )
    assert Classification.of_store_message(said).error_class == ErrorClass.RATE_LIMITED
    said = "Generic GCS error: Client error with status 403 Forbidden: x"
    assert Classification.of_store_message(said).error_class == ErrorClass.PERMISSION
    assert Classification.of_store_message("the table has 503 rows") is None


def _of_polars(work):
    with pytest.raises((pl.exceptions.PolarsError, OSError)) as caught:
        work()
    return caught.value


@pytest.mark.parametrize(
    ("work", "wanted"),
    [
        (lambda: pl.scan_csv("/no/such/file").collect(), "configuration"),
        (lambda: pl.DataFrame({"a": ["x"]}).select(pl.col("a").cast(int)), "data"),
        (lambda: pl.DataFrame({"a": [1]}).select("b"), "configuration"),
        (lambda: pl.DataFrame({"a": [1]}).sql("SELECT FROM WHERE"), "configuration"),
        (lambda: pl.read_csv(b"a\n1\nx\n", schema={"a": pl.Int64}), "data"),
        (lambda: pl.read_parquet(b"no parquet at all"), "data"),
    ],
)
def test_what_polars_raises(by_plugins, work, wanted):
    error = _of_polars(work)
    assert by_plugins(error).error_class == wanted
    step = _caused(StepError("silver.a: x"), error)
    assert by_plugins(step) == by_plugins(error)


def test_what_deltalake_raises(by_plugins, tmp_path):
    with pytest.raises(deltalake.exceptions.TableNotFoundError) as missing:
        deltalake.DeltaTable(tmp_path / "nothing")
    assert by_plugins(missing.value).error_class == ErrorClass.CONFIGURATION
    path = tmp_path / "t"
    deltalake.write_deltalake(path, pl.DataFrame({"a": [1]}))
    once, twice = deltalake.DeltaTable(path), deltalake.DeltaTable(path)
    once.delete()
    with pytest.raises(deltalake.exceptions.CommitFailedError) as conflict:
        twice.delete(commit_properties=deltalake.CommitProperties(max_commit_retries=0))
    found = by_plugins(conflict.value)
    assert (found.error_class, found.not_done) == (ErrorClass.TRANSIENT, True)
    with pytest.raises(deltalake.exceptions.SchemaMismatchError) as other:
        deltalake.write_deltalake(path, pl.DataFrame({"b": ["x"]}), mode="append")
    assert by_plugins(other.value).error_class == ErrorClass.DATA


def test_what_redis_raises(by_plugins):
    redis = pytest.importorskip("redis")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(redis.ConnectionError) as refused:
        redis.Redis(port=port, retry=None).ping()
    found = by_plugins(refused.value)
    assert (found.error_class, found.not_done) == (ErrorClass.TRANSIENT, True)
    for error, wanted in [
        (redis.ConnectionError("Connection closed by server."), "transient"),
        (redis.BusyLoadingError("x"), "transient"),
        (redis.TimeoutError("x"), "transient"),
        (redis.exceptions.MaxConnectionsError("x"), "resource"),
        (redis.AuthenticationError("x"), "permission"),
        (redis.exceptions.NoPermissionError("x"), "permission"),
        (redis.ReadOnlyError("x"), "configuration"),
        (redis.DataError("x"), "data"),
        (redis.ResponseError("x"), "permanent"),
        (redis.RedisError("x"), "unknown"),
    ]:
        assert by_plugins(error).error_class == wanted, error


def test_what_spark_raises(by_plugins):
    pytest.importorskip("pyspark")
    import grpc
    from grpc import StatusCode
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors.exceptions import connect

    def condition(name, state=None, kind=connect.SparkConnectGrpcException):
        return kind("x", errorClass=name, messageParameters={}, sql_state=state)

    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(grpc.RpcError) as gone:
        channel.unary_unary("/spark.connect.SparkConnectService/Config")(b"", timeout=20)
    for error, wanted in [
        (gone.value, "transient"),
        (_caused(StepError("x"), gone.value), "transient"),
        (connect.SparkConnectGrpcException("x", grpc_status_code=StatusCode.UNAVAILABLE), "transient"),
        (connect.SparkConnectGrpcException("x", grpc_status_code=StatusCode.UNAUTHENTICATED), "permission"),
        (connect.SparkConnectGrpcException("x", grpc_status_code=StatusCode.UNKNOWN), "unknown"),
        (condition("INVALID_HANDLE.SESSION_CHANGED", "HY000"), "transient"),
        (condition("UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703", connect.AnalysisException), "configuration"),
        (condition("CAST_INVALID_INPUT", "22018", connect.NumberFormatException), "data"),
        (condition("DIVIDE_BY_ZERO", "22012", connect.ArithmeticException), "data"),
        (condition("FAILED_READ_FILE.NO_HINT", "KD001"), "unknown"),
        (condition("FAILED_READ_FILE.FILE_NOT_EXIST", "KD001"), "configuration"),
        (condition("UNABLE_TO_ACQUIRE_MEMORY", "53200"), "resource"),
        (condition("INTERNAL_ERROR", "XX000"), "permanent"),
        (connect.AnalysisException("of which nothing else is said"), "configuration"),
        (Py4JNetworkError("Answer from Java side is empty"), "transient"),
        (Py4JError("x"), "unknown"),
    ]:
        assert by_plugins(error).error_class == wanted, error


def test_what_spark_raises_here(by_plugins, spark, tmp_path):
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    session = SparkSession.active()
    for query, wanted in [
        ("SELECT * FROM nowhere", "configuration"),
        ("SELECT nothing", "configuration"),
        ("SELECT FROM WHERE", "configuration"),
        ("SELECT CAST('x' AS int)", "data"),
        ("SELECT 1 / 0", "data"),
    ]:
        with pytest.raises(PySparkException) as caught:
            session.sql(query).collect()
        assert by_plugins(caught.value).error_class == wanted, query
    with pytest.raises(PySparkException) as missing:
        session.read.parquet(str(tmp_path / "nothing")).collect()
    assert by_plugins(missing.value).error_class == ErrorClass.CONFIGURATION


def test_a_plugin_that_fails_at_an_error_hides_nothing(fresh_factory):
    class Broken:
        @oreflow.hookimpl
        def classify_error(self, error):
            raise SystemExit(1)

    class Silent:
        @oreflow.hookimpl
        def classify_error(self):
            return "nonsense"

    for plugin in (Silent(), Broken()):
        fresh_factory.hooks.register(plugin)
    assert fresh_factory.classifier.classify(TimeoutError()).error_class == ErrorClass.TRANSIENT


def test_to_ask_the_plugins_loads_no_engine():
    code = (
        "import sys, oreflow\n"
        "classify = oreflow.get_processor_factory().classifier.classify\n"
        "errors = (OSError('x'), ValueError(), TimeoutError(), RuntimeError())\n"
        "said = [classify(error).error_class for error in errors]\n"
        "assert said == ['unknown', 'data', 'transient', 'unknown'], said\n"
        "loaded = {'polars', 'deltalake', 'redis', 'pyspark', 'py4j', 'ssl'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
