"""The engines that the contract's tests run on, and how the tests look at frames without knowing the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import pytest

import oreflow
from oreflow.contract import Engine, SourceFile, SourceScan

ENGINES = ("polars", "spark")


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "spark":
        request.getfixturevalue("spark")
    return oreflow.get_processor_factory().create_engine(request.param)


@pytest.fixture(scope="session")
def rows(engine: Engine) -> Callable[[nw.LazyFrame[Any] | None], list[dict[str, Any]]]:
    """The rows of a frame, by way of the engine; by file and line where they have these, since frames have no order."""

    def collect(frame: nw.LazyFrame[Any] | None) -> list[dict[str, Any]]:
        found = [] if frame is None else engine.execute({}, {"rows": frame}).collected["rows"]
        return sorted(found, key=lambda row: (row.get("_source_file", ""), row.get("_source_row") or 0))

    return collect


@pytest.fixture(scope="session")
def rows_read(rows: Callable[..., list[dict[str, Any]]]) -> Callable[[SourceScan], int]:
    """How many rows a scan says that there are."""

    def count(scan: SourceScan) -> int:
        if isinstance(scan.rows_read, int):
            return scan.rows_read
        ((value,),) = (row.values() for row in rows(scan.rows_read))
        return value

    return count


@pytest.fixture
def scan_texts(engine: Engine, tmp_path: Path) -> Callable[..., SourceScan]:
    """Write files (name -> bytes) and scan them in that order."""

    def scan(files: Mapping[str, bytes], folder: Path = tmp_path, **options: Any) -> SourceScan:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return engine.scan_source([SourceFile(folder / name, name) for name in files], {"format": "csv", **options})

    return scan


@pytest.fixture
def text_frame(scan_texts: Callable[..., SourceScan]) -> Callable[..., nw.LazyFrame[Any]]:
    """A frame of one text column (`text`), made through a file so that every engine can make it; None is NULL."""

    def make(values: Sequence[str | None], column: str = "text") -> nw.LazyFrame[Any]:
        lines = ["number," + column]
        for number, value in enumerate(values):
            lines.append(f"{number}," + ("" if value is None else '"' + value.replace('"', '""') + '"'))
        frame = scan_texts({"values.csv": ("\n".join(lines) + "\n").encode()}).rows
        assert frame is not None
        return frame

    return make
