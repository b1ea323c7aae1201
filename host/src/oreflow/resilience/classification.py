"""What kind of fault an error is: by what it says of itself, by its type, and by the errors that it came from.

It is asked for each error of each attempt, so what depends on the type alone is found once for the type. Types are
known by their names, so that no library is loaded to ask for its errors.
"""

from __future__ import annotations

import errno
import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import Any, NamedTuple, TypeAlias

from oreflow.contract.faults import Classification, ErrorClass, Severity, shared_codes

__all__ = ["Classification", "Classifier", "ErrorClass", "Rule", "Severity", "TableRow", "classify", "table"]

Rule: TypeAlias = Callable[[BaseException], Classification | None]
"""Says what an error is; None where it does not know it."""

_MOST_TYPES = 1024
"""So many types are remembered, since a program may make types as it runs."""
_MOST_ERRORS = 100
"""So many errors of one chain or group are looked at."""

_of = Classification.of
_UNKNOWN = _of(ErrorClass.UNKNOWN)
_TRANSIENT = _of(ErrorClass.TRANSIENT)
_NOT_DONE = _of(ErrorClass.TRANSIENT, not_done=True)
_MEMORY = _of(ErrorClass.RESOURCE, severity=Severity.CRITICAL)
_FULL = _of(ErrorClass.RESOURCE, severity=Severity.CRITICAL, retryable=False)
_LIMITED = _of(ErrorClass.RATE_LIMITED)
_CONFIGURATION = _of(ErrorClass.CONFIGURATION)
_NO_PEER = _of(ErrorClass.CONFIGURATION, not_done=True)
_DATA = _of(ErrorClass.DATA)
_PERMISSION = _of(ErrorClass.PERMISSION)
_PERMANENT = _of(ErrorClass.PERMANENT)
_CONFLICT = _of(ErrorClass.PERMANENT, severity=Severity.MEDIUM, not_done=True)
_ENDS = _of(ErrorClass.PERMANENT, severity=Severity.LOW)


def _by_name(*groups: tuple[str, Classification]) -> dict[str, Classification]:
    return {name: found for names, found in groups for name in names.split()}


_ENDING = ("KeyboardInterrupt", "SystemExit", "GeneratorExit", "asyncio.exceptions.CancelledError")
_TYPES = _by_name(
    (" ".join(_ENDING), _ENDS),
    ("concurrent.futures._base.CancelledError", _ENDS),
    # Connections and waiting
    ("TimeoutError ConnectionError InterruptedError subprocess.TimeoutExpired", _TRANSIENT),
    ("ConnectionRefusedError", _NOT_DONE),
    ("http.client.BadStatusLine http.client.IncompleteRead asyncio.exceptions.IncompleteReadError", _TRANSIENT),
    ("ssl.SSLEOFError ssl.SSLZeroReturnError ssl.SSLSyscallError", _TRANSIENT),
    ("ssl.SSLWantReadError ssl.SSLWantWriteError", _TRANSIENT),
    ("ssl.SSLError ssl.SSLCertVerificationError", _NO_PEER),
    # The system
    ("MemoryError", _MEMORY),
    ("PermissionError", _PERMISSION),
    ("FileNotFoundError NotADirectoryError IsADirectoryError ImportError configparser.Error", _CONFIGURATION),
    ("FileExistsError ProcessLookupError ChildProcessError", _PERMANENT),
    # What was read
    ("ValueError ArithmeticError EOFError _csv.Error struct.error zlib.error _lzma.LZMAError gzip.BadGzipFile", _DATA),
    ("zipfile.BadZipFile tarfile.TarError _pickle.UnpicklingError xml.etree.ElementTree.ParseError", _DATA),
    ("sqlite3.DataError sqlite3.IntegrityError", _DATA),
    # The program
    ("TypeError AttributeError NameError LookupError AssertionError SyntaxError", _PERMANENT),
    ("NotImplementedError RecursionError StopIteration StopAsyncIteration sqlite3.ProgrammingError", _PERMANENT),
    # Our own
    ("oreflow.contract.errors.DeclarationError oreflow.contract.errors.InvalidMetadata", _CONFIGURATION),
    ("oreflow.contract.errors.CommitConflict", _NOT_DONE),
    ("oreflow.contract.stores.StoreAway", _TRANSIENT),
    ("oreflow.contract.stores.StoreDenied", _PERMISSION),
    ("oreflow.contract.stores.StoreConflict", _CONFLICT),
)
"""By the name of a type; of the types of an error, the nearest counts."""

_LAST = _by_name(("oreflow.contract.errors.StepError", _DATA))
"""What an error of a type is that came from no other; one that has a cause is what the cause is."""

