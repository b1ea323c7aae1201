"""Finding plugins: what is installed, under which name, and the project's own file.

Entry points are read with the standard library: stevedore, which would be the usual choice, loses the
distribution behind an entry point (so that no message could name the package to mend), lets some
exceptions of a plugin through, and costs more than the rest of `oreflow plugins` together.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import EntryPoint, distributions, entry_points
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType

import pluggy

from oreflow.contract import API_VERSION, Processor, ProcessorMetadata
from oreflow.factory.admission import admit
from oreflow.factory.faults import UNKNOWN
from oreflow.factory.plugin import Plugin, plain
from oreflow.factory.policy import PROJECT_FILE, Policy, normal
from oreflow.factory.simple import ByClass, hooks_for

GROUP = "oreflow.plugins"


def discover(manager: pluggy.PluginManager, policy: Policy, project: Path | None = None) -> list[Plugin]:
    """Register every installed plugin that the policy lets in, and the project's own file; broken ones are left out."""
    found: list[Plugin] = []
    named = {(*_origin(point), point.name, point.value): point for point in _entry_points()}
    owners: dict[str, str] = {}
    for distribution, _, _, value in sorted(named):
        if value not in owners or normal(distribution) == normal(value.partition(".")[0].partition(":")[0]):
            owners[value] = distribution
    for (distribution, version, name, value), point in sorted(named.items(), key=lambda item: item[0]):
        plugin = Plugin(plain(name), plain(distribution), plain(version), module=value.partition(":")[0].strip())
        if owners[value] != distribution:
            reason = f"its entry point leads to {value}, which is a plugin of {owners[value]}"
            found.append(replace(plugin, status="broken", reason=plain(reason), mend=f"pip uninstall {distribution}"))
        elif any(other.key == plugin.key and other.status != "disabled" for other in found):
            reason = f"its distribution has two plugins called '{plugin.name}'"
            found.append(replace(plugin, status="broken", reason=reason, mend="its author has to rename one"))
        else:
            found.append(admit(manager, policy, plugin, point.load, point.dist))
    file = project / PROJECT_FILE if project else None
    if file and file.is_file():
        content = hashlib.sha256(file.read_bytes()).hexdigest()[:12]  # so that reports and locks tell when it changes
        plugin = Plugin(file.stem, PROJECT_FILE, content, module=file.stem)
        found.append(admit(manager, policy, plugin, partial(_load_file, file)))
    return found


def _entry_points() -> list[EntryPoint]:
    """The entry points of all distributions, of those whose metadata can be read where some cannot."""
    try:
        return list(entry_points(group=GROUP))
    except Exception:  # one damaged file would hide all others
        found: dict[str, list[EntryPoint]] = {}
        for each in distributions():
            with contextlib.suppress(Exception):
                found.setdefault(each.name, list(each.entry_points.select(group=GROUP)))
        return [point for points in found.values() for point in points]


def _origin(point: EntryPoint) -> tuple[str, str]:
    """The distribution of an entry point and its version, as far as its metadata says them."""
    try:
        return (point.dist.name or UNKNOWN, point.dist.version or "") if point.dist else (UNKNOWN, "")
    except Exception:
        return UNKNOWN, ""


class _FromSource(SourceFileLoader):
    """Takes a file as it stands: Python does not notice an edit within a second that keeps its length."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile it anew."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _load_file(file: Path) -> ModuleType:
    """The project's own plugin: its hooks, and each processor class in it."""
    loader = _FromSource(file.stem, str(file))
    spec = ModuleSpec(file.stem, loader, origin=str(file))
    spec.has_location = True
    module = module_from_spec(spec)
    sys.modules[file.stem] = module  # where dataclasses and pickle look for what is in it
    loader.exec_module(module)
    if not hasattr(module, "oreflow_api"):
        vars(module)["oreflow_api"] = API_VERSION  # it is of this project, not of the past
    classes = list(_processors_in(module))
    if classes and not hasattr(module, "processors"):
        for name, hook in vars(hooks_for([(ByClass(kind), kind.metadata) for kind in classes])).items():
            vars(module).setdefault(name, hook)
    return module


def _processors_in(module: ModuleType) -> Iterator[type[Processor]]:
    for item in vars(module).values():
        own = isinstance(item, type) and issubclass(item, Processor) and item.__module__ == module.__name__
        if own and isinstance(getattr(item, "metadata", None), ProcessorMetadata):
            yield item
