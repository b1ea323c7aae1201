"""Patterns of SQL: regular expressions as every engine reads them, and LIKE."""

from __future__ import annotations

import re

from oreflow.contract import StepError, portable_pattern


def regex(pattern: str) -> str:
    """A regular expression as every engine reads it.

    Raises:
        StepError: it cannot be understood, or has what one of them has not.
    """
    try:
        return portable_pattern(pattern)
    except ValueError as error:
        raise StepError(str(error)) from None


def like(pattern: str, escape: str) -> tuple[str, bool]:
    """A pattern of LIKE, as one or as a regular expression; says which it is.

    It stays a LIKE, which engines do quickly, where `%`, `_` and the backslash stand for nothing but themselves.

    Raises:
        StepError: the escape character is followed by something that needs none.
    """
    parts: list[tuple[str, bool]] = []
    characters = iter(pattern)
    for character in characters:
        if escape and character == escape:
            escaped = next(characters, "")
            if escaped not in {"%", "_", escape} or not escaped:
                raise StepError(f"the pattern '{pattern}': '{escape}' stands before %, _ or itself")
            parts.append((escaped, False))
        else:
            parts.append((character, character in "%_"))
    if not any(not wild and character in "%_\\" for character, wild in parts):
        return "".join(character for character, _ in parts), False
    wild_cards = {"%": "(?s:.*)", "_": "(?s:.)"}
    return "\\A" + "".join(wild_cards[c] if wild else re.escape(c) for c, wild in parts) + "\\z", True
