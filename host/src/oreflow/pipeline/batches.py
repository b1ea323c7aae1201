"""The batch protocol: what goes into batch N of a table is written down before it runs.

It is the protocol of Spark Structured Streaming's micro-batches (offset log before, commit log
after): the commit of batch N carries N as an application transaction, so that after a crash the
same batch is either run again with the same inputs or found done.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oreflow.contract import OreflowError, SourceFile, Table
from oreflow.pipeline.access import Access
from oreflow.pipeline.faults import SourceAway
from oreflow.pipeline.journal import Claim, ClaimedFile, Journal
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.model import Pipeline, Source, TableSpec
from oreflow.resilience import ResilienceError

_BLOCK = 1 << 20  # bytes


Clock = Callable[[], datetime]
"""Gives the time (UTC) at which a batch is claimed."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Pending:
    """What the next run of a table would do: a claim (None: nothing is new) and remarks for the report."""

    claim: Claim | None
    remarks: tuple[str, ...] = ()


class Batches:
    """The batches of one table: those done, the one claimed, the one that comes next."""

    def __init__(self, pipeline: Pipeline, spec: TableSpec, access: Access, now: Clock | None = None) -> None:
        self._pipeline = pipeline
        self._spec = spec
        self._access = access
        self._now = now or _utc_now
        self._lake = Lake(pipeline.lake)
        self.table = spec.name
        self.journal = Journal(self._lake, access, spec.name)

    def next(self, done: int, *, refresh: bool = False) -> Pending:
        """The claim of the batch after `done`: the one written down, if a run broke off there, else a new one."""
        written = None if refresh else self.journal.claimed(done + 1)
        if self._spec.source:
            return self._new_files(self._spec.source, done, written, refresh=refresh)
        return self._new_batches(done, written, refresh=refresh)

    def write(self, claim: Claim) -> Claim:
        """Write a claim down, with the digests of its files."""
        files = tuple(replace(file, sha256=self._digest(file)) for file in claim.files)
        complete = replace(claim, files=files)
        self.journal.write_claim(complete)
        return complete

    def source_files(self, claim: Claim) -> list[SourceFile]:
        """The claimed files, to be read."""
        return [SourceFile(self._pipeline.project / file.label, _shown(file.label)) for file in claim.files]

    def _changed(self, before: ClaimedFile, now: ClaimedFile) -> bool:
        """Whether the content is another one; a copy of the project has other times for the same content."""
        if before.bytes != now.bytes:
            return True
        untouched = before.modified_ns == now.modified_ns and before.sha256 != ""
        return not untouched and before.sha256 != self._digest(now)

    def _digest(self, file: ClaimedFile) -> str:
        """The digest of the content; '' where it cannot be read, and that is no matter of the moment.

        Raises:
            OSError: it cannot be read now.
        """
        source = self._spec.source
        if file.bytes < 0 or source is None:
            return ""
        try:
            # A path object for each of a thousand files takes longer than the reading.
            path = os.path.join(self._pipeline.project, file.label)  # noqa: PTH118  which takes longer
            return self._access.call(source.name, "digest", _digest, path)
        except OSError as error:
            if self._access.classify(error).retryable:
                raise
            return ""

    def _list_files(self, source: Source) -> list[ClaimedFile] | None:
        """The files as they are; None where their folder is not there."""
        try:
            return self._access.call(source.name, "list", listed_files, self._pipeline.project, source)
        except ResilienceError:
            raise
        except Exception as error:
            raise OreflowError(f"the files of source '{source.name}' cannot be listed: {error}") from error

    def _new_files(self, source: Source, done: int, written: Claim | None, *, refresh: bool) -> Pending:
        refresh = refresh or (written is not None and written.refresh)
        loaded, set_aside, batches = self._loaded(done)
        found = self._list_files(source)
        if found is None and loaded:
            raise SourceAway(
                f"the folder of source '{source.name}' is not there ({source.path}), of which files were loaded"
                " - bring it back; an empty folder says that nothing is new"
            )
        files = found or []
        listed = {file.label for file in files}
        gone = [label for label in loaded if label not in listed and label not in set_aside]
        if refresh and files:
            remarks = [f"{self._gone(gone, batches)}; what was in it is not in the table made anew"] if gone else []
            return Pending(self._claim(done, files, refresh=True), tuple(remarks))
        changed = [f for f in files if f.label in loaded and self._changed(loaded[f.label], f)]
        new = {f.label: f for f in files if f.label not in loaded or (f in changed and f.label in set_aside)}
        remarks = [
            f"{_shown(file.label)} has changed since it was loaded, and was not loaded again; give it a new name to"
            f" load it beside the old rows, or make the table anew: oreflow run --full-refresh {self._spec.name}"
            for file in changed
            if file.label not in set_aside
        ]
        remarks += [f"{self._gone(gone, batches)}; its rows are still in the table"] if gone else []
        if not files:
            remarks.append(f"no file matches {source.path}")
        if written and all(f.label in new and not self._changed(f, new[f.label]) for f in written.files):
            return Pending(replace(written, fingerprint=self._spec.fingerprint), tuple(remarks))
        return Pending(self._claim(done, list(new.values())) if new else None, tuple(remarks))

    def _gone(self, labels: Sequence[str], batches: Mapping[str, int]) -> str:
        """That files are gone: the first by its name, since whoever moves old files away has thousands of them."""
        first, *others = labels
        there = (self._pipeline.project / first).exists()
        where = f"matched by {self._spec.source.path}" if there and self._spec.source else "there"
        more = f", like {len(others):,} more" if others else ""
        return f"{_shown(first)} was loaded in batch {batches[first]} and is no longer {where}{more}"

    def _loaded(self, done: int) -> tuple[dict[str, ClaimedFile], set[str], dict[str, int]]:
        """The files of all finished batches, those of them that could not be read, and the batch of each."""
        loaded: dict[str, ClaimedFile] = {}
        set_aside: set[str] = set()
        batches: dict[str, int] = {}
        for batch in range(1, done + 1):
            claim = self.journal.finished(batch)
            if claim.refresh:
                loaded, set_aside, batches = {}, set(), {}
            batches |= dict.fromkeys((file.label for file in claim.files), batch)
            loaded |= {file.label: file for file in claim.files}
            set_aside -= {file.label for file in claim.files}
            if aside := {entry["file"] for entry in self.journal.account(batch).get("set_aside", ())}:
                set_aside |= {file.label for file in claim.files if _shown(file.label) in aside}
        return loaded, set_aside, batches

    def _new_batches(self, done: int, written: Claim | None, *, refresh: bool) -> Pending:
        refresh = refresh or (written is not None and written.refresh)
        before = self.journal.finished(done) if done else None
        inputs, origins = {}, {}
        for name in self._spec.inputs:
            table = self._access.tables.load(self._lake.table(name))
            if table is None:
                return Pending(None, (f"its input {name} has no table yet",))
            if all(column.startswith("_") for column in table.columns):
                return Pending(None, (f"its input {name} has no readable file yet",))
            seen = before.inputs[name][1] if before and name in before.inputs else 0
            inputs[name], origins[name] = (seen + 1, table.batch), table.id
            refresh = refresh or (seen > 0 and self._made_anew(before, table, name, seen))
        if refresh:
            inputs = {name: (1, last) for name, (_, last) in inputs.items()}
        elif written and self._fits(written, inputs, origins):
            return Pending(replace(written, fingerprint=self._spec.fingerprint))
        claim = self._claim(done, inputs=inputs, origins=origins, refresh=refresh)
        if before is None or refresh or any(first <= last for first, last in inputs.values()):
            return Pending(claim)
        return Pending(None)

    def _fits(self, written: Claim, inputs: Mapping[str, tuple[int, int]], origins: Mapping[str, str]) -> bool:
        """Whether a claim that was written down is still one on the inputs as they are."""
        return dict(written.origins) == dict(origins) and all(
            written.inputs[name][0] in (1, first) and written.inputs[name][1] <= last
            for name, (first, last) in inputs.items()
        )

    def _made_anew(self, before: Claim | None, table: Table, name: str, seen: int) -> bool:
        """Whether rows of an input that were read before are no longer in it: what was made of them has to go."""
        if seen > table.batch or (before and before.origins.get(name) != table.id):
            return True
        journal = Journal(self._lake, self._access, name)
        later = range(seen + 1, table.batch + 1)
        return any(journal.finished(batch).refresh or journal.account(batch).get("replaced") for batch in later)

    def changed_declaration(self, done: int) -> bool:
        """Whether the declaration is another one than that of the last finished batch."""
        return done > 0 and self.journal.finished(done).fingerprint != self._spec.fingerprint

    def _claim(self, done: int, files: Sequence[ClaimedFile] = (), **what: Any) -> Claim:
        return Claim(done + 1, self._now(), self._spec.fingerprint, tuple(files), **what)


