"""Reads the pages of the documentation, and runs what they tell the reader to type."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent.parent
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`(?P<path>[\w./-]+\.(?:csv|py|toml|yaml))`[^`]*(?:`[^`]+`[^`]*)*:\Z")
_END = "\x1e"  # the ASCII record separator: no command prints it

# What is another figure each time, or on each machine.
_PASSING = (
    (re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?=\s+(?:success|failed)\b)"), "NOW"),
    (re.compile(r"(?<=\s)\d+\.\d\d(?= s\b|\s|$)"), "SECONDS"),
    (re.compile(r"\b\d+(?:\.\d)? (?:bytes|kB|GB)\b"), "SIZE"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `before` is the paragraph that leads to it."""

    language: str
    text: str
    before: str

    @property
    def file(self) -> str:
        """The file that the reader is told to make of it; '' where it is none."""
        found = _FILE.search(" ".join(self.before.split())) if self.language != "console" else None
        return found["path"] if found else ""


@dataclass(frozen=True)
class Command:
    """A line that the reader types, and the output that the page shows for it."""

    line: str
    shown: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code that the shown output stands for."""
        if any(line.startswith("error: ") for line in self.shown):
            return 2
        return int(any(re.match(r"run \S+: failed", line) for line in self.shown))


@dataclass(frozen=True)
class Page:
    """A page of the documentation."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def blocks(self) -> list[Block]:
        found = []
        for fence in _FENCE.finditer(self.text):
            before = self.text[: fence.start()].rstrip("\n")
            found.append(Block(fence["language"], fence["text"], before.rpartition("\n\n")[2]))
        return found

    @property
    def steps(self) -> list[Command | Block]:
        """What the reader does, in order: types a command, or saves a block as a file."""
        found: list[Command | Block] = []
        for block in self.blocks:
            if block.language == "console":
                found += _commands(block.text)
            elif block.file:
                found.append(block)
        return found

    @property
    def commands(self) -> list[Command]:
        return [step for step in self.steps if isinstance(step, Command)]

    def sections(self, level: int = 2) -> dict[str, str]:
        """The sections of a level by their headings; what is in a block is no heading."""
        prose = _FENCE.sub(lambda fence: fence[0].replace("\n#", "\n\0#"), self.text)
        parts = re.split(rf"^{'#' * level} (.+)$", prose, flags=re.MULTILINE)[1:]
        return {parts[i].strip(): parts[i + 1].replace("\0#", "#") for i in range(0, len(parts), 2)}

    @property
    def code_spans(self) -> list[str]:
        """All that is set as code within the text, not the blocks."""
        return re.findall(r"`([^`\n]+)`", _FENCE.sub("", self.text))

    def says(self, name: str) -> bool:
        """Whether a word is set as code somewhere: alone, as a key, a call, or a part of a longer line of code."""
        word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])")
        return any(word.search(span) for span in self.code_spans)


def _commands(text: str) -> Iterator[Command]:
    line, shown = "", []
    for each in text.splitlines():
        if each.startswith("$ "):
            if line:
                yield Command(line, tuple(shown))
            line, shown = each[2:], []
        else:
            shown.append(each)
    if line:
        yield Command(line, tuple(shown))


@pytest.fixture(scope="session")
def page() -> Callable[[str], Page]:
    """A page by its path in the repository."""
    return lambda path: Page(_ROOT / path)


@pytest.fixture(scope="session")
def type_along() -> Callable[..., list[tuple[Command, int, str]]]:
    """Do the steps of a page in one bash session, as a reader would; gives each command's exit code and output.

    `skip` says of a command that it is not run, `python` is that of the environment to be in, `before` has lines to be
    run before a command, by the command's number among those that are run (from 0).
    """

    def play(
        page: Page,
        folder: Path,
        *,
        skip: Callable[[str], bool],
        python: Path,
        before: Mapping[int, str] | None = None,
        pythonpath: str = "",
    ) -> list[tuple[Command, int, str]]:
        script, played = ["_code=0"], []
        for step in page.steps:
            if isinstance(step, Block):
                script += [f"mkdir -p $(dirname {step.file})", f"cat > {step.file} <<'\x1d'\n{step.text}\x1d"]
            elif not skip(step.line):
                script.append(f"{{ :; {(before or {}).get(len(played), ':')}\n}} > /dev/null || exit 99")
                script += ["(exit $_code)", step.line, "_code=$?", f"printf '{_END}%d{_END}' $_code"]
                played.append(step)
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=folder,
            env=_environment(python, pythonpath),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        parts = done.stdout.split(_END)
        assert len(parts) == 2 * len(played) + 1, done.stdout  # else the session ended early
        return [(command, int(parts[2 * i + 1]), parts[2 * i]) for i, command in enumerate(played)]

    return play


def _environment(python: Path, pythonpath: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "OREFLOW_ENV")}
    paths = [path for path in (pythonpath, kept.get("PYTHONPATH", "")) if path]
    path = os.pathsep.join([str(python.parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture(scope="session")
def stable() -> Callable[[str, str], list[str]]:
    """The lines of an output without what is another figure each time; stable(output, the project's folder)."""

    def lines(output: str, project: str) -> list[str]:
        found = []
        # The examples of a failed gate come in no order, and all on one line.
        for line in re.split(r"\n|; |, for example ", output.replace(project, "/home/ada/shop")):
            text = line
            for pattern, word in _PASSING:
                text = pattern.sub(word, text)
            text = text.strip()
            if text and not set(text) <= set("─═ ") and text != "...":
                found.append(text)
        return found

    return lines
