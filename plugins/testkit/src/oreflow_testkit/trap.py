"""Frames that can be planned with and not be read: real Parquet files whose pages are gone and whose footer is not.

Whoever resolves columns and types finds them in the footer; whoever reads a row, or counts rows, fails.
It works on every engine, because it is the file that is broken.
"""

from __future__ import annotations

from pathlib import Path

import narwhals as nw

from oreflow.contract import Engine, Staging, Table
from oreflow_testkit.errors import ContractBroken
from oreflow_testkit.subject import Frame

_MAGIC = 4  # bytes, at both ends of a Parquet file; the length of the footer stands before the last ones
_TAIL = 8


def unreadable(frame: Frame, engine: Engine, folder: Path) -> Frame:
    """A frame with the columns of another, of which no row can be read."""
    folder.mkdir(parents=True)
    staged = engine.execute({"rows": Staging(frame, folder, "rows", (1, 1))}).staged["rows"]
    if not staged.files:
        raise ContractBroken("it cannot be judged without rows - give the check some in `rows`")
    for file in staged.files:
        overwrite_pages(folder / file.path)
    scan = engine.scan_table(Table(folder, 0, 1, staged.columns, staged.files))
    # A count alone could be had from the footers; after this it has to look at the rows.
    some = next(iter(staged.columns))
    return scan.filter(nw.col(some).is_null() | ~nw.col(some).is_null())


def overwrite_pages(file: Path) -> None:
    """Destroy everything in a Parquet file but its footer."""
    content = bytearray(file.read_bytes())
    footer = int.from_bytes(content[-_TAIL:-_MAGIC], "little")
    end = len(content) - _TAIL - footer
    content[_MAGIC:end] = b"\xff" * (end - _MAGIC)
    file.write_bytes(content)


def holds(frame: Frame, engine: Engine) -> bool:
    """Whether the trap works on an engine: the columns can be had, and rows can neither be read nor counted."""
    if not frame.collect_schema().names():
        return False
    return all(_fails(engine, reading) for reading in (frame, frame.select(nw.len().alias("rows"))))


def _fails(engine: Engine, reading: Frame) -> bool:
    try:
        engine.execute({}, {"rows": reading})
    except KeyboardInterrupt:
        raise
    except BaseException:  # the failure is what is wanted, whatever the engine calls it
        return True
    return False