def _shown(label: str) -> str:
    """A label as people and engines see it: bytes that are not UTF-8 escaped."""
    return label if label.isascii() else os.fsencode(label).decode("utf-8", "backslashreplace")


def _look(project: Path, label: str) -> ClaimedFile | None:
    """A file as it is now, None for a folder; of what is no file, or gone meanwhile, the engine will say why."""
    try:
        status = os.stat(os.path.join(project, label))  # noqa: PTH116, PTH118  paths cost ten times as much, for each file
    except OSError:
        return ClaimedFile(label, -1, 0)
    if stat.S_ISDIR(status.st_mode):
        return None
    return ClaimedFile(label, status.st_size if stat.S_ISREG(status.st_mode) else -1, status.st_mtime_ns)


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  see where it is called
            while block := stream.read(_BLOCK):  # file_digest would make and clear a buffer for each small file
                digest.update(block)
    except OSError as error:
        error.filename = path  # of a file that was opened the system does not say which it is
        raise
    return digest.hexdigest()


def listed_files(project: Path, source: Source) -> list[ClaimedFile] | None:
    """The files of a source as they are now; None where their folder is not there.

    Raises:
        OSError: its folder cannot be looked into.
    """
    labels = _labels(project, source)
    if labels is None:
        return None
    found = [_look(project, label) for label in labels]
    return sorted((file for file in found if file), key=lambda file: file.label)


def _labels(project: Path, source: Source) -> set[str] | None:
    """The files of a source, each by one name; None where their folder is not there.

    A relative pattern gives relative names, also outside the project, so that both can be moved together.

    Raises:
        OSError: a folder cannot be looked into.
    """
    pattern = os.path.expanduser(source.path)  # noqa: PTH111  a pattern is no path yet
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts[:-1])
    folder = project.joinpath(*plain)
    try:  # glob takes a folder that it cannot look into, such as that of a server that is away, for an empty one
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = glob.glob(pattern, root_dir=project, recursive=True)  # noqa: PTH207  pathlib's refuses absolute patterns
    return {os.path.normpath(match).replace(os.sep, "/") for match in found}
