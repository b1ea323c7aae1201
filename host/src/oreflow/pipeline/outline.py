"""What a run is about to make, and who takes part in it, as plugins and its report are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oreflow.factory import ProcessorFactory
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.model import Pipeline
from oreflow.pipeline.plan import PlannedTable


def outline(planned: Sequence[PlannedTable], lake: Lake) -> list[dict[str, Any]]:
    """What is to be made, and by whom: the `plan` of the hook `run_started`."""
    return [
        {
            "table": table.spec.name,
            "stage": table.spec.stage.value,
            "inputs": list(table.spec.inputs),
            "source": table.spec.source.name if table.spec.source else None,
            "files": table.spec.source.path if table.spec.source else None,
            "path": str(lake.table(table.spec.name)),
            "processor": table.selection.offer.name,
            "engine": table.selection.offer.engine,
            "distribution": table.selection.offer.distribution,
            "version": table.selection.offer.version,
            "options": {**table.spec.defaults, **table.spec.options},
            "checks": [
                {"name": check.name, "type": check.type, "action": check.action, **check.options}
                for check in table.spec.checks
            ],
        }
        for table in planned
    ]


def taking_part(planned: Sequence[PlannedTable], pipeline: Pipeline, factory: ProcessorFactory) -> list[dict[str, str]]:
    """Who touches the data of a run: the `plugins` of its report."""
    chosen = [table.selection.offer for table in planned]
    found = [(f"processor {offer.name}", offer.distribution, offer.version) for offer in chosen]
    brought = [("engine", offer.engine) for offer in chosen] + [("table format", "delta")]
    brought += [("check type", check.type) for table in planned for check in table.spec.checks]
    plugins = [(f"{what} {name}", factory.bringer(what, name)) for what, name in brought]
    plugins += [("around each step", plugin) for plugin in factory.wrappers]
    plugins += [(f"section {name}", factory.bringer("section", name)) for name in pipeline.sections]
    found += [(what, plugin.distribution, plugin.version) for what, plugin in plugins if plugin]
    rows = dict.fromkeys(found)
    return [{"part": what, "distribution": home, "version": version} for what, home, version in rows]
