"""What is known of the making of one table in a run, batch by batch, in the figures of its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oreflow_openlineage.written import Written, written

_COUNTED = ("published", "refused")
"""The ends of a batch of which there is an account."""


@dataclass
class Batch:
    """A batch: the files of a source that it reads, how it ended, its account, and what it wrote."""

    number: int
    files: Sequence[Mapping[str, Any]] = ()
    status: str = ""
    account: Mapping[str, Any] = field(default_factory=dict)
    written: Written | None = None
    aside: Written | None = None

    @property
    def is_counted(self) -> bool:
        """Whether there is an account of it."""
        return self.status in _COUNTED and bool(self.account)

    @property
    def is_published(self) -> bool:
        """Whether its rows are in the table."""
        return self.status == "published"


@dataclass
class Making:
    """A table in a run: its entry in the plan, its folder and that of its quarantine, and its batches so far."""

    planned: Mapping[str, Any]
    folder: Path
    quarantine: Path
    batches: dict[int, Batch] = field(default_factory=dict)

    def begin(self, batch: int, files: Sequence[Mapping[str, Any]]) -> None:
        """Note what a batch reads."""
        self.batches[batch] = Batch(batch, files)

    def end(self, batch: int, status: str, account: Mapping[str, Any]) -> None:
        """Note how a batch has ended."""
        made = self.batches.setdefault(batch, Batch(batch))
        made.status, made.account = status, account
        if made.is_published:
            made.written = written(self.folder, batch)
            if account["quarantined"]:
                made.aside = written(self.quarantine, batch)

    def complete(self, result: Mapping[str, Any]) -> None:
        """Note what the entry of the table in the report has besides."""
        for each in result["batches"]:
            made = self.batches.get(each["batch"])
            if made is None or not made.status:
                self.begin(each["batch"], each["files"])
                self.end(each["batch"], each["status"], each)

    @property
    def accounts(self) -> list[Mapping[str, Any]]:
        """The accounts of the batches of which there is one."""
        return [each.account for each in self.batches.values() if each.is_counted]

    @property
    def published(self) -> list[Batch]:
        """The batches whose rows are in the table."""
        return [each for each in self.batches.values() if each.is_published]

    @property
    def read(self) -> int:
        """How many rows were read."""
        return sum(account["read"] for account in self.accounts)

    @property
    def files(self) -> list[Mapping[str, Any]]:
        """The files of its source that were read."""
        return [file for each in self.batches.values() if each.is_counted for file in each.files]

    def rows(self, what: str) -> int:
        """How many rows were `published` or `quarantined`."""
        return sum(each.account[what] for each in self.published)
