"""Environments in which packages can be installed without a trace in this one."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest


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
