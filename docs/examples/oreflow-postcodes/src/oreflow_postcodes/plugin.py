"""The entry point: says what the package brings, and imports nothing heavy."""

from oreflow.contract import (
    Problem,
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    Processor,
    ProcessorCapability,
    ProcessorMetadata,
)
from oreflow.hookspecs import hookimpl

from oreflow_postcodes import __version__

oreflow_api = 1  # the version of the contract that this plugin is written for

AREA = "area"
"""The column that is added."""

METADATA = ProcessorMetadata(
    name="postcodes",
    version=__version__,
    description="UK postcodes in one spelling, with their area; a row with a malformed one is set aside",
    engine=ProcessingEngine.ANY,  # portable: it runs on every engine
    supported_stages=[ProcessingStage.SILVER],
    capabilities=[
        ProcessorCapability.BATCH,
        ProcessorCapability.INCREMENTAL,
        "geocode.postcodes",  # our own: a table asks for it with `required_capabilities: [geocode.postcodes]`
    ],
    option_schema={
        "required": ["postcode"],
        "properties": {
            "postcode": {
                "type": "string",
                "minLength": 1,
                "description": "the column with the postcodes",
            },
        },
    },
    example={
        "options": {"postcode": "postcode"},
        "rows": [
            {"id": "1", "street": "Downing Street", "postcode": "SW1A 2AA"},
            {"id": "2", "street": "Deansgate", "postcode": " m3  4en"},
            {"id": "3", "street": "Royal Mile", "postcode": "eh11re"},
            {"id": "4", "street": "Rue de Rivoli", "postcode": "75001"},
            {"id": "5", "street": "High Street", "postcode": None},
        ],
    },
)


@hookimpl
def processors() -> list[ProcessorMetadata]:
    """The one processor of this package."""
    return [METADATA]


@hookimpl
def create_processor(name: str, config: ProcessingConfig) -> Processor | None:
    """Create it, and load only now what it needs."""
    if name != METADATA.name:
        return None  # another plugin's
    from oreflow_postcodes import processor

    return processor.PostcodesProcessor(config)


@hookimpl
def validate_config(name: str, config: ProcessingConfig) -> list[Problem]:
    """What the schema cannot say; it is told with file and line before anything runs."""
    if name != METADATA.name:
        return []
    problems = []
    if len(config.inputs) > 1:
        problems.append(Problem(f"it takes one input, not {len(config.inputs)}", ("inputs",), "make a table of each"))
    column = config.options["postcode"]
    if column.startswith("_"):
        problems.append(Problem(f"'{column}' is one of oreflow's own columns", ("postcode",), "choose another column"))
    if column.lower() == AREA:
        problems.append(Problem(f"'{AREA}' is the column that is added", ("postcode",), "choose another column"))
    return problems
