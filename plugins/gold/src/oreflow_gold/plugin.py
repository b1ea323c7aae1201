"""The entry point of oreflow-gold: its processor and the schema of its options."""

from __future__ import annotations

from typing import Any

from oreflow.contract import (
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    Processor,
    ProcessorCapability,
    ProcessorMetadata,
    is_wildcard,
)
from oreflow.hookspecs import hookimpl

oreflow_api = 1

_EXPRESSIONS = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "minLength": 1}}
OPTION_SCHEMA: dict[str, Any] = {
    "properties": {
        "group_by": {
            "description": "a list of columns, or {name: expression}",
            "oneOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, _EXPRESSIONS],
        },
        "measures": {**_EXPRESSIONS, "description": "{name: aggregate expression}, such as {revenue: sum(amount)}"},
        "sql": {"type": "string", "minLength": 1, "description": "a SELECT over the inputs, by their names"},
    }
}
METADATA = ProcessorMetadata(
    name="gold",
    version="0.1.0",
    description="Business tables: groups with measures, or an SQL query, over one or several tables",
    engine=ProcessingEngine.ANY,
    supported_stages=[ProcessingStage.GOLD],
    capabilities=[ProcessorCapability.AGGREGATION, ProcessorCapability.BATCH, ProcessorCapability.SQL],
    option_schema=OPTION_SCHEMA,
    example={
        "options": {
            "group_by": ["day"],
            "measures": {"sales": "count(*)", "revenue": "sum(try_cast(amount as decimal(18,2)))"},
        },
        "rows": [
            {"day": "2026-03-01", "amount": "12.50"},
            {"day": "2026-03-01", "amount": "7.25"},
            {"day": "2026-03-02", "amount": "120.00"},
            {"day": "2026-03-02", "amount": None},
        ],
    },
)


@hookimpl
def processors() -> list[ProcessorMetadata]:
    """The one processor of this package."""
    return [METADATA]


@hookimpl
def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
    """Create `gold`."""
    if name != METADATA.name:
        return None
    from oreflow_gold.processor import GoldProcessor

    return GoldProcessor(config)


@hookimpl
def validate_config(name: str, config: ProcessingConfig) -> list[Problem]:
    """A gold table is either groups with measures, or a query."""
    if name != METADATA.name:
        return []
    options = config.options
    if "sql" in options:
        return [
            Problem(f"'sql' and '{key}' are both said", (key,), "keep one of the two ways")
            for key in ("group_by", "measures")
            if key in options
        ]
    if "measures" not in options:
        return [Problem("it says neither measures nor sql", (), "add `measures:` (with `group_by:`), or `sql:`")]
    groups = options.get("group_by", ())
    names = [(key, name) for key in ("group_by", "measures") for name in options.get(key, ())]
    wildcards = [
        Problem(f"no column can be called '{name}'", (key,), "the name stands for others; choose another")
        for key, name in names
        if is_wildcard(name)
    ]
    return wildcards + [
        Problem(f"'{measure}' is a group and a measure", ("measures", measure), "give one of them another name")
        for measure in options["measures"]
        if measure in groups
    ]
