"""Monitoring as a declaration says it: the schema of `monitoring:`, and what its sections come to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from oreflow.contract import Aggregation, DeclarationError, Problem, ProcessingStage
from oreflow.factory import ProcessorFactory
from oreflow.quantities import lasting, time_schema
from oreflow.validation import did_you_mean, nearest

SECTION = "monitoring"
_STAGES = [stage.value for stage in ProcessingStage]
_EVERY = 10.0
_PATIENCE = 3.0
LEVELS = ("debug", "info", "warning", "error")
_LOGS: dict[str, Any] = {
    "level": {
        "enum": list(LEVELS),
        "description": "the least of oreflow's lines that is written; of others, warnings are",
    },
    "levels": {
        "type": "object",
        "description": "other levels, by logger, for those below it too: {py4j: error}; `root` is all others",
        "propertyNames": {"minLength": 1, "description": "say the name of a logger, or root"},
        "additionalProperties": {"enum": list(LEVELS), "description": "debug, info, warning or error"},
    },
    "format": {
        "enum": ["auto", "console", "json"],
        "description": "console for people, json for machines; auto: console on a terminal",
    },
    "file": {
        "type": "string",
        "minLength": 1,
        "description": "a file that lines are added to, relative to the project; standard error where not said",
    },
}
_KINDS = {"metrics": "metric backend", "tracing": "trace backend"}


@dataclass(frozen=True)
class DeclaredBackend:
    """A place for metrics or spans: `every` is how many seconds lie between two writings of metrics.

    `path` is where it is declared.
    """

    type: str
    options: Mapping[str, Any] = field(hash=False)
    every: float = _EVERY
    path: tuple[str | int, ...] = ()

    def place(self, error: DeclarationError) -> DeclarationError:
        """What its plugin has against its options, as problems of the declaration."""
        return DeclarationError([replace(each, path=(*self.path, *each.path)) for each in error.problems])


@dataclass(frozen=True)
class Monitoring:
    """What is to be seen of the runs of a pipeline.

    `metrics` and `traces` are the places that they go to (None: there are none to be kept), `logs` what the section of
    this name says (None: there is none). `most_label_sets` is how many series a metric may have (None: as many as where
    nobody says). `patience` is how many seconds the end of a run waits for all places together; `remarks` are what a
    run has to say of it.
    """

    metrics: tuple[DeclaredBackend, ...] | None = None
    traces: tuple[DeclaredBackend, ...] | None = None
    logs: Mapping[str, Any] | None = field(default=None, hash=False)
    aggregations: tuple[Aggregation, ...] = ()
    most_label_sets: int | None = None
    patience: float = _PATIENCE
    remarks: tuple[str, ...] = ()


def schema(factory: ProcessorFactory) -> dict[str, Any]:
    """The JSON Schema of the section, for the backends that are installed."""
    every = time_schema("how often metrics are written while a run is under way")
    return _section(
        "what is to be seen of a run, and where",
        {
            "enable_metrics": _switch("whether metrics are kept; where not said, whether there is a section `metrics`"),
            "enable_tracing": _switch("whether spans are kept; where not said, whether there is a section `tracing`"),
            "patience": time_schema("how long the end of a run waits for all backends together"),
            "metrics": _section(
                "counters, gauges and histograms",
                {
                    "backends": _backends(factory.metric_backends, {"every": every}, "where metrics go"),
                    "most_label_sets": {
                        "type": "integer",
                        "minimum": 1,
                        "description": "how many label sets a metric may have; others are counted together",
                    },
                    "aggregations": {
                        "type": "object",
                        "description": "figures over a window of time, by name",
                        "propertyNames": {
                            "pattern": "^[a-zA-Z_][a-zA-Z0-9_.-]*$",
                            "description": "call it by letters, digits, _, . and -, and quote a figure with a comma",
                        },
                        "additionalProperties": {
                            "type": "string",
                            "description": "such as ratio(records_failed, records_processed) over 15m by pipeline",
                        },
                    },
                },
            ),
            "tracing": _section("spans", {"backends": _backends(factory.trace_backends, {}, "where spans go")}),
            "logs": _section("log lines", _LOGS),
        },
    )


def _section(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "description": description, "properties": properties}


def _switch(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


def _backends(kinds: Mapping[str, tuple[Any, str]], common: Mapping[str, Any], description: str) -> dict[str, Any]:
    """A list of backends: each has a type, and the keys of the plugin that brings it."""
    known = {"type": {"type": "string", "description": "the kind of place"}, **common}
    rules = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {
                "additionalProperties": False,
                **metadata.option_schema,
                "properties": {**metadata.option_schema.get("properties", {}), **known},
            },
        }
        for name, (metadata, _) in sorted(kinds.items())
    ]
    item: dict[str, Any] = {"type": "object", "required": ["type"], "properties": known}
    return {"type": "array", "description": description, "items": {**item, "allOf": rules} if rules else item}


def declared_monitoring(
    data: Mapping[str, Any], factory: ProcessorFactory, environment: Mapping[str, str] = os.environ
) -> tuple[Monitoring | None, list[Problem]]:
    """What a declaration whose form is right says of monitoring, and what is wrong with it.

    Where metrics are enabled and no place is said, they are written to a file beside the tables; where tracing is,
    spans go to a collector if `OTEL_EXPORTER_OTLP_ENDPOINT` names one, and else to whoever keeps the spans of this
    process.
    """
    said = data.get(SECTION)
    if said is None:
        return None, []
    problems: list[Problem] = []
    metrics = traces = None
    remarks: list[str] = []
    aggregations: tuple[Aggregation, ...] = ()
    about = said.get("metrics", {})
    if said.get("enable_metrics", "metrics" in said):
        found = list(_declared(about.get("backends", ()), "metrics", factory, problems))
        if "backends" not in about and "json" in factory.metric_backends:
            found.append(DeclaredBackend("json", {}))
        values = {"pipeline": [str(data.get("name"))], "table": list(data.get("tables", {})), "stage": _STAGES}
        aggregations = tuple(_aggregations(about.get("aggregations", {}), values, problems))
        if aggregations and not any(_can_query(each, factory) for each in found):
            if "memory" in factory.metric_backends:
                found.append(DeclaredBackend("memory", {}))
            else:
                problems.append(Problem("no backend keeps metrics", (SECTION, "metrics", "aggregations"), _KEEPS))
        metrics = tuple(found)
        if not metrics and "backends" not in about:
            mend = "pip install oreflow-metrics, or say where in monitoring.metrics.backends"
            remarks.append(f"metrics are enabled and go nowhere - {mend}")
    if said.get("enable_tracing", "tracing" in said):
        spans = said.get("tracing", {}).get("backends")
        if spans is None:
            is_told = any(key in environment for key in _OTLP) and "otlp" in factory.trace_backends
            spans = [{"type": "otlp"}] if is_told else []
        traces = tuple(_declared(spans, "tracing", factory, problems))
    return Monitoring(
        metrics,
        traces,
        said.get("logs"),
        aggregations,
        about.get("most_label_sets"),
        _seconds(said.get("patience", _PATIENCE), (SECTION, "patience"), problems),
        tuple(remarks),
    ), problems


def _seconds(said: float | str, path: tuple[str | int, ...], problems: list[Problem]) -> float:
    """A time that lasts; what the schema of a text cannot say is a problem."""
    try:
        return lasting(said, path)
    except DeclarationError as error:
        problems += error.problems
        return _EVERY


_KEEPS = "pip install oreflow-metrics, whose backend memory does"
_OTLP = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def _can_query(backend: DeclaredBackend, factory: ProcessorFactory) -> bool:
    metadata, _ = factory.metric_backends[backend.type]
    return metadata.can_query


def _declared(
    said: Sequence[Mapping[str, Any]], section: str, factory: ProcessorFactory, problems: list[Problem]
) -> Iterator[DeclaredBackend]:
    for index, each in enumerate(said):
        options = {key: value for key, value in each.items() if key not in ("type", "every")}
        path = (SECTION, section, "backends", index)
        if each in said[:index]:
            same = f"{SECTION}.{section}.backends.{list(said).index(each)}"
            problems.append(Problem(f"it is the same as {same}", path, "say it once"))
            continue
        try:
            factory.require(_KINDS[section], each["type"])
        except DeclarationError as error:
            problems += [Problem(problem.message, (*path, "type"), problem.mend) for problem in error.problems]
            continue
        every = _seconds(each.get("every", _EVERY), (*path, "every"), problems)
        yield DeclaredBackend(each["type"], options, every, path)


def _aggregations(
    said: Mapping[str, str], values: Mapping[str, Sequence[str]], problems: list[Problem]
) -> Iterator[Aggregation]:
    """Those that are said; `values` are what labels may be where the declaration tells."""
    if not said:
        return
    from oreflow.monitoring.aggregations import parse_aggregation
    from oreflow.monitoring.collector import MetricsCollector

    full_name = MetricsCollector().full_name
    for name, text in said.items():
        path = (SECTION, "metrics", "aggregations", name)
        try:
            found = parse_aggregation(name, text, full_name)
        except ValueError as error:
            problems.append(Problem(str(error), path))
            continue
        for label, value in found.where.items():
            if value not in values.get(label, (value,)):
                problems.append(Problem(f"there is no {label} '{value}'", path, did_you_mean(value, values[label])))
        problems += _strange_labels(found, path)
        yield found


def _strange_labels(aggregation: Aggregation, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """Labels that are like one that runs have, and none; a program may count metrics of runs with more labels."""
    from oreflow.monitoring.catalogue import LABELS

    if all(metric in LABELS for metric in aggregation.metrics):
        known = list(dict.fromkeys(label for metric in aggregation.metrics for label in LABELS[metric]))
        for label in dict.fromkeys([*aggregation.by, *aggregation.where]):
            if label not in known and (near := nearest(label, known)):
                yield Problem(f"there is no label '{label}'", path, f"did you mean '{near}'?")
