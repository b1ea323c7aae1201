"""A tiny project on disk, driven through the public face of the host as its user would drive it.

The checks judge a processor in it, and tests of your own get one from the fixture `tiny_lake`.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import oreflow
from oreflow_testkit.sample import Row, columns_of, csv_text

if TYPE_CHECKING:
    from oreflow import RunReport

# Variables of the environment lie over a declaration by its name; nobody has one that begins with this.
_PIPELINE = "oreflow_testkit"
_ENVIRONMENT = "test"
_ALL = 1_000_000


class TinyLake:
    """A project with the tables that were asked for; its sources are csv files, added by `add`.

    `tables` is what stands under `tables:` in a declaration, as YAML or as a mapping; `sources` are the names
    of the sources that its bronze tables may read.
    """

    def __init__(self, root: Path, tables: str | Mapping[str, Any], sources: Sequence[str] = ("rows",)) -> None:
        self.root = root
        self._files = dict.fromkeys(sources, 0)
        declared = {name: {"path": f"./data/{name}/*.csv", "format": "csv"} for name in sources}
        lines = ["name: oreflow_testkit", f"sources: {json.dumps(declared)}"]
        if isinstance(tables, str):
            lines += ["tables:", textwrap.indent(textwrap.dedent(tables).strip("\n"), "  ")]
        else:
            lines.append(f"tables: {json.dumps(tables)}")
        for folder in ("config", *(f"data/{name}" for name in sources)):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "config" / f"{_PIPELINE}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def add(self, rows: Sequence[Row], source: str = "rows", *, columns: Sequence[str] = ()) -> Path:
        """Write rows as one more csv file of a source; the next run loads it.

        `columns` is its header where that is not to be taken from the rows.
        """
        self._files[source] += 1
        path = self.root / "data" / source / f"{self._files[source]:03d}.csv"
        path.write_bytes(csv_text(columns or columns_of(rows), rows).encode())
        return path

    def run(self, **options: Any) -> RunReport:
        """Make the tables as far as anything is new for them; `options` are those of `oreflow.run`."""
        return oreflow.run(self.root, _PIPELINE, **{"environment": _ENVIRONMENT, **options})

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All published rows of a table; none where there is no table yet."""
        sample: list[dict[str, Any]] = self._about(table, limit=_ALL).get("sample", [])
        return sample

    def quarantine(self, table: str) -> list[dict[str, Any]]:
        """All quarantined rows of a table."""
        return oreflow.quarantine(self.root, table, pipeline=_PIPELINE, environment=_ENVIRONMENT)

    def version(self, table: str) -> int | None:
        """The version of a table: it changes with every commit (None: there is no table yet)."""
        version: int | None = self._about(table)["version"]
        return version

    def path(self, table: str) -> Path:
        """The folder of a table."""
        return Path(self._about(table)["path"])

    def _about(self, table: str, limit: int = 0) -> dict[str, Any]:
        (about,) = oreflow.tables(self.root, table, pipeline=_PIPELINE, environment=_ENVIRONMENT, limit=limit)
        return about
