"""The processor factory, in the words of its specification."""

from __future__ import annotations

import pytest

from oreflow import (
    DeclarationError,
    Output,
    ProcessingConfig,
    ProcessingEngine,
    ProcessingStage,
    Processor,
    ProcessorCapability,
    ProcessorMetadata,
)
from oreflow.contract import InvalidMetadata
from oreflow.factory import Policy, get_processor_factory, home_of


class CustomProcessor(Processor):
    def process(self, inputs, step):
        (rows,) = inputs.values()
        return Output(rows)


class CustomProcessorPlugin:
    """The simplest form of a plugin."""

    @property
    def metadata(self) -> ProcessorMetadata:
        return ProcessorMetadata(
            name="custom_processor",
            version="1.0.0",
            description="A processor of our own",
            engine=ProcessingEngine.CUSTOM,
            supported_stages=[ProcessingStage.BRONZE],
            capabilities=[ProcessorCapability.STREAMING],
            option_schema={"properties": {"speed": {"type": "integer"}}},
        )

    def create_processor(self, config: ProcessingConfig) -> Processor:
        return CustomProcessor(config)

    def validate_config(self, config: ProcessingConfig) -> bool:
        return config.options.get("speed", 1) > 0


def _config(engine=ProcessingEngine.CUSTOM, **options):
    return ProcessingConfig(
        engine=engine,
        stage=ProcessingStage.BRONZE,
        input_path="data/raw",
        output_path="data/bronze",
        options=options,
    )


@pytest.fixture
def factory(fresh_factory):
    plugin = CustomProcessorPlugin()
    fresh_factory.register_processor("custom", CustomProcessor, plugin.metadata, plugin)
    return fresh_factory


def test_what_is_registered_by_hand_can_be_created_by_name(factory):
    processor = factory.create_processor("custom", _config(speed=2))
    assert isinstance(processor, CustomProcessor)
    assert processor.config.options == {"speed": 2}


def test_the_best_processor_can_do_all_that_is_required(factory):
    best = factory.create_best_processor(_config(), required_capabilities=[ProcessorCapability.STREAMING])
    assert isinstance(best, CustomProcessor)
    validating = [ProcessorCapability.VALIDATION]
    assert factory.create_best_processor(_config("polars"), required_capabilities=validating).metadata.name == "bronze"
    with pytest.raises(DeclarationError, match="custom is not able to do: validation"):
        factory.create_best_processor(_config(), required_capabilities=validating)


def test_a_portable_processor_is_offered_on_each_engine(factory):
    assert factory.create_processor("polars_bronze", _config("polars")).metadata.name == "bronze"
    assert {offer.name for offer in factory.offers} >= {"polars_bronze", "polars_silver", "polars_gold", "custom"}


@pytest.mark.parametrize(
    ("options", "told"),
    [({"speed": "fast"}, "expected a whole number"), ({"sped": 1}, "unknown key 'sped'"), ({"speed": 0}, "refuses")],
)
def test_the_configuration_is_validated_before_anything_is_created(options, told, factory):
    with pytest.raises(DeclarationError, match=told):
        factory.create_processor("custom", _config(**options))
    assert "custom" not in factory.profiles


@pytest.mark.parametrize("field", ["name", "version", "description", "engine", "supported_stages", "capabilities"])
def test_invalid_metadata_is_refused_with_the_field_named(field):
    good = vars(CustomProcessorPlugin().metadata)
    with pytest.raises(InvalidMetadata, match=f"'{field}'"):
        ProcessorMetadata(**{**good, field: 42 if field != "supported_stages" else []})


def test_a_name_is_registered_once(factory):
    with pytest.raises(DeclarationError, match="there is a processor 'custom' already"):
        factory.register_processor("custom", CustomProcessor, CustomProcessorPlugin().metadata)


def test_a_processor_is_given_what_it_needs_and_constructs_nothing(factory):
    config = _config(speed=3)
    one, other = factory.create_processor("custom", config), factory.create_processor("custom", config)
    assert one is not other
    assert factory.create_engine("polars") is factory.create_engine("polars")
    assert factory.create_table_format("delta") is factory.create_table_format("delta")


def test_the_profile_counts_what_was_created(factory):
    factory.create_processor("custom", _config())
    factory.create_processor("custom", _config())
    assert factory.profiles["custom"].created == 2
    assert factory.profiles["custom"].rows_per_second is None
    factory.profiles["custom"].ran(1000, 0.5)
    factory.profiles["custom"].ran(0, 0.1, "the disk is full")
    about = factory.profiles["custom"].to_dict()
    assert (about["runs"], about["failures"], about["rows_per_second"]) == (2, 1, 2000.0)
    assert about["last_error"] == "the disk is full"


def test_an_engine_that_nobody_brings_is_answered_with_its_package(without_spark):
    with pytest.raises(DeclarationError, match="no engine 'spark' - pip install oreflow-spark"):
        get_processor_factory().create_engine("spark")


def test_a_processor_that_nobody_brings_is_answered_with_its_package(factory):
    with pytest.raises(DeclarationError, match="pip install oreflow-geocode"):
        factory.create_processor("oreflow-geocode:places", _config())
    with pytest.raises(DeclarationError, match="did you mean 'custom'"):
        factory.create_processor("custm", _config())
    assert home_of("processor", "spark_silver") == "oreflow-silver"
    assert home_of("processor", "geocode") == ""


@pytest.mark.parametrize("option", ["input", "engine", "checks", "required_capabilities"])
def test_an_option_cannot_be_called_like_a_key_of_every_table(option, factory):
    about = CustomProcessorPlugin().metadata
    taken = ProcessorMetadata(**{**vars(about), "option_schema": {"properties": {option: {"type": "string"}}}})
    with pytest.raises(InvalidMetadata, match=f"'{option}', which is a key of every table"):
        factory.register_processor("taken", CustomProcessor, taken)


def test_an_option_schema_that_is_none_is_refused(factory):
    about = CustomProcessorPlugin().metadata
    wrong = ProcessorMetadata(**{**vars(about), "option_schema": {"properties": {"a": {"type": "nothing"}}}})
    with pytest.raises(InvalidMetadata, match="is no JSON Schema"):
        factory.register_processor("wrong", CustomProcessor, wrong)


# Who may be loaded


@pytest.mark.parametrize(
    ("said", "loaded"),
    [
        ("", {"a", "b", "c"}),
        ("-oreflow-a", {"b", "c"}),
        ("-a, -OREFLOW_B", {"c"}),
        ("oreflow-a,b", {"a", "b"}),
        ("a,b,-b", {"a"}),
        ("-*", set()),
        (" , ", {"a", "b", "c"}),
    ],
)
def test_the_variable_lets_in(said, loaded):
    policy = Policy(said=said)
    assert {name for name in "abc" if not policy.refusal(f"oreflow-{name}", name)} == loaded


def test_what_is_allowed_is_said_by_distributions_only():
    policy = Policy(allow=("oreflow_a",))
    assert not policy.refusal("oreflow-a", "x")
    assert policy.refusal("other", "oreflow-a"), "a plugin cannot let itself in by its name"
    assert Policy(allow=("oreflow-a",), said="-a").refusal("oreflow-a", "a")
