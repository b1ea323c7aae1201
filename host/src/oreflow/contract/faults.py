"""What kind of fault an error is: whether to try again, after what time, and whether anything has happened.

What numbers and codes mean that many systems share (errno, HTTP, SQLSTATE, gRPC, object stores) is written here once,
so that a plugin can say in one line what an error of its engine is.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class ErrorClass(StrEnum):
    """The kind of an error, by what can be done about it."""

    TRANSIENT = "transient"
    """It passes by itself: a connection, a lock, a server that is being started."""
    RESOURCE = "resource"
    """Something is used up: disk, memory, open files, connections."""
    RATE_LIMITED = "rate_limited"
    """The other side asks for fewer calls."""
    CONFIGURATION = "configuration"
    """What was declared does not fit: an address, a path, a table, a query, a certificate."""
    DATA = "data"
    """What was read or sent cannot be understood or accepted."""
    PERMISSION = "permission"
    """It is not allowed, or nobody knows who asks."""
    PERMANENT = "permanent"
    """It will be the same the next time, for any other reason; also whatever ends the program."""
    UNKNOWN = "unknown"
    """Nothing is known about it. It may be tried again once, no more."""


class Severity(StrEnum):
    """How much an error matters to whoever runs the pipeline."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


_USUAL = {
    ErrorClass.TRANSIENT: (Severity.LOW, True),
    ErrorClass.RESOURCE: (Severity.HIGH, True),
    ErrorClass.RATE_LIMITED: (Severity.LOW, True),
    ErrorClass.CONFIGURATION: (Severity.HIGH, False),
    ErrorClass.DATA: (Severity.MEDIUM, False),
    ErrorClass.PERMISSION: (Severity.HIGH, False),
    ErrorClass.PERMANENT: (Severity.HIGH, False),
    ErrorClass.UNKNOWN: (Severity.MEDIUM, True),
}


@dataclass(frozen=True, slots=True)
class Classification:
    """What an error is.

    `retry_after` are the seconds that the other side asked for (None: it asked for none). `not_done` says that the
    operation is proved not to have happened, so that trying again is safe even where doing it twice is not.

    The class methods answer None where the number or code says nothing.
    """

    error_class: ErrorClass
    severity: Severity
    retryable: bool
    retry_after: float | None = None
    not_done: bool = False

    @classmethod
    def of(
        cls,
        error_class: ErrorClass,
        *,
        severity: Severity | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        not_done: bool = False,
    ) -> Classification:
        """With the severity that is usual for a class, and tried again or not as is usual, where these are not said."""
        usual, again = _USUAL[error_class]
        again = again if retryable is None else retryable
        return cls(error_class, severity or usual, again, retry_after, not_done)

    @classmethod
    def of_errno(cls, number: int) -> Classification | None:
        """By the number of an error of the operating system."""
        return _errors().get(number)

    @classmethod
    def of_status(cls, status: int) -> Classification | None:
        """By the status of an HTTP answer; None for one that is no error."""
        hundred = status // 100 * 100
        return STATUSES.get(status) or STATUSES.get(hundred) if hundred in {400, 500} else None

    @classmethod
    def of_store_code(cls, code: str) -> Classification | None:
        """By the code in an answer of AWS, or of an object store that speaks as S3 does, such as `SlowDown`."""
        return STORE_CODES.get(code)

    @classmethod
    def of_store_message(cls, message: str) -> Classification | None:
        """By what the Rust library object_store says in words; Polars and Delta read object stores with it."""
        number = re.search(_OS_ERROR, message)
        if not (number or re.search(_STORE, message)):
            return None
        code, status = re.search(_CODE, message), re.search(_STATUS, message)
        found = cls.of_store_code("".join(filter(None, code.groups()))) if code else None
        found = found or (cls.of_status(int(status[1])) if status else None)
        found = found or (cls.of_errno(int(number[1])) if number else None)
        return found or (_TRANSIENT if re.search(_NO_ANSWER, message) else None)

    @classmethod
    def of_sqlstate(cls, state: str) -> Classification | None:
        """By an SQLSTATE of five characters: the whole of it, else its class, which are the first two."""
        return SQLSTATES.get(state) or SQLSTATES.get(state[:2]) if re.fullmatch(_SQLSTATE, state) else None

    @classmethod
    def of_grpc(cls, name: str) -> Classification | None:
        """By the name of a gRPC status, such as `UNAVAILABLE`."""
        return GRPC.get(name)


