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
    from oreflow.pipeline.plan import PlannedTable
    from oreflow.probing import HealthReport
ROWS = 20


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
            [o["name"], o["type"], "required" if o["required"] else value_text(o["default"]), o["description"]]
            for o in options
        ]
        columns.draw(["option", "type", "default", "meaning"], rows)


def value_text(value: Any) -> str:
    """A value as YAML writes a plain one; nothing for none."""
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
