"""Every metric of a run, and what it means: said here alone, since Prometheus wants one help text for each."""

from __future__ import annotations

from collections.abc import Mapping

_OF_TABLES = ("pipeline", "stage", "table")
METRICS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "runs_total": (
        "counter",
        ("pipeline", "status"),
        "Runs that are over; one that was killed, by the next, and of it nothing else",
    ),
    "run_duration_seconds": ("histogram", ("pipeline",), "How long runs took"),
    "last_run_timestamp_seconds": ("gauge", ("pipeline",), "When the last run was over"),
    "last_success_timestamp_seconds": ("gauge", ("pipeline",), "When the last run was over that succeeded"),
    "steps_total": ("counter", (*_OF_TABLES, "status"), "Tables that were looked at, by what came of it"),
    "processing_time_seconds": ("histogram", _OF_TABLES, "How long tables that were made took"),
    "batches_total": ("counter", (*_OF_TABLES, "status"), "Batches that are over"),
    "records_processed_total": ("counter", _OF_TABLES, "Rows that were read"),
    "records_published_total": ("counter", _OF_TABLES, "Rows that were committed to their table"),
    "records_failed_total": ("counter", _OF_TABLES, "Rows that were quarantined"),
    "records_superseded_total": (
        "counter",
        _OF_TABLES,
        "Rows that others took the place of: duplicates, older versions",
    ),
    "check_failures_total": ("counter", (*_OF_TABLES, "check"), "Rows that broke a check"),
    "data_quality_score": ("gauge", _OF_TABLES, "Share of rows of the last batch that were good, 0 to 1"),
    "files_claimed_total": ("counter", ("pipeline", "table"), "Source files that batches have claimed"),
    "files_set_aside_total": ("counter", ("pipeline", "table"), "Source files that could not be read at all"),
    "attempts_total": ("counter", ("pipeline", "resource"), "Attempts of calls to a resource"),
    "retries_total": ("counter", ("pipeline", "resource"), "Attempts that were made again after one that failed"),
    "calls_failed_total": ("counter", ("pipeline", "resource"), "Calls to a resource that failed for good"),
    "calls_rejected_total": ("counter", ("pipeline", "resource"), "Calls that were not made, as by an open breaker"),
    "retry_wait_seconds_total": ("counter", ("pipeline", "resource"), "Time that was waited between attempts"),
    "exports_failed_total": ("counter", ("pipeline", "backend"), "Writings of metrics that a backend has failed"),
    "breaker_state": ("gauge", ("pipeline", "resource"), "State of a circuit breaker: 0 closed, 1 half-open, 2 open"),
}
"""Every metric of a run: its kind, its labels and its meaning, by the name it is written down by without `oreflow_`."""

HELP: Mapping[str, str] = {f"oreflow_{name.removesuffix('_total')}": text for name, (_, _, text) in METRICS.items()}
"""What they mean, by the names that snapshots have."""
LABELS: Mapping[str, tuple[str, ...]] = dict(zip(HELP, (labels for _, labels, _ in METRICS.values()), strict=True))
"""Their labels, by the same names."""
