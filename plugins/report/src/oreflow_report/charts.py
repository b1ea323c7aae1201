"""The figures, drawn by Vega on this side: the page gets SVG, and no script.

Colours are variables of the page's style, so that a figure is light or dark as the page is. Each figure is drawn twice,
for a wide and for a narrow screen, and the page shows one of them. Vega runs in a machine of its own within vl-convert;
it is given no address that it might load anything from. Names of tables come to it as plain text, by their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import vl_convert

from oreflow_report import flow as layout
from oreflow_report.texts import short

WIDE, NARROW = 1040, 340
BARS = 40
"""Tables that the time line has: those that failed, then those that took longest."""
MARKS = 25
"""Batches of a table that the time line shows one by one; more are one bar."""
GRAPHS = 12
"""Tables whose scores are drawn, those with the lowest first."""

_VEGA_LITE = "6.4"
_FONT = {"font": "system-ui", "labelFontSize": 12, "labelColor": "var(--soft)"}
_CONFIG: dict[str, Any] = {
    "aria": False,  # the page says in words what a figure shows
    "background": None,
    "font": "system-ui",
    "view": {"stroke": None},
    "axis": {**_FONT, "titleColor": "var(--soft)", "titleFontWeight": "normal", "titleFontSize": 12}
    | {"domain": False, "ticks": False, "gridColor": "var(--line)", "labelPadding": 8},
}

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A drawing for wide screens and one for narrow ones; `left_out` is how many tables are in neither.

    One that `is_deep` has more columns than a screen can show at a size that can be read.
    """

    wide: str
    narrow: str
    left_out: int = 0
    is_deep: bool = False


def flow(document: Json) -> Figure:
    """Where the rows went."""
    wide, narrow = layout.wide(document["flow"], WIDE), layout.narrow(document["flow"], NARROW)
    return Figure(_drawn(wide), _drawn(narrow), wide.left_out, wide.width > WIDE)


def _drawn(drawing: layout.Drawing) -> str:
    def colour(kinds: Mapping[str, str]) -> list[Any]:
        return [{"test": f"datum.kind === '{kind}'", "value": f"var({value})"} for kind, value in kinds.items()] + [
            {"value": "var(--soft)"}
        ]

    fills = {kind: f"--{kind}" for kind in ("published", "quarantined", "superseded", "source")}
    text: Any = {"x": {"field": "x"}, "y": {"field": "y"}, "text": {"field": "text"}}
    text |= {"fill": colour({"name": "--ink", "failed": "--failed"})}
    text |= {"fontSize": {"signal": "datum.kind === 'name' ? 14 : 13"}}
    text |= {"fontWeight": {"signal": "datum.kind === 'small' ? 400 : 600"}}
    bar: Any = {key: {"field": key} for key in ("x", "y", "width", "height")}
    bar |= {
        "fill": colour(fills | {"none": "--line", "held_back": "--held-back", "published_before": "--held-back"}),
        "cornerRadius": {"value": 1.5},
    }
    ribbon: Any = {"path": {"field": "path"}, "strokeWidth": {"field": "width"}, "stroke": colour(fills)}
    ribbon |= {"strokeOpacity": {"signal": "datum.kind === 'uncounted' ? 0.9 : 0.28"}}
    ribbon |= {"strokeDash": {"signal": "datum.kind === 'uncounted' ? [2, 4] : []"}}
    path = {"type": "linkpath", "shape": "diagonal", "orient": "horizontal"}
    path |= {"sourceX": "sx", "sourceY": "sy", "targetX": "tx", "targetY": "ty"}
    spec = {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "width": drawing.width,
        "height": drawing.height,
        "padding": 0,
        "autosize": "none",
        "config": _CONFIG,
        "data": [
            {"name": "ribbons", "values": [asdict(each) for each in drawing.ribbons], "transform": [path]},
            {"name": "bars", "values": [asdict(each) for each in drawing.bars]},
            {"name": "words", "values": [asdict(each) for each in drawing.words]},
        ],
        "marks": [
            {"type": "path", "from": {"data": "ribbons"}, "encode": {"update": ribbon}},
            {"type": "rect", "from": {"data": "bars"}, "encode": {"update": bar}},
            {"type": "text", "from": {"data": "words"}, "encode": {"update": text}},
        ],
    }
    return vl_convert.vega_to_svg(spec, allowed_base_urls=[])


_STATES = ("published", "failed", "interrupted", "unchanged")


def timeline(document: Json) -> Figure | None:
    """When each table was made, and when a call had to be made again; None where the report does not say."""
    entries = [entry for entry in document["timeline"] if entry["offset"] is not None]
    if not entries:
        return None
    lasted: dict[str, float] = {}
    failed = {entry["table"] for entry in entries if entry["status"] in ("failed", "refused")}
    for entry in entries:
        lasted[entry["table"]] = lasted.get(entry["table"], 0.0) + entry["seconds"]
    telling = sorted(lasted, key=lambda name: (name not in failed, -lasted[name]))[:BARS]
    names = [name for name in lasted if name in telling]
    bars = [
        {"row": row, **bar}
        for row, name in enumerate(names)
        for bar in _bars([e for e in entries if e["table"] == name])
    ]
    events = [
        {"row": names.index(entry["table"]), "at": event["offset"]}
        for entry in entries
        if entry["table"] in telling
        for event in entry["events"]
        if event["offset"] is not None
    ]
    labels = [short(name, 40) for name in names]
    wide = _timeline(labels, bars, events, WIDE)
    narrow = _timeline([short(name, 22) for name in names], bars, events, NARROW)
    return Figure(wide, narrow, len(lasted) - len(names))


