"""Reports of runs as they might be: those that no small project brings about, and texts that nobody should write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import oreflow

BEGIN = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)

HOSTILE = (
    "<script>document.title = 'pwned'</script>",
    "</script><script>window.pwned = 1</script>",
    '</style><img src=x onerror="window.pwned = 1">',
    "\"><svg onload='window.pwned = 1'>",
    "' onmouseover='window.pwned = 1",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- <b>&amp;&lt;",
    "]]></text><image href='http://192.0.2.1/x.png'/>",
    "datum.row\\n'+window.open()+'",
    "line\u2028separator\u2029\x00\x1b[31m",
    "\u202egnp.exe\u2066\u200f שלום",
    "half a pair \ud83d",
    "naïve 😀 \t tab\nline",
)


def at(seconds: float) -> str:
    """A moment so long after the begin of the run."""
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def batch(number: int = 1, **more: Any) -> dict[str, Any]:
    """A batch that was published."""
    about = {"batch": number, "status": "published", "started_at": at(number), "seconds": 0.5, "reason": ""}
    rows = {"read": 10, "published": 8, "quarantined": 1, "superseded": 1, "replaced": 0, "score": 8 / 9}
    lists = {"rules": {}, "files": [], "set_aside": [], "schema_changes": [], "failures": []}
    return {**about, **rows, **lists, **more}


def table(name: str, batches: list[dict[str, Any]] | None = None, **more: Any) -> oreflow.TableResult:
    """A table that was published, with the figures of its batches."""
    batches = [batch()] if batches is None else batches
    sums = {
        f"rows_{kind}": sum(b[kind] for b in batches) for kind in ("read", "published", "quarantined", "superseded")
    }
    about: dict[str, Any] = {
        "status": "published",
        "batch": len(batches),
        "processor": "polars_silver",
        "engine": "polars",
    }
    about |= {"distribution": "oreflow-silver", "version": "0.1.0", "quality_score": 8 / 9, "seconds": 1.0}
    about |= {"started_at": at(0.5), "rules": {"known": sums["rows_quarantined"]}}
    return oreflow.TableResult(**{"table": name, **about, **sums, "batches": batches, **more})


def run(tables: list[oreflow.TableResult], **more: Any) -> dict[str, Any]:
    """The report of a run that went well."""
    about = {"run_id": "20260301T020000-abc123", "pipeline": "shop", "status": "success", "seconds": 12.5}
    return oreflow.RunReport(**{**about, "tables": tables, "started_at": at(0), "schema": 1, **more}).to_dict()


def before(days: int, tables: list[oreflow.TableResult]) -> dict[str, Any]:
    """A run some days earlier."""
    started = (BEGIN - timedelta(days=days)).isoformat(timespec="milliseconds")
    return run(tables, run_id=f"before-{days}", started_at=started)


def row(line: int, *rules: str, **more: Any) -> dict[str, Any]:
    """A row of a quarantine."""
    lineage = {"_batch_id": 1, "_source_file": "data/raw/a.csv", "_source_row": line}
    return {"id": f"{line}", "name": None, "_rules": list(rules), "_reason": "; ".join(rules), **lineage, **more}


def alert(text: str, **more: Any) -> dict[str, Any]:
    """An alert that fires, whose words are a text."""
    about = {"rule": text, "status": "firing", "severity": "critical", "subject": {"table": text}, "summary": text}
    figures = {"value": 0.5, "threshold": 0.9, "since": at(3), "details": [text], "is_silenced": False}
    return {**about, **figures, "told": [text], "unsent": {text: text}, **more}


def saying(*texts: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """A run, the runs before it, and rejected rows, that have the texts wherever data or plugins can put one."""
    tables, rejected = [], {}
    for number, text in enumerate(texts):
        name = f"silver.t{number}{text}"
        change = {"column": text, "change": "changed", "before": text, "after": text}
        sample = {"file": text, "row": 3, "reason": text}
        failure = {"check": text, "figures": text, "samples": [sample]}
        refused = {"status": "refused", "published": 0, "reason": text, "failures": [failure]}
        batches = [
            batch(1, rules={text: 1}, files=[{"file": text, "bytes": 3}], schema_changes=[change]),
            batch(2, **refused, rules={text: 1}, set_aside=[{"file": text, "reason": text}]),
        ]
        event = {"at": at(1), "batch": 1, "resource": text, "kind": "retry", "attempt": 1, "seconds": 0.1}
        tables.append(
            table(
                name,
                batches,
                status="failed",
                reason=text,
                rules={text: 2},
                remarks=[text],
                inputs=[text],
                processor=text,
                engine=text,
                distribution=text,
                version=text,
                events=[{**event, "error": text, "detail": text}],
                columns={text: "string"},
            )
        )
        rejected[name] = [row(7, text, _reason=text, _source_file=text, _raw=text, **{text: text})]
    report = run(
        tables,
        pipeline=texts[0],
        status="failed",
        remarks=list(texts),
        plugins=[{"what": text, "distribution": text, "version": text} for text in texts],
        configuration={"version": 3, "hash": "f00"},
        resources=[
            {"resource": text, "kind": "source", "attempts": 3, "retries": 2, "waited_seconds": 0.1, "gave_up": 1}
            | {"rejected": 0, "breaker": "open", "opened": 1, "last_error": text}
            for text in texts
        ],
        alerts=[alert(text) for text in texts],
        aggregations={text: [{"labels": {text: text}, "value": 1.5}] for text in texts},
    )
    return report, [before(1, [table(f"silver.t{n}{text}") for n, text in enumerate(texts)])], rejected


def large(tables: int = 200, batches: int = 1000) -> dict[str, Any]:
    """A run of many tables, the last of which was made in many batches."""
    found = [table(f"silver.t{number:03}", [batch()], inputs=["raw"]) for number in range(tables - 1)]
    many = [batch(number, started_at=at(number / 100), seconds=0.01) for number in range(batches)]
    return run([*found, table("silver.busy", many, inputs=["silver.t000"], seconds=60.0)])
