"""How long the retail job takes with oreflow, against a script that does just this job by hand (yardstick.py).

A ratio of two runs on the same machine, one right after the other, says more than seconds on a machine that is also
doing something else. So both run alternately, as whole processes, interpreter start included, and the figure is the
median of the ratios of the pairs. A faster wrong answer counts for nothing: the tables are compared first.

    nox -s bench                                  # both scales
    nox -s bench -- --scales 1 --pairs 3          # a quick look
    nox -s bench -- --engines polars --scales 1   # on one engine only
    nox -s bench -- --scales                      # starting, configurations, resilience and monitoring only
    nox -s bench -- --no-tpch                     # without six million rows of TPC-H
    nox -s bench -- --strict                      # fail where a bound is broken
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from configuration import bench_configuration
from monitoring import bench_monitoring
from resilience import bench_resilience

RATIO_BOUNDS = {  # engine, scale -> at most this many times the wall time of the script on the same engine
    ("polars", 1): 1.5,
    ("polars", 10): 1.25,
    ("spark", 1): 1.3,
    ("spark", 10): 1.3,
}
YARDSTICKS = {"polars": "yardstick.py", "spark": "yardstick_spark.py"}
UNCHANGED_CPU_BOUND = 0.8  # seconds of CPU for a run that finds nothing new
START_CPU_BOUND = 0.3  # seconds of CPU for --help, and for `plugins`
MANY, MANY_CPU_BOUND = 100, 0.5  # so many plugins more, and seconds of CPU for `plugins` with them
PAIRS = defaultdict(lambda: 2, {("polars", 1): 5, ("polars", 10): 3})
Q6_AT_SCALE_1 = Decimal("123141078.2283")  # the specification's answer, 123141078.23, before it is rounded
FEW = 3  # runs of a thing that has no pair

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REAL = ROOT.parent / "shared" / "data" / "online_retail" / "by-day"
OREFLOW = (str(Path(sys.executable).with_name("oreflow")),)

# Where each of the two puts the same table.
BY_OREFLOW = {
    "bronze": "bronze/transactions",
    "silver": "silver/transactions",
    "quarantine": "_quarantine/silver/transactions",
    "sales_by_day": "gold/sales_by_day",
    "sales_by_country": "gold/sales_by_country",
    "customer_rfm": "gold/customer_rfm",
}
BY_HAND = {name: name for name in BY_OREFLOW}
GOLD = {
    "sales_by_day": ["day", "revenue", "customers"],
    "sales_by_country": ["country", "revenue", "invoices"],
    "customer_rfm": ["customer_id", "last_purchase", "frequency", "monetary"],
}


@dataclass(frozen=True)
class Measured:
    """What one process took."""

    seconds: float
    cpu: float
    megabytes: float


def measure(command: Sequence[str], folder: Path) -> Measured:
    """Run a command to its end.

    Memory is the child's own peak only as long as this process stays small, because a child begins its account with
    its parent's size: so nothing heavy is imported here.
    """
    log = folder / "last-command.log"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}:\n{log.read_text(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


def figures(lake: Path, places: dict[str, str]) -> dict[str, object]:
    """Row counts of the large tables, all rows of the small ones: what both ways must agree on."""
    import polars as pl

    found: dict[str, object] = {}
    for name, place in places.items():
        table = pl.scan_delta(str(lake / place))
        if name in GOLD:
            money = pl.col("^(revenue|monetary)$").cast(pl.Decimal(38, 3))
            rows = table.select(GOLD[name]).with_columns(money).sort(GOLD[name][0])
            found[name] = rows.collect().rows()
        else:
            found[name] = table.select(pl.len()).collect().item()
    return found


def compare(oreflow_lake: Path, script_lake: Path) -> str:
    """Stop unless both lakes hold the same; the row counts in words."""
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        ours = apart.submit(figures, oreflow_lake, BY_OREFLOW).result()
        theirs = apart.submit(figures, script_lake, BY_HAND).result()
    for name in BY_OREFLOW:
        if ours[name] != theirs[name]:
            one, other = (str(value)[:300] for value in (ours[name], theirs[name]))
            raise SystemExit(f"{name} differs:\n  oreflow  {one}\n  by hand  {other}")
    rows, clean, quarantined = (int(str(ours[name])) for name in ("bronze", "silver", "quarantine"))
    superseded = rows - clean - quarantined
    return f"{rows:,} rows: {clean:,} published, {quarantined:,} quarantined, {superseded:,} superseded"


def make_data(work: Path, scale: int) -> Path:
    """The folder of raw files at a scale."""
    raw = REAL
    if not raw.is_dir():
        raw = work / "raw-1"
        if not raw.is_dir():
            # The script stops at the first file that it cannot read, so it is given readable ones.
            maker = ROOT / "config" / "make_retail_files.py"
            subprocess.run([sys.executable, maker, raw, "--readable"], check=True)
    if scale == 1:
        return raw
    scaled = work / f"raw-{scale}"
    if not scaled.is_dir():
        subprocess.run([sys.executable, HERE / "scale_up.py", raw, scaled, "--copies", str(scale)], check=True)
    return scaled


def make_project(folder: Path, raw: Path) -> Path:
    """A project whose declaration is the retail example, over the raw files of this bench."""
    declaration = (ROOT / "config" / "retail.yaml").read_text(encoding="utf-8")
    pattern = "./data/raw/*.csv"
    if pattern not in declaration:
        raise SystemExit(f"config/retail.yaml no longer reads {pattern}")
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "pipeline.yaml").write_text(declaration.replace(pattern, f"{raw}/*.csv"), encoding="utf-8")
    return folder


def bench_scale(work: Path, engine: str, scale: int, pairs: int) -> bool:
    """Measure one scale on an engine and print it; whether its bounds hold."""
    raw = make_data(work, scale)
    project = make_project(work / f"project-{engine}-{scale}", raw)
    script_lake = work / f"by-hand-{engine}-{scale}"
    script = (sys.executable, str(HERE / YARDSTICKS[engine]), str(raw), str(script_lake))
    run = (*OREFLOW, "run", "--engine", engine)

    ours: list[Measured] = []
    theirs: list[Measured] = []
    for number in range(pairs + 1):
        shutil.rmtree(project / "lake", ignore_errors=True)
        shutil.rmtree(script_lake, ignore_errors=True)
        one, other = measure(run, project), measure(script, work)
        if number:  # the first pair warms up the disk's cache and the interpreter's
            ours.append(one)
            theirs.append(other)
    unchanged = [measure(run, project) for _ in range(FEW)]
    account = compare(project / "lake", script_lake)  # after those, which must have changed nothing

    ratios = [one.seconds / other.seconds for one, other in zip(ours, theirs, strict=True)]
    print(f"\n{engine}, {scale} x, {account}, the same in both; {pairs} pairs")
    print(f"  {'':<24}{'oreflow':>10}{'by hand':>10}{'ratio':>8}")
    for title, digits, pick in (
        ("wall time, s", 2, lambda run: run.seconds),
        ("CPU, s", 2, lambda run: run.cpu),
        ("peak memory, MB", 0, lambda run: run.megabytes),
    ):
        one, other = median(map(pick, ours)), median(map(pick, theirs))
        ratio = median(ratios) if title.startswith("wall") else one / other
        print(f"  {title:<24}{one:>10.{digits}f}{other:>10.{digits}f}{ratio:>8.2f}")
    print(f"  ratios of wall time from {min(ratios):.2f} to {max(ratios):.2f}")
    return all(
        [
            verdict("ratio of wall time", median(ratios), RATIO_BOUNDS.get((engine, scale))),
            verdict("run with nothing new, CPU s", median(run.cpu for run in unchanged), UNCHANGED_CPU_BOUND),
        ]
    )


def verdict(what: str, value: float, bound: float | None) -> bool:
    """Print a figure beside its bound; whether it is within."""
    kept = bound is None or value <= bound
    print(f"  {what:<58}{value:>8.2f}" + ("" if bound is None else f"  bound {bound}  {'ok' if kept else 'ABOVE'}"))
    return kept


PLUGIN = """
from oreflow.contract import ProcessingEngine, ProcessingStage, Processor, ProcessorCapability, ProcessorMetadata
from oreflow.hookspecs import hookimpl

