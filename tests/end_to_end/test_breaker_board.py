"""Breakers that real processes share by a real Redis; and runs, of which one knows what another has found."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import pytest

from oreflow.contract import StoreAway, StoreError
from oreflow.factory import get_processor_factory
from oreflow.resilience import BreakerPolicy, Policy, Resilience, RetryPolicy

PROCESS = """
import json, logging, sys, time
from oreflow.factory import get_processor_factory
from oreflow.resilience import BreakerPolicy, Policy, RejectedError, Resilience, RetryPolicy

logging.basicConfig(stream=sys.stderr)
_, address, recovery = sys.argv
breaker = BreakerPolicy(consecutive_failures=2, recovery=float(recovery))
board = get_processor_factory().create_breaker_board("redis", address)
policy = Policy(retry=RetryPolicy(max_attempts=1), breaker=breaker)
executor = Resilience(default=policy, board=board).executor("store")
print("ready", flush=True)

def work(outcome):
    global called
    called = True
    if outcome == "fail":
        raise ConnectionResetError("down")

for line in sys.stdin:
    called, did, began = False, "succeeded", time.perf_counter()
    try:
        executor.execute(work, line.strip())
    except RejectedError:
        did = "rejected"
    except ConnectionResetError:
        did = "failed"
    seconds = time.perf_counter() - began
    print(json.dumps({"did": did, "called": called, "seconds": seconds}), flush=True)
