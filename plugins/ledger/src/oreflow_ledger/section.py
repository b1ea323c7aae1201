"""The section `database` of a declaration: where the ledger is, and what only a look beyond its form finds wrong in it.

Nothing is connected to here, and no library of databases is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from oreflow.contract import DeclarationError, Problem, Surroundings
from oreflow.quantities import DURATION, lasting, time_of, time_schema
from oreflow.secrets import MASK, followed, followed_address, masked, refers
from oreflow.validation import validate

NAME = "database"
_FILE = "ledger.db"
_TIMEOUT = "5s"
_CONNECTIONS = 5
_PORT = 5432
_PARTS = ("port", "database", "username", "password")
_SQLITE, _POSTGRESQL = ("sqlite", "sqlite+pysqlite"), ("postgresql", "postgresql+psycopg")
_LONGEST = timedelta(days=36_525)
_ALIKE = 0.8  # how much a key of somebody's configuration may look like one of ours before it is taken for a slip
_KNOWN = "say sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "where the ledger of runs is kept: a file of SQLite beside the tables, where nothing else is said",
    "properties": {
        "url": _text("the address of the database, such as postgresql://ada:${env:DB_PASSWORD}@db.internal/operations"),
        "config": _text("a configuration of the project that says it instead: `database` is config/database.yaml"),
        "host": _text("of a PostgreSQL: the machine that it is on"),
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "description": "of a PostgreSQL: its port",
        },
        "database": _text("of a PostgreSQL: the name of the database"),
        "username": _text("of a PostgreSQL: the user"),
        "password": _text("of a PostgreSQL: the user's password, such as ${env:DB_PASSWORD}"),
        "pool_size": {
            "type": "integer",
            "minimum": 1,
            "description": "of a PostgreSQL: how many connections a process has at the most",
        },
        "timeout": time_schema("how long a write may take, and how long a run waits for the ledger at its end"),
        "retention": {  # no number of seconds, which somebody might mean as days
            "type": "string",
            "pattern": DURATION,
            "description": "how long runs are kept: a text such as 90d",
        },
    },
}


@dataclass(frozen=True)
class Place:
    """Where a ledger is, and how it is dealt with.

    `url` has what references to secrets lead to, `shown` none of it. `file` is that of SQLite (None: it is a
    PostgreSQL), `timeout` in seconds. `secrets` are the texts that must get into no message.
    """

    url: str = field(repr=False)
    shown: str
    file: Path | None = None
    pool_size: int = _CONNECTIONS
    timeout: float = 5.0
    retention: timedelta | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def keeps_from(self) -> datetime | None:
        """The moment before which no run is kept that began then; None: all are kept."""
        return None if self.retention is None else datetime.now(UTC) - self.retention


def place_of(section: Mapping[str, Any], surroundings: Surroundings) -> Place:
    """What a section whose form is right says; relative files start at the project, the default one is in the folder.

    Raises:
        DeclarationError: what it says does not go together, or leads nowhere.
    """
    project, folder = surroundings.project, surroundings.folder
    if "config" in section:
        section = _by_config(section, surroundings)
    problems: list[Problem] = []
    common = _common(section, problems)
    url, shown, file = "", "", None
    try:
        if "url" in section:
            url, shown, file = _by_url(section, project)
        elif "host" in section:
            url, shown = _by_parts(section)
        elif said := [key for key in _PARTS if key in section]:
            raise _refused(f"'{said[0]}' is of a PostgreSQL, and 'host' is missing", (said[0],), "add host, or say url")
        else:
            file = folder / _FILE
            url = shown = f"sqlite:///{file}"
    except DeclarationError as error:
        problems += error.problems
    if problems:
        raise DeclarationError(problems)
    return Place(url, shown, file, secrets=_secrets(url), **common)


def _by_config(section: Mapping[str, Any], surroundings: Surroundings) -> dict[str, Any]:
    """The section with what a configuration says in place of its name, which its layers and variables have a say in.

    Of that, the keys are taken that a section can have; it is the program's own, and may have others.
    """
    if both := [key for key in ("url", "host", *_PARTS, "pool_size") if key in section]:
        raise _refused(f"config and {both[0]} do not go together", (both[0],), "say the one or the other")
    from oreflow.api import effective_config

    name = section["config"]
    said = effective_config(surroundings.project, name, environment=surroundings.environment).data
    known = [key for key in SCHEMA["properties"] if key != "config"]
    found = {key: said[key] for key in known if said.get(key) is not None}
    for key in said:
        if key not in known and (close := get_close_matches(key, known, 1, _ALIKE)):
            what = f"the configuration '{name}' has a key '{key}', which is none of a ledger's"
            raise _refused(what, ("config",), f"did you mean '{close[0]}'?")
    if problems := validate(found, SCHEMA):
        faults = "; ".join(f"{'.'.join(map(str, each.path))}: {each.message}" for each in problems)
        raise _refused(f"the configuration '{name}' cannot be used: {faults}", ("config",), "mend it")
    if not {"url", "host"} & set(found):
        what = f"the configuration '{name}' says no url and no host"
        raise _refused(what, ("config",), f"say one in config/{name}.yaml, or the variable {name.upper()}_URL")
    return {**{key: value for key, value in section.items() if key != "config"}, **found}


def _common(section: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """What is said of any database."""
    found: dict[str, Any] = {"pool_size": section.get("pool_size", _CONNECTIONS)}
    try:
        found["timeout"] = lasting(section.get("timeout", _TIMEOUT), (NAME, "timeout"))
        if "retention" in section:
            found["retention"] = _lasting(section["retention"])
    except DeclarationError as error:
        problems += error.problems
    return found


def _lasting(said: float | str) -> timedelta:
    try:
        time = time_of(said)
    except ValueError as error:
        raise _refused(str(error), ("retention",)) from error
    if time > _LONGEST:
        raise _refused(f"'{said}' is longer than any run was kept", ("retention",), "leave it out, and all are kept")
    if time <= timedelta():
        raise _refused(f"'{said}' is no time that lasts", ("retention",), "say one above 0, such as 90d")
    return time


def _by_url(section: Mapping[str, Any], project: Path) -> tuple[str, str, Path | None]:
    if both := [key for key in ("host", *_PARTS) if key in section]:
        raise _refused(f"url and {both[0]} do not go together", (both[0],), "say the one or the other")
    said = section["url"]
    url = _followed(said, ("url",))  # which may be a reference as a whole
    scheme, divided, rest = url.partition("://")
    if not divided or not re.fullmatch(r"[a-z0-9+]+", scheme):  # it is not shown: it may have a password
        raise _refused("this is no address of a database", ("url",), _KNOWN)
    if scheme in _SQLITE:
        file = _file(rest, project)
        return f"sqlite:///{file}", masked(said) if refers(said) else f"sqlite:///{file}", file
    if scheme not in _POSTGRESQL:
        raise _refused(f"a ledger is in SQLite or in PostgreSQL, not in {scheme}", ("url",), _KNOWN)
    _require_driver(("url",))
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  it is checked when it is asked for
    except ValueError:
        raise _refused("this is no address of a database", ("url",), _KNOWN) from None
    if not parts.path.strip("/"):
        raise _refused("the address names no database", ("url",), _KNOWN)
    return f"postgresql+psycopg://{rest}", masked(said), None


def _file(rest: str, project: Path) -> Path:
    """The file that an address of SQLite names behind its scheme."""
    name = rest.removeprefix("/")
    if not rest.startswith("/") or name in ("", ":memory:"):
        raise _refused("the address names no file, and what is only in memory is no ledger", ("url",), _KNOWN)
    if "?" in name:
        raise _refused("a file of SQLite has no parameters", ("url",), "say the file alone")
    return project / Path(name).expanduser()


def _by_parts(section: Mapping[str, Any]) -> tuple[str, str]:
    if "database" not in section:
        raise _refused("'database' is missing", (), "add the name of the database, beside host")
    if "password" in section and "username" not in section:
        raise _refused("'username' is missing", (), "add it, beside password")
    _require_driver(("host",))
    said = {key: section[key] for key in ("host", "database", "username", "password") if key in section}
    port = section.get("port", _PORT)
    parts = {key: _followed(text, (key,)) for key, text in said.items()}
    url = _address({**parts, "port": port}, lambda part: quote(part, safe=""))
    masks = {"password": MASK} if "password" in said else {}
    shown = _address({**said, **masks, "port": port}, str)
    return f"postgresql+psycopg://{url}", f"postgresql://{shown}"


def _address(parts: Mapping[str, Any], spelled: Callable[[str], str]) -> str:
    """What stands behind the scheme of an address; `spelled` says how a part is written there."""
    password = f":{spelled(parts['password'])}" if "password" in parts else ""
    user = f"{spelled(parts['username'])}{password}@" if "username" in parts else ""
    host = f"[{parts['host']}]" if ":" in parts["host"] and not refers(parts["host"]) else parts["host"]
    return f"{user}{host}:{parts['port']}/{spelled(parts['database'])}"


def _require_driver(path: tuple[str, ...]) -> None:
    if find_spec("psycopg") is None:
        mend = 'pip install "oreflow-ledger[postgresql]"'
        raise _refused("what speaks with PostgreSQL is not installed", path, mend)


def _followed(text: str, path: tuple[str, ...]) -> str:
    try:
        return followed_address(text) if path == ("url",) else str(followed(text))
    except DeclarationError as error:
        raise DeclarationError([Problem(each.message, (NAME, *path), each.mend) for each in error.problems]) from None


def _secrets(url: str) -> tuple[str, ...]:
    """The passwords in an address, as they are and as they are spelled there."""
    user, at, _ = url.partition("://")[2].rpartition("@")
    password = user.partition(":")[2] if at else ""
    parameters = [value for name, value in parse_qsl(urlsplit(url).query) if name.endswith("password")]
    return tuple(dict.fromkeys(each for each in (password, unquote(password), *parameters) if each))


def _refused(message: str, path: tuple[str, ...], mend: str = "") -> DeclarationError:
    return DeclarationError([Problem(message, (NAME, *path), mend)])
