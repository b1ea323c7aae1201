"""Python files as documents: what one assigns, each value with its line. They are code, and run.

What reads code is imported when there is some: it costs more than all other formats.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.config.documents import MOST_VALUES, Document, KeyPath, Origin
from oreflow.contract import DeclarationError, Problem
from oreflow.contract.errors import told

if TYPE_CHECKING:
    import ast

_ran: ContextVar[dict[tuple[Path, Origin], Document | DeclarationError] | None] = ContextVar("ran", default=None)


@contextlib.contextmanager
def run_once() -> Iterator[None]:
    """Within it, each Python file is run once, however often it is read, and what it prints goes to standard error."""
    token = _ran.set({} if (ran := _ran.get()) is None else ran)
    try:
        yield
    finally:
        _ran.reset(token)


def read_python(path: Path, text: str, origin: Origin) -> Document:
    """What a file with this text assigns; it is run.

    Raises:
        DeclarationError: it is no Python, fails, or assigns what no file can say.
    """
    ran = _ran.get()
    if ran is None:
        return _read(path, text, origin)
    if (path, origin) not in ran:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a command prints, a program may read
                ran[path, origin] = _read(path, text, origin)
        except DeclarationError as error:
            ran[path, origin] = error
    found = ran[path, origin]
    if isinstance(found, DeclarationError):
        raise found
    return found


def _read(path: Path, text: str, origin: Origin) -> Document:
    import ast
    import runpy
    import symtable

    try:
        tree, table = ast.parse(text, str(path)), symtable.symtable(text, str(path), "exec")
        names = runpy.run_path(str(path))
    except SyntaxError as error:
        problem = Problem(f"is not valid Python: {error.msg}", file=origin.file, line=error.lineno or 0)
        raise DeclarationError([problem]) from error
    except (KeyboardInterrupt, DeclarationError):
        raise
    except BaseException as error:
        raise DeclarationError([_failure(path, origin, error)]) from error
    document = Document(origins=_origins(tree, origin))
    # What is imported, and functions and classes, are means; what the file assigns is meant.
    assigned = [each.get_name() for each in table.get_symbols() if each.is_assigned() and not each.is_namespace()]
    problems = []
    for name in (name for name in names if name in assigned and not name.startswith("_")):
        try:
            document.data[name] = plain = _plain(names[name], itertools.count())
            if plain is _NOT_PLAIN:
                what = "holds what no file can say: a set, a key that is no text, an object"
                problems.append(Problem(what, (name,), "begin its name with _ if it is no key"))
        except RecursionError:
            problems.append(Problem("holds itself, or is nested too deeply or too wide", (name,)))
    if problems:
        raise DeclarationError([document.locate(problem) for problem in problems])
    return document


def _origins(tree: ast.Module, origin: Origin) -> dict[KeyPath, Origin]:
    import ast

    origins: dict[KeyPath, Origin] = {(): replace(origin, line=1)}
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                origins[(target.id,)] = replace(origin, line=statement.lineno)
                _lines(getattr(statement, "value", None), (target.id,), origins, origin)
    return origins


_NOT_PLAIN = object()


def _plain(value: object, counter: Iterator[int]) -> Any:
    """A value with nothing in it but what files can say; `_NOT_PLAIN` for one that holds something else.

    Raises:
        RecursionError: it holds itself, or more values than a file may have.
    """
    if next(counter) > MOST_VALUES:
        raise RecursionError
    if isinstance(value, Mapping):
        section = {key: _plain(each, counter) for key, each in value.items()}
        is_plain = all(isinstance(key, str) and each is not _NOT_PLAIN for key, each in section.items())
        return section if is_plain else _NOT_PLAIN
    if isinstance(value, (list, tuple)):
        items = [_plain(each, counter) for each in value]
        return items if all(each is not _NOT_PLAIN for each in items) else _NOT_PLAIN
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # a member of an enum is what it stands for
    return next((kind(value) for kind in (int, float) if isinstance(value, kind)), _NOT_PLAIN)


def _lines(node: ast.expr | None, path: KeyPath, origins: dict[KeyPath, Origin], origin: Origin) -> None:
    import ast

    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                origins[*path, key.value] = replace(origin, line=key.lineno)
                _lines(value, (*path, key.value), origins, origin)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for index, value in enumerate(node.elts):
            origins[*path, index] = replace(origin, line=value.lineno)
            _lines(value, (*path, index), origins, origin)


def _failure(path: Path, origin: Origin, error: BaseException) -> Problem:
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return Problem(f"failed: {told(error)}", file=origin.file, line=line)