def _bars(entries: Sequence[Json]) -> list[dict[str, Any]]:
    """The bars of a table: one for each batch, or where these are many one for all that ended alike."""
    if len(entries) > MARKS:
        merged = []
        for status in dict.fromkeys(_state(entry) for entry in entries):
            some = [entry for entry in entries if _state(entry) == status]
            start = min(entry["offset"] for entry in some)
            end = max(entry["offset"] + entry["seconds"] for entry in some)
            merged.append({"start": start, "end": end, "state": status})
        return merged
    return [{"start": e["offset"], "end": e["offset"] + e["seconds"], "state": _state(e)} for e in entries]


def _state(entry: Json) -> str:
    status: str = "failed" if entry["status"] == "refused" else entry["status"]
    return status if status in _STATES else "unchanged"


def _timeline(labels: Sequence[str], bars: Sequence[Json], events: Sequence[Json], width: int) -> str:
    rows: Any = {
        "field": "row",
        "type": "ordinal",
        "scale": {"domain": list(range(len(labels))), "paddingInner": 0.45},
        # The words are looked up by number: what a table is called must not be able to be an expression. They are cut
        # before: Vega cuts within surrogate pairs, and stumbles over their halves.
        "axis": {"title": None, "labelExpr": "labels[datum.value]", "labelLimit": 0, "labelColor": "var(--ink)"}
        | {"grid": False},
    }
    seconds = {"format": "~g", "title": "seconds from the start of the run", "tickCount": 6 if width > NARROW else 3}
    time: Any = {"field": "start", "type": "quantitative", "axis": seconds}
    colours = ["var(--published)", "var(--failed)", "var(--quarantined)", "var(--soft)"]
    colour = {"field": "state", "scale": {"domain": list(_STATES), "range": colours}, "legend": None}
    spec: Any = {
        "width": width,
        "height": {"step": 30},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [{"name": "labels", "value": list(labels)}],
        "layer": [
            {
                "data": {"values": list(bars)},
                "mark": {"type": "bar", "minBandSize": 4, "cornerRadius": 1.5, "strokeWidth": 2},
                "encoding": {"y": rows, "x": time, "x2": {"field": "end"}}
                | {"color": colour, "stroke": {**colour, "field": "state"}},
            },
            {
                "data": {"values": list(events)},
                "mark": {"type": "point", "shape": "diamond", "filled": True, "size": 60, "opacity": 1}
                | {"stroke": "var(--card)", "strokeWidth": 1.5},
                "encoding": {"y": rows, "x": {"field": "at", "type": "quantitative"}}
                | {"color": {"value": "var(--ink)"}},
            },
        ],
    }
    return _lite(spec)


def quality(document: Json) -> Figure | None:
    """The score of each table in this run and those before it; None where there is none to compare with."""
    tables = [each for each in document["quality"] if each["score"] is not None and each["earlier"]]
    if not tables:
        return None
    chosen = sorted(tables, key=lambda each: each["score"])[:GRAPHS]
    values = []
    for number, each in enumerate(chosen):
        scores = [old["score"] for old in each["earlier"]] + [each["score"]]
        for place, score in enumerate(scores):
            last = place == len(scores) - 1
            values.append({"graph": number, "run": place - len(scores) + 1, "score": score, "last": last})
    names = [each["table"] for each in chosen]
    wide = _quality([short(name, 28) for name in names], values, min(4, len(names)), 200)
    narrow = _quality([short(name, 34) for name in names], values, 1, 270)
    return Figure(wide, narrow, len(tables) - len(chosen))


def _quality(labels: Sequence[str], values: Sequence[Json], columns: int, width: int) -> str:
    runs = {"title": None, "labelExpr": "datum.value === 0 ? 'this run' : datum.value", "values": [-12, -8, -4, 0]}
    axis = {"format": ".0%", "title": None, "tickCount": 3}
    lowest = min(each["score"] for each in values if each["score"] is not None)
    spec: Any = {
        "data": {"values": list(values)},
        "params": [{"name": "labels", "value": list(labels)}],
        "columns": columns,
        "spacing": {"row": 62, "column": 46},
        "bounds": "flush",
        "facet": {"field": "graph", "type": "ordinal", "header": {"labelExpr": "''", "title": None}},
        "spec": {
            "width": width,
            "height": 90,
            "encoding": {
                "x": {"field": "run", "type": "quantitative", "axis": {**runs, "grid": False}},
                "y": {
                    "field": "score",
                    "type": "quantitative",
                    "axis": axis,
                    "scale": {"domain": [min(0.9, lowest), 1.0], "nice": True},
                },
            },
            "layer": [
                {
                    "transform": [{"filter": "datum.last"}, {"calculate": "labels[datum.graph]", "as": "name"}],
                    "mark": {"type": "text", "align": "left", "baseline": "bottom", "color": "var(--ink)"}
                    | {"fontSize": 13, "fontWeight": 600},
                    "encoding": {"text": {"field": "name"}, "x": {"value": 0}, "y": {"value": -12}},
                },
                {"mark": {"type": "line", "color": "var(--soft)", "strokeWidth": 1.5}},
                {"mark": {"type": "point", "filled": True, "size": 22, "color": "var(--soft)", "opacity": 1}},
                {
                    "transform": [{"filter": "datum.last"}],
                    "mark": {"type": "point", "filled": True, "size": 90, "color": "var(--published)", "opacity": 1},
                },
            ],
        },
    }
    return _lite(spec)


def _lite(spec: Json) -> str:
    whole = {"$schema": f"https://vega.github.io/schema/vega-lite/v{_VEGA_LITE[0]}.json", "config": _CONFIG, **spec}
    return vl_convert.vegalite_to_svg(whole, vl_version=_VEGA_LITE, allowed_base_urls=[])
