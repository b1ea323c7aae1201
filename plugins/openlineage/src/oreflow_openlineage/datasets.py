"""The data that a run reads and writes: its names, and what is told of it.

Names are those of the naming conventions, so that what another program says of the same folder is about the same data:
https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    OutputDatasetFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    datasource_dataset,
    input_statistics_input_dataset,
    lifecycle_state_change_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)
from openlineage.client.naming.dataset import LocalFileSystem

from oreflow.contract import LINEAGE
from oreflow_openlineage.checks import assertions
from oreflow_openlineage.columns import ARRIVAL, Columns, Origins, origins
from oreflow_openlineage.making import Batch, Making
from oreflow_openlineage.sql import DIRECT, Use, Uses
from oreflow_openlineage.written import Written

PRODUCER = "urn:oreflow:oreflow-openlineage"
"""Who says it, as a URI."""
_ROW_BY_ROW = ("oreflow-bronze", "oreflow-silver")
"""Whose rows read are those of the input; others may count those of their result."""
_CREATE, _OVERWRITE, _ALTER = "CREATE", "OVERWRITE", "ALTER"

_Facet = TypeVar("_Facet")
Moved = tuple[list[InputDataset], list[OutputDataset]]
"""What was read, and what was written."""


def ours(kind: Callable[..., _Facet], **fields: Any) -> _Facet:
    """A facet that we say."""
    return kind(**fields, producer=PRODUCER)


class Datasets:
    """The datasets of a run, by its plan; `project` is what paths of files start at."""

    def __init__(self, project: Path, plan: Sequence[Mapping[str, Any]]) -> None:
        self._project = project
        self._planned = {each["table"]: each for each in plan}
        self._columns: dict[str, Columns] = {}

    def making(self, table: str) -> Making:
        """Begin to make a table."""
        planned = self._planned[table]
        return Making(planned, self._absolute(planned["path"]), self._of_lake(planned, table, "_quarantine"))

    def know(self, table: str, columns: Columns) -> None:
        """Note the columns of a table, of which later ones are made."""
        if columns:
            self._columns[table] = columns

    def declared(self, making: Making) -> Moved:
        """What a table is to be made of, and where."""
        return self._inputs(making), [_output(making.folder)]

    def moved(self, making: Making, *, is_end: bool) -> Moved:
        """What has been read and written so far, in figures; at the end with columns, and where they come from."""
        told = origins(making.planned, self._columns)
        inputs = self._inputs(making)
        if len(inputs) == 1 and making.accounts:
            inputs[0].inputFacets = self._of_input(making, told)
        outputs = [_output(making.folder)]
        self._describe(outputs[0], making, "published", [each.written for each in making.published])
        aside = [each for each in making.published if each.account["quarantined"]]
        if aside:
            outputs.append(_output(making.quarantine))
            self._describe(outputs[1], making, "quarantined", [each.aside for each in aside])
        if changed := _change(making.published):
            kind = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet
            _of(outputs[0])["lifecycleStateChange"] = ours(
                kind, lifecycleStateChange=lifecycle_state_change_dataset.LifecycleStateChange(changed)
            )
        if is_end:
            columns = self._columns.get(making.planned["table"], {})
            _of(outputs[0]).update({**_schema(columns), **self._lineage(making, told.columns, told.rows)})
            for output in outputs[1:]:
                _of(output).update(self._lineage(making, told.quarantine, frozenset()))
        return inputs, outputs

    # Inputs

    def _inputs(self, making: Making) -> list[InputDataset]:
        found = []
        for name in _reads(making):
            folder = self._folder(making, name)
            facets = {**_data_source(folder), **_schema(self._columns_of(making, name))}
            found.append(InputDataset(*_named(folder), facets=facets))
        return found

    def _columns_of(self, making: Making, name: str) -> Columns:
        """The columns of an input; the files of a source have those that their table has of them, all of them text."""
        planned = making.planned
        if planned["source"] is None:
            return self._columns.get(name, {})
        if planned["distribution"] != "oreflow-bronze":
            return {}
        own = (*LINEAGE, ARRIVAL)
        return {column: "string" for column in self._columns.get(planned["table"], {}) if column not in own}

    def _of_input(self, making: Making, told: Origins) -> dict[str, InputDatasetFacet]:
        """What of the only input was read, and what checks have found in it."""
        figures: dict[str, int] = {}
        if making.planned["distribution"] in _ROW_BY_ROW:
            figures["rowCount"] = making.read
        if making.planned["source"] is not None:
            sizes = [file["bytes"] for file in making.files]
            figures["fileCount"] = len(sizes)
            if all(size >= 0 for size in sizes):
                figures["size"] = sum(sizes)
        facets: dict[str, InputDatasetFacet] = {}
        if figures:
            kind = input_statistics_input_dataset.InputStatisticsInputDatasetFacet
            facets["inputStatistics"] = ours(kind, **figures)

        def column_of(column: str) -> str | None:
            direct = {use.column for use in told.columns.get(column, ()) if use.type == DIRECT}
            return direct.pop() if len(direct) == 1 else None

        if found := assertions(making.planned["checks"], making.accounts, column_of):
            quality = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet
            facets["dataQualityAssertions"] = ours(quality, assertions=found)
        return facets

    # Outputs

    def _describe(self, output: OutputDataset, making: Making, what: str, commits: Sequence[Written | None]) -> None:
        figures = {"rowCount": making.rows(what)}
        written = [each for each in commits if each]
        if len(written) == len(commits):
            figures |= {"size": sum(each.bytes for each in written), "fileCount": sum(each.files for each in written)}
        kind = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
        statistics: OutputDatasetFacet = ours(kind, **figures)
        output.outputFacets = {"outputStatistics": statistics}
        if written:
            last = str(max(each.version for each in written))
            _of(output)["version"] = ours(dataset_version_dataset.DatasetVersionDatasetFacet, datasetVersion=last)

    def _lineage(self, making: Making, columns: Mapping[str, Uses], rows: Uses) -> dict[str, DatasetFacet]:
        fields = {
            name: column_lineage_dataset.Fields(self._fields(making, uses)) for name, uses in columns.items() if uses
        }
        if not fields:
            return {}
        kind = column_lineage_dataset.ColumnLineageDatasetFacet
        return {"columnLineage": ours(kind, fields=fields, dataset=self._fields(making, rows))}

    def _fields(self, making: Making, uses: Uses) -> list[column_lineage_dataset.InputField]:
        def place(use: Use) -> tuple[str, str]:
            return use.table, use.column

        return [
            column_lineage_dataset.InputField(
                *_named(self._folder(making, table)),
                column,
                [column_lineage_dataset.Transformation(use.type, use.subtype) for use in each],
            )
            for (table, column), each in itertools.groupby(sorted(uses), place)
        ]

    # Places

    def _folder(self, making: Making, name: str) -> Path:
        """Where an input is: the folder of a table, the one of the files of a source, or its only file."""
        planned = making.planned
        if planned["source"] is not None:
            pattern = os.path.expanduser(planned["files"])  # noqa: PTH111  as the host does; of a path it may raise
            plain = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
            return self._absolute(Path(*plain))
        if name in self._planned:
            return self._absolute(self._planned[name]["path"])
        return self._of_lake(planned, name)

    def _of_lake(self, planned: Mapping[str, Any], name: str, *below: str) -> Path:
        """The folder of a table in the lake that a planned one is in, by docs/reference/protocol.md."""
        stage, _, word = name.partition(".")
        return self._absolute(planned["path"]).parent.parent.joinpath(*below, stage, word)

    def _absolute(self, path: str | Path) -> Path:
        return Path(os.path.abspath(self._project / path))  # noqa: PTH100  links are not followed: their names are known


def _reads(making: Making) -> list[str]:
    source = making.planned["source"]
    return list(making.planned["inputs"]) if source is None else [source]


def _named(folder: Path) -> tuple[str, str]:
    naming = LocalFileSystem(folder.as_posix())
    return naming.get_namespace(), naming.get_name()


def _output(folder: Path) -> OutputDataset:
    return OutputDataset(*_named(folder), facets=_data_source(folder))


def _of(output: OutputDataset) -> dict[str, DatasetFacet]:
    output.facets = output.facets or {}
    return output.facets


def _data_source(folder: Path) -> dict[str, DatasetFacet]:
    kind = datasource_dataset.DatasourceDatasetFacet
    return {"dataSource": ours(kind, name=_named(folder)[0], uri=folder.as_uri())}


def _schema(columns: Columns) -> dict[str, DatasetFacet]:
    if not columns:
        return {}
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name, of_type, ordinal_position=position)
        for position, (name, of_type) in enumerate(columns.items(), 1)
    ]
    return {"schema": ours(schema_dataset.SchemaDatasetFacet, fields=fields)}


def _change(published: Sequence[Batch]) -> str:
    """What has become of the table as such; '' where it only has more rows."""
    accounts = [each.account for each in published]
    if any(batch.number == 1 for batch in published):
        return _CREATE
    if any(account.get("replaces") for account in accounts):
        return _OVERWRITE
    return _ALTER if any(account["schema_changes"] for account in accounts) else ""
