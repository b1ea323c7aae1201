"""Why a plugin is broken, and what mends it: in the words of whoever installed it."""

from __future__ import annotations

import difflib
import inspect
import re
from importlib.metadata import Distribution
from typing import Any

import pluggy

from oreflow import hookspecs
from oreflow.contract import API_VERSION, InvalidMetadata
from oreflow.contract.errors import told
from oreflow.factory.plugin import Plugin
from oreflow.factory.policy import PROJECT_FILE, normal

UNKNOWN = "unknown"
"""In place of the name of a distribution whose metadata does not say it."""


class RefusedError(Exception):
    """A plugin that can be imported, but not be used; `mend` is what helps."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.mend = mend


def explain(error: BaseException, plugin: Plugin, distribution: Distribution | None) -> tuple[str, str]:
    """Why a plugin is broken, and what mends it."""
    package = plugin.distribution
    if package == UNKNOWN:
        where = distribution.locate_file("") if distribution else "the environment"
        return told(error), f"a package in {where} has lost its metadata: install it anew, or remove it"
    leave_out = f"pip uninstall {package}, or leave it out with OREFLOW_PLUGINS=-{package}"
    if package == PROJECT_FILE:
        leave_out = f"mend {PROJECT_FILE}, or leave it out with OREFLOW_PLUGINS=-{PROJECT_FILE}"
    if isinstance(error, RefusedError):
        return str(error), error.mend or f"pip install --upgrade {package}; or {leave_out}"
    if isinstance(error, InvalidMetadata):
        return f"its metadata is invalid: {error}", f"its author has to mend it; {leave_out}"
    if isinstance(error, TimeoutError):
        return f"its import hangs: {error}", leave_out
    if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str) and error.name:
        wanted = _requirement_for(error.name, distribution)
        own = error.name.partition(".")[0] == plugin.module.partition(".")[0]
        mend = f"pip install --force-reinstall {package}" if own else f'pip install "{wanted or error.name}"'
        return f"needs the module '{error.name}', which is not installed", mend
    return f"cannot be imported: {told(error)}", leave_out


def _requirement_for(module: str, distribution: Distribution | None) -> str:
    """What the distribution requires under a name like the module's."""
    wanted = normal(module.partition(".")[0])
    for requirement in (distribution.requires or ()) if distribution else ():
        text = requirement.partition(";")[0].strip()
        name = re.match(r"[A-Za-z0-9._-]+", text)
        if name and normal(name[0]) == wanted:
            return text
    return ""


def wrong_api(api: object, plugin: Plugin) -> RefusedError:
    """What to raise of a plugin that states another API number, or none: says which side must upgrade."""
    if api is None:
        return RefusedError(
            "does not say for which API it is written", f"its author has to add: oreflow_api = {API_VERSION}"
        )
    newer = isinstance(api, int) and api > API_VERSION
    reason = f"is written for API {api!r} of oreflow, and this oreflow has API {API_VERSION}"
    if newer:
        return RefusedError(f"{reason}: oreflow is too old for it", "pip install --upgrade oreflow")
    return RefusedError(f"{reason}: the plugin is too old", f"pip install --upgrade {plugin.distribution}")


def wrong_signature(error: pluggy.PluginValidationError) -> str:
    """Pluggy's message in one line: `hook 'x' has the argument 'y', which it does not offer`."""
    text = str(error)
    hook = re.search(r"hook '(\w+)'", text)
    wrong = re.search(r"Argument\(s\) \{?(.*?)\}? are declared", text)
    if not hook or not wrong:
        return " ".join(text.split())
    spec = getattr(hookspecs, hook[1], None)
    offers = ", ".join(inspect.signature(spec).parameters) if spec else ""
    return f"its hook {hook[1]} asks for {wrong[1]}, which the hook does not give; it gives {offers or 'nothing'}"


def unknown_hook(manager: pluggy.PluginManager, plugin: Any) -> str:
    """What is wrong with a registered plugin's hooks, where it implements one that there is not; else ''."""
    hooks = {name: caller for name, caller in vars(manager.hook).items() if not name.startswith("_")}
    known = [name for name, caller in hooks.items() if caller.has_spec()]
    for name, caller in hooks.items():
        if not caller.has_spec() and any(impl.plugin is plugin for impl in caller.get_hookimpls()):
            close = difflib.get_close_matches(name, known, 1)
            hint = f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(sorted(known))}"
            return f"implements a hook that does not exist, '{name}'{hint}"
    return ""
