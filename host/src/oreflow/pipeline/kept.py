"""What a batch would have set aside that its gate refused: kept with its columns, to be read as a quarantine is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from oreflow.contract import DataFile, DataType, Staged, Table
from oreflow.pipeline.lake import read_json, write_json

_ROWS = "quarantined"


def keep(folder: Path, staged: Staged) -> None:
    """Say of the files in `folder/quarantined` what they have; nothing where there are none."""
    if staged.files:
        columns = {name: str(of_type) for name, of_type in staged.columns.items()}
        write_json(folder / f"{_ROWS}.json", {"columns": columns, "files": [asdict(file) for file in staged.files]})


def kept(folder: Path, batch: int) -> Table | None:
    """The rows that `keep` has kept; None where there are none, or somebody has taken them away."""
    said = read_json(folder / f"{_ROWS}.json")
    if said is None:
        return None
    columns = {name: DataType.parse(of_type) for name, of_type in said["columns"].items()}
    return Table(folder / _ROWS, 0, batch, columns, tuple(DataFile(**file) for file in said["files"]))
