"""The JSON Schema of a declaration, composed of the host's own keys and of what the installed plugins add.

The same schema checks a declaration before anything runs and helps an editor complete it.
"""

from __future__ import annotations

import copy
from typing import Any

from oreflow.alerting import schema as alerting
from oreflow.contract import CheckType, ProcessingStage, SectionMetadata
from oreflow.factory import ProcessorFactory
from oreflow.monitoring import declared as monitoring
from oreflow.pipeline import health
from oreflow.quantities import SIZE
from oreflow.resilience import declared

CHECK_KEYS = ("action", "name", "nulls", "threshold", "type")
"""The keys of a check that belong to the host; all others are options of its kind."""

PLUGINS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "which plugins may be loaded",
    "properties": {
        "allow": {
            "type": "array",
            "items": {"type": "string"},
            "description": "the only distributions that may be loaded, such as oreflow-polars; all where not said",
        }
    },
}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_CAPABILITIES = {"type": "array", "items": {"type": "string"}}
_STAGE_KEYS: dict[str, Any] = {
    "engine": {"type": "string", "description": "an engine by name, or auto", "examples": ["auto", "polars", "spark"]},
    "processor": {
        "type": "string",
        "description": "a processor by name, or distribution:name; without it, the best one is chosen",
    },
    "required_capabilities": {**_CAPABILITIES, "description": "what the processor must be able to do"},
    "preferred_capabilities": {**_CAPABILITIES, "description": "what counts in favour of a processor"},
    "quality_threshold": {**_SHARE, "description": "the share of rows, from 0 to 1, that must not be quarantined"},
    "parallelism": {
        "type": "integer",
        "minimum": 1,
        "description": "how many tasks of the engine may work at the same time; the highest of its tables counts",
    },
    "batch_size": {
        "type": "integer",
        "minimum": 1,
        "maximum": 2**31 - 1,
        "description": "how many rows are written at a time: the most that a row group of the table's files has",
    },
}
_TABLE_KEYS: dict[str, Any] = {
    **_STAGE_KEYS,
    "description": {"type": "string", "description": "what the table is for"},
    "source": {"type": "string", "description": "the name of a source (bronze)"},
    "input": {"type": "string", "description": "the table that this one is made from"},
    "inputs": {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "description": "the tables that this one is made from",
    },
}


def declaration_schema(factory: ProcessorFactory) -> dict[str, Any]:
    """The schema of `config/NAME.yaml` for what is installed now."""
    factory.examine_schemas()
    checks = _checks_schema(list(factory.check_types.values()))
    options = {stage: _options(factory, stage) for stage in ProcessingStage}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An oreflow pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "tables"],
        "properties": {
            "name": {
                "type": "string",
                "pattern": "^[A-Za-z][A-Za-z0-9_-]*$",
                "description": "a name of letters, digits, - and _, beginning with a letter",
            },
            "description": {"type": "string", "description": "what the pipeline is for"},
            "lake": {
                "type": "string",
                "pattern": "^[^\\x00]+$",
                "description": "the folder where tables live, relative to the project",
            },
            "plugins": PLUGINS_SCHEMA,
            "engines": _engines_schema(factory),
            "resilience": declared.SCHEMA,
            "monitoring": _monitoring(factory),
            "alerts": alerting.schema(factory),
            "health": health.SCHEMA,
            **{name: _added(metadata) for name, (metadata, _) in sorted(factory.sections.items())},
            "sources": {
                "type": "object",
                "description": "raw files by name",
                "additionalProperties": _source_schema(),
            },
            "processors": {
                "type": "object",
                "description": "defaults of each stage; a table may override any key",
                "additionalProperties": False,
                "properties": {
                    stage.value: _section({**options[stage], **_STAGE_KEYS, "checks": checks})
                    for stage in ProcessingStage
                },
            },
            "tables": {
                "type": "object",
                "minProperties": 1,
                "description": "a table's name is its stage, a point and a word: bronze.orders, gold.sales",
                "additionalProperties": False,
                "patternProperties": {
                    f"^{stage.value}\\.[A-Za-z_][A-Za-z0-9_]*$": _section(
                        {**options[stage], **_TABLE_KEYS, "checks": checks}
                    )
                    for stage in ProcessingStage
                },
            },
        },
    }


def _monitoring(factory: ProcessorFactory) -> dict[str, Any]:
    section = monitoring.schema(factory)
    section["properties"]["alert_thresholds"] = alerting.thresholds_schema()
    return section


def _engines_schema(factory: ProcessorFactory) -> dict[str, Any]:
    size = {
        "type": "string",
        "pattern": SIZE,
        "description": "a size such as 8 GB; the machine's memory where not said",
    }
    own = {name: {**_section({}), **metadata.option_schema} for name, (metadata, _) in sorted(factory.engines.items())}
    return {
        **_section({"auto": _section({"in_process_up_to": size}), **own}),
        "description": "settings of engines by name; auto: what `engine: auto` goes by",
    }


def _added(metadata: SectionMetadata) -> dict[str, Any]:
    return {**_section({}), "description": metadata.description, **metadata.option_schema}


def _section(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _source_schema() -> dict[str, Any]:
    section = _section(
        {
            "path": {"type": "string", "minLength": 1, "description": "a file or a pattern such as ./data/raw/*.csv"},
            "format": {"enum": ["csv"], "description": "the files' format: csv"},
            "delimiter": {
                "type": "string",
                "minLength": 1,
                "maxLength": 1,
                "description": "the character between two fields; a comma where not said",
            },
        }
    )
    return {**section, "required": ["path", "format"]}


def _options(factory: ProcessorFactory, stage: ProcessingStage) -> dict[str, Any]:
    """The option keys of all processors of a stage; the one that is chosen judges them by its own schema."""
    properties: dict[str, Any] = {}
    for metadata, _ in factory.processors.values():
        if stage in metadata.supported_stages:
            for key, schema in metadata.option_schema.get("properties", {}).items():
                known = properties.setdefault(key, copy.deepcopy(schema))
                if known != schema or "$ref" in str(schema):
                    # Two processors mean different things by it, or it refers to what stands in the processor's schema
                    # only: the one that is chosen judges.
                    properties[key] = {"description": "an option that its processor judges"}
    return properties


def _checks_schema(kinds: list[CheckType]) -> dict[str, Any]:
    names = sorted(kind.name for kind in kinds)
    common: dict[str, Any] = {
        "name": {"type": "string", "minLength": 1, "description": "what people call it"},
        "type": {"enum": names, "description": "the kind of check"},
        "action": {"enum": ["warn", "quarantine", "fail"], "description": "what a failing row brings about"},
        "threshold": {**_SHARE, "description": "the share of rows, from 0 to 1, that must pass"},
        "nulls": {"enum": ["pass", "fail"], "description": "what a check that comes out NULL does"},
    }
    kind_rules = [
        {
            "if": {"properties": {"type": {"const": kind.name}}, "required": ["type"]},
            "then": {
                "additionalProperties": False,
                "required": list(kind.option_schema.get("required", [])),
                "properties": {
                    **{key: common[key] for key in kind.shared_keys},
                    "action": {**common["action"], "enum": list(kind.actions)},
                    **kind.option_schema.get("properties", {}),
                },
            },
        }
        for kind in sorted(kinds, key=lambda kind: kind.name)
    ]
    item: dict[str, Any] = {"type": "object", "required": ["type"], "properties": {"type": common["type"]}}
    if kind_rules:
        item["allOf"] = kind_rules
    return {"type": "array", "description": "a list of checks", "items": item}