def _by_name(*groups: tuple[str, Classification]) -> dict[str, Classification]:
    return {name: found for names, found in groups for name in names.split()}


_of = Classification.of
_TRANSIENT = _of(ErrorClass.TRANSIENT)
_NOT_DONE = _of(ErrorClass.TRANSIENT, not_done=True)
_IO = _of(ErrorClass.TRANSIENT, severity=Severity.HIGH)
_USED_UP = _of(ErrorClass.RESOURCE, not_done=True)
_MEMORY = _of(ErrorClass.RESOURCE, severity=Severity.CRITICAL)
# A full disk is not empty again within the seconds of a few attempts, and each of them may leave more behind.
_FULL = _of(ErrorClass.RESOURCE, severity=Severity.CRITICAL, retryable=False)
_LIMITED = _of(ErrorClass.RATE_LIMITED, not_done=True)
_CONFIGURATION = _of(ErrorClass.CONFIGURATION)
_DATA = _of(ErrorClass.DATA)
_DAMAGED = _of(ErrorClass.DATA, severity=Severity.CRITICAL)
_PERMISSION = _of(ErrorClass.PERMISSION)
_PERMANENT = _of(ErrorClass.PERMANENT)
_CONFLICT = _of(ErrorClass.PERMANENT, severity=Severity.MEDIUM, not_done=True)

ERRNO: Mapping[str, Classification] = _by_name(
    ("ECONNRESET ECONNABORTED EPIPE ETIMEDOUT EINTR ESTALE", _TRANSIENT),
    ("ENETDOWN ENETUNREACH ENETRESET EHOSTDOWN EHOSTUNREACH ENOTCONN ESHUTDOWN", _TRANSIENT),
    ("EINPROGRESS EALREADY ETIME ENOLINK ECOMM EPROTO", _TRANSIENT),
    ("ECONNREFUSED EAGAIN EWOULDBLOCK EBUSY ETXTBSY EDEADLK EADDRINUSE", _NOT_DONE),
    ("EIO EREMOTEIO", _IO),
    ("EMFILE ENFILE ENOBUFS ENOLCK EADDRNOTAVAIL", _USED_UP),
    ("ENOMEM", _MEMORY),
    ("ENOSPC EDQUOT", _FULL),
    ("EACCES EPERM EROFS EKEYEXPIRED EKEYREVOKED EKEYREJECTED", _PERMISSION),
    ("ENOENT EISDIR ENOTDIR ENAMETOOLONG ELOOP ENODEV ENXIO", _CONFIGURATION),
    ("EEXIST ENOTEMPTY EINVAL EBADF EXDEV ENOSYS EOPNOTSUPP ENOTSUP EFBIG EMLINK ESPIPE ESRCH ECHILD", _PERMANENT),
    ("EILSEQ", _DATA),
    ("EBADMSG EUCLEAN", _DAMAGED),
)
"""By the names of errno; which number each has is the platform's."""


@cache
def _errors() -> dict[int, Classification]:
    return {getattr(errno, name): found for name, found in ERRNO.items() if hasattr(errno, name)}


STATUSES: Mapping[int, Classification] = {
    400: _PERMANENT,  # and each below 500 that is not here
    401: _PERMISSION,
    403: _PERMISSION,
    404: _CONFIGURATION,
    405: _CONFIGURATION,
    407: _PERMISSION,
    408: _TRANSIENT,
    409: _of(ErrorClass.PERMANENT, severity=Severity.MEDIUM),
    410: _CONFIGURATION,
    412: _CONFLICT,
    413: _DATA,
    415: _DATA,
    422: _DATA,
    423: _NOT_DONE,
    425: _NOT_DONE,
    429: _LIMITED,
    500: _TRANSIENT,  # and each from 501 that is not here
    501: _CONFIGURATION,
    505: _CONFIGURATION,
    507: _FULL,
    509: _of(ErrorClass.RATE_LIMITED),
    511: _PERMISSION,
    529: _of(ErrorClass.RATE_LIMITED),
}
"""By the status of an HTTP answer; 400 and 500 stand for all others of their hundred."""

