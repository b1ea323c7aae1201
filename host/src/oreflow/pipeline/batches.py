"""The batch protocol: what goes into batch N of a table is written down before it runs.

It is the protocol of Spark Structured Streaming's micro-batches (offset log before, commit log
after): the commit of batch N carries N as an application transaction, so that after a crash the
same batch is either run again with the same inputs or found done.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oreflow.contract import OreflowError, SourceFile, StepError, TableFormat
from oreflow.pipeline.lake import Lake, read_json, write_json
from oreflow.pipeline.model import Pipeline, Source, TableSpec


@dataclass(frozen=True)
class ClaimedFile:
    """A raw file as it was when it was claimed; `sha256` of its content is taken only then."""

    label: str
    bytes: int
    modified_ns: int
    sha256: str = ""


@dataclass(frozen=True)
class Claim:
    """The inputs of one batch of a table.

    `files` are for a table with a source; `inputs` gives for each input table the first and the last
    batch that this one reads. `refresh` makes the table anew from everything.
    """

    batch: int
    claimed_at: datetime
    fingerprint: str
    files: tuple[ClaimedFile, ...] = ()
    inputs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    refresh: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The claim as JSON values."""
        return {**asdict(self), "claimed_at": self.claimed_at.isoformat()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Claim:
        """The claim that `to_dict` described."""
        return cls(
            batch=value["batch"],
            claimed_at=datetime.fromisoformat(value["claimed_at"]),
            fingerprint=value["fingerprint"],
            files=tuple(ClaimedFile(**file) for file in value["files"]),
            inputs={name: (first, last) for name, (first, last) in value["inputs"].items()},
            refresh=value["refresh"],
        )


@dataclass(frozen=True)
class Pending:
    """What the next run of a table would do: a claim (None: nothing is new) and remarks for the report."""

    claim: Claim | None
    remarks: tuple[str, ...] = ()


class Batches:
    """The batches of one table: those done, the one claimed, the one that comes next."""

    def __init__(self, pipeline: Pipeline, spec: TableSpec, tables: TableFormat) -> None:
        self._pipeline = pipeline
        self._spec = spec
        self._tables = tables
        self._lake = Lake(pipeline.lake)
        self._folder = self._lake.batches(spec.name)

    def next(self, done: int, *, refresh: bool = False) -> Pending:
        """The claim of the batch after `done`: the one written down, if a run broke off there, else a new one."""
        written = None if refresh else self._written(done + 1)
        if written and self._still_there(written):
            return Pending(written)
        make = self._new_files if self._spec.source else self._new_batches
        return make(done, refresh=refresh)

    def write(self, claim: Claim) -> Claim:
        """Write a claim down, with the digests of its files; from here on a crash leads back to it."""
        files = tuple(replace(file, sha256=self._digest(file)) for file in claim.files)
        complete = replace(claim, files=files)
        write_json(self._path(claim.batch), complete.to_dict())
        return complete

    def release(self, claim: Claim) -> None:
        """Take back the claim of a batch of which nothing was published, so that the next may choose anew."""
        self._path(claim.batch).unlink(missing_ok=True)

    def account_path(self, batch: int) -> Path:
        """Where the account of a finished batch is kept."""
        return self._folder / f"{batch:06d}.account.json"

    def account(self, batch: int) -> dict[str, Any]:
        """The account of a finished batch; from the table's own log where the file is missing."""
        found = read_json(self.account_path(batch))
        if found is None:
            found = dict(self._tables.account(self._lake.table(self._spec.name), batch))
        return found

    def source_files(self, claim: Claim) -> list[SourceFile]:
        """The claimed files, to be read."""
        return [SourceFile(self._pipeline.project / file.label, file.label) for file in claim.files]

    def _path(self, batch: int) -> Path:
        return self._folder / f"{batch:06d}.json"

    def _written(self, batch: int) -> Claim | None:
        value = read_json(self._path(batch))
        return Claim.from_dict(value) if value else None

    def _finished(self, batch: int) -> Claim:
        claim = self._written(batch)
        if claim is None:  # the state folder was lost: the commit has the claim as well
            value = self._tables.account(self._lake.table(self._spec.name), batch).get("claim")
            if value is None:
                name, path = self._spec.name, self._path(batch)
                raise StepError(
                    f"{path} is missing, and the table's log no longer has batch {batch} of {name}"
                    f" - restore the file, or make the table anew: oreflow run --full-refresh {name}"
                )
            claim = Claim.from_dict(value)
        return claim

    def _still_there(self, claim: Claim) -> bool:
        now = {file.label: file for file in self._list_files()} if self._spec.source else {}
        return all(file.label in now and not self._changed(file, now[file.label]) for file in claim.files)

    def _changed(self, before: ClaimedFile, now: ClaimedFile) -> bool:
        """Whether the content is another one; a copy of the project has other times for the same content."""
        if before.bytes != now.bytes:
            return True
        return before.modified_ns != now.modified_ns and before.sha256 != self._digest(now)

    def _digest(self, file: ClaimedFile) -> str:
        try:
            with (self._pipeline.project / file.label).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return ""  # the engine will say why it cannot be read

    def _list_files(self) -> list[ClaimedFile]:
        source, project = self._spec.source, self._pipeline.project
        assert source is not None  # noqa: S101  for the type checker; callers ask only tables with a source
        found = []
        for path in _matches(project, source):
            status = path.stat()
            label = path.relative_to(project) if path.is_relative_to(project) else path
            found.append(ClaimedFile(label.as_posix(), status.st_size, status.st_mtime_ns))
        return sorted(found, key=lambda file: file.label)

    def _new_files(self, done: int, *, refresh: bool) -> Pending:
        loaded: dict[str, ClaimedFile] = {}
        set_aside: set[str] = set()
        for batch in range(1, done + 1):
            claim = self._finished(batch)
            if claim.refresh:
                loaded, set_aside = {}, set()
            loaded |= {file.label: file for file in claim.files}
            aside = {entry["file"] for entry in self.account(batch).get("set_aside", ())}
            set_aside = (set_aside - {file.label for file in claim.files}) | aside
        files = self._list_files()
        if refresh:
            return Pending(self._claim(done, files, refresh=True) if files else None)
        changed = [f for f in files if f.label in loaded and self._changed(loaded[f.label], f)]
        new = [f for f in files if f.label not in loaded or (f in changed and f.label in set_aside)]
        remarks = [
            f"{file.label} has changed since it was loaded, and was not loaded again; give it a new name to load it"
            f" beside the old rows, or make the table anew: oreflow run --full-refresh {self._spec.name}"
            for file in changed
            if file.label not in set_aside
        ]
        if not files and self._spec.source:
            remarks.append(f"no file matches {self._spec.source.path}")
        return Pending(self._claim(done, new) if new else None, tuple(remarks))

    def _new_batches(self, done: int, *, refresh: bool) -> Pending:
        before = self._finished(done) if done else None
        inputs = {}
        for name in self._spec.inputs:
            table = self._tables.load(self._lake.table(name))
            if table is None:
                return Pending(None, (f"its input {name} has no table yet",))
            if all(column.startswith("_") for column in table.columns):
                return Pending(None, (f"its input {name} has no readable file yet",))
            seen = before.inputs[name][1] if before and name in before.inputs else 0
            inputs[name] = (seen + 1, table.batch)
            refresh = refresh or (seen > 0 and self._was_refreshed(name, seen + 1, table.batch))
        if refresh:
            inputs = {name: (1, last) for name, (_, last) in inputs.items()}
        claim = self._claim(done, inputs=inputs, refresh=refresh)
        if before is None or refresh or any(first <= last for first, last in inputs.values()):
            return Pending(claim)
        return Pending(None)

    def _was_refreshed(self, name: str, first: int, last: int) -> bool:
        """Whether an input was made anew in one of these batches: what was made of its old rows has to go as well."""
        claims = (read_json(self._lake.batches(name) / f"{batch:06d}.json") for batch in range(first, last + 1))
        return any(claim is not None and claim["refresh"] for claim in claims)

    def changed_declaration(self, done: int) -> bool:
        """Whether the declaration is another one than that of the last finished batch."""
        return done > 0 and self._finished(done).fingerprint != self._spec.fingerprint

    def _claim(self, done: int, files: Sequence[ClaimedFile] = (), **what: Any) -> Claim:
        return Claim(done + 1, datetime.now(UTC), self._spec.fingerprint, tuple(files), **what)


def _matches(project: Path, source: Source) -> list[Path]:
    pattern = os.path.expanduser(source.path)  # noqa: PTH111  a pattern is no path yet
    try:
        found = [project / match for match in glob.glob(pattern, root_dir=project, recursive=True)]  # noqa: PTH207  pathlib's glob refuses absolute patterns
    except OSError as error:
        raise OreflowError(f"the files of source '{source.name}' cannot be listed: {error}") from error
    folders = not glob.has_magic(pattern)
    paths = sorted(Path(os.path.normpath(path)) for path in found)
    return [path for path in paths if folders or not path.is_dir()]
