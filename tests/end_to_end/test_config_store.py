"""A real Redis as the shared store: a layer of many machines, whole versions, and a machine that goes on without it."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

import oreflow
from oreflow.config import ConfigManager
from oreflow.contract import OreflowError, StoreConflict, StoreError
from oreflow.factory import get_processor_factory


@pytest.fixture
def store(server):
    """The store itself, as the contract has it."""
    address = server.address.replace("${env:REDIS_PASSWORD}", quote(server.password, safe=""))
    made = get_processor_factory().create_config_store("redis", address)
    yield made
    made.close()


@pytest.fixture
def shop(server, project):
    """A project with a configuration `app` and the store."""
    made = project("name: shop\ntables: {}\n")
    made.put("config/app.yaml", "port: 1\nhost: base\npool: {size: 1}\n")
    made.put("config/app.local.yaml", "host: local\n")
    made.put("config/oreflow.yaml", f"config: {{store: '{server.address}'}}\n")
    return made


def test_a_version_is_published_as_a_whole_after_the_one_that_it_was_made_on(store):
    assert store.fetch("app") is None
    first = store.publish("app", {"port": 5}, expected=0, author="me")
    assert (first.version, first.author) == (1, "me")
    with pytest.raises(StoreConflict, match="the store has version 1 of 'app' by now, and this is made on version 0"):
        store.publish("app", {"port": 6}, expected=0, author="you")
    assert store.fetch("app").data == {"port": 5}
    store.publish("app", {"port": 6}, expected=1, author="you")
    assert (store.fetch("app").data, store.fetch("app", 1).data) == ({"port": 6}, {"port": 5})
    assert store.fetch("app", 9) is None
    assert store.fetch("other") is None


def test_of_many_writers_at_once_each_version_has_one(store):
    won, lock = [], threading.Lock()

    def write(writer):
        for _ in range(20):
            there = store.fetch("app")
            expected = there.version if there else 0
            try:
                made = store.publish("app", {"by": writer, "on": expected}, expected=expected, author=str(writer))
            except StoreConflict:
                continue
            with lock:
                won.append((made.version, writer))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [version for version, _ in sorted(won)] == list(range(1, len(won) + 1))
    for version, writer in won:
        assert store.fetch("app", version).data == {"by": writer, "on": version - 1}


def test_who_waits_is_told_of_the_next_version_and_of_no_older_one(store):
    store.publish("app", {"n": 1}, expected=0, author="")
    assert store.wait("app", 1, 0.2) is None
    assert store.wait("app", 0, 5).version == 1
    timer = threading.Timer(0.3, store.publish, ("app", {"n": 2}), {"expected": 1, "author": ""})
    timer.start()
    began = time.monotonic()
    assert store.wait("app", 1, 10).data == {"n": 2}
    assert time.monotonic() - began < 5
    timer.join()
    store._redis.flushall()  # what is published from here on has numbers that were there before
    store.publish("app", {"n": 3}, expected=0, author="")

    def lose_and_publish():
        store._redis.flushall()
        store.publish("app", {"n": 4}, expected=0, author="")

    timer = threading.Timer(0.3, lose_and_publish)
    timer.start()
    assert store.wait("app", 1, 10).data == {"n": 4}
    timer.join()


def test_the_store_is_a_layer_between_files_and_variables(shop, store, server):
    store.publish("app", {"host": "store", "pool": {"size": 9}, "port": 2}, expected=0, author="")
    found = shop.cli("config", "explain", "app", env={"APP_PORT": "3"})
    assert found.code == 0, found.err
    assert "store  redis://:${env:REDIS_PASSWORD}@127.0.0.1" in found.out.replace("'", "")
    shown = shop.cli("config", "show", "app", "--json", env={"APP_PORT": "3"})
    assert shown.json["data"] == {"port": 3, "host": "store", "pool": {"size": 9}}
    assert server.password not in found.out + found.err + shown.out


def test_pull_edit_and_push_by_two_people_loses_nothing(shop, store):
    mine, other = shop.cli("config", "pull", "app"), shop.cli("config", "pull", "app")
    assert mine.out == "# version 0 of 'app' in the shared store\n"
    shop.put("./mine.yaml", mine.out + "port: 5\n")
    shop.put("./other.yaml", other.out + "port: 6\n")
    done = shop.cli("config", "push", "mine.yaml", "--name", "app", env={"APP_PORT": "9"})
    note = "note: port is another one here, by APP_PORT (variable layer)\n"
    assert (done.code, done.out) == (0, f"published version 1 of 'app'\n{note}")
    late = shop.cli("config", "push", "other.yaml", "--name", "app")
    assert late.code == 1
    assert "the store has version 1 of 'app' by now, and this is made on version 0" in late.err
    again = shop.cli("config", "pull", "app")
    assert again.out == "# version 1 of 'app' in the shared store\nport: 5\n"
    shop.put("./none.yaml", "port: 7\n")
    refused = shop.cli("config", "push", "none.yaml", "--name", "app")
    assert refused.code == 2
    assert "does not say on which version it was made - begin with `oreflow config pull`" in refused.err
    shop.put("./broken.yaml", "# version 1 of 'app' in the shared store\npool@append: [1]\n")
    broken = shop.cli("config", "push", "broken.yaml", "--name", "app")
    assert broken.code == 2
    assert "nothing can be appended: what is below is no list" in broken.err
    assert store.fetch("app").version == 1


def test_nothing_is_pushed_that_would_break_every_machine(shop, store):
    shop.put(
        "config/schemas/app.schema.json", '{"properties": {"port": {"type": "integer"}, "code": {"type": "string"}}}'
    )
    shop.put("./code.py", "print('CODE RAN')\n")
    shop.put("./app.yaml", "# version 0 of 'app' in the shared store\ncode: 0755\n")
    for file, args, told in (
        ("wrong.yaml", ("--on", "0", "--name", "app"), "port: expected a whole number, got 'abc'"),
        ("octal.yaml", ("--on", "0", "--name", "app"), "0755 is 493 in YAML"),
        ("plugins.yaml", ("--on", "0", "--name", "shop"), "a store cannot say this"),
        ("app.yaml", ("--name", "shop"), "was pulled of 'app', not of 'shop'"),
        ("code.py", ("--on", "0", "--name", "app"), "is code, and a store holds values"),
        ("wrong.yaml", ("--on", "0", "--name", "oreflow"), "says where the store is; no store can"),
    ):
        shop.put("./wrong.yaml", "port: abc\n")
        shop.put("./octal.yaml", "port: 0755\n")
        shop.put("./plugins.yaml", "plugins: {allow: []}\n")
        if "shop" in args:
            shop.put("config/shop.yaml", "name: s\nsources: {}\ntables: {silver.x: {input: silver.x}}\n")
        refused = shop.cli("config", "push", file, *args)
        assert (refused.code, told in refused.err) == (2, True), refused.err
        assert "CODE RAN" not in refused.out + refused.err
    done = shop.cli("config", "push", "app.yaml")
    assert done.out == "published version 1 of 'app'\n", done.err
    assert store.fetch("app").data == {"code": "0755"}


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("DEL {oreflow:config:app}:1", "has lost version 1 of 'app'"),
        ("DEL {oreflow:config:app}:latest", "has versions of 'app', and has lost which is the latest - set its key"),
        ("FLUSHALL", "has lost 'app', of which it had version 1"),
        ("SET {oreflow:config:app}:latest many", "has something else than oreflow wrote"),
        ("SET {oreflow:config:app}:1 {port:", "has something else than a configuration as 'app'"),
        ("SET {oreflow:config:app}:1 [1]", "has something else than a configuration as 'app'"),
        ("CONFIG SET requirepass another", "does not let us in by the user and password of config.store"),
        ("ACL SETUSER default -get", "refuses: "),
    ],
)
def test_a_store_that_went_wrong_is_one_that_is_away(command, told, shop, store, caplog):
    store.publish("app", {"port": 2}, expected=0, author="")
    assert ConfigManager(shop.root).snapshot("app").values["port"] == 2
    store._redis.execute_command(*command.split())
    assert ConfigManager(shop.root).snapshot("app").values["port"] == 2
    (record,) = caplog.records
    assert re.search(f"the store redis://.*/0 {re.escape(told)}", record.getMessage())
    assert "the last known content of 'app' is used" in record.getMessage()


def test_nothing_is_published_where_it_would_be_lost_or_hide_something(store):
    store.publish("app", {"port": 2}, expected=0, author="")
    store._redis.delete("{oreflow:config:app}:latest")
    with pytest.raises(StoreError, match="has lost which is the latest"):
        store.publish("app", {"port": 3}, expected=0, author="")
    store._redis.set("{oreflow:config:app}:latest", "1")
    assert store.fetch("app").data == {"port": 2}
    store._redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreError, match="is a replica that can only be read - name its master"):
        store.publish("app", {"port": 3}, expected=1, author="")


def test_a_store_that_fails_for_a_moment_is_asked_again(shop, store, server, caplog):
    """A proxy drops the first connections."""
    store.publish("app", {"port": 2}, expected=0, author="")
    dropped = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve():
            with suppress(OSError):  # the socket is closed at the end
                while True:
                    client, _ = proxy.accept()
                    if len(dropped) < 2:
                        dropped.append(client.close())
                        continue
                    there = socket.create_connection(("127.0.0.1", server.port))
                    for pair in ((client, there), (there, client)):
                        threading.Thread(target=_pass_on, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        address = server.address.replace(f":{server.port}", f":{proxy.getsockname()[1]}")
        shop.put("config/oreflow.yaml", f"config: {{store: '{address}'}}\n")
        assert ConfigManager(shop.root).snapshot("app").values["port"] == 2
    assert (len(dropped), caplog.records) == (2, [])


def _pass_on(one, other):
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    other.close()


def test_a_store_that_hangs_is_waited_for_once_in_a_command(shop):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system accepts for it
        shop.put("config/oreflow.yaml", f"config: {{store: 'redis://127.0.0.1:{silent.getsockname()[1]}/0'}}\n")
        shop.put("config/other.yaml", "port: 1\n")
        done = shop.cli("config", "validate")
        assert done.code == 2
        assert done.err.count("does not answer") == 1
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_watch_may_be_stopped_by_its_callback_while_others_wait(shop, store):
    manager, stopped = ConfigManager(shop.root), threading.Event()

    def stop(change):
        time.sleep(0.5)
        watch.stop()
        stopped.set()

    watch = manager.watch("app", stop, debounce=0.05)
    time.sleep(0.3)
    shop.put("config/app.local.yaml", "host: other\n")
    store.publish("app", {"port": 3}, expected=0, author="")
    assert stopped.wait(10)


def test_without_the_store_the_last_known_content_is_used_and_said(shop, store, server):
    store.publish("app", {"port": 2}, expected=0, author="")
    assert shop.cli("config", "show", "app", "--json").json["data"]["port"] == 2
    server.stop(signal.SIGKILL)
    away = shop.cli("config", "show", "app", "--json")
    assert away.json["data"]["port"] == 2
    assert f"the store redis://127.0.0.1:{server.port}/0 does not answer" in away.err
    assert "the last known content of 'app' is used" in away.err
    (kept,) = Path(os.environ["XDG_CACHE_HOME"]).rglob("app.json")
    kept.write_text("{")
    with pytest.raises(OreflowError, match=r"what this machine had of it last cannot be read .*app.json.*: the store"):
        ConfigManager(shop.root).snapshot("app")
    server.start()
    assert shop.cli("config", "show", "app", "--json").err == ""


def test_without_the_store_and_without_any_content_nothing_is_made_up(shop, server):
    server.stop(signal.SIGKILL)
    away = shop.cli("config", "show", "app")
    assert away.code == 1
    assert "does not answer" in away.err
    assert "as this machine has never had anything of it: the store" in away.err
    assert "Traceback" not in away.err
    assert shop.cli("config", "show", "app", env={"OREFLOW_CONFIG__STORE": ""}).code == 0


def test_a_watch_hears_of_what_is_published_and_outlives_a_store_that_goes_away(shop, store, server):
    store.publish("app", {"port": 2}, expected=0, author="")
    heard = []
    manager = ConfigManager(shop.root)

    def until(count):
        deadline = time.monotonic() + 30
        while len(heard) < count:
            assert time.monotonic() < deadline, heard
            time.sleep(0.05)

    with manager.watch("app", heard.append, debounce=0.05):
        time.sleep(0.5)
        store.publish("app", {"port": 3}, expected=1, author="")
        until(1)
        server.stop(signal.SIGTERM)
        time.sleep(0.5)
        server.start()
        store.publish("app", {"port": 4}, expected=2, author="")
        until(2)
    assert [change.after.values["port"] for change in heard] == [3, 4]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("etcd://x", "there is no config store 'etcd'"),
        ("redis://127.0.0.1:port", "this is no address of Redis"),
        ("nothing", "'nothing' does not fit"),
    ],
)
def test_an_address_that_is_none_is_told(shop, address, told):
    shop.put("config/oreflow.yaml", f"config: {{store: '{address}'}}\n")
    done = shop.cli("config", "show", "app")
    assert done.code == 2
    assert "config.store: " in done.err
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_run_takes_the_store_s_layer_and_no_word_on_plugins_from_it(shop, store):
    text = 'name: shop\nsources: {s: {path: "./data/raw/*.csv", format: csv}}\ntables: {bronze.s: {source: s}}\n'
    shop.declare(text)
    shop.put("a.csv", "a,b\n1,2\n3\n")
    store.publish("pipeline", {"processors": {"bronze": {"quality_threshold": 0.9}}}, expected=0, author="")
    done = shop.cli("run")
    assert done.code == 1
    assert "quality gate was not passed" in done.out
    store.publish("pipeline", {"plugins": {"allow": []}}, expected=1, author="")
    refused = shop.cli("run")
    assert refused.code == 2
    assert "plugins: a store cannot say this" in refused.err


def test_health_says_whether_the_store_answers(server, shop):
    shop.declare("name: shop\nsources: {s: {path: './*.csv', format: csv}}\ntables: {bronze.s: {source: s}}\n")
    (found,) = oreflow.health(shop.root, checks="config store").checks
    assert (found.status, found.reason) == ("pass", "it says nothing of 'pipeline'")
    oreflow.effective_config(shop.root)  # which keeps what the store says
    server.stop()
    (found,) = oreflow.health(shop.root, checks="config store").checks
    assert found.status == "warn"
    assert "runs go by what this machine had of it last" in found.reason
    assert server.password not in found.reason
