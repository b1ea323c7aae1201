"""Where the flow of rows is drawn: places for nodes and links, in points; what draws them is in `charts`.

Sankey's idea: what flows is as wide as there are rows of it. Two things are otherwise than in the usual layout: each
node has its words above it, so that they can be read whatever its size, and a link that nobody has counted is thin. A
diagram of every table of a large pipeline would say nothing; above a number of them the least telling are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from oreflow_report.texts import counted, short

MOST = 24
"""Tables that are drawn: those that failed, then those with most rows set aside, then those with most rows."""

_COLUMN, _ROW = 240.0, 26.0
_BAR = 12
_HIGHEST, _LOWEST = 120.0, 5.0
_WORDS = 40.0
_STUB, _STUB_ROW = 34.0, 20.0
_THIN = 1.5
_MARGIN = 6.0

Json = Mapping[str, Any]


@dataclass
class Bar:
    """A part of a node; `kind` is what it is coloured by."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass
class Words:
    """A line of text; `x`, `y` are where its base line begins."""

    kind: str
    x: float
    y: float
    text: str


@dataclass
class Ribbon:
    """A link, from one point to another; `kind` is what it is coloured by."""

    kind: str
    sx: float
    sy: float
    tx: float
    ty: float
    width: float


@dataclass
class Drawing:
    """All that is to be drawn, and how large it is; `left_out` says how many tables are not."""

    width: float
    height: float = 0.0
    bars: list[Bar] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    ribbons: list[Ribbon] = field(default_factory=list)
    left_out: int = 0


def chosen(nodes: Sequence[Json]) -> set[str]:
    """The names of the tables that are drawn."""
    tables = [node for node in nodes if node["kind"] == "table"]
    telling = sorted(tables, key=lambda n: (n["status"] != "failed", -n["quarantined"], -n["read"]))
    return {node["name"] for node in telling[:MOST]}


def wide(flow: Json, width: float) -> Drawing:
    """From left to right, a column for each step from the files on; wider than `width` where they are many."""
    nodes, links, left_out = _drawn(flow)
    depth = _depths(nodes, links)
    number = max(depth.values(), default=0) + 1
    apart = max(_COLUMN, (width - 2 * _MARGIN) / number)
    scale = _HIGHEST / _most(nodes)
    drawing = Drawing(number * apart + 2 * _MARGIN, left_out=left_out)
    places: dict[str, _Place] = {}
    columns = []
    for depth_here in range(number):
        column, y = Drawing(apart), 0.0
        here = [node for node in nodes if depth[node["id"]] == depth_here]
        for node in _ordered(here, links, places):
            y = _place(column, node, _MARGIN + depth_here * apart, y, scale, places) + _ROW
        column.height = y
        columns.append((column, here))
    drawing.height = max(column.height for column, _ in columns) + _MARGIN
    for column, here in columns:
        _take(
            drawing, column, _MARGIN + (drawing.height - _MARGIN - column.height) / 2, [places[n["id"]] for n in here]
        )
    for link in links:
        start, end = places[link["from"]], places[link["to"]]
        thick = max(link["rows"] * scale, _THIN) if link["rows"] else _THIN
        kind = "published" if link["rows"] else "uncounted"
        drawing.ribbons.append(Ribbon(kind, start.x + _BAR, start.leaves, end.x, end.enters, thick))
    return drawing


def narrow(flow: Json, width: float) -> Drawing:
    """From top to bottom, a bar for each; for a screen that has no room for columns."""
    nodes, _, left_out = _drawn(flow)
    drawing = Drawing(width, left_out=left_out)
    scale = (width - 2 * _MARGIN) / _most(nodes)
    y = _MARGIN
    for node in nodes:
        drawing.words += _head(node, _MARGIN, y)
        x = _MARGIN
        for kind, rows in _parts(node):
            length = max(rows * scale, 2.0)
            drawing.bars.append(Bar(kind, x, y + _WORDS, length, 10))
            x += length + 1
        if x == _MARGIN:
            drawing.bars.append(Bar("none", x, y + _WORDS, 24, 3))
        y += _WORDS + 10
        for kind, rows in _parts(node):
            if kind not in ("published", "source"):  # these stand in the words above
                y += _STUB_ROW
                drawing.bars.append(Bar(kind, _MARGIN, y - 9, 9, 9))
                drawing.words.append(Words("small", _MARGIN + 16, y, f"{rows:,} {_CALLED.get(kind, kind)}"))
        y += _ROW
    drawing.height = y
    return drawing


