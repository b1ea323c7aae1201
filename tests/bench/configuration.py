"""What configurations cost: the first load side by side with other libraries, and what a reader pays after it.

The same work for each: three YAML layers with fifty keys in all and four environment variables, to a typed or attribute
object, in a process of its own, after its imports. What others cannot do (types, lines of origin), they do not do here.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

FIRST_LOAD_BOUND = 8.0  # milliseconds
CACHED_LOAD_BOUND = 10.0  # microseconds, for load_config that looks whether a file has changed
ACCESS_BOUND = 0.1  # microseconds
RUNS = 7
SECTIONS, KEYS = 5, 10
VARIABLES = {f"APP_S{number}__K1": "77" for number in range(4)}


def write(folder: Path) -> None:
    """Three layers: fifty keys, and a few of them again in the two above."""
    (folder / "config").mkdir()
    layers = {
        "app": {section: range(KEYS) for section in range(SECTIONS)},
        "app.production": {0: range(3), 1: range(5)},
        "app.local": {2: range(2)},
    }
    for name, sections in layers.items():
        lines = [f"s{s}:\n" + "".join(f"  k{k}: {k}\n" for k in keys) for s, keys in sections.items()]
        (folder / "config" / f"{name}.yaml").write_text("".join(lines), encoding="utf-8")


def oreflow_loads(folder: Path) -> Callable[[], int]:
    """By oreflow, to frozen dataclasses."""
    import jsonschema_rs  # noqa: F401  what is imported when it is first needed
    import yaml  # noqa: F401

    from oreflow.config import ConfigManager, Environment, manager  # noqa: F401

    section = dataclasses.make_dataclass("Section", [(f"k{k}", int) for k in range(KEYS)], frozen=True)
    app = dataclasses.make_dataclass("App", [(f"s{s}", section) for s in range(SECTIONS)], frozen=True)

    def load() -> int:
        made = ConfigManager(folder, environment=Environment.PRODUCTION)
        return int(made.load_config("app", app).s0.k1)

    return load


def dynaconf_loads(folder: Path) -> Callable[[], int]:
    """By dynaconf, with its merging on, so that sections keep their other keys."""
    from dynaconf import Dynaconf

    files = [str(folder / "config" / f"app{end}.yaml") for end in ("", ".production", ".local")]
    return lambda: int(Dynaconf(settings_files=files, envvar_prefix="APP", merge_enabled=True).s0.k1)


def hydra_loads(folder: Path) -> Callable[[], int]:
    """By hydra's compose; it has no variables, which are given as its overrides."""
    from hydra import compose, initialize_config_dir

    overrides = [f"{key.removeprefix('APP_').replace('__', '.').lower()}={value}" for key, value in VARIABLES.items()]
    text = "defaults: [app, app.production, app.local, _self_]\n"
    (folder / "config" / "all.yaml").write_text(text, encoding="utf-8")

    def load() -> int:
        with initialize_config_dir(str(folder / "config"), version_base=None):
            return int(compose("all", overrides=overrides).s0.k1)

    return load


def pydantic_loads(folder: Path) -> Callable[[], int]:
    """By pydantic-settings, to its models."""
    import yaml  # noqa: F401
    from pydantic import create_model
    from pydantic_settings import BaseSettings, SettingsConfigDict, YamlConfigSettingsSource

    section = create_model("Section", **{f"k{k}": (int, 0) for k in range(KEYS)})
    files = [folder / "config" / f"app{end}.yaml" for end in ("", ".production", ".local")]

    class App(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="APP_", env_nested_delimiter="__", extra="ignore")
        __annotations__ = {f"s{s}": section for s in range(SECTIONS)}

        @classmethod
        def settings_customise_sources(cls, settings_cls, env_settings, **_):  # type: ignore[no-untyped-def]
            return env_settings, *(YamlConfigSettingsSource(settings_cls, file) for file in reversed(files))

    return lambda: int(App().s0.k1)


LOADERS = {
    "oreflow": oreflow_loads,
    "dynaconf": dynaconf_loads,
    "hydra": hydra_loads,
    "pydantic-settings": pydantic_loads,
}


def first_load(name: str) -> float:
    """Milliseconds of the first load, measured in a process of its own."""
    command = [sys.executable, __file__, name]
    done = subprocess.run(command, env={**os.environ, **VARIABLES}, capture_output=True, text=True, check=True)
    return float(done.stdout)


def reader() -> tuple[float, float]:
    """Microseconds of a cached load, and of a value of a snapshot."""
    from oreflow.config import ConfigManager, Environment

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        load = ConfigManager(folder, environment=Environment.PRODUCTION)
        section = dataclasses.make_dataclass("Section", [(f"k{k}", int) for k in range(KEYS)], frozen=True)
        app = dataclasses.make_dataclass("App", [(f"s{s}", section) for s in range(SECTIONS)], frozen=True)
        load.load_config("app", app)
        time.sleep(0.1)  # a file that has just been written is looked at twice
        load.load_config("app", app)
        values = load.snapshot("app").values
        return _each(lambda: load.load_config("app", app), 20_000), _each(lambda: values["s1.k1"], 1_000_000)


def _each(call: Callable[[], object], times: int) -> float:
    """Microseconds of a call, the best of three rounds, less what calling costs."""

    def rounds(of: Callable[[], object]) -> float:
        found = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(times):
                of()
            found.append((time.perf_counter() - start) / times * 1e6)
        return min(found)

    return rounds(call) - rounds(lambda: None)


def bench_configuration(verdict: Callable[[str, float, float | None], bool]) -> list[bool]:
    """Measure and print; whether the bounds hold."""
    print("\nconfiguration: three YAML layers, fifty keys, four variables")
    kept = []
    for name in LOADERS:
        try:
            took = median(first_load(name) for _ in range(RUNS))
        except subprocess.CalledProcessError as error:
            print(f"  {name}: not measured, {error.stderr.strip().splitlines()[-1]}")
            continue
        kept.append(verdict(f"first load, {name}, ms", took, FIRST_LOAD_BOUND if name == "oreflow" else None))
    cached, access = reader()
    kept.append(verdict("cached load_config, microseconds", cached, CACHED_LOAD_BOUND))
    kept.append(verdict("cached value, microseconds", access, ACCESS_BOUND))
    return kept


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        loads = LOADERS[sys.argv[1]](Path(name))
        began = time.perf_counter()
        found = loads()
        print((time.perf_counter() - began) * 1000)
        assert found == 77, found
