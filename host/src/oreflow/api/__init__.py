"""Everything that the command line does, for use from Python, under the same names.

Each function takes the project's folder. What is wrong in a declaration or a request is raised as
`DeclarationError`; a run that fails is not an error here, its report says so.
"""

from oreflow.api.ecosystem import check_plugin, doctor, new_plugin, plugin, plugins
from oreflow.api.looking import quarantine, runs, tables
from oreflow.api.making import init, lock, lock_changes, parity, plan, run
from oreflow.api.project import project_factory
from oreflow.factory import ProcessorFactory, get_processor_factory
from oreflow.pipeline.report import RunReport, TableResult

__all__ = [
    "ProcessorFactory",
    "RunReport",
    "TableResult",
    "check_plugin",
    "doctor",
    "get_processor_factory",
    "init",
    "lock",
    "lock_changes",
    "new_plugin",
    "parity",
    "plan",
    "plugin",
    "plugins",
    "project_factory",
    "quarantine",
    "run",
    "runs",
    "tables",
]