STORE_CODES: Mapping[str, Classification] = _by_name(
    ("SlowDown Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException", _LIMITED),
    ("TooManyRequestsException ProvisionedThroughputExceededException RequestLimitExceeded", _LIMITED),
    ("BandwidthLimitExceeded LimitExceededException EC2ThrottledException PriorRequestNotComplete", _LIMITED),
    ("InternalError InternalFailure ServiceUnavailable RequestTimeout RequestTimeoutException", _TRANSIENT),
    ("OperationAborted ConditionalRequestConflict TransactionInProgressException", _NOT_DONE),
    (
        "AccessDenied AccessDeniedException AllAccessDisabled AuthFailure ExpiredToken ExpiredTokenException",
        _PERMISSION,
    ),
    ("InvalidAccessKeyId InvalidClientTokenId InvalidToken SignatureDoesNotMatch", _PERMISSION),
    ("UnrecognizedClientException RequestTimeTooSkewed", _PERMISSION),
    ("NoSuchBucket NoSuchKey PermanentRedirect AuthorizationHeaderMalformed InvalidBucketName", _CONFIGURATION),
    ("PreconditionFailed", _CONFLICT),
    ("QuotaExceeded", _FULL),
    ("EntityTooLarge BadDigest", _DATA),
)
"""By the code of an answer of AWS or S3."""

SQLSTATES: Mapping[str, Classification] = _by_name(
    ("08 57P01 57P02 57P05 58 72 HYT00", _TRANSIENT),
    ("08001 08004 HYT01 40 55006 55P03 57P03", _NOT_DONE),
    ("40003", _TRANSIENT),  # whether the statement was completed is unknown
    ("53", _of(ErrorClass.RESOURCE)),
    ("53100", _FULL),
    ("53200", _MEMORY),
    ("53300", _USED_UP),
    ("28 42501 25006", _PERMISSION),
    ("0A 3D 3F 42 57P04 F0", _CONFIGURATION),
    ("08P01 25 40002 54 55 57 HY008 XX", _PERMANENT),
    ("21 22 23 44", _DATA),
    ("XX001 XX002", _DAMAGED),
)
"""By an SQLSTATE; what has two characters stands for all others of its class."""

GRPC: Mapping[str, Classification] = _by_name(
    ("UNAVAILABLE DEADLINE_EXCEEDED ABORTED", _TRANSIENT),
    ("RESOURCE_EXHAUSTED", _of(ErrorClass.RATE_LIMITED)),
    ("INVALID_ARGUMENT OUT_OF_RANGE", _DATA),
    ("NOT_FOUND UNIMPLEMENTED", _CONFIGURATION),
    ("PERMISSION_DENIED UNAUTHENTICATED", _PERMISSION),
    ("CANCELLED ALREADY_EXISTS FAILED_PRECONDITION INTERNAL", _PERMANENT),
    ("DATA_LOSS", _DAMAGED),
)
"""By the name of a gRPC status; `UNKNOWN` says nothing."""

# Compiled when they are first asked for: describing a plugin is to cost nothing.
_SQLSTATE = "[0-9A-Z]{5}"
_STORE = r"Generic \w+ error|object-store error|non-2xx status code|after \d+ retries"
_OS_ERROR = r"\(os error (\d+)\)"
_CODE = r"<Code>(\w+)</Code>|\b(Slow) ?(Down)\b"
# Delta's errors are drawn as a tree, with arrows and colours between a label and what belongs to it.
_STATUS = r"(?:status code|with status|HTTP status \w+ error)(?:\x1b\[\d+m|[^\w\x1b]){1,40}([45]\d\d)\b"
_NO_ANSWER = (
    r"(?i:error sending request|timed? ?out|connection (?:closed|reset|error)|error decoding response body|HTTP error)"
)


def shared_codes() -> Iterator[tuple[str, str, Classification]]:
    """Every code that is known here: whose it is, the code, and what it means."""
    yield from (("errno", name, found) for name, found in ERRNO.items())
    yield from (("HTTP status", str(status), found) for status, found in STATUSES.items())
    yield from (("code of AWS or S3", code, found) for code, found in STORE_CODES.items())
    yield from (("SQLSTATE", state, found) for state, found in SQLSTATES.items())
    yield from (("gRPC status", name, found) for name, found in GRPC.items())
