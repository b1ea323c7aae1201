"""Environments in which packages can be installed without a trace here, and a run that somebody has enough of."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
