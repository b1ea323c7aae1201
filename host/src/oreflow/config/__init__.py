"""Configuration: layered files with their lines kept, and validation that speaks plainly."""

from oreflow.config.documents import Document, KeyPath, Origin
from oreflow.config.layers import Environment, apply_variables, choose_environment, read_layers
from oreflow.config.sizes import SIZE, bytes_of, size_text
from oreflow.config.validation import did_you_mean, validate

__all__ = [
    "SIZE",
    "Document",
    "Environment",
    "KeyPath",
    "Origin",
    "apply_variables",
    "bytes_of",
    "choose_environment",
    "did_you_mean",
    "read_layers",
    "size_text",
    "validate",
]
