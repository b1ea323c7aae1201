"""Makes a larger day of the same retail: N copies of a folder of files, none a duplicate of another.

Plain copies would make all rows but the first copy's duplicates, and a job that is mostly deduplication is not the
job that is measured. Each copy gets invoice numbers of its own instead, moved up by a fixed step, so that the
six digits, the duplicates within a copy and the share of every defect stay as they are.

    python tests/bench/scale_up.py RAW_DIR OUT_DIR [--copies 10]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

STEP = 40_000  # wider than the invoice numbers of a year of retail; 536,000 and eleven steps still have six digits
HIGHEST = 999_999

# The invoice number is the first field of a line. Bytes, because a line that cannot be decoded must be copied too.
_INVOICE = re.compile(rb"^(C?)(\d{6})(?=,)", re.MULTILINE)


def _moved(match: re.Match[bytes], by: int) -> bytes:
    number = int(match[2]) + by
    if number > HIGHEST:
        raise SystemExit(f"invoice {match[2].decode()} moved up by {by} has more than six digits: make fewer copies")
    return b"%s%06d" % (match[1], number)


def scale_up(raw: Path, out: Path, copies: int) -> int:
    """Write `copies` variants of each csv file of `raw` into `out`; how many files that makes."""
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(raw.glob("*.csv"))
    for file in files:
        content = file.read_bytes()
        for copy in range(copies):
            moved = _INVOICE.sub(lambda match, by=copy * STEP: _moved(match, by), content) if copy else content
            (out / f"{file.stem}-{copy:02}.csv").write_bytes(moved)
    return len(files) * copies


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Copy a folder of retail files N times, without making duplicates.")
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--copies", type=int, default=10)
    options = parser.parse_args(arguments)
    print(f"{scale_up(options.raw, options.out, options.copies)} files in {options.out}")


if __name__ == "__main__":
    sys.exit(main())
