"""Contract types to and from the schema of the Delta protocol (its JSON form)."""

from __future__ import annotations

import json
from typing import Any

from deltalake import Schema

from oreflow.contract import Columns, DataType

# Schema serialization format of the Delta protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
_TO_DELTA = {
    "string": "string",
    "int32": "integer",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp_ntz",
    "timestamp_utc": "timestamp",
    "binary": "binary",
}
_FROM_DELTA = {delta: ours for ours, delta in _TO_DELTA.items()} | {"short": "int32", "byte": "int32"}


def to_delta(columns: Columns) -> Schema:
    """The Delta schema of nullable columns."""
    fields = [
        {"name": name, "type": _delta_type(of_type), "nullable": True, "metadata": {}}
        for name, of_type in columns.items()
    ]
    return Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def from_delta(schema: Schema) -> Columns:
    """The contract's columns of a Delta schema.

    Raises:
        ValueError: a column has a type that oreflow does not know; names it.
    """
    return {field["name"]: _contract_type(field) for field in json.loads(schema.to_json())["fields"]}


def _delta_type(of_type: DataType) -> Any:
    if of_type.name == "array":
        return {"type": "array", "elementType": _delta_type(DataType.parse(of_type.element)), "containsNull": True}
    return str(of_type) if of_type.name == "decimal" else _TO_DELTA[of_type.name]


def _contract_type(field: dict[str, Any]) -> DataType:
    delta = field["type"]
    if isinstance(delta, str) and (delta in _FROM_DELTA or delta.startswith("decimal")):
        return DataType.parse(_FROM_DELTA.get(delta, delta))
    if isinstance(delta, dict) and delta.get("type") == "array" and isinstance(delta["elementType"], str):
        element = _contract_type({"name": field["name"], "type": delta["elementType"]})
        return DataType("array", element=str(element))
    raise ValueError(f"column '{field['name']}' has the type {delta}, which oreflow cannot read")
