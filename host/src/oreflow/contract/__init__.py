"""The contract between the host and its plugins: everything that crosses the boundary, and nothing else.

It imports only the standard library, pluggy and narwhals' types, so that describing a plugin costs
nothing. Plugins import from here (or from `oreflow`, which offers the same names).
"""

from oreflow.contract.boards import BreakerBoard
from oreflow.contract.checks import Check, CheckContext, CheckType, RowCheck, TableCheck
from oreflow.contract.engine import Engine, Executed, SourceFile, SourceScan, Staged, Staging, Unreadable
from oreflow.contract.errors import (
    CommitConflict,
    DeclarationError,
    HookDeprecation,
    InvalidMetadata,
    OreflowError,
    Problem,
    StepError,
)
from oreflow.contract.faults import Classification, ErrorClass, Severity
from oreflow.contract.health import Doubt, HealthCheck
from oreflow.contract.metadata import (
    API_VERSION,
    BreakerBoardMetadata,
    ConfigStoreMetadata,
    EngineMetadata,
    MetricBackendMetadata,
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    ProcessorCapability,
    ProcessorMetadata,
    SectionMetadata,
    TableFormatMetadata,
    TraceBackendMetadata,
    capability,
)
from oreflow.contract.monitoring import (
    Aggregation,
    Figure,
    Labels,
    MetricBackend,
    MetricFamily,
    MetricKind,
    Sample,
    Snapshot,
    Surroundings,
    TraceBackend,
)
from oreflow.contract.patterns import portable_pattern
from oreflow.contract.processor import INTERNAL, LINEAGE, Append, Merge, Mode, Output, Overwrite, Processor, Rule, Step
from oreflow.contract.stores import ConfigStore, StoreAway, StoreConflict, StoredConfig, StoreDenied, StoreError
from oreflow.contract.tables import UNKNOWN_BATCH, Commit, DataFile, Table, TableFormat
from oreflow.contract.texts import text_of
from oreflow.contract.types import DIRECTIVES, Columns, DataType, format_fault, is_wildcard

__all__ = [
    "API_VERSION",
    "DIRECTIVES",
    "INTERNAL",
    "LINEAGE",
    "UNKNOWN_BATCH",
    "Aggregation",
    "Append",
    "BreakerBoard",
    "BreakerBoardMetadata",
    "Check",
    "CheckContext",
    "CheckType",
    "Classification",
    "Columns",
    "Commit",
    "CommitConflict",
    "ConfigStore",
    "ConfigStoreMetadata",
    "SectionMetadata",
    "DataFile",
    "DataType",
    "DeclarationError",
    "Doubt",
    "Engine",
    "EngineMetadata",
    "ErrorClass",
    "Executed",
    "Figure",
    "HealthCheck",
    "HookDeprecation",
    "InvalidMetadata",
    "Labels",
    "Merge",
    "MetricBackend",
    "MetricBackendMetadata",
    "MetricFamily",
    "MetricKind",
    "Mode",
    "OreflowError",
    "Output",
    "Overwrite",
    "Problem",
    "ProcessingConfig",
    "ProcessingEngine",
    "ProcessingStage",
    "Processor",
    "ProcessorCapability",
    "ProcessorMetadata",
    "RowCheck",
    "Rule",
    "Sample",
    "Severity",
    "Snapshot",
    "SourceFile",
    "SourceScan",
    "Staged",
    "Staging",
    "Step",
    "StepError",
    "StoreAway",
    "StoreConflict",
    "StoreDenied",
    "StoreError",
    "StoredConfig",
    "Surroundings",
    "Table",
    "TableCheck",
    "TableFormat",
    "TableFormatMetadata",
    "TraceBackend",
    "TraceBackendMetadata",
    "Unreadable",
    "capability",
    "format_fault",
    "is_wildcard",
    "portable_pattern",
    "text_of",
]