_ADDRESS = _by_name(
    ("EAI_AGAIN EAI_SYSTEM", _NOT_DONE),
    ("EAI_NONAME EAI_NODATA EAI_SERVICE EAI_FAMILY EAI_ADDRFAMILY EAI_SOCKTYPE EAI_BADFLAGS", _NO_PEER),
    ("EAI_FAIL", replace(_PERMANENT, not_done=True)),
    ("EAI_MEMORY", replace(_MEMORY, not_done=True)),
)
_ADDRESS_NUMBERS = {getattr(socket, name): found for name, found in _ADDRESS.items() if hasattr(socket, name)}
_SSL = _by_name(
    ("UNEXPECTED_EOF_WHILE_READING DECRYPTION_FAILED_OR_BAD_RECORD_MAC SSLV3_ALERT_BAD_RECORD_MAC", _TRANSIENT)
)
_SQLITE = _by_name(
    ("SQLITE_BUSY SQLITE_LOCKED", _NOT_DONE),
    ("SQLITE_IOERR SQLITE_PROTOCOL", _TRANSIENT),
    ("SQLITE_FULL", _FULL),
    ("SQLITE_NOMEM", _MEMORY),
    ("SQLITE_PERM SQLITE_READONLY SQLITE_AUTH", _PERMISSION),
    ("SQLITE_ERROR SQLITE_CANTOPEN SQLITE_SCHEMA", _CONFIGURATION),
    ("SQLITE_CORRUPT SQLITE_NOTADB SQLITE_CONSTRAINT SQLITE_MISMATCH SQLITE_TOOBIG SQLITE_RANGE", _DATA),
    ("SQLITE_ABORT SQLITE_INTERRUPT SQLITE_MISUSE", _PERMANENT),
)

# What an error says of itself


