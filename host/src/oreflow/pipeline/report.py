"""What a run says of itself: one document, which `--json` prints and the history keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeGuard

from oreflow.contract import Columns, StepError

SCHEMA = 1
"""The version of the document; it is raised where what is there gets another meaning, not where something is added."""
THRESHOLD = "quality_threshold"
"""What a batch has not passed whose score is below it."""
READABLE = "readable"
"""The rule that a line broke which the reader could not make a record of."""


@dataclass
class Account:
    """Where the rows of a batch went.

    `replaced` are rows of earlier batches that a merge took out of the table in favour of newer versions;
    `replaces` says whether the batch became the whole table; `rules` says how many rows broke each rule;
    `set_aside` are the files that could not be read at all; `run_id` is the run that has committed it. `columns` are
    those of the table after it, with their types, and `schema_changes` what of them it has changed: a `column`, the
    `change` (added, removed, changed) and the types `before` and `after`. `failures` are what its quality gate had
    against it, each with a `check`, the `figures` in words, and a few `samples` of its rows (`file`, `row`, `reason`).
    """

    read: int = 0
    published: int = 0
    quarantined: int = 0
    superseded: int = 0
    replaced: int = 0
    score: float | None = None
    replaces: bool = False
    rules: dict[str, int] = field(default_factory=dict)
    set_aside: list[dict[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    run_id: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    schema_changes: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def check_balance(self, processor: str) -> None:
        """Promise one: every row that was read is published, quarantined or superseded.

        Raises:
            StepError: it is not so; says by how many rows.
        """
        placed = self.published + self.quarantined + self.superseded
        if self.read != placed:
            off = abs(self.read - placed)
            what = f"{'loses' if placed < self.read else 'gains'} {off:,} {'row' if off == 1 else 'rows'}"
            raise StepError(
                f"the row account does not balance: {self.read:,} read, {self.published:,} to publish,"
                f" {self.quarantined:,} to quarantine, {self.superseded:,} superseded"
                f" - the processor {processor} {what}; nothing was published"
            )

    def to_dict(self) -> dict[str, Any]:
        """The account as it is kept with the commit."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Account:
        """The account that `to_dict` described, of whatever else is kept with a commit."""
        return cls(**_known(cls, value))