"""
DECLARATION = """
name: shop
sources: {sales: {path: "./data/raw/*.csv", format: csv}}
resilience: {share: "SHARE"}
tables: {bronze.sales: {source: sales}}
"""


class Process:
    """A process that calls the resource `store` when it is told to."""

    def __init__(self, address: str, recovery: float) -> None:
        command = [sys.executable, "-c", PROCESS, address, str(recovery)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def call(self, outcome: str = "succeed") -> dict:
        self.process.stdin.write(f"{outcome}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def until(self, did: str, seconds: float, outcome: str = "succeed") -> list[dict]:
        """Call until one comes to this; what came of all calls."""
        deadline, found = time.monotonic() + seconds, []
        while not found or found[-1]["did"] != did:
            assert time.monotonic() < deadline, found[-3:]
            found.append(self.call(outcome))
            time.sleep(0.05)
        return found

    def end(self) -> str:
        """End it as programs end; what it has logged."""
        _, logged = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return logged


@pytest.fixture
def address(server):
    return server.address.replace("${env:REDIS_PASSWORD}", quote(server.password, safe=""))


@pytest.fixture
def board(address):
    made = get_processor_factory().create_breaker_board("redis", address)
    yield made
    made.close()


@pytest.fixture
def processes(address):
    made = []

    def start(recovery=1000.0, at=address):
        made.append(Process(at, recovery))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.fixture
def shop(server, project):
    made = project(DECLARATION.replace("SHARE", server.address))
    made.put("a.csv", "id,name\n1,ada\n")
    return made


# The board


def test_a_board_says_who_is_open_for_how_long_and_forgets_by_itself(board, server, address):
    assert board.open_for([]) == {}
    board.opened("a", 60.0)
    board.opened("b", 0.2)
    board.opened("läger/{x}", 30.0)
    found = board.open_for(["a", "b", "c", "läger/{x}"])
    assert found == {
        "a": pytest.approx(60.0, abs=1.0),
        "b": pytest.approx(0.1, abs=0.1),
        "läger/{x}": found["läger/{x}"],
    }
    assert 29 < found["läger/{x}"] <= 30
    time.sleep(0.3)
    board.closed("läger/{x}")
    board.closed("nobody")
    assert list(board.open_for(["a", "b", "läger/{x}"])) == ["a"]


def test_where_two_have_opened_it_the_later_end_holds(board):
    board.opened("a", 60.0)
    board.opened("a", 10.0)
    assert board.open_for(["a"])["a"] > 50
    board.opened("a", 90.0)
    assert board.open_for(["a"])["a"] > 80


def test_a_board_that_fails_is_told_plainly_and_soon_and_never_with_the_password(board, server, address):
    create = get_processor_factory().create_breaker_board
    with pytest.raises(StoreError, match="this is no address of Redis"):
        create("redis", f"redis://:{quote(server.password)}@h:port")
    wrong = create("redis", f"redis://:wr0ng-p4ss@127.0.0.1:{server.port}/0")
    with pytest.raises(StoreAway, match="does not let us in by the user and password of resilience") as refused:
        wrong.opened("a", 1.0)
    wrong.close()
    server.stop(signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(StoreAway, match=rf"the board redis://127.0.0.1:{server.port}/0 does not answer") as away:
        board.open_for(["a"])
    assert time.monotonic() - began < 1
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system accepts for it
        hanging = create("redis", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        with pytest.raises(StoreAway, match="does not answer"):
            hanging.open_for(["a"])
        assert time.monotonic() - began < 3
        hanging.close()
    for told in (refused, away):
        assert server.password not in str(told.value)
        assert "wr0ng-p4ss" not in str(told.value)


def test_a_board_is_there_again_after_redis_was_restarted(board, server):
    board.opened("a", 60.0)
    server.stop()
    server.start()
    assert list(board.open_for(["a"])) == ["a"]  # Redis has kept it, and the broken connection is made anew


# Processes


def test_what_one_process_finds_rejects_the_calls_of_another_within_two_seconds(processes):
    a, b = processes(), processes()
    assert b.call()["did"] == "succeeded"
    a.until("rejected", 5, "fail")
    found = b.until("rejected", 2)
    assert not found[-1]["called"]
    late = processes()
    assert late.call() == {"did": "rejected", "called": False, "seconds": pytest.approx(0, abs=0.5)}


def test_after_a_probe_of_one_went_well_the_other_goes_on(processes, board):
    a, b = processes(recovery=2.0), processes()
    a.until("rejected", 5, "fail")
    b.until("rejected", 2)
    a.until("succeeded", 4)
    b.until("succeeded", 2)
    assert board.open_for(["store"]) == {}
    c, d = processes(), processes()
    c.until("rejected", 5, "fail")
    d.until("rejected", 2)
    board.closed("store")  # long before its time
    d.until("succeeded", 2)
    c.until("succeeded", 2)


def test_a_process_that_ends_with_its_failures_has_told_them(processes):
    a = processes()
    a.call("fail")
    a.call("fail")
    assert a.end() == ""
    assert processes().call()["did"] == "rejected"


def test_without_redis_each_goes_on_by_itself_at_full_speed_and_warns_once(processes, server):
    a, b = processes(), processes()
    server.stop(signal.SIGKILL)
    time.sleep(1.5)
    calls = [*a.until("rejected", 5, "fail"), *(b.call() for _ in range(100))]
    assert max(call["seconds"] for call in calls) < 0.25
    assert {call["did"] for call in calls[-100:]} == {"succeeded"}
    time.sleep(6)  # it has asked again
    server.start()
    b.until("rejected", 15)  # what could not be told is told now
    for process in (a, b):
        logged = process.end()
        assert logged.count("WARNING") == 1
        assert f"the board redis://127.0.0.1:{server.port}/0 does not answer" in logged
        assert server.password not in logged


def test_a_process_whose_redis_hangs_is_not_held_up(processes, server, caplog):
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        a = processes()
        calls = [*a.until("rejected", 5, "fail")]
        assert max(call["seconds"] for call in calls) < 0.25
        assert time.monotonic() - began < 8
        assert a.end().count("WARNING") == 1
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


# Runs


def opened_elsewhere(address, scope="shop@development"):
    """The breaker of the source, as another process of the same pipeline has found it."""
    board = get_processor_factory().create_breaker_board("redis", address)
    policy = Policy(retry=RetryPolicy(max_attempts=1), breaker=BreakerPolicy(consecutive_failures=1))
    made = Resilience(default=policy, board=board, scope=scope)

    def down():
        raise ConnectionResetError("down")

    with pytest.raises(ConnectionResetError):
        made.executor("sales").execute(down)
    made.share(None)


def test_a_run_leaves_a_source_alone_that_a_run_elsewhere_has_found_down(shop, address, board, server):
    opened_elsewhere(address)
    began = time.monotonic()
    done = shop.cli("run", "--json")
    assert done.code == 1
    assert time.monotonic() - began < 20
    (source,) = [use for use in done.json["resources"] if use["resource"] == "sales"]
    assert (source["attempts"], source["breaker"]) == (0, "open")
    assert source["rejected"] >= 1
    (table,) = done.json["tables"]
    assert "the circuit breaker of sales is open" in table["reason"]
    assert server.password not in done.out + done.err
    board.closed("shop@development/sales")
    assert shop.cli("run").code == 0


def test_a_run_tells_others_that_its_source_is_down(shop, board, server):
    shop.put(
        "./oreflow_plugins.py",
        "import oreflow\n\n@oreflow.hookimpl(wrapper=True)\ndef call_resource(resource):\n"
        "    if resource == 'sales':\n        raise ConnectionResetError('down')\n    return (yield)\n",
    )
    breaker = "defaults: {retry: {base: 10ms}, breaker: {consecutive_failures: 2}}"
    shop.declare(DECLARATION.replace('"SHARE"', f'"{server.address}", {breaker}'))
    assert shop.cli("run").code == 1
    assert list(board.open_for(["shop@development/sales", "shop@development/lake"])) == ["shop@development/sales"]


def test_other_pipelines_and_environments_are_others(shop, address):
    opened_elsewhere(address, "bank@development")
    opened_elsewhere(address, "shop@production")
    assert shop.cli("run").code == 0


def test_a_plan_needs_no_board_and_a_run_goes_on_without_it(shop, server):
    server.stop(signal.SIGKILL)
    planned = shop.cli("plan")
    assert (planned.code, planned.err) == (0, "")
    done = shop.cli("run")
    assert done.code == 0
    assert done.err.count("breakers are not shared for now") == 1
    assert f"the board redis://127.0.0.1:{server.port}/0 does not answer" in done.err


def test_a_wrong_password_is_told_without_it_and_the_run_goes_on(shop, server):
    done = shop.cli("run", env={"REDIS_PASSWORD": "wr0ng-p4ss"})
    assert done.code == 0
    assert "does not let us in by the user and password of resilience.share" in done.err
    assert "wr0ng-p4ss" not in done.out + done.err


@pytest.mark.parametrize(
    ("share", "told"),
    [
        ("etcd://h", "there is no breaker board 'etcd' - use redis, rediss"),
        ("redis://:pl4in-p4ss@127.0.0.1:port", "this is no address of Redis"),
        ("redis://:${env:NOBODY}@h", "the variable NOBODY is not set"),
    ],
)
def test_a_run_whose_board_is_none_does_not_begin(shop, share, told):
    shop.declare(DECLARATION.replace("SHARE", share))
    assert shop.cli("plan").code == 0
    done = shop.cli("run")
    assert done.code == 2
    assert f"config/pipeline.yaml:4 resilience.share: {told}" in done.err
    assert "pl4in" not in done.err
    assert not (shop.root / "lake").exists()


def test_what_is_no_address_or_no_reference_is_refused_with_the_declaration(shop):
    for share, told in (
        ("nothing", "resilience.share: 'nothing' does not fit"),
        ("redis://:${evn:X}@h", "resilience.share: ${evn:X} is no reference"),
    ):
        shop.declare(DECLARATION.replace("SHARE", share))
        done = shop.cli("plan")
        assert (done.code, told in done.err) == (2, True), done.err


def test_a_run_without_the_plugin_says_what_to_install(shop):
    done = shop.cli("run", env={"OREFLOW_PLUGINS": "-oreflow-redis"})
    assert done.code == 2
    assert "config/pipeline.yaml:4 resilience.share: there is no breaker board 'redis'" in done.err


def test_a_password_that_is_written_out_is_shown_nowhere(shop, server, address):
    shop.declare(DECLARATION.replace("SHARE", address))
    shown = [shop.cli(*words) for words in (("config", "show", "pipeline"), ("config", "explain", "pipeline"))]
    shown += [shop.cli("plan", "--json"), shop.cli("run", "--json"), shop.cli("config", "history")]
    assert [each.code for each in shown[:4]] == [0, 0, 0, 0], [each.err for each in shown]
    for each in shown:
        assert quote(server.password, safe="") not in each.out + each.err
    assert "redis://:***@127.0.0.1" in shown[0].out
    for file in (shop.root / "lake").rglob("*.json"):
        assert quote(server.password, safe="") not in file.read_text()
