"""The folders of a lake: tables, their quarantines, and what oreflow keeps beside them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oreflow.contract import Table


@dataclass(frozen=True)
class Lake:
    """A folder with a folder for each stage in it, and in that one for each table.

    `_quarantine` mirrors them for rows that were set aside; `_oreflow` holds batches, runs and locks.
    """

    root: Path

    def table(self, name: str) -> Path:
        """The folder of a table: `lake/silver/orders`."""
        stage, _, word = name.partition(".")
        return self.root / stage / word

    def quarantine(self, name: str) -> Path:
        """The folder of a table's quarantine, itself a table: `lake/_quarantine/silver/orders`."""
        stage, _, word = name.partition(".")
        return self.root / "_quarantine" / stage / word

    def batches(self, name: str) -> Path:
        """Where a table's batches are written down."""
        return self.state / "batches" / name

    def failed(self, name: str, batch: int) -> Path:
        """Where the candidate of a batch that did not pass is kept for inspection."""
        return self.state / "failed" / name / f"batch-{batch:06d}"

    def lock(self, name: str) -> Path:
        """The lock that a run holds while it makes a table."""
        return self.state / "locks" / f"{name}.lock"

    @property
    def runs(self) -> Path:
        """Where the reports of runs are kept."""
        return self.state / "runs"

    @property
    def state(self) -> Path:
        """What oreflow keeps beside the tables."""
        return self.root / "_oreflow"


def damage(name: str, table: Table) -> str:
    """Which file of a table is not as its log says, and what helps; '' where all are there with their sizes.

    For when reading has failed: an engine's own words name no file that a user knows.
    """
    for file in table.files:
        path = table.path / file.path
        size = path.stat().st_size if path.is_file() else None
        if size != file.bytes:
            what = "is not there" if size is None else f"has {size:,} bytes where the table's log says {file.bytes:,}"
            mend = f"bring it back from a copy, or make the table anew: oreflow run --full-refresh {name}"
            return f"the table {name} is damaged: {path} {what} - {mend}"
    return ""


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file whole or not at all.

    It is not forced to the disk: what a power cut takes is read from the table's log instead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(value, default=str))
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def json_files(folder: Path) -> list[Path]:
    """The JSON files of a folder, by their names, the last first; none where there is no such folder.

    Raises:
        OSError: it cannot be looked into. `Path.glob` would find nothing there.
    """
    try:
        files = sorted(folder.iterdir(), reverse=True)
    except FileNotFoundError:
        return []
    return [file for file in files if file.suffix == ".json" and not file.name.startswith(".")]


def read_json(path: Path) -> dict[str, Any] | None:
    """A file's value; None where there is no such file, or somebody has damaged it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
