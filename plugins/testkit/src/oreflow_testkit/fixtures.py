"""The fixtures of the kit, a pytest plugin.

It is loaded in every pytest session of an environment that has the kit, so that it imports nothing but pytest.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from oreflow import Engine, ProcessorFactory
    from oreflow_testkit.lake import TinyLake
    from oreflow_testkit.sample import Row

_GROUP = "oreflow.plugins"


@pytest.fixture
def oreflow_plugins(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ProcessorFactory]:
    """Let oreflow find only the plugins that are given, for this test.

    It is called with them, and returns the factory: `factory = oreflow_plugins(my_plugin, "polars")`. A plugin is
    an object with hooks (a module, an instance, a class), or in its simplest form; an entry point; or the name
    of an installed plugin or distribution. Without any, oreflow finds none. The factory is the one of the process,
    so that `oreflow.run` uses it.
    """
    from oreflow import get_processor_factory
    from oreflow.factory import discovery, registry
    from oreflow_testkit.given import entry_points_of

    real = importlib.metadata.entry_points

    def give(*plugins: object) -> ProcessorFactory:
        given = entry_points_of(plugins, real(group=_GROUP))

        def entry_points(**wanted: Any) -> Any:
            if wanted.get("group") != _GROUP:
                return real(**wanted)
            return importlib.metadata.EntryPoints(given).select(**wanted)

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        monkeypatch.setattr(discovery, "entry_points", entry_points)
        monkeypatch.delenv("OREFLOW_PLUGINS", raising=False)
        monkeypatch.setattr(registry, "_factories", {})
        return get_processor_factory()

    return give


@pytest.fixture
def tiny_lake(tmp_path: Path) -> Callable[..., TinyLake]:
    """Make a project, and look at what becomes of its rows.

    It is called so: `lake = tiny_lake({"bronze.orders": {"source": "rows"}}, rows)`. The first argument is what
    stands under `tables:`, as YAML or as a mapping. `rows` is a list of raw rows (column -> text or None) for the
    source `rows`, or such a list for each source by its name. `lake.run()` makes the tables, `lake.rows(table)` and
    `lake.quarantine(table)` give what became of the rows, `lake.add(rows)` adds more of them.
    """
    from oreflow_testkit.lake import TinyLake

    made: list[TinyLake] = []

    def make(tables: str | Mapping[str, Any], rows: Sequence[Row] | Mapping[str, Sequence[Row]] = ()) -> TinyLake:
        by_source = rows if isinstance(rows, Mapping) else {"rows": rows}
        lake = TinyLake(tmp_path / f"lake_{len(made)}", tables, list(by_source))
        made.append(lake)
        for source, some in by_source.items():
            if some:
                lake.add(some, source)
        return lake

    return make


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each installed engine in turn."""
    from oreflow import get_processor_factory

    return get_processor_factory().create_engine(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test that asks for `engine` once for each installed engine, unless its `engine` is somebody else's."""
    if "engine" not in metafunc.fixturenames:
        return
    # Only what is asked for is looked at: to find the engines for every session would be dear.
    found = metafunc._arg2fixturedefs.get("engine", ())  # noqa: SLF001  pytest has no other way to tell whose it is
    if found and found[-1].func.__module__ == __name__:
        from oreflow import get_processor_factory

        metafunc.parametrize("engine", sorted(get_processor_factory().engines), indirect=True)
