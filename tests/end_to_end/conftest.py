"""Environments into which packages are installed without a trace here, a run that somebody has enough of, servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest

# Of eleven joins of a country with itself no Spark sees the end.
ENDLESS = f"""
  gold.endless:
    inputs: [silver.transactions]
    sql: |
      select count(*) as n from silver.transactions t0
      {" ".join(f"join silver.transactions t{n} on t0.country = t{n}.country" for n in range(1, 12))}
"""
CTRL_C = """
    import os
    import signal
    import threading
    import oreflow

    press = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))

    @oreflow.hookimpl
    def tasks_progressed(table, total):
        if table == "gold.endless" and total and not press.ident:
            press.start()
"""


@pytest.fixture(scope="session")
def layered_environment() -> Callable[..., Path]:
    """A real environment that sees this one's packages: layered_environment(folder, *wheels) gives its python.

    Nothing is fetched: the wheels are installed without what they need, which is seen from here.
    """

    def make(folder: Path, *wheels: str | Path) -> Path:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        site = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
        here = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        lines = [f"import site; site.addsitedir({path!r})\n" for path in here]
        (site / "seen.pth").write_text("".join(lines), encoding="utf-8")
        pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
        subprocess.run([*pip, *wheels], check=True)
        return python

    return make


@pytest.fixture(scope="session")
def never_ending() -> Callable[[Any], None]:
    """Give the project that `oreflow init` makes a table gold.endless; who makes it on Spark presses Ctrl-C soon."""

    def add(project: Any) -> None:
        project.run_well(engine="polars", tables=["bronze.transactions", "silver.transactions"])
        project.declare((project.root / "config/pipeline.yaml").read_text() + ENDLESS)
        (project.root / "oreflow_plugins.py").write_text(textwrap.dedent(CTRL_C))

    return add


@dataclass
class Server:
    """A Redis of a test's own; its password has what divides an address."""

    folder: Path
    port: int
    password: str = "r3d1s@s/3#cr%t"
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"redis://:${{env:REDIS_PASSWORD}}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--requirepass", self.password, "--save", "", "--appendonly", "yes"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None


@pytest.fixture
def server(
    require: Callable[[Path | bool, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A real Redis, whose password is in the variable REDIS_PASSWORD."""
    require(bool(shutil.which("redis-server")), "Redis is missing: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "redis"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Server(folder, port)
    monkeypatch.setenv("REDIS_PASSWORD", made.password)
    made.start()
    yield made
    made.stop(signal.SIGKILL)


@dataclass
class Prometheus:
    """A real Prometheus, which scrapes its targets ten times a second."""

    address: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now, each with `metric` (its labels) and `value` (when, what)."""
        with urlopen(f"{self.address}/api/v1/query?{urlencode({'query': expression})}", timeout=20) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def wait_for(self, expression: str, seconds: float = 20) -> list[dict[str, Any]]:
        """The same, once it gives any."""
        deadline = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"{expression} gives nothing; targets: {self.query('up')}"
            time.sleep(0.02)
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _started(command: Sequence[str], ready: str, log: Path) -> subprocess.Popen[bytes]:
    """A server, once it answers at an address."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    deadline = time.monotonic() + 20
    while True:
        try:
            with closing(urlopen(ready, timeout=5)):
                return process
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def prometheus(
    require: Callable[[Path | bool, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Sequence[str]], Prometheus]]:
    """Start a Prometheus that scrapes some addresses: prometheus(["http://127.0.0.1:9464/metrics"])."""
    require(shutil.which("prometheus") is not None, "prometheus is missing: apt-get install prometheus")
    processes = []

    def start(targets: Sequence[str]) -> Prometheus:
        folder = tmp_path_factory.mktemp("prometheus")
        jobs = [
            {
                "job_name": f"target{number}",
                "honor_labels": True,
                "metrics_path": urlsplit(target).path or "/metrics",
                "static_configs": [{"targets": [urlsplit(target).netloc]}],
            }
            for number, target in enumerate(targets)
        ]
        config = {"global": {"scrape_interval": "100ms", "scrape_timeout": "100ms"}, "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        listen = f"127.0.0.1:{_free_port()}"
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address={listen}", "--log.level=warn"]
        processes.append(_started(command, f"http://{listen}/-/ready", folder / "log"))
        return Prometheus(f"http://{listen}")

    yield start
    for process in processes:
        process.kill()
        process.wait(20)


@pytest.fixture(scope="module")
def pushgateway(require: Callable[[Path | bool, str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Pushgateway."""
    reason = "the Pushgateway is missing: apt-get install prometheus-pushgateway"
    require(shutil.which("prometheus-pushgateway") is not None, reason)
    listen = f"127.0.0.1:{_free_port()}"
    command = ["prometheus-pushgateway", f"--web.listen-address={listen}", "--log.level=warn"]
    command += ["--persistence.file="]  # Debian's keeps what was pushed, for whoever starts the next one
    process = _started(command, f"http://{listen}/-/ready", tmp_path_factory.mktemp("pushgateway") / "log")
    yield f"http://{listen}"
    process.kill()
    process.wait(20)