def _known(kind: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    """What of a document a class has fields for; what a later version has added is left out."""
    return {each.name: value[each.name] for each in fields(kind) if each.name in value}


class RefusedError(StepError):
    """A batch did not pass its quality gate; `account` says what would have become of its rows."""

    def __init__(self, message: str, account: Account) -> None:
        self.account = account
        super().__init__(message)


@dataclass
class BatchResult:
    """What became of one batch: `status` is published, refused, failed or interrupted; running while it is made.

    `files` are those of a source that it reads, with their `bytes`. The figures are its account's, as far as there is
    one: of a batch that its quality gate refused they are the candidate's.
    """

    batch: int
    status: str = "running"
    started_at: str = ""
    seconds: float = 0.0
    reason: str = ""
    read: int = 0
    published: int = 0
    quarantined: int = 0
    superseded: int = 0
    replaced: int = 0
    score: float | None = None
    rules: dict[str, int] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    set_aside: list[dict[str, str]] = field(default_factory=list)
    schema_changes: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def end(self, status: str, account: Account | None = None, reason: str = "") -> None:
        """Say how it has ended."""
        self.status, self.reason = status, reason
        for each in fields(Account) if account else ():
            if hasattr(self, each.name):
                setattr(self, each.name, getattr(account, each.name))
        if status != "published":
            self.published = 0


@dataclass
class TableResult:
    """What became of one table.

    `status` is published, unchanged, stale, failed, skipped or interrupted; stale: it is as it was before, since what
    it is made of is away and a fallback is declared; of a run that is under way, that of the table that it is making is
    running. `batch` is the last batch of the table
    (None: there is none); `distribution` and `version` are the processor's. `quality_score` is
    published / (published + quarantined), from 0 to 1 (None where there is neither). `rows_read` is
    always the sum of the other three, checked before anything is published; for a gold table it
    counts the rows of its query's result. Of a batch that its quality gate refused the figures are the
    candidate's, but none of its rows counts as published. `retries` is how many calls were made again for it after one
    that had failed, `waited_seconds` what was waited between them. `inputs` are the tables that it is made of, or its
    source, `path` its folder, and `columns` what it has now, with types. `batches` are those that the run has made, and
    `events` what was decided about calls that did not go well: as the hook `resource_event` has it, with `at`,
    `resource` and the `batch` (None: none was being made).
    """

    table: str
    batch: int | None = None
    processor: str | None = None
    engine: str | None = None
    distribution: str = ""
    version: str = ""
    status: str = "unchanged"
    rows_read: int = 0
    rows_published: int = 0
    rows_quarantined: int = 0
    rows_superseded: int = 0
    quality_score: float | None = None
    seconds: float = 0.0
    retries: int = 0
    waited_seconds: float = 0.0
    reason: str = ""
    rules: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    started_at: str = ""
    inputs: list[str] = field(default_factory=list)
    path: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    batches: list[BatchResult] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_made(self) -> bool:
        """Whether the table can be used: as its declaration and its inputs have it or, where it is stale, had it."""
        return self.status in ("published", "unchanged", "stale")

    def begin(self, batch: int, files: Sequence[Mapping[str, Any]] = ()) -> BatchResult:
        """Begin a batch."""
        self.batches.append(BatchResult(batch, started_at=moment(), files=[dict(file) for file in files]))
        return self.batches[-1]

    def add(self, batch: int, account: Account) -> None:
        """Add the account of a batch that was published; a run may make several of a table."""
        self.status, self.batch, self.columns = "published", batch, account.columns or self.columns
        before = self.rows_published + self.rows_quarantined
        now = account.published + account.quarantined
        if account.score is not None:
            scores = [(self.quality_score or 0.0, before), (account.score, now)]
            self.quality_score = (
                sum(score * rows for score, rows in scores) / (before + now) if before else account.score
            )
        self.rows_read += account.read
        self.rows_published += account.published
        self.rows_quarantined += account.quarantined
        self.rows_superseded += account.superseded
        for rule, rows in account.rules.items():
            self.rules[rule] = self.rules.get(rule, 0) + rows
        self.remarks += account.remarks

    def refuse(self, account: Account) -> None:
        """Take the figures of a batch that was not published: whoever looks at the failure needs them."""
        self.rows_read += account.read
        self.rows_quarantined += account.quarantined
        self.rows_superseded += account.superseded
        self.quality_score, self.rules = account.score, dict(account.rules)
        self.remarks += account.remarks


@dataclass
class RunReport:
    """A run: `status` is success (also when nothing was new), failed, or interrupted; running while it is under way.

    `plugins` are those that had a part in it: what of theirs, distribution and version. `configuration` names the one
    that was used: its `version` in `oreflow config history`, and the `hash` of its content. `resources` says of each
    that was called what became of the calls. `aggregations` has the figures of those that the declaration names, each
    with the `labels` of its group and a `value` (None: nothing was measured). `alerts` are those that go on at its end,
    or have ended with it: which channels have `told` them, and why others have not (`unsent`). `schema` is the version
    of the document.
    """

    run_id: str
    pipeline: str
    status: str
    seconds: float
    tables: list[TableResult]
    started_at: str = ""
    remarks: list[str] = field(default_factory=list)
    plugins: list[dict[str, str]] = field(default_factory=list)
    configuration: dict[str, Any] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    aggregations: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    schema: int = SCHEMA

    @property
    def succeeded(self) -> bool:
        """Whether every table was published or found unchanged."""
        return self.status == "success"

    def to_dict(self) -> dict[str, Any]:
        """The document that `oreflow run --json` prints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RunReport:
        """The report that `to_dict` described, and that an older version has written."""
        return cls(**{"schema": 0, **_known(cls, value), "tables": [_table(table) for table in value["tables"]]})


def is_report(value: dict[str, Any] | None) -> TypeGuard[dict[str, Any]]:
    """Whether a document is the report of a run, of whatever version."""
    return value is not None and all(key in value for key in ("run_id", "pipeline", "status", "seconds", "tables"))


def _table(value: Mapping[str, Any]) -> TableResult:
    batches = [BatchResult(**_known(BatchResult, batch)) for batch in value.get("batches", ())]
    return TableResult(**{**_known(TableResult, value), "batches": batches})


def spelled(columns: Columns) -> dict[str, str]:
    """Columns with their types as words."""
    return {name: str(of_type) for name, of_type in columns.items()}


def schema_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """What differs between the columns of a table, with '' as the type of one that is not there."""
    words = {(True, False): "removed", (False, True): "added", (True, True): "changed"}
    return [
        {
            "column": name,
            "change": words[name in before, name in after],
            "before": before.get(name, ""),
            "after": after.get(name, ""),
        }
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def moment() -> str:
    """The time as the report says it: ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
