"""What a person sees at the end of a command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oreflow.cli import columns
from oreflow.quantities import size_text

if TYPE_CHECKING:
    from oreflow.api.alerting import AlertCheck, RuleStatus
    from oreflow.comparison import Parity
    from oreflow.contract import Problem
    from oreflow.factory import Plugin
    from oreflow.inspection import Finding, Judgement
    from oreflow.pipeline.difference import RunDifference
    from oreflow.pipeline.plan import PlannedTable
    from oreflow.pipeline.report import RunReport, TableResult
    from oreflow.probing import HealthReport
ROWS = 20
_KINDS = ("published", "quarantined", "superseded")
_ROOMY = 100
_ROOM_FOR = ("started (UTC)", "superseded", "seconds")
"""The columns of runs that a narrower screen has not."""
_REASON = "reason"
_LONG = 0.005
"""Seconds of waiting that are told: 0.00 would say nothing."""


def counted(number: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def created(folder: str, files: Sequence[Path]) -> None:
    """What `init` made, and what to type next."""
    click.echo(f"Made the project {folder}:")
    for file in files:
        click.echo(f"  {file}")
    click.echo(f"\nNext: cd {folder} && oreflow plan && oreflow run")


def plan(planned: Sequence[PlannedTable], *, why: bool) -> None:
    """A line for each table, and its candidates where asked."""
    about = [table.to_dict() for table in planned]
    rows = [[a["table"], ", ".join(a["inputs"]), a["work"], a["processor"], a["reason"]] for a in about]
    columns.draw(["table", "from", "what is new", "processor", "why"], rows)
    most = max(planned, key=lambda table: table.memory.needed)
    limit = size_text(most.memory.limit)
    needed = f"about {size_text(most.memory.needed)} for {most.spec.name}"
    click.echo(f"\nmemory: {needed}; engine: auto works in the process up to {limit}")
    if why:
        candidates = [
            [table.spec.name, v.offer.name, "-" if v.score is None else str(v.score), v.offer.distribution, v.reason]
            for table in planned
            for v in table.selection.candidates
        ]
        click.echo()
        columns.draw(["table", "candidate", "score", "from", "why"], candidates, {"score"})


def report(run: RunReport) -> None:
    """The account of a run: a line for each table; on a narrow screen without what the lines above it said."""
    told = sum(table.status in ("published", "stale") for table in run.tables)
    click.echo()
    if run.succeeded and not told:
        click.echo(f"run {run.run_id}: nothing new, nothing was changed, {run.seconds:.2f} s")
    else:
        rows = [_account(table) for table in run.tables]
        names = list(rows[0])
        if columns.screen_width() < _ROOMY:
            names = [name for name in names if name not in ("status", "batch", "quality")]
        columns.draw(names, [[row[name] for name in names] for row in rows], set(names) - {"table", "status"})
        click.echo(f"\nrun {run.run_id}: {run.status}, {run.seconds:.2f} s")
    for use in run.resources:
        if line := _use(use):
            click.echo(f"  {line}")
    for name, figures in run.aggregations.items():
        for figure in figures:
            of = ", ".join(f"{label} {value}" for label, value in figure["labels"].items())
            value = "nothing measured" if figure["value"] is None else f"{figure['value']:,.6g}"
            click.echo(f"  {name}{f' of {of}' if of else ''}: {value}")
    for alert in run.alerts:
        status = "is over" if alert["status"] == "resolved" else "fires" if alert["is_new"] else "goes on"
        how = "told to" if alert["is_new"] else "known to"
        to = f", {how} {', '.join(alert['told'])}" if alert["told"] else ", silent" if alert["is_silenced"] else ""
        click.echo(f"  alert '{alert['rule']}' {status}{to}: {alert['summary']}")
    for remark in run.remarks:
        click.echo(f"  {remark}")


def _use(use: dict[str, Any]) -> str:
    """What of the calls to a resource did not go well; '' where all did.

    With which error a call failed for good stands at the table that it was made for.
    """
    parts = []
    if use["retries"]:
        again = "1 attempt" if use["retries"] == 1 else f"{use['retries']:,} attempts"
        parts.append(f"{again} of {use['attempts']:,} made again")
    if use["waited_seconds"] >= _LONG:
        parts.append(f"{use['waited_seconds']:.2f} s waited")
    if use["gave_up"] and use["kind"] != "table":
        parts.append(f"{counted(use['gave_up'], 'call')} failed")
    if use["rejected"]:
        parts.append(f"{counted(use['rejected'], 'call')} not made")
    if use["breaker"] not in ("", "closed"):
        parts.append(f"its breaker is {use['breaker'].replace('_', ' ')}")
    error = f" - {use['last_error']}" if use["last_error"] and not use["gave_up"] else ""
    return f"{use['resource']}: {', '.join(parts)}{error}" if parts else ""


def _account(table: TableResult) -> dict[str, str]:
    quality = "" if table.quality_score is None else f"{int(table.quality_score * 1000) / 10:.1f} %"
    return {
        "table": table.table,
        "status": table.status,
        "batch": "" if table.batch is None else str(table.batch),
        "read": f"{table.rows_read:,}",
        "published": f"{table.rows_published:,}",
        "quarantined": f"{table.rows_quarantined:,}",
        "superseded": f"{table.rows_superseded:,}",
        "quality": quality,
        "seconds": f"{table.seconds:.2f}",
    }


def tables(found: Sequence[dict[str, Any]]) -> None:
    """A line for each table of the lake."""
    rows = []
    for about in found:
        state = [str(about["version"]), str(about["batch"])] if about["exists"] else ["-", "-"]
        counts = [f"{about['rows']:,}", f"{about['rows_quarantined']:,}", size_text(about["bytes"])]
        rows.append([about["table"], *state, *counts, about["path"]])
    names = ["table", "version", "batch", "rows", "quarantined", "size", "path"]
    columns.draw(names, rows, set(names) - {"table", "path"})


def table(about: dict[str, Any]) -> None:
    """One table, its columns and a few rows."""
    if not about["exists"]:
        click.echo(f"{about['table']} has not been made yet; `oreflow run` makes it")
        return
    click.echo(
        f"{about['table']}  version {about['version']}, batch {about['batch']},"
        f" {counted(about['rows'], 'row')} in {counted(about['files'], 'file')}"
    )
    click.echo(f"{about['path']}\n")
    columns.draw(["column", "type"], [[name, of_type] for name, of_type in about["columns"].items()])
    if sample := about.get("sample"):
        click.echo()
        rows = [["NULL" if value is None else str(value) for value in row.values()] for row in sample]
        columns.draw(list(sample[0]), rows)


def quarantine(
    name: str, rows: Sequence[dict[str, Any]], total: int, rule: str | None, batches: Sequence[int] = ()
) -> None:
    """Quarantined rows, one below the other: what is wrong first, then the raw values."""
    if not rows:
        of = f" of batch {', '.join(map(str, batches))}" if batches else ""
        others = f"; {counted(total, 'row')} of the table are" if total and (batches or rule) else ""
        click.echo(f"no row{of} of {name} is in quarantine" + (f" for '{rule}'" if rule else "") + others)
        return
    _rejected(rows)
    click.echo(f"\n{len(rows):,} shown, {counted(total, 'row')} of {name} in quarantine")


def refused(name: str, rows: Sequence[dict[str, Any]], batch: int, rule: str | None) -> None:
    """The rows that a batch would have set aside, had its gate let it through."""
    if not rows:
        click.echo(f"no row of a refused batch {batch} of {name} is kept" + (f" for '{rule}'" if rule else ""))
        return
    _rejected(rows)
    click.echo(f"\n{counted(len(rows), 'row')} shown of those that batch {batch} of {name} would have set aside")


def _rejected(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        line = f":{row['_source_row']}" if row.get("_source_row") is not None else ""
        click.echo(f"{row.get('_source_file') or ''}{line}  {'; '.join(row.get('_rules') or ())}")
        values = {key: value for key, value in row.items() if not key.startswith("_")}
        told = ", ".join(f"{key}={'NULL' if value is None else value}" for key, value in values.items())
        for text in (row.get("_reason"), told if any(v is not None for v in values.values()) else "", row.get("_raw")):
            for part in columns.indented(str(text), 4) if text else ():
                click.echo(part)


def runs(found: Sequence[RunReport]) -> None:
    """A line for each run."""
    if not found:
        click.echo("no run yet; `oreflow run` makes the first")
        return
    rows = []
    for run in found:
        totals = [sum(getattr(table, f"rows_{kind}") for table in run.tables) for kind in _KINDS]
        states = ("published", "unchanged", "stale", "failed", "skipped", "interrupted", "running")
        numbers = {state: sum(table.status == state for table in run.tables) for state in states}
        told = ", ".join(f"{number} {state}" for state, number in numbers.items() if number)
        started = run.started_at[:19].replace("T", " ")
        rows.append([run.run_id, started, run.status, *[f"{n:,}" for n in totals], f"{run.seconds:.2f}", told])
    names = ["run", "started (UTC)", "status", *_KINDS, "seconds", "tables"]
    if columns.screen_width() < _ROOMY:
        kept = [i for i, name in enumerate(names) if name not in _ROOM_FOR]
        names, rows = [names[i] for i in kept], [[row[i] for i in kept] for row in rows]
    columns.draw(names, rows, {*_KINDS, "seconds"})
    if columns.screen_width() < _ROOMY:
        click.echo(f"\n{', '.join(_ROOM_FOR)}: on a screen of {_ROOMY} columns, or with --json")


def run(found: RunReport) -> None:
    """One run: what became of each table and why, then what `oreflow run` says at its end."""
    click.echo(f"run {found.run_id} of {found.pipeline}, started {found.started_at[:19].replace('T', ' ')} UTC")
    for table in found.tables:
        told = [table.reason] if table.reason and table.status != "unchanged" else []
        for line in [*told, *table.remarks]:
            click.echo(f"  {table.table}: {line}")
    report(found)


def health(found: HealthReport) -> None:
    """A line for each check."""
    rows = [[each.name, each.status, f"{each.seconds:.3f}", each.reason] for each in found.checks]
    columns.draw(["check", "status", "seconds", "what was found"], rows, {"seconds"})
    click.echo(f"\n{found.pipeline}: {found.status}")


def alerts(found: Sequence[RuleStatus]) -> None:
    """A line for each rule; below them what goes on, and what is silent."""
    rows = [[each.rule, each.status, each.severity, each.when, ", ".join(each.channels)] for each in found]
    columns.draw(["rule", "status", "severity", "when", "told to"], rows)
    for rule in found:
        for state in rule.alerts:
            told = f"; told to {', '.join(state.told)}" if state.told else ""
            click.echo(f"\n{rule.rule}: {state.status} since {state.since}: {state.words}{told}")
        for silence in rule.silences:
            of_table = f" about {silence.table}" if silence.table else ""
            click.echo(f"\n{rule.rule}: silent{of_table} until {silence.until}")


def alert_check(found: AlertCheck) -> None:
    """A line for each alert that goes on or is over, and for what could not be told."""
    for each in found.alerts:
        told = f" - told to {', '.join(each['told'])}" if each["told"] else ""
        click.echo(f"{each['rule']}: {each['status']}: {each['summary']}{told}")
    if not found.alerts:
        click.echo("no alert goes on")
    for remark in found.remarks:
        click.echo(f"remark: {remark}")


def run_differences(found: Sequence[RunDifference], before: str, after: str) -> None:
    """A line for each figure that two runs do not have in common."""
    if not found:
        click.echo(f"{before} and {after} do not differ")
        return
    rows = [
        [each.table or "(run)", each.what, _figure(each.before), _figure(each.after), _change(each.change)]
        for each in found
        if each.what != _REASON
    ]
    columns.draw(["table", "what", before, after, "change"], rows, {before, after, "change"})
    for each in found:
        if each.what == _REASON:  # a sentence, which would make a column of any width
            click.echo(f"\n{each.table}, reason:")
            for run, reason in ((before, each.before), (after, each.after)):
                for line in columns.indented(f"{run}: {reason or 'none'}", 2):
                    click.echo(line)


def _figure(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _value(value)


def _change(change: float | None) -> str:
    return "" if change is None else f"{change:+,}"


def broken(found: Sequence[Plugin]) -> None:
    """A line for each plugin that was left out."""
    for plugin in found:
        click.echo(f"\n{plugin} is broken and left out: {plugin.reason} - {plugin.mend}")


def plugins(found: Sequence[dict[str, Any]]) -> None:
    """A line for each plugin; below them why those are not there that are not, and what mends it."""
    if not found:
        click.echo('no plugin is installed; pip install "oreflow[polars]" has the standard ones')
        return
    lists = ("brings", "stages", "engines", "capabilities")
    names = ["name", "distribution", "version", "status", *lists]
    rows = [[", ".join(about[n]) if n in lists else about[n] for n in names] for about in found]
    columns.draw(["plugin", *names[1:]], rows)
    for about in found:
        told = [f"disabled: {about['reason']}"] if about["status"] == "disabled" else []
        if about["status"] == "broken":
            told = [f"broken: {about['reason']}", f"mend: {about['mend']}"]
        told += [f"note: {note}" for note in about["notes"]]
        if told:
            click.echo(f"\n{about['distribution']} {about['version']}  {about['name']}")
            for text in told:
                for line in columns.indented(text, 4):
                    click.echo(line)


def plugin(about: dict[str, Any]) -> None:
    """One plugin, with all that it says of itself and what is known of it."""
    click.echo(f"{about['name']}  {about['distribution']} {about['version']}, {about['status']}")
    for what in ("reason", "mend"):
        if about[what]:
            click.echo(f"  {what}: {about[what]}")
    for note in about["notes"]:
        click.echo(f"  note: {note}")
    if about["hooks"]:
        click.echo(f"  hooks: {', '.join(about['hooks'])}")
    for other in about["others"]:
        click.echo(f"\n{other['kind']} {other['name']}" + (f": {other['description']}" if other["description"] else ""))
        _options(other["options"])
    for processor in about["processors"]:
        _processor(processor)


def _processor(about: dict[str, Any]) -> None:
    click.echo(f"\nprocessor {about['name']} {about['version']}: {about['description']}")
    for title, values in (("stages", "stages"), ("can do", "capabilities"), ("offered as", "offers")):
        click.echo(f"  {title}: {', '.join(about[values]) or 'nothing'}")
    _options(about["options"])
    if about["example"]:
        import yaml

        click.echo("\nexample:")
        for line in yaml.safe_dump(about["example"], sort_keys=False, allow_unicode=True).splitlines():
            click.echo(f"  {line}")
    for name, profile in about["profile"].items():
        speed = "" if profile["rows_per_second"] is None else f", {profile['rows_per_second']:,.0f} rows/s"
        failed = f", {profile['failures']:,} failed" if profile["failures"] else ""
        click.echo(f"\n{name} so far: {counted(profile['runs'], 'run')}{failed}, {profile['seconds']:.2f} s{speed}")
        if profile["last_error"]:
            for line in columns.indented(f"last error: {profile['last_error']}", 2):
                click.echo(line)


def _options(options: Sequence[dict[str, Any]]) -> None:
    if options:
        click.echo()
        rows = [
            [o["name"], o["type"], "required" if o["required"] else _value(o["default"]), o["description"]]
            for o in options
        ]
        columns.draw(["option", "type", "default", "meaning"], rows)


def _value(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def findings(found: Sequence[Finding]) -> None:
    """What is wrong, and below each what mends it."""
    if not found:
        click.echo("all is well: every plugin can be used")
        return
    for finding in found:
        click.echo(f"{'x' if finding.harms else '-'} {finding.subject}: {finding.problem}")
        for line in columns.indented(f"mend: {finding.mend}", 4):
            click.echo(line)
    harmful = sum(finding.harms for finding in found)
    click.echo(f"\n{counted(harmful, 'fault')}, {counted(len(found) - harmful, 'note')}")


def judgements(distribution: str, found: Sequence[Judgement]) -> None:
    """What the conformance kit says of a distribution."""
    rows = [
        [judgement.check, judgement.engine, "passed" if judgement.passed else "FAILED", judgement.proves]
        for judgement in found
    ]
    columns.draw(["check", "engine", "result", "what it proves"], rows)
    for judgement in found:
        if not judgement.passed:
            click.echo(f"\n{judgement.check} on {judgement.engine or 'any engine'}:")
            for line in columns.indented(judgement.reason, 4):
                click.echo(line)
    failed = sum(not judgement.passed for judgement in found)
    told = (
        f"{failed:,} of {counted(len(found), 'check')} failed"
        if failed
        else f"all {counted(len(found), 'check')} passed"
    )
    click.echo(f"\n{distribution}: {told}")


def created_plugin(name: str, files: Sequence[Path]) -> None:
    """What `plugins new` made, and what to type next."""
    click.echo(f"Made the package {name}:")
    for file in files:
        click.echo(f"  {file}")
    click.echo(f'\nNext: cd {name} && pip install -e ".[test]" && pytest')


def parity(found: Parity) -> None:
    """A line for each table and quarantine, and below what differs."""
    one, other = found.engines
    rows = [
        [
            f"{table.table}{' (quarantine)' if table.quarantine else ''}",
            *(f"{table.rows[engine]:,}" for engine in found.engines),
            f"{table.differing:,}",
            "equal" if table.equal else "NOT MADE" if table.not_made_on else "DIFFERENT",
        ]
        for table in found.tables
    ]
    click.echo()
    numbers = [f"rows on {one}", f"rows on {other}", "differing"]
    columns.draw(["table", *numbers, "result"], rows, numbers)
    for table, row in zip(found.tables, rows, strict=True):
        if not table.equal:
            click.echo(f"\n{row[0]}:")
        for difference in table.differences:
            for line in columns.indented(difference, 2):
                click.echo(line)
    took = ", ".join(f"{engine} {seconds:.2f} s" for engine, seconds in found.seconds.items())
    missing = sum(bool(table.not_made_on) for table in found.tables)
    different = sum(not table.equal for table in found.tables) - missing
    told = f"{different:,} of {counted(len(found.tables), 'table')} differ" if different else "every table is equal"
    if missing:
        told = f"{counted(missing, 'table')} could not be compared" + (f", {told}" if different else "")
    click.echo(f"\n{found.pipeline} on {one} and {other}: {told} ({took})")
    if found.folder:
        click.echo(f"both lakes are in {found.folder}")


def lock_changes(changes: Sequence[Problem]) -> None:
    """What keeps a run from starting, since it was locked otherwise."""
    if changes:
        click.echo("\nThe lock file says otherwise, so that a run would stop:")
    for change in changes:
        click.echo(f"  {change}")
