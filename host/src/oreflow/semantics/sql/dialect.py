"""From text to a syntax tree: the grammar, and what is said when a text is not of it.

sqlglot knows some thirty dialects and their functions. Here every function is a plain call by the name that the user
wrote, so that the table in `functions.py` alone decides what there is.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sqlglot import exp, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import TokenType

from oreflow.contract import StepError

_SHAPED = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION")
_QUERIES = {TokenType.SELECT, TokenType.WITH}
_SHOWN = 60
_DEEPEST = 100
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Oreflow(Dialect):
    """The standard's grammar, without the functions of anybody's dialect."""

    class Tokenizer(tokens.Tokenizer):
        """`//` divides whole numbers."""

        KEYWORDS: ClassVar[dict[str, TokenType]] = {**tokens.Tokenizer.KEYWORDS, "//": TokenType.DIV}

    class Parser(parser.Parser):
        """Calls with a grammar of their own, such as `extract(year from d)`; all others are calls by name."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {name: parser.Parser.FUNCTION_PARSERS[name] for name in _SHAPED}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CASE": parser.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]}


def shown(node: exp.Expr) -> str:
    """A part of the text as a message quotes it."""
    text: str = node.sql(comments=False, normalize_functions=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def parse(text: str, *, query: bool) -> exp.Expr:
    """The one query, or the one expression, that a text is.

    Raises:
        StepError: it cannot be parsed, or is something else, or is none or several.
    """
    if "\0" in text or "\1" in text:  # they mark places in what is written for engines
        raise StepError("this SQL cannot be parsed: it has a control character")
    dialect = Oreflow()
    try:
        words = dialect.tokenize(text)
        _check_beginning(text, [word.token_type for word in words], query=query)
        reader = dialect.parser()
        found = reader.parse(words, text) if query else reader.parse_into(exp.Condition, words, text)
        trees = [tree for tree in found if tree is not None]
        deep = any(node.depth > _DEEPEST for tree in trees for node in tree.walk())
    except ParseError as error:
        raise StepError(f"this SQL cannot be parsed: {_place(error)}") from None
    except SqlglotError as error:
        raise StepError(f"this SQL cannot be parsed: {_ANSI.sub('', str(error)).splitlines()[0]}") from None
    except RecursionError:
        deep, trees = True, [exp.Null()]
    if deep:
        raise StepError(f"this SQL is nested more than {_DEEPEST} deep; take it apart")
    if len(trees) != 1:
        raise StepError(f"this SQL is several statements; keep one: '{shown(trees[0])}'")
    return trees[0]


def _check_beginning(text: str, kinds: list[TokenType], *, query: bool) -> None:
    """A text that begins as something else is not parsed at all."""
    first = next((kind for kind in kinds if kind != TokenType.L_PAREN), None)
    if first is None:
        raise StepError("this SQL cannot be parsed: there is none")
    said = " ".join(text.split())
    said = said if len(said) <= _SHOWN else said[: _SHOWN - 3] + "..."
    if query and first not in _QUERIES:
        raise StepError(f"a query must be a SELECT, not '{said}'")
    if not query and first in _QUERIES:
        raise StepError(f"'{said}' is a query, not one value; write an expression")


def _place(error: ParseError) -> str:
    """Where the parser stopped: it says that better than why."""
    found = error.errors[0] if error.errors else {}
    near = str(found.get("highlight") or "").strip()
    where = f"line {found.get('line')}, column {found.get('col')}"
    return f"something is wrong at '{near}' ({where})" if near else f"something is missing or wrong at {where}"
