"""The page of a report in a real browser: its figures are the document's, and it can be read by whoever has to.

One browser for all; nothing here is on a network, and nothing that the page does may want to be.
"""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made_up_runs as made_up
import pytest

from oreflow_report.document import describe
from oreflow_report.gathering import gather
from oreflow_report.page import render
from oreflow_report.texts import lasted, percent, shown
from oreflow_report.verdict import Project

DAYS = {
    "a.csv": "id,name,qty\n1,ada,1\n2,,2\n3,grace,3\n4,edsger,4\n",
    "b.csv": "id,name,qty,till\n5,ada,1,A\n6,,2,A\n7,<b>bold</b>,x,A\n7,<b>bold</b>,x,A\n8,cut off\n"
    'x,"</script><script>alert(1)</script>",-1,B\n9,alan,1,B\n',
    "c.csv": "id,name,qty,till\n10,,-1,A\n11,\u202egnp.exe,x,B\n12,barbara,2,B\n",
}
DECLARATION = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
resilience: {defaults: {retry: {max_attempts: 3, base: 10ms}}}
tables:
  bronze.sales: {source: sales}
  silver.sales:
    input: bronze.sales
    deduplicate: exact
    columns: {id: {type: int64}, name: {type: string}, qty: {type: int64}}
    quality_threshold: 0.2
    checks:
      - {name: has a <name>, type: completeness, column: name}
      - {name: sold something, type: validity, expression: "qty > 0"}
  gold.names: {input: silver.sales, group_by: {name: name}, measures: {sold: "sum(qty)"}}
"""
CHAOS = """
faults:
  - {fault: exception, operation: make, resource: silver.sales, rate: 1, at_most: 1, error: timeout}
