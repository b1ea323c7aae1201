"""The factory: discovery of plugins, the registry of what they bring, and selection with reasons."""

from oreflow.factory.examination import RESERVED_OPTIONS
from oreflow.factory.homes import home_of
from oreflow.factory.hooks import answers
from oreflow.factory.plugin import Plugin
from oreflow.factory.policy import PROJECT_FILE, VARIABLE, Policy
from oreflow.factory.profile import Profile
from oreflow.factory.registry import ProcessorFactory, get_processor_factory
from oreflow.factory.selection import Memory, Offer, Selection, Verdict, engine_mend

__all__ = [
    "PROJECT_FILE",
    "RESERVED_OPTIONS",
    "VARIABLE",
    "Memory",
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