def _get(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _http_of(error: BaseException) -> Classification | None:
    """The status and the code of an HTTP answer, wherever libraries keep them."""
    response = _get(error, "response")
    about, told = _part(response, "ResponseMetadata"), _part(response, "Error")  # botocore's answer is a mapping
    places = [_get(error, name) for name in ("status_code", "status", "code")]
    places += [_get(response, "status_code"), _get(response, "status"), about.get("HTTPStatusCode")]
    status = next((number for place in places if (number := _number(place)) in _FAULTS), 0)
    code = told.get("Code")
    found = Classification.of_store_code(code) if isinstance(code, str) else None
    found = found or Classification.of_status(status)
    if found is None or not found.retryable:
        return found
    said = [_get(error, "retry_after"), _header(_get(response, "headers")), _header(_get(error, "headers"))]
    wait = next((w for each in (*said, _header(about.get("HTTPHeaders"))) if (w := _seconds(each)) is not None), None)
    if wait is None:
        return found
    # A server that says when to come again has not begun with it.
    return replace(found, retry_after=wait, not_done=found.not_done or status == _UNAVAILABLE)


_FAULTS = range(400, 600)
_UNAVAILABLE = 503


def _part(answer: Any, name: str) -> Mapping[str, Any]:
    found = answer.get(name) if isinstance(answer, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _number(said: Any) -> int:
    if isinstance(said, str):
        return int(said) if said.isascii() and said.isdigit() else 0
    return int(said) if isinstance(said, int) else 0


def _header(headers: Any) -> Any:
    """What `Retry-After` says; libraries' headers do not mind the case, a plain mapping may."""
    ask = _get(headers, "get")
    return (ask("Retry-After") or ask("retry-after")) if callable(ask) else None


def _seconds(said: Any) -> float | None:
    """Seconds to wait, as a number, a timedelta, or a text: what `Retry-After` may have, also a date."""
    try:
        if isinstance(said, timedelta):
            wait = said.total_seconds()
        elif isinstance(said, int | float) and not isinstance(said, bool):
            wait = float(said)
        elif isinstance(said, str):
            wait = float(said) if said.strip()[:1].isdigit() else _until(said)
        else:
            return None
    except Exception:
        return None
    return wait if math.isfinite(wait) and wait >= 0 else None


def _until(date: str) -> float:
    from email.utils import parsedate_to_datetime

    when = parsedate_to_datetime(date)
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - time.time())


def _grpc_of(error: BaseException) -> Classification | None:
    code = _get(error, "code")
    name = _get(code(), "name") if callable(code) else None
    return Classification.of_grpc(name) if isinstance(name, str) else None


def _sqlstate_of(error: BaseException) -> Classification | None:
    for state in (_get(error, "sqlstate"), _get(error, "pgcode")):
        if isinstance(state, str) and (found := Classification.of_sqlstate(state)):
            return found
    return None


def _errno_of(error: BaseException) -> Classification | None:
    number = _get(error, "errno")
    found = Classification.of_errno(number) if isinstance(number, int) else None
    if found and found.not_done and _get(error, "characters_written"):
        return replace(found, not_done=False)  # a part of it was written before it would have had to wait
    return found


def _address_of(error: BaseException) -> Classification | None:
    number = _get(error, "errno")
    return _ADDRESS_NUMBERS.get(number) if isinstance(number, int) else None


def _ssl_of(error: BaseException) -> Classification | None:
    reason = _get(error, "reason")
    return _SSL.get(reason) if isinstance(reason, str) else None


def _sqlite_of(error: BaseException) -> Classification | None:
    """By the name of the code; `SQLITE_IOERR_READ` is a kind of `SQLITE_IOERR`."""
    name = _get(error, "sqlite_errorname")
    return _SQLITE.get("_".join(name.split("_")[:2])) if isinstance(name, str) else None


_LOOKS: tuple[tuple[frozenset[str], Rule], ...] = (
    (frozenset({"response", "status_code", "status", "code"}), _http_of),
    (frozenset({"code"}), _grpc_of),
    (frozenset({"sqlstate", "pgcode"}), _sqlstate_of),
)
"""Attributes of errors of any type, and who reads them."""
_NAMES = frozenset[str]().union(*(names for names, _ in _LOOKS), {"retry_after"})
_LOOKS_BY_TYPE: Mapping[str, Rule] = {
    "socket.gaierror": _address_of,
    "ssl.SSLError": _ssl_of,
    "sqlite3.Error": _sqlite_of,
    "OSError": _errno_of,
}
_OWN_NUMBERS = {"socket.gaierror", "socket.herror", "ssl.SSLError"}
"""Types whose `errno` is none of the system's."""


class _Plan(NamedTuple):
    """What there is to do for an error of a type."""

    by_type: Classification | None
    at_once: Mapping[int | None, Classification] | None
    """By its `errno`, where nothing else is to be looked at."""
    last: Classification | None
    looks: tuple[Rule, ...]
    """For an error that has no more attributes than its type gives it."""
    every: tuple[Rule, ...]
    waits: bool
    parts: bool
    ends: bool


def _plan_of(kind: type[BaseException]) -> _Plan:
    bases = kind.__mro__
    names = [_name(base) for base in bases]
    if not issubclass(kind, Exception | BaseExceptionGroup):
        ending = next((_TYPES[name] for name in names if name in _TYPES), _PERMANENT)
        return _Plan(ending, None, None, (), (), waits=False, parts=False, ends=True)
    own = _OWN_NUMBERS.isdisjoint(names)
    by_type = tuple(_LOOKS_BY_TYPE[name] for name in names if name in _LOOKS_BY_TYPE and (own or name != "OSError"))
    given = {name for base in bases for name in vars(base) if name in _NAMES}
    if any("__getattr__" in vars(base) or "__getattribute__" in vars(base) for base in bases if base not in _ROOTS):
        given = set(_NAMES)
    found = next((_TYPES[name] for name in names if name in _TYPES), None)
    at_once = None
    if by_type == (_errno_of,) and not given and not issubclass(kind, BlockingIOError):
        at_once = _NUMBERS if found is None else {**_NUMBERS, None: found}
    return _Plan(
        by_type=found,
        at_once=at_once,
        last=next((_LAST[name] for name in names if name in _LAST), None),
        looks=(*(look for wanted, look in _LOOKS if wanted & given), *by_type),
        every=(*(look for _, look in _LOOKS), *by_type),
        waits="retry_after" in given,
        parts=issubclass(kind, BaseExceptionGroup),
        ends=False,
    )


_NUMBERS: dict[int | None, Classification] = {
    number: meaning for number in errno.errorcode if (meaning := Classification.of_errno(number))
}
_ROOTS = Exception.__mro__


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _asked(rule: Rule, error: BaseException) -> Classification | None:
    """A rule's answer; one that fails has none, since the error that it was asked about is the one to be told."""
    try:
        found = rule(error)
    except KeyboardInterrupt:
        raise  # the user's
    except BaseException:
        return None
    return found if found is None or isinstance(found, Classification) else None


class Classifier:
    """Says what errors are: by rules that are given to it, in their order, then by those that are built in.

    What ends the program (`KeyboardInterrupt`, `asyncio.CancelledError` and whatever else is no `Exception`) is never
    asked of a rule. It may be used by several threads.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._plans: dict[type[BaseException], _Plan] = {}

    def classify(self, error: BaseException) -> Classification:
        """What an error is; UNKNOWN where neither it nor anything that it came from says so. It raises nothing."""
        try:
            plan = self._plans.get(type(error)) or self._planned(type(error))
            if plan.ends:
                return plan.by_type or _PERMANENT
            if not error.__dict__:
                at_once = plan.by_type
                if plan.at_once:
                    at_once = plan.at_once.get(error.errno)  # type: ignore[attr-defined]  # an OSError has one
                elif plan.looks or plan.parts:
                    at_once = None
                elif at_once is None and error.__cause__ is None and error.__context__ is None:
                    at_once = plan.last or _UNKNOWN
                if at_once is not None:
                    for rule in self._rules:
                        if (found := _asked(rule, error)) is not None:
                            return found
                    return at_once
            return self._of_chain(error, frozenset(), iter(range(_MOST_ERRORS))) or _UNKNOWN
        except Exception:
            return _UNKNOWN

    def _planned(self, kind: type[BaseException]) -> _Plan:
        if len(self._plans) >= _MOST_TYPES:
            self._plans = {}
        plan = self._plans[kind] = _plan_of(kind)
        return plan

    def _of_chain(self, error: BaseException, path: frozenset[int], left: Iterator[int]) -> Classification | None:
        """What the first error of a chain that says anything says; None for one that lies on the path to it."""
        if id(error) in path:
            return None
        seen = set(path)
        caused, each = True, error
        while id(each) not in seen and next(left, None) is not None:
            seen.add(id(each))
            plan = self._plans.get(type(each)) or self._planned(type(each))
            found = self._of_itself(each, plan)
            if found is None and plan.parts:
                found = self._of_parts(each, frozenset(seen), left)
            if found is not None:
                # What was only under way when an error was raised proves nothing about what raised it.
                return found if caused or not found.not_done else replace(found, not_done=False)
            cause = each.__cause__
            if cause is None:
                cause = _get(each, "reason")  # where urllib and urllib3 keep it
            if not isinstance(cause, BaseException):
                caused, cause = False, None if each.__suppress_context__ else each.__context__
            if cause is None:
                return plan.last or _UNKNOWN
            each = cause
        return _UNKNOWN

    def _of_itself(self, error: BaseException, plan: _Plan) -> Classification | None:
        if plan.ends:
            return plan.by_type
        for rule in self._rules:
            if (found := _asked(rule, error)) is not None:
                return found
        more = not _NAMES.isdisjoint(error.__dict__)
        for look in plan.every if more else plan.looks:
            if (found := _asked(look, error)) is not None:
                break
        else:
            found = None
        wait = _seconds(_get(error, "retry_after")) if more or plan.waits else None
        if found is None and wait is not None and not (plan.by_type and plan.by_type.retryable):
            return replace(_LIMITED, retry_after=wait)
        found = found or plan.by_type
        if found and wait is not None and found.retryable and found.retry_after is None:
            return replace(found, retry_after=wait)
        return found

    def _of_parts(self, group: BaseException, path: frozenset[int], left: Iterator[int]) -> Classification | None:
        """A group is what its weightiest part is, and it is tried again only where that would be right for each."""
        told = [found for part in _get(group, "exceptions") or () if (found := self._of_chain(part, path, left))]
        if not told:
            return None
        rank = list(Severity)
        heaviest = max(told, key=lambda c: (not c.retryable, c.error_class == "unknown", rank.index(c.severity)))
        waits = [found.retry_after for found in told if found.retry_after is not None]
        wait = max(waits, default=None) if heaviest.retryable else None
        return replace(heaviest, retry_after=wait, not_done=all(found.not_done for found in told))


_BUILT_IN = Classifier()


def classify(error: BaseException) -> Classification:
    """What an error is, by the rules that are built in; `oreflow.resilience.Classifier` asks others before."""
    return _BUILT_IN.classify(error)


@dataclass(frozen=True, slots=True)
class TableRow:
    """Values of one kind that mean the same: the kind, the values, and what they mean."""

    kind: str
    values: tuple[str, ...]
    meaning: Classification


def table() -> list[TableRow]:
    """Every rule that is built in, for the documentation."""
    rows: dict[tuple[str, Classification], list[str]] = {}
    for kind, value, found in _every_rule():
        rows.setdefault((kind, found), []).append(value)
    return [TableRow(kind, tuple(values), found) for (kind, found), values in rows.items()]


def _every_rule() -> Iterator[tuple[str, str, Classification]]:
    yield from shared_codes()
    yield from (("`socket.gaierror`", name, found) for name, found in _ADDRESS.items())
    yield from (("reason of `ssl.SSLError`", name, found) for name, found in _SSL.items())
    yield from (("code of SQLite", name, found) for name, found in _SQLITE.items())
    yield from (("type", name, found) for name, found in _TYPES.items())
    yield from (("type, where it has no cause", name, found) for name, found in _LAST.items())
