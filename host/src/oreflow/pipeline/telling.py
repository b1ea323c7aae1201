"""The alerts of a pipeline: where they are kept, and by which commands people find it."""

from __future__ import annotations

import shlex

from oreflow.alerting.alerts import Alerts
from oreflow.alerting.book import Book
from oreflow.alerting.declared import Alerting
from oreflow.factory import ProcessorFactory
from oreflow.pipeline.history import Ages
from oreflow.pipeline.lake import Lake
from oreflow.pipeline.lock import taken
from oreflow.pipeline.model import Pipeline

_USUAL = {"--pipeline": "pipeline", "--env": "development"}


def book_of(pipeline: Pipeline) -> Book:
    """Where the alerts of a pipeline are kept."""
    return Book(pipeline.surroundings("alerts").folder, taken)


def alerts_of(pipeline: Pipeline, declared: Alerting, factory: ProcessorFactory, run_id: str = "") -> Alerts:
    """The alerts of a run, or where none is said, of what has not happened."""
    said = {"--project": str(pipeline.project), "--pipeline": pipeline.config.name}
    said["--env"] = pipeline.config.environment
    words = [word for option, value in said.items() if _USUAL.get(option) != value for word in (option, value)]
    ages = Ages(Lake(pipeline.lake), pipeline.name, factory.create_table_format)
    about = {"run_id": run_id, "options": f" {shlex.join(words)}"}
    return Alerts(declared, factory, pipeline.surroundings("alerts"), book_of(pipeline), ages, **about)
