from collections.abc import Callable

import pytest
from oreflow.contract import DeclarationError
from oreflow_testkit import ProcessorConformance, TinyLake

TABLES = """
bronze.addresses: {source: rows}
silver.addresses:
  input: bronze.addresses
  required_capabilities: [geocode.postcodes]
  postcode: Postcode
"""


class TestPostcodes(ProcessorConformance):
    plugin = "postcodes"


@pytest.mark.parametrize(
    ("delivered", "published", "area"),
    [
        ("SW1A 2AA", "SW1A 2AA", "SW"),
        ("sw1a2aa", "SW1A 2AA", "SW"),
        (" m 3\t4en ", "M3 4EN", "M"),
        ("B33\u00a08TH", "B33 8TH", "B"),
        ("ec1a1bb", "EC1A 1BB", "EC"),
    ],
)
def test_a_postcode_has_one_spelling(
    tiny_lake: Callable[..., TinyLake], delivered: str, published: str, area: str
) -> None:
    lake = tiny_lake(TABLES, [{"id": "1", "Postcode": delivered}])

    report = lake.run()
    assert report.succeeded, [table.reason for table in report.tables]

    assert [(row["id"], row["Postcode"], row["area"]) for row in lake.rows("silver.addresses")] == [
        ("1", published, area)
    ]


@pytest.mark.parametrize("delivered", ["75001", "SW1A", "SW1A 2A", "SW1A 2AAA", "ABC1 2DE", "", "2AA", "M3 4EN\n"])
def test_a_malformed_one_is_set_aside_as_it_came(tiny_lake: Callable[..., TinyLake], delivered: str) -> None:
    lake = tiny_lake(TABLES, [{"id": "1", "Postcode": delivered}])

    report = lake.run()
    assert report.succeeded, [table.reason for table in report.tables]

    assert lake.rows("silver.addresses") == []
    (row,) = lake.quarantine("silver.addresses")
    assert row["_rules"] == ["Postcode is a postcode"]
    assert row["_reason"] == f"Postcode: '{delivered}' is no UK postcode"
    assert row["Postcode"] == delivered


def test_a_row_without_a_postcode_is_set_aside(tiny_lake: Callable[..., TinyLake]) -> None:
    lake = tiny_lake(TABLES, [{"id": "1", "Postcode": None}])

    report = lake.run()
    assert report.succeeded, [table.reason for table in report.tables]

    assert [row["_reason"] for row in lake.quarantine("silver.addresses")] == ["Postcode is NULL"]


def test_a_column_that_is_not_there_is_named(tiny_lake: Callable[..., TinyLake]) -> None:
    lake = tiny_lake(TABLES, [{"id": "1", "Post Code": "M3 4EN"}])

    reasons = {result.table: result.reason for result in lake.run().tables}

    assert "bronze.addresses has no column 'Postcode' - it has id, Post Code" in reasons["silver.addresses"]


def test_a_column_area_of_the_input_is_not_lost(tiny_lake: Callable[..., TinyLake]) -> None:
    lake = tiny_lake(TABLES, [{"id": "1", "Postcode": "M3 4EN", "Area": "Manchester"}])

    reasons = {result.table: result.reason for result in lake.run().tables}

    assert "has a column 'Area' already" in reasons["silver.addresses"]


def test_the_column_that_is_added_cannot_be_the_one_that_is_read(tiny_lake: Callable[..., TinyLake]) -> None:
    lake = tiny_lake(TABLES.replace("postcode: Postcode", "postcode: area"), [{"id": "1", "area": "M3 4EN"}])

    with pytest.raises(DeclarationError, match=r"silver\.addresses\.postcode: 'area' is the column that is added"):
        lake.run()
