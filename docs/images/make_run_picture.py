# ruff: noqa: INP001  a script beside the picture that it makes, no package
"""Draw docs/images/run.svg: a new project, run for real on a terminal of its own, and what it printed.

    python docs/images/make_run_picture.py

needs oreflow with its plugins, and rich, in the environment of this Python, and a system with pseudo-terminals.
"""

from __future__ import annotations

import os
import pty
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("run.svg")
WIDTH, HEIGHT = 118, 50
SHOWN = (
    "oreflow init shop && cd shop",
    "oreflow run",
    "oreflow quarantine show silver.transactions --limit 3",
)


def main() -> None:
    """Run the commands in a new project and draw them with their output."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for command in SHOWN:
            console.print(Text.assemble(("$ ", "bright_black"), (command, "bold")), soft_wrap=True)
            if command.startswith("oreflow init"):
                printed(["init", "shop"], here)
                here /= "shop"
                continue
            console.print(Text.from_ansi("\n".join(printed(command.split()[1:], here)).rstrip()), soft_wrap=True)
            if command is not SHOWN[-1]:
                console.print()
    svg = console.export_svg(title="oreflow", unique_id="run")
    # No font is fetched: whoever looks has one of a fixed width.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    fonts = "DejaVu Sans Mono, Menlo, Consolas, monospace"
    svg = re.sub(r"font-family: Fira Code, monospace", f"font-family: {fonts}", svg)
    # Blanks at the beginning of a text, and none of the ends of lines that Rich writes as texts of their own.
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    svg = re.sub(r"<text [^>]*>\n</text>", "", svg)
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def printed(arguments: list[str], folder: Path) -> list[str]:
    """The lines that a command leaves on a terminal, with their colours."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(folder)
        os.environ |= {"COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": "xterm-256color"}
        os.execv(sys.executable, [sys.executable, "-m", "oreflow", *arguments])  # noqa: S606
    output = b""
    try:
        while block := os.read(terminal, 65536):
            output += block
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.waitpid(child, 0)
    lines = output.decode().replace("\r\n", "\n").split("\n")
    # A progress line is overwritten: what follows the last "erase the line" is what stays.
    return [line.rsplit("\x1b[2K", 1)[-1] for line in lines]


if __name__ == "__main__":
    main()
