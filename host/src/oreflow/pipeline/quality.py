"""Which rows break which rules: the processor's own and the table's checks, marked on the rows and counted.

Rows are marked, not dropped: one pass gives the rows to publish, the rows to set aside with
the names of all that they broke, and the figures of the gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw

from oreflow.contract import INTERNAL, LINEAGE, Check, CheckType, Output, RowCheck, TableCheck
from oreflow.contract.checks import CheckContext
from oreflow.pipeline.report import READABLE, THRESHOLD, Account

CANDIDATES = f"{INTERNAL}candidates"
_SOUND = f"{INTERNAL}sound"
_QUARANTINE = (*LINEAGE, "_raw", "_rules", "_reason")  # columns of a quarantine that are not the row's own
_SEPARATOR = "\x1f"  # the ASCII unit separator: in no rule's name, and never in a reason that a person should read


@dataclass(frozen=True)
class Flag:
    """A rule on the rows: `column` is true where a row broke it. `check` is None for a processor's rule."""

    column: str
    name: str
    reason: nw.Expr
    check: Check | None = None

    @property
    def sets_aside(self) -> bool:
        """Whether a row that broke it goes to quarantine."""
        return self.check is None or self.check.action == "quarantine"


@dataclass(frozen=True)
class Judged:
    """The candidates with a column for each rule; `columns` are those to publish, `raw` those to keep in quarantine."""

    rows: nw.LazyFrame[Any]
    flags: tuple[Flag, ...]
    columns: tuple[str, ...]
    raw: Mapping[str, str]

    @property
    def accepted(self) -> nw.LazyFrame[Any]:
        """The rows that break nothing that would set them aside."""
        broken = self._broken
        return (self.rows if broken is None else self.rows.filter(~broken)).select(*self.columns)

    @property
    def rejected(self) -> nw.LazyFrame[Any] | None:
        """The rows to set aside: raw values, `_rules` (list of names), `_reason`, lineage. None: no rule could."""
        broken = self._broken
        if broken is None:
            return None
        flags = [flag for flag in self.flags if flag.sets_aside]
        names = [nw.when(nw.col(flag.column)).then(nw.lit(flag.name)) for flag in flags]
        reasons = [nw.when(nw.col(flag.column)).then(flag.reason) for flag in flags]
        lineage = [name for name in LINEAGE if name in self.columns]
        return self.rows.filter(broken).select(
            *[nw.col(column).alias(name) for name, column in self.raw.items()],
            nw.concat_str(names, separator=_SEPARATOR, ignore_nulls=True).str.split(_SEPARATOR).alias("_rules"),
            nw.concat_str(reasons, separator="; ", ignore_nulls=True).alias("_reason"),
            *lineage,
        )

    @property
    def counted_by_quarantine(self) -> bool:
        """Whether every rule sets its rows aside, so that the quarantine tells how many broke it."""
        return all(flag.sets_aside for flag in self.flags)

    @property
    def counts(self) -> nw.LazyFrame[Any]:
        """One row: how many candidates there are, and how many of them break each rule."""
        # A 0/1 sum, since summing booleans fails on Spark.
        sums = [
            nw.when(nw.col(f.column)).then(nw.lit(1)).otherwise(nw.lit(0)).sum().alias(f.column) for f in self.flags
        ]
        return self.rows.select(nw.len().alias(CANDIDATES), *sums)

    def sample(self, flag: Flag, rows: int) -> nw.LazyFrame[Any]:
        """A few rows that break a rule: their lineage and the reason."""
        lineage = [name for name in LINEAGE if name in self.columns]
        broken = self.rows.filter(nw.col(flag.column)).select(*lineage, flag.reason.alias("_reason"))
        return (broken.sort(*lineage) if lineage else broken).head(rows)

    @property
    def _broken(self) -> nw.Expr | None:
        columns = [nw.col(flag.column) for flag in self.flags if flag.sets_aside]
        return nw.any_horizontal(columns, ignore_nulls=True) if columns else None


