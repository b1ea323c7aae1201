"""What a text must look like to be a value of a type: regular expressions without anchors, and the words of booleans.

They are written in what Rust's, Java's and Python's regular expressions have in common. A text of the right shape
may still be none of the type: 30 February, a number out of range.
"""

from __future__ import annotations

BLANKS = " \t"
"""What does not count around a value."""

BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
"""The words for true and false, in lower case; any case is taken."""

INTEGER = r"[+-]?[0-9]+(?:\.0*)?"
"""Spreadsheets and pandas write whole numbers in a column with gaps as `17850.0`."""

FLOAT = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity|nan))"

DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
MINUTE = "[0-9]{2}:[0-9]{2}"
SECOND = ":[0-5][0-9]"
FRACTION = r"\.[0-9]{1,6}"
OFFSET = "(?:Z|[+-](?:(?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|18(?::?00)?))"
TIMESTAMP = f"{DAY}[ T]{MINUTE}(?:{SECOND}(?:{FRACTION})?)?"


def decimal(scale: int) -> str:
    """The shape of a decimal with at most `scale` digits that count after the point."""
    fraction = rf"\.[0-9]{{1,{scale}}}0*" if scale else r"\.0+"
    return rf"[+-]?(?:[0-9]+(?:{fraction})?|{fraction})"
