"""Configuration: layered files with their lines kept, and validation that speaks plainly."""

from oreflow.config.documents import Document, KeyPath, Origin
from oreflow.config.layers import Environment, apply_variables, choose_environment, read_layers
from oreflow.config.validation import did_you_mean, validate

__all__ = [
    "Document",
    "Environment",
    "KeyPath",
    "Origin",
    "apply_variables",
    "choose_environment",
    "did_you_mean",
    "read_layers",
    "validate",
]
