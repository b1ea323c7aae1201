"""Metrics in a real Prometheus, by way of an endpoint and of a real Pushgateway, and in files: figure by figure."""

from __future__ import annotations

import gzip
import http.server
import json
import math
import re
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from oreflow.contract import DeclarationError, OreflowError, Snapshot, Surroundings
from oreflow.factory import get_processor_factory
from oreflow.monitoring import MetricsCollector
from oreflow.monitoring.catalogue import METRICS
from oreflow.monitoring.exposition import text, written
from oreflow.validation import validate

DASHBOARD = Path(__file__).parent.parent.parent / "docs" / "operations" / "grafana-dashboard.json"
LABELS = {
    "pipeline": "shop",
    "stage": "silver",
    "table": "silver.orders",
    "status": "success",
    "check": 'price > 0 and "so" on',
    "resource": "lake",
    "backend": "textfile",
}
SECRET = "s3cr=t/w0rd"
ELSEWHERE = {"Location": f"http://127.0.0.1:9/{SECRET}"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def count_all(collector: MetricsCollector) -> None:
    """Count something in every metric of a run."""
    for at, (name, (kind, labels, _)) in enumerate(METRICS.items(), 1):
        tags = {label: LABELS[label] for label in labels}
        if kind == "counter":
            collector.increment_counter(name, at + 0.5, tags)
        elif kind == "gauge":
            collector.set_gauge(name, 1 / at, tags)
        else:
            for value in (0.001, at, 1e6):
                collector.observe(name, value, tags)


def series(exposed: str, parse=parse_prometheus, job: str = "") -> Series:
    """The figures of a text, of a group where there are several, each with its labels but for those of a group."""
    found = (each for family in parse(exposed) for each in family.samples if each.name.startswith("oreflow_"))
    return {key(each.name, each.labels): each.value for each in found if job in ("", each.labels.get("job"))}


def key(name: str, labels: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A series without the labels of its target or group; a bound is written in several ways."""
    ours = {name: value for name, value in labels.items() if name not in ("job", "instance", "site")}
    if "le" in ours:
        ours["le"] = written(float(ours["le"]))
    return name, tuple(sorted(ours.items()))


def expected(snapshot: Snapshot, times: int = 1) -> Series:
    """What a snapshot comes to, with counters as if it were that of so many processes."""
    found: Series = {}
    for family in snapshot.families:
        for each in family.samples:
            if family.kind == "gauge":
                found[family.name, each.labels] = each.value
            elif family.kind == "counter":
                found[f"{family.name}_total", each.labels] = each.value * times
            else:
                found[f"{family.name}_sum", each.labels] = each.value * times
                found[f"{family.name}_count", each.labels] = each.count * times
                for bound, within in zip((*family.bounds, math.inf), (*each.buckets, each.count), strict=True):
                    found[key(f"{family.name}_bucket", {**dict(each.labels), "le": str(bound)})] = within * times
    return found


def get(address: str, **headers: str) -> tuple[str, str]:
    """The media type and the text of an answer."""
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        body = answer.read()
        if answer.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        return answer.headers["Content-Type"], body.decode()


@pytest.fixture
def collector():
    return MetricsCollector()


@pytest.fixture
def backend(tmp_path):
    """Make a backend whose folder is `tmp_path/kept`, or another one."""
    made = []

    def make(name: str, folder: Path | None = None, **options):
        (brought,) = (b for b in get_processor_factory()._brought["metric backend"] if b.name == name)
        assert not validate(options, brought.item.option_schema)
        surroundings = Surroundings("shop", "dev", tmp_path, folder or tmp_path / "kept")
        made.append(get_processor_factory().create_metric_backend(name, options, surroundings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@contextmanager
def answering(
    status: int, said: str = "", **headers: str
) -> Iterator[tuple[str, list[http.server.BaseHTTPRequestHandler]]]:
    """The address of a server that answers everything in one way, and what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


# The endpoint


@pytest.fixture(scope="module")
def scraped(prometheus, pushgateway, tmp_path_factory):
    """A Prometheus that has seen every metric twice, with more the second time; and what it is to have.

    It scrapes the Pushgateway as well: each start of one takes 5 seconds until it knows its targets.
    """
    folder, collector = tmp_path_factory.mktemp("scraped"), MetricsCollector()
    endpoint = get_processor_factory().create_metric_backend(
        "prometheus", {"port": 0, "path": "/oreflow/metrics"}, Surroundings("shop", "dev", folder, folder)
    )
    count_all(collector)
    endpoint.open(collector.snapshot)
    server = prometheus([endpoint.address, f"{pushgateway}/metrics"])
    server.wait_for('oreflow_runs_total{job="target0"} == 1.5')
    count_all(collector)
    server.wait_for('oreflow_runs_total{job="target0"} == 3')
    yield server, collector.snapshot()
    endpoint.close()


def test_prometheus_has_every_figure_of_the_endpoint(scraped):
    server, snapshot = scraped
    assert len(snapshot.families) == len(METRICS)
    found = server.query('{__name__=~"oreflow_.*", job="target0"}')
    figures = {key(each["metric"].pop("__name__"), each["metric"]): float(each["value"][1]) for each in found}
    assert figures == expected(snapshot)


@pytest.mark.parametrize(
    ("title", "query"),
    [(p["title"], t["expr"]) for p in json.loads(DASHBOARD.read_text())["panels"] for t in p["targets"]],
)
@pytest.mark.parametrize("chosen", [(".*", ".*"), ("shop", "silver\\\\.orders")], ids=["all", "one"])
def test_each_panel_of_the_dashboard_has_data(scraped, title, query, chosen):
    server, _ = scraped
    values = {"pipeline": chosen[0], "table": chosen[1], "__rate_interval": "1m", "__range": "1h"}
    asked = re.sub(r"\$(\w+)", lambda found: values[found[1]], query)
    found = server.query(asked)
    assert found, title
    assert all(math.isfinite(float(each["value"][1])) for each in found)
    assert len({json.dumps(each["metric"]) for each in found}) == len(found)


def test_the_lists_of_the_dashboard_have_what_there_is(scraped):
    server, _ = scraped
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"][1:]:
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
        found = server.query(selector.replace("$pipeline", ".*"))
        assert {each["metric"][label] for each in found} == {LABELS[label]}


def test_an_endpoint_gives_figures_as_they_are_when_it_is_asked(backend, collector, capfd):
    endpoint = backend("prometheus", port=0)
    assert endpoint.address == ""
    endpoint.open(collector.snapshot)
    for count in (1, 2):
        collector.increment_counter("steps")
        assert get(endpoint.address) == (PLAIN, text(collector.snapshot(), "prometheus"))
        assert f"oreflow_steps_total {count}.0" in get(endpoint.address)[1]
    assert capfd.readouterr() == ("", "")


def test_the_next_process_goes_on_where_the_last_one_was(backend, collector, tmp_path):
    count_all(collector)
    backend("prometheus").write(collector.snapshot())
    # In a folder of another name, what was kept comes from another process for this one.
    shutil.copytree(tmp_path / "kept", tmp_path / "next")
    endpoint = backend("prometheus", tmp_path / "next", port=0)
    endpoint.open(collector.snapshot)
    assert series(get(endpoint.address)[1]) == pytest.approx(expected(collector.snapshot(), 2))


@pytest.mark.parametrize(
    ("accept", "media_type", "parse"),
    [
        ("", PLAIN, parse_prometheus),
        ("*/*", PLAIN, parse_prometheus),
        ("text/plain;version=0.0.4", PLAIN, parse_prometheus),
        ("application/openmetrics-text", OPENMETRICS, parse_openmetrics),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", OPENMETRICS, parse_openmetrics),
        ("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", PLAIN, parse_prometheus),
    ],
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_endpoint_speaks_what_is_asked_for(backend, collector, accept, media_type, parse, encoding):
    count_all(collector)
    endpoint = backend("prometheus", port=0)
    endpoint.open(collector.snapshot)
    found, body = get(endpoint.address, Accept=accept, **{"Accept-Encoding": encoding})
    assert found == media_type
    assert series(body, parse) == expected(collector.snapshot())


def test_an_endpoint_has_one_page(backend, collector, capfd):
    endpoint = backend("prometheus", port=0, path="/m")
    endpoint.open(collector.snapshot)
    assert endpoint.address.endswith("/m")
    assert get(f"{endpoint.address}?x=1")[0] == PLAIN
    for path in ("", "/", "/metrics", "/m/x"):
        with pytest.raises(HTTPError) as refused:
            get(endpoint.address.removesuffix("/m") + path)
        with refused.value as answer:
            assert answer.code == 404
            assert "metrics are at /m" in answer.read().decode()
    head = urllib.request.Request(endpoint.address, method="HEAD")
    with urllib.request.urlopen(head, timeout=20) as answer:
        assert (answer.status, answer.read()) == (200, b"")
    assert capfd.readouterr() == ("", "")


def test_a_client_that_goes_or_says_nothing_disturbs_nobody(backend, collector, capfd):
    endpoint = backend("prometheus", port=0)
    endpoint.open(collector.snapshot)
    port = int(endpoint.address.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"nonsense\r\n\r\n")
        assert get(endpoint.address)[0] == PLAIN
    assert get(endpoint.address)[0] == PLAIN
    assert capfd.readouterr() == ("", "")


def test_a_taken_port_is_told_plainly_and_may_be_free_later(backend, collector):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoint = backend("prometheus", port=port)
        with pytest.raises(OreflowError, match=rf"^port {port} of 127\.0\.0\.1 is taken by another"):
            endpoint.open(collector.snapshot)
        assert endpoint.address == ""
    endpoint.open(collector.snapshot)
    assert endpoint.address == f"http://127.0.0.1:{port}/metrics"
    endpoint.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_host_that_is_none_of_this_machine_is_told_plainly(backend, collector):
    with pytest.raises(OreflowError, match=r"^nobody can listen at port 0 of 192\.0\.2\.1: .* - say another host"):
        backend("prometheus", host="192.0.2.1", port=0).open(collector.snapshot)


def test_an_endpoint_listens_at_ipv6_too(backend, collector):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    endpoint = backend("prometheus", host="::1", port=0)
    endpoint.open(collector.snapshot)
    assert endpoint.address.startswith("http://[::1]:")
    assert get(endpoint.address)[0] == PLAIN


# The Pushgateway


def test_a_pushgateway_has_every_figure_and_its_group(pushgateway, backend, collector):
    into = backend("pushgateway", address=pushgateway, grouping={"instance": "a/b c", "site": 7})
    for _ in range(2):
        count_all(collector)
        into.write(collector.snapshot())
        _, exposed = get(f"{pushgateway}/metrics")
        assert series(exposed, job="oreflow_shop") == expected(collector.snapshot())
    (runs,) = (family for family in parse_prometheus(exposed) if family.name == "oreflow_runs")
    groups = {tuple(each.labels.get(name) for name in ("job", "instance", "site")) for each in runs.samples}
    assert ("oreflow_shop", "a/b c", "7") in groups


def test_a_push_takes_the_place_of_its_group_and_of_no_other(pushgateway, backend, collector, tmp_path):
    def tables() -> set[tuple[str, str]]:
        found = (each for family in parse_prometheus(get(f"{pushgateway}/metrics")[1]) for each in family.samples)
        return {(each.labels["job"], each.labels["x"]) for each in found if each.name == "oreflow_of_groups_total"}

    for job, folder, value in (("one", "a", "old"), ("two", "b", "other"), ("one", "c", "new")):
        collector = MetricsCollector()
        collector.increment_counter("of_groups", 1, {"x": value})
        backend("pushgateway", tmp_path / folder, address=f"{pushgateway}/", job=job).write(collector.snapshot())
    assert tables() == {("one", "new"), ("two", "other")}


def test_prometheus_scrapes_what_was_pushed(scraped, pushgateway, backend, collector):
    collector.increment_counter("by_way_of_the_gateway", 3)
    backend("pushgateway", address=pushgateway, job="way").write(collector.snapshot())
    (found,) = scraped[0].wait_for('oreflow_by_way_of_the_gateway_total{job="way"}')
    assert found["value"][1] == "3"


def raised(into, collector) -> str:
    """What a push raises, in one line without a secret."""
    collector.increment_counter("steps")
    with pytest.raises(OreflowError) as error:
        into.write(collector.snapshot())
    message = str(error.value)
    assert "\n" not in message
    assert SECRET not in message
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return message


def test_a_pushgateway_that_is_away_is_told_and_given_all_the_next_time(pushgateway, backend, collector, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{probe.getsockname()[1]}"
        message = raised(backend("pushgateway", address=away), collector)
    assert (
        message
        == f"the Pushgateway at {away} cannot be reached: connection refused - start it, or say the right address"
    )
    collector.increment_counter("steps")
    backend("pushgateway", address=pushgateway, job="later").write(collector.snapshot())
    assert series(get(f"{pushgateway}/metrics")[1], job="later")["oreflow_steps_total", ()] == 2


def test_a_pushgateway_that_never_answers_is_waited_for_as_long_as_said(backend, collector):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        into = backend("pushgateway", address=address, timeout="300ms")
        began = time.monotonic()
        assert raised(into, collector) == f"the Pushgateway at {address} does not answer in time"
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("status", "said", "headers", "told"),
    [
        (500, "out of\nmemory", {}, "does not take the metrics, and answers 500: out of memory"),
        (400, f"not for {SECRET}", {}, "does not take the metrics, and answers 400: not for "),
        (401, "Unauthorized", {}, "does not let us in: Unauthorized - mend username and password"),
        (404, "", {}, "has nothing to push to there (it answers 404) - say the right address"),
        (
            302,
            "",
            {"Location": f"http://127.0.0.1:9/{SECRET}"},
            "sends us elsewhere (it answers 302), where we do not go",
        ),
        (
            307,
            "",
            {"Location": f"http://127.0.0.1:9/{SECRET}"},
            "sends us elsewhere (it answers 307), where we do not go",
        ),
    ],
)
def test_a_refusal_is_one_plain_line_without_the_password(backend, collector, status, said, headers, told):
    with answering(status, said, **headers) as (address, _):
        message = raised(backend("pushgateway", address=address, username="ore", password=SECRET), collector)
    assert message.startswith(f"the Pushgateway at {address} {told}")


def test_what_the_real_pushgateway_refuses_is_told(pushgateway, backend, collector):
    collector.increment_counter("runs_of_it", 1, {"x": "1"})
    collector.increment_counter("runs_of_it", 1, {"x": "2"})
    into = backend("pushgateway", address=pushgateway, job="bad", grouping={"x": "3"})  # makes both one series
    assert "does not take the metrics, and answers 400: " in raised(into, collector)


def test_a_user_is_said_to_the_pushgateway_and_to_no_proxy(backend, collector, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with answering(202) as (address, asked):
        backend("pushgateway", address=address, username="ore", password=SECRET, job="a b").write(collector.snapshot())
    (request,) = asked
    assert request.headers["Authorization"] == "Basic b3JlOnMzY3I9dC93MHJk"
    assert request.path == "/metrics/job@base64/YSBi"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"address": "localhost:9091"}, "address: this is no address of a Pushgateway - say http://HOST:9091 or"),
        ({"address": f"http://u:{SECRET}@h"}, "address: this is no address of a Pushgateway - say http://HOST:9091 or"),
        ({"address": "http://h:99999"}, "address: this is no address of a Pushgateway - say http://HOST:9091 or"),
        ({"grouping": {"table": "x"}}, "grouping.table: 'table' is a label of the metrics themselves - call it"),
        ({"grouping": {"job": "x"}}, "grouping.job: 'job' has an option of its own - say job: NAME beside grouping"),
        ({"username": "u"}, "'password' is missing - add it, beside username"),
        ({"password": SECRET}, "'username' is missing - add it, beside password"),
        ({"timeout": "0s"}, "timeout: '0s' is no time that lasts - say one above 0, such as 500ms"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_plain_line(backend, options, message):
    with pytest.raises(DeclarationError) as refused:
        backend("pushgateway", **{"address": "http://localhost:9091", **options})
    assert str(refused.value).startswith(message)
    assert SECRET not in str(refused.value)


# Files


@pytest.mark.parametrize(("format_", "parse"), [("prometheus", parse_prometheus), ("openmetrics", parse_openmetrics)])
def test_a_file_has_every_figure_in_either_format(backend, collector, tmp_path, format_, parse):
    into = backend("textfile", path="out/oreflow.prom", format=format_)
    for _ in range(2):
        count_all(collector)
        into.write(collector.snapshot())
        exposed = (tmp_path / "out" / "oreflow.prom").read_text()
        assert series(exposed, parse) == expected(collector.snapshot())
    assert exposed.endswith("# EOF\n") == (format_ == "openmetrics")


def test_a_file_is_beside_the_tables_where_nobody_says(backend, collector, tmp_path):
    count_all(collector)
    backend("textfile").write(collector.snapshot())
    assert series((tmp_path / "kept" / "metrics.prom").read_text()) == expected(collector.snapshot())


def test_a_reader_never_sees_half_a_file(backend, collector, tmp_path):
    into, path = backend("textfile", path="a.prom", format="openmetrics"), tmp_path / "a.prom"
    count_all(collector)
    into.write(collector.snapshot())
    over = threading.Event()
    seen = []

    def look() -> None:
        while not over.is_set():
            seen.append(path.read_text().endswith("# EOF\n"))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(100):
        collector.increment_counter("steps")
        into.write(collector.snapshot())
    over.set()
    thread.join()
    assert len(seen) > 10
    assert all(seen)