def _drawn(flow: Json) -> tuple[list[Json], list[Json], int]:
    names = chosen(flow["nodes"])
    tables = [node for node in flow["nodes"] if node["kind"] == "table"]
    kept = {f"table:{name}" for name in names}
    links = [link for link in flow["links"] if link["to"] in kept and link["kind"] == "read"]
    kept |= {link["from"] for link in links if link["from"].startswith("source:")}
    links = [link for link in links if link["from"] in kept]
    return [node for node in flow["nodes"] if node["id"] in kept], links, len(tables) - len(names)


def _depths(nodes: Sequence[Json], links: Sequence[Json]) -> dict[str, int]:
    """How many steps each node is behind the files; tables come in the order in which they are made."""
    stages = {"bronze": 1, "silver": 2, "gold": 3}
    depth: dict[str, int] = {}
    for node in nodes:
        before = [depth[link["from"]] + 1 for link in links if link["to"] == node["id"] and link["from"] in depth]
        depth[node["id"]] = max([*before, stages.get(node["stage"], 0)])
    return depth


@dataclass
class _Place:
    """Where a node is, and at which height links end and begin."""

    x: float
    enters: float
    leaves: float


def _ordered(nodes: Sequence[Json], links: Sequence[Json], places: Mapping[str, _Place]) -> list[Json]:
    """A column's nodes, each at the height of what it is made of, so that few links cross."""

    def height(node: Json) -> float:
        found = [places[link["from"]].leaves for link in links if link["to"] == node["id"] and link["from"] in places]
        return sum(found) / len(found) if found else 0.0

    return sorted(nodes, key=height)


def _take(drawing: Drawing, column: Drawing, down: float, places: Sequence[_Place]) -> None:
    """Put a column into the drawing, so far down as it is."""
    for bar in column.bars:
        drawing.bars.append(replace(bar, y=bar.y + down))
    for words in column.words:
        drawing.words.append(replace(words, y=words.y + down))
    for ribbon in column.ribbons:
        drawing.ribbons.append(replace(ribbon, sy=ribbon.sy + down, ty=ribbon.ty + down))
    for place in places:
        place.enters, place.leaves = place.enters + down, place.leaves + down


def _place(drawing: Drawing, node: Json, x: float, y: float, scale: float, places: dict[str, _Place]) -> float:
    """Draw a node whose words begin at a height; gives where it ends."""
    drawing.words += _head(node, x, y)
    top = y = y + _WORDS
    leaves = stub = y
    for kind, rows in _parts(node):
        height = max(rows * scale, _LOWEST)
        drawing.bars.append(Bar(kind, x, y, _BAR, height))
        if kind in ("published", "source", "published_before"):
            leaves, stub = (top + y + height) / 2, y + height - 4
            if kind == "published_before":
                drawing.words.append(Words("small", x + _BAR + 8, y + height / 2 + 4, f"{rows:,} {_CALLED[kind]}"))
        else:
            stub = max(stub + _STUB_ROW, y + height / 2 + 4)
            if kind != "held_back":
                drawing.ribbons.append(Ribbon(kind, x + _BAR, y + height / 2, x + _STUB, stub - 4, height))
            drawing.words.append(Words("small", x + _STUB + 8, stub, f"{rows:,} {_CALLED.get(kind, kind)}"))
        y += height + 1
    if y == top:
        drawing.bars.append(Bar("none", x, y, _BAR, _LOWEST))
        y += _LOWEST
    middle = (top + y) / 2
    places[node["id"]] = _Place(x, middle, leaves if node["published"] or node["published_before"] else middle)
    return max(y, stub + 4)


def _most(nodes: Sequence[Json]) -> int:
    """The rows of the largest node; 1 where there are none."""
    return max([sum(rows for _, rows in _parts(node)) for node in nodes] + [1])


def _parts(node: Json) -> list[tuple[str, int]]:
    if node["kind"] == "source":
        return [("source", node["read"])] if node["read"] else []
    kinds = ("published_before", "published", "held_back", "quarantined", "superseded")
    return [(kind, node[kind]) for kind in kinds if node[kind]]


_CALLED = {"held_back": "held back", "published_before": "published before"}


def _head(node: Json, x: float, y: float) -> list[Words]:
    """A node's name, and below it what came of it."""
    if node["kind"] == "source":
        told = counted(node["read"], "row")
        if node["files"]:
            told = f"{counted(node['files'], 'file')}, {told}"
        told = told if node["read"] or node["files"] else "nothing new"
    elif node["status"] == "published":
        told = f"{node['published']:,} published"
    elif node["status"] == "failed":
        told = f"✕ failed, {node['read']:,} read" if node["read"] else "✕ failed"
    else:
        told = node["status"]
    kind = "failed" if node["status"] == "failed" else "small"
    return [Words("name", x, y + 14, short(node["name"], 30)), Words(kind, x, y + 31, told)]
