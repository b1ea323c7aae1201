"""Whatever text is wherever in a run's data, the page shows it as text."""

from __future__ import annotations

from html.parser import HTMLParser

import made_up_runs as made_up
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from oreflow_report.document import describe
from oreflow_report.page import render
from oreflow_report.texts import NAME, shown
from oreflow_report.verdict import Project

TAGS = {"html", "head", "meta", "title", "style", "body", "a", "header", "p", "bdi", "code", "h1", "h2", "h3", "span"}
TAGS |= {"div", "ol", "ul", "li", "dl", "dt", "dd", "nav", "main", "section", "b", "figure", "figcaption", "strong"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td", "article", "details", "summary", "pre", "footer"}
DRAWN = {"svg", "g", "path", "text", "line"}
ATTRIBUTES = {"href": "#", "src": None, "style": None, "xlink:href": None}


class Page(HTMLParser):
    """What a browser would make of it: the tags with their attributes, and the text of those that are read."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "bdi":
            self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data


@settings(
    max_examples=5,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a page takes half a second: no example is made smaller
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@example(list(made_up.HOSTILE))
@example([f"{number}\U0010204b{'𠦍' * 30}" for number in range(12)])
@given(st.lists(st.text(min_size=1, max_size=60), min_size=12, max_size=12, unique=True))
def test_any_text_in_any_place_stays_text(texts):
    run, earlier, rejected = made_up.saying(*texts)
    page = Page(render(describe(run, earlier, rejected, Project())))
    assert {tag for tag, _ in page.tags} <= TAGS | DRAWN
    assert sum(tag == "svg" for tag, _ in page.tags) == 6  # three figures, each for wide and for narrow screens
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name, begin in ATTRIBUTES.items():
            assert name not in attributes or (begin and attributes[name].startswith(begin)), (tag, attributes)
    said = "\n".join(page.texts)
    for text in texts:
        seen = shown(text, NAME)
        # The pipeline, the table, its remarks, reason, rules, makers, columns, calls, rejected rows, plugins.
        assert said.count(seen) >= 15, (text, seen)
