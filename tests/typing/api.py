"""What a type checker sees of the public face. mypy --strict reads this file; nothing runs it.

A change here is a change for everybody who has typed their use of oreflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import narwhals as nw

import oreflow
from oreflow import (
    Output,
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    Processor,
    ProcessorCapability,
    ProcessorFactory,
    ProcessorMetadata,
    RunReport,
    Step,
    TableResult,
    get_processor_factory,
)


def the_verbs() -> None:
    assert_type(oreflow.init("shop"), list[Path])
    assert_type(oreflow.run(Path("shop"), "retail", environment="test", tables=["silver.a"]), RunReport)
    assert_type(oreflow.runs("shop", limit=1), list[RunReport])
    assert_type(oreflow.show_run("latest", "shop"), RunReport)
    assert_type([each.change for each in oreflow.compare_runs("a", "b", "shop")], list[float | None])
    assert_type(oreflow.health("shop", checks=["engine *"]).is_ready, bool)
    assert_type(oreflow.tables("shop", "silver.a", limit=3), list[dict[str, Any]])
    assert_type(oreflow.quarantine("shop", "silver.a", rule="id is int64"), list[dict[str, Any]])
    assert_type(oreflow.plugins(), list[dict[str, Any]])
    for table in oreflow.plan("shop"):
        assert_type(table.to_dict(), dict[str, Any])


def a_report(report: RunReport) -> None:
    assert_type(report.run_id, str)
    assert_type(report.succeeded, bool)
    assert_type(report.tables, list[TableResult])
    assert_type(report.to_dict(), dict[str, Any])
    table = report.tables[0]
    assert_type(table.batch, int | None)
    assert_type(table.rows_read, int)
    assert_type(table.quality_score, float | None)
    assert_type(table.remarks, list[str])


def the_factory() -> None:
    factory = get_processor_factory()
    assert_type(factory, ProcessorFactory)
    config = ProcessingConfig(engine=ProcessingEngine.POLARS, stage=ProcessingStage.BRONZE, input_path="data/raw")
    assert_type(factory.create_processor("polars_bronze", config), Processor)
    assert_type(factory.create_best_processor(config, [ProcessorCapability.VALIDATION]), Processor)
    factory.register_processor("mine", Mine)


class Mine(Processor):
    metadata = ProcessorMetadata(
        name="mine",
        version="1.0.0",
        description="a step of somebody else's",
        engine=ProcessingEngine.ANY,
        supported_stages=[ProcessingStage.SILVER],
        capabilities=[ProcessorCapability.BATCH],
    )

    def process(self, inputs: Mapping[str, nw.LazyFrame[Any]], step: Step) -> Output:
        (rows,) = inputs.values()
        once = step.engine.distinct(rows, ["id"])
        assert_type(once, nw.LazyFrame[Any])
        return Output(once, superseded=[(rows, once)])


@oreflow.hookimpl
def step_finished(result: dict[str, Any]) -> None:
    assert_type(result["table"], Any)