"""


@dataclass
class Shown:
    """A page in the browser, with the document behind it, and all that the browser has said or wanted meanwhile."""

    document: dict[str, Any]
    page: Any
    said: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_text_contents()]

    def rows(self, selector: str) -> list[list[str]]:
        """The cells of the rows of a table, whether it can be seen or not."""
        return self.page.evaluate(
            "s => [...document.querySelectorAll(s)].map(r => [...r.children].map(c => c.textContent.trim()))", selector
        )

    def boxes(self, selector: str) -> list[dict[str, float]]:
        return self.page.evaluate(
            """s => [...document.querySelectorAll(s)].map(e => e.getBoundingClientRect())
                .map(b => ({x: b.x, y: b.y, width: b.width, height: b.height}))""",
            selector,
        )


@pytest.fixture(scope="module")
def browser(require):
    require(shutil.which("chromium") is not None, "Chromium is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        # Within a container nobody may make the namespaces that the sandbox needs.
        running = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def documents(tmp_path_factory, project_in) -> dict[str, dict[str, Any]]:
    """Reports of real runs, that went well, failed and had nothing new, and of one that nobody should make."""
    made = project_in(tmp_path_factory.mktemp("shop"))
    made.declare(DECLARATION)
    made.put("./chaos.yaml", CHAOS)
    made.put("a.csv", DAYS["a.csv"])
    made.run()
    made.put("b.csv", DAYS["b.csv"])
    found = {}
    assert made.run(chaos=made.root / "chaos.yaml").succeeded
    found["well"] = gather("latest", str(made.root))
    assert made.run().succeeded
    found["unchanged"] = gather("latest", str(made.root))
    made.declare(DECLARATION.replace("quality_threshold: 0.2", "quality_threshold: 0.9"))
    made.put("c.csv", DAYS["c.csv"])
    assert not made.run().succeeded
    found["failed"] = gather("latest", str(made.root))
    found["hostile"] = describe(*made_up.saying(*made_up.HOSTILE), Project())
    found["large"] = describe(made_up.large(), [], {}, Project())
    return found


@pytest.fixture(scope="module")
def files(documents, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name, document in documents.items():
        (folder / f"{name}.html").write_text(render(document), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in documents}


@pytest.fixture
def show(browser, documents, files):
    """Show one of the pages; where nothing of it has gone wrong in the end, the test may pass."""
    opened = []

    def open_page(name: str, *, width: int = 1280, dark: bool = False) -> Shown:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        shown_page = Shown(documents[name], context.new_page())
        shown_page.page.on("console", lambda message: shown_page.said.append(message.text))
        shown_page.page.on("pageerror", lambda error: shown_page.said.append(str(error)))
        shown_page.page.on("request", lambda request: shown_page.wanted.append(request.url))
        shown_page.page.on("dialog", lambda dialog: shown_page.said.append(dialog.message) or dialog.dismiss())
        shown_page.page.goto(files[name].as_uri())
        opened.append((shown_page, files[name].as_uri()))
        return shown_page

    yield open_page
    for shown_page, address in opened:
        assert shown_page.said == []
        assert shown_page.wanted == [address]
        shown_page.page.context.close()


NONE = "–"  # noqa: RUF001  the dash that stands where there is no figure
ALL = ["well", "unchanged", "failed", "hostile", "large"]


@pytest.mark.parametrize("name", ALL)
def test_every_figure_of_the_tables_is_the_documents(show, name):
    there = show(name)
    document, run = there.document, there.document["run"]
    assert there.texts("#title, #text") == [shown(document["verdict"]["title"]), shown(document["verdict"]["text"])]
    assert there.texts("#status, #took") == [run["status"], lasted(run["seconds"])]
    sums = [f"{document['totals'][kind]:,}" for kind in ("published", "quarantined", "superseded")]
    assert there.texts(".sums b") == sums
    assert there.texts(".next li code") == [step["command"] for step in document["verdict"]["next"]]
    alerts = [[shown(each["rule"], 120), f"{each['status']}, {each['severity']}"] for each in run["alerts"]]
    assert [row[:2] for row in there.rows("#alerts [data-alert]")] == [[rule.strip(), *rest] for rule, *rest in alerts]
    kinds = ("rows_read", "rows_published", "rows_quarantined", "rows_superseded")
    accounts = there.rows("#accounts [data-table]")
    assert len(accounts) == len(run["tables"])
    for row, table in zip(accounts, run["tables"], strict=True):
        assert row[0] == shown(table["table"], 120)
        assert row[1].removeprefix("✕ ").removeprefix("✓ ") == table["status"]
        assert row[2:6] == [f"{table[kind]:,}" for kind in kinds]
        assert row[6:] == [percent(table["quality_score"]) or NONE, lasted(table["seconds"])]
    checks = [
        [f"{check['broken']:,} of {each['judged']:,}", percent(check["share"]), percent(check["usual_share"]) or NONE]
        for each in document["quality"]
        for check in each["checks"]
    ]
    assert [row[2:5] for row in there.rows("#checks [data-check]")] == checks
    steps = [
        [NONE if e["batch"] is None else str(e["batch"]), e["status"], lasted(e["seconds"])]
        for e in document["timeline"][:200]
    ]
    told = [[row[1], row[2].strip("✕✓ "), row[4]] for row in there.rows("#steps [data-step]")]
    assert told == steps
    assert len(there.rows("#columns [data-change]")) == len(document["schema_changes"])
    makers = [[table[kind] for kind in ("processor", "engine", "distribution", "version")] for table in run["tables"]]
    assert [row[1:] for row in there.rows("#processors [data-maker]")] == [
        [shown(text, 120).strip() for text in maker] for maker in makers
    ]


@pytest.mark.parametrize("name", ["well", "failed", "hostile"])
def test_every_rejected_row_is_there_with_its_file_line_rules_and_values(show, name):
    there = show(name)
    rows = [row for each in there.document["rejected"] for row in each["rows"]]
    assert rows
    found = there.page.evaluate(
        """() => [...document.querySelectorAll('details.row')].map(d => ({
            where: d.querySelector('.where').textContent, reason: d.querySelector('.reason')?.textContent ?? '',
            rules: [...d.querySelectorAll('.rule')].map(r => r.textContent),
            values: Object.fromEntries([...d.querySelectorAll('.values div')].map(
                v => [v.querySelector('dt').textContent, v.querySelector('dd').textContent]))}))"""
    )
    for row, seen in zip(rows, found, strict=True):
        line = "" if row["line"] is None else f":{row['line']}"
        assert seen["where"] == f"{shown(row['file'], 300)}{line}"
        assert (seen["reason"], seen["rules"]) == (row["reason"], [shown(rule, 120) for rule in row["rules"]])
        assert seen["values"] == {key: "NULL" if value is None else value for key, value in row["values"].items()}


@pytest.mark.parametrize("name", ["well", "failed"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_flow_is_drawn_as_the_rows_are(show, name, width):
    there = show(name, width=width)
    side, along = (".wide", "height") if width == 1280 else (".narrow", "width")
    nodes = [node for node in there.document["flow"]["nodes"] if node["kind"] in ("source", "table")]
    texts = there.texts(f".flow {side} text")
    kinds = ("published_before", "published", "held_back", "quarantined", "superseded")
    rows = {}
    for node in nodes:
        assert node["name"] in texts
        parts = {"source": node["read"]} if node["kind"] == "source" else {kind: node[kind] for kind in kinds}
        rows |= {(node["id"], kind): number for kind, number in parts.items() if number}
        for kind, number in parts.items():
            if number and kind in ("quarantined", "superseded"):
                assert f"{number:,} {kind}" in texts
    boxes = [box[along] for box in there.boxes(f".flow {side} .mark-rect path")]
    assert len(boxes) >= len(rows)
    per_row = max(boxes) / max(rows.values())
    for number in rows.values():
        assert any(abs(box - number * per_row) < 1 for box in boxes) or number * per_row < 6


def test_the_time_line_is_drawn_as_the_batches_were(show):
    there = show("well")
    entries = there.document["timeline"]
    boxes = there.boxes(".times .wide .mark-rect path")
    assert len(boxes) == len(entries)
    longest = max(range(len(entries)), key=lambda i: entries[i]["seconds"])
    per_second = boxes[longest]["width"] / entries[longest]["seconds"]
    for entry, box in zip(entries, boxes, strict=True):
        assert box["width"] == pytest.approx(entry["seconds"] * per_second, abs=3)  # its border is 2 wide
        begin = (entry["offset"] - entries[longest]["offset"]) * per_second
        assert box["x"] - boxes[longest]["x"] == pytest.approx(begin, abs=3)
    events = [event for entry in entries for event in entry["events"]]
    assert events, "a fault was injected"
    assert len(there.boxes(".times .wide .mark-symbol path")) == len(events)
    assert any("injected" in event["error"] or event["kind"] == "retry" for event in events)


def test_the_scores_are_drawn_as_they_were(show):
    there = show("failed")
    scored = sorted((each for each in there.document["quality"] if each["earlier"]), key=lambda each: each["score"])
    scores = [score for each in scored for score in [*(old["score"] for old in each["earlier"]), each["score"]]]
    points = there.boxes(".scores .wide .mark-symbol path")
    assert len(points) == len(scores) + len(scored)
    small = [box["y"] + box["height"] / 2 for box in points if box["width"] < 8]
    (low, below), (high, above) = min(zip(scores, small, strict=True)), max(zip(scores, small, strict=True))
    for score, y in zip(scores, small, strict=True):
        assert y == pytest.approx(below + (score - low) / (high - low) * (above - below), abs=0.5)


@pytest.mark.parametrize("name", ALL)
def test_nothing_of_the_data_becomes_part_of_the_page(show, name):
    there = show(name)
    tags = set(there.page.evaluate("[...new Set([...document.querySelectorAll('*')].map(e => e.localName))]"))
    assert not tags & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "image",
        "use",
        "foreignObject",
        "base",
        "i",
    }
    assert there.page.evaluate("[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).map(a => a.name)")
    handlers = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
    assert there.page.evaluate(handlers) == []
    assert there.page.evaluate("typeof window.pwned") == "undefined"
    assert there.page.title().startswith(shown(there.document["run"]["pipeline"], 120))


def test_the_page_may_not_fetch_anything(show):
    there = show("well")
    for attempt in ("fetch('http://192.0.2.1/')", "new Image().src = 'http://192.0.2.1/x.png'"):
        there.page.evaluate(f"() => {{ try {{ {attempt} }} catch (e) {{}} }}")
    there.page.wait_for_timeout(50)
    assert all("Content Security Policy" in said or "Failed to fetch" in said for said in there.said)
    assert there.said
    there.said.clear()
    there.wanted[:] = [url for url in there.wanted if url.startswith("file:")]


CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["well", "failed", "unchanged"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everything_stands_out_from_its_ground(show, name, dark, width):
    there = show(name, dark=dark, width=width)
    there.page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert there.page.evaluate(CONTRAST) == []
    ground = there.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(251, 250, 248)") != dark


@pytest.mark.parametrize("name", ALL)
def test_a_phone_needs_no_scrolling_sideways(show, name):
    there = show(name, width=390)
    there.page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert there.page.evaluate("document.documentElement.scrollWidth") == 390
    beyond = """[...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
        && !e.closest('.drawing, .skip, thead') && e.getBoundingClientRect().right > 391)
        .map(e => e.outerHTML.slice(0, 80))"""
    assert there.page.evaluate(beyond) == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_figure_says_in_words_what_it_shows_and_where_it_can_be_read(show, width):
    there = show("failed", width=width)
    figures = there.page.locator("[role=img]:visible")
    labels = [figures.nth(i).get_attribute("aria-label") for i in range(figures.count())]
    assert len(labels) == 3
    totals = there.document["totals"]
    assert f"{totals['published']:,} published, {totals['quarantined']:,} quarantined" in labels[0]
    assert all("The table below has the same figures." in label for label in labels)
    tables = there.page.locator("table")
    for number in range(tables.count()):
        assert tables.nth(number).get_attribute("role") == "table"  # which it still is where a phone shows it as a list
    assert there.page.get_by_role("table").count() == tables.count() - 1  # the steps are within what is to be opened
    assert there.page.get_by_role("rowheader", name="silver.sales").count() >= 2
    headings = there.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(h => Number(h.localName[1]))")
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


def test_the_keyboard_reaches_and_opens_everything(show):
    there = show("failed")
    reached = []
    for _ in range(120):
        there.page.keyboard.press("Tab")
        reached.append(there.page.evaluate("document.activeElement.textContent.trim().slice(0, 30)"))
        if there.page.evaluate("document.activeElement.matches('#timeline summary')"):
            break
    assert reached[0] == "Skip to where the rows went"
    assert "Flow" in reached
    assert [text for text in reached if text.startswith("data/raw/")]
    assert not there.page.locator("#steps").is_visible()
    outline = there.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    there.page.keyboard.press("Enter")
    assert there.page.locator("#steps").is_visible()


def test_it_is_whole_where_no_script_may_run(browser, files):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files["well"].as_uri())
    assert page.locator("#accounts [data-table]").count() == 3
    assert page.locator(".flow .wide text").first.is_visible()
    context.close()
