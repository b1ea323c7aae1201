"""The entry point of oreflow-silver: its processor with the schema of its options, and the kinds of check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    RowCheck,
    format_fault,
    is_wildcard,
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
    example={
        "options": {
            "columns": {
                "id": {"type": "int64"},
                "customer": {"from": "name", "type": "string", "clean": ["trim", "empty_to_null"]},
                "amount": {"type": "decimal(18,2)"},
                "day": {"type": "date"},
            },
            "deduplicate": {"keys": ["id"], "order_by": ["day"]},
        },
        "rows": [
            {"id": "1", "name": " Ada ", "amount": "12.50", "day": "2026-03-01"},
            {"id": "1", "name": "Ada", "amount": "13.50", "day": "2026-03-02"},  # a later version: it stays
            {"id": "2", "name": "Grace", "amount": "7.25", "day": "2026-03-01"},
            {"id": "3", "name": "Alan", "amount": "a lot", "day": "2026-03-02"},  # no amount: to the quarantine
            {"id": "4", "name": "Edsger", "amount": None, "day": "2026-03-03"},
        ],
    },
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
    return list(_problems(config)) if name == METADATA.name else []


@hookimpl
def check_types() -> list[CheckType]:
    """completeness, validity, uniqueness, row_count."""
    return list(KINDS)


def _problems(config: ProcessingConfig) -> Iterator[Problem]:
    if len(config.inputs) > 1:
        mend = "make a table of each, and put them together in gold"
        yield Problem(f"a silver table has one input, not {len(config.inputs)}", ("inputs",), mend)
    columns = config.options["columns"]
    spelled: dict[str, str] = {}
    for name, column in columns.items():
        if (other := spelled.setdefault(name.lower(), name)) != name:
            yield Problem(f"no table tells '{other}' and '{name}' apart", ("columns", name), "choose another name")
        yield from _column_problems(name, column)
    rule = config.options.get("deduplicate")
    if isinstance(rule, dict):
        yield from _merge_problems(rule, columns, config.checks)


def _column_problems(name: str, column: Mapping[str, Any]) -> Iterator[Problem]:
    at = ("columns", name)
    if name.startswith("_"):
        yield Problem(f"'{name}' begins with an underscore", at, "such names belong to oreflow; choose another")
    for said, place in ((name, at), (column.get("from", ""), (*at, "from"))):
        if is_wildcard(said):
            yield Problem(f"no column can be called '{said}'", place, "the name stands for others; choose another")
    try:
        of_type = DataType.parse(column["type"])
    except ValueError as error:
        yield Problem(str(error), (*at, "type"), "choose one of them")
        return
    if of_type.name in ("array", "binary"):
        yield Problem(f"text cannot be cast to {of_type}", (*at, "type"), "choose another type")
    if "%" not in column.get("format", "%"):
        yield Problem(f"the format '{column['format']}' has no directive", (*at, "format"), 'say it like "%Y-%m-%d"')
    if "format" in column and of_type.name not in ("date", "timestamp", "timestamp_utc"):
        yield Problem(f"a format has no meaning for {of_type}", (*at, "format"), "take it away")
    elif fault := format_fault(column.get("format", ""), of_type):
        yield Problem(fault, (*at, "format"))


def _merge_problems(rule: Mapping[str, Any], columns: Mapping[str, Any], checks: Sequence[str]) -> Iterator[Problem]:
    comparing = {kind.name for kind in KINDS if isinstance(kind, RowCheck) and kind.compares_rows}
    for index, kind in enumerate(checks):
        if kind in comparing:
            message = f"a {kind} check has no meaning where the versions of a key replace each other"
            yield Problem(message, ("checks", index), "take it away; `deduplicate` makes the key unique")
    for key in ("keys", "order_by"):
        for index, name in enumerate(rule.get(key, [])):
            if name not in columns:
                mend = f"use columns of this table: {', '.join(columns)}"
                yield Problem(f"'{name}' is no column of this table", ("deduplicate", key, index), mend)