oreflow_api = 1
METADATA = ProcessorMetadata(
    name="many_{number}", version="1.0.0", description="One of many", engine=ProcessingEngine.ANY,
    supported_stages=[ProcessingStage.SILVER], capabilities=[ProcessorCapability.BATCH],
    option_schema={{"required": ["many_{number}"], "properties": {{"many_{number}": {{"type": "string"}}}}}},
)


@hookimpl
def processors():
    return [METADATA]


@hookimpl
def create_processor(name, config):
    return None
"""

README = "# One of many\n\nWhat it does, said at the length of a README as packages have it.\n" * 200


def install_many(site: Path, number: int) -> None:
    """So many distributions with a plugin each, as pip leaves them: compiled."""
    for index in range(number):
        about = site / f"oreflow_many_{index}-1.0.0.dist-info"
        about.mkdir(parents=True)
        header = f"Metadata-Version: 2.1\nName: oreflow-many-{index}\nVersion: 1.0.0\nRequires-Dist: oreflow>=0.1\n"
        (about / "METADATA").write_text(f"{header}\n{README}")
        (about / "entry_points.txt").write_text(f"[oreflow.plugins]\nmany_{index} = oreflow_many_{index}\n")
        (site / f"oreflow_many_{index}.py").write_text(PLUGIN.format(number=index))
    compileall.compile_dir(site, quiet=1)


def bench_start(work: Path) -> list[bool]:
    """What the commands cost that do nothing but start."""
    print("start-up")
    many = work / "site"
    install_many(many, MANY)
    kept = []
    for title, verb, path, bound in (
        ("oreflow --help", "--help", "", START_CPU_BOUND),
        ("oreflow plugins", "plugins", "", START_CPU_BOUND),
        (f"oreflow plugins, {MANY} more", "plugins", str(many), MANY_CPU_BOUND),
    ):
        os.environ["PYTHONPATH"] = path
        runs = [measure((*OREFLOW, verb), work) for _ in range(1 + FEW)][1:]
        kept.append(verdict(f"{title}, CPU s", median(run.cpu for run in runs), bound))
    del os.environ["PYTHONPATH"]
    return kept


def bench_tpch(work: Path, engine: str) -> bool:
    """Query 6 of TPC-H at scale factor 1, six million rows, exactly; and what it takes from the raw file on."""
    import polars as pl

    data = work / "tpch"
    if not data.is_dir():
        generator = str(Path(sys.executable).with_name("tpchgen-cli"))
        subprocess.run([generator, "csv", "-s", "1", "--tables", "lineitem", "-o", str(data)], check=True)
    project = work / f"tpch-{engine}"
    shutil.copytree(ROOT / "docs" / "examples" / "tpch", project)
    (project / "data").symlink_to(data)
    tables = ("bronze.lineitem", "silver.lineitem", "gold.q6_revenue_change")
    took = measure((*OREFLOW, "run", "--engine", engine, *(f"--table={table}" for table in tables)), project)
    revenue = pl.read_delta(str(project / "lake" / "gold" / "q6_revenue_change"))["revenue"].item()
    right = revenue == Q6_AT_SCALE_1
    print(f"\n{engine}, TPC-H query 6 at scale factor 1: {revenue}, {'exact' if right else f'NOT {Q6_AT_SCALE_1}'}")
    print(f"  {took.seconds:.1f} s from the csv file, {took.megabytes:.0f} MB of memory in the process of oreflow")
    shutil.rmtree(project)
    return right


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure oreflow against the hand-written script.")
    parser.add_argument("--scales", type=int, nargs="*", default=[1, 10], help="times the data (1 10)")
    parser.add_argument("--engines", nargs="*", default=list(YARDSTICKS), choices=list(YARDSTICKS), help="on which")
    parser.add_argument("--pairs", type=int, help="pairs of runs (5 at scale 1, else 3)")
    parser.add_argument("--tpch", action=argparse.BooleanOptionalAction, default=True, help="also query 6 of TPC-H")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bound is broken")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="oreflow-bench-") as folder:
        work = Path(folder)
        kept = bench_start(work) + bench_configuration(verdict) + bench_resilience(verdict)
        kept += bench_monitoring(verdict, lambda scale: make_data(work, scale), make_project, work)
        for engine in options.engines:
            kept += [
                bench_scale(work, engine, scale, options.pairs or PAIRS[engine, scale]) for scale in options.scales
            ]
            if options.tpch and options.scales:
                kept.append(bench_tpch(work, engine))
    return int(options.strict and not all(kept))


if __name__ == "__main__":
    sys.exit(main())
