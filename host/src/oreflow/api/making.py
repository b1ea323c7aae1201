"""The verbs that make tables, and those that say what would be made.

`options` are `KEY=VALUE`, laid over all other layers of the declaration.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oreflow.api.looking import reading_engine
from oreflow.api.project import DEFAULT_NAME, load
from oreflow.contract import DeclarationError, Problem, ProcessingEngine
from oreflow.factory import get_processor_factory
from oreflow.pipeline.report import RunReport

if TYPE_CHECKING:
    from oreflow.comparison import Parity
    from oreflow.pipeline.plan import PlannedTable


def init(folder: str | Path) -> list[Path]:
    """Make a project in a new or empty folder; gives the files that were written.

    Raises:
        DeclarationError: the folder has something in it, or cannot be written.
    """
    from oreflow.scaffold import write_project

    return write_project(Path(folder), get_processor_factory())


def plan(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
    engine: str | None = None,
) -> tuple[PlannedTable, ...]:
    """What a run would do: for each table the processor, why it was chosen, and what is new. Writes nothing."""
    from oreflow.pipeline.access import Access
    from oreflow.pipeline.plan import plan_pipeline

    declared, factory = load(project, pipeline, environment, options)
    return plan_pipeline(declared, factory, Access(declared, factory), engine)


def resources(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """What a pipeline depends on, and what is done when it fails: for each resource its name, kind and policy."""
    return [resource.to_dict() for resource in load(project, pipeline, environment, options)[0].resources.values()]


def run(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
    engine: str | None = None,
    tables: Sequence[str] = (),
    full_refresh: Sequence[str] = (),
    chaos: str | Path | None = None,
    stop: threading.Event | None = None,
) -> RunReport:
    """Make the tables of a pipeline, as far as anything is new for them.

    `engine` takes the place of every table's own; `tables` limits the run to some;
    `full_refresh` names tables to make anew from all of their input. `chaos` is a file of faults to inject, which takes
    the place of the declaration's section of this name (oreflow-chaos). Once `stop` is set, by a handler of signals or
    another thread, the run ends after the batch that it is making, and its report says `interrupted`.
    """
    from oreflow.pipeline.history import lock_path
    from oreflow.pipeline.run import Run

    tables = [tables] if isinstance(tables, str) else tables
    full_refresh = [full_refresh] if isinstance(full_refresh, str) else full_refresh
    sections = {} if chaos is None else {"chaos": Path(chaos)}
    declared, factory = load(project, pipeline, environment, options, sections)
    lock = lock_path(Path(project), pipeline)
    return Run(declared, factory, engine=engine, only=tables, full_refresh=full_refresh, lock=lock, stop=stop).execute()


def parity(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
    engines: Sequence[str] = (),
    keep: str | Path | None = None,
    limit: int = 5,
) -> Parity:
    """Run a pipeline on two engines into lakes of their own, and compare all tables and quarantines value for value.

    `engines` are the two (those that are installed, where not said); `keep` is a new or empty folder for the lakes,
    which are thrown away where it is not said; `limit` is how many differing rows of a table are told.

    Raises:
        DeclarationError: there are no two engines, or something stands in the way of a run.
    """
    from oreflow.comparison import prove
    from oreflow.scaffold import refuse_what_is_there

    declared, factory = load(project, pipeline, environment, options)
    chosen = list(engines) or sorted(factory.engines)
    if len(set(chosen)) != 2 or len(chosen) != 2 or ProcessingEngine.AUTO in chosen:  # noqa: PLR2004  a comparison has two sides
        there = ", ".join(sorted(factory.engines)) or "none"
        missing = [name for name in ("polars", "spark") if name not in factory.engines]
        mend = (
            f"pip install oreflow-{missing[0]}" if missing and not engines else "say two of them: --engine A --engine B"
        )
        raise DeclarationError([Problem(f"two engines are compared, and there is {there}", mend=mend)])
    folder = None if keep is None else Path(keep).resolve()
    if folder:
        refuse_what_is_there(folder, "name a new or an empty folder; nothing was run")
    return prove(declared, factory, (chosen[0], chosen[1]), reading_engine(factory), keep=folder, limit=limit)


def lock(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
    engine: str | None = None,
) -> Path:
    """Write down who makes each table now, so that a run by others stops; gives the lock file."""
    from oreflow.pipeline.access import Access
    from oreflow.pipeline.history import lock_path
    from oreflow.pipeline.locking import locked_choices, write_lock
    from oreflow.pipeline.plan import plan_pipeline

    declared, factory = load(project, pipeline, environment, options)
    planned = plan_pipeline(declared, factory, Access(declared, factory), engine)
    path = lock_path(Path(project), pipeline)
    write_lock(path, locked_choices(declared, planned, factory))
    return path


def lock_changes(
    project: str | Path = ".",
    pipeline: str = DEFAULT_NAME,
    *,
    environment: str | None = None,
    options: Sequence[str] = (),
    engine: str | None = None,
) -> list[Problem]:
    """What would be done otherwise than was locked; nothing where there is no lock."""
    from oreflow.pipeline.access import Access
    from oreflow.pipeline.history import lock_path
    from oreflow.pipeline.locking import differences, locked_choices
    from oreflow.pipeline.plan import plan_pipeline

    path = lock_path(Path(project), pipeline)
    if not path.is_file():
        return []
    declared, factory = load(project, pipeline, environment, options)
    planned = plan_pipeline(declared, factory, Access(declared, factory), engine)
    return differences(path, locked_choices(declared, planned, factory))
