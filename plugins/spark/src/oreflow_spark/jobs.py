"""The jobs that Spark has for a pass: how far they are, and their end where nobody waits for them any more."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self, cast
from uuid import uuid4

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from oreflow.contract import StepError


class Jobs:
    """The jobs of the threads that have joined."""

    def __init__(self, spark: SparkSession) -> None:
        name = f"oreflow-{uuid4().hex}"
        self._far = _RemoteTasks(spark, name) if is_remote(spark) else _Tasks(spark, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._far.close()

    def join(self) -> None:
        """Count what this thread starts from now on among them."""
        self._far.join()

    def cancel(self) -> None:
        """End those that still run."""
        with suppress(PySparkException, Py4JError, StepError):  # a Spark that is gone runs none
            self._far.cancel()

    def tasks(self) -> tuple[int, int]:
        """How many tasks are done, of how many that Spark knows of by now."""
        return self._far.count()


def is_remote(spark: SparkSession) -> bool:
    """Whether a session is one of a Connect server."""
    return type(spark).__module__.startswith("pyspark.sql.connect.")


class _Tasks:
    """Tasks by the tracker of the driver, which knows them by the group of their job.

    Spark has tags for jobs too. What it computes for others, such as a table that is broadcast, lacks them.
    """

    def __init__(self, spark: SparkSession, name: str) -> None:
        self._context = spark.sparkContext
        self._name = name

    def join(self) -> None:
        self._context.setJobGroup(self._name, "oreflow")

    def cancel(self) -> None:
        self._context.cancelJobGroup(self._name)

    def count(self) -> tuple[int, int]:
        tracker = self._context.statusTracker()
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(self._name)]
        stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
        known = [stage for stage in stages if stage]
        return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)

    def close(self) -> None:
        pass


class _RemoteTasks:
    """Tasks by what a Connect server says while it works for the session."""

    def __init__(self, spark: SparkSession, name: str) -> None:
        self._spark = spark
        self._name = name
        self._known: dict[Any, tuple[int, int]] = {}
        self._listener = cast("Any", self._heard)  # the same object each time, by which it is taken away
        spark.registerProgressHandler(self._listener)

    def _heard(self, stages: Iterable[Any] | None, operation_id: str | None, **_: Any) -> None:
        for stage in stages or ():
            self._known[operation_id, stage.stage_id] = stage.num_completed_tasks, stage.num_tasks

    def join(self) -> None:
        self._spark.addTag(self._name)

    def cancel(self) -> None:
        self._spark.interruptTag(self._name)

    def count(self) -> tuple[int, int]:
        known = list(self._known.values())
        return sum(done for done, _ in known), sum(total for _, total in known)

    def close(self) -> None:
        self._spark.removeProgressHandler(self._listener)
