"""The page: the document through a template, with figures and style inside, and nothing that would be fetched.

What data say goes through Jinja's escaping at every place, and through `texts.shown` before that. The page has no
script, and its policy forbids every request: whatever a hostile value looks like, nothing is there to act on it.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from oreflow.quantities import size_text
from oreflow_report import charts
from oreflow_report.document import without_rows
from oreflow_report.texts import MESSAGE, NAME, VALUE, counted, lasted, percent, shown

_log = logging.getLogger("oreflow.report")

GENERATOR = "oreflow-report"
"""What the page says of itself; only a file that says so is written over."""


def _moment(value: str) -> str:
    """`2026-11-23 01:24:55 UTC`; what is no moment as it is."""
    try:
        return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return shown(value, NAME)


def _trend(check: Mapping[str, Any]) -> str:
    """How a check stands to what is usual of it, in a word."""
    usual, share = check["usual_share"], check["share"]
    if usual is None:
        return "nothing to compare with"
    if abs(share - usual) < 0.0005:  # noqa: PLR2004  below what is shown
        return "as usual"
    return "▲ more than usual" if share > usual else "▼ fewer than usual"


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("oreflow_report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "name": lambda value: shown(value, NAME),
    "message": lambda value: shown(value, MESSAGE),
    "value": lambda value: shown(value, VALUE),
    "without_rows": without_rows,
    "counted": counted,
    "percent": percent,
    "lasted": lasted,
    "size": size_text,
    "moment": _moment,
    "number": "{:,}".format,
    "trend": _trend,
}


def render(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    style = files("oreflow_report").joinpath("templates", "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _environment.get_template("report.html.jinja").render(
        d=document,
        run=document["run"],
        generator=GENERATOR,
        style=Markup(style),  # noqa: S704  the package's own file
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        figures={draw.__name__: _drawn(draw, document) for draw in (charts.flow, charts.quality, charts.timeline)},
    )
    # A name in a tag's attribute may have half of a surrogate pair, which no encoding has.
    return page.encode("utf-8", "replace").decode("utf-8")


def _drawn(draw: Callable[[Mapping[str, Any]], charts.Figure | None], document: Mapping[str, Any]) -> Any:
    """A figure as it is, as Vega has escaped the texts in it; None where there is nothing to draw."""
    try:
        figure = draw(document)
    except ValueError as error:  # so vl-convert says that Vega stumbled; a page without a drawing is better than none
        _log.warning("a figure of the report (%s) could not be drawn: %s", draw.__name__, str(error).splitlines()[0])
        return None
    if figure is None:
        return None
    wide, narrow = Markup(figure.wide), Markup(figure.narrow)  # noqa: S704  made by Vega, of specifications of our own
    return {"wide": wide, "narrow": narrow, "left_out": figure.left_out, "is_deep": figure.is_deep}
