"""Configuration: layered files with their lines kept, and validation that speaks plainly."""

from oreflow.config.documents import Document, KeyPath, Origin
from oreflow.config.layers import Environment, choose_environment, load_layers
from oreflow.config.validation import did_you_mean, validate

__all__ = [
    "Document",
    "Environment",
    "KeyPath",
    "Origin",
    "choose_environment",
    "did_you_mean",
    "load_layers",
    "validate",
]
