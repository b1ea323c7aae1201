"""The entry point of oreflow-silver: its processor with the schema of its options, and the kinds of check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oreflow.contract import (
    CheckType,
    DataType,
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    Processor,
    ProcessorCapability,
    ProcessorMetadata,
)
from oreflow.hookspecs import hookimpl
from oreflow_silver.checks import KINDS

oreflow_api = 1

CLEANERS = ("trim", "lower", "upper", "empty_to_null")
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_COLUMN = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "from": {"type": "string", "description": "the column of the input; the same name where not said"},
        "type": {"type": "string", "description": "a type such as string, int64, decimal(18,3), date, timestamp"},
        "format": {"type": "string", "description": "a strptime pattern, for date and timestamp"},
        "clean": {
            "type": "array",
            "items": {"enum": list(CLEANERS)},
            "description": f"what is done to the text first: {', '.join(CLEANERS)}",
        },
        "description": {"type": "string", "description": "what the column means"},
    },
}
OPTION_SCHEMA: dict[str, Any] = {
    "required": ["columns"],
    "properties": {
        "columns": {
            "type": "object",
            "minProperties": 1,
            "description": "the table's columns: name: {from: ..., type: ...}",
            "additionalProperties": _COLUMN,
        },
        "deduplicate": {
            "description": "exact, or {keys: [...], order_by: [...], keep: last}",
            "oneOf": [
                {"const": "exact"},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["keys"],
                    "properties": {"keys": _NAMES, "order_by": _NAMES, "keep": {"enum": ["first", "last"]}},
                },
            ],
        },
        "enable_deduplication": {
            "type": "boolean",
            "description": "true: rows that came twice are superseded, also without `deduplicate`; false: never",
        },
    },
}
METADATA = ProcessorMetadata(
    name="silver",
    version="0.1.0",
    description="Typed, cleaned and deduplicated rows; what cannot be cast goes to quarantine",
    engine=ProcessingEngine.ANY,
    supported_stages=[ProcessingStage.SILVER],
    capabilities=[
        ProcessorCapability.BATCH,
        ProcessorCapability.DEDUPLICATION,
        ProcessorCapability.INCREMENTAL,
        ProcessorCapability.MERGE,
        ProcessorCapability.VALIDATION,
    ],
    option_schema=OPTION_SCHEMA,
)


@hookimpl
def processors() -> list[ProcessorMetadata]:
    """The one processor of this package."""
    return [METADATA]


@hookimpl
def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
    """Create `silver`."""
    if name != METADATA.name:
        return None
    from oreflow_silver.processor import SilverProcessor

    return SilverProcessor(config)


@hookimpl
def validate_config(name: str, config: ProcessingConfig) -> list[Problem]:
    """What the schema cannot say: types, formats, and names of columns."""
    return list(_problems(config.options)) if name == METADATA.name else []


@hookimpl
def check_types() -> list[CheckType]:
    """completeness, validity, uniqueness, row_count."""
    return list(KINDS)


def _problems(options: Any) -> Iterator[Problem]:
    columns = options["columns"]
    for name, column in columns.items():
        at = ("columns", name)
        if name.startswith("_"):
            yield Problem(f"'{name}' begins with an underscore", at, "such names belong to oreflow; choose another")
        try:
            of_type = DataType.parse(column["type"])
        except ValueError as error:
            yield Problem(str(error), (*at, "type"), "choose one of them")
            continue
        if of_type.name in ("array", "binary"):
            yield Problem(f"text cannot be cast to {of_type}", (*at, "type"), "choose another type")
        if "format" in column and of_type.name not in ("date", "timestamp", "timestamp_utc"):
            yield Problem(f"a format has no meaning for {of_type}", (*at, "format"), "take it away")
    rule = options.get("deduplicate")
    if isinstance(rule, dict):
        for key in ("keys", "order_by"):
            for index, name in enumerate(rule.get(key, [])):
                if name not in columns:
                    mend = f"use columns of this table: {', '.join(columns)}"
                    yield Problem(f"'{name}' is no column of this table", ("deduplicate", key, index), mend)
