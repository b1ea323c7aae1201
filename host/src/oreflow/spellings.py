"""How a secret may stand in a text: as programs, libraries and forms of the web spell it, in part or as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

DISTINCT = 8
"""Characters of what is looked for in another way than as it stands: a line of it, folded, in base64."""


def parts_of_address(text: str) -> list[str]:
    """What of an address is a secret where the address is: libraries log paths, queries and passwords by themselves."""
    from urllib.parse import urlsplit

    if "://" not in text:
        return []
    try:
        place = urlsplit(text.strip())
        return [part for part in (place.path, place.query, place.password or "") if len(part) >= DISTINCT]
    except ValueError:
        return []


def forms_of(text: str) -> Iterator[str]:
    """A text as addresses, forms of the web, JSON and Python spell it."""
    from urllib.parse import quote, quote_plus

    yield text
    raw = text.encode(errors="surrogateescape")
    for encoded in (quote(raw, ""), quote(raw), quote(raw, "!$&'()*+,;=:@/?"), quote_plus(raw)):
        yield encoded
        yield re.sub("%..", lambda code: code[0].lower(), encoded)
    for written in (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text), ascii(text), repr(raw)):
        form = written[written.index(written[-1]) + 1 : -1]
        yield form
        if form != text:  # and as a JSON text has it that holds such a one
            yield json.dumps(form)[1:-1]
            yield json.dumps(form, ensure_ascii=False)[1:-1]
        if "'" in form and '"' not in form:  # where there is a quotation mark beside it, Python escapes the apostrophe
            yield form.replace("'", "\\'")


def in_base64(text: str) -> Iterator[str]:
    """What base64 makes of a text, whatever stands before and behind it: `user:password` in a header."""
    from base64 import b64encode

    raw = text.encode(errors="surrogateescape")
    for before in range(3):
        # Four letters stand for three bytes; those that a neighbour has a share in are left out.
        first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        letters = b64encode(b"\0" * before + raw).decode()[first:end]
        if len(letters) >= DISTINCT:
            yield letters
            yield letters.translate({ord("+"): "-", ord("/"): "_"})
