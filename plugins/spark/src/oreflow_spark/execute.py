"""Everything that a step writes and counts: Parquet files by the executors, small results to the driver.

Executors write into a hidden folder inside the table's; what they wrote is then renamed, file by file, to where it is
counted from. Nobody reads a file before a commit names it. Results do not wait for each other: what they
have in common, the host has asked to be shared.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from oreflow.contract import Columns, DataFile, Executed, Staged, Staging, StepError
from oreflow_spark.dtypes import canonical
from oreflow_spark.errors import told
from oreflow_spark.jobs import Jobs

_AT_ONCE = 4
"""Results that are computed at the same time; the tail of one leaves room for the next."""
_PAUSE = 0.5
"""Seconds between two looks at how far the jobs are."""
_GRACE = 10.0
"""Seconds in which what was cancelled may end."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Sink:
    name: str
    order: Staging
    columns: Columns
    frame: DataFrame

    @property
    def hidden(self) -> str:
        """What the names of the folders begin with that are written into."""
        return f".{self.order.prefix}-"

    def sweep(self) -> None:
        """Remove what an attempt that was killed left."""
        self.order.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.order.folder.iterdir():
            if stale.name.startswith(self.hidden):
                shutil.rmtree(stale)

    def write(self) -> Staged:
        """Write the frame."""
        folder = self.order.folder.absolute() / f"{self.hidden}{uuid4().hex}"
        try:
            with told("cannot compute the rows"):
                writer = self.frame.write.option("compression", "zstd")
                if self.order.batch_size:
                    writer = writer.option("parquet.block.row.count.limit", self.order.batch_size)
                writer.parquet(f"file:{folder}")
            if not folder.is_dir():
                raise StepError(
                    f"Spark wrote where this process cannot see it: {self.order.folder} is not the same there"
                )
            files = [self._placed(part) for part in sorted(folder.glob("part-*.parquet"))]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Staged(tuple(file for file in files if file), self.columns)

    def _placed(self, part: Path) -> DataFile | None:
        """A written file at its place; its rows are counted by its footer, not by the plan that it came from."""
        rows = pq.read_metadata(part).num_rows
        if not rows:
            return None
        path = self.order.folder / f"{self.order.prefix}-{uuid4().hex}.parquet"
        part.rename(path)
        return DataFile(path.name, rows, path.stat().st_size, *self.order.batch_range)


def run(
    spark: SparkSession,
    staging: Mapping[str, Staging],
    collect: Mapping[str, DataFrame],
    progress: Callable[[int, int], None] | None,
) -> Executed:
    """Write `staging` as Parquet files and return the rows of `collect`; `progress` is told of tasks done, of all."""
    sinks = {name: _sink(name, order) for name, order in staging.items()}
    for sink in sinks.values():
        sink.sweep()
    slots = threading.Semaphore(_AT_ONCE)
    with Jobs(spark) as jobs:
        writing = {name: _begun(jobs, slots, sink.write) for name, sink in sinks.items()}
        collecting = {name: _begun(jobs, slots, partial(_rows, frame)) for name, frame in collect.items()}
        waiting: set[Future[Any]] = {*writing.values(), *collecting.values()}
        try:
            while waiting:
                done, waiting = wait(waiting, _PAUSE, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if progress and waiting:
                    progress(*jobs.tasks())
        except BaseException as error:
            waiting = {future for future in waiting if not future.cancel()}
            end = time.monotonic() + _GRACE
            while waiting and time.monotonic() < end:
                jobs.cancel()  # again: what was between two of its jobs begins the next one after the others have ended
                _, waiting = wait(waiting, _PAUSE)
            if _is_of_an_interrupt(error):
                raise KeyboardInterrupt from error
            raise
        return Executed(
            staged={name: future.result() for name, future in writing.items()},
            collected={name: future.result() for name, future in collecting.items()},
        )


def _is_of_an_interrupt(error: BaseException | None) -> bool:
    """Whether an error came of Ctrl-C: py4j asks a socket for its address then, which may be closed already."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _begun(jobs: Jobs, slots: threading.Semaphore, call: Callable[[], _T]) -> Future[_T]:
    """What a call gives, by a thread that keeps no process alive: it may wait for a Spark that is silent for ever."""
    future: Future[_T] = Future()

    def work() -> None:
        with slots:
            if future.set_running_or_notify_cancel():
                try:
                    jobs.join()
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def _sink(name: str, order: Staging) -> _Sink:
    with told(f"cannot compute '{name}'"):
        frame: DataFrame = order.frame.to_native()
        made = {field.name: canonical(field) for field in frame.schema.fields}
        columns = {name: kind for name, (kind, _) in made.items()}
        if not columns:
            raise StepError(f"cannot write '{name}': it has no columns")
        casts = {name: value for name, (_, value) in made.items() if value is not None}
        return _Sink(name, order, columns, frame.withColumns(casts) if casts else frame)


def _rows(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows as Python values; by way of Arrow, where an instant keeps its time zone."""
    with told("cannot compute the rows"):
        rows: list[dict[str, Any]] = frame.toArrow().to_pylist()
    return rows
