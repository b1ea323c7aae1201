"""The factory: discovery of plugins, the registry of what they bring, and selection with reasons."""

from oreflow.factory.discovery import Plugin, answers
from oreflow.factory.registry import ProcessorFactory, get_processor_factory
from oreflow.factory.selection import Offer, Selection, Verdict

__all__ = ["Offer", "Plugin", "ProcessorFactory", "Selection", "Verdict", "answers", "get_processor_factory"]
