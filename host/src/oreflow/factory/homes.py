"""The packages that the host knows: whose a well-known name is, and what to install where it is missing."""

from __future__ import annotations

from collections.abc import Mapping

HOMES: Mapping[tuple[str, str], str] = {
    ("engine", "polars"): "oreflow-polars",
    ("engine", "spark"): "oreflow-spark",
    ("table format", "delta"): "oreflow-delta",
    ("processor", "bronze"): "oreflow-bronze",
    ("processor", "silver"): "oreflow-silver",
    ("processor", "gold"): "oreflow-gold",
    ("check type", "completeness"): "oreflow-silver",
    ("check type", "validity"): "oreflow-silver",
    ("check type", "uniqueness"): "oreflow-silver",
    ("check type", "row_count"): "oreflow-silver",
    ("config store", "redis"): "oreflow-redis",
    ("config store", "rediss"): "oreflow-redis",
    ("breaker board", "redis"): "oreflow-redis",
    ("breaker board", "rediss"): "oreflow-redis",
    ("section", "chaos"): "oreflow-chaos",
    ("metric backend", "memory"): "oreflow-metrics",
    ("metric backend", "json"): "oreflow-metrics",
    ("metric backend", "prometheus"): "oreflow-prometheus",
    ("metric backend", "pushgateway"): "oreflow-prometheus",
    ("metric backend", "textfile"): "oreflow-prometheus",
    ("metric backend", "influxdb"): "oreflow-influxdb",
    ("trace backend", "otlp"): "oreflow-opentelemetry",
    ("alert channel", "log"): "oreflow-alerts",
    ("alert channel", "webhook"): "oreflow-alerts",
    ("alert channel", "email"): "oreflow-alerts",
    ("alert channel", "apprise"): "oreflow-alerts",
    ("section", "database"): "oreflow-ledger",
    ("section", "lineage"): "oreflow-openlineage",
}


def home_of(what: str, name: str) -> str:
    """The distribution that brings a processor, engine, table format and so on; '' where nobody knows."""
    if home := HOMES.get((what, name)):
        return home
    if what == "processor":
        engine, _, processor = name.partition("_")
        return HOMES.get(("processor", processor), "") if ("engine", engine) in HOMES else ""
    return ""
