"""Judging a processor in a process of its own, where nobody has called it yet.

What a module or a class keeps of a first call hides from every later one where it came from, and in a session of
tests somebody has always called first.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from oreflow.contract import ProcessingStage
from oreflow.factory import PROJECT_FILE, VARIABLE
from oreflow_testkit.errors import ContractBroken
from oreflow_testkit.subject import Subject

_CODE = "from oreflow_testkit import apart; apart.main()"


def apart(check: Callable[[Subject], None], subject: Subject) -> None:
    """Make a check in a process of its own; in this one, where no other knows of the processor.

    Raises:
        ContractBroken: the processor fails.
    """
    offer = subject.offer()
    if not _is_installed(offer.distribution):
        check(subject)
        return
    columns = subject.columns
    about = {
        "check": [check.__module__, check.__qualname__],
        "name": f"{offer.distribution}:{offer.processor.name}",
        "engine": subject.engine_name,
        "stage": subject.stage.value,
        "folder": str(subject.folder),
        "options": dict(subject.options),
        "rows": [{name: row.get(name) for name in columns} for row in subject.rows],
        "project": None if subject.project is None else str(subject.project),
    }
    let_in = ",".join(plugin.distribution for plugin in subject.factory.plugins if plugin.status == "ok")
    done = subprocess.run(  # noqa: S603  this interpreter, without a shell; what is judged comes as its input
        [sys.executable, "-c", _CODE],
        input=json.dumps(about),
        env={**os.environ, VARIABLE: let_in, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ContractBroken(f"the process that it is judged in ends with exit code {done.returncode}: {last}")
    if fault := json.loads(done.stdout.splitlines()[-1]):
        raise ContractBroken(fault)


def _is_installed(name: str) -> bool:
    """Whether another process finds a distribution's plugins: one that was given to a test is in this one only."""
    if name == PROJECT_FILE:
        return True
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def main() -> None:
    """Judge what the standard input describes; the last line of the output says what is wrong, '' where nothing is."""
    from oreflow_testkit.judgement import Place, subject_of  # it imports the checks, and they this module

    about = json.load(sys.stdin)
    module, name = about["check"]
    place = Place(about["engine"], ProcessingStage(about["stage"]), about["engine"])
    folder, options, rows = Path(about["folder"]), about["options"], about["rows"]
    subject = subject_of(about["name"], place, folder, options, rows, project=about["project"])
    fault = ""
    try:
        getattr(importlib.import_module(module), name)(subject)
    except AssertionError as error:
        fault = str(error)
    sys.stdout.write("\n" + json.dumps(fault) + "\n")
