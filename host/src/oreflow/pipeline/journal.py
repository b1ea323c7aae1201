"""What is written down of the batches of a table: the claim before a batch runs, the account after it.

Both are files beside the tables. They are also kept with the table's commits, from where they are read
where the files are missing or damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from oreflow.contract import Commit, StepError, TableFormat
from oreflow.pipeline.access import Access
from oreflow.pipeline.lake import Lake, write_json
from oreflow.pipeline.resources import LAKE


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
    batch that this one reads, `origins` the table's identity. `refresh` makes the table anew from everything.
    """

    batch: int
    claimed_at: datetime
    fingerprint: str
    files: tuple[ClaimedFile, ...] = ()
    inputs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    refresh: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The claim as JSON values."""
        files = [vars(file) for file in self.files]
        return {**vars(self), "claimed_at": self.claimed_at.isoformat(), "files": files}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Claim:
        """The claim that `to_dict` described."""
        return cls(
            batch=value["batch"],
            claimed_at=datetime.fromisoformat(value["claimed_at"]),
            fingerprint=value["fingerprint"],
            files=tuple(ClaimedFile(**file) for file in value["files"]),
            inputs={name: (first, last) for name, (first, last) in value["inputs"].items()},
            origins=value["origins"],
            refresh=value["refresh"],
        )


class Journal:
    """The claims and accounts of one table."""

    def __init__(self, lake: Lake, access: Access, name: str) -> None:
        self._name = name
        self._table = lake.table(name)
        self._folder = lake.batches(name)
        self._access = access

    def claimed(self, batch: int) -> Claim | None:
        """The claim of a batch, as far as there is a file of it."""
        value = self._access.read(self._claim_path(batch))
        return Claim.from_dict(value) if value else None

    def finished(self, batch: int) -> Claim:
        """The claim of a batch that is in the table.

        Raises:
            StepError: neither the file nor the table's log has it.
        """
        claim = self.claimed(batch)
        if claim is None:
            value = self._access.tables.account(self._table, batch).get("claim")
            if value is None:
                raise StepError(
                    f"{self._claim_path(batch)} is missing or damaged, and the table's log no longer has batch {batch}"
                    f" - restore the file, or make the table anew: oreflow run --full-refresh {self._name}"
                )
            claim = Claim.from_dict(value)
        return claim

    def account(self, batch: int) -> Mapping[str, Any]:
        """The account of a batch that is in the table; empty where nothing has it."""
        found = self._access.read(self._account_path(batch))
        return self._access.tables.account(self._table, batch) if found is None else found

    def write_claim(self, claim: Claim) -> None:
        """Write a claim down; from here on a crash leads back to it.

        Claims of later batches are of a table that was in this folder before, and go.
        """
        self._access.call(LAKE, "write", self._write_claim, claim)

    def _write_claim(self, claim: Claim) -> None:
        for path in self._folder.glob("*.json"):
            number = path.name.split(".")[0]
            if number.isdigit() and (int(number) > claim.batch or path == self._account_path(claim.batch)):
                path.unlink()
        write_json(self._claim_path(claim.batch), claim.to_dict())

    def release(self, claim: Claim) -> None:
        """Take back the claim of a batch of which nothing was published, so that the next may choose anew."""
        self._access.call(LAKE, "write", self._claim_path(claim.batch).unlink, missing_ok=True)

    def write_account(self, batch: int, account: Mapping[str, Any]) -> None:
        """Write down where the rows of a batch went."""
        self._access.write(self._account_path(batch), account)

    def _claim_path(self, batch: int) -> Path:
        return self._folder / f"{batch:06d}.json"

    def _account_path(self, batch: int) -> Path:
        return self._folder / f"{batch:06d}.account.json"


def settle(tables: TableFormat, quarantine: Path, batch: int) -> None:
    """Take out of a quarantine what was set aside from rows that batch `batch` replaced as a whole.

    It is done after the table's commit, and again at the start of the next run in case that was cut off.
    """
    existing = tables.load(quarantine)
    if existing and (old := tuple(file for file in existing.files if file.last_batch < batch)):
        tables.commit(quarantine, Commit(existing.batch, existing.version, existing.columns, remove=old))
