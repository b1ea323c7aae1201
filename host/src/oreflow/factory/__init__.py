"""The factory: discovery of plugins, the registry of what they bring, and selection with reasons."""

from oreflow.factory.discovery import Plugin, answers
from oreflow.factory.homes import home_of
from oreflow.factory.policy import PROJECT_FILE, VARIABLE, Policy
from oreflow.factory.profile import Profile
from oreflow.factory.registry import RESERVED_OPTIONS, ProcessorFactory, get_processor_factory
from oreflow.factory.selection import Offer, Selection, Verdict, engine_mend

__all__ = [
    "PROJECT_FILE",
    "RESERVED_OPTIONS",
    "VARIABLE",
    "Offer",
    "Plugin",
    "Policy",
    "ProcessorFactory",
    "Profile",
    "Selection",
    "Verdict",
    "answers",
    "engine_mend",
    "get_processor_factory",
    "home_of",
]
