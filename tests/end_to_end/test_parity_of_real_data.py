"""Published data that nobody here made gives the same tables on both engines, and the figures that others computed."""

from __future__ import annotations

import json
from decimal import Decimal

import polars as pl
import pytest

import oreflow

TAXI = """
name: taxi
lake: ./lake
sources:
  trips: {path: "DATA/nyc_taxi/*.csv", format: csv}
tables:
  bronze.trips: {source: trips}
  silver.trips:
    input: bronze.trips
    columns:
      vendor:     {from: vendor_id, type: int32}
      pickup:     {from: pickup_datetime, type: timestamp}
      dropoff:    {from: dropoff_datetime, type: timestamp}
      passengers: {from: passenger_count, type: int32}
      distance:   {from: trip_distance, type: float64}
      flag:       {from: store_and_fwd_flag, type: boolean}
      fare:       {from: fare_amount, type: "decimal(10,2)"}
      total:      {from: total_amount, type: "decimal(10,2)"}
      congestion: {from: congestion_surcharge, type: "decimal(10,2)"}
    checks:
      - {name: fare,       type: validity, expression: "fare >= 0", action: warn}
      - {name: order,      type: validity, expression: "dropoff >= pickup", action: warn}
      - {name: passengers, type: validity, expression: "passengers > 0", action: warn}
      - {name: distance,   type: validity, expression: "distance >= 0"}
      - {name: congestion, type: completeness, column: congestion, action: warn}
  gold.by_day:
    input: silver.trips
    group_by: {day: "cast(pickup as date)", vendor: vendor}
    measures:
      trips: "count(*)"
      total: "sum(total)"
      mean: "avg(fare)"
      farthest: "max(distance)"
      hours: "count(distinct extract(hour from pickup))"
  gold.totals:
    input: silver.trips
    measures:
      n: "count(*)"
      total: "sum(total)"
      negative: "sum(case when fare < 0 then 1 else 0 end)"
      backwards: "sum(case when dropoff < pickup then 1 else 0 end)"
      nobody: "sum(case when passengers = 0 then 1 else 0 end)"
      nowhere: "sum(case when distance = 0 then 1 else 0 end)"
"""
FLIGHTS = """
name: flights
lake: ./lake
sources:
  flights:  {path: "DATA/nycflights13/flights.csv", format: csv}
  planes:   {path: "DATA/nycflights13/planes.csv", format: csv}
  airlines: {path: "DATA/nycflights13/airlines.csv", format: csv}
tables:
  bronze.flights:  {source: flights}
  bronze.planes:   {source: planes}
  bronze.airlines: {source: airlines}
  silver.flights:
    input: bronze.flights
    columns:
      year:      {type: int32}
      month:     {type: int32}
      day:       {type: int32}
      carrier:   {type: string}
      flight:    {type: int32}
      tailnum:   {type: string}
      origin:    {type: string}
      dest:      {type: string}
      distance:  {type: int64}
      dep_delay: {type: int32}
      hour:      {from: time_hour, type: timestamp_utc}
    deduplicate: exact
    checks:
      - {name: has left, type: completeness, column: dep_delay}
      - {name: carrier,  type: validity, column: carrier, pattern: "^[0-9A-Z]{2}$"}
  silver.planes:
    input: bronze.planes
    columns:
      tailnum: {type: string}
      built:   {from: year, type: int32}
      seats:   {type: int32}
      speed:   {type: string}
    deduplicate: {keys: [tailnum], order_by: [built]}
  silver.airlines: {input: bronze.airlines, columns: {carrier: {type: string}, name: {type: string, clean: [trim]}}}
  gold.carriers:
    inputs: [silver.flights, silver.airlines, silver.planes]
    sql: |
      select a.name, count(*) as flights, count(p.tailnum) as known, sum(p.seats) as seats, avg(f.dep_delay) as delay,
             min(f.hour) as first, max(f.distance) as farthest, sum(f.distance) * 1.609 as km
      from silver.flights f
      join silver.airlines a on f.carrier = a.carrier
      left join silver.planes p on f.tailnum = p.tailnum
      group by a.name
"""


@pytest.fixture
def compared(project, spark, shared_data, require):
    """Run a declaration on both engines: compared(text, folder of the data) gives the comparison and Spark's lake."""

    def compare(text, needs):
        require(shared_data / needs, f"the data is missing: {shared_data / needs}")
        made = project(text.replace("DATA", str(shared_data)))
        found = oreflow.parity(made.root, keep=made.root / "both")
        assert found.equal, [(t.table, t.quarantine, t.differences) for t in found.tables if not t.equal]
        return found, made.root / "both" / "spark"

    return compare


def _rows(found):
    return {(table.table, table.quarantine): table.rows["spark"] for table in found.tables}


def test_taxi(compared, shared_data):
    found, lake = compared(TAXI, "nyc_taxi")
    reference = json.loads((shared_data / "nyc_taxi/reference.json").read_text())
    assert _rows(found)["silver.trips", False] == reference["rows"] == 120_000
    (totals,) = pl.read_delta(str(lake / "gold/totals")).to_dicts()
    assert totals == {
        "n": reference["rows"],
        "total": Decimal(reference["total_amount"]).quantize(Decimal("0.01")),
        "negative": reference["fare_lt_0"],
        "backwards": reference["dropoff_before_pickup"],
        "nobody": reference["passenger_zero"],
        "nowhere": reference["distance_zero"],
    }


def test_flights(compared, shared_data):
    found, lake = compared(FLIGHTS, "nycflights13")
    reference = json.loads((shared_data / "nycflights13/reference.json").read_text())
    rows = _rows(found)
    assert rows["bronze.flights", False] == reference["rows"]["flights"] == 336_776
    assert rows["silver.flights", True] == reference["nulls"]["flights"]["dep_delay"]
    carriers = pl.read_delta(str(lake / "gold/carriers"))
    assert carriers["flights"].sum() == 336_776 - 8_255