def judge(
    output: Output,
    columns: Sequence[str],
    checks: Sequence[Check],
    kinds: Mapping[str, CheckType],
    context: CheckContext,
) -> Judged:
    """Mark the rows of an output by its rules and by the row checks of the table."""
    rows = output.rows
    flags = [Flag(f"{INTERNAL}rule_{i}", rule.name, rule.reason) for i, rule in enumerate(output.rules)]
    if flags:
        rows = rows.with_columns(
            *[rule.broken.fill_null(True).alias(flag.column) for rule, flag in zip(output.rules, flags, strict=True)]  # noqa: FBT003  the value to fill
        )
    row_checks = [(i, check, kind) for i, check in enumerate(checks) if isinstance(kind := kinds[check.type], RowCheck)]
    found = dict(rows.collect_schema()) if row_checks else {}
    # Kinds that compare rows come last, and leave out the rows that are set aside anyway.
    for index, check, kind in sorted(row_checks, key=lambda item: item[2].compares_rows):
        flag = Flag(f"{INTERNAL}check_{index}", check.name, kind.reason(check, found), check)
        if kind.compares_rows and not context.sound:
            broken = [nw.col(other.column) for other in flags if other.sets_aside]
            sound = ~nw.any_horizontal(*broken, ignore_nulls=True) if broken else nw.lit(True)  # noqa: FBT003  a value
            rows = rows.with_columns(sound.alias(_SOUND))
            context = replace(context, sound=_SOUND)
        rows = kind.mark(rows, flag.column, check, context)
        passed = nw.col(flag.column).fill_null(check.nulls == "pass")
        rows = rows.with_columns((~passed).alias(flag.column))
        flags.append(flag)
    raw = dict(output.raw) or {name: name for name in columns}
    raw = {name: column for name, column in raw.items() if name not in _QUARANTINE}
    return Judged(rows, tuple(flags), tuple(columns), raw)


@dataclass(frozen=True)
class Failure:
    """A gate that a batch did not pass, with its figures; `check` is what has closed it.

    `flag`, or `unreadable` for the lines that the reader set aside, leads to sample rows.
    """

    check: str
    message: str
    flag: Flag | None = None
    unreadable: bool = False


def gate(
    judged: Judged | None,
    counts: Mapping[str, int],
    account: Account,
    threshold: float | None,
    checks: Sequence[Check],
    kinds: Mapping[str, CheckType],
) -> tuple[list[Failure], list[str]]:
    """The failures of a batch, and remarks on checks that only warn."""
    failures: list[Failure] = []
    remarks: list[str] = []
    if threshold is not None and account.score is not None and account.score < threshold:
        failures.append(_below(judged, account, threshold))
    candidates = counts.get(CANDIDATES, 0)
    for flag in judged.flags if judged else ():
        if flag.check and counts[flag.column]:
            _judge_share(flag, flag.check, counts[flag.column], candidates, failures, remarks)
    for check in checks:
        kind = kinds[check.type]
        if isinstance(kind, TableCheck):
            passed, figures = kind.verdict(check, account.published)
            if not passed and check.action == "fail":
                failures.append(Failure(check.name, f"check '{check.name}': {figures}"))
            elif not passed:
                remarks.append(f"check '{check.name}' warns: {figures}")
    return failures, remarks


def _below(judged: Judged | None, account: Account, threshold: float) -> Failure:
    """The score as a failure that names the rule which most rows broke."""
    message = f"quality score {_percent(account.score or 0.0)} is below quality_threshold {_percent(threshold)}"
    flags = {flag.name: flag for flag in (judged.flags if judged else ()) if flag.sets_aside}
    broken = {name: rows for name, rows in account.rules.items() if name in flags or name == READABLE}
    if not broken:
        return Failure(THRESHOLD, message)
    worst = max(broken, key=lambda name: broken[name])
    judged_rows = account.read - account.superseded
    message += f": '{worst}' is broken by {broken[worst]:,} of {judged_rows:,} rows"
    return Failure(THRESHOLD, message, flags.get(worst), unreadable=worst == READABLE)


def _judge_share(
    flag: Flag, check: Check, broken: int, candidates: int, failures: list[Failure], remarks: list[str]
) -> None:
    share = (candidates - broken) / candidates
    figures = f"{broken:,} of {candidates:,} rows fail, {_percent(share)} pass"
    if check.threshold is not None and share < check.threshold:
        message = f"check '{check.name}': {figures}, threshold {_percent(check.threshold)}"
        failures.append(Failure(check.name, message, flag))
    elif check.action == "fail" and check.threshold is None:
        failures.append(Failure(check.name, f"check '{check.name}': {figures}, none may fail", flag))
    elif check.action != "quarantine":
        remarks.append(f"check '{check.name}' warns: {figures}")


def _percent(share: float) -> str:
    # Rounded down, so that a share just below a threshold never reads as if it had reached it.
    return f"{int(round(share * 10_000, 6)) / 100:g} %"  # 0.57 times 10,000 is a little less than 5,700
